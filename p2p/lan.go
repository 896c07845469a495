package p2p

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"

	"shoal/p2p/admit"
)

// Each question on the local network is answered by every peer on it, by multicast,
// and so costs all of them. Who is connected to enough members asks rarely. Others
// ask often at first, and begin anew when they have lost somebody or have moved.
const (
	searchTake   = 6 * time.Second  // one search: the question, and once more for those who missed it
	searchFirst  = 10 * time.Second // from the first to the second, plus as much jitter, and so below
	searchAlone  = time.Minute      // the longest while nobody is connected
	searchRarely = 20 * time.Minute // the longest otherwise

	announceEvery = 3 * time.Second // between two looks at one's own addresses
)

// A search for members on the local network, as it goes on.
type search struct {
	anew chan struct{} // holds one: begin again with short waits
}

func newSearch() search { return search{anew: make(chan struct{}, 1)} }

// again ends the long waits.
func (s search) again() {
	select {
	case s.anew <- struct{}{}:
	default: // it is to begin again already
	}
}

// startMDNS announces this peer and looks for its swarm's members that do so. A
// network without multicast is none of the user's concern.
func (h *Host) startMDNS() {
	if h.cfg.MDNS {
		h.spawn(h.announce)
		h.spawn(h.searchLAN)
	}
}

func (h *Host) searchLAN() {
	wait, pause := searchFirst, time.Duration(0)
	for h.rest(pause) {
		ctx, cancel := h.within(searchTake)
		if err := browse(ctx, h.heardOnLAN); err != nil {
			h.log.Debug("local network not heard", "err", err)
		}
		cancel()
		select {
		case <-time.After(wait + rand.N(wait)):
			wait, pause = nextSearch(wait, h.Stats().Peers, h.limits.enough), 0
		case <-h.search.anew:
			// Those who saw the same end do not all ask at once.
			wait, pause = searchFirst, rand.N(searchFirst)
		case <-h.ctx.Done():
		}
	}
}

// rest returns after d, and reports whether the host goes on.
func (h *Host) rest(d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-h.ctx.Done():
	}
	return h.ctx.Err() == nil
}

// nextSearch is the wait after one of wait, of a peer that dials while it has fewer
// members than enough.
func nextSearch(wait time.Duration, members, enough int) time.Duration {
	switch {
	case members == 0:
		return min(2*wait, searchAlone)
	case members < enough:
		return min(2*wait, searchRarely)
	}
	return searchRarely
}

func (h *Host) heardOnLAN(swarm string, p admit.PeerAddrs) {
	if swarm != h.cfg.Swarm.Short() || p.Peer == h.self || h.gate.isAdmitted(toPeerID(p.Peer)) {
		return
	}
	h.AddAddrs(p.Peer, p.Addrs)
	if !h.backoffs.closed(p.Peer) {
		h.Redial(p.Peer)
	}
}

// announcement is the TXT record of this peer. The whole should fit one packet.
func (h *Host) announcement() []string {
	texts := []string{"swarm=" + h.cfg.Swarm.Short(), "peer=" + h.self.String()}
	direct, _ := splitRelayed(h.bestAddrs())
	for _, a := range direct {
		if t := "addr=" + a.String(); len(t) < 256 && len(texts) < 2+maxAddrs {
			texts = append(texts, t)
		}
	}
	return texts
}

// announce keeps the announcement in step with this peer's addresses.
func (h *Host) announce() {
	var (
		server *zeroconf.Server
		last   []string
	)
	for {
		if now := h.announcement(); !slices.Equal(now, last) {
			if server != nil {
				server.Shutdown()
			}
			var err error
			// One instance name a process: a cloned disk must not end the announcement.
			name := fmt.Sprintf("%s-%x", h.self.Short(), uint32(h.session))
			server, err = zeroconf.RegisterProxy(name, lanService, lanDomain, DefaultPort, name, h.announcedIPs(), now, nil)
			if err != nil {
				server = nil
				h.log.Debug("local network: not announced", "err", err)
			} else {
				last = now
				h.search.again() // who has moved has lost members, or soon will have
			}
		}
		select {
		case <-time.After(announceEvery):
		case <-h.ctx.Done():
			if server != nil {
				server.Shutdown()
			}
			return
		}
	}
}

// announcedIPs are for the address records the standard asks for; nobody of ours
// reads them.
func (h *Host) announcedIPs() []string {
	for _, a := range h.bestAddrs() {
		if ip, err := a.ValueForProtocol(ma.P_IP4); err == nil {
			return []string{ip}
		}
	}
	return []string{"127.0.0.1"}
}
