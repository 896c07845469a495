package api

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// A StoreCheck is what a look at everything on the disk has found; see
// badger.Check, whose words these are. Empty sentences are good news.
type StoreCheck struct {
	Entries, Altered   uint64
	Batches            uint64
	Slots              int
	Sums, Head, Damage string
}

// progressEvery is how many records are checked between two lines of progress.
const progressEvery = 10_000

// ledgerVerify checks everything that can be checked alone: the records one by one,
// the sums that exchanges rest on, and what is on the disk. Each line is a check
// that has ended. It works on a snapshot, beside the loop.
func (s *Server) ledgerVerify(w http.ResponseWriter, r *http.Request) {
	var v verification
	if err := s.view(r.Context(), func(c *node.Core) {
		led := c.Ledger()
		v = verification{
			swarm: c.Swarm(), self: c.Self(), recs: led.Snapshot(), marks: led.Marks(), held: led.Len(), starts: c.Status().Self.Incarnation,
		}
	}); err != nil {
		writeError(w, err)
		return
	}
	v.out, v.gone = newLines(w), func() bool { return r.Context().Err() != nil }
	v.signatures()
	v.bodies()
	v.sums()
	v.keys()
	v.store(s.cfg.CheckStore)
}

type verification struct {
	swarm  wire.Hash
	self   wire.PeerID
	recs   []*wire.Record
	marks  []wire.Mark
	held   int
	starts uint32 // of this peer; 0: it is stopped
	out    *lines
	gone   func() bool // nobody waits for the answer any more
}

// tell writes the line of a check that has ended; wrong names what was found wrong.
func (v *verification) tell(check string, checked int, wrong []string) {
	text := strings.Join(wrong[:min(len(wrong), 5)], ", ")
	if len(wrong) > 5 {
		text += fmt.Sprintf(" and %d more", len(wrong)-5)
	}
	_ = v.out.write(LedgerCheck{Check: check, Checked: checked, Wrong: len(wrong), Detail: text})
}

// each checks every record; bad tells what is wrong with one, or nothing.
func (v *verification) each(check string, bad func(*wire.Record) string) {
	var wrong []string
	for i, r := range v.recs {
		if i > 0 && i%progressEvery == 0 {
			if v.gone() {
				return
			}
			_ = v.out.write(LedgerCheck{Progress: fmt.Sprintf("%s: %d of %d", check, i, len(v.recs))})
		}
		if why := bad(copyOf(r)); why != "" {
			wrong = append(wrong, r.Num.String()+" ("+r.Kind.String()+") "+why)
		}
	}
	v.tell(check, len(v.recs), wrong)
}

func (v *verification) signatures() {
	v.each("signatures", func(r *wire.Record) string {
		if !r.Verify(v.swarm, wire.VerifyEd25519) {
			return "is not signed by its issuer for this swarm"
		}
		return ""
	})
}

func (v *verification) bodies() {
	v.each("bodies", func(r *wire.Record) string {
		if err := ledger.Open(r); err != nil {
			return "does not decode"
		}
		return ""
	})
}

// sums adds up each issuer's log anew.
func (v *verification) sums() {
	var wrong []string
	recs := v.recs
	for _, m := range v.marks {
		var lo, hi uint64
		n := 0
		for ; n < len(recs) && recs[n].Num.Issuer == m.UpTo.Issuer; n++ {
			h := copyOf(recs[n]).Hash()
			lo, hi = lo+binary.BigEndian.Uint64(h[:8]), hi+binary.BigEndian.Uint64(h[8:16])
		}
		switch {
		case uint32(n) != m.Count || lo != binary.BigEndian.Uint64(m.Sum[:8]) || hi != binary.BigEndian.Uint64(m.Sum[8:]):
			wrong = append(wrong, fmt.Sprintf("of %s %d records are held and %d were added up", m.UpTo.Issuer.Short(), n, m.Count))
		case m.UpTo.Issuer == v.self && v.starts > 0 && m.UpTo.Inc > v.starts:
			wrong = append(wrong, fmt.Sprintf("the mark of this peer's own log is of start %d, and this is start %d", m.UpTo.Inc, v.starts))
		}
		recs = recs[n:]
	}
	if len(recs) > 0 || len(v.recs) != v.held {
		wrong = append(wrong, fmt.Sprintf("%d records are in no log", len(recs)+max(0, v.held-len(v.recs))))
	}
	v.tell("sums and marks", len(v.marks), wrong)
}

// keys sees that of records with one key no more are held than its join keeps.
func (v *verification) keys() {
	count := map[string]int{}
	var wrong []string
	for _, r := range v.recs {
		k := r.Kind.String() + "\x00" + ledger.KeyID(r)
		most := 1
		if r.Kind == wire.KindHead {
			most = ledger.MaxHeads
		}
		if count[k]++; count[k] == most+1 {
			wrong = append(wrong, ledger.KeyText(r)+" is held more often than its join keeps it")
		}
	}
	slices.Sort(wrong)
	v.tell("join", len(count), wrong)
}

func (v *verification) store(check func() (StoreCheck, error)) {
	if check == nil {
		return
	}
	c, err := check()
	if err != nil {
		v.tell("store", 0, []string{err.Error()})
		return
	}
	var wrong []string
	if c.Altered > 0 {
		wrong = append(wrong, fmt.Sprintf("%d entries were altered", c.Altered))
	}
	for _, text := range []string{c.Sums, c.Damage} {
		if text != "" {
			wrong = append(wrong, text)
		}
	}
	v.tell("store", int(c.Entries), wrong)
	if c.Damage != "" {
		return // the chain is that of what is left
	}
	wrong = nil
	if c.Head != "" {
		wrong = []string{c.Head}
	}
	v.tell("head chain", int(c.Batches), wrong)
}
