package runtime

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/job"
	"shoal/wire"
)

func TestName(t *testing.T) {
	ref := Ref{Swarm: "k7m2", Peer: wire.PeerID{1}, Slot: job.SlotID{Job: "default/shop", Task: "web", Index: 2}, Life: 1, Token: 3}
	if got, want := Name(ref), "shoal-k7m2-shop-web-2-1-3-"+ref.Spec.String()+"-"+ref.Peer.Short(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := VolumeName("k7m2", "default/shop", "db", 0), "shoal-k7m2-shop-db-0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// part draws names from few letters, so that joined they would collide.
func part(label string) func(*rapid.T) string {
	return func(t *rapid.T) string { return rapid.StringMatching("a|b|a-b|a-|a[.]b|-a|a{63}|a@:/").Draw(t, label) }
}

func drawRef(t *rapid.T, label string) Ref {
	at := ""
	if rapid.Bool().Draw(t, label+" placed") {
		at = rapid.SampledFrom([]string{"2026-11-21T02:00Z", "12D3KooW", "0", "1"}).Draw(t, label+" at")
	}
	return Ref{
		Swarm: part("swarm")(t), Peer: wire.PeerID{rapid.Byte().Draw(t, label+" peer") % 2},
		Slot:  job.SlotID{Job: job.ID(part("ns")(t) + "/" + part("job")(t)), Task: part("task")(t), Index: rapid.IntRange(0, 2).Draw(t, "index"), At: at},
		Life:  rapid.Uint64Range(0, 2).Draw(t, "life"),
		Token: wire.Token(rapid.SampledFrom([]uint64{0, 1, math.MaxUint64}).Draw(t, "token")),
	}
}

var engineSafe = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// Two claims never share a container, whatever their names, and every name is one
// that engines take. Each spec of a claim has a container of its own.
func TestNameIsOnePerClaim(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawRef(t, "a"), drawRef(t, "b")
		for _, name := range []string{Name(a), VolumeName(a.Swarm, a.Slot.Job, a.Slot.Task, 0), NetworkName(a.Swarm, a.Peer, a.Slot.Job)} {
			if !engineSafe.MatchString(name) || len(name) > MaxContainerName {
				t.Fatalf("name %q of %d bytes", name, len(name))
			}
		}
		if a != b && Name(a) == Name(b) {
			t.Fatalf("%+v and %+v are both %s", a, b, Name(a))
		}
		b = a
		b.Spec = wire.Hash{1}
		if Name(a) == Name(b) {
			t.Fatal("two specs of a claim share a container")
		}
	})
}

func TestLabelsRoundTrip(t *testing.T) {
	ref := Ref{
		Swarm: "k7m2", Peer: wire.PeerID{1}, Life: math.MaxUint64, Token: math.MaxUint64, Spec: wire.HashOf(nil),
		Slot: job.SlotID{Job: "prod/shop", Task: "backup", At: "2026-11-21T02:00Z"},
	}
	got, err := ParseLabels(Labels(ref))
	if err != nil || got != ref {
		t.Fatalf("got %+v, %v", got, err)
	}
	for label := range Labels(ref) {
		if label == LabelSwarm || label == LabelAt {
			continue
		}
		l := Labels(ref)
		l[label] = "?!"
		got, err := ParseLabels(l)
		if err == nil || !strings.Contains(err.Error(), label) {
			t.Errorf("bad %s: %v", label, err)
		}
		if got.Life != 0 || got.Slot != (job.SlotID{}) {
			t.Errorf("bad %s: half a reference %+v", label, got)
		}
	}
}

func TestEnv(t *testing.T) {
	ref := Ref{Slot: job.SlotID{Job: "default/shop", Task: "web", Index: 1}, Token: 7}
	env := Env(ref, map[string]string{"A": "b=c", "SHOAL_TOKEN": "1"})
	for _, want := range []string{"A=b=c", "SHOAL_TOKEN=7", "SHOAL_SLOT=shop/web.1"} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %v", want, env)
		}
	}
	if !slices.IsSorted(env) {
		t.Errorf("not sorted: %v", env)
	}
}

func TestLogLine(t *testing.T) {
	want := LogLine{Stream: Stderr, Time: "2026-11-21T09:30:00.1Z", Text: "a  b "}
	if got, err := ParseLogLine(want.String() + "\n"); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	empty := LogLine{Stream: Stdout, Time: "t"}
	if got, err := ParseLogLine(empty.String()); err != nil || got != empty {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "o", "o t", "x t text", "oe t text"} {
		if _, err := ParseLogLine(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
