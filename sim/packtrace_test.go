package sim

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"shoal/sim/pack"
)

// TestPack_SmallTrace packs the small trace: its one node with a GPU holds two pods that
// want half of it, and none that wants two.
func TestPack_SmallTrace(t *testing.T) {
	trace, err := ReadPackTrace("testdata/openb/nodes.csv", "testdata/openb/pods.csv")
	if err != nil {
		t.Fatal(err)
	}
	run := func() *pack.Report {
		r, err := trace.Run(pack.Options{First: 1, Seeds: 3, Percent: 1000, Cell: 128})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := run()
	if r.Nodes != 1 || r.Without != 3 || r.GPUs != 1 || r.Pods != 6 || len(r.Policies) != len(pack.Usual) {
		t.Errorf("%+v", r)
	}
	for _, p := range r.Policies {
		if p.Mean.GPU != 100 || p.Mean.Fragments != 0 || p.Mean.Fragmentation != 0 {
			t.Errorf("%s: %+v", p.Policy, p.Mean)
		}
		for _, s := range p.Seeds {
			if s.GPUMilli != 1000 || s.Pods >= s.Arrived {
				t.Errorf("%s: %+v", p.Policy, s)
			}
		}
	}
	if again := run(); !reflect.DeepEqual(r, again) {
		t.Errorf("the same seeds give\n%+v\n%+v", r, again)
	}
}

func TestPack_Refusals(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	noGPU := write("nodes.csv", nodeHeader+"\nx,1000,1,0,\n")
	wrong := write("wrong.csv", podHeader+"\na,1,1,3,1,,BE,Running,1,2,1\n")
	none := write("pods.csv", podHeader+"\na,1,1,0,0,,BE,Running,1,2,1\n")
	for _, c := range []struct{ nodes, pods, want string }{
		{noGPU, "testdata/openb/pods.csv", noGPU + " with testdata/openb/pods.csv: none of 1 nodes has a GPU"},
		{"testdata/openb/nodes.csv", none, none + ": none of 1 pods asks for a GPU"},
		{"testdata/openb/nodes.csv", wrong, wrong + `:2: gpu_milli: "1" is not 1000`},
		{none, none, none + ":1: the first line is not sn,"},
		{"testdata/openb/nodes.csv", filepath.Join(dir, "gone.csv"), "gone.csv: there is no such file; want a table in CSV"},
	} {
		if _, err := ReadPackTrace(c.nodes, c.pods); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
