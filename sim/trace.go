package sim

import (
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"

	"shoal/node"
	"shoal/wire"
)

// A trace is the running hash over everything that happened, and, where asked
// for, the lines a person reads. Equal hashes mean equal runs.
type trace struct {
	hash  uint64
	steps uint64
	out   io.Writer // every step, if not nil
	lines []string  // the notable ones, at most maxLines, for golden and reports
	keep  bool
	lost  int

	all    bool     // keep the hash after each step, and the words of those with effects
	hashes []uint64 // by step, from 1 on
	words  []worded // of the steps with effects
}

// A worded step is one that has effects, and a hash of what a person would read of
// it: who, what came, what went out. Its time does not count.
type worded struct {
	step uint64
	hash uint64
}

const maxLines = 10_000

// mix folds one word into the hash (a multiply-fold after Wang Yi's wyhash).
func (t *trace) mix(v uint64) {
	hi, lo := bits.Mul64(t.hash^v^0x9e3779b97f4a7c15, 0xd1342543de82ef95)
	t.hash = hi ^ lo + v
}

func (t *trace) text(s string) {
	var w uint64
	for i := range len(s) {
		w = w<<8 | uint64(s[i])
		if i%8 == 7 {
			t.mix(w)
			w = 0
		}
	}
	t.mix(w<<8 | uint64(len(s)))
}

func (t *trace) peer(p wire.PeerID) { t.mix(uint64(p[0])<<16 | uint64(p[1])<<8 | uint64(p[2])) }

// step folds in one Step: when, who, what came, what went out.
func (t *trace) step(at time.Duration, machine int, what uint64, rd *node.Ready) {
	t.steps++
	t.mix(uint64(at))
	t.mix(uint64(machine)<<32 | what)
	for i := range rd.Records {
		switch w := &rd.Records[i]; {
		case w.Put != nil:
			h := w.Put.Hash()
			t.mix(w.Put.Num.Seq ^ uint64(h[0])<<56 ^ uint64(h[1])<<48)
		case w.Drop != nil:
			t.mix(w.Drop.Seq)
		case w.Local != nil:
			t.text(w.Local.Key)
			t.text(string(w.Local.Value))
		}
	}
	for i := range rd.Messages {
		e := &rd.Messages[i]
		t.peer(e.To)
		t.mix(uint64(e.Topic)<<8 | uint64(e.Msg.Kind()))
	}
	for i := range rd.Actions {
		a := &rd.Actions[i]
		t.mix(a.ID<<8 | uint64(a.Op))
		t.text(a.Container)
	}
	for _, v := range rd.Volumes {
		t.text(v.Volume)
		t.mix(uint64(v.Slot))
	}
	for i := range rd.Replies {
		t.text(rd.Replies[i].Err)
		t.mix(rd.Replies[i].ID)
	}
	t.mix(uint64(rd.WakeAt))
	if t.all {
		t.hashes = append(t.hashes, t.hash)
	}
}

// read keeps the words of the step that was just folded in.
func (t *trace) read(machine string, v *StepView) {
	if len(v.Records)+len(v.Messages)+len(v.Actions)+len(v.Replies)+len(v.Events)+len(v.Others) == 0 {
		return
	}
	words := trace{}
	for _, part := range [][]string{{machine, v.Input, v.Refused}, v.Records, v.Messages, v.Actions, v.Replies, v.Events, v.Others} {
		words.mix(uint64(len(part)))
		for _, text := range part {
			words.text(withoutNames(text))
		}
	}
	t.words = append(t.words, worded{t.steps, words.hash})
}

// withoutNames leaves out the names of containers: they hold identities, which no
// two seeds share.
func withoutNames(text string) string {
	if !strings.Contains(text, containerPrefix) {
		return text
	}
	words := strings.Fields(text)
	for i, w := range words {
		if strings.HasPrefix(w, containerPrefix) {
			words[i] = containerPrefix
		}
	}
	return strings.Join(words, " ")
}

const containerPrefix = "shoal-"

// note records a line that a person may want to see: an operation, a reply, an
// event told by a core.
func (t *trace) note(at time.Duration, who, format string, args ...any) {
	if !t.keep && t.out == nil {
		return
	}
	line := fmt.Sprintf("%9.3f  %-5s %s", at.Seconds(), who, fmt.Sprintf(format, args...))
	if t.out != nil {
		fmt.Fprintln(t.out, line)
	}
	if !t.keep {
		return
	}
	if len(t.lines) < maxLines {
		t.lines = append(t.lines, line)
	} else {
		t.lost++
	}
}

// detail prints one step that has effects, if steps are printed at all, with its
// number and the hash of all until then: two traces part where the hashes do.
func (t *trace) detail(at time.Duration, who, in string, rd *node.Ready, name func(wire.PeerID) string) {
	if t.out == nil {
		return
	}
	var b strings.Builder
	for i := range rd.Messages {
		e := &rd.Messages[i]
		to := "all"
		if !e.To.IsZero() {
			to = name(e.To)
		}
		fmt.Fprintf(&b, " %s>%s", messageName(e.Msg.Kind()), to)
	}
	for i := range rd.Actions {
		fmt.Fprintf(&b, " %v(%s)", rd.Actions[i].Op, rd.Actions[i].Ref.Slot)
	}
	if n := len(rd.Records); n > 0 {
		fmt.Fprintf(&b, " records=%d", n)
	}
	if b.Len() > 0 {
		fmt.Fprintf(t.out, "%9.3f  %-5s %s →%s  %s %016x\n", at.Seconds(), who, in, b.String(), stepMark(t.steps), t.hash)
	}
}

// stepMark is how a line of a trace names its step.
func stepMark(step uint64) string { return fmt.Sprintf("#%d", step) }

// messageNames are the kinds as scenarios write them.
var messageNames = map[wire.MessageKind]string{
	wire.MsgBeat: "beat", wire.MsgObserve: "observe", wire.MsgVotes: "votes", wire.MsgProbe: "probe",
	wire.MsgDigest: "digest", wire.MsgVector: "vector", wire.MsgLists: "lists", wire.MsgDelta: "delta",
	wire.MsgPush: "push", wire.MsgStore: "store", wire.MsgStored: "stored",
	wire.MsgSketch: "sketch", wire.MsgTrade: "trade", wire.MsgSettle: "settle",
	wire.MsgCall: "call", wire.MsgBid: "bid", wire.MsgAward: "award", wire.MsgReply: "reply",
	wire.MsgStanding: "standing",
}

func messageName(k wire.MessageKind) string {
	if s := messageNames[k]; s != "" {
		return s
	}
	return fmt.Sprintf("message-%d", k)
}
