package p2p

import (
	"net"
	"sync/atomic"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	quicstack "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

// A ListenUDP opens a datagram socket, as net.ListenUDP does.
type ListenUDP func(network string, addr *net.UDPAddr) (net.PacketConn, error)

// transport returns QUIC over sockets of listen. It is libp2p's own but for those
// and for the choice of a source address, which would ask the system for its routes.
func (listen ListenUDP) transport() libp2p.Option {
	source := &ownSource{}
	sockets := func(
		reset quic.StatelessResetKey, token quic.TokenGeneratorKey, limits network.ResourceManager, life fx.Lifecycle,
	) (*quicreuse.ConnManager, error) {
		m, err := quicreuse.NewConnManager(reset, token,
			quicreuse.VerifySourceAddress(limits.VerifySourceAddress),
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return source, nil }),
			quicreuse.OverrideListenUDP(func(network string, addr *net.UDPAddr) (net.PacketConn, error) {
				source.ip.Store(&addr.IP)
				return listen(network, addr)
			}))
		if err == nil {
			life.Append(fx.StopHook(m.Close))
		}
		return m, err
	}
	return libp2p.ChainOptions(libp2p.QUICReuse(sockets), libp2p.Transport(quicstack.NewTransport))
}

// ownSource sends from the address that is listened on.
type ownSource struct{ ip atomic.Pointer[net.IP] }

// PreferredSourceIPForDestination returns the last address listened on.
func (s *ownSource) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return *s.ip.Load(), nil
}
