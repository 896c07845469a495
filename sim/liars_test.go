package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Of thirty peers three lie: n2 never begins with what it takes, n9 and n17 cannot run
// half of it. Every four minutes come two jobs, which all three are the best bidders for.
// Each slot of each of them completes, and what the liars get becomes less and less.
func TestLiars_AllCompletesAndTheirWinsFall(t *testing.T) {
	const rounds = 6
	text := "peers 30 cpu=2 mem=4GiB run 30m seed=5\nat 5s lie n2 starts=never factor=2\nat 5s lie n9 factor=8\nat 5s lie n17 factor=8\n"
	for round := range rounds {
		for _, name := range []string{"left", "right"} {
			text += fmt.Sprintf("at %ds submit %s%d replicas=13 type=batch lasts=90s cpu=1500m mem=64MiB\n", 60+240*round, name, round)
		}
	}
	s, err := Parse(strings.NewReader(text), "liars")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, s.Seed, Options{})
	r.start()
	r.plan()
	won := map[string][2]int{} // by liar, in each half of the rounds
	for half := range 2 {
		r.w.events["claimed"] = nil
		r.w.runUntil(s.Run * time.Duration(half+1) / 2)
		for _, e := range r.w.events["claimed"] {
			if m := r.w.machines[e.machine]; m.idles || m.boast > 1 {
				n := won[m.name]
				n[half]++
				won[m.name] = n
			}
		}
	}
	if r.finish(); r.w.failure != nil {
		t.Fatal(r.w.failure)
	}
	for _, name := range []string{"n2", "n9", "n17"} {
		if n := won[name]; n[0] < 1 || 2*n[1] > n[0] {
			t.Errorf("%s won %d slots in the first half and %d in the second: want half of that at most", name, n[0], n[1])
		}
	}
	var done int
	for _, v := range r.w.witness().slots("") {
		if v.Phase != "completed" {
			t.Errorf("%s is %s on %s", v.Slot, v.Phase, v.Peer)
		}
		done++
	}
	if done != rounds*26 {
		t.Errorf("%d slots, want %d", done, rounds*26)
	}
}
