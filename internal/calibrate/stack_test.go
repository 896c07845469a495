package calibrate

import (
	"slices"
	"testing"
	"time"
)

// The figures that the simulator's network rests on, from the real stack without
// loss: a publication takes one latency a hop, a frame one, and one with a dial three
// and a half round trips (QUIC one, hello two more, then the frame).
func TestRealStack(t *testing.T) {
	const latency, slack = 25 * time.Millisecond, 2 * time.Millisecond
	s := scenario{peers: 12, degree: 8, from: latency, to: latency, length: 4 * time.Second, pace: 2 * time.Second, dials: 5}
	r, graph := onRealStack(t, s)
	speech, firsts := s.speech(), s.firsts(graph)
	publications := len(speech) / (1 + framesPerPace)
	if want := publications * (s.peers - 1); len(r.topic) != want {
		t.Errorf("%d arrivals of publications, want %d", len(r.topic), want)
	}
	if want := len(speech) - publications; len(r.warm) != want || len(r.answer) != want || len(r.first) != len(firsts) || len(firsts) == 0 {
		t.Errorf("%d frames, %d answers, %d frames with a dial; want %d, %d, %d", len(r.warm), len(r.answer), len(r.first), want, want, len(firsts))
	}
	within := func(what string, list []time.Duration, from, to time.Duration) {
		t.Helper()
		if least, most := slices.Min(list), slices.Max(list); least < from || most > to+slack {
			t.Errorf("%s: %v to %v, want %v to %v", what, least, most, from, to)
		}
	}
	within("publication", r.topic, latency, 4*latency)
	within("frame", r.warm, latency, latency)
	within("frame and answer", r.answer, 2*latency, 2*latency)
	within("frame with a dial", r.first, 7*latency, 7*latency)
}
