package p2p

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"shoal/p2p/admit"
	"shoal/wire"
)

const (
	// DefaultPort is where a peer listens, UDP (QUIC) and TCP alike: S-H-O-A on a
	// telephone's keys.
	DefaultPort = 7462

	// MaxFrame is the longest frame Send takes, in bytes.
	MaxFrame = 4 << 20

	// MaxGossip is the longest payload Publish takes, in bytes.
	MaxGossip = 64 << 10

	helloTimeout = 5 * time.Second  // a connection's time to show a certificate
	joinTimeout  = 10 * time.Second // one whole joining, hook included
	dialTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second // one write of frames to a peer that does not read
)

// Config says who this peer is and how it reaches others. Key, Swarm and
// Certificate are required; every other zero value means what its comment says.
type Config struct {
	Key         ed25519.PrivateKey // this peer's identity
	Swarm       admit.SwarmID
	Certificate admit.Certificate // this peer's membership in Swarm

	// Port is the one port for QUIC and TCP on all addresses; 0 means DefaultPort.
	// Listen, if set, replaces it: multiaddrs, as "/ip4/127.0.0.1/tcp/0".
	Port   int
	Listen []string

	// Sockets, if set, opens what QUIC sends and receives on, in place of the system's
	// sockets; there is no TCP then, and Listen must name /udp/…/quic-v1 alone. It is
	// for running the whole stack over a network inside the process.
	Sockets ListenUDP

	// Bootstrap are multiaddrs that end in /p2p/ID, dialled until somebody answers.
	Bootstrap []string

	// RememberFile keeps members' addresses over restarts, at most 256 peers, 8
	// addresses each; it is replaced as a whole. Empty: nothing is remembered.
	RememberFile string

	// UsesFile counts uses of tickets over restarts; a use is synced there before a
	// certificate is given for it. Empty: uses are forgotten with the process.
	UsesFile string

	Profile Profile // "" means ProfileLAN

	// NoRelay keeps this peer from carrying connections of other members. It may still
	// be reached through theirs. Flat forgoes all of it, as ProfileSmall does: no relays,
	// no hole punching, no asking whether others can dial this peer.
	NoRelay bool
	Flat    bool

	MDNS bool // announce this peer on the local network, and dial members heard there
	DHT  bool // find members' addresses by the swarm's own DHT

	// IsRevoked says who was removed from the swarm; nil: nobody. It is asked on
	// each connection and must not block. See Host.Recheck.
	IsRevoked func(wire.PeerID) bool

	// OnJoin is asked before a ticket becomes a certificate: count the use, make it
	// durable, or refuse with an error (admit.ErrUsedUp). The same peer may ask again
	// with the same ticket and must then be let in without another use. nil: uses
	// are counted in UsesFile. It has 5 s.
	OnJoin func(JoinRequest) error

	// Judge says what to do with a publication before it is passed on or told, and with
	// wire.Reject why. It must be quick, and the same at every member, or one that
	// passes on what another rejects is held to blame. nil: all are passed on.
	Judge func(topic string, b []byte) (wire.Judgement, wire.Fault)

	Logger *slog.Logger // nil: silent
}

// A JoinRequest is a peer that showed a good ticket, and what it would be given.
type JoinRequest struct {
	Ticket      admit.TicketID
	MaxUses     int       // 0 means no bound
	NotAfter    time.Time // zero means never
	Peer        wire.PeerID
	Certificate admit.Certificate
}

func (c *Config) check() error {
	if len(c.Key) != ed25519.PrivateKeySize {
		return fmt.Errorf("peer key of %d bytes, want %d", len(c.Key), ed25519.PrivateKeySize)
	}
	if self := idOf(c.Key); c.Certificate.Peer != self {
		return fmt.Errorf("certificate is peer %s's, this peer is %s", c.Certificate.Peer.Short(), self.Short())
	}
	// A certificate that has expired is for others to judge: this peer goes on.
	if err := c.Certificate.Verify(c.Swarm, time.Time{}); err != nil {
		return fmt.Errorf("own certificate: %w", err)
	}
	if _, ok := profiles[c.Profile.orDefault()]; !ok {
		return fmt.Errorf("profile %q is not one of lan, metered, small (--profile)", c.Profile)
	}
	if c.Port < 0 || c.Port > 65535 {
		return fmt.Errorf("port %d is not between 1 and 65535 (--port)", c.Port)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// listenAddrs returns the addresses to listen on, QUIC first.
func (c *Config) listenAddrs() ([]ma.Multiaddr, error) {
	texts := c.Listen
	if len(texts) == 0 {
		port := c.Port
		if port == 0 {
			port = DefaultPort
		}
		for _, f := range []string{"/ip4/0.0.0.0/udp/%d/quic-v1", "/ip4/0.0.0.0/tcp/%d", "/ip6/::/udp/%d/quic-v1", "/ip6/::/tcp/%d"} {
			texts = append(texts, fmt.Sprintf(f, port))
		}
	}
	var addrs []ma.Multiaddr
	for _, t := range texts {
		a, err := ma.NewMultiaddr(t)
		if err != nil {
			return nil, fmt.Errorf("listen address %q: %w; write for instance /ip4/0.0.0.0/tcp/%d", t, err, DefaultPort)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// CheckListen reports why a peer could not listen there; port and listen are those of
// Config. A nil error is no promise: another program may be faster.
func CheckListen(port int, listen []string) error {
	addrs, err := (&Config{Port: port, Listen: listen}).listenAddrs()
	if err != nil {
		return err
	}
	return probe(addrs)
}

// CheckBootstrap reports what is wrong with addresses that are to be Config.Bootstrap.
func CheckBootstrap(texts []string) error {
	_, err := parseBootstrap(texts)
	return err
}

// probe opens and closes each address, because libp2p is content if any one of them
// works, and shares a port with another program where the system lets it. IPv6 may
// be missing; nothing else may.
func probe(addrs []ma.Multiaddr) error {
	for _, a := range addrs {
		network, host, err := manet.DialArgs(onlyIPAndPort(a))
		if err != nil {
			return fmt.Errorf("listen address %s: %w", a, err)
		}
		if err := tryListen(network, host); err != nil {
			_, port, _ := net.SplitHostPort(host)
			switch v6 := isIP6(a); {
			case errors.Is(err, syscall.EADDRINUSE):
				return fmt.Errorf("port %s (%s) is in use by another program; stop it or choose another port with --port", port, network[:3])
			case errors.Is(err, syscall.EACCES):
				return fmt.Errorf("port %s (%s) needs more privileges than this user has; choose one above 1023 with --port", port, network[:3])
			case !v6:
				return fmt.Errorf("listen on %s: %w", a, err)
			}
		}
	}
	return nil
}

func tryListen(network, host string) error {
	if network[:3] == "tcp" {
		l, err := net.Listen(network, host)
		if err != nil {
			return err
		}
		return l.Close()
	}
	l, err := net.ListenPacket(network, host)
	if err != nil {
		return err
	}
	return l.Close()
}

func isIP6(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_IP6)
	return err == nil
}

// onlyIPAndPort cuts what follows the port, such as quic-v1.
func onlyIPAndPort(a ma.Multiaddr) ma.Multiaddr {
	head, _ := ma.SplitFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_QUIC_V1 })
	return head
}
