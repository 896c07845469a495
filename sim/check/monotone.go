package check

import (
	"maps"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// Monotone is S5: no incarnation, sequence or token falls, restarts included; a
// peer holds at most one claim per slot that has not ended; and nothing of its own
// leaves a peer before it is on its disk, since what a crash can take back has then
// fallen in the eyes of others.
type Monotone struct {
	own    own
	last   []wire.Version               // by host: the greatest number of its own records
	seen   []map[wire.Version]wire.Hash // by host: its own records
	tokens []map[slotLife]wire.Token    // by host: the greatest it claimed with
	kept   []map[slotLife]wire.Token    // by host: the greatest of those that no crash takes back
	out    []map[wire.Version]bool      // by host: those that have left it, and may come back
	lost   []bool                       // by host: its disk was lost since its last start
}

type slotLife struct {
	slot string
	life uint64
}

// NewMonotone returns the checker.
func NewMonotone() *Monotone { return &Monotone{} }

// Rule implements Checker.
func (*Monotone) Rule() string { return "S5" }

func (m *Monotone) grow(h Host) {
	for len(m.last) <= h.Index() {
		m.last = append(m.last, wire.Version{})
		m.seen = append(m.seen, map[wire.Version]wire.Hash{})
		m.tokens = append(m.tokens, map[slotLife]wire.Token{})
		m.kept = append(m.kept, map[slotLife]wire.Token{})
		m.out = append(m.out, map[wire.Version]bool{})
		m.lost = append(m.lost, false)
	}
}

// Wrote implements WriteWatcher.
func (m *Monotone) Wrote(h Host, writes []node.Write) error {
	m.grow(h)
	for i := range writes {
		w := &writes[i]
		if w.Drop != nil && h.Synced(*w.Drop) {
			m.keep(h, *w.Drop)
		}
		claim := m.own.wrote(h, w)
		if w.Put == nil || w.Put.Num.Issuer != h.Peer() || h.Shared() {
			continue
		}
		if err := m.number(h, w.Put); err != nil {
			return err
		}
		if claim != nil {
			if err := m.claim(h, claim); err != nil {
				return err
			}
		}
	}
	return nil
}

// number checks that a number names one record, and that a new record has a
// number above all before it. One that comes back from others after its disk was
// lost is no new one. Who has lost its disk takes the incarnation above what its
// first exchange shows: if its partner had not heard of its last start, that is no
// growth, and the boot nonce alone tells the two apart; see Finish.
func (m *Monotone) number(h Host, r *wire.Record) error {
	v, last := r.Num.Version(), m.last[h.Index()]
	seen := m.seen[h.Index()]
	known, ok := seen[v]
	switch {
	case ok && known != r.Hash():
		return violation("S5", "%s gives the number %v to a second record, a %v", h.Name(), r.Num, r.Kind)
	case !ok && v.Compare(last) < 0:
		return violation("S5", "%s writes a new %v as %v after %d.%d", h.Name(), r.Kind, r.Num, last.Inc, last.Seq)
	case !ok && v.Compare(last) > 0: // one that comes back from others says nothing of this start
		m.last[h.Index()] = v
	}
	seen[v] = r.Hash()
	return nil
}

func (m *Monotone) claim(h Host, c *ledger.Claim) error {
	if c.Phase.Ended() || m.own.of(h).spoilt[keyOf(c)] {
		return nil
	}
	key := slotLife{c.Slot.String(), c.Life}
	// A job that only a cloned key has removed may be forgotten, with its tokens.
	if top := m.tokens[h.Index()][key]; c.Token < top && !h.Tainted() {
		return violation("S5", "%s writes an open claim on %s with token %d after one with token %d", h.Name(), c.Slot, c.Token, top)
	}
	m.tokens[h.Index()][key] = c.Token
	open, spoilt := 0, m.own.of(h).spoilt
	for k, other := range m.own.of(h).claims {
		// A damaged disk may have forgotten the end of a claim: that one ends soon.
		if other.Slot == c.Slot && !other.Phase.Ended() && !spoilt[k] {
			open++
		}
	}
	if open > 1 {
		return violation("S5", "%s holds %d open claims on %s", h.Name(), open, c.Slot)
	}
	return nil
}

// keep notes the token of an own claim that others have seen, or whose record was on
// the disk before it was dropped.
func (m *Monotone) keep(h Host, n wire.Number) {
	if k, ok := m.own.of(h).numbers[n]; ok {
		key := slotLife{k.slot.String(), k.life}
		m.kept[h.Index()][key] = max(m.kept[h.Index()][key], k.token)
	}
}

// Sent implements SendWatcher.
func (m *Monotone) Sent(h Host, e *wire.Envelope) error {
	var records []*wire.Record
	switch msg := e.Msg.(type) {
	case *wire.Push:
		records = msg.Records
	case *wire.Store:
		records = msg.Records
	case *wire.Delta:
		records = msg.Records
	case *wire.Trade:
		records = msg.Records
	case *wire.Settle:
		records = msg.Records
	case *wire.Reply:
		records = msg.Records
	case *wire.Award:
		records = msg.Rests
	case *wire.Call:
		records = msg.Records
	}
	m.grow(h)
	for _, r := range records {
		// One that was written and beaten within one batch is safe: what beat it is synced.
		_, written := m.seen[h.Index()][r.Num.Version()]
		if r.Num.Issuer == h.Peer() {
			m.out[h.Index()][r.Num.Version()] = true
			m.keep(h, r.Num)
		}
		if r.Num.Issuer == h.Peer() && !h.Shared() && !h.Synced(r.Num) && (!written || h.Pending(r.Num)) {
			return violation("S5", "%s sends its own %v %v in %T, and it is not on its disk", h.Name(), r.Kind, r.Num, e.Msg)
		}
	}
	return nil
}

// Booted implements LifeWatcher. A number, or a token, whose record a crash took back
// before anybody saw it may be given again.
func (m *Monotone) Booted(h Host) {
	m.own.reload(h)
	m.grow(h)
	tokens := maps.Clone(m.kept[h.Index()])
	for k := range m.own.of(h).claims {
		key := slotLife{k.slot.String(), k.life}
		tokens[key] = max(tokens[key], k.token)
	}
	m.tokens[h.Index()] = tokens
	kept := map[wire.Version]bool{}
	h.Disk(func(r *wire.Record) { kept[r.Num.Version()] = kept[r.Num.Version()] || r.Num.Issuer == h.Peer() })
	m.last[h.Index()] = wire.Version{}
	if m.lost[h.Index()] {
		m.lost[h.Index()] = false
		return
	}
	for v := range m.seen[h.Index()] {
		if !kept[v] {
			if !m.out[h.Index()][v] {
				delete(m.seen[h.Index()], v)
			}
		} else if v.Compare(m.last[h.Index()]) > 0 {
			m.last[h.Index()] = v
		}
	}
}

// Finish implements Finisher: in the end a peer goes by the start it is in, and not
// by one that it has forgotten.
func (m *Monotone) Finish(w World) error {
	for _, h := range w.Hosts() {
		l := h.Ledger()
		if l == nil || !h.Counts() || h.Shared() || h.Index() >= len(m.last) || m.last[h.Index()] == (wire.Version{}) {
			continue
		}
		if r, last := l.CardRecord(h.Peer()), m.last[h.Index()]; r == nil || r.Num.Inc != last.Inc || r.Num.Nonce != last.Nonce {
			return violation("S5", "%s wrote its last record in start %d, and its card is of another one", h.Name(), last.Inc)
		}
	}
	return nil
}

// DiskLost implements LifeWatcher: who has lost its disk knows its tokens no more.
func (m *Monotone) DiskLost(h Host) {
	m.grow(h)
	m.own.lose(h)
	m.tokens[h.Index()] = map[slotLife]wire.Token{}
	m.kept[h.Index()] = map[slotLife]wire.Token{}
	m.lost[h.Index()] = true
}
