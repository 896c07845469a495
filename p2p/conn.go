package p2p

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"shoal/wire"
)

const (
	streamProto   = "/shoal/stream/1"
	maxProtoName  = 64
	maxRefusal    = 256
	streamTimeout = 5 * time.Second // to agree on a protocol
)

// Handle answers connections that members Open for proto, such as "api/1". fn runs
// in a goroutine of its own and owns c. It replaces an earlier fn; nil ends it.
// Names are agreed inside one libp2p protocol, so that a late Handle tells nobody
// and needs nobody's attention.
func (h *Host) Handle(proto string, fn func(from wire.PeerID, c net.Conn)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if fn == nil {
		delete(h.handlers, proto)
		return
	}
	h.handlers[proto] = fn
}

// Open connects to what the member to handles under proto. It dials if needed; the
// error says whether the peer is out of reach or does not speak proto. ctx bounds
// the opening alone.
func (h *Host) Open(ctx context.Context, to wire.PeerID, proto string) (net.Conn, error) {
	if err := h.connect(ctx, to); err != nil {
		return nil, fmt.Errorf("reach peer %s: %w", to.Short(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	s, err := h.members.NewStream(network.WithNoDial(ctx, "connected"), toPeerID(to), streamProto)
	if err != nil {
		return nil, fmt.Errorf("open %s at peer %s: %w", proto, to.Short(), err)
	}
	if err := ask(ctx, s, proto); err != nil {
		s.Reset()
		return nil, fmt.Errorf("open %s at peer %s: %w", proto, to.Short(), err)
	}
	return streamConn{s}, nil
}

func ask(ctx context.Context, s network.Stream, proto string) error {
	stop := context.AfterFunc(ctx, func() { s.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := writeFrame(s, []byte(proto)); err != nil {
		return err
	}
	refusal, err := readFrame(s, maxRefusal)
	if err != nil {
		return err
	}
	if len(refusal) > 0 {
		return fmt.Errorf("%w: %q", errNoHandler, refusal)
	}
	if !stop() {
		return ctx.Err()
	}
	return s.SetDeadline(time.Time{})
}

// hearOpen is the other side of Open.
func (h *Host) hearOpen(s network.Stream) {
	s.SetDeadline(time.Now().Add(streamTimeout))
	name, err := readFrame(s, maxProtoName)
	if err != nil {
		h.refuse(s.Conn().RemotePeer(), err)
		s.Reset()
		return
	}
	h.mu.Lock()
	fn := h.handlers[string(name)]
	h.mu.Unlock()
	from, err := fromPeerID(s.Conn().RemotePeer())
	if fn == nil || err != nil {
		_ = writeFrame(s, []byte("no such protocol here"))
		s.Close()
		return
	}
	if writeFrame(s, nil) != nil {
		s.Reset()
		return
	}
	s.SetDeadline(time.Time{})
	fn(from, streamConn{s})
}

// streamConn is a stream as a net.Conn. Beyond that it has CloseWrite, as TCP has.
type streamConn struct{ network.Stream }

// A StreamAddr names a peer where a net.Addr is wanted.
type StreamAddr struct{ Peer wire.PeerID }

// Network returns "shoal".
func (StreamAddr) Network() string { return "shoal" }

// String returns the peer ID.
func (a StreamAddr) String() string { return a.Peer.String() }

func (c streamConn) LocalAddr() net.Addr {
	id, _ := fromPeerID(c.Conn().LocalPeer())
	return StreamAddr{id}
}

func (c streamConn) RemoteAddr() net.Addr {
	id, _ := fromPeerID(c.Conn().RemotePeer())
	return StreamAddr{id}
}
