package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"shoal/node"
	"shoal/wire"
)

// ledgerDiff compares what this peer holds with what another does, issuer by issuer,
// so that no more than the differences are kept. Each side is seen at its own moment:
// what is on its way may show as a difference.
func (s *Server) ledgerDiff(w http.ResponseWriter, r *http.Request) {
	id, isSelf, err := s.peer(r.Context(), r.FormValue("peer"))
	switch {
	case err != nil:
	case r.FormValue("peer") == "":
		err = failf(http.StatusBadRequest, "no peer named")
	case isSelf:
		err = failf(http.StatusBadRequest, "%s is this peer itself: name another", r.FormValue("peer"))
	}
	d := differ{s: s, peer: id}
	if err == nil {
		d.here, err = s.ledgerSum(r.Context(), r)
	}
	if err == nil {
		d.there, err = fetchFrom[Ledger](r.Context(), s, id, "/ledger")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	d.out = newLines(w)
	if err := d.run(r.Context()); err != nil && r.Context().Err() == nil {
		_ = d.out.write(LedgerDiff{Error: err.Error()})
	}
}

// fetchFrom is fetch with a sentence for what does not answer.
func fetchFrom[A any](ctx context.Context, s *Server, id wire.PeerID, path string) (a A, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err = s.fetch(ctx, id, http.MethodGet, path, nil, &a)
	return a, s.noLedger(ctx, id, err)
}

// noLedger is unanswered for what an earlier version does not serve.
func (s *Server) noLedger(ctx context.Context, id wire.PeerID, err error) error {
	var p *Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return failf(http.StatusBadGateway, "peer %s runs a shoal that cannot show its ledger: update it", s.nameOf(ctx, id))
	}
	return s.unanswered(ctx, id, err, "")
}

// unanswered makes one sentence of the error of a peer that does not answer; so is what
// follows from that. A problem that it answers with stays as it is.
func (s *Server) unanswered(ctx context.Context, id wire.PeerID, err error, so string) error {
	var p *Problem
	if err == nil || errors.As(err, &p) {
		return err
	}
	why := causeOf(err)
	if ctx.Err() != nil {
		so, why = "", "its time for that is over" // it may have been done
	}
	_ = s.view(context.WithoutCancel(ctx), func(c *node.Core) {
		if v, _ := c.Peer(id); slices.Contains([]string{"dead", "left", "removed"}, v.State) {
			why = "it is " + v.State
		}
	})
	return failf(http.StatusBadGateway, "peer %s does not answer%s: %s", s.nameOf(ctx, id), so, why)
}

// nameOf is what people call a peer.
func (s *Server) nameOf(ctx context.Context, id wire.PeerID) string {
	name := id.Short()
	_ = s.view(context.WithoutCancel(ctx), func(c *node.Core) { name = namesOf(c).of(id) })
	return name
}

// causeOf is one line of an error. It leaves out the address that members ask one another
// by, which tells a person nothing, and each of the many that a dial has tried.
func causeOf(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimRight(line, ": ")
}

// A differ compares two ledgers and writes what differs.
type differ struct {
	s           *Server
	peer        wire.PeerID
	here, there Ledger
	out         *lines
	differs     bool
}

func (d *differ) run(ctx context.Context) error {
	if d.here.Swarm != d.there.Swarm {
		return fmt.Errorf("peer %s is of another swarm", d.there.Peer)
	}
	err := mergeJoin(d.here.Issuers, d.there.Issuers, func(a, b *LedgerLog) int { return cmp.Compare(a.Issuer, b.Issuer) },
		func(here, there *LedgerLog) error {
			if here != nil && there != nil && here.Sum == there.Sum && here.Records == there.Records {
				return nil
			}
			return d.issuer(ctx, here, there)
		})
	if err != nil {
		return err
	}
	return d.out.write(LedgerDiff{Done: &DiffDone{
		Peer: d.here.Peer, Other: d.there.Peer, Equal: !d.differs, Records: d.here.Records, Others: d.there.Records,
	}})
}

// issuer compares one issuer's logs. A side that has none of it has a nil log.
func (d *differ) issuer(ctx context.Context, here, there *LedgerLog) error {
	var some LedgerLog
	var mine, theirs []LedgerRecord
	var err error
	if there != nil {
		some = *there
		theirs, err = d.fetch(ctx, there.Issuer)
	}
	if here != nil {
		some = *here
		mine = d.s.recordsBy(ctx, here.Issuer)
	}
	if err != nil {
		return err
	}
	sum := IssuerDiff{Issuer: some.Issuer, Name: some.Name}
	var lines []LedgerDiff
	err = mergeJoin(mine, theirs, compareListed, func(a, b *LedgerRecord) error {
		switch {
		case a == nil:
			sum.There++
			lines = append(lines, LedgerDiff{Only: d.there.Peer, Why: whyLacking(here, b), Record: b})
		case b == nil:
			sum.Here++
			lines = append(lines, LedgerDiff{Only: d.here.Peer, Why: whyLacking(there, a), Record: a})
		default:
			sum.Both++
		}
		return nil
	})
	if err != nil || len(lines) == 0 {
		return err // only the marks differ, or what differed has come meanwhile
	}
	d.differs = true
	if err := d.out.write(LedgerDiff{Issuer: &sum}); err != nil {
		return err
	}
	for _, l := range lines {
		if err := d.out.put(l); err != nil {
			return err
		}
	}
	return nil
}

// whyLacking tells whether the side with that log has had a record and dropped it.
func whyLacking(log *LedgerLog, r *LedgerRecord) string {
	if log == nil {
		return "not had yet"
	}
	m, p := log.Mark, r.Place
	if p.Incarnation < m.Incarnation || p.Incarnation == m.Incarnation && p.Nonce == m.Nonce && p.Sequence <= m.Sequence {
		return "dropped"
	}
	return "not had yet"
}

// compareListed orders listed records of one issuer as their log does.
func compareListed(a, b *LedgerRecord) int {
	p, q := a.Place, b.Place
	return cmp.Or(cmp.Compare(p.Incarnation, q.Incarnation), cmp.Compare(nonceOf(p), nonceOf(q)), cmp.Compare(p.Sequence, q.Sequence),
		cmp.Compare(a.Hash, b.Hash))
}

func nonceOf(n Number) uint64 {
	v, _ := strconv.ParseUint(n.Nonce, 16, 64)
	return v
}

// mergeJoin walks two ordered lists and calls f with what is alike, or with nil for
// what one of them lacks.
func mergeJoin[T any](a, b []T, compare func(a, b *T) int, f func(a, b *T) error) error {
	for len(a) > 0 || len(b) > 0 {
		var order int
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = compare(&a[0], &b[0])
		}
		var x, y *T
		if order <= 0 {
			x, a = &a[0], a[1:]
		}
		if order >= 0 {
			y, b = &b[0], b[1:]
		}
		if err := f(x, y); err != nil {
			return err
		}
	}
	return nil
}

// recordsBy lists what this peer holds by one issuer.
func (s *Server) recordsBy(ctx context.Context, issuer string) []LedgerRecord {
	id, err := wire.ParsePeerID(issuer)
	if err != nil {
		return nil
	}
	var views []node.RecordView
	var n names
	if s.view(ctx, func(c *node.Core) {
		n = namesOf(c)
		views = c.Records(0, func(r *wire.Record) bool { return r.Num.Issuer == id })
	}) != nil {
		return nil
	}
	out := make([]LedgerRecord, len(views))
	for i, v := range views {
		out[i] = recordOf(v, n, false)
	}
	return out
}

// maxFetched bounds what is taken of another peer's list of one issuer's records.
const maxFetched = 1 << 20

func (d *differ) fetch(ctx context.Context, issuer string) (out []LedgerRecord, err error) {
	resp, err := d.s.call(ctx, d.peer, http.MethodGet, "/ledger/records?issuer="+url.QueryEscape(issuer), nil)
	if err != nil {
		return nil, d.s.noLedger(ctx, d.peer, err)
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(io.LimitReader(resp.Body, maxFetched<<10))
	for len(out) < maxFetched {
		var r LedgerRecord
		if err := dec.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			return nil, fmt.Errorf("the answer of peer %s broke off: %w", d.there.Peer, err)
		}
		out = append(out, r)
	}
	return nil, fmt.Errorf("peer %s lists more than %d records by one issuer", d.there.Peer, maxFetched)
}
