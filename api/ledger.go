package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"shoal/job"
	"shoal/ledger"
	"shoal/node"
	"shoal/wire"
)

func (s *Server) routeLedger(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/ledger/record", get(s.ledgerEntry))
	mux.HandleFunc("GET /v1/ledger/diff", s.ledgerDiff)
	mux.HandleFunc("GET /v1/ledger/verify", s.ledgerVerify)
	mux.HandleFunc("POST /v1/ledger/import", post(maxBody, s.ledgerImport))
}

// ledgerSum sums up what this peer holds.
func (s *Server) ledgerSum(ctx context.Context, _ *http.Request) (out Ledger, err error) {
	err = s.view(ctx, func(c *node.Core) {
		led, n := c.Ledger(), namesOf(c)
		out = Ledger{
			Peer: n.of(c.Self()), PeerID: c.Self().String(), Swarm: c.Swarm().Hex(), Digest: led.Hash().Hex(),
			Records: led.Len(), Issuers: []LedgerLog{},
		}
		for _, m := range led.Marks() {
			out.Issuers = append(out.Issuers, LedgerLog{
				Issuer: m.UpTo.Issuer.String(), Name: n.of(m.UpTo.Issuer), Records: int(m.Count),
				Mark: numberOf(m.UpTo.Version()), Sum: hex.EncodeToString(m.Sum[:]),
			})
		}
		for _, r := range led.RemovedLives() {
			out.Removed = append(out.Removed, RemovedLife{Job: r.Job.String(), Life: r.Life})
		}
	})
	return out, err
}

// A recordFilter says which records are wanted.
type recordFilter struct {
	kinds   []wire.RecordKind // none: all
	issuers []wire.PeerID     // none: all
	job     job.ID            // empty: all
	limit   int               // 0: none
	raw     bool
}

func (f *recordFilter) keep(r *wire.Record) bool {
	return (len(f.kinds) == 0 || slices.Contains(f.kinds, r.Kind)) &&
		(len(f.issuers) == 0 || slices.Contains(f.issuers, r.Num.Issuer)) &&
		(f.job == "" || ledger.JobOf(r) == f.job)
}

// recordKinds are the kinds that a filter may name; later ones are "kind-17".
var recordKinds = []wire.RecordKind{
	wire.KindSpec, wire.KindHead, wire.KindClaim, wire.KindVerdict, wire.KindBadSpec, wire.KindVolumePlace, wire.KindCard, wire.KindMember,
}

// RecordKinds are their names.
func RecordKinds() (names []string) {
	for _, k := range recordKinds {
		names = append(names, k.String())
	}
	return names
}

func kindNamed(text string) (wire.RecordKind, error) {
	if i := slices.Index(RecordKinds(), text); i >= 0 {
		return recordKinds[i], nil
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(text, "kind-"), 10, 8); err == nil && text == wire.RecordKind(n).String() {
		return wire.RecordKind(n), nil
	}
	return 0, failf(http.StatusBadRequest, "no kind %q: want %s, or kind-N for one of a later version", text, strings.Join(RecordKinds(), ", "))
}

func (s *Server) filterOf(r *http.Request) (f recordFilter, err error) {
	for text := range strings.SplitSeq(r.FormValue("kind"), ",") {
		if text == "" {
			continue
		}
		k, err := kindNamed(text)
		if err != nil {
			return f, err
		}
		f.kinds = append(f.kinds, k)
	}
	if text := r.FormValue("job"); text != "" {
		if f.job, err = parseJob(text); err != nil {
			return f, err
		}
	}
	if text := r.FormValue("limit"); text != "" {
		if f.limit, err = strconv.Atoi(text); err != nil || f.limit < 0 {
			return f, failf(http.StatusBadRequest, "limit %q: want a number of records", text)
		}
	}
	f.raw = r.FormValue("raw") == "true"
	if text := r.FormValue("issuer"); text != "" {
		var found error
		err = s.view(r.Context(), func(c *node.Core) { f.issuers, found = issuersNamed(c, text) })
		err = first(err, found)
	}
	return f, err
}

// issuersNamed finds peers that have brought in records, members or not, by name, ID
// or the end of the ID.
func issuersNamed(c *node.Core, text string) ([]wire.PeerID, error) {
	n := namesOf(c)
	var found []wire.PeerID
	var known []string
	for _, m := range c.Ledger().Marks() {
		id := m.UpTo.Issuer
		if n.of(id) == text || id.String() == text || id.Short() == text {
			found = append(found, id)
		}
		known = append(known, n.of(id))
	}
	if len(found) > 0 {
		return found, nil
	}
	if id, err := wire.ParsePeerID(text); err == nil {
		return []wire.PeerID{id}, nil // nothing of it is held
	}
	slices.Sort(known)
	return nil, failf(http.StatusNotFound, "no record here is by %q; issuers are %s", text, strings.Join(known[:min(len(known), 8)], ", "))
}

// ledgerRecords streams records as they were at one moment.
func (s *Server) ledgerRecords(w http.ResponseWriter, r *http.Request) {
	f, err := s.filterOf(r)
	var views []node.RecordView
	var n names
	if err == nil {
		err = s.view(r.Context(), func(c *node.Core) { views, n = c.Records(f.limit, f.keep), namesOf(c) })
	}
	if err != nil {
		writeError(w, err)
		return
	}
	out := newLines(w)
	for i := range views {
		rec := recordOf(views[i], n, f.raw)
		views[i].Record = nil // once it is sent it need not be kept for us
		if out.put(rec) != nil {
			return
		}
	}
	_ = out.end()
}

// listWait is how long who asked for a long list may pause in reading it.
const listWait = 2 * time.Minute

// put writes a line of many: it goes out with others.
func (l *lines) put(v any) error {
	if l.count%256 == 0 {
		_ = l.control.SetWriteDeadline(time.Now().Add(listWait))
	}
	l.count++
	return l.enc.Encode(v)
}

func (l *lines) end() error {
	_ = l.control.SetWriteDeadline(time.Now().Add(writeWait))
	return l.control.Flush()
}

func numberOf(v wire.Version) Number {
	return Number{Incarnation: v.Inc, Nonce: fmt.Sprintf("%016x", v.Nonce), Sequence: v.Seq}
}

// recordOf is called beside the loop: it reads only what never changes in a record.
func recordOf(v node.RecordView, n names, raw bool) LedgerRecord {
	r := v.Record
	b, _ := wire.Marshal(r) // it was encoded or decoded before
	out := LedgerRecord{
		Number: r.Num.String(), Issuer: r.Num.Issuer.String(), IssuerName: n.of(r.Num.Issuer), Place: numberOf(r.Num.Version()),
		Kind: r.Kind.String(), Key: ledger.KeyText(r), Peer: n.of(ledger.PeerOf(r)), State: v.Standing.String(),
		Detail: detailOf(r, n), Size: len(b), Age: Age(v.Age), Hash: copyOf(r).Hash().Hex(),
	}
	if id := ledger.JobOf(r); id != "" {
		out.Job = id.String()
	}
	if raw {
		out.Raw = b
	}
	return out
}

// copyOf is a record without what is remembered of it, which the core may be writing.
func copyOf(r *wire.Record) *wire.Record {
	return &wire.Record{Num: r.Num, Kind: r.Kind, Key: r.Key, Rank: r.Rank, Body: r.Body, Sig: r.Sig}
}

// detailOf is a record's body in a few words.
func detailOf(r *wire.Record, n names) string {
	switch v := r.Value.(type) {
	case *job.Spec:
		var tasks []string
		for _, t := range v.Tasks {
			tasks = append(tasks, t.Name)
		}
		return v.ID().String() + ": " + strings.Join(tasks, ", ")
	case *ledger.Head:
		text := fmt.Sprintf("life %d, revision %d", v.Life, v.Revision)
		if v.Deleted {
			text += ", removed"
		}
		return text
	case *ledger.Claim:
		return fmt.Sprintf("%s, run %d, on %s", v.Phase, v.Run, n.of(v.Peer))
	case *ledger.Verdict:
		return "lost, says " + n.of(v.By)
	case *ledger.BadSpec:
		return fmt.Sprintf("revision %d: %s", v.Revision, v.Reason)
	case *ledger.VolumePlace:
		return "on " + n.of(v.Peer)
	case *ledger.Card:
		return fmt.Sprintf("%s, incarnation %d", cmp.Or(v.Name, v.Peer.Short()), r.Num.Inc)
	case *ledger.Member:
		return memberText(v)
	}
	return fmt.Sprintf("a body of %d bytes", len(r.Body))
}

func memberText(m *ledger.Member) string {
	switch {
	case m.Revoked:
		return "removed"
	case m.Left:
		return "left"
	}
	return "member"
}

// ledgerEntry shows one record in full.
func (s *Server) ledgerEntry(ctx context.Context, r *http.Request) (LedgerEntry, error) {
	of := strings.TrimSpace(r.FormValue("of"))
	if of == "" {
		return LedgerEntry{}, failf(http.StatusBadRequest, "no record named: want a key or a number, as `shoal ledger ls` lists them")
	}
	views, n, swarm, err := s.recordsNamed(ctx, of)
	if err != nil {
		return LedgerEntry{}, err
	}
	if len(views) == 0 {
		return LedgerEntry{}, failf(http.StatusNotFound, "no record %q here: `shoal ledger ls` lists keys and numbers", of)
	}
	// What counts before what does not, the later before the earlier.
	slices.SortStableFunc(views, func(a, b node.RecordView) int {
		return cmp.Or(cmp.Compare(rankOf(a.Standing), rankOf(b.Standing)), b.Record.Num.Version().Compare(a.Record.Num.Version()))
	})
	return entryOf(views, n, swarm)
}

// recordsNamed looks for what a text names beside the loop: names are dear to make.
func (s *Server) recordsNamed(ctx context.Context, of string) (views []node.RecordView, n names, swarm wire.Hash, err error) {
	var all []*wire.Record
	if err = s.view(ctx, func(c *node.Core) { n, swarm, all = namesOf(c), c.Swarm(), c.Ledger().Snapshot() }); err != nil {
		return nil, nil, swarm, err
	}
	is := matcher(of, n)
	found := map[*wire.Record]bool{}
	for _, r := range all {
		if is(r) {
			found[r] = true
		}
	}
	if len(found) > 0 {
		err = s.view(ctx, func(c *node.Core) { views = c.Records(0, func(r *wire.Record) bool { return found[r] }) })
	}
	return views, n, swarm, err
}

func rankOf(s ledger.Standing) int {
	if s == ledger.Ended {
		return 1
	}
	return 0
}

func entryOf(views []node.RecordView, n names, swarm wire.Hash) (LedgerEntry, error) {
	rec := views[0].Record
	e := LedgerEntry{LedgerRecord: recordOf(views[0], n, true), Signature: "valid", Rank: hex.EncodeToString(rec.Rank)}
	if !copyOf(rec).Verify(swarm, wire.VerifyEd25519) {
		e.Signature = "forged"
	}
	for _, v := range views[1:] {
		e.Others = append(e.Others, v.Record.Num.String())
	}
	if views[0].Standing == ledger.Unknown {
		var err error
		if e.Diagnostic, err = wire.Diagnose(rec.Body); err != nil {
			e.Diagnostic = fmt.Sprintf("no CBOR, or more than is shown: %d bytes, h'%x…'", len(rec.Body), rec.Body[:min(len(rec.Body), 64)])
		}
		return e, nil
	}
	body, err := fieldsOf(rec.Value)
	e.Body = body
	return e, err
}

// matcher tells the records that a text names: by key, with peers by name or ID as
// well as by its end, or by number, with or without the nonce.
func matcher(text string, n names) func(*wire.Record) bool {
	text = strings.Replace(text, "/"+job.DefaultNamespace+"/", "/", 1)
	return func(r *wire.Record) bool {
		if r.Num.String() == text || longNumber(r.Num) == text {
			return true
		}
		kind, _, _ := strings.Cut(text, "/")
		if kind != r.Kind.String() {
			return false
		}
		key := ledger.KeyText(r)
		if key == text || r.Kind == wire.KindSpec && len(text) > len("spec/")+5 && strings.HasPrefix("spec/"+wire.HashOf(r.Body).Hex(), text) {
			return true
		}
		p := ledger.PeerOf(r)
		if p.IsZero() {
			return false
		}
		stem := strings.TrimSuffix(key, p.Short())
		return stem+n.of(p) == text || stem+p.String() == text
	}
}

func longNumber(n wire.Number) string {
	return fmt.Sprintf("%s/%d.%016x.%d", n.Issuer.Short(), n.Inc, n.Nonce, n.Seq)
}

// ledgerImport brings records in; what does not decode is told as such.
func (s *Server) ledgerImport(ctx context.Context, q ImportRequest) (Import, error) {
	if len(q.Records) > node.MaxImport {
		return Import{}, failf(http.StatusBadRequest, "%d records at once, at most %d are taken", len(q.Records), node.MaxImport)
	}
	out := Import{Outcomes: make([]string, len(q.Records))}
	var recs []*wire.Record
	var at []int
	for i, b := range q.Records {
		out.Outcomes[i] = ledger.OfferedMalformed.String()
		rec, err := wire.DecodeRecord(b)
		if err != nil {
			continue
		}
		if again, err := wire.Marshal(rec); err != nil || !bytes.Equal(again, b) {
			continue // one value has one encoding
		}
		recs, at = append(recs, rec), append(at, i)
	}
	rep, err := s.do(ctx, node.Request{Import: &node.Import{Records: recs}})
	if err == nil && len(rep.Imported) != len(recs) {
		err = fmt.Errorf("%d answers to %d records", len(rep.Imported), len(recs))
	}
	if err != nil {
		return Import{}, err
	}
	for i, o := range rep.Imported {
		out.Outcomes[at[i]] = o.String()
	}
	return out, nil
}
