package daemon

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"time"

	"shoal/node"
	"shoal/wire"
)

// cell names the one cell a swarm has so far, in the names of its topics; the
// transport puts the swarm before them.
const cell = "0"

var topics = map[wire.Topic]bool{wire.TopicJobs: true, wire.TopicCalls: true, wire.TopicMembers: true}

func topicName(t wire.Topic) string { return cell + "/" + t.String() }

// topicOf is the reverse of topicName; false for a name of no topic of ours.
func topicOf(name string) (wire.Topic, bool) {
	for t := range topics {
		if topicName(t) == name {
			return t, true
		}
	}
	return 0, false
}

// hear turns what the network tells into inputs. While the loop is busy it waits,
// and the network with it.
func (d *Daemon) hear(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case h, open := <-d.cfg.Heard:
			if !open {
				return
			}
			if in, ok := d.inputOf(h); ok && !d.input(in) {
				return
			}
		}
	}
}

func (d *Daemon) inputOf(h Heard) (node.Input, bool) {
	switch h.Kind {
	case HeardUp, HeardDown:
		return node.Input{Linked: &node.Linked{Peer: h.Peer, Up: h.Kind == HeardUp}}, true
	case HeardRefused:
		d.stats.invalid.Add(uint64(h.Count))
		return refusedInput(h.Peer, h.Fault, h.Count), true
	case HeardMessage:
	default:
		return node.Input{}, false
	}
	var topic wire.Topic
	if h.Topic != "" {
		t, ok := topicOf(h.Topic)
		if !ok {
			d.stats.unknown.Add(1)
			return refusedInput(h.Peer, wire.FaultUnknown, 1), true
		}
		topic = t
	}
	msg, err := wire.Decode(h.Bytes)
	switch {
	case errors.Is(err, wire.ErrUnknown):
		d.stats.unknown.Add(1)
		return refusedInput(h.Peer, wire.FaultUnknown, 1), true
	case err != nil:
		d.stats.invalid.Add(1)
		d.log.Debug("message refused", "from", h.Peer.Short(), "err", err)
		return refusedInput(h.Peer, wire.FaultOf(err), 1), true
	}
	d.stats.received.Add(1)
	return node.Input{Received: &node.Received{From: h.Peer, Topic: topic, Msg: msg}}, true
}

// refusedInput tells the core of what it does not get to see, for it keeps the score.
func refusedInput(p wire.PeerID, f wire.Fault, n uint32) node.Input {
	return node.Input{Refused: &node.Refused{Peer: p, Fault: f, Count: n}}
}

// JudgeGossip says what is to be done with a publication before anything else looks
// at it. Bytes that no version sends speak against whoever passed them on, since each
// member checks; a message of a later version crosses this peer unread.
func JudgeGossip(topic string, b []byte) (wire.Judgement, wire.Fault) {
	if _, ours := topicOf(topic); !ours {
		return wire.Accept, 0
	}
	_, err := wire.Decode(b)
	if j := wire.Judge(err); j == wire.Reject {
		return j, wire.FaultOf(err)
	}
	return wire.Accept, 0
}

// send gives messages to the transport, encoding one that goes to several once.
func (d *Daemon) send(messages []wire.Envelope) {
	var last wire.Message
	var frame []byte
	for _, e := range messages {
		if e.Msg != last {
			b, err := wire.Encode(e.Msg)
			if err != nil {
				d.log.Error("message not sent", "err", err)
				continue
			}
			last, frame = e.Msg, b
		}
		if e.Topic != 0 {
			d.post(e.Topic, frame)
			continue
		}
		if !d.cfg.Transport.Send(e.To, frame) {
			d.stats.unsent.Add(1)
			continue
		}
		d.stats.sent.Add(1)
	}
}

type publication struct {
	topic string
	frame []byte
}

// post hands gossip to the publisher. What is too big or too much is lost, which
// gossip may be: an exchange finds what it carried.
func (d *Daemon) post(t wire.Topic, frame []byte) {
	if len(frame) > wire.MaxGossip {
		d.stats.unsent.Add(1)
		d.log.Debug("too big to publish", "topic", t, "bytes", len(frame))
		return
	}
	select {
	case d.publish <- publication{topicName(t), frame}:
	default:
		d.stats.unsent.Add(1)
	}
}

// publishAll publishes outside of the loop, since a publication may wait. What was
// handed over before the end still goes out.
func (d *Daemon) publishAll(context.Context) {
	for {
		select {
		case p := <-d.publish:
			d.publishOne(p)
		case <-d.stopped:
			for {
				select {
				case p := <-d.publish:
					d.publishOne(p)
				default:
					return
				}
			}
		}
	}
}

func (d *Daemon) publishOne(p publication) {
	if err := d.cfg.Transport.Publish(p.topic, p.frame); err != nil {
		d.stats.unsent.Add(1)
		d.log.Debug("not published", "topic", p.topic, "err", err)
		return
	}
	d.stats.sent.Add(1)
}

// servicesEvery is the least time between two updates of reach.
const servicesEvery = 200 * time.Millisecond

// tell lets the transport and reach know what the ledger has learned.
func (d *Daemon) tell() {
	led := d.core.Ledger()
	if v := led.PeersVersion(); v != d.seen.peers {
		d.seen.peers = v
		d.tellPeers()
	}
	if d.cfg.Reach == nil {
		return
	}
	d.seen.stale = true
	if time.Since(d.seen.toldAt) < servicesEvery {
		return
	}
	d.seen.stale, d.seen.toldAt = false, time.Now()
	if services := d.core.Services(); !reflect.DeepEqual(services, d.seen.services) {
		d.seen.services = services
		d.cfg.Reach.Update(services)
	}
}

func (d *Daemon) tellPeers() {
	led, before := d.core.Ledger(), *d.revoked.Load()
	revoked, known := map[wire.PeerID][]byte{}, map[wire.PeerID]struct{}{}
	for _, p := range led.AllPeers() {
		if led.IsRevoked(p) {
			if revoked[p] = before[p]; revoked[p] == nil {
				revoked[p] = d.notice(p)
			}
			continue
		}
		card := led.Card(p)
		if card != nil {
			known[p] = struct{}{}
		}
		if p == d.cfg.Core.Self || card == nil || len(card.Addrs) == 0 {
			continue
		}
		if joined := strings.Join(card.Addrs, " "); joined != d.seen.addrs[p] {
			d.seen.addrs[p] = joined
			d.cfg.Transport.AddAddrs(p, card.Addrs)
		}
	}
	d.known.Store(&known) // before: who is known outlasts the removal of who let it in
	d.revoked.Store(&revoked)
	if !maps.EqualFunc(before, revoked, func(_, _ []byte) bool { return true }) { // the same peers
		d.cfg.Transport.Recheck()
	}
}

// notice is the message that proves to p that it was removed: the record, and the
// card of who wrote it, by which the writer's right is judged. It is a push like any
// other: p believes the signatures, not whoever hands it over.
func (d *Daemon) notice(p wire.PeerID) []byte {
	led := d.core.Ledger()
	r := led.MemberRecord(p)
	push := &wire.Push{Records: []*wire.Record{r}}
	if card := led.CardRecord(r.Num.Issuer); card != nil {
		push.Records = []*wire.Record{card, r}
	}
	b, err := wire.Encode(push)
	if err != nil {
		d.log.Error("notice of a removal not encoded", "err", err)
		return []byte{} // not nil: it is not tried again
	}
	return b
}

// IsRevoked reports whether this peer's ledger says that p was removed from the
// swarm. It never waits.
func (d *Daemon) IsRevoked(p wire.PeerID) bool {
	_, is := (*d.revoked.Load())[p]
	return is
}

// IsKnown reports whether this peer's ledger has a card of p, and no word of its removal.
// It never waits.
func (d *Daemon) IsKnown(p wire.PeerID) bool {
	_, is := (*d.known.Load())[p]
	return is
}

// NoticeOf returns a message that proves to p that it was removed, empty if this
// peer's ledger does not say so. It never waits.
func (d *Daemon) NoticeOf(p wire.PeerID) []byte { return (*d.revoked.Load())[p] }
