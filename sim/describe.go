package sim

import (
	"fmt"
	"strings"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

// A StepView is one step of one core, in words.
type StepView struct {
	Step     uint64        `json:"step"`
	At       time.Duration `json:"at"`   // of simulated time
	Now      time.Duration `json:"now"`  // the peer's own instant
	Peer     string        `json:"peer"` // "n3"
	Input    string        `json:"input"`
	Refused  string        `json:"refused,omitempty"` // why the core refused the input
	Records  []string      `json:"records,omitempty"`
	Messages []string      `json:"messages,omitempty"`
	Actions  []string      `json:"actions,omitempty"`
	Replies  []string      `json:"replies,omitempty"`
	Events   []string      `json:"events,omitempty"`
	Others   []string      `json:"others,omitempty"` // redials, volumes to delete, a halt
	WakeAt   time.Duration `json:"wakeAt"`           // the peer's own instant; 0: not before something comes
	Hash     string        `json:"hash"`             // of the trace, this step included
}

// ViewStep puts a step into words; name gives a peer's name.
func ViewStep(in *node.Input, rd *node.Ready, err error, name func(wire.PeerID) string) *StepView {
	v := &StepView{Now: time.Duration(in.Now), Input: inputText(in, name), WakeAt: time.Duration(rd.WakeAt)}
	if err != nil {
		v.Refused = err.Error()
	}
	for i := range rd.Records {
		v.Records = append(v.Records, writeText(&rd.Records[i], name))
	}
	for i := range rd.Messages {
		e := &rd.Messages[i]
		to := "all"
		if !e.To.IsZero() {
			to = name(e.To)
		}
		v.Messages = append(v.Messages, "to "+to+": "+messageText(e.Msg, name))
	}
	for i := range rd.Actions {
		a := &rd.Actions[i]
		v.Actions = append(v.Actions, fmt.Sprintf("%v %s of %s, token %d (action %d)", a.Op, a.Container, a.Ref.Slot, a.Ref.Token, a.ID))
	}
	for i := range rd.Replies {
		p := &rd.Replies[i]
		v.Replies = append(v.Replies, strings.TrimSpace(fmt.Sprintf("to request %d: %s life=%d revision=%d stores=%d %s", p.ID, p.Job, p.Life, p.Revision, len(p.Stores), p.Err)))
	}
	for i := range rd.Events {
		e := &rd.Events[i]
		v.Events = append(v.Events, strings.TrimSpace(e.Kind+" "+space(e.Slot)+eventText(e, name)))
	}
	for _, p := range rd.Redial {
		v.Others = append(v.Others, "redial "+name(p))
	}
	for _, s := range rd.Shun {
		v.Others = append(v.Others, fmt.Sprintf("take nothing of %s for %v", name(s.Peer), s.For.Round(time.Second)))
	}
	for _, x := range rd.Volumes {
		v.Others = append(v.Others, fmt.Sprintf("delete volume %s of slot %d", x.Volume, x.Slot))
	}
	if rd.Halt != "" {
		v.Others = append(v.Others, "halt: "+string(rd.Halt))
	}
	return v
}

// eventText is the text of an event, with the name of a peer that the core knows by
// its ID alone, its card not having come yet.
func eventText(e *node.Event, name func(wire.PeerID) string) string {
	if e.Peer.IsZero() {
		return e.Text
	}
	return strings.ReplaceAll(e.Text, e.Peer.Short(), name(e.Peer))
}

func inputText(in *node.Input, name func(wire.PeerID) string) string {
	switch {
	case in.Received != nil && in.Received.Topic != 0:
		return fmt.Sprintf("from %s, topic %v: %s", name(in.Received.From), in.Received.Topic, messageText(in.Received.Msg, name))
	case in.Received != nil:
		return fmt.Sprintf("from %s: %s", name(in.Received.From), messageText(in.Received.Msg, name))
	case in.Refused != nil:
		return fmt.Sprintf("%d times dropped, from %s: %s", in.Refused.Count, name(in.Refused.Peer), in.Refused.Fault.String())
	case in.Linked != nil:
		return fmt.Sprintf("link to %s up: %v", name(in.Linked.Peer), in.Linked.Up)
	case in.Snapshot != nil && in.Snapshot.Err != "":
		return "the engine does not tell what runs: " + in.Snapshot.Err
	case in.Snapshot != nil:
		var parts []string
		for i := range in.Snapshot.Containers {
			c := &in.Snapshot.Containers[i]
			parts = append(parts, fmt.Sprintf("%s, token %d: %v", c.Ref.Slot, c.Ref.Token, c.State))
		}
		return fmt.Sprintf("the engine has %d containers [%s]", len(parts), strings.Join(parts, "; "))
	case in.Done != nil:
		return strings.TrimSpace(fmt.Sprintf("action %d is done: %v %s %s", in.Done.ID, in.Done.Op, in.Done.Container, in.Done.Err))
	case in.Facts != nil:
		return fmt.Sprintf("facts: %+v", in.Facts.Capacity)
	case in.Request != nil:
		return requestText(in.Request)
	case in.Disk != nil:
		return fmt.Sprintf("disk: %d of %d bytes free", in.Disk.FreeBytes, in.Disk.TotalBytes)
	case in.Images != nil:
		return fmt.Sprintf("the engine has %d images", len(in.Images.List))
	case in.Addrs != nil:
		return "own addresses: " + strings.Join(in.Addrs, ", ")
	}
	return "tick"
}

func requestText(q *node.Request) string {
	head := fmt.Sprintf("request %d: ", q.ID)
	switch {
	case q.Deploy != nil:
		return head + "deploy " + string(q.Deploy.Spec.ID())
	case q.Remove != nil:
		return head + "remove " + string(q.Remove.Job)
	case q.Scale != nil:
		return head + fmt.Sprintf("scale %s/%s to %d", q.Scale.Job, q.Scale.Task, q.Scale.Count)
	case q.Rollback != nil:
		return head + fmt.Sprintf("roll %s back to revision %d", q.Rollback.Job, q.Rollback.Revision)
	case q.Drain != nil:
		head += fmt.Sprintf("drain, undo: %v", q.Drain.Undo)
		if q.Drain.Deadline > 0 {
			head += fmt.Sprintf(", deadline %s", q.Drain.Deadline)
		}
		return head
	case q.Leave != nil && q.Leave.Deadline > 0:
		return head + fmt.Sprintf("leave, deadline %s", q.Leave.Deadline)
	case q.Leave != nil:
		return head + "leave"
	case q.Expel != nil:
		return head + "remove peer " + q.Expel.Peer.Short()
	}
	return head + "another one"
}

func writeText(w *node.Write, name func(wire.PeerID) string) string {
	text := "barrier"
	switch {
	case w.Put != nil:
		text = "put " + recordText(w.Put, name)
	case w.Drop != nil:
		text = "drop " + numberText(*w.Drop, name)
	case w.Local != nil && w.Local.Value == nil:
		text = "delete local " + localText(w.Local.Key, name)
	case w.Local != nil:
		text = fmt.Sprintf("local %s, %d bytes", localText(w.Local.Key, name), len(w.Local.Value))
	}
	if w.Sync {
		text += ", synced"
	}
	return text
}

// localText shows the key of a local fact; some end with a peer's ID as bytes.
func localText(key string, name func(wire.PeerID) string) string {
	var p wire.PeerID
	if head, rest, ok := strings.Cut(key, "/"); ok && len(rest) == len(p) {
		copy(p[:], rest)
		return head + "/" + name(p)
	}
	return fmt.Sprintf("%q", key)
}

func numberText(n wire.Number, name func(wire.PeerID) string) string {
	return fmt.Sprintf("%s/%d.%d", name(n.Issuer), n.Inc, n.Seq)
}

// recordText is a record in a few words.
func recordText(r *wire.Record, name func(wire.PeerID) string) string {
	if r == nil {
		return "nothing"
	}
	text := fmt.Sprintf("%v %s", r.Kind, numberText(r.Num, name))
	if ledger.Open(r) != nil {
		return text
	}
	switch v := r.Value.(type) {
	case *job.Spec:
		text += " of " + string(v.ID())
	case *ledger.Head:
		text += fmt.Sprintf(" of %s life=%d revision=%d deleted=%v", v.Job, v.Life, v.Revision, v.Deleted)
	case *ledger.Claim:
		text += " " + claimText(v, name)
	case *ledger.Verdict:
		text += fmt.Sprintf(" %s life=%d token=%d of %s run=%d refuted=%d", v.Slot, v.Life, v.Token, name(v.Peer), v.Run, v.Refuted)
	case *ledger.BadSpec:
		text += fmt.Sprintf(" %s life=%d revision=%d: %s", v.Slot, v.Life, v.Revision, v.Reason)
	case *ledger.VolumePlace:
		text += fmt.Sprintf(" %s/%s.%d on %s gone=%v", v.Job, v.Volume, v.Slot, name(v.Peer), v.Gone)
	case *ledger.Card:
		text += fmt.Sprintf(" draining=%v", v.Draining)
	case *ledger.Member:
		text += fmt.Sprintf(" %s revoked=%v left=%v", name(v.Peer), v.Revoked, v.Left)
	}
	return text
}

func claimText(c *ledger.Claim, name func(wire.PeerID) string) string {
	text := fmt.Sprintf("%s life=%d token=%d by %s %v run=%d", c.Slot, c.Life, c.Token, name(c.Peer), c.Phase, c.Run)
	if c.Refuted > 0 {
		text += fmt.Sprintf(" refuted=%d", c.Refuted)
	}
	if c.Leaving {
		text += " leaving"
	}
	if c.Detail != "" {
		text += ": " + c.Detail
	}
	return text
}

func recordsText(records []*wire.Record, name func(wire.PeerID) string) string {
	var parts []string
	for _, r := range records {
		if len(parts) == 8 {
			parts = append(parts, fmt.Sprintf("and %d more", len(records)-8))
			break
		}
		parts = append(parts, recordText(r, name))
	}
	return " [" + strings.Join(parts, "; ") + "]"
}

// messageText is a message in a few words.
func messageText(m wire.Message, name func(wire.PeerID) string) string {
	text := messageName(m.Kind())
	switch m := m.(type) {
	case *wire.Beat:
		text += fmt.Sprintf(" %d of start %d, ready: %v", m.Beat, m.Inc, m.Ready)
	case *wire.Observe:
		text += fmt.Sprintf(" for %v", m.For)
	case *wire.Votes:
		for i := range m.Votes {
			v := &m.Votes[i]
			text += fmt.Sprintf(" (%s by %s, last beat %d)", name(v.Of), name(v.By), v.Last)
		}
	case *wire.Probe:
		text += fmt.Sprintf(" of %s start %d, answer: %v, heard: %v", name(m.Of), m.Inc, m.Answer, m.Heard)
	case *wire.Digest:
		text += fmt.Sprintf(" %d, equal: %v", m.ID, m.Equal)
	case *wire.Vector:
		text += fmt.Sprintf(" %d, %d marks", m.ID, len(m.Marks))
	case *wire.Lists:
		text += fmt.Sprintf(" %d, %d issuers", m.ID, len(m.Issuers))
	case *wire.Delta:
		text += fmt.Sprintf(" %d%s want=%d drop=%d close=%v more=%v", m.ID, recordsText(m.Records, name), len(m.Want), len(m.Drop), m.Close, m.More)
	case *wire.Sketch:
		text += fmt.Sprintf(" %d, %d bytes of symbols", m.ID, len(m.Symbols))
	case *wire.Trade:
		text += fmt.Sprintf(" %d%s want=%d more=%v", m.ID, recordsText(m.Records, name), len(m.Want)/6, m.More)
	case *wire.Settle:
		text += fmt.Sprintf(" %d%s more=%v", m.ID, recordsText(m.Records, name), m.More)
	case *wire.Push:
		text += fmt.Sprintf(" hops=%d%s", m.Hops, recordsText(m.Records, name))
	case *wire.Store:
		text += fmt.Sprintf(" %d%s", m.ID, recordsText(m.Records, name))
	case *wire.Stored:
		text += fmt.Sprintf(" %d %s", m.ID, m.Refused)
	case *wire.Call:
		for i := range m.Lots {
			text += fmt.Sprintf(" (%s/%s slots %v)", m.Lots[i].Job, m.Lots[i].Task, m.Lots[i].Slots)
		}
	case *wire.Bid:
		text += fmt.Sprintf(" on %d, %d offers %s", m.Call, len(m.Offers), m.No)
	case *wire.Standing:
		text += standingText(m)
	case *wire.Award:
		for i := range m.Slots {
			text += fmt.Sprintf(" (%s token %d)", m.Slots[i].Slot, m.Slots[i].Token)
		}
	case *wire.Reply:
		for i := range m.Decisions {
			d := &m.Decisions[i]
			text += strings.TrimRight(fmt.Sprintf(" (%s token %d %s", d.Slot, d.Token, d.Decline), " ") + ")"
		}
	}
	return text
}

func standingText(m *wire.Standing) string {
	switch {
	case m.Still:
		return fmt.Sprintf(" %d still", m.Seq)
	case m.No != "":
		return fmt.Sprintf(" %d nothing: %s", m.Seq, m.No)
	}
	return fmt.Sprintf(" %d, %d mCPU and %d MiB free, load %d", m.Seq, m.Free.CPUMilli, m.Free.MemBytes>>20, m.Load)
}
