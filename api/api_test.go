package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// alone is a swarm of one core, stepped by hand, whose engine starts nothing: what
// it answers is real, what it runs is not.
type alone struct {
	mu   sync.Mutex
	core *node.Core
	now  clock.Instant
	id   uint64
	logs string // what every container has printed
}

func newAlone(t *testing.T) *alone {
	t.Helper()
	key := wire.Key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	core, err := node.New(node.Config{
		Self: key.Peer(), Swarm: wire.HashOf([]byte("swarm")), Key: key, Verify: wire.VerifyEd25519, Name: "a", Founder: true,
	}, node.Stored{})
	if err != nil {
		t.Fatal(err)
	}
	a := &alone{core: core, now: 1}
	a.step(t, node.Input{Facts: &runtime.Facts{
		Capacity: job.Resources{CPUMilli: 2000, MemBytes: 1 << 30, DiskBytes: 1 << 40}, OS: "linux", Arch: "amd64", Driver: "process",
	}})
	a.step(t, node.Input{Disk: &node.Disk{FreeBytes: 1 << 40, TotalBytes: 1 << 40}})
	a.step(t, node.Input{Snapshot: &runtime.Snapshot{}})
	return a
}

func (a *alone) step(t *testing.T, in node.Input) {
	t.Helper()
	a.now += clock.Instant(10 * time.Millisecond)
	in.Now = a.now
	if _, err := a.core.Step(in); err != nil {
		t.Fatal(err)
	}
}

// Do steps the core until the reply is there.
func (a *alone) Do(_ context.Context, r node.Request) (node.Reply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.id++
	r.ID = a.id
	in := node.Input{Request: &r}
	for range 1000 {
		a.now += clock.Instant(100 * time.Millisecond)
		in.Now = a.now
		rd, err := a.core.Step(in)
		if err != nil {
			return node.Reply{}, err
		}
		for _, rep := range rd.Replies {
			if rep.ID == r.ID {
				return rep, nil
			}
		}
		in = node.Input{}
	}
	return node.Reply{}, errors.New("no reply")
}

func (a *alone) View(_ context.Context, f func(*node.Core)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a.core)
	return nil
}

func (a *alone) Events(_ context.Context, _ uint64, _ bool, emit func(uint64, time.Time, node.Event) error) error {
	return emit(1, time.Unix(1_000_000_000, 0), node.Event{Kind: "ready", Text: "a is ready"})
}

func (a *alone) Logs(context.Context, string, runtime.LogOptions) (io.ReadCloser, error) {
	if a.logs == "" {
		return nil, errors.New("no such container")
	}
	return io.NopCloser(strings.NewReader(a.logs)), nil
}

// ask sends one request and returns status and body.
func ask(t *testing.T, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code >= 400 {
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Detail == "" {
			t.Errorf("%s %s: %d %q is no problem of RFC 9457", method, path, w.Code, w.Body)
		}
		return w.Code, p.Detail
	}
	return w.Code, w.Body.String()
}

// What the core does not know of itself and of others is in status and peers.
func TestServer_TellsOfACopiedKeyAndOfOtherVersions(t *testing.T) {
	a := newAlone(t)
	self := a.core.Peers()[0].ID.String()
	var since time.Time
	s := New(Config{
		Backend: a, SteppedBack: func() time.Time { return since }, OtherVersions: func() []string { return []string{self} },
	})
	if _, text := ask(t, s.Handler(), "GET", "/v1/peers", ""); !strings.Contains(text, `"otherVersion":true`) || strings.Contains(text, "stepped back") {
		t.Errorf("%s", text)
	}
	since = time.Date(2026, 11, 22, 8, 0, 5, 0, time.UTC)
	if _, text := ask(t, s.Handler(), "GET", "/v1/peers", ""); !strings.Contains(text, `"state":"stepped back"`) {
		t.Errorf("%s", text)
	}
	if _, text := ask(t, s.Handler(), "GET", "/v1/status", ""); !strings.Contains(text, "at 08:00:05, since another machine runs with its key") {
		t.Errorf("%s", text)
	}
	others := []Peer{{State: "dead", Doubters: []string{"x"}}, {State: "left"}}
	if s.amend(others); others[0].State != "unknown" || others[0].Doubters != nil || others[1].State != "left" {
		t.Errorf("%+v", others)
	}
}

const oneTask = `{"spec":{"namespace":"default","name":"shop","tasks":[{"name":"web","count":1,"image":"process","command":["true"],
	"needs":{"cpuMilli":100,"memBytes":1048576},"pids":100}]}}`

func TestServer_RefusesWithOneSentence(t *testing.T) {
	h := New(Config{Backend: newAlone(t)}).Handler()
	tickets := New(Config{Backend: newAlone(t), Stop: func() {}, Ticket: func(_ context.Context, r TicketRequest) (Ticket, error) {
		return Ticket{Ticket: time.Duration(r.TTL).String()}, nil
	}}).Handler()
	if code, text := ask(t, h, "POST", "/v1/deploy", oneTask); code != 200 || !strings.Contains(text, `"revision":1`) {
		t.Fatalf("deploy: %d %s", code, text)
	}
	for _, c := range []struct {
		name, method, path, body string
		code                     int
		want                     string
	}{
		{"unknown path", "GET", "/v1/wat", "", 404, "no GET /v1/wat"},
		{"unknown field", "POST", "/v1/scale", `{"target":"shop","counts":3}`, 400, `unknown field "counts"`},
		{"cut body", "POST", "/v1/scale", `{"target":`, 400, "/v1/scale"},
		{"two bodies", "POST", "/v1/scale", `{"target":"shop","count":1}{}`, 400, "more follows"},
		{"long body", "POST", "/v1/scale", `{"target":"` + strings.Repeat("x", maxSmall) + `"}`, 413, "longer than 65536 bytes"},
		{"no spec", "POST", "/v1/deploy", `{}`, 400, "spec is missing"},
		{"bad spec", "POST", "/v1/deploy", `{"spec":{"name":"x","tasks":[]}}`, 400, ""},
		{"near job", "GET", "/v1/slots?of=shpo", "", 404, "did you mean shop?"},
		{"no task", "GET", "/v1/why?of=shop/wob", "", 404, `has no task "wob": it has web`},
		{"no slot", "GET", "/v1/why?of=shop/web.9", "", 404, "slot shop/web.9 is not wanted"},
		{"no name", "GET", "/v1/why?of=//", "", 400, "want a job, a task or a slot"},
		{"no peer", "POST", "/v1/drain", `{"peer":"kitchen"}`, 404, `no peer "kitchen" here; there is a`},
		{"slot scaled", "POST", "/v1/scale", `{"target":"shop/web.0","count":2}`, 400, "is one slot"},
		{"too many", "POST", "/v1/scale", `{"target":"shop","count":100000}`, 400, "10000 are allowed"},
		{"self expelled", "POST", "/v1/expel", `{"peer":"a"}`, 400, "shoal leave"},
		{"nobody expelled", "POST", "/v1/expel", `{}`, 400, "no peer named"},
		{"bad label", "POST", "/v1/label", `{"set":{"Not Good":"x"}}`, 400, "label"},
		{"bad tail", "GET", "/v1/logs?slot=shop/web.0&tail=x", "", 400, "tail"},
		{"bad since", "GET", "/v1/events?since=x", "", 400, "since"},
		{"no tickets", "POST", "/v1/tickets", `{}`, 503, "tickets"},
		{"not stopped", "POST", "/v1/down", `{}`, 503, "stopped"},
		{"ticket of no time", "POST", "/v1/tickets", `{"ttl":1e-9}`, 400, "a ticket lasts from a second to 366 days"},
		{"ticket of less", "POST", "/v1/tickets", `{"ttl":1e-30}`, 400, "a ticket lasts from a second to 366 days"},
		{"ticket of a moment", "POST", "/v1/tickets", `{"ttl":0.999}`, 400, "a ticket lasts from a second to 366 days"},
		{"ticket for ever", "POST", "/v1/tickets", `{"ttl":null}`, 400, "a ticket lasts from a second to 366 days"},
		{"ticket of a second", "POST", "/v1/tickets", `{"ttl":1}`, 200, `"1s"`},
		{"leave at once", "POST", "/v1/leave", `{"deadline":0.5}`, 400, "a deadline lies between a second and 366 days"},
		{"leave in the past", "POST", "/v1/leave", `{"deadline":null}`, 400, "a deadline lies between a second and 366 days"},
		{"long pause", "POST", "/v1/down", `{"for":86401}`, 400, "the others wait for a day at most"},
		{"stale base", "POST", "/v1/deploy", strings.TrimSuffix(oneTask, "}") + `,"base":9}`, 409, "revision 1, not 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := h
			if c.name == "long pause" || strings.HasPrefix(c.name, "ticket ") {
				h = tickets
			}
			code, text := ask(t, h, c.method, c.path, c.body)
			if code != c.code || !strings.Contains(text, c.want) {
				t.Errorf("%d %q, want %d %q", code, text, c.code, c.want)
			}
		})
	}
}

// A published port that does not answer here is no address, and said to be none; the
// swarm's own port cannot be published.
func TestPorts_ThatDoNotAnswer(t *testing.T) {
	two := strings.Replace(oneTask, `"pids"`, `"ports":[{"target":80,"published":8080},{"target":81,"published":8081}],"pids"`, 1)
	taken := PortProblem{Job: "shop", Task: "web", Port: 8081, Why: "port 8081 is taken on this peer: address already in use"}
	h := New(Config{
		Backend: newAlone(t), Address: func() string { return "10.0.0.7" },
		Listen: func() []string {
			return []string{"/ip4/10.0.0.7/udp/7462/quic-v1/p2p/x", "/ip4/10.0.0.7/tcp/7462/p2p/x"}
		},
		Problems: func() []PortProblem { return []PortProblem{taken} },
	}).Handler()
	if code, text := ask(t, h, "POST", "/v1/deploy", strings.Replace(two, "8080", "7462", 1)); code != 400 ||
		text != "task web: port 7462 is the swarm's own on this peer; publish another" {
		t.Errorf("own port: %d %q", code, text)
	}
	if code, text := ask(t, h, "POST", "/v1/deploy", two); code != 200 {
		t.Fatal(text)
	}
	var slots Slots
	_, text := ask(t, h, "GET", "/v1/slots", "")
	if err := json.Unmarshal([]byte(text), &slots); err != nil || len(slots.Slots) != 1 {
		t.Fatalf("%v in %s", err, text)
	}
	if s := slots.Slots[0]; !slices.Equal(s.Addresses, []string{"10.0.0.7:8080"}) || !slices.Equal(s.Problems, []string{taken.Why}) {
		t.Errorf("addresses %q, problems %q", s.Addresses, s.Problems)
	}
	var st Status
	_, text = ask(t, h, "GET", "/v1/status", "")
	if err := json.Unmarshal([]byte(text), &st); err != nil || !slices.Equal(st.Problems, []PortProblem{taken}) {
		t.Errorf("%v, problems %+v", err, st.Problems)
	}
}

// A member may ask another only for what that one alone knows, and act on it only
// with the right to.
func TestPeerHandler_ServesItsPartOnly(t *testing.T) {
	friend := wire.PeerID{1}
	s := New(Config{Backend: newAlone(t), MayAct: func(p wire.PeerID) bool { return p == friend }})
	send := func(from wire.PeerID, method, path, body string) int {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.RemoteAddr = from.String()
		w := httptest.NewRecorder()
		s.PeerHandler().ServeHTTP(w, r)
		return w.Code
	}
	for _, path := range []string{"deploy", "remove", "scale", "expel", "leave", "down", "tickets"} {
		if code := send(friend, "POST", "/v1/"+path, oneTask); code != 404 {
			t.Errorf("%s from a member: %d, want 404", path, code)
		}
	}
	if code := send(friend, "POST", "/v1/drain", `{"undo":true}`); code != 200 {
		t.Errorf("drain with the right: %d", code)
	}
	for _, from := range []wire.PeerID{{}, {2}} {
		if code := send(from, "POST", "/v1/drain", `{}`); code != 403 {
			t.Errorf("drain without the right: %d, want 403", code)
		}
		if code := send(from, "GET", "/v1/logs?slot=shop/web.0", ""); code != 403 {
			t.Errorf("logs without the right: %d, want 403", code)
		}
	}
	if code := send(wire.PeerID{2}, "GET", "/v1/waiting", ""); code != 200 {
		t.Errorf("waiting: %d", code)
	}
}

// A peer that does not answer costs a second and is named.
func TestAskStewards_NamesWhoIsSilent(t *testing.T) {
	silent := wire.PeerID{9}
	s := New(Config{Backend: newAlone(t), Open: func(ctx context.Context, _ wire.PeerID) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	began := time.Now()
	_, who := s.askStewards(t.Context(), map[job.ID][]wire.PeerID{"default/shop": {silent}})
	if !slices.Equal(who, []string{silent.Short()}) {
		t.Errorf("unanswered %q, want %q", who, silent.Short())
	}
	if took := time.Since(began); took < peerWait/2 || took > 4*peerWait {
		t.Errorf("it took %s, want about %s", took, peerWait)
	}
}

// Reasons come from the steward over a connection between two members.
func TestAskStewards_OverAConnection(t *testing.T) {
	far := newAlone(t)
	unfit := strings.Replace(oneTask, "1048576", "1099511627776", 1)
	if code, text := ask(t, New(Config{Backend: far}).Handler(), "POST", "/v1/deploy", unfit); code != 200 {
		t.Fatal(text)
	}
	for range 100 {
		far.step(t, node.Input{})
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := HTTP(New(Config{Backend: far}).PeerHandler())
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	asked := wire.PeerID{3}
	near := New(Config{Backend: newAlone(t), Open: func(ctx context.Context, to wire.PeerID) (net.Conn, error) {
		if to != asked {
			t.Errorf("dialled %s", to)
		}
		var d net.Dialer
		return d.DialContext(ctx, "unix", l.Addr().String())
	}})
	waits, silent := near.askStewards(t.Context(), map[job.ID][]wire.PeerID{"default/shop": {asked}})
	w, ok := waits["shop/web.0"]
	if len(silent) > 0 || !ok || !strings.Contains(w.Reason, "0 of 1 peers: 1 memory") || w.Steward != "a" {
		t.Errorf("waits %+v, silent %q", waits, silent)
	}
}

func TestBounded_SaysComeAgain(t *testing.T) {
	s := New(Config{Backend: newAlone(t)})
	for range maxRequests {
		s.slots <- struct{}{}
	}
	if code, text := ask(t, s.Handler(), "GET", "/v1/status", ""); code != 503 || !strings.Contains(text, "try again") {
		t.Errorf("%d %s", code, text)
	}
}

func TestCopyLines_SkipsWhatIsNoLine(t *testing.T) {
	w := httptest.NewRecorder()
	copyLines(newLines(w), strings.NewReader("o 2026-01-01T00:00:00Z hello there\nrubbish\ne 2026-01-01T00:00:01Z \n"), "shop/web.0")
	want := `{"slot":"shop/web.0","time":"2026-01-01T00:00:00Z","stream":"stdout","text":"hello there"}
{"slot":"shop/web.0","time":"2026-01-01T00:00:01Z","stream":"stderr","text":""}
`
	if w.Body.String() != want {
		t.Errorf("got %s", w.Body)
	}
}

func TestAge_JSON(t *testing.T) {
	for _, c := range []struct {
		age  Age
		text string
	}{{0, "0"}, {Never, "null"}, {Age(1500 * time.Millisecond), "1.5"}, {Age(time.Hour), "3600"}} {
		b, err := json.Marshal(c.age)
		if err != nil || string(b) != c.text {
			t.Errorf("%v is %s, %v, want %s", time.Duration(c.age), b, err, c.text)
		}
		var back Age
		if err := json.Unmarshal(b, &back); err != nil || back != c.age {
			t.Errorf("%s is %v again, %v", b, back, err)
		}
	}
	for _, bad := range []string{`-1`, `"1s"`, `1e300`} {
		var a Age
		if json.Unmarshal([]byte(bad), &a) == nil {
			t.Errorf("%s was read as %v", bad, a)
		}
	}
}
