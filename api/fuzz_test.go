package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"shoal/internal/fuzztest"
	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

func aSpec() *job.Spec {
	s := &job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{
		Name: "web", Image: "nginx", Count: 2, Env: map[string]string{"A": "b"}, Command: []string{"x", "y"},
		Ports: []job.Port{{Target: 80, Published: 8080, Protocol: "tcp"}},
	}}}
	s.Defaults()
	return s
}

func asJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzBody decodes a request's body into what each route takes.
func FuzzBody(f *testing.F) {
	f.Add(asJSON(DeployRequest{Spec: aSpec(), Base: 3}))
	f.Add(asJSON(LabelRequest{Peer: "a", Set: map[string]string{"k": "v"}}))
	f.Add(asJSON(TicketRequest{Run: true, Uses: 3, TTL: 1}))
	f.Add([]byte(`{"spec":{"tasks":[` + strings.Repeat("null,", 1000) + `null]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzztest.BoundedBy(t, len(text), 16, 1<<20, func() {
			for _, into := range []any{
				new(DeployRequest), new(RemoveRequest), new(ScaleRequest), new(RollbackRequest), new(TargetRequest),
				new(DrainRequest), new(LabelRequest), new(ExpelRequest), new(LeaveRequest), new(DownRequest), new(TicketRequest),
			} {
				r := httptest.NewRequest(http.MethodPost, "/v1/x", bytes.NewReader(text))
				_ = readBody(httptest.NewRecorder(), r, maxBody, into)
			}
		})
	})
}

// FuzzRequest asks a real core anything: no panic, and every refusal has a sentence.
func FuzzRequest(f *testing.F) {
	routes := []string{
		"GET /v1/status", "GET /v1/peers", "GET /v1/jobs", "GET /v1/slots?of=", "GET /v1/why?slot=", "GET /v1/waiting", "GET /v1/jobs/default/",
		"POST /v1/deploy", "POST /v1/remove", "POST /v1/scale", "POST /v1/restart", "POST /v1/rollback", "POST /v1/stop", "POST /v1/drain",
		"POST /v1/label", "POST /v1/expel", "POST /v1/tickets",
	}
	f.Add(uint8(7), "", asJSON(DeployRequest{Spec: aSpec()}))
	f.Add(uint8(9), "", []byte(`{"job":"shop","task":"web","count":3}`))
	f.Add(uint8(4), "shop/web.0", []byte(nil))
	f.Add(uint8(3), "default/shop", []byte(nil))
	f.Add(uint8(15), "", asJSON(ExpelRequest{Peer: wire.PeerID{1}.String()}))
	f.Fuzz(func(t *testing.T, route uint8, query string, text []byte) {
		method, path, _ := strings.Cut(routes[int(route)%len(routes)], " ")
		server := New(Config{Backend: newAlone(t), Version: "test"})
		u, err := url.Parse("http://shoal" + path + url.QueryEscape(query))
		if err != nil {
			return
		}
		r := httptest.NewRequest(method, "http://shoal/", bytes.NewReader(text))
		r.URL = u
		for _, h := range []http.Handler{server.Handler(), server.PeerHandler()} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code < 400 || strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
				continue
			}
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Detail == "" {
				t.Errorf("%s %s: %d without a sentence: %.200s", method, u, w.Code, w.Body)
			}
		}
	})
}

// FuzzAge reads durations as JSON.
func FuzzAge(f *testing.F) {
	for _, s := range []string{"null", "1.5", "-1", "1e300", "NaN"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Age
		if a.UnmarshalJSON(b) == nil && a < Never {
			t.Errorf("%q is read as %d", b, a)
		}
	})
}

// FuzzAnswer reads what other peers answer: their views, events and log lines.
func FuzzAnswer(f *testing.F) {
	f.Add(asJSON(node.WhyView{Names: map[string]string{"a": "b"}, Losers: []node.SlotView{{Slot: "shop/web.0"}}}))
	f.Add(asJSON([]node.SlotView{{Slot: "shop/web.0", Phase: "serving"}}))
	f.Add(append(asJSON(LogLine{Slot: "shop/web.0", Text: "hello"}), '\n'))
	f.Add(append(asJSON(Event{}), asJSON(Event{})...))
	f.Add([]byte(`[` + strings.Repeat("null,", 1000) + `null]`))
	f.Add([]byte(strings.Repeat("{}", 1000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		fuzztest.BoundedBy(t, len(text), 64, 1<<20, func() {
			_ = decodeAnswer(text, new(node.WhyView))
			_ = decodeAnswer(text, new([]node.SlotView))
		})
		fuzztest.BoundedBy(t, len(text), 256, 1<<20, func() { _, _ = readEvents(bytes.NewReader(text)) })
		fuzztest.BoundedBy(t, len(text), 16, 1<<20, func() {
			_ = relayed(bytes.NewReader(text), func(l LogLine) error {
				if len(l.Text) > maxRelayed {
					t.Errorf("a line of %d bytes", len(l.Text))
				}
				return nil
			})
		})
	})
}

// endless is a log line without an end, as a hostile holder of a slot may send.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	e.read += len(b)
	return len(b), nil
}

// TestRelayed_LineWithoutEnd has a line end the stream once it is too long to be one.
func TestRelayed_LineWithoutEnd(t *testing.T) {
	var in endless
	err := relayed(io.MultiReader(strings.NewReader(`{"text":"`), &in), func(LogLine) error { return nil })
	if err == nil || in.read > 2*maxRelayed {
		t.Errorf("%d bytes were read: %v", in.read, err)
	}
	var got []string
	long := strings.Repeat("\x01", runtime.MaxLogLine) // six bytes each in JSON
	text := string(asJSON(LogLine{Text: "a"})) + "\n" + string(asJSON(LogLine{Text: long})) + "\n"
	if err := relayed(strings.NewReader(text), func(l LogLine) error { got = append(got, l.Text); return nil }); err != nil {
		t.Error(err)
	}
	if len(got) != 2 || got[1] != long {
		t.Errorf("%d lines came", len(got))
	}
}
