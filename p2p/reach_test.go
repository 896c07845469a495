package p2p

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Two members on one machine: what is listened on answers, both count the connection,
// and each speaks all that the other does.
func TestHost_TellsHowItIsReached(t *testing.T) {
	s := newSwarm(t)
	a := s.peer(t)
	b := s.peer(t, a)
	eventually(t, "they are connected", connectedTo(a, b))
	if bound := a.Bound(); len(bound) != 2 || a.Answers(t.Context()) != nil {
		t.Errorf("bound to %v: %v", bound, a.Answers(t.Context()))
	}
	if c := a.Conns(); c.Open < 1 || c.High != profiles[ProfileLAN].high || c.Max < c.High {
		t.Errorf("%+v", c)
	}
	eventually(t, "b has said what it speaks", func() bool {
		all, err := a.host.Peerstore().GetProtocols(toPeerID(b.ID()))
		return err == nil && len(all) > 0
	})
	if lacks := a.Lacks(); len(lacks) != 0 {
		t.Errorf("%v", lacks)
	}
	if err := a.host.Peerstore().RemoveProtocols(toPeerID(b.ID()), aliveProto); err != nil {
		t.Fatal(err)
	}
	if lacks := a.Lacks()[b.ID()]; !slices.Equal(lacks, []string{aliveProto}) {
		t.Errorf("%v", lacks)
	}
}

// Networks that tried to dial this peer are counted apart from those of which only a
// NAT is known.
func TestReach_CountsVerdicts(t *testing.T) {
	a := newSwarm(t).peer(t)
	if r := a.Reach(); !r.Tries || r.Asked != 0 || r.NAT || !r.Carries {
		t.Errorf("%+v", r)
	}
	now := time.Now()
	own, far := netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("198.51.0.0/16")
	a.reachable.set(vantage{"127.0.0.1", own}, verdict{at: now, asked: true, ok: true})
	if r := a.Reach(); r.Asked != 1 || r.Reached != 1 || r.NAT || r.Hidden {
		t.Errorf("%+v", r)
	}
	a.reachable.translated(vantage{"203.0.113.9", far}, now)
	if r := a.Reach(); r.Asked != 1 || !r.NAT || !r.Hidden {
		t.Errorf("%+v", r)
	}
	a.reachable.set(vantage{"203.0.113.9", far}, verdict{at: now, asked: true})
	if r := a.Reach(); r.Asked != 2 || r.Reached != 1 || len(r.Relays) != 0 {
		t.Errorf("%+v", r)
	}
}
