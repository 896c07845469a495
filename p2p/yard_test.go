package p2p

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A yard is a network in this process where some hosts stand behind a firewall: real
// sockets on an address that is not loopback, and before each host a gate that drops
// what the firewall would.
type yard struct {
	t  *testing.T
	ip string
	s  testSwarm

	mu      sync.Mutex
	owner   map[string]*plot // by "IP:port"
	severed map[[2]*plot]bool
}

// A plot is where one host stands.
type plot struct {
	yard   *yard
	hidden bool        // drops what comes from where nothing was sent to
	dead   atomic.Bool // drops everything, either way: the machine lost its power
}

func newYard(t *testing.T) *yard {
	return &yard{t: t, ip: ownIP(t), s: newSwarm(t), owner: map[string]*plot{}, severed: map[[2]*plot]bool{}}
}

// host starts a member there.
func (y *yard) host(hidden bool, bootstrap ...*Host) (*Host, *plot) {
	y.t.Helper()
	p := &plot{yard: y, hidden: hidden}
	return start(y.t, y.config(p, bootstrap...)), p
}

func (y *yard) config(p *plot, bootstrap ...*Host) Config {
	cfg := y.s.config(y.t, newKey(y.t))
	cfg.Listen = []string{"/ip4/" + y.ip + "/udp/0/quic-v1"}
	cfg.Sockets = p.listen
	for _, b := range bootstrap {
		cfg.Bootstrap = append(cfg.Bootstrap, b.Addrs()[0])
	}
	return cfg
}

// sever lets nothing pass between two plots, so that no hole can be made.
func (y *yard) sever(a, b *plot) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.severed[[2]*plot{a, b}], y.severed[[2]*plot{b, a}] = true, true
}

func (p *plot) listen(network string, addr *net.UDPAddr) (net.PacketConn, error) {
	c, err := net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	own := *c.LocalAddr().(*net.UDPAddr)
	own.IP = net.ParseIP(p.yard.ip)
	p.yard.mu.Lock()
	p.yard.owner[own.String()] = p
	p.yard.mu.Unlock()
	return &fenced{UDPConn: c, plot: p, sent: map[string]bool{}}, nil
}

// fenced is a socket behind its plot's firewall.
type fenced struct {
	*net.UDPConn

	plot *plot
	mu   sync.Mutex
	sent map[string]bool // where something went from this socket
}

func (f *fenced) WriteTo(b []byte, to net.Addr) (int, error) {
	f.mu.Lock()
	f.sent[to.String()] = true
	f.mu.Unlock()
	if !f.passes(to) {
		return len(b), nil
	}
	return f.UDPConn.WriteTo(b, to)
}

func (f *fenced) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := f.UDPConn.ReadFrom(b)
		if err != nil {
			return n, from, err
		}
		f.mu.Lock()
		known := f.sent[from.String()]
		f.mu.Unlock()
		if f.passes(from) && (known || !f.plot.hidden) {
			return n, from, nil
		}
	}
}

func (f *fenced) passes(other net.Addr) bool {
	y := f.plot.yard
	y.mu.Lock()
	defer y.mu.Unlock()
	far := y.owner[other.String()]
	return !f.plot.dead.Load() && (far == nil || !far.dead.Load() && !y.severed[[2]*plot{f.plot, far}])
}

// SyscallConn hides the real one: with it the library would read past the fence.
func (f *fenced) SyscallConn() {}

// since fails the test if what began then took longer than limit.
func (y *yard) since(began time.Time, limit time.Duration, what string) {
	y.t.Helper()
	y.between(began, time.Now(), limit, what)
}

func (y *yard) between(began, ended time.Time, limit time.Duration, what string) {
	y.t.Helper()
	took := ended.Sub(began).Round(10 * time.Millisecond)
	y.t.Logf("%s: %s", what, took)
	if took > limit {
		y.t.Errorf("%s took %s, at most %s are bearable", what, took, limit)
	}
}

// outsiderAt is a bare libp2p host connected to h, and a way to have h carry it on.
func outsiderAt(t *testing.T, y *yard, h *Host) (host.Host, func(context.Context, *Host) error) {
	t.Helper()
	p := &plot{yard: y}
	opts, err := options(Config{Key: newKey(t), Sockets: p.listen}, profiles[ProfileLAN], nil, ownAddrs)
	if err != nil {
		t.Fatal(err)
	}
	o, err := libp2p.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	if err := o.Connect(context.Background(), peer.AddrInfo{ID: toPeerID(h.self), Addrs: h.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	return o, func(ctx context.Context, to *Host) error {
		_, relayed := splitRelayed(to.host.Addrs())
		return o.Connect(ctx, peer.AddrInfo{ID: toPeerID(to.self), Addrs: relayed})
	}
}
