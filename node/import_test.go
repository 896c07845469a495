package node

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

func keyOfSeed(b byte) wire.Key {
	return wire.Key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize)))
}

// solo is a core that founds a swarm, stepped by hand.
func solo(t *testing.T, seed byte, swarm string, founder bool) *Core {
	t.Helper()
	key := keyOfSeed(seed)
	c, err := New(Config{
		Self: key.Peer(), Swarm: wire.HashOf([]byte(swarm)), Key: key, Verify: wire.VerifyEd25519, Nonce: uint64(seed),
		Name: "n" + string('0'+rune(seed)), Founder: founder,
	}, Stored{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask steps a core until it answers, and returns whether that step's writes are synced.
func ask(t *testing.T, c *Core, r Request) (Reply, bool) {
	t.Helper()
	r.ID = c.nextID + 1000
	in := Input{Now: c.now.Add(time.Millisecond), Request: &r}
	for range 100 {
		rd, err := c.Step(in)
		if err != nil {
			t.Fatal(err)
		}
		if len(rd.Replies) > 0 {
			return rd.Replies[0], rd.MustSync()
		}
		in = Input{Now: c.now.Add(100 * time.Millisecond)}
	}
	t.Fatal("no answer")
	return Reply{}, false
}

func deployTo(t *testing.T, c *Core, image string) {
	t.Helper()
	spec := job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{Name: "web", Count: 1, Image: image}}}
	spec.Defaults()
	if rep, _ := ask(t, c, Request{Deploy: &Deploy{Spec: spec}}); rep.Err != "" {
		t.Fatal(rep.Err)
	}
}

// copied returns records as a file gives them: not opened, not verified.
func copied(t *testing.T, c *Core) []*wire.Record {
	t.Helper()
	var out []*wire.Record
	for _, r := range c.Ledger().Snapshot() {
		b, err := wire.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again := new(wire.Record)
		if err := wire.Unmarshal(b, again); err != nil {
			t.Fatal(err)
		}
		out = append(out, again)
	}
	return out
}

func all(n int, o ledger.Offered) []ledger.Offered { return slices.Repeat([]ledger.Offered{o}, n) }

func TestImport_TakesWhatIsNewAndAnswersAfterASync(t *testing.T) {
	from, to := solo(t, 1, "swarm", true), solo(t, 2, "swarm", true)
	deployTo(t, from, "img")
	recs := copied(t, from)
	for _, want := range []ledger.Offered{ledger.OfferedNew, ledger.OfferedKnown} {
		rep, synced := ask(t, to, Request{Import: &Import{Records: copied(t, from)}})
		if rep.Err != "" || !slices.Equal(rep.Imported, all(len(recs), want)) || !synced {
			t.Errorf("got %v %v synced %v, want all %v", rep.Err, rep.Imported, synced, want)
		}
	}
	if h := to.Ledger().Head("default/shop"); h == nil || h.Revision != 1 {
		t.Errorf("the job did not come: %+v", h)
	}
}

func TestImport_AnOldCopyChangesNothing(t *testing.T) {
	c := solo(t, 1, "swarm", true)
	deployTo(t, c, "old")
	old := copied(t, c)
	deployTo(t, c, "new")
	before := c.Ledger().Hash()
	rep, _ := ask(t, c, Request{Import: &Import{Records: old}})
	if rep.Err != "" || slices.Contains(rep.Imported, ledger.OfferedNew) || c.Ledger().Hash() != before {
		t.Errorf("after a deploy: %v %v", rep.Err, rep.Imported)
	}
	if rep, _ := ask(t, c, Request{Remove: &Remove{Job: "default/shop"}}); rep.Err != "" {
		t.Fatal(rep.Err)
	}
	before = c.Ledger().Hash()
	rep, _ = ask(t, c, Request{Import: &Import{Records: old}})
	if slices.Contains(rep.Imported, ledger.OfferedNew) || c.Ledger().Hash() != before || !c.Ledger().Head("default/shop").Deleted {
		t.Errorf("after a removal: %v", rep.Imported)
	}
	// A peer that has heard only of the removal takes the old head as history at most.
	late := solo(t, 3, "swarm", true)
	ask(t, late, Request{Import: &Import{Records: copied(t, c)}})
	ask(t, late, Request{Import: &Import{Records: old}})
	if !late.Ledger().Head("default/shop").Deleted {
		t.Error("a removed job came back from an old copy")
	}
}

func TestImport_RefusesWhatIsNotTheSwarms(t *testing.T) {
	from, foreign, to := solo(t, 1, "swarm", true), solo(t, 1, "other", true), solo(t, 2, "swarm", true)
	deployTo(t, from, "img")
	deployTo(t, foreign, "img")
	forged := copied(t, from)
	for _, r := range forged {
		r.Sig[3] ^= 1
	}
	broken := copied(t, from)[:1]
	broken[0].Body = []byte{0xff}
	ask(t, to, Request{Import: &Import{}}) // which makes it ready
	before := to.Ledger().Hash()
	for _, c := range []struct {
		name string
		recs []*wire.Record
		want ledger.Offered
	}{
		{"another swarm's", copied(t, foreign), ledger.OfferedForged},
		{"forged", forged, ledger.OfferedForged},
		{"broken", broken, ledger.OfferedMalformed},
		{"none", []*wire.Record{nil}, ledger.OfferedMalformed},
	} {
		rep, _ := ask(t, to, Request{Import: &Import{Records: c.recs}})
		if !slices.Equal(rep.Imported, all(len(c.recs), c.want)) || to.Ledger().Hash() != before {
			t.Errorf("%s: %v, want %v", c.name, rep.Imported, c.want)
		}
	}
	rep, _ := ask(t, to, Request{Import: &Import{Records: make([]*wire.Record, MaxImport+1)}})
	if rep.Code != CodeInvalid || !strings.Contains(rep.Err, "at most 256") {
		t.Errorf("too many: %+v", rep)
	}
	fresh := solo(t, 4, "swarm", false)
	if rep, _ := ask(t, fresh, Request{Import: &Import{Records: copied(t, from)}}); rep.Code != CodeNotReady {
		t.Errorf("a peer that does not know its incarnation took records: %+v", rep)
	}
}

func TestImportAtRest_MakesAStoreThatStartsAlone(t *testing.T) {
	from := solo(t, 1, "swarm", true)
	deployTo(t, from, "img")
	rest := solo(t, 2, "swarm", false)
	out, writes := rest.ImportAtRest(copied(t, from))
	writes = append(writes, rest.RestoreAtRest()...)
	stored := Stored{Locals: map[string][]byte{}}
	for _, w := range writes {
		switch {
		case w.Put != nil:
			stored.Records = append(stored.Records, w.Put)
		case w.Local != nil:
			stored.Locals[w.Local.Key] = w.Local.Value
		}
	}
	if slices.ContainsFunc(out, func(o ledger.Offered) bool { return o != ledger.OfferedNew }) || len(stored.Records) != len(out) {
		t.Fatalf("%v, %d records", out, len(stored.Records))
	}
	key := keyOfSeed(2)
	c, err := New(Config{Self: key.Peer(), Swarm: wire.HashOf([]byte("swarm")), Key: key, Verify: wire.VerifyEd25519, Nonce: 9, Name: "n2"}, stored)
	if err != nil {
		t.Fatal(err)
	}
	for at := clock.Instant(1); at < clock.Instant(30*time.Second); at = at.Add(100 * time.Millisecond) {
		if _, err := c.Step(Input{Now: at}); err != nil {
			t.Fatal(err)
		}
	}
	if c.State() != "ready" || c.Ledger().Head("default/shop") == nil {
		t.Errorf("state %s, head %v", c.State(), c.Ledger().Head("default/shop"))
	}
	if v := c.Records(0, func(r *wire.Record) bool { return r.Kind == wire.KindHead }); len(v) != 1 || v[0].Standing != ledger.Live {
		t.Errorf("listed %+v", v)
	}
}
