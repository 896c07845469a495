package p2p

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"shoal/p2p/admit"
	"shoal/wire"
)

const (
	certProto = "/shoal/certificate/1"

	// pubsub's own queues of 32 lose nine tenths of a burst of 1,000, without an error.
	gossipQueue = 4096

	// What one author may publish through this peer: calls, heads and verdicts are
	// per job, not per slot. More is ignored.
	authorRate, authorBurst = 500, 4096

	maxAuthors    = 4096
	authorTimeout = 2 * time.Second
	maxTopics     = 64
)

// topics are the swarm's gossip. Authors sign; each peer passes on only what a
// member wrote.
type topics struct {
	ps      *pubsub.PubSub
	prefix  string
	streams *gossipStreams

	mu     sync.Mutex
	joined map[string]*pubsub.Topic
	heard  map[string]bool
	rates  map[peer.ID]*rate.Limiter
}

func (h *Host) startTopics() error {
	params := pubsub.DefaultGossipSubParams()
	// Small messages: degree 4 costs 1.9 kB a message and peer, degree 6 costs 3.1,
	// and both lost nothing when 30 % of the peers died.
	params.D, params.Dlo, params.Dhi, params.Dscore, params.Dout = 4, 3, 6, 2, 1
	streams := &gossipStreams{peers: map[peer.ID]*sharedStream{}}
	ps, err := pubsub.NewGossipSub(h.ctx, gossipHost{h.members, streams},
		pubsub.WithGossipSubParams(params),
		pubsub.WithFloodPublish(true),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithMaxMessageSize(MaxGossip+16<<10), // signature, key, and control of one RPC
		pubsub.WithPeerOutboundQueueSize(gossipQueue),
		pubsub.WithValidateQueueSize(gossipQueue),
		pubsub.WithPeerFilter(func(p peer.ID, _ string) bool { return h.gate.isAdmitted(p) }),
		pubsub.WithDefaultValidator(pubsub.ValidatorEx(h.judge), pubsub.WithValidatorConcurrency(gossipQueue)),
		pubsub.WithLogger(h.log),
	)
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	h.topics = topics{
		ps: ps, prefix: "/shoal/" + h.cfg.Swarm.Short() + "/", streams: streams,
		joined: map[string]*pubsub.Topic{}, heard: map[string]bool{}, rates: map[peer.ID]*rate.Limiter{},
	}
	return nil
}

// Join subscribes to a topic: what others publish there comes out of Events, own
// publications do not. Twice is once.
func (h *Host) Join(topic string) error {
	t, err := h.topic(topic)
	if err != nil {
		return err
	}
	h.topics.mu.Lock()
	defer h.topics.mu.Unlock()
	if h.topics.heard[topic] {
		return nil
	}
	sub, err := t.Subscribe(pubsub.WithBufferSize(gossipQueue))
	if err != nil {
		return fmt.Errorf("join topic %s: %w", topic, err)
	}
	h.topics.heard[topic] = true
	h.spawn(func() { h.hearTopic(topic, sub) })
	return nil
}

func (h *Host) topic(name string) (*pubsub.Topic, error) {
	h.topics.mu.Lock()
	defer h.topics.mu.Unlock()
	if t := h.topics.joined[name]; t != nil {
		return t, nil
	}
	if len(h.topics.joined) >= maxTopics {
		return nil, fmt.Errorf("topic %s: %d are joined already, the most there may be", name, maxTopics)
	}
	t, err := h.topics.ps.Join(h.topics.prefix + name)
	if err != nil {
		return nil, fmt.Errorf("join topic %s: %w", name, err)
	}
	h.topics.joined[name] = t
	return t, nil
}

// Publish gives b to all who joined the topic, as far as they can be reached: some
// may never get it and nobody says so. An error means that nobody got it.
func (h *Host) Publish(topic string, b []byte) error {
	if len(b) > MaxGossip {
		return fmt.Errorf("publish on %s: %d bytes, at most %d", topic, len(b), MaxGossip)
	}
	t, err := h.topic(topic)
	if err != nil {
		return err
	}
	if err := t.Publish(h.ctx, b); err != nil {
		return fmt.Errorf("publish on %s: %w", topic, err)
	}
	h.stats.published.Add(1)
	return nil
}

func (h *Host) hearTopic(topic string, sub *pubsub.Subscription) {
	defer sub.Cancel()
	for {
		m, err := sub.Next(h.ctx)
		if err != nil {
			return
		}
		from, err := fromPeerID(m.GetFrom())
		if err != nil || from == h.self {
			continue
		}
		if !h.events.offer(Message{From: from, Topic: topic, Bytes: m.Data}) {
			h.stats.gossipDropped.Add(1)
			continue
		}
		h.stats.heard.Add(1)
	}
}

// judge says whether a publication is passed on. pubsub has checked the signature
// by now. It may wait for the author's certificate, once per author: each call has a
// goroutine of its own, and their number is bounded.
func (h *Host) judge(ctx context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	author := m.GetFrom()
	id, err := fromPeerID(author)
	switch {
	case err != nil:
		return h.reject(from, wire.FaultMalformed)
	case len(m.Data) > MaxGossip:
		return h.reject(from, wire.FaultOversized)
	case id == h.self:
		return pubsub.ValidationAccept
	case h.gate.isRevoked(author):
		return pubsub.ValidationIgnore // who passed it on may not know yet
	case h.gate.isShunned(author):
		return pubsub.ValidationIgnore // it is our quarrel, not that of who passed it on
	case !h.gate.isAdmitted(author) && h.authorCertificate(ctx, id, from) != nil:
		return pubsub.ValidationIgnore
	case !h.allow(author):
		return pubsub.ValidationIgnore
	}
	if h.cfg.Judge == nil {
		return pubsub.ValidationAccept
	}
	switch judgement, fault := h.cfg.Judge(strings.TrimPrefix(m.GetTopic(), h.topics.prefix), m.Data); judgement {
	case wire.Accept:
		return pubsub.ValidationAccept
	case wire.Reject:
		return h.reject(from, fault)
	default:
		return pubsub.ValidationIgnore
	}
}

// reject holds a publication against whoever handed it to us: it has checked it, too.
func (h *Host) reject(from peer.ID, f wire.Fault) pubsub.ValidationResult {
	h.refuse(from, f)
	return pubsub.ValidationReject
}

func (h *Host) allow(author peer.ID) bool {
	h.topics.mu.Lock()
	defer h.topics.mu.Unlock()
	l := h.topics.rates[author]
	if l == nil {
		if len(h.topics.rates) >= maxAuthors {
			clear(h.topics.rates)
		}
		l = rate.NewLimiter(authorRate, authorBurst)
		h.topics.rates[author] = l
	}
	return l.Allow()
}

// authorCertificate makes sure that the author is a member: known already, or proved
// by the certificate that the peer who passed the message on must have.
func (h *Host) authorCertificate(ctx context.Context, author wire.PeerID, from peer.ID) error {
	if c, ok := h.gate.certificate(author); ok {
		return errors.Join(c.Verify(h.cfg.Swarm, time.Now()), h.gate.vouched(&c))
	}
	_, err, _ := h.authors.Do(string(author[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(h.ctx, authorTimeout)
		defer cancel()
		return nil, h.askCertificate(ctx, author, from)
	})
	return errors.Join(err, ctx.Err())
}

func (h *Host) askCertificate(ctx context.Context, author wire.PeerID, from peer.ID) error {
	s, err := h.members.NewStream(network.WithNoDial(ctx, "connected"), from, certProto)
	if err != nil {
		return err
	}
	defer s.Close()
	s.SetDeadline(time.Now().Add(authorTimeout))
	if err := writeFrame(s, author[:]); err != nil {
		return err
	}
	b, err := readFrame(s, admit.MaxCertificateBytes)
	if err != nil {
		return err
	}
	c, err := admit.DecodeCertificate(b)
	if err != nil {
		return err
	}
	if c.Peer != author {
		return fmt.Errorf("certificate is of peer %s, not of %s", c.Peer.Short(), author.Short())
	}
	if err := errors.Join(c.Verify(h.cfg.Swarm, time.Now()), h.gate.vouched(&c)); err != nil {
		return err
	}
	h.gate.mu.Lock()
	defer h.gate.mu.Unlock()
	h.gate.remember(author, c)
	return nil
}

// hearCertificate tells a member the certificate of another.
func (h *Host) hearCertificate(s network.Stream) {
	defer s.Close()
	s.SetDeadline(time.Now().Add(authorTimeout))
	b, err := readFrame(s, len(wire.PeerID{}))
	if err != nil || len(b) != len(wire.PeerID{}) {
		h.refuse(s.Conn().RemotePeer(), err)
		s.Reset()
		return
	}
	if c, ok := h.Certificate(wire.PeerID(b)); ok {
		_ = writeFrame(s, c.Encode()) // who misses it asks again
	}
}
