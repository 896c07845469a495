package node

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/job"
)

// What waits is offered in falling order of priority, of equal ones the oldest first, then
// by name, whatever the order in which it was found.
func TestInOrder(t *testing.T) {
	lot := func(name string, weight int, since ...clock.Instant) queued {
		q := queued{Lot: auction.Lot{Job: job.MakeID("", name), Task: "web"}, weight: weight}
		for _, at := range since {
			q.Slots = append(q.Slots, auction.Want{Since: at})
		}
		return q
	}
	lots := []queued{lot("e", 50, 9, 3), lot("a", 50, 5), lot("d", 1, 1), lot("c", 50, 5), lot("b", 100, 8), lot("f", 50, 4)}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		r.Shuffle(len(lots), func(i, j int) { lots[i], lots[j] = lots[j], lots[i] })
		var got []job.ID
		for _, l := range inOrder(slices.Clone(lots)) {
			got = append(got, l.Job)
		}
		if want := []job.ID{"default/b", "default/e", "default/f", "default/a", "default/c", "default/d"}; !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v, want %v", seed, got, want)
		}
	}
}

// What is behind something more urgent that is to be called is called with it.
func TestInOrder_NobodySlipsBy(t *testing.T) {
	lot := func(name string, weight int, call bool) queued {
		return queued{Lot: auction.Lot{Job: job.MakeID("", name), Slots: []auction.Want{{Call: call}}}, weight: weight}
	}
	for _, l := range inOrder([]queued{lot("d", 1, false), lot("c", 50, false), lot("b", 50, true), lot("a", 90, false)}) {
		if got, want := l.Slots[0].Call, l.Job.Name() == "b" || l.Job.Name() == "d"; got != want {
			t.Errorf("%s is called: %v", l.Job, got)
		}
	}
}

// When room comes, that of greater priority has it, however long the others wait.
func TestPriority_HasTheRoom(t *testing.T) {
	w := newWorld(t, 2)
	w.run(3 * time.Second)
	big := func(name string, priority int) job.Spec {
		return testSpec(name, job.Task{Name: "web", Count: 1, Priority: priority, Needs: job.Resources{CPUMilli: 1500, MemBytes: 1 << 20}})
	}
	for _, s := range []job.Spec{big("one", 0), big("two", 0)} {
		w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: s}})
		w.run(2 * time.Second)
	}
	// They are of one lane: lanes sell side by side, and do not know of one another.
	lane, waiting := laneOf(job.MakeID("", "low")), []job.Spec{big("low", 1)}
	for i, name := 50, 'a'; len(waiting) < 3; name++ {
		if id := job.MakeID("", "more"+string(name)); laneOf(id) == lane {
			waiting = append(waiting, big(id.Name(), i))
			i += 10
		}
	}
	for _, s := range waiting {
		w.ask(w.peers[0], Request{Deploy: &Deploy{Spec: s}})
		w.run(4 * time.Second)
	}
	w.wantRunning("while there is no room", "one/web.0", "two/web.0")
	w.ask(w.peers[0], Request{Remove: &Remove{Job: "default/one"}})
	w.run(5 * time.Second)
	w.wantRunning("the last and most urgent", "two/web.0", waiting[2].Name+"/web.0")
	w.ask(w.peers[0], Request{Remove: &Remove{Job: "default/two"}})
	w.run(5 * time.Second)
	w.wantRunning("the next", waiting[1].Name+"/web.0", waiting[2].Name+"/web.0")
}
