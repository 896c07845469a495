// Package reach lets containers find one another. Each service of a job has an
// address of its own on the job's bridge, and its name resolves to that address
// inside the job's containers; what they send there the daemon forwards to a slot
// that serves, here or, over a stream, on the peer that holds it. A published
// port is forwarded the same way on every peer.
//
// It decides nothing about who runs what: it follows the Services it is given.
// Its listeners live as long as the daemon; containers outlive both.
package reach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

// A Service is one task of a job: its ports, and who answers for it.
type Service struct {
	Job       job.ID
	Task      string
	Aliases   []string
	Ports     []job.Port
	Endpoints []Endpoint
	Local     bool // a container of the job runs here, so its names must resolve here
}

// An Endpoint is one slot that may answer. Address is an IP address on Peer and
// means something only there.
type Endpoint struct {
	Slot    job.SlotID
	Peer    wire.PeerID
	Address string
	Serving bool
}

// Limits of forwarding.
const (
	MaxConns    = 4096             // connections forwarded at once; more are closed at once
	dialAfter   = 3 * time.Second  // for one endpoint
	waitForSlot = 10 * time.Second // a connection waits so long for a slot to serve, as when it moves
	retryListen = time.Second      // a listener that could not be opened is tried again
	lostAfter   = 3 * time.Second  // a connection to an endpoint that is listed no more ends
	dnsAfter    = 4 * time.Second  // for a resolver outside
)

type networks interface {
	EnsureNetwork(context.Context, job.ID) (runtime.NetworkInfo, error)
	RemoveNetwork(context.Context, job.ID) error // an error while a container holds it
	Networks(context.Context) ([]runtime.NetworkInfo, error)
}

// A Config is what a Reach is made with. Networks and Open are needed.
type Config struct {
	Self     wire.PeerID
	Networks networks
	Open     func(ctx context.Context, to wire.PeerID) (net.Conn, error) // a stream to a peer's Serve
	Publish  string                                                      // IP address that published ports listen on; empty: all
	Resolver []string                                                    // "address:53" of resolvers outside; nil: those of /etc/resolv.conf
	Log      *slog.Logger
}

// A Reach owns the listeners. Update gives it work, Close ends it.
type Reach struct {
	cfg   Config
	ctx   context.Context
	stop  context.CancelFunc
	wake  chan struct{}
	done  sync.WaitGroup
	conns atomic.Int64

	vanished atomic.Bool // a job may be gone and its network not

	mu       sync.Mutex
	services map[key]*Service
	known    bool               // Update was called
	order    []key              // of services; where two publish one port the first has it, on every peer
	changed  chan struct{}      // closed and renewed at each Update
	problems map[string]Problem // by address, or what else is amiss
	carried  map[*carried]struct{}
	shaded   map[string]target // addresses that a listener on all addresses covers

	bridges   map[job.ID]*bridge
	listeners map[string]*listener // by address
}

type key struct {
	job  job.ID
	task string
}

func (k key) String() string { return k.job.String() + "/" + k.task }

// New starts a Reach that forwards nothing yet.
func New(cfg Config) *Reach { return newReach(cfg, collectEvery) }

func newReach(cfg Config, collectEvery time.Duration) *Reach {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Reach{
		cfg: cfg, ctx: ctx, stop: stop, wake: make(chan struct{}, 1), changed: make(chan struct{}),
		services: map[key]*Service{}, carried: map[*carried]struct{}{}, problems: map[string]Problem{},
		bridges: map[job.ID]*bridge{}, listeners: map[string]*listener{},
	}
	r.done.Add(2)
	go r.run()
	go r.collect(collectEvery)
	return r
}

// Update replaces all services. It returns at once; listeners follow.
func (r *Reach) Update(all []Service) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Service) int { return cmp.Or(cmp.Compare(a.Job, b.Job), cmp.Compare(a.Task, b.Task)) })
	next := make(map[key]*Service, len(all))
	var order []key
	for i := range all {
		s := all[i]
		next[key{s.Job, s.Task}] = &s
		order = append(order, key{s.Job, s.Task})
	}
	r.mu.Lock()
	vanished := !r.known // since the last daemon
	for k := range r.services {
		vanished = vanished || next[k] == nil
	}
	r.services, r.order, r.known = next, order, true
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	if vanished {
		r.vanished.Store(true)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Close ends all listeners and forwarded connections, and waits for them.
func (r *Reach) Close() {
	r.stop()
	r.done.Wait()
}

// run is the one goroutine that opens and closes listeners.
func (r *Reach) run() {
	defer r.done.Done()
	defer func() {
		for _, l := range r.listeners {
			l.close()
		}
		for _, b := range r.bridges {
			b.close()
		}
	}()
	retry := time.NewTicker(retryListen)
	defer retry.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.wake:
		case <-retry.C:
		}
		r.follow()
		r.endLost(time.Now())
	}
}

// follow makes bridges and listeners what the services ask for.
func (r *Reach) follow() {
	want := map[string]target{}
	jobs := map[job.ID][]string{}
	r.mu.Lock()
	problems := map[string]Problem{}
	for _, k := range r.order {
		s := r.services[k]
		if s.Local {
			jobs[k.job] = append(jobs[k.job], k.task)
		}
		for _, p := range s.Ports {
			if p.Published == 0 {
				continue
			}
			addr := net.JoinHostPort(r.cfg.Publish, strconv.Itoa(int(p.Published)))
			if t, taken := want[addr]; taken && t.key != k {
				problems[addr+" for "+k.String()] = Problem{k.job, k.task, p.Published, fmt.Sprintf("port %d is published by %s already", p.Published, t.key)}
				continue
			}
			want[addr] = target{k, p.Target, p.Published}
		}
	}
	r.mu.Unlock()
	r.followBridges(jobs, want, problems)
	r.shade(want)
	for addr, l := range r.listeners {
		if t, ok := want[addr]; !ok || t != l.target {
			l.close()
			delete(r.listeners, addr)
		}
	}
	for addr, t := range want {
		if r.listeners[addr] != nil {
			continue
		}
		l, err := r.listen(addr, t)
		if err != nil {
			problems[addr] = problemOf(addr, t, err)
			continue
		}
		r.listeners[addr] = l
	}
	r.mu.Lock()
	for at, problem := range problems {
		if r.problems[at] != problem {
			r.cfg.Log.Warn("not reachable", "at", at, "why", problem.Why)
		}
	}
	r.problems = problems
	r.mu.Unlock()
}

// shade takes those addresses out of want that a listener on all addresses covers:
// two cannot listen on one port. What arrives there is told apart by the address
// it was sent to.
func (r *Reach) shade(want map[string]target) {
	shaded := map[string]target{}
	for addr, t := range want {
		host, port, _ := net.SplitHostPort(addr)
		if _, all := want[":"+port]; all && host != "" {
			shaded[addr] = t
			delete(want, addr)
		}
	}
	r.mu.Lock()
	r.shaded = shaded
	r.mu.Unlock()
}

// targetOf is what a connection that l accepted is for.
func (r *Reach) targetOf(l *listener, c net.Conn) target {
	r.mu.Lock()
	defer r.mu.Unlock()
	if to, ok := c.LocalAddr().(*net.TCPAddr); ok {
		addr := netip.AddrPortFrom(to.AddrPort().Addr().Unmap(), uint16(to.Port))
		if t, ok := r.shaded[addr.String()]; ok {
			return t
		}
	}
	return l.target
}

// followBridges prepares the bridge of every job that runs here and adds the
// addresses of its services to what is to be listened on.
func (r *Reach) followBridges(jobs map[job.ID][]string, want map[string]target, problems map[string]Problem) {
	for id, b := range r.bridges {
		if jobs[id] == nil {
			b.close()
			delete(r.bridges, id)
		}
	}
	for id, tasks := range jobs {
		slices.Sort(tasks)
		b := r.bridges[id]
		if b == nil {
			info, err := r.cfg.Networks.EnsureNetwork(r.ctx, id)
			if err != nil {
				problems["bridge of "+id.String()] = noNames(id, err)
				continue
			}
			if b, err = r.newBridge(id, info); err != nil {
				problems["bridge of "+id.String()] = noNames(id, err)
				continue
			}
			r.bridges[id] = b
		}
		if err := b.follow(tasks); err != nil {
			problems["bridge of "+id.String()] = noNames(id, err)
		}
		for _, task := range tasks {
			ip := b.address(task)
			if ip == "" {
				continue
			}
			for _, p := range r.portsOf(key{id, task}) {
				want[net.JoinHostPort(ip, strconv.Itoa(int(p)))] = target{key{id, task}, p, 0}
			}
		}
	}
}

func (r *Reach) portsOf(k key) []uint16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []uint16
	if s := r.services[k]; s != nil {
		for _, p := range s.Ports {
			out = append(out, p.Target)
		}
	}
	return out
}

// target is what a listener forwards to: a port of a service.
type target struct {
	key
	port      uint16
	published uint16 // 0: the service's own address
}

// A listener accepts for one target until it is closed.
type listener struct {
	target target
	ln     net.Listener
}

func (l *listener) close() { l.ln.Close() }

func (r *Reach) listen(addr string, t target) (*listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &listener{target: t, ln: ln}
	r.done.Add(1)
	go r.accept(l)
	return l, nil
}

func (r *Reach) accept(l *listener) {
	defer r.done.Done()
	for {
		c, err := l.ln.Accept()
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			return
		}
		if r.conns.Add(1) > MaxConns {
			r.conns.Add(-1)
			c.Close()
			continue
		}
		r.done.Add(1)
		go func() {
			defer r.done.Done()
			defer r.conns.Add(-1)
			r.forward(c, r.targetOf(l, c))
		}()
	}
}

// splice copies both ways until both are done, passing half-closes on.
func (r *Reach) splice(a, b net.Conn) {
	stop := context.AfterFunc(r.ctx, func() { a.Close(); b.Close() })
	defer stop()
	defer a.Close()
	defer b.Close()
	var both sync.WaitGroup
	both.Add(2)
	half := func(to, from net.Conn) {
		defer both.Done()
		_, err := io.Copy(to, from)
		if w, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
			_ = w.CloseWrite()
			return
		}
		a.Close()
		b.Close()
	}
	go half(a, b)
	go half(b, a)
	both.Wait()
}
