package p2p

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
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

// A small peer finds nothing out, but hellos tell it that a NAT stands before it; it
// says so once in its log.
func TestReach_SmallLearnsOfItsNATFromHellos(t *testing.T) {
	y := newYard(t)
	far, _ := y.host(false)
	var said locked
	cfg := y.config(&plot{yard: y}, far)
	cfg.Profile = ProfileSmall
	cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	small := start(t, cfg)
	eventually(t, "they meet", connectedTo(small, far))
	c := small.directConn(toPeerID(far.self))
	if small.warnBehindNAT(c); small.Reach().NAT || said.has("NAT") {
		t.Errorf("%+v without a NAT", small.Reach())
	}
	small.paths.admitted(c, guest{seen: ma.StringCast("/ip4/203.0.113.5/udp/4001/quic-v1")})
	small.warnBehindNAT(c)
	if r := small.Reach(); !r.NAT || r.Dialled || r.Tries || !slices.Equal(r.Seen, []string{"203.0.113.5"}) {
		t.Errorf("%+v", r)
	}
	if small.warnBehindNAT(c); said.count("behind a NAT") != 1 {
		t.Errorf("said %d times", said.count("behind a NAT"))
	}
}
