package api

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// A lines writes one JSON object a line, each within writeWait: who does not read
// is cut off, not waited for.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
	enc     *json.Encoder
	count   int // by put
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	l := &lines{w: w, control: http.NewResponseController(w), enc: json.NewEncoder(w)}
	_ = l.control.Flush() // the reader knows at once that it is being served
	return l
}

func (l *lines) write(v any) error {
	_ = l.control.SetWriteDeadline(time.Now().Add(writeWait))
	if err := l.enc.Encode(v); err != nil {
		return err
	}
	return l.control.Flush()
}

// logs streams the output of one slot, from its holder.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	holder, isSelf, err := s.holderOf(r.Context(), r.FormValue("slot"))
	switch {
	case err != nil:
		writeError(w, err)
	case isSelf:
		s.ownLogs(w, r)
	default:
		s.relay(w, r, holder)
	}
}

// holderOf finds who holds a slot.
func (s *Server) holderOf(ctx context.Context, slot string) (holder wire.PeerID, isSelf bool, err error) {
	v, self, err := s.claimOf(ctx, slot)
	return v.Peer, v.Peer == self, err
}

func (s *Server) claimOf(ctx context.Context, slot string) (v node.SlotView, self wire.PeerID, err error) {
	var found error
	err = s.view(ctx, func(c *node.Core) {
		self = c.Status().Self.ID
		why, err := c.Why(slot)
		v = why.Slot
		switch {
		case err != nil:
			found = failf(http.StatusNotFound, "%v", err)
		case v.Peer.IsZero():
			found = failf(http.StatusNotFound, "slot %s has no container, it is %s: see `shoal why %s`", slot, v.Phase, slot)
		}
	})
	return v, self, first(err, found)
}

// relay passes on what the holder streams.
func (s *Server) relay(w http.ResponseWriter, r *http.Request, holder wire.PeerID) {
	q := url.Values{}
	for _, k := range []string{"slot", "follow", "tail"} {
		q.Set(k, r.FormValue(k))
	}
	resp, err := s.call(r.Context(), holder, http.MethodGet, "/logs?"+q.Encode(), nil)
	if err != nil {
		var p *Problem
		if !errors.As(err, &p) {
			err = failf(http.StatusBadGateway, "peer %s, which holds %s, does not answer: %v", holder.Short(), r.FormValue("slot"), err)
		}
		writeError(w, err)
		return
	}
	defer resp.Body.Close()
	out := newLines(w)
	gone := false
	err = relayed(resp.Body, func(line LogLine) error {
		err := out.write(line)
		gone = err != nil
		return err
	})
	if err != nil && !gone && r.Context().Err() == nil {
		_ = out.write(LogLine{Slot: r.FormValue("slot"), Err: "the connection to peer " + holder.Short() + ", which holds it, broke"})
	}
}

// maxRelayed bounds a log line as another peer sends it: its text, of which each byte may
// take six in JSON, and the rest.
const maxRelayed = 6*runtime.MaxLogLine + 4<<10

// relayed reads the log lines that a peer streams, one by one, and refuses one that is
// longer than any can be: nobody makes us keep what has no end.
func relayed(in io.Reader, each func(LogLine) error) error {
	sc := bufio.NewScanner(in)
	sc.Buffer(nil, maxRelayed)
	for sc.Scan() {
		var line LogLine
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil {
			return err
		}
		if err := each(line); err != nil {
			return err
		}
	}
	return sc.Err()
}

// ownLogs streams the output of a slot that this peer holds.
func (s *Server) ownLogs(w http.ResponseWriter, r *http.Request) {
	slot := r.FormValue("slot")
	opts, err := logOptions(r)
	if err != nil {
		writeError(w, err)
		return
	}
	v, self, err := s.claimOf(r.Context(), slot)
	if err == nil && v.Peer != self {
		err = failf(http.StatusConflict, "slot %s has moved to another peer: ask again", slot)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	in, err := s.cfg.Backend.Logs(r.Context(), v.Container, opts)
	if err != nil {
		writeError(w, failf(http.StatusNotFound, "slot %s is %s and has no output yet: %v", slot, v.Phase, err))
		return
	}
	defer in.Close()
	stop := context.AfterFunc(r.Context(), func() { in.Close() })
	defer stop()
	copyLines(newLines(w), in, slot)
}

func logOptions(r *http.Request) (runtime.LogOptions, error) {
	o := runtime.LogOptions{Follow: r.FormValue("follow") == "true"}
	if t := r.FormValue("tail"); t != "" {
		n, err := strconv.Atoi(t)
		if err != nil || n < 0 {
			return o, failf(http.StatusBadRequest, "tail %q: want a number of lines", t)
		}
		o.Tail = n
	}
	return o, nil
}

func copyLines(out *lines, in io.Reader, slot string) {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 0, 4096), 4*runtime.MaxLogLine)
	for sc.Scan() {
		l, err := runtime.ParseLogLine(sc.Text())
		if err != nil {
			continue // a line of a driver that is newer than we are
		}
		stream := "stdout"
		if l.Stream == runtime.Stderr {
			stream = "stderr"
		}
		if out.write(LogLine{Slot: slot, Time: l.Time, Stream: stream, Text: l.Text}) != nil {
			return
		}
	}
}

// ownEvents streams what happened at this peer.
func (s *Server) ownEvents(w http.ResponseWriter, r *http.Request) {
	since, err := sinceOf(r)
	if err != nil {
		writeError(w, err)
		return
	}
	n := names{}
	self := ""
	refresh := func() {
		_ = s.view(r.Context(), func(c *node.Core) { n, self = namesOf(c), c.Status().Self.Name })
	}
	refresh()
	out := newLines(w)
	_ = s.cfg.Backend.Events(r.Context(), 0, r.FormValue("follow") == "true", func(seq uint64, at time.Time, e node.Event) error {
		if at.Before(since) {
			return nil
		}
		if _, known := n[e.Peer]; !known && !e.Peer.IsZero() {
			refresh()
		}
		return out.write(eventOf(seq, at, e, n, self))
	})
}

func eventOf(seq uint64, at time.Time, e node.Event, n names, from string) Event {
	v := Event{Seq: seq, Time: at.UTC(), Kind: e.Kind, Slot: e.Slot, Peer: n.of(e.Peer), Text: e.Text, From: from}
	if e.Job != "" {
		v.Job = e.Job.String()
	}
	return v
}

// sinceOf reads since, seconds before now; empty is the beginning.
func sinceOf(r *http.Request) (time.Time, error) {
	text := r.FormValue("since")
	if text == "" {
		return time.Time{}, nil
	}
	var a Age
	if err := a.UnmarshalJSON([]byte(text)); err != nil {
		return time.Time{}, failf(http.StatusBadRequest, "since: %v", err)
	}
	return time.Now().Add(-time.Duration(a)), nil
}

// maxEventPeers bounds whom events asks; in a larger swarm the answer names them.
const maxEventPeers = 64

// events streams what happened, at this peer and, unless only its own are wanted or
// it follows, at every other that answers, in the order of their clocks.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("here") == "true" || r.FormValue("follow") == "true" || s.peers == nil {
		s.ownEvents(w, r)
		return
	}
	since, err := sinceOf(r)
	if err != nil {
		writeError(w, err)
		return
	}
	all, silent, err := s.gatherEvents(r.Context(), r.FormValue("since"), since)
	if err != nil {
		writeError(w, err)
		return
	}
	out := newLines(w)
	for _, e := range all {
		if out.write(e) != nil {
			return
		}
	}
	for _, name := range silent {
		_ = out.write(Event{Time: time.Now().UTC(), Kind: "unanswered", Peer: name, Text: "peer " + name + " did not answer: its events are missing here"})
	}
}

func (s *Server) gatherEvents(ctx context.Context, text string, since time.Time) (all []Event, silent []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*peerWait)
	defer cancel()
	var others []wire.PeerID
	var n names
	self := ""
	err = s.view(ctx, func(c *node.Core) {
		n = namesOf(c)
		for _, p := range c.Peers() {
			switch {
			case p.Self:
				self = p.Name
			case (p.State == "ready" || p.State == "joining" || p.State == "suspect") && len(others) < maxEventPeers:
				others = append(others, p.ID)
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	err = s.cfg.Backend.Events(ctx, 0, false, func(seq uint64, at time.Time, e node.Event) error {
		if !at.Before(since) {
			all = append(all, eventOf(seq, at, e, n, self))
		}
		return nil
	})
	answers := gather(others, func(p wire.PeerID) ([]Event, error) {
		return s.eventsAt(ctx, p, text)
	})
	for i, a := range answers {
		all = append(all, a.value...)
		if a.err != nil {
			silent = append(silent, n.of(others[i]))
		}
	}
	slices.SortStableFunc(all, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.From, b.From), cmp.Compare(a.Seq, b.Seq))
	})
	return all, silent, err
}

func (s *Server) eventsAt(ctx context.Context, p wire.PeerID, since string) ([]Event, error) {
	resp, err := s.call(ctx, p, http.MethodGet, "/events?since="+url.QueryEscape(since), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readEvents(io.LimitReader(resp.Body, maxAnswer))
}

// maxEvents bounds the events of one peer: no more are kept.
const maxEvents = 10_000

func readEvents(in io.Reader) ([]Event, error) {
	var out []Event
	dec := json.NewDecoder(in)
	for len(out) < maxEvents {
		var e Event
		if err := dec.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return out, err
		}
		out = append(out, e)
	}
	return out, nil
}
