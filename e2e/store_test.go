package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
)

// startPlain builds n peers without engines, whose tasks are plain processes, and joins
// them; prepare is called for each before its daemon starts.
func startPlain(t *testing.T, n int, prepare func(*lab.Peer)) swarm {
	t.Helper()
	s := swarm{labtest.Start(t, lab.Config{Peers: n, Binary: labtest.Binary(t), NoEngines: true}), t}
	for _, p := range s.Peers {
		prepare(p)
	}
	must(t, s.Peers[0].StartDaemon(t.Context(), "--driver", "process", "--new"))
	ticket := strings.TrimSpace(s.shoal(s.Peers[0], "ticket"))
	for _, p := range s.Peers[1:] {
		must(t, p.StartDaemon(t.Context(), "--driver", "process", ticket))
	}
	s.within(20*time.Second, func(ctx context.Context) error { return allReady(ctx, s.Peers...) })
	return s
}

// allReady is nil once each of the peers shows all of them as ready.
func allReady(ctx context.Context, peers ...*lab.Peer) error {
	for _, p := range peers {
		found, err := askObjects(ctx, p, "peers")
		if err != nil {
			return err
		}
		for _, q := range peers {
			if !slices.ContainsFunc(found, func(o map[string]any) bool { return o["name"] == q.Name && o["state"] == "ready" }) {
				return fmt.Errorf("%s does not show %s as ready", p.Name, q.Name)
			}
		}
	}
	return nil
}

// sleepers deploys a job of so many copies at a peer, which the processes of its slots
// show by how long they sleep, and returns the names of the peers that stored it.
func (s swarm) sleepers(at *lab.Peer, name string, copies, sleep int) (stores []string) {
	s.t.Helper()
	out := s.shoal(at, "run", "--detach", "-o", "json", "--name", name, "--replicas", fmt.Sprint(copies),
		"--cpu", "0.01", "--memory", "8m", "process", "--", "sleep", fmt.Sprint(sleep))
	found, err := objects(out)
	must(s.t, err)
	for _, o := range found {
		if list, ok := o["stores"].([]any); ok {
			for _, v := range list {
				stores = append(stores, fmt.Sprint(v))
			}
		}
	}
	return stores
}

// sleeping returns the processes of a job's slots that run on a peer, sorted.
func sleeping(ctx context.Context, p *lab.Peer, sleep int) (pids []string, err error) {
	out, err := exec.CommandContext(ctx, "ip", "netns", "pids", p.Namespace).Output()
	if err != nil {
		return nil, err
	}
	for _, pid := range strings.Fields(string(out)) {
		words, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if err == nil && string(words) == fmt.Sprintf("sleep\x00%d\x00", sleep) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// sleepOn checks that so many processes of a job run on the peers together.
func sleepOn(ctx context.Context, sleep, want int, peers ...*lab.Peer) error {
	got := 0
	for _, p := range peers {
		pids, err := sleeping(ctx, p, sleep)
		if err != nil {
			return err
		}
		got += len(pids)
	}
	if got != want {
		return fmt.Errorf("%d processes sleep %d, want %d", got, sleep, want)
	}
	return nil
}

// loseDisk removes a stopped peer's ledger; its key and certificate stay, as on a card
// of their own.
func loseDisk(t *testing.T, p *lab.Peer) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(p.State, "store")))
}

// A deploy is answered "safe on 3"; at some instant after that any two of the three are
// killed, the one that answered among them or not, and their ledgers removed. The job
// is still there and runs. Then the two come back, with nothing but their keys, and
// another two are lost.
func TestAccepted_AnyTwoMayBeLost(t *testing.T) {
	s := startPlain(t, 3, func(*lab.Peer) {})
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	const jobs = 4
	sleep := 100_000
	for round, left := range []*lab.Peer{s.Peers[2], s.Peers[0]} {
		var last []string
		for n := range jobs {
			last = s.sleepers(s.Peers[0], fmt.Sprintf("job-%d-%d", round, n), 1, sleep+round*jobs+n)
		}
		if len(last) != 3 {
			t.Fatalf("accepted on %q, want three stores", last)
		}
		wait := time.Duration(rng.IntN(50)) * time.Millisecond
		time.Sleep(wait)
		lost := without(s.Peers, left)
		for _, p := range lost {
			must(t, p.KillDaemon())
		}
		for _, p := range lost {
			must(t, p.PowerCut(t.Context())) // their processes as well
			loseDisk(t, p)
		}
		took := s.within(60*time.Second, func(ctx context.Context) error {
			for n := range (round + 1) * jobs {
				if err := sleepOn(ctx, sleep+n, 1, left); err != nil {
					return err
				}
			}
			return nil
		})
		t.Logf("two killed %s after the answer; all %d jobs run on %s alone after %s", wait, (round+1)*jobs, left.Name, took)
		for _, p := range lost {
			must(t, p.PowerOn(t.Context()))
			must(t, p.StartDaemon(t.Context()))
		}
		took = s.within(60*time.Second, func(ctx context.Context) error {
			return errors.Join(allReady(ctx, s.Peers...), s.equalLedgers(ctx))
		})
		t.Logf("the two are back with their keys alone, refilled and ready, after %s", took)
	}
}

// state returns what shoal status says of a peer's own readiness.
func state(ctx context.Context, p *lab.Peer) (state, why string, err error) {
	found, err := askObjects(ctx, p, "status")
	for _, o := range found {
		if v, ok := o["readyPeers"]; ok && v != nil {
			state, _ = o["state"].(string)
			why, _ = o["why"].(string)
			return state, why, nil
		}
	}
	return "", "", errors.Join(err, fmt.Errorf("status of %s has no state", p.Name))
}

// A peer with a damaged store takes no work while nobody can refill it, however long,
// and is whole again once somebody has.
func TestDamagedStore_IsNotReadyBeforeItIsRefilled(t *testing.T) {
	s := startPlain(t, 3, func(*lab.Peer) {})
	s.sleepers(s.Peers[0], "web", 3, 100_000)
	s.within(20*time.Second, func(ctx context.Context) error { return sleepOn(ctx, 100_000, 3, s.Peers...) })
	p := s.Peers[2]
	must(t, p.KillDaemon())
	must(t, os.Truncate(filepath.Join(p.State, "store", "db", "00001.mem"), 100))
	must(t, p.CutCable(t.Context()))
	must(t, p.StartDaemon(t.Context(), "--log-level", "info"))
	for began := time.Now(); time.Since(began) < 14*time.Second; time.Sleep(time.Second) { // a whole one is ready after 10 s
		st, why, err := state(t.Context(), p)
		must(t, err)
		// So much is gone that it does not know itself, or it knows that something is.
		if st == "ready" || time.Since(began) > 10*time.Second && !strings.Contains(why, "it has no store") && !strings.Contains(why, "damaged") {
			t.Fatalf("alone and damaged it is %q: %q", st, why)
		}
		if r, err := p.Shoal(t.Context(), "run", "--detach", "process", "--", "true"); err != nil || r.Code == 0 {
			t.Fatalf("it accepts a job: %+v, %v", r, err)
		}
	}
	must(t, p.PlugCable(t.Context()))
	took := s.within(60*time.Second, func(ctx context.Context) error {
		if err := allReady(ctx, s.Peers...); err != nil {
			return err
		}
		return errors.Join(s.equalLedgers(ctx), sleepOn(ctx, 100_000, 3, s.Peers...))
	})
	t.Logf("refilled and ready, ledgers equal, three processes: %s after the cable was plugged in", took)
	s.within(10*time.Second, func(context.Context) error {
		if !strings.Contains(p.Log("shoal"), "the store is whole again") {
			return errors.New("the damage is not said to be mended")
		}
		return nil
	})
}

// A disk fills up under a peer's ledger, by somebody else's file. First the peer takes
// no more work; then it holds still, and what it runs goes on; a daemon that is killed
// then cannot start until there is room, which its supervisor goes on trying. With room
// again everything is as before, without anybody's help.
func TestDiskFull_HoldsStillAndGoesOn(t *testing.T) {
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			s := startPlain(t, 3, func(p *lab.Peer) {
				if p.Name == "c" {
					mountAt(t, kind, 400, p)
				}
			})
			p, rest := s.Peers[2], s.Peers[:2]
			other := filepath.Join(p.State, "somebody-elses")
			s.sleepers(s.Peers[0], "web", 6, 100_000)
			s.within(20*time.Second, func(ctx context.Context) error { return sleepOn(ctx, 100_000, 6, s.Peers...) })
			before, err := sleeping(t.Context(), p, 100_000)
			must(t, err)
			if len(before) == 0 {
				t.Fatal("nothing of the job runs on the peer whose disk is to fill")
			}

			leave(t, other, p.State, 50<<20)
			s.within(10*time.Second, func(ctx context.Context) error { return says(ctx, p, "disk: nearly full", "status") })
			s.sleepers(s.Peers[0], "more", 6, 100_001)
			s.within(20*time.Second, func(ctx context.Context) error { return sleepOn(ctx, 100_001, 6, rest...) })

			leave(t, other, p.State, 8<<20)
			s.sleepers(s.Peers[0], "last", 3, 100_002)
			s.within(40*time.Second, func(ctx context.Context) error {
				return errors.Join(sleepOn(ctx, 100_002, 3, rest...), says(ctx, p, "holds still until there is room", "events"))
			})
			same := func() {
				t.Helper()
				if now, err := sleeping(t.Context(), p, 100_000); err != nil || !slices.Equal(now, before) {
					t.Errorf("processes on the full disk were %v, are %v, %v", before, now, err)
				}
			}
			s.within(40*time.Second, func(ctx context.Context) error { return sleepOn(ctx, 100_000, 6, rest...) })
			same()

			if kind == "ext4" {
				must(t, p.KillDaemon())
				if err := p.StartDaemon(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk is full") {
					t.Fatalf("started on a full disk: %v", err)
				}
				same()
			}
			must(t, os.Remove(other))
			if kind == "ext4" {
				must(t, p.StartDaemon(t.Context()))
			}
			took := s.within(60*time.Second, func(ctx context.Context) error {
				if err := allReady(ctx, s.Peers...); err != nil {
					return err
				}
				return errors.Join(s.equalLedgers(ctx), sleepOn(ctx, 100_000, 6, s.Peers...),
					sleepOn(ctx, 100_001, 6, s.Peers...), sleepOn(ctx, 100_002, 3, s.Peers...))
			})
			t.Logf("one copy of each slot and equal ledgers %s after there was room", took)
		})
	}
}

// says checks that what a command prints contains a text.
func says(ctx context.Context, p *lab.Peer, text string, command ...string) error {
	out, err := ask(ctx, p, append(command, "-o", "json")...)
	if err == nil && !strings.Contains(out, text) {
		err = fmt.Errorf("shoal %s on %s does not say %q", command[0], p.Name, text)
	}
	return err
}

// mountAt makes a peer's state directory a file system of its own; the lab unmounts it.
func mountAt(t *testing.T, kind string, mib int, p *lab.Peer) {
	t.Helper()
	must(t, os.MkdirAll(p.State, 0o700))
	if kind == "tmpfs" {
		must(t, syscall.Mount("tmpfs", p.State, "tmpfs", 0, fmt.Sprintf("mode=0700,size=%dm", mib)))
		return
	}
	image := filepath.Join(p.Dir, "image")
	must(t, errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, int64(mib)<<20)))
	for _, command := range [][]string{{"mkfs." + kind, "-q", "-F", "-m", "0", image}, {"mount", "-o", "loop", image, p.State}} {
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("%s in a file cannot be mounted here: %s: %v: %s", kind, command[0], err, out)
		}
	}
}

// leave makes a file so big that only so much of its file system is free.
func leave(t *testing.T, path, dir string, left int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	must(t, err)
	defer f.Close()
	for range 200 { // what others free meanwhile is taken too
		var st syscall.Statfs_t
		must(t, syscall.Statfs(dir, &st))
		info, err := f.Stat()
		must(t, err)
		more := int64(st.Bavail)*int64(st.Bsize) - left //nolint:unconvert // the field's type differs between systems
		if more < 64<<10 {
			return
		}
		must(t, syscall.Fallocate(int(f.Fd()), 0, info.Size(), max(more/2, 64<<10)))
	}
}
