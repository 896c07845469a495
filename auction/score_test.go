package auction

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"shoal/job"
	"shoal/wire"
)

const mib = 1 << 20

func res(cpu, mem int64) job.Resources { return job.Resources{CPUMilli: cpu, MemBytes: mem * mib} }

func TestScore_Room(t *testing.T) {
	gpus := func(n, milli int64) job.Resources { return job.Resources{CPUMilli: n, MemBytes: n, GPUMilli: milli} }
	for _, tc := range []struct {
		name               string
		free, total, needs job.Resources
		want, before       int64 // for spread, once the slot is there; for pack, before
	}{
		{"empty peer, no needs", res(1000, 1000), res(1000, 1000), res(0, 0), FullRoom, FullRoom},
		{"half of both", res(1000, 1000), res(1000, 1000), res(500, 500), FullRoom / 2, FullRoom},
		{"the scarcer part counts", res(1000, 1000), res(1000, 1000), res(100, 750), FullRoom / 4, FullRoom},
		{"exactly full", res(500, 500), res(1000, 1000), res(500, 100), 0, FullRoom / 2},
		{"one too little", res(499, 500), res(1000, 1000), res(500, 100), 0, 499_000},
		{"nothing known", res(0, 0), res(0, 0), res(500, 100), 0, 0},
		{"more free than there is", res(9000, 9000), res(1000, 1000), res(0, 0), FullRoom, FullRoom},
		{"negative free", res(-5, -5), res(1000, 1000), res(1, 1), 0, 0},
		{"negative needs", res(500, 1000), res(1000, 1000), res(-400, 0), FullRoom / 2, FullRoom / 2},
		{"greatest amounts", job.Resources{CPUMilli: math.MaxInt64 - 1, MemBytes: math.MaxInt64 - 1},
			job.Resources{CPUMilli: math.MaxInt64, MemBytes: math.MaxInt64}, res(0, 0), FullRoom - 1, FullRoom - 1},
		{"a full disk of others does not count", job.Resources{CPUMilli: 10, MemBytes: 10},
			job.Resources{CPUMilli: 10, MemBytes: 10, DiskBytes: 10}, res(0, 0), FullRoom, FullRoom},
		{"a disk that is needed counts", job.Resources{CPUMilli: 10, MemBytes: 10, DiskBytes: 5},
			job.Resources{CPUMilli: 10, MemBytes: 10, DiskBytes: 10}, job.Resources{DiskBytes: 4}, FullRoom / 10, FullRoom / 2},
		{"GPUs that are needed count", gpus(10, 1500), gpus(10, 2000), gpus(0, 500), FullRoom / 2, FullRoom * 7 / 8},
		{"GPUs that are not needed", gpus(10, 500), gpus(10, 2000), gpus(5, 0), FullRoom / 2, FullRoom * 5 / 8},
	} {
		terms := Terms{Free: tc.free, Total: tc.total, Needs: tc.needs, Policy: PolicyPack}
		if got := Score(terms).Room; got != tc.before {
			t.Errorf("%s: pack room %d, want %d", tc.name, got, tc.before)
		}
		terms.Policy = ""
		if got := Score(terms).Room; got != -tc.want {
			t.Errorf("%s: spread room %d, want %d", tc.name, got, -tc.want)
		}
	}
}

func TestScore_TermsInOrder(t *testing.T) {
	base := Terms{Copies: 1, Free: res(500, 500), Total: res(1000, 1000), Needs: res(100, 100), Bucket: 5, Order: 50}
	with := func(policy string, change func(*Terms)) wire.Score {
		c := base
		c.Policy = policy
		change(&c)
		return Score(c)
	}
	same := func(*Terms) {}
	fuller := func(c *Terms) { c.Free = res(200, 200) }
	for _, tc := range []struct {
		name          string
		policy        string
		better, worse func(*Terms)
	}{
		{"copies beat bucket", "", func(c *Terms) { c.Copies = 0; c.Bucket = 99 }, same},
		{"bucket beats room", "", func(c *Terms) { fuller(c); c.Bucket = 4 }, same},
		{"spread takes the emptiest", PolicySpread, same, fuller},
		{"pack takes the fullest", PolicyPack, fuller, same},
		{"pack does not count copies", PolicyPack, func(c *Terms) { fuller(c); c.Copies = 7 }, same},
		{"bucket beats fullness in pack", PolicyPack, func(c *Terms) { c.Bucket = 4 }, fuller},
		{"ties go by hash", "", func(c *Terms) { c.Order = 49 }, same},
	} {
		if a, b := with(tc.policy, tc.better), with(tc.policy, tc.worse); Compare(a, b) >= 0 {
			t.Errorf("%s: %v does not beat %v", tc.name, a, b)
		}
	}
}

// Ties are fair: over many cells no peer wins much more often than another.
func TestScore_TieFavoursNobody(t *testing.T) {
	const peers, cells = 10, 5000
	wins := make(map[int]int)
	for cell := range cells {
		best, at := wire.Score{}, -1
		for p := range peers {
			s := Score(Terms{Free: res(1, 1), Total: res(1, 1), Order: wire.Order(string(rune(cell+0x100)), peer(p))})
			if at < 0 || Compare(s, best) < 0 {
				best, at = s, p
			}
		}
		wins[at]++
	}
	for p := range peers {
		if wins[p] < cells/peers*8/10 || wins[p] > cells/peers*12/10 {
			t.Errorf("peer %d won %d of %d ties, want about %d", p, wins[p], cells, cells/peers)
		}
	}
}

func TestCompare_IsTotalOrder(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) wire.Score {
		return wire.Score{Copies: rapid.Uint32Range(0, 2).Draw(t, "copies"), Bucket: rapid.Uint32Range(0, 2).Draw(t, "bucket"),
			Room: rapid.Int64Range(-2, 2).Draw(t, "room"), Order: rapid.Uint64Range(0, 2).Draw(t, "order")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := gen.Draw(t, "a"), gen.Draw(t, "b"), gen.Draw(t, "c")
		if Compare(a, b) != -Compare(b, a) || (Compare(a, b) == 0) != (a == b) {
			t.Fatalf("not antisymmetric: %v %v", a, b)
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatalf("not transitive: %v %v %v", a, b, c)
		}
	})
}

func TestBucket(t *testing.T) {
	present := Costs{ImagePresent: true}
	for _, tc := range []struct {
		name string
		c    Costs
		want uint32
	}{
		{"nothing to pay", present, 0},
		{"small image", Costs{ImageKnown: true, FetchBytes: smallFetch}, 1},
		{"medium image", Costs{ImageKnown: true, FetchBytes: smallFetch + 1}, 2},
		{"still medium", Costs{ImageKnown: true, FetchBytes: mediumFetch}, 2},
		{"large image", Costs{ImageKnown: true, FetchBytes: mediumFetch + 1}, 3},
		{"unknown image", Costs{}, 3},
		{"metered link", Costs{ImagePresent: true, Metered: true}, 6},
		{"metered link and a fetch", Costs{Metered: true}, 3 + 6 + 6},
		{"battery", Costs{ImagePresent: true, Battery: true}, 4},
		{"busy, not yet", Costs{ImagePresent: true, LoadMilli: 800}, 0},
		{"busy", Costs{ImagePresent: true, LoadMilli: 801}, 1},
		{"overloaded", Costs{ImagePresent: true, LoadMilli: 1001}, 2},
		{"one failure", Costs{ImagePresent: true, Fails: 1}, 64},
		{"failures have a cap", Costs{ImagePresent: true, Fails: 1 << 30}, 64 * 8},
		{"negative failures", Costs{ImagePresent: true, Fails: -1}, 0},
	} {
		if got := Bucket(tc.c); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
	worst := Bucket(Costs{Metered: true, Battery: true, VolumeAway: true, LoadMilli: 9999})
	if one := Bucket(Costs{ImagePresent: true, Fails: 1}); worst >= one {
		t.Errorf("costs of %d outweigh a failure here (%d)", worst, one)
	}
}
