package p2p

import (
	"context"
	crand "crypto/rand"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"shoal/p2p/internal/codec"
)

const (
	probeProto   = "/shoal/probe/1"
	maxProbe     = 512 // bytes of a question or an answer
	maxSuffixes  = 4
	probeDial    = 3 * time.Second
	probeTimeout = probeDial + 2*time.Second
	probesAtOnce = 4
	maxVerdicts  = 64
	verdictFresh = 10 * time.Minute // then it is asked for again
	verdictLasts = 30 * time.Minute // then it is forgotten
)

// A question asks a member whether it could dial this peer: at the address it sees, on
// this peer's own ports. It tries from another port and under another identity, so
// that no hole made by what is connected already lets it in.
type question struct {
	Suffixes []string `cbor:"1,keyasint"` // of listen addresses: "/udp/7462/quic-v1", "/tcp/7462"
}

type answer struct {
	Busy    bool     `cbor:"1,keyasint,omitempty"` // ask another time
	Reached []string `cbor:"2,keyasint,omitempty"` // of the suffixes
}

// reachable is what this peer knows of whether others can dial it. It differs from
// place to place: what the same house reaches, a NAT or firewall may hide from others.
type reachable struct {
	mu       sync.Mutex
	verdicts map[vantage]verdict
	asking   chan struct{} // places for questions of others
}

// A vantage is from where this peer is seen, and as what.
type vantage struct {
	seen string       // IP
	from netip.Prefix // of the one who sees: /16, or /32 of IPv6
}

type verdict struct {
	at       time.Time
	asked    bool           // a member has tried; else it is concluded from a NAT
	ok       bool           // all ports were reached
	external []ma.Multiaddr // what was reached and is no address of this machine
}

func newReachable() *reachable {
	return &reachable{verdicts: map[vantage]verdict{}, asking: make(chan struct{}, probesAtOnce)}
}

// hidden reports whether somebody cannot dial this peer.
func (r *reachable) hidden() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.verdicts {
		if !v.ok {
			return true
		}
	}
	return false
}

// external lists addresses that lead here though no interface has them, such as a
// forwarded port's.
func (r *reachable) external() []ma.Multiaddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []ma.Multiaddr
	for _, v := range r.verdicts {
		for _, a := range v.external {
			if !slices.ContainsFunc(out, a.Equal) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, func(a, b ma.Multiaddr) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// due reports whether at is to be asked about, and forgets what is too old.
func (r *reachable) due(at vantage, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, v := range r.verdicts {
		if now.Sub(v.at) > verdictLasts {
			delete(r.verdicts, k)
		}
	}
	v, known := r.verdicts[at]
	return !known && len(r.verdicts) < maxVerdicts || known && (!v.asked || now.Sub(v.at) > verdictFresh)
}

func (r *reachable) set(at vantage, v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verdicts[at] = v
}

func (r *reachable) knows(at vantage) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.verdicts[at]
	return known
}

// translated notes that a NAT stands before at: until somebody has tried, nobody
// there is taken to reach this peer.
func (r *reachable) translated(at vantage, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.verdicts[at]; !known && len(r.verdicts) < maxVerdicts {
		r.verdicts[at] = verdict{at: now}
	}
}

// vantageOf returns from where the other end of c sees this peer; false if it has not
// said, or if both are on one machine.
func (h *Host) vantageOf(c network.Conn) (vantage, bool) {
	seen := h.paths.of(c).seen
	far := ipOf(c.RemoteMultiaddr())
	from, ok := networkOf(far)
	if seen == nil || !ok || ipOf(seen) == nil || ipOf(seen).IsLoopback() || far.IsLoopback() {
		return vantage{}, false
	}
	return vantage{ipOf(seen).String(), from}, true
}

// networkOf is the /16 of an address, or the /32 of one of IPv6.
func networkOf(ip net.IP) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Prefix{}, false
	}
	bits := 16
	if addr = addr.Unmap(); addr.Is6() {
		bits = 32
	}
	n, err := addr.Prefix(bits)
	return n, err == nil
}

// keepProbing asks about each vantage once, and again when the answer has aged.
func (h *Host) keepProbing() {
	for {
		for h.ctx.Err() == nil && h.probeOne() {
			h.relaying.look()
		}
		select {
		case <-time.After(h.limits.relayCheck + rand.N(h.limits.relayCheck)):
		case <-h.ctx.Done():
			return
		}
	}
}

// dialled lists the direct connections this peer opened to members, with the vantage
// of each.
func (h *Host) dialled() map[network.Conn]vantage {
	out := map[network.Conn]vantage{}
	for _, c := range h.host.Network().Conns() {
		if c.Stat().Direction != network.DirOutbound || isRelayed(c.RemoteMultiaddr()) || !h.gate.isAdmitted(c.RemotePeer()) {
			continue
		}
		if at, ok := h.vantageOf(c); ok && !h.paths.of(c).punched {
			out[c] = at
		}
	}
	return out
}

// noteNATs takes whoever sees this peer as another address than it has to be unable
// to dial it, until somebody has tried.
func (h *Host) noteNATs() {
	for _, at := range h.dialled() {
		if !h.reachable.knows(at) && !h.isOwnIP(at.seen) {
			h.reachable.translated(at, time.Now())
		}
	}
}

// probeOne asks about one vantage of which nobody was asked, or not lately. It
// reports whether it learned something.
func (h *Host) probeOne() bool {
	for c, at := range h.dialled() {
		if h.reachable.due(at, time.Now()) && h.askProbe(c, at) {
			return true
		}
	}
	return false
}

// isOwnIP reports whether ip is of an interface of this machine.
func (h *Host) isOwnIP(ip string) bool {
	addrs, _ := h.host.Network().InterfaceListenAddresses()
	return slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool { return ipOf(a).String() == ip })
}

// askProbe has the other end of c try to dial this peer; false if it did not.
func (h *Host) askProbe(c network.Conn, at vantage) bool {
	suffixes := h.suffixes(net.ParseIP(at.seen))
	reply, err := h.askProbeOn(c, suffixes)
	switch {
	case errors.Is(err, errSilent), reply.Busy:
		return false
	case err != nil: // it knows no probes: believe the NAT, and else the best
		h.reachable.set(at, verdict{at: time.Now(), asked: true, ok: h.isOwnIP(at.seen)})
		return true
	}
	v := verdict{at: time.Now(), asked: true, ok: len(suffixes) > 0}
	for _, s := range suffixes {
		if !slices.Contains(reply.Reached, s) {
			v.ok = false
		} else if a, err := addrAt(net.ParseIP(at.seen), s); err == nil && !h.isOwnIP(at.seen) {
			v.external = append(v.external, a)
		}
	}
	h.log.Debug("asked whether this peer can be dialled", "of", c.RemotePeer(), "seen", at.seen, "reached", reply.Reached)
	h.reachable.set(at, v)
	return true
}

func (h *Host) askProbeOn(c network.Conn, suffixes []string) (reply answer, err error) {
	ctx, cancel := h.within(probeTimeout)
	defer cancel()
	s, err := openOn(ctx, c, probeProto)
	if isTimeout(err) || c.IsClosed() {
		return reply, errSilent
	} else if err != nil {
		return reply, err
	}
	defer s.Reset()
	if err := writeFrame(s, codec.Marshal(question{suffixes})); err != nil {
		return reply, errSilent
	}
	b, err := readFrame(s, maxProbe)
	if err != nil {
		return reply, errSilent
	}
	return reply, codec.Unmarshal(b, maxProbe, &reply)
}

// suffixes lists the ports this peer listens on, for the family of ip.
func (h *Host) suffixes(ip net.IP) []string {
	var out []string
	for _, a := range h.host.Network().ListenAddresses() {
		if isRelayed(a) || len(a) < 2 || (a[0].Protocol().Code == ma.P_IP6) != (ip.To4() == nil) {
			continue
		}
		if s := a[1:].String(); len(out) < maxSuffixes && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

var errNoSuffix = errors.New("want /tcp/PORT or /udp/PORT/quic-v1")

// addrAt puts a suffix after ip, if it is of the two forms there are.
func addrAt(ip net.IP, suffix string) (ma.Multiaddr, error) {
	head, err := manet.FromIP(ip)
	if err != nil {
		return nil, err
	}
	tail, err := ma.NewMultiaddr(suffix)
	if err != nil {
		return nil, err
	}
	var codes []int
	for _, p := range tail.Protocols() {
		codes = append(codes, p.Code)
	}
	if !slices.Equal(codes, []int{ma.P_TCP}) && !slices.Equal(codes, []int{ma.P_UDP, ma.P_QUIC_V1}) {
		return nil, errNoSuffix
	}
	return head.Encapsulate(tail), nil
}

// hearProbe tries to dial a member that asks for it, at the address it comes from and
// nowhere else: nobody can be made to knock at a third party's door.
func (h *Host) hearProbe(s network.Stream) {
	defer s.Close()
	s.SetDeadline(time.Now().Add(probeTimeout))
	b, err := readFrame(s, maxProbe)
	var q question
	if err == nil {
		err = codec.Unmarshal(b, maxProbe, &q)
	}
	if err != nil || len(q.Suffixes) > maxSuffixes || isRelayed(s.Conn().RemoteMultiaddr()) {
		h.refuse(s.Conn().RemotePeer(), err)
		s.Reset()
		return
	}
	select {
	case h.reachable.asking <- struct{}{}:
		defer func() { <-h.reachable.asking }()
	default:
		_ = writeFrame(s, codec.Marshal(answer{Busy: true}))
		return
	}
	_ = writeFrame(s, codec.Marshal(answer{Reached: h.tryAll(s.Conn(), q.Suffixes)}))
}

// tryAll returns the suffixes on which the other end of c answers a stranger, who it
// proves to be.
func (h *Host) tryAll(c network.Conn, suffixes []string) []string {
	ctx, cancel := h.within(probeDial)
	defer cancel()
	reached := make([]bool, len(suffixes))
	var wg sync.WaitGroup
	for i, suffix := range suffixes {
		a, err := addrAt(ipOf(c.RemoteMultiaddr()), suffix)
		if err != nil {
			continue
		}
		wg.Go(func() {
			err := h.knock(ctx, peer.AddrInfo{ID: c.RemotePeer(), Addrs: []ma.Multiaddr{a}})
			reached[i] = err == nil
		})
	}
	wg.Wait()
	var out []string
	for i, s := range suffixes {
		if reached[i] {
			out = append(out, s)
		}
	}
	return out
}

// knock dials p as nobody in particular, from a port of its own.
func (h *Host) knock(ctx context.Context, p peer.AddrInfo) error {
	key, _, err := crypto.GenerateEd25519Key(crand.Reader)
	if err != nil {
		return err
	}
	prober, err := libp2p.New(
		libp2p.Identity(key), libp2p.NoListenAddrs, transports(h.cfg.Sockets), libp2p.Security(libp2ptls.ID, libp2ptls.New),
		muxer(0), libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableRelay(), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.Ping(false), libp2p.WithDialTimeout(probeDial),
		libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil),
	)
	if err != nil {
		return err
	}
	defer prober.Close()
	prober.Peerstore().AddAddrs(p.ID, p.Addrs, probeTimeout)
	_, err = prober.Network().DialPeer(ctx, p.ID)
	return err
}
