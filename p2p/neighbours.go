package p2p

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	topicsProto     = "/shoal/topics/1"
	topicsTimeout   = 3 * time.Second
	neighboursEvery = 4 * time.Second // between two looks, and as long the first wait to ask
	neighboursMost  = time.Minute     // the longest
)

// pubsub tells a peer its topics once, on its first stream to it, and forgets those of
// the other when either one's stream ends. Where two have two connections, a relayed
// and a direct one or one through a dead relay, it goes on over the one that is left,
// but the other is not told anew: one of the two knows nothing of the other for as
// long as they are connected. And after an error or four such ends it opens no stream
// any more. So a peer looks who is missing, and asks that one.

// gossipHost is the host as pubsub sees it: its streams can be written to by us, too.
type gossipHost struct {
	gatedHost
	out *gossipStreams
}

// gossipStreams are pubsub's latest streams to each peer.
type gossipStreams struct {
	mu    sync.Mutex
	peers map[peer.ID]*sharedStream
}

// A sharedStream is a stream on which each write is a whole message.
type sharedStream struct {
	network.Stream
	mu sync.Mutex
}

// Write writes all of b before anybody else writes.
func (s *sharedStream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Stream.Write(b)
}

// NewStream opens a stream to an admitted peer and remembers it.
func (h gossipHost) NewStream(ctx context.Context, p peer.ID, protos ...protocol.ID) (network.Stream, error) {
	s, err := h.gatedHost.NewStream(ctx, p, protos...)
	if err != nil {
		return nil, err
	}
	shared := &sharedStream{Stream: s}
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.peers[p] = shared
	return shared, nil
}

func (g *gossipStreams) to(p peer.ID) *sharedStream {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers[p]
}

func (g *gossipStreams) forget(p peer.ID) {
	if g == nil {
		return // gossip has not begun
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.peers, p)
}

// keepNeighbours asks members that are connected but missing from every topic of ours
// for theirs: again after twice the time, since they may have none.
func (h *Host) keepNeighbours() {
	emitter, err := h.host.EventBus().Emitter(new(event.EvtPeerProtocolsUpdated))
	if err != nil {
		h.log.Warn("missing neighbours in gossip will not be found", "err", err)
		return
	}
	defer emitter.Close()
	type absence struct{ waited, wait time.Duration }
	absent := map[peer.ID]absence{}
	for {
		select {
		case <-time.After(neighboursEvery):
		case <-h.ctx.Done():
			return
		}
		missing := h.missing()
		for p := range absent {
			if !slices.Contains(missing, p) {
				delete(absent, p)
			}
		}
		for _, p := range missing {
			a := absent[p]
			if a.waited += neighboursEvery; a.waited > a.wait {
				a = absence{wait: min(max(2*a.wait, neighboursEvery), neighboursMost)}
				// pubsub takes it for a peer that has just begun to speak gossip, unless it
				// has a stream to it.
				_ = emitter.Emit(event.EvtPeerProtocolsUpdated{Peer: p, Added: []protocol.ID{pubsub.GossipSubID_v13}})
				h.spawn(func() { h.askTopics(p) })
			}
			absent[p] = a
		}
	}
}

// missing lists the admitted peers that pubsub knows on no topic of ours.
func (h *Host) missing() []peer.ID {
	h.topics.mu.Lock()
	var names []string
	for t := range h.topics.heard {
		names = append(names, t)
	}
	h.topics.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	known := map[peer.ID]bool{}
	for _, t := range names {
		for _, p := range h.topics.ps.ListPeers(h.topics.prefix + t) {
			known[p] = true
		}
	}
	var out []peer.ID
	for _, p := range h.host.Network().Peers() {
		if h.gate.isAdmitted(p) && !known[p] {
			out = append(out, p)
		}
	}
	return out
}

func (h *Host) askTopics(p peer.ID) {
	ctx, cancel := h.within(topicsTimeout)
	defer cancel()
	if s, err := h.members.NewStream(network.WithNoDial(ctx, "connected"), p, topicsProto); err == nil {
		s.Close() // that it was opened says all
	}
}

// hearTopics tells a member that has forgotten them the topics of this peer.
func (h *Host) hearTopics(s network.Stream) {
	defer s.Close()
	out := h.topics.streams.to(s.Conn().RemotePeer())
	if out == nil || out.Conn().IsClosed() {
		return // pubsub is about to open one, or the asker's question makes it do so
	}
	var rpc pb.RPC
	yes := true
	h.topics.mu.Lock()
	for t := range h.topics.heard {
		name := h.topics.prefix + t
		rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Topicid: &name, Subscribe: &yes})
	}
	h.topics.mu.Unlock()
	body, err := rpc.Marshal()
	if err != nil || len(body) == 0 {
		return
	}
	_, _ = out.Write(append(binary.AppendUvarint(nil, uint64(len(body))), body...)) // else it asks again
}
