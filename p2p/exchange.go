package p2p

import (
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"shoal/p2p/internal/codec"
	"shoal/wire"
)

const (
	peersProto    = "/shoal/peers/1"
	maxPeers      = 16 << 10 // bytes of an answer
	peersTimeout  = 3 * time.Second
	exchangeEvery = 4 // in times of limits.redial, plus as much jitter
)

// A hello tells of the members that are connected at that moment. Two that come, or
// move, at once learn nothing of each other by it; so a peer that is connected to few
// asks one of them again from time to time.

// otherPeers lists some members that are connected here, by chance, without p.
func (h *Host) otherPeers(p wire.PeerID) []joinPeer {
	peers := h.Peers()
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	var out []joinPeer
	for _, q := range peers {
		if q.ID != p && len(out) < helloPeers {
			out = append(out, joinPeerOf(q.ID, h.book.addrs(q.ID)))
		}
	}
	return out
}

// hearPeers tells a member of others.
func (h *Host) hearPeers(s network.Stream) {
	defer s.Close()
	s.SetDeadline(time.Now().Add(peersTimeout))
	from, err := fromPeerID(s.Conn().RemotePeer())
	if err != nil {
		s.Reset()
		return
	}
	_ = writeFrame(s, codec.Marshal(h.otherPeers(from)))
}

// keepExchanging asks while fewer than enough members are here.
func (h *Host) keepExchanging() {
	every := exchangeEvery * h.limits.redial
	for {
		select {
		case <-time.After(every + rand.N(every)):
		case <-h.ctx.Done():
			return
		}
		if peers := h.Peers(); len(peers) > 0 && len(peers) < h.limits.enough {
			h.askPeers(peers[rand.IntN(len(peers))].ID)
		}
	}
}

func (h *Host) askPeers(p wire.PeerID) {
	c := h.host.Network().ConnsToPeer(toPeerID(p))
	if len(c) == 0 {
		return
	}
	ctx, cancel := h.within(peersTimeout)
	defer cancel()
	s, err := openOn(ctx, c[0], peersProto)
	if err != nil {
		return // it is of an earlier version, or on its way out
	}
	defer s.Reset()
	b, err := readFrame(s, maxPeers)
	var peers []joinPeer
	if err == nil {
		err = codec.Unmarshal(b, maxPeers, &peers)
	}
	if err != nil {
		h.refuse(toPeerID(p), err)
		return
	}
	h.hearOf(peers)
}
