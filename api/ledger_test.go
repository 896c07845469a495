package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"shoal/node"
	"shoal/wire"
)

var swarmOfTests = wire.HashOf([]byte("swarm"))

// later is a record of a kind that this version does not know, by a peer of its own.
func later(seq uint64, body any) *wire.Record {
	key := wire.Key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32)))
	r := &wire.Record{
		Num:  wire.Number{Issuer: key.Peer(), Inc: 1, Nonce: 2, Seq: seq},
		Kind: 17, Key: []byte{0xab, byte(seq)}, Rank: []byte{1}, Body: wire.MustMarshal(body),
	}
	r.Seal(swarmOfTests, key)
	return r
}

// bring imports records and returns what became of each.
func bring(t *testing.T, h http.Handler, recs ...*wire.Record) string {
	t.Helper()
	var texts []string
	for _, r := range recs {
		texts = append(texts, base64.StdEncoding.EncodeToString(wire.MustMarshal(r)))
	}
	b, _ := json.Marshal(map[string]any{"records": texts})
	code, text := ask(t, h, "POST", "/v1/ledger/import", string(b))
	if code != 200 {
		t.Fatalf("import: %d %s", code, text)
	}
	return strings.TrimSpace(text)
}

func deployed(t *testing.T) (*alone, *Server) {
	t.Helper()
	a := newAlone(t)
	s := New(Config{Backend: a})
	if code, text := ask(t, s.Handler(), "POST", "/v1/deploy", oneTask); code != 200 {
		t.Fatal(text)
	}
	return a, s
}

func TestLedger_ListsWhatEachRecordCountsFor(t *testing.T) {
	_, s := deployed(t)
	h := s.Handler()
	bring(t, h, later(1, map[int]string{1: "x"}))
	if code, text := ask(t, h, "POST", "/v1/remove", `{"job":"shop"}`); code != 200 {
		t.Fatal(text)
	}
	for _, c := range []struct{ query, want string }{
		{"", `"kind":"spec","key":"spec/`},
		{"?kind=head", `"key":"head/shop","job":"shop","state":"ended","detail":"life 1, revision 1"`},
		{"?kind=head", `"key":"head/shop","job":"shop","state":"deleted","detail":"life 1, revision 2, removed"`},
		{"?kind=card,kind-17", `"kind":"kind-17","key":"kind-17/ab01","state":"unknown kind","detail":"a body of 4 bytes"`},
		{"?job=shop&limit=1&raw=true", `"raw":"`},
	} {
		code, text := ask(t, h, "GET", "/v1/ledger/records"+c.query, "")
		if code != 200 || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s, want %s", c.query, code, text, c.want)
		}
	}
	if _, text := ask(t, h, "GET", "/v1/ledger/records?limit=2", ""); strings.Count(text, "\n") != 2 {
		t.Errorf("limit=2 lists %s", text)
	}
	for _, c := range []struct {
		path string
		code int
		want string
	}{
		{"/v1/ledger/records?kind=wat", 400, `no kind "wat"`},
		{"/v1/ledger/records?kind=kind-999", 400, `no kind "kind-999"`},
		{"/v1/ledger/records?limit=-1", 400, "want a number of records"},
		{"/v1/ledger/records?issuer=b", 404, `by "b"; issuers are`},
		{"/v1/ledger/record", 400, "no record named"},
		{"/v1/ledger/record?of=head/wat", 404, "no record"},
		{"/v1/ledger/diff?peer=", 400, "no peer named"},
		{"/v1/ledger/diff?peer=a", 400, "this peer itself"},
	} {
		if code, text := ask(t, h, "GET", c.path, ""); code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %q, want %d %q", c.path, code, text, c.code, c.want)
		}
	}
}

// The names of fields are what scripts rely on.
func TestLedger_ShowsOneRecordInFull(t *testing.T) {
	a, s := deployed(t)
	h := s.Handler()
	bring(t, h, later(1, map[int]any{1: "x", 2: []int{3}}))
	a.step(t, node.Input{})
	for _, c := range []struct {
		of   string
		want []string
	}{
		{"head/shop", []string{`"signature":"valid"`, `"body":{"job":"shop","life":1,"revision":1,"spec":"`, `"author":"12D3Koo`}},
		{"head/default/shop", []string{`"key":"head/shop"`}},
		{"card/a", []string{`"body":{"peer":"12D3Koo`, `"name":"a"`, `"capacity":{"cpuMilli":2000`}},
		{"kind-17/ab01", []string{`"state":"unknown kind"`, `"diagnostic":"{1: \"x\", 2: [3]}"`, `"rank":"01"`, `"signature":"valid"`}},
		{later(1, 0).Num.String(), []string{`"key":"kind-17/ab01"`}},
		{longNumber(later(1, 0).Num), []string{`"key":"kind-17/ab01"`}},
	} {
		code, text := ask(t, h, "GET", "/v1/ledger/record?of="+c.of, "")
		for _, want := range c.want {
			if code != 200 || !strings.Contains(text, want) {
				t.Errorf("%s: %d %s, want %s", c.of, code, text, want)
			}
		}
	}
	if code, text := ask(t, h, "POST", "/v1/scale", `{"target":"shop","count":2}`); code != 200 {
		t.Fatal(text)
	}
	if _, text := ask(t, h, "GET", "/v1/ledger/record?of=head/shop", ""); !strings.Contains(text, `"revision":2`) || !strings.Contains(text, `"others":["`) {
		t.Errorf("the head that counts is not shown first: %s", text)
	}
}

func TestLedger_ImportTellsOfEachRecord(t *testing.T) {
	h := New(Config{Backend: newAlone(t)}).Handler()
	forged := later(2, 1)
	forged.Sig[0] ^= 1
	if got := bring(t, h, later(1, 1), later(1, 1), forged); got != `{"outcomes":["new","known","forged"]}` {
		t.Errorf("got %s", got)
	}
	body := `{"records":["` + base64.StdEncoding.EncodeToString([]byte("nonsense")) + `","` +
		base64.StdEncoding.EncodeToString(append(wire.MustMarshal(later(3, 1)), 0)) + `",""]}`
	if code, text := ask(t, h, "POST", "/v1/ledger/import", body); code != 200 || strings.TrimSpace(text) != `{"outcomes":["malformed","malformed","malformed"]}` {
		t.Errorf("%d %s", code, text)
	}
	many := `{"records":[` + strings.Repeat(`"",`, node.MaxImport) + `""]}`
	if code, text := ask(t, h, "POST", "/v1/ledger/import", many); code != 400 || !strings.Contains(text, "more than 256") && !strings.Contains(text, "at most 256") {
		t.Errorf("%d %s", code, text)
	}
}

// facing returns a server whose only other peer is another server.
func facing(t *testing.T, backend *alone, other http.Handler) http.Handler {
	t.Helper()
	return New(Config{Backend: backend, Open: func(context.Context, wire.PeerID) (net.Conn, error) {
		here, there := net.Pipe()
		server := HTTP(other)
		go func() { _ = server.Serve(&oneConn{conn: there}) }()
		t.Cleanup(func() { _ = server.Close() })
		return here, nil
	}}).Handler()
}

// oneConn is a listener that accepts once.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	c := l.conn
	if l.conn = nil; c == nil {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }

func TestLedger_DiffSaysWhatEachLacks(t *testing.T) {
	near, far := newAlone(t), newAlone(t)
	nearAPI, farAPI := New(Config{Backend: near}), New(Config{Backend: far})
	shared, mine, theirs := later(1, "both"), later(2, "near"), later(3, "far")
	card := cardOf(t, 9, "b") // names the other: both cores have one key here, and so one card
	bring(t, nearAPI.Handler(), shared, mine, card)
	bring(t, farAPI.Handler(), shared, card)
	h := facing(t, near, farAPI.PeerHandler())
	code, text := ask(t, h, "GET", "/v1/ledger/diff?peer=b", "")
	for _, want := range []string{
		`"both":1,"here":1,"there":0`, `"only":"a","why":"not had yet","record":{"number":"` + mine.Num.String(), `"equal":false`,
	} {
		if code != 200 || !strings.Contains(text, want) {
			t.Errorf("%d %s, want %s", code, text, want)
		}
	}
	bring(t, farAPI.Handler(), mine, theirs)
	if _, text = ask(t, h, "GET", "/v1/ledger/diff?peer=b", ""); !strings.Contains(text, `"both":2,"here":0,"there":1`) {
		t.Errorf("the other way: %s", text)
	}
	bring(t, nearAPI.Handler(), theirs)
	if _, text = ask(t, h, "GET", "/v1/ledger/diff?peer=b", ""); !strings.Contains(text, `"equal":true`) || strings.Contains(text, "issuer") {
		t.Errorf("alike: %s", text)
	}
	old := http.NewServeMux()
	old.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeError(w, failf(http.StatusNotFound, "no such")) })
	if code, text := ask(t, facing(t, near, old), "GET", "/v1/ledger/diff?peer=b", ""); code != 502 || !strings.Contains(text, "peer b runs a shoal that cannot show its ledger: update it") {
		t.Errorf("an older peer: %d %s", code, text)
	}
}

// cardOf makes a peer known by name.
func cardOf(t *testing.T, seed byte, name string) *wire.Record {
	t.Helper()
	key := wire.Key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
	c, err := node.New(node.Config{Self: key.Peer(), Swarm: swarmOfTests, Key: key, Verify: wire.VerifyEd25519, Name: name, Founder: true}, node.Stored{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Step(node.Input{Now: 1}); err != nil {
		t.Fatal(err)
	}
	return c.Ledger().CardRecord(key.Peer())
}

func TestLedger_VerifyFindsWhatIsWrong(t *testing.T) {
	_, s := deployed(t)
	s.cfg.CheckStore = func() (StoreCheck, error) { return StoreCheck{Entries: 5, Batches: 2}, nil }
	_, text := ask(t, s.Handler(), "GET", "/v1/ledger/verify", "")
	if strings.Count(text, `"wrong":0`) != 6 || strings.Contains(text, "detail") {
		t.Errorf("of a whole ledger: %s", text)
	}
	// A store is believed when it is loaded: this one was altered by hand.
	key := wire.Key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	forged := later(4, "x")
	forged.Sig[0] ^= 1
	core, err := node.New(node.Config{Self: key.Peer(), Swarm: swarmOfTests, Key: key, Verify: wire.VerifyEd25519, Name: "a"},
		node.Stored{Records: []*wire.Record{later(1, "x"), forged}})
	if err != nil {
		t.Fatal(err)
	}
	bad := New(Config{Backend: &alone{core: core}, CheckStore: func() (StoreCheck, error) {
		return StoreCheck{Entries: 5, Altered: 1, Sums: "of 5 entries written 4 are left as they were", Head: "the file head is gone"}, nil
	}})
	_, text = ask(t, bad.Handler(), "GET", "/v1/ledger/verify", "")
	for _, want := range []string{
		`{"check":"signatures","checked":2,"wrong":1,"detail":"` + forged.Num.String() + ` (kind-17) is not signed by its issuer for this swarm"}`,
		`"check":"store","checked":5,"wrong":2`, `"check":"head chain","checked":0,"wrong":1,"detail":"the file head is gone"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got %s, want %s", text, want)
		}
	}
}
