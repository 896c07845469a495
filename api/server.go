package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"shoal/internal/doctor"
	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// A Backend is the daemon as this package needs it.
type Backend interface {
	// Do hands a request to the core and waits for its reply. It sets the ID.
	Do(ctx context.Context, r node.Request) (node.Reply, error)
	// View runs f where the core may be read; nothing of it may be kept.
	View(ctx context.Context, f func(*node.Core)) error
	// Events gives the events after number since that are still kept, oldest first,
	// and with follow those to come until ctx ends. An error of emit ends it.
	Events(ctx context.Context, since uint64, follow bool, emit func(uint64, time.Time, node.Event) error) error
	// Logs opens a container's output, as lines of runtime.LogLine.
	Logs(ctx context.Context, container string, o runtime.LogOptions) (io.ReadCloser, error)
}

// A Config says what a Server serves. Backend is required.
type Config struct {
	Backend Backend
	// Open connects to another member's PeerHandler; nil: no other peer is asked.
	Open func(ctx context.Context, to wire.PeerID) (net.Conn, error)
	// Ticket makes a ticket; nil: refused.
	Ticket func(ctx context.Context, r TicketRequest) (Ticket, error)
	// Stop ends the daemon once the answer is out; nil: refused.
	Stop func()
	// Purge is told whether a leaving peer's state directory is to go; nil: it stays.
	Purge func(bool)
	// RootKey is the file with the swarm's root key, "" where this peer has none; nil: the same.
	RootKey func() string
	// MayAct reports whether a member may drain or label this peer and read its logs;
	// nil: no member may.
	MayAct func(wire.PeerID) bool

	Version  string
	StateDir string
	Address  func() string   // the IP on which published ports answer; nil: unknown
	Listen   func() []string // this peer's own addresses; nil: unknown
	// Links says how members are reached, with peer IDs for relays; nil: unknown.
	Links func() map[string]Link
	// OtherVersions lists by peer ID who spoke another version of the protocol; nil: unknown.
	OtherVersions func() []string
	// SteppedBack is when this peer found that its key runs elsewhere, zero if it did not;
	// nil: it never does.
	SteppedBack func() time.Time
	// Problems lists what of the jobs does not answer on this peer; nil: unknown.
	Problems func() []PortProblem
	// CheckStore looks at everything on the disk; nil: it is not looked at.
	CheckStore func() (StoreCheck, error)
	// Held is why the daemon holds still, empty if it does not; nil: it never does.
	Held func() string
	// Vitals is what doctor is told of the machine, the network and the store, with peer
	// IDs for names, within some seconds; nil: refused.
	Vitals func(context.Context) (doctor.Peer, doctor.Machine)
	Log    *slog.Logger // nil: silent
}

const (
	maxBody     = 2 << 20  // of a deploy; a spec's own bound is lower
	maxSmall    = 64 << 10 // of any other request
	maxRequests = 256      // served at once, streams among them; more are told to come again
	deadline    = 30 * time.Second
	peerWait    = time.Second // for another peer's part of an answer
	writeWait   = 10 * time.Second
)

// A Server answers requests for one daemon. Its handlers may be used by any number
// of listeners.
type Server struct {
	cfg   Config
	log   *slog.Logger
	slots chan struct{}
	peers *http.Client // nil: no other peer is asked
}

// New returns a server.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, log: cfg.Log, slots: make(chan struct{}, maxRequests)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Open != nil {
		s.peers = peerClient(cfg.Open)
	}
	return s
}

// HTTP returns a server with the deadlines and bounds that h wants.
func HTTP(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
}

// Handler serves all of the API, for those who may do everything here.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	s.routeShared(mux)
	mux.HandleFunc("GET /v1/peers", get(s.peerList))
	mux.HandleFunc("GET /v1/doctor", get(s.doctor))
	mux.HandleFunc("GET /v1/jobs", get(s.jobs))
	mux.HandleFunc("GET /v1/jobs/{namespace}/{name}", get(s.inspect))
	mux.HandleFunc("GET /v1/slots", get(s.slotList))
	mux.HandleFunc("GET /v1/why", get(s.why))
	mux.HandleFunc("GET /v1/logs", s.logs)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("POST /v1/deploy", post(maxBody, s.deploy))
	mux.HandleFunc("POST /v1/remove", post(maxSmall, s.remove))
	mux.HandleFunc("POST /v1/scale", post(maxSmall, s.scale))
	mux.HandleFunc("POST /v1/restart", post(maxSmall, s.restart))
	mux.HandleFunc("POST /v1/rollback", post(maxSmall, s.rollback))
	mux.HandleFunc("POST /v1/stop", post(maxSmall, s.stop))
	mux.HandleFunc("GET /v1/drain", get(s.drainState))
	mux.HandleFunc("POST /v1/drain", post(maxSmall, s.drain))
	mux.HandleFunc("POST /v1/label", post(maxSmall, s.label))
	mux.HandleFunc("POST /v1/expel", post(maxSmall, s.expel))
	mux.HandleFunc("POST /v1/leave", post(maxSmall, s.leave))
	mux.HandleFunc("POST /v1/down", post(maxSmall, s.down))
	mux.HandleFunc("POST /v1/tickets", post(maxSmall, s.ticket))
	s.routeLedger(mux)
	return s.bounded(mux)
}

// PeerHandler serves the part that members may ask of one another, each for what
// only this peer knows or does. Its connections must come from admitted members,
// their peer ID as remote address.
func (s *Server) PeerHandler() http.Handler {
	mux := http.NewServeMux()
	s.routeShared(mux)
	mux.HandleFunc("GET /v1/events", s.ownEvents)
	mux.HandleFunc("GET /v1/logs", s.acting(s.ownLogs))
	mux.HandleFunc("GET /v1/drain", get(s.ownDrainState))
	mux.HandleFunc("POST /v1/drain", s.acting(post(maxSmall, s.drainSelf)))
	mux.HandleFunc("POST /v1/label", s.acting(post(maxSmall, s.labelSelf)))
	return s.bounded(mux)
}

func (s *Server) routeShared(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/status", get(s.status))
	mux.HandleFunc("GET /v1/clock", get(s.clock))
	mux.HandleFunc("GET /v1/waiting", get(s.waiting))
	mux.HandleFunc("GET /v1/ledger", get(s.ledgerSum))
	mux.HandleFunc("GET /v1/ledger/records", s.ledgerRecords)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, failf(http.StatusNotFound, "no %s %s in this version of shoal: is the other side newer?", r.Method, r.URL.Path))
	})
}

// bounded refuses what is too much at once; a panic is our bug and ends one answer.
func (s *Server) bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
			h.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			writeError(w, failf(http.StatusServiceUnavailable, "%d requests are being answered already: try again in a second", maxRequests))
		}
	})
}

// acting lets only members pass that may act on this peer.
func (s *Server) acting(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, err := wire.ParsePeerID(r.RemoteAddr)
		if err != nil || s.cfg.MayAct == nil || !s.cfg.MayAct(from) {
			writeError(w, failf(http.StatusForbidden, "peer %s has not the right to do this on another peer: it may only run slots", r.RemoteAddr))
			return
		}
		h(w, r)
	}
}

// failf makes an error with the status it is answered with.
func failf(status int, format string, args ...any) error {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

func writeError(w http.ResponseWriter, err error) {
	var p *Problem
	if !errors.As(err, &p) {
		status := http.StatusInternalServerError
		if errors.Is(err, context.DeadlineExceeded) {
			status = http.StatusGatewayTimeout
		}
		p = &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: err.Error()}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who has gone away does not miss it
}

// get answers with what f returns, within the deadline.
func get[A any](f func(context.Context, *http.Request) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), deadline)
		defer cancel()
		a, err := f(ctx, r)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, a)
	}
}

// post reads a body of at most limit bytes and answers with what f makes of it.
func post[Q, A any](limit int64, f func(context.Context, Q) (A, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), deadline)
		defer cancel()
		var q Q
		if err := readBody(w, r, limit, &q); err != nil {
			writeError(w, err)
			return
		}
		a, err := f(ctx, q)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, a)
	}
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(writeWait))
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	_ = control.SetReadDeadline(time.Time{})
	if err == nil {
		err = decodeBody(text, into)
	}
	var tooLong *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLong):
		return failf(http.StatusRequestEntityTooLarge, "the request is longer than %d bytes", limit)
	default:
		return failf(http.StatusBadRequest, "%s: %v", r.URL.Path, err)
	}
}

func decodeBody(text []byte, into any) error {
	if err := checkBody(text); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var wrong *json.UnmarshalTypeError
	if err := dec.Decode(into); errors.As(err, &wrong) {
		return wrongValue(wrong)
	} else if err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more follows the object")
	}
	return nil
}

// view reads the core.
func (s *Server) view(ctx context.Context, f func(*node.Core)) error {
	if err := s.cfg.Backend.View(ctx, f); err != nil {
		return failf(http.StatusServiceUnavailable, "the daemon does not answer: %v", err)
	}
	return nil
}

// do hands a request to the core and makes an error of a reply that is one.
func (s *Server) do(ctx context.Context, r node.Request) (node.Reply, error) {
	rep, err := s.cfg.Backend.Do(ctx, r)
	if err != nil && s.cfg.Held != nil && s.cfg.Held() != "" {
		return rep, failf(http.StatusServiceUnavailable, "this peer holds still: %s; what was asked may still be done once there is room", s.cfg.Held())
	}
	if err != nil {
		return rep, failf(http.StatusServiceUnavailable, "the daemon does not answer: %v", err)
	}
	if rep.Err != "" {
		status := int(rep.Code)
		if status < 400 || status > 599 {
			status = http.StatusInternalServerError
		}
		return rep, failf(status, "%s", rep.Err)
	}
	return rep, nil
}

// change is do for what changes a job.
func (s *Server) change(ctx context.Context, r node.Request) (Change, error) {
	rep, err := s.do(ctx, r)
	if err != nil {
		return Change{}, err
	}
	c := Change{
		Revision: rep.Revision, Life: rep.Life, Changed: rep.Changed, Conflict: rep.Conflict, Warnings: rep.Warnings,
	}
	if rep.Job != "" {
		c.Job = rep.Job.String()
	}
	err = s.view(ctx, func(core *node.Core) {
		n := namesOf(core)
		c.Stores, c.Unreached = n.all(rep.Stores), n.all(rep.Unreached)
	})
	return c, err
}

func parseJob(text string) (job.ID, error) {
	id, err := job.ParseID(text)
	if err != nil {
		return "", failf(http.StatusBadRequest, "%v", err)
	}
	return id, nil
}
