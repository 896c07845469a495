package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadPods(t *testing.T) {
	pods, err := readPods("testdata/openb/pods.csv")
	if err != nil {
		t.Fatal(err)
	}
	want := []pod{ // by creation; a pod never scheduled lasts from its creation
		{500, 256, 1000, 3000, false, 0, 0, ""}, {250, 64, 1100, 20, true, 0, 0, ""},
		{1500, 512, 1200, 640, false, 1, 500, "t4"}, {2000, 1024, 1250, 7750, false, 2, 1000, "t4|p4"},
		{250, 64, 1300, 90, true, 0, 0, ""}, {100, 32, 1400, 0, true, 0, 0, ""},
	}
	if !slices.Equal(pods, want) {
		t.Errorf("got  %v\nwant %v", pods, want)
	}
}

func TestReadNodes(t *testing.T) {
	nodes, err := readNodes("testdata/openb/nodes.csv")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range nodes {
		got = append(got, fmt.Sprintf("%d %d %q", n.Capacity.CPUMilli, n.gpus, n.model))
	}
	want := []string{`4000 0 ""`, `4000 0 ""`, `8000 1 "t4"`, `2000 0 ""`}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestTrace_Replay replays the small trace ten times as fast.
func TestTrace_Replay(t *testing.T) {
	var got []string
	for _, op := range drawnText(t, 1, 200*time.Second, "p trace=openb/pods.csv speed=10 size=50% keep=1s") {
		delete(op.Opts, "fails")
		got = append(got, op.String())
	}
	want := []string{
		"at 5s submit p-0 cpu=250m mem=128MiB replicas=1",
		"at 15s submit p-1 cpu=125m lasts=2s mem=32MiB replicas=1 type=batch",
		"at 18s remove p-1",
		"at 25s submit p-2 cpu=750m mem=256MiB replicas=1",
		"at 30s submit p-3 cpu=1000m mem=512MiB replicas=1",
		"at 35s submit p-4 cpu=125m lasts=9s mem=32MiB replicas=1 type=batch",
		"at 45s submit p-5 cpu=50m lasts=1ms mem=16MiB replicas=1 type=batch",
		"at 45s remove p-4",
		"at 46.001s remove p-5",
		"at 1m29s remove p-2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTrace_DrawnFrom takes needs from the trace, and times from a rate.
func TestTrace_DrawnFrom(t *testing.T) {
	pods, err := readPods("testdata/openb/pods.csv")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, op := range drawnText(t, 1, 5*time.Minute, "rate=1/s trace=openb/pods.csv") {
		if op.Verb == "submit" {
			seen[op.Opts["cpu"]+" "+op.Opts["mem"]] = true
		}
	}
	for _, p := range pods {
		delete(seen, fmt.Sprintf("%dm %dMiB", p.cpuMilli, p.memMiB))
	}
	if len(seen) > 0 {
		t.Errorf("needs that no pod has: %v", seen)
	}
}

func TestPeersFrom(t *testing.T) {
	s, err := Parse(strings.NewReader("peers from=openb/nodes.csv count=8\n"), "testdata/x.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := "peers 4 cpu=4000m mem=8589934592\npeers 2 cpu=8000m mem=17179869184 label=gpu=t4\npeers 2 cpu=2000m mem=2147483648\n"
	if got, _, _ := strings.Cut(s.String(), "net "); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if s, err = Parse(strings.NewReader("peers from=openb/nodes.csv count=2\n"), "testdata/x.txt"); err != nil {
		t.Fatal(err)
	}
	if s.peers() != 2 || len(s.Groups) != 2 || s.Groups[1].Capacity.CPUMilli != 8000 {
		t.Errorf("two of four nodes are the first and the third: %+v", s.Groups)
	}
}

func TestTables_Refusals(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct{ name, kind, text, want string }{
		{"empty", "pods", "", ":1: no rows; want the line name,cpu_milli,"},
		{"no rows", "pods", podHeader + "\n", ":2: no rows; want "},
		{"header", "pods", nodeHeader + "\nx,1,1,0,\n", ":1: the first line is not name,cpu_milli,"},
		{"fields", "pods", podHeader + "\na,1,1\n", ":2: 3 fields, want 11"},
		{"negative", "pods", podHeader + "\n\na,-5,1,0,0,,BE,Running,1,2,1\n", `:3: cpu_milli: "-5" is no whole number from 0 to 1000000`},
		{"absurd", "pods", podHeader + "\na,1,99999999999999999999,0,0,,BE,Running,1,2,1\n", `:2: memory_mib: "99999999999999999999" is no whole number`},
		{"fraction", "pods", podHeader + "\na,1,1,0,0,,BE,Running,1.5,2,1\n", `:2: creation_time: "1.5" is no whole number`},
		{"order", "pods", podHeader + "\na,1,1,0,0,,BE,Running,9,2,9\n", `:2: deletion_time: "2" is no whole number from 9 to `},
		{"qos", "pods", podHeader + "\na,1,1,0,0,,best,Running,1,2,1\n", `:2: qos: "best" is none of BE, Burstable, Guaranteed, LS`},
		{"quote", "pods", podHeader + "\na,1,1,0,0,\"x,BE,Running,1,2,1\n", ":2: extraneous or missing"},
		{"gpu of none", "pods", podHeader + "\na,1,1,0,500,,BE,Running,1,2,1\n", `:2: gpu_milli: "500" is not 0`},
		{"nothing of a gpu", "pods", podHeader + "\na,1,1,1,0,,BE,Running,1,2,1\n", `:2: gpu_milli: "0" is no whole number from 1 to 1000`},
		{"shares of several", "pods", podHeader + "\na,1,1,2,500,,BE,Running,1,2,1\n", `:2: gpu_milli: "500" is not 1000`},
		{"no model", "pods", podHeader + "\na,1,1,1,500,T4||P4,BE,Running,1,2,1\n", `:2: gpu_spec: "T4||P4" is no name`},
		{"no cpu", "nodes", nodeHeader + "\nx,0,1,0,\n", `:2: cpu_milli: "0" is no whole number from 1 to`},
		{"model", "nodes", nodeHeader + "\nx,1,1,1,a b\n", `:2: model: "a b" is no name`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(dir, fmt.Sprintf("%d.csv", i))
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			statement := "workload trace=" + file
			if c.kind == "nodes" {
				statement = "peers from=" + file + " count=3"
			}
			_, err := Parse(strings.NewReader("peers 1\n"+statement+"\n"), "x.txt")
			if err == nil || !strings.HasPrefix(err.Error(), "x.txt:2: ") || !strings.Contains(err.Error(), file+c.want) {
				t.Fatalf("got %v\nwant %s%s…", err, file, c.want)
			}
		})
	}
	for _, c := range []struct{ text, want string }{
		{"peers from=a.csv", "x.txt:1: peers: how many? such as: peers from=nodes.csv count=100"},
		{"peers from=a.csv count=0", "x.txt:1: peers: count=0: want a number of peers from 1 to 20000"},
		{"peers from=a.csv cpu=4", "x.txt:1: peers: cpu=4: unknown option beside from=; known is count"},
		{"peers from=a.csv count=2", "x.txt:1: peers: from=a.csv: a.csv: there is no such file; want a table in CSV"},
	} {
		if _, err := Parse(strings.NewReader(c.text+"\n"), "x.txt"); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// FuzzTables reads anything as either table: no panic, and what is taken is in bounds.
func FuzzTables(f *testing.F) {
	for _, file := range []string{"pods", "nodes"} {
		text, err := os.ReadFile("testdata/openb/" + file + ".csv")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "t.csv")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pods, err := readPods(file); err == nil {
			for _, p := range pods {
				if p.cpuMilli < 0 || p.memMiB < 0 || p.lasts < 0 || p.gpus < 0 || p.gpus > maxTraceGPUs || p.gpuMilli > wholeGPU ||
					(p.gpus == 0) != (p.gpuMilli == 0) {
					t.Fatalf("%+v", p)
				}
			}
		}
		if nodes, err := readNodes(file); err == nil && len(pickNodes(nodes, 7)) == 0 {
			t.Fatal("no peers of some nodes")
		}
	})
}
