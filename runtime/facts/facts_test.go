package facts

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shoal/job"
)

func TestReadThisMachine(t *testing.T) {
	f := Read(t.Context(), Options{DataDir: t.TempDir(), Driver: "docker", Engine: &Engine{Version: "20.10.24"}, Labels: map[string]string{"site": "attic", "os": "mine"}})
	if len(f.Missing) > 0 {
		t.Fatalf("missing %v", f.Missing)
	}
	c := f.Capacity
	if c.CPUMilli < 1000 || c.CPUMilli%1000 != 0 || c.MemBytes < 1<<26 || c.DiskBytes <= 0 || f.Load < 0 {
		t.Errorf("capacity %+v, load %d", c, f.Load)
	}
	if f.Labels["site"] != "attic" || f.Labels["os"] != "mine" || f.Labels["arch"] != f.Arch || f.Labels["cores"] == "" {
		t.Errorf("labels %v", f.Labels)
	}
	free, total, err := Disk(t.Context(), t.TempDir())
	if err != nil || free <= 0 || free > total {
		t.Errorf("disk %d of %d, %v", free, total, err)
	}
}

func fixed(n int64) source { return func(context.Context) (int64, error) { return n, nil } }

// good is a machine of 4 cores, 8 GB, 100 GB.
func good() sources {
	return sources{
		cores: fixed(4), memory: fixed(8e9), load: fixed(6000),
		disk: func(context.Context, string) (int64, error) { return 100e9, nil },
		tree: "/nowhere", now: func() time.Time { return time.Date(2026, 11, 22, 22, 30, 0, 0, time.UTC) },
	}
}

func TestReserve(t *testing.T) {
	f := good().read(t.Context(), Options{Reserve: job.Resources{CPUMilli: 500, MemBytes: 9e9, DiskBytes: 40e9}})
	if want := (job.Resources{CPUMilli: 3500, DiskBytes: 60e9}); f.Capacity != want {
		t.Errorf("capacity %+v, want %+v", f.Capacity, want)
	}
	const all = "memory: reserve.memory of the owner's file keeps back 8583 MiB, and there are 7629 MiB"
	if f.Load != 1500 || len(f.Missing) != 1 || f.Missing[0] != all {
		t.Errorf("load %d, missing %q", f.Load, f.Missing)
	}
}

// Each part that fails, lies or hangs is named, and the others are still read.
func TestMissing(t *testing.T) {
	hang := func(context.Context) (int64, error) { time.Sleep(time.Hour); return 1, nil }
	for _, c := range []struct {
		name  string
		spoil func(*sources)
		want  string
	}{
		{"error", func(s *sources) {
			s.memory = func(context.Context) (int64, error) { return 0, errors.New("no /proc") }
		}, "memory: no /proc"},
		{"no cores", func(s *sources) { s.cores = fixed(0) }, "cpu: 0 is not believable"},
		{"overflow", func(s *sources) { s.load = fixed(-1) }, "load: -1"},
		{"hang", func(s *sources) {
			s.disk = func(ctx context.Context, _ string) (int64, error) { return hang(ctx) }
		}, "disk: no answer in 3s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := good()
			c.spoil(&s)
			f := s.read(t.Context(), Options{})
			if len(f.Missing) != 1 || !strings.HasPrefix(f.Missing[0], c.want) {
				t.Errorf("%s: missing %q, want %q", c.name, f.Missing, c.want)
			}
			if f.Capacity == (job.Resources{}) {
				t.Errorf("%s: nothing else was read", c.name)
			}
			time.Sleep(2 * time.Hour) // of the bubble's time, for the one that hangs to end
		})
	}
}
