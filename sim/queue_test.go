package sim

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestQueue_TotalOrder pushes at random, while popping too, and demands the order
// of (time, sequence) of whatever is in the queue.
func TestQueue_TotalOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	spans := []time.Duration{0, time.Microsecond, 5 * time.Millisecond, 3 * time.Second, 40 * time.Second}
	var q queue
	var now time.Duration
	var last event
	pushed, popped := 0, 0
	for pushed < 20_000 || q.count > 0 {
		if pushed < 20_000 && r.IntN(2) == 0 {
			d := spans[r.IntN(len(spans))]
			q.push(event{at: now + time.Duration(r.Int64N(int64(d)+1))})
			pushed++
			continue
		}
		e, ok := q.pop()
		if !ok {
			continue
		}
		popped++
		if e.at < last.at || e.at == last.at && e.seq < last.seq {
			t.Fatalf("event %d at %v after event %d at %v", e.seq, e.at, last.seq, last.at)
		}
		last, now = e, e.at
	}
	if popped != pushed {
		t.Fatalf("popped %d of %d", popped, pushed)
	}
}

func BenchmarkQueue(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var q queue
	var now time.Duration
	for range 10_000 {
		q.push(event{at: time.Duration(r.Int64N(int64(time.Second)))})
	}
	for b.Loop() {
		e, _ := q.pop()
		now = e.at
		q.push(event{at: now + time.Duration(r.Int64N(int64(time.Second)))})
	}
}
