package sim

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A probe hears what the network does, at the times that the real stack showed.
func TestProbe_Times(t *testing.T) {
	const ms = time.Millisecond
	var times []time.Duration
	var p *Probe
	p, err := NewProbe("peers 3 cpu=1000m mem=1GiB net delay=25ms..25ms", 1, func(h Heard) {
		if h.OnTopic != (h.ID == 2) {
			t.Errorf("heard %+v", h)
		}
		times = append(times, p.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Connect(1, 2)
	p.At(time.Second, func() { p.Send(0, 1, 1) })   // with a dial: three and a half round trips
	p.At(2*time.Second, func() { p.Publish(0, 2) }) // n2 directly; n3, who never met n1, a round trip later
	p.At(4*time.Second, func() { p.Send(0, 1, 3) }) // on a stream in use
	p.Run(5 * time.Second)
	want := []time.Duration{1175 * ms, 2025 * ms, 2100 * ms, 4025 * ms}
	if len(times) != len(want) {
		t.Fatalf("arrivals at %v, want %v", times, want)
	}
	for i, at := range times {
		if at < want[i] || at > want[i]+3*ms {
			t.Errorf("arrival %d at %v, want %v", i, at, want[i])
		}
	}
	if _, err := NewProbe("peers", 1, nil); err == nil {
		t.Error("a header without a number of peers was taken")
	}
}

// A lost packet comes one round trip and 25 ms late; nothing is ever as late as a
// minute; and on a stream nothing overtakes.
func TestResends(t *testing.T) {
	const ms = time.Millisecond
	luck := rand.New(rand.NewPCG(1, 1))
	const n, rtt = 100_000, 50 * ms
	l := &link{loss: 0.05}
	lost, once := 0, 0
	for range n {
		switch late := l.resends(luck, rtt); {
		case late > time.Minute:
			t.Fatalf("late by %v", late)
		case late > 0 && late < rtt+ackDelay:
			t.Fatalf("late by %v, less than one wait", late)
		case late > 0:
			lost++
			if late <= rtt+ackDelay+ackUneven {
				once++
			}
		}
	}
	if lost < n*45/1000 || lost > n*55/1000 || once < lost*9/10 {
		t.Errorf("of %d packets %d were late, %d by one wait", n, lost, once)
	}
	if late := (&link{loss: 1}).resends(luck, rtt); late <= resendMost || late > time.Minute {
		t.Errorf("where all is lost, late by %v", late)
	}
	if late := (&link{}).resends(luck, rtt); late != 0 {
		t.Errorf("where nothing is lost, late by %v", late)
	}
	var c nic
	if a, b := c.inOrder(1, l, 100*ms), c.inOrder(1, l, 50*ms); a != 100*ms || b != 100*ms {
		t.Errorf("copies come at %v and %v", a, b)
	}
}
