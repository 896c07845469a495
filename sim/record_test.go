package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const recorded = `peers 6 cpu=2000m mem=4GiB
run 90s seed=5
at 1s  submit web replicas=4
at 20s crash n2 for=30s
at 40s cut n5|rest for=20s
at 50s net loss=5%
at 70s net loss=0%
at 60s hang engine n3 for=5s
`

func record(t *testing.T, on bool) Result {
	t.Helper()
	s, err := Parse(strings.NewReader(recorded), "recorded")
	if err != nil {
		t.Fatal(err)
	}
	res := Run(s, Options{Record: on})
	if res.Failure != nil {
		t.Fatal(res.Failure)
	}
	return res
}

// A recording changes nothing of the run, and equal runs have equal recordings.
func TestRecording_IsOfTheSameRun(t *testing.T) {
	without, a, b := record(t, false), record(t, true), record(t, true)
	if without.Recording != nil || without.Hash != a.Hash {
		t.Fatalf("trace %s without a recording, %s with one", without.Hash, a.Hash)
	}
	if !reflect.DeepEqual(a.Recording, b.Recording) {
		t.Fatal("two equal runs are recorded differently")
	}
}

func TestRecording_ShowsWhatHappened(t *testing.T) {
	rec := record(t, true).Recording
	if len(rec.Peers) != 6 || len(rec.Placed) != 4 {
		t.Fatalf("%d peers, %d placements", len(rec.Peers), len(rec.Placed))
	}
	found := map[string]FaultSpan{}
	for _, f := range rec.Faults {
		found[f.Kind] = f
	}
	for kind, want := range map[string]FaultSpan{
		"off":     {Peer: 1, From: 20 * time.Second, To: 50 * time.Second},
		"cut":     {Peer: 4, From: 40 * time.Second, To: 60 * time.Second},
		"engine":  {Peer: 2, From: 60 * time.Second, To: 65 * time.Second},
		"weather": {Peer: -1, From: 50 * time.Second, To: 70 * time.Second},
	} {
		if f := found[kind]; f.Peer != want.Peer || f.From != want.From || f.To != want.To || f.Open {
			t.Errorf("%s: %+v", kind, f)
		}
	}
	for _, h := range rec.FailedOver {
		if h.Took < 7*time.Second || h.Took > 60*time.Second || h.From == h.To {
			t.Errorf("%+v", h)
		}
	}
	if len(rec.FailedOver) == 0 || len(rec.Diagram.Arrows) < 4 {
		t.Fatalf("%d fail-overs, %d arrows", len(rec.FailedOver), len(rec.Diagram.Arrows))
	}
	last := rec.Samples[len(rec.Samples)-1]
	if len(rec.Samples) < 90 || last.Same != 6 || last.Running != 4 || last.Bytes == 0 {
		t.Errorf("%d samples, the last %+v", len(rec.Samples), last)
	}
}

func TestRecorder_HalvesItsSamples(t *testing.T) {
	r := newRecorder(newWorld(1, nil))
	for range maxSamples*2 + 100 {
		r.sample.Messages++
		r.second()
	}
	sum := r.sample.Messages
	for _, s := range r.out.Samples {
		sum += s.Messages
	}
	if len(r.out.Samples) > maxSamples || r.out.Step != 4*time.Second || sum != maxSamples*2+100 {
		t.Errorf("%d samples of %v with %d messages", len(r.out.Samples), r.out.Step, sum)
	}
}

// What befalls links and images stands in the lane of the network until it ends, and a
// line that ends something is not counted as harm.
func TestRecording_ShowsLinksAndImages(t *testing.T) {
	const text = `net delay=1ms..5ms
peers 5 datacenter=home
link n4|n5 delay=20ms
run 90s
at 1s submit web
at 10s lose nginx for=20s
at 20s link n1|rest delay=200ms
at 40s link n1|rest delay=1ms..5ms
at 50s link n1>n3 loss=20%
at 55s link n1>n3 loss=0% delay=2ms..20ms bandwidth=100Mbit
at 60s link n2|n4..n5 loss=10%
at 70s link n2|n4..n5 loss=0%
at 70s link n4|n5 delay=20ms
at 80s link n3|n4 loss=5%
at 85s drain n1
at 86s drain n1 undo
`
	res := Run(parseText(t, text), Options{Record: true})
	if res.Failure != nil {
		t.Fatal(res.Failure)
	}
	var got []string
	for _, f := range res.Recording.Faults {
		got = append(got, fmt.Sprintf("%d %s %v-%v %s", f.Peer, f.Kind, f.From, f.To, f.Text))
	}
	want := []string{
		"-1 image 10s-30s lose nginx for=20s",
		"-1 link 20s-40s link n1|rest delay=200ms",
		"-1 link 50s-55s link n1>n3 loss=20%",
		"-1 link 1m0s-1m10s link n2|n4..n5 loss=10%",
		"-1 link 1m20s-1m30s link n3|n4 loss=5%",
	}
	if !slices.Equal(got, want) || res.Recording.Harms != 5 {
		t.Errorf("%d harms, want 5; faults:\n%s", res.Recording.Harms, strings.Join(got, "\n"))
	}
}
