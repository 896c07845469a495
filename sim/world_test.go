package sim

import (
	"io"
	"testing"
	"time"
)

// TestWorld_SameSeedSameHash runs drawn plans again, with messages encoded on
// their way and with every step printed: neither may change anything. The first
// shows that the codec is faithful and that no core writes to what it shares.
func TestWorld_SameSeedSameHash(t *testing.T) {
	for seed := uint64(101); seed <= 104; seed++ {
		s := Draw(seed, 6)
		s.Encode = false
		first := Run(s, Options{})
		for name, o := range map[string]Options{"again": {}, "encoded": {Encode: true}, "traced": {Trace: io.Discard}} {
			if got := Run(s, o); got.Hash != first.Hash || got.Steps != first.Steps {
				t.Errorf("seed %d, %s: hash %s after %d steps, first %s after %d", seed, name, got.Hash, got.Steps, first.Hash, first.Steps)
			}
		}
		if other := Run(Draw(seed+1000, 6), Options{}); other.Hash == first.Hash {
			t.Errorf("seeds %d and %d give one hash", seed, seed+1000)
		}
	}
}

// TestFaults_Fire shows that each fault does what it says: what a fault does not
// break proves nothing.
func TestFaults_Fire(t *testing.T) {
	const swarm = "peers 3\nrun 40s seed=5\nat 2s submit web replicas=3 cpu=200m mem=64MiB\nat 15s "
	for _, c := range []struct{ name, fault, then, want string }{
		{"power cut", "crash n2", "by 16s idle n2", ""},
		{"power cut ends containers", "crash n2", "by 16s running 3 of web", "liveness"},
		{"daemon crash leaves containers", "crashdaemon n2", "by 16s idle n2", "liveness"},
		{"split", "cut n1|n2,n3", "by 39s event died from=n1 count=2", ""},
		{"one way", "oneway n1>n2,n3", "by 39s event died from=n2 count=1", ""},
		{"no fault", "exit other.0 fails=no", "by 39s event died", "liveness"},
		{"pause", "pause n1 for=15s", "by 39s event died", ""},
		{"engine hangs", "hang engine n2", "by 39s event engine-silent", ""},
		{"container ends", "exit web.0 code=3", "by 15500ms running 3 of web", "liveness"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := swarm + c.fault + "\n" + c.then + "\n"
			want := OK
			if c.want != "" {
				want = Verdict(c.want)
			}
			res := runText(t, text, c.name)
			if res.Verdict != want {
				t.Fatalf("want %s: %s", want, res.String())
			}
		})
	}
}

// TestDisk_TearKeepsAPrefix cuts the power between writes and sync.
func TestDisk_TearKeepsAPrefix(t *testing.T) {
	w := newWorld(1, nil)
	m := w.add(MachineSpec{Capacity: defaultCapacity})
	m.start()
	w.runUntil(5 * time.Second)
	before := m.disk.records.count
	if before == 0 {
		t.Fatal("a founder has written nothing")
	}
	m.powerCut()
	if len(m.disk.pending) != 0 || m.disk.records.count < before {
		t.Fatalf("%d writes pending, %d records of %d kept", len(m.disk.pending), m.disk.records.count, before)
	}
}
