package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"

	"shoal/api"
	"shoal/daemon"
	"shoal/ledger/badger"
	"shoal/node"
	"shoal/p2p"
	"shoal/p2p/admit"
	"shoal/runtime/reach"
	"shoal/wire"
)

// A peer is a running daemon and what it is wired from.
type peer struct {
	cli   *cli
	o     *upOptions
	id    *identity
	log   *slog.Logger
	purge atomic.Bool

	detached  bool
	store     *badger.Store
	driver    driver
	host      *p2p.Host
	daemon    *daemon.Daemon
	reach     *reach.Reach
	recording io.Closer                 // nil: none
	described atomic.Pointer[described] // of the engine, once it has said so
	asking    atomic.Bool               // it is being asked
}

// openStore opens the ledger, which no other daemon may have open.
func (p *peer) openStore() (err error) {
	if p.log, err = logger(p.cli.err, p.o.logLevel); err != nil {
		return err
	}
	if text := p.o.state.setAside(); text != "" {
		p.log.Warn(text + "; give its flags again, then delete that file")
	}
	p.purge.Store(p.o.state.has(purgeFile))
	p.store, err = badger.Open(p.o.state.path("store"), badger.Options{Small: p.o.Profile == "small", Logger: p.log})
	return err
}

// run wires the daemon and runs it until it is told to end.
func (p *peer) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	collectMore(p.o.Profile)
	var err error
	if p.driver, err = p.chooseDriver(ctx, p.id.cert.Swarm.Short()); err != nil {
		return err
	}
	if err := p.startHost(ctx); err != nil {
		return err
	}
	// What was given once need not be given again, now that it is known to work.
	if err := p.o.state.saveSettings(p.o.settings); err != nil {
		return err
	}
	if p.daemon, err = p.newDaemon(ctx); err != nil {
		return err
	}
	server := p.server(stop)
	locals, err := listenUnix(p.cli.socket)
	if err != nil {
		return err
	}
	local, members := api.HTTP(server.Handler()), api.HTTP(server.PeerHandler())
	defer closeServers(local, members)
	fromPeers := newPeerListener()
	p.host.Handle(api.Proto, func(_ wire.PeerID, c net.Conn) { fromPeers.put(c) })
	go func() { _ = local.Serve(locals) }()
	go func() { _ = members.Serve(fromPeers) }()
	go p.tell(ctx)
	err = p.daemon.Run(ctx)
	_, _ = sdnotify.SdNotify(false, sdnotify.SdNotifyStopping)
	return p.ended(err)
}

func closeServers(servers ...*http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, s := range servers {
		if s.Shutdown(ctx) != nil { // a stream that goes on for ever
			_ = s.Close()
		}
	}
}

// ended says why the daemon ends, and notes that a peer is no member any more, or
// deletes its state if that was asked for.
func (p *peer) ended(err error) error {
	var halted *daemon.Halted
	switch {
	case err == nil:
		p.cli.progress("down; containers run on")
		return nil
	case !errors.As(err, &halted):
		return err
	}
	if p.purge.Load() {
		p.cli.progress("ended: %s", halted.Reason)
		p.close()
		return p.o.state.purge()
	}
	p.id.past = wasRemoved
	if halted.Reason == node.HaltLeft {
		p.id.past = hasLeft
	}
	if err := p.o.state.retire(p.id.past); err != nil {
		return err
	}
	if p.id.past == wasRemoved {
		return p.id.noMember()
	}
	p.cli.progress("ended: %v", p.id.noMember())
	return nil
}

// rootKey is the file with the swarm's root key; "" where there is none.
func (p *peer) rootKey() string {
	if !p.o.state.has("root.key") {
		return ""
	}
	return p.o.state.path("root.key")
}

// purgeFile is there while this peer leaves and its directory is to go with it: a restart
// goes on with both.
const purgeFile = "purge"

func (p *peer) setPurge(on bool) {
	had := p.purge.Swap(on)
	var err error
	switch {
	case on:
		err = p.o.state.write(purgeFile, nil)
	case had:
		err = os.Remove(p.o.state.path(purgeFile))
	}
	if err != nil {
		p.log.Warn("a restart will not know whether the state directory is to go", "err", err)
	}
}

// close ends what openStore and run began, in reverse; twice is once.
func (p *peer) close() {
	if p.recording != nil {
		_ = p.recording.Close()
		p.recording = nil
	}
	if p.reach != nil {
		p.reach.Close()
		p.reach = nil
	}
	if p.host != nil {
		_ = p.host.Close()
		p.host = nil
	}
	if p.driver != nil {
		_ = p.driver.Close()
		p.driver = nil
	}
	if p.store != nil {
		if err := p.store.Close(); err != nil {
			p.log.Warn("close the store", "err", err)
		}
		p.store = nil
	}
}

func (p *peer) startHost(ctx context.Context) error {
	bootstrap := p.o.Bootstrap
	if p.o.ticket != nil {
		for _, m := range p.o.ticket.Peers {
			for _, a := range m.Addrs {
				bootstrap = append(bootstrap, a+"/p2p/"+m.Peer.String())
			}
		}
	}
	var err error
	p.host, err = p2p.New(ctx, p2p.Config{
		Key: p.id.key, Swarm: p.id.cert.Swarm, Certificate: p.id.cert, Port: p.o.Port, Listen: p.o.listenAddrs(),
		Bootstrap: bootstrap, RememberFile: p.o.state.path("peers.json"), UsesFile: p.o.state.path("tickets.json"),
		Profile: p2p.Profile(p.o.Profile), MDNS: p.o.mdns(), NoRelay: p.o.NoRelay, DHT: true, Judge: daemon.JudgeGossip, Logger: p.log,
	})
	return err
}

// coreConfig is what the core is made with.
func (p *peer) coreConfig() node.Config {
	return node.Config{
		Self: p.id.peer(), Swarm: wire.Hash(p.id.cert.Swarm), Key: wire.Key(p.id.key), Verify: wire.VerifyEd25519,
		Seed: draw(), Nonce: draw(), Name: p.o.Name, Datacenter: p.o.Datacenter, Labels: p.o.Labels,
		Profile: p.o.Profile, Version: version, Addrs: p.host.Addrs(), Cert: p.id.cert.Encode(),
		Accept: p.o.policy(), Entitled: entitled(p.id.cert.Swarm), Founder: p.o.state.has("founding"), AcceptLoss: p.o.acceptLoss,
	}
}

// entitled judges certificates, as cards carry them, by the swarm's root. Expiry is
// judged when others admit: a peer's jobs outlive its certificate.
func entitled(swarm admit.SwarmID) func(wire.PeerID, []byte) bool {
	return func(by wire.PeerID, cert []byte) bool {
		c, err := admit.DecodeCertificate(cert)
		return err == nil && c.Peer == by && c.Rights.Has(admit.Deploy) && c.Verify(swarm, time.Time{}) == nil
	}
}

// draw returns chance for a core; no two starts may share it.
func draw() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it does not fail
	return binary.BigEndian.Uint64(b[:])
}

func (p *peer) server(stop func()) *api.Server {
	host := p.host
	return api.New(api.Config{
		Backend: p.daemon,
		Open:    func(ctx context.Context, to wire.PeerID) (net.Conn, error) { return host.Open(ctx, to, api.Proto) },
		Ticket:  p.ticket,
		Stop:    stop,
		Purge:   p.setPurge,
		RootKey: p.rootKey,
		MayAct: func(from wire.PeerID) bool {
			cert, ok := host.Certificate(from)
			return ok && cert.Rights.Has(admit.Deploy)
		},
		Version: version, StateDir: string(p.o.state), Address: p.address, Listen: host.Addrs,
		Links: func() map[string]api.Link { return linksOf(host.Peers()) },
		OtherVersions: func() []string {
			var out []string
			for id := range host.OtherVersions() {
				out = append(out, id.String())
			}
			return out
		},
		SteppedBack: func() time.Time { return p.daemon.Twin().SteppedBack },
		Problems:    problemsOf(p.reach), CheckStore: checkStore(p.store), Held: p.daemon.Held, Vitals: p.vitals, Log: p.log,
	})
}

// linksOf puts how members are reached into the words of the API.
func linksOf(peers []p2p.PeerInfo) map[string]api.Link {
	links := map[string]api.Link{}
	for _, p := range peers {
		l := api.Link{Path: string(p.Path), RTTMsec: math.Round(float64(p.RTT)/float64(10*time.Microsecond)) / 100}
		if len(p.Addrs) > 0 {
			l.Addr = p.Addrs[0]
		}
		if !p.Relay.IsZero() {
			l.Relay = p.Relay.String()
		}
		links[p.ID.String()] = l
	}
	return links
}

func (p *peer) ticket(_ context.Context, r api.TicketRequest) (api.Ticket, error) {
	rights := admit.Member
	if r.Run {
		rights = admit.Run
	}
	until := time.Now().Add(cmp.Or(time.Duration(r.TTL), 24*time.Hour))
	peers := p.host.TicketPeers()
	if r.Uses > 0 {
		// This one alone counts its uses.
		peers = slices.DeleteFunc(peers, func(a admit.PeerAddrs) bool { return a.Peer != p.host.ID() })
	}
	t, err := admit.Signer{Key: p.id.key, Certificate: &p.id.cert}.Invite(rights, until, r.Uses, peers)
	if err != nil {
		return api.Ticket{}, err
	}
	return api.Ticket{Ticket: t.String(), Rights: rights.String(), Uses: r.Uses, Expires: t.NotAfter}, nil
}

// address is the IP on which this peer's published ports answer: the one it listens
// on, else the best of its own.
func (p *peer) address() string {
	for _, a := range p.host.Addrs() {
		if parts := strings.Split(a, "/"); len(parts) > 2 && strings.HasPrefix(parts[1], "ip") {
			return parts[2]
		}
	}
	return "127.0.0.1"
}

// listenUnix listens on the socket, for its owner alone. A socket that a daemon left
// behind is replaced; nobody answers there, see nobodyAt.
func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("directory of the socket %s: %w; choose another with --socket", path, err)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		_ = os.Remove(path)
	}
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, fmt.Errorf("socket %s: %w; choose another with --socket", path, err)
	}
	return l, nil
}

// A peerListener gives an HTTP server the streams that members open.
type peerListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPeerListener() *peerListener {
	return &peerListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *peerListener) put(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		_ = c.Close()
	}
}

// Accept returns the next stream.
func (l *peerListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. The server calls it once.
func (l *peerListener) Close() error {
	close(l.done)
	return nil
}

// Addr names the protocol.
func (l *peerListener) Addr() net.Addr { return memberAddr{} }

type memberAddr struct{}

func (memberAddr) Network() string { return "shoal" }
func (memberAddr) String() string  { return api.Proto }
