package p2p

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"

	"shoal/wire"
)

const (
	otherLasts = 30 * time.Minute // that a peer spoke another version is remembered
	maxOthers  = 64               // peers remembered for it
)

// ErrVersion says that another peer speaks no version of a protocol that this one does.
var ErrVersion = errors.New("it speaks another version of shoal's protocol: update the older of the two")

// asVersion makes ErrVersion of the error of a stream whose protocol could not be agreed
// on, and leaves any other as it is.
func asVersion(err error, proto string) error {
	var none multistream.ErrNotSupported[protocol.ID]
	if !errors.As(err, &none) {
		return err
	}
	return fmt.Errorf("%w; this one speaks %s", ErrVersion, proto)
}

// A reminder lets something be said now, and not again for a while.
type reminder struct{ last atomic.Int64 }

const remindEvery = time.Minute

// due reports whether it was not said within remindEvery, and takes it as said.
func (r *reminder) due(now time.Time) bool {
	last := r.last.Load()
	return now.UnixNano()-last >= int64(remindEvery) && r.last.CompareAndSwap(last, now.UnixNano())
}

// others remembers who spoke another version of the hello, lately: neither lets the
// other in, so that nothing else is known of them.
type others struct {
	mu   sync.Mutex
	seen map[wire.PeerID]other
}

type other struct {
	at    time.Time
	hello string // what it speaks; empty: it has not said
}

func (o *others) note(p wire.PeerID, hello string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.seen, func(_ wire.PeerID, s other) bool { return now.Sub(s.at) > otherLasts })
	if _, known := o.seen[p]; known || len(o.seen) < maxOthers {
		o.seen[p] = other{now, hello}
	}
}

func (o *others) forget(p wire.PeerID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.seen, p)
}

func (o *others) list(now time.Time) map[wire.PeerID]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[wire.PeerID]string{}
	for p, s := range o.seen {
		if now.Sub(s.at) <= otherLasts {
			out[p] = s.hello
		}
	}
	return out
}

// OtherVersions lists who spoke another version of the first protocol within 30 minutes,
// and of each what it speaks, such as "/shoal/hello/2"; empty if it has not said. This
// peer and each of them refuse one another.
func (h *Host) OtherVersions() map[wire.PeerID]string { return h.others.list(time.Now()) }

// noteOther remembers that p speaks another version.
func (h *Host) noteOther(p peer.ID) {
	if id, err := fromPeerID(p); err == nil {
		h.others.note(id, otherHello(h.host, p), time.Now())
	}
}

// noteSilent looks why a peer went that dialled this one and said no hello: it may have
// found that this one does not speak its own.
func (h *Host) noteSilent(c network.Conn) {
	id, err := fromPeerID(c.RemotePeer())
	if err != nil || h.gate.isAdmitted(c.RemotePeer()) || otherHello(h.host, c.RemotePeer()) == "" {
		return
	}
	if len(h.book.addrs(id)) > 0 { // whoever else knocks is nobody's concern
		h.noteOther(c.RemotePeer())
	}
}

// otherHello is the version of the hello that p has said it speaks, if it does not speak
// this peer's as well.
func otherHello(hst host.Host, p peer.ID) string {
	all, err := hst.Peerstore().GetProtocols(p)
	if err != nil {
		return ""
	}
	stem, theirs := helloProto[:strings.LastIndex(helloProto, "/")+1], ""
	for _, proto := range all {
		switch {
		case string(proto) == helloProto:
			return ""
		case strings.HasPrefix(string(proto), stem) && len(proto) <= len(stem)+8:
			theirs = string(proto)
		}
	}
	return theirs
}
