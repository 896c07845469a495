package lab_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
)

// One lab for the whole walk: building it is what costs time.
func TestLab(t *testing.T) {
	ctx := t.Context()
	began := time.Now()
	l := labtest.Start(t, lab.Config{Peers: 3, Images: []lab.Image{lab.Busybox()}})
	t.Logf("3 peers with engines and an image after %s", time.Since(began).Round(time.Millisecond))
	a, b, c := l.Peers[0], l.Peers[1], l.Peers[2]

	t.Run("PublishedPortAnswersNeighboursAndHost", func(t *testing.T) {
		for _, p := range l.Peers {
			runHTTPD(t, p)
		}
		for _, p := range l.Peers {
			for _, q := range l.Peers {
				expectPage(t, p, q, true)
			}
			expectPageFromHost(t, p)
		}
	})
	t.Run("PartitionCutsAndHealMends", func(t *testing.T) {
		must(t, l.Partition(ctx, []*lab.Peer{a}, []*lab.Peer{b, c}))
		expectPage(t, a, b, false)
		expectPage(t, b, a, false)
		expectPage(t, c, a, false)
		expectPage(t, b, c, true)
		must(t, l.Heal(ctx))
		expectPage(t, a, b, true)
		expectPage(t, c, a, true)
	})
	t.Run("OneWay", func(t *testing.T) {
		must(t, a.DropFrom(ctx, b))
		expectPage(t, c, a, true)
		expectPage(t, b, a, false)
		must(t, l.Heal(ctx))
	})
	t.Run("Cable", func(t *testing.T) {
		must(t, c.CutCable(ctx))
		expectPage(t, a, c, false)
		expectPage(t, c, c, true)
		must(t, c.PlugCable(ctx))
		expectPage(t, a, c, true)
	})
	t.Run("ContainersOutliveTheirEngine", func(t *testing.T) {
		before := runningIDs(t, b)
		must(t, b.KillEngine())
		expectPage(t, a, b, true)
		began := time.Now()
		must(t, b.StartEngine(ctx))
		t.Logf("engine back after %s", time.Since(began).Round(time.Millisecond))
		if after := runningIDs(t, b); after != before || after == "" {
			t.Errorf("containers %q before, %q after", before, after)
		}
	})
	t.Run("PowerCutEndsAllAndKeepsTheDisk", func(t *testing.T) {
		must(t, c.PowerCut(ctx))
		expectPage(t, a, b, true)
		must(t, c.PowerOn(ctx))
		must(t, c.StartEngine(ctx))
		if ids := runningIDs(t, c); ids != "" {
			t.Errorf("running after the power cut: %s", ids)
		}
		docker, err := c.Docker()
		must(t, err)
		defer docker.Close()
		all, err := docker.ContainerList(ctx, container.ListOptions{All: true})
		must(t, err)
		if len(all) != 1 || all[0].State != "exited" {
			t.Errorf("containers on the disk: %+v, want the one, exited", all)
		}
	})
	number, dir := l.Number, l.Dir
	must(t, l.Close())
	expectNothingLeft(t, number, dir)
}

// A test process that dies without Close must not leave a lab: the watcher removes it.
func TestWatcherRemovesLabOfKilledProcess(t *testing.T) {
	if os.Getenv("LAB_TEST_CHILD") != "" {
		l, err := lab.Start(t.Context(), lab.Config{Peers: 1})
		must(t, err)
		fmt.Printf("lab %d %s\n", l.Number, l.Dir)
		must(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
	if err := lab.Available(); err != nil || testing.Short() {
		t.Skip("-short or no lab here: ", err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "LAB_TEST_CHILD=1")
	out, _ := cmd.Output()
	var number int
	var dir string
	if _, err := fmt.Sscanf(string(out), "lab %d %s", &number, &dir); err != nil {
		t.Fatalf("child said %q: %v", out, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	must(t, lab.Poll(ctx, func() error {
		if _, err := os.Stat(filepath.Join("/run/shoal-lab", strconv.Itoa(number))); err == nil {
			return fmt.Errorf("lab %d of the killed process is still there", number)
		}
		return nil
	}))
	expectNothingLeft(t, number, dir)
}

func TestPeersBound(t *testing.T) {
	if _, err := lab.Start(t.Context(), lab.Config{Peers: lab.MaxPeers + 1}); err == nil {
		t.Fatal("too many peers: no error")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runHTTPD runs a web server that says the peer's name, published on 8080.
func runHTTPD(t *testing.T, p *lab.Peer) {
	t.Helper()
	docker, err := p.Docker()
	must(t, err)
	defer docker.Close()
	made, err := docker.ContainerCreate(t.Context(),
		&container.Config{
			Image: "shoal-test/busybox", ExposedPorts: nat.PortSet{"80/tcp": {}},
			Cmd: []string{"sh", "-c", "printf " + p.Name + " >/tmp/name && exec httpd -f -p 80 -h /tmp"},
		},
		&container.HostConfig{PortBindings: nat.PortMap{"80/tcp": {{HostPort: "8080"}}}}, nil, nil, "web")
	must(t, err)
	must(t, docker.ContainerStart(t.Context(), made.ID, container.StartOptions{}))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	must(t, lab.Poll(ctx, func() error { return get(ctx, p, p) }))
}

// get fetches q's page from p, and checks that it is q's.
func get(ctx context.Context, p, q *lab.Peer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	out, err := p.Get(ctx, "http://"+q.Addr+":8080/name")
	if err == nil && out != q.Name {
		err = fmt.Errorf("page of %s is %q", q.Name, out)
	}
	return err
}

// expectPage allows a link that has just come up a few seconds until it carries;
// what must not be reached is tried for a second.
func expectPage(t *testing.T, p, q *lab.Peer, want bool) {
	t.Helper()
	if !want {
		if get(t.Context(), p, q) == nil {
			t.Errorf("%s reaches %s", p.Name, q.Name)
		}
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := lab.Poll(ctx, func() error { return get(ctx, p, q) }); err != nil {
		t.Errorf("%s does not reach %s: %v", p.Name, q.Name, err)
	}
}

func expectPageFromHost(t *testing.T, p *lab.Peer) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.Addr+":8080", 3*time.Second)
	must(t, err)
	must(t, conn.Close())
}

func runningIDs(t *testing.T, p *lab.Peer) string {
	t.Helper()
	docker, err := p.Docker()
	must(t, err)
	defer docker.Close()
	list, err := docker.ContainerList(t.Context(), container.ListOptions{})
	must(t, err)
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}

// expectNothingLeft looks for each kind of thing that a lab makes.
func expectNothingLeft(t *testing.T, number int, dir string) {
	t.Helper()
	prefix := fmt.Sprintf("sl%d", number)
	for what, command := range map[string]string{
		"registry":   "ls -d /run/shoal-lab/" + strconv.Itoa(number),
		"directory":  "ls -d " + dir,
		"namespaces": "ip netns list | grep '^" + prefix + "-'",
		"links":      "ip -o link | grep -E ': " + prefix + "(-|:|@)'",
		"mounts":     "grep " + dir + " /proc/self/mountinfo",
		"processes":  "for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || tr '\\0' ' ' <$p/cmdline | grep " + dir + "; done 2>/dev/null",
		"rules":      "iptables -w -S | grep -w " + prefix,
		"cgroups":    "ls -d /sys/fs/cgroup/shoal-lab-" + strconv.Itoa(number) + " /sys/fs/cgroup/*/shoal-lab-" + strconv.Itoa(number) + " 2>/dev/null",
	} {
		out, _ := exec.CommandContext(t.Context(), "bash", "-c", command).Output()
		if text := strings.TrimSpace(string(out)); text != "" {
			t.Errorf("%s left: %s", what, text)
		}
	}
}
