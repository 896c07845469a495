// Package docker performs runtime.Actions on a container engine that speaks
// Docker's API. It decides nothing: what to create, start, stop or remove is the
// core's, and its results are inputs of the core.
//
// What holds of it:
//   - A container's name follows from its claim, and the engine admits each name
//     once, so a repeated or doubled create finds the first one.
//   - It sees and touches only containers, volumes and networks that carry its own
//     swarm and its own peer as labels.
//   - The engine restarts nothing by itself and publishes no port: restarts are the
//     core's, ports the daemon's.
//   - Every call has a deadline. An engine that does not answer gives
//     runtime.ErrSilent; what no repeat can mend gives runtime.ErrPermanent.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"shoal/runtime"
	"shoal/wire"
)

// DefaultHost is where an engine listens that was installed by a distribution.
const DefaultHost = "unix:///var/run/docker.sock"

// The deadlines of calls to the engine.
const (
	// DefaultCallDeadline ends every call but pulls and the grace of a stop.
	DefaultCallDeadline = 10 * time.Second
	// DefaultPullFirst is how long a registry may take to its first word, and so
	// how long a peer with the cable out waits before it says so.
	DefaultPullFirst = 20 * time.Second
	// DefaultPullStall ends a pull that has begun and makes no progress.
	DefaultPullStall = time.Minute
)

// Options say which engine a Driver uses, and for whom.
type Options struct {
	Host  string      // "unix:///run/docker.sock"; empty: DefaultHost
	Swarm string      // short swarm ID, as in runtime.Ref
	Peer  wire.PeerID // this peer

	CallDeadline time.Duration // 0: DefaultCallDeadline
	PullFirst    time.Duration // 0: DefaultPullFirst
	PullStall    time.Duration // 0: DefaultPullStall

	// Devices returns the paths in this machine's /dev of a device as a task names it,
	// or why the task cannot have it; nil: tasks have none.
	Devices func(host string) ([]string, error)
	// GPUs returns the names of this machine's GPUs in the words of the engine's
	// runtime, by index; nil: there are none.
	GPUs func() []string
	// MaxFetch is how many bytes of one image are fetched, 0: any number. A larger one
	// is given up as soon as that is known.
	MaxFetch int64

	// Progress, if set, hears how far a pull is, at most every 200 ms for each
	// container that waits for it. It must not block.
	Progress func(runtime.Progress)
	Log      *slog.Logger // nil: slog.Default()
}

// A Driver is one peer's hands on one engine. Its methods may be called at the
// same time from many goroutines.
type Driver struct {
	opts  Options
	api   *client.Client
	log   *slog.Logger
	pulls pulls

	agreeing sync.Mutex   // of those that set the API's version
	agreed   atomic.Bool  // it is set: see agree
	networks sync.Mutex   // one EnsureNetwork at a time: the engine admits two networks of one name
	cpus     atomic.Int64 // the engine's processors; 0: not asked yet

	looking   sync.Mutex
	platforms map[string]platform // of the images last told of, by ID; guarded by looking

	ctx    context.Context // ends with Close; pulls run under it, since several callers may wait for one
	cancel context.CancelFunc
}

// New returns a driver. It does not contact the engine: see Ping. The only error
// is a host that is no address.
func New(opts Options) (*Driver, error) {
	if opts.Host == "" {
		opts.Host = DefaultHost
	}
	orElse := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	orElse(&opts.CallDeadline, DefaultCallDeadline)
	orElse(&opts.PullFirst, DefaultPullFirst)
	orElse(&opts.PullStall, DefaultPullStall)
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	api, err := client.NewClientWithOpts(client.WithHost(opts.Host)) // no negotiation: see agree
	if err != nil {
		return nil, fmt.Errorf("engine address %q: %w (want for instance %s)", opts.Host, err, DefaultHost)
	}
	d := &Driver{opts: opts, api: api, log: opts.Log.With("engine", opts.Host)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Close ends pulls in progress and the connections to the engine. Containers are
// left as they are.
func (d *Driver) Close() error {
	d.cancel()
	return d.api.Close()
}

// Ping asks the engine for a sign of life. It returns runtime.ErrSilent if there
// is none within the call deadline.
func (d *Driver) Ping(ctx context.Context) error {
	return d.call(ctx, "ping", func(ctx context.Context) error {
		_, err := d.api.Ping(ctx)
		return err
	})
}

// Listens returns nil if something listens at the engine's address, even if it never
// answers; else why not: fs.ErrNotExist, fs.ErrPermission, syscall.ECONNREFUSED.
func (d *Driver) Listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.opts.CallDeadline)
	defer cancel()
	conn, err := d.api.Dialer()(ctx)
	if err != nil {
		return fmt.Errorf("dial %s: %w", d.opts.Host, err)
	}
	return conn.Close()
}

// Version returns the engine's version, such as "20.10.24".
func (d *Driver) Version(ctx context.Context) (version string, err error) {
	err = d.call(ctx, "ask version", func(ctx context.Context) error {
		v, err := d.api.ServerVersion(ctx)
		version = v.Version
		return err
	})
	return version, err
}

// call runs one call to the engine under the call deadline and names its error.
func (d *Driver) call(ctx context.Context, what string, f func(context.Context) error) error {
	return d.callFor(ctx, d.opts.CallDeadline, what, f)
}

func (d *Driver) callFor(ctx context.Context, limit time.Duration, what string, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := d.agree(limited)
	if err == nil {
		err = f(limited)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case limited.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return d.silent(what, limit)
	}
	return fmt.Errorf("%s: %w", what, d.kind(err))
}

// silent is the error of a call that the engine has not answered within limit.
func (d *Driver) silent(what string, limit time.Duration) error {
	return fmt.Errorf("%s: %w: no word from %s in %v", what, runtime.ErrSilent, d.opts.Host, limit)
}

// agree settles once which version of its API the engine and we speak. The client
// would do so itself, but behind a lock that knows no deadline: while an engine
// hangs, each call would wait for all those before it.
func (d *Driver) agree(ctx context.Context) error {
	if d.agreed.Load() {
		return nil
	}
	ping, err := d.api.Ping(ctx)
	if err != nil {
		return err
	}
	d.agreeing.Lock()
	defer d.agreeing.Unlock()
	if !d.agreed.Load() { // nobody may read the version while it is set
		d.api.NegotiateAPIVersionPing(ping)
		d.agreed.Store(true)
	}
	return nil
}

// kind turns an error of the engine's client into one of the runtime's kinds. It
// keeps the client's error in the chain, for cerrdefs.
func (d *Driver) kind(err error) error {
	switch {
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("%w: nothing listens at %s (is it running?)", runtime.ErrSilent, d.opts.Host)
	case cerrdefs.IsInvalidArgument(err):
		return &engineError{err: err, permanent: true}
	}
	return &engineError{err: err}
}

// An engineError is an error of the engine in fewer words.
type engineError struct {
	err       error
	permanent bool
}

// Error drops what every message of the engine says, and the layers below the
// engine through which a start failed.
func (e *engineError) Error() string {
	s := strings.TrimPrefix(e.err.Error(), "Error response from daemon: ")
	if _, cause, ok := strings.Cut(s, "starting container process caused: "); ok {
		s = strings.TrimSuffix(cause, ": unknown")
	}
	return s
}

func (e *engineError) Unwrap() []error {
	if e.permanent {
		return []error{e.err, runtime.ErrPermanent}
	}
	return []error{e.err}
}

// permanent makes an error that no repeat on this peer can mend.
func permanent(format string, args ...any) error {
	return &permanentError{fmt.Errorf(format, args...)}
}

// A permanentError is runtime.ErrPermanent without its words, which would only
// lengthen the sentence.
type permanentError struct{ error }

func (e *permanentError) Unwrap() []error { return []error{e.error, runtime.ErrPermanent} }
