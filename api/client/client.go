// Package client speaks to a peer's local API over its unix socket. A method's error
// is an *api.Problem with the daemon's own sentence, or an *UnreachableError.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"shoal/api"
	"shoal/job"
)

// A Client asks one daemon. It may be used by many goroutines.
type Client struct {
	socket string
	http   *http.Client
}

const (
	dialTimeout   = 3 * time.Second
	answerTimeout = 40 * time.Second // longer than the daemon gives itself
	lookTimeout   = 10 * time.Second // for what it answers at once, or after asking others for a second
	maxAnswer     = 64 << 20
)

// New returns a client of the daemon that listens on a unix socket. It does not
// connect yet.
func New(socket string) *Client {
	return Over(socket, func(ctx context.Context) (net.Conn, error) {
		d := net.Dialer{Timeout: dialTimeout}
		return d.DialContext(ctx, "unix", socket)
	})
}

// Over returns a client of whoever serves the API at the other end of what dial
// opens; name is what errors call it.
func Over(name string, dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{socket: name, http: &http.Client{Transport: &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		ResponseHeaderTimeout: answerTimeout, DisableCompression: true,
	}}}
}

// UnreachableError says that no daemon answers, and why.
type UnreachableError struct {
	Socket string
	Err    error
}

// Error says what to do.
func (u *UnreachableError) Error() string {
	switch {
	case errors.Is(u.Err, os.ErrPermission):
		return fmt.Sprintf("the daemon's socket %s belongs to another user: run this as the one who ran `shoal up`", u.Socket)
	case u.Absent():
		return fmt.Sprintf("no daemon answers at %s: start one with `shoal up`, or name its socket with --socket", u.Socket)
	}
	if u.Silent() {
		return fmt.Sprintf("the daemon at %s takes no notice: it is stopped, or hangs; `shoal doctor` looks at the machine without it, "+
			"and who ends it and starts it again finds its containers running", u.Socket)
	}
	return fmt.Sprintf("the daemon at %s does not answer: %v", u.Socket, u.Err)
}

// Silent reports whether someone listens at the socket and says nothing.
func (u *UnreachableError) Silent() bool {
	var t interface{ Timeout() bool }
	return errors.As(u.Err, &t) && t.Timeout()
}

// Absent reports whether nobody listens at the socket, rather than someone who does
// not answer.
func (u *UnreachableError) Absent() bool {
	return errors.Is(u.Err, os.ErrNotExist) || errors.Is(u.Err, syscall.ECONNREFUSED)
}

// Unwrap returns the cause.
func (u *UnreachableError) Unwrap() error { return u.Err }

// open sends a request; the body of a good answer is the caller's to close.
func (c *Client) open(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://shoal/"+api.Version+path, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{c.socket, err}
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	p := &api.Problem{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(p); err != nil || p.Detail == "" {
		return nil, &UnreachableError{c.socket, fmt.Errorf("it answers %q, which is not shoal's", resp.Status)}
	}
	return nil, p
}

func call[A any](ctx context.Context, c *Client, method, path string, body any) (a A, err error) {
	rc, err := c.open(ctx, method, path, body)
	if err != nil {
		return a, err
	}
	defer rc.Close()
	if err := json.NewDecoder(io.LimitReader(rc, maxAnswer)).Decode(&a); err != nil {
		return a, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return a, nil
}

func get[A any](ctx context.Context, c *Client, path string, query ...string) (A, error) {
	return call[A](ctx, c, http.MethodGet, path+queryOf(query), nil)
}

// look is get for what a daemon that is well answers within seconds.
func look[A any](ctx context.Context, c *Client, path string, query ...string) (A, error) {
	limited, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	a, err := get[A](limited, c, path, query...)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = &UnreachableError{c.socket, limited.Err()}
	}
	return a, err
}

// queryOf makes "?k=v&…" of pairs, leaving out empty values.
func queryOf(pairs []string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// Status tells how the peer is.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return look[api.Status](ctx, c, "/status")
}

// Doctor looks at the peer.
func (c *Client) Doctor(ctx context.Context) (api.Health, error) {
	return get[api.Health](ctx, c, "/doctor")
}

// Peers lists the members.
func (c *Client) Peers(ctx context.Context) ([]api.Peer, error) {
	return look[[]api.Peer](ctx, c, "/peers")
}

// Jobs lists jobs; with all, removed ones too.
func (c *Client) Jobs(ctx context.Context, all bool) ([]api.Job, error) {
	if all {
		return look[[]api.Job](ctx, c, "/jobs", "all", "true")
	}
	return look[[]api.Job](ctx, c, "/jobs")
}

// Inspect returns a job with its spec.
func (c *Client) Inspect(ctx context.Context, id job.ID) (api.JobDetail, error) {
	return look[api.JobDetail](ctx, c, "/jobs/"+url.PathEscape(id.Namespace())+"/"+url.PathEscape(id.Name()))
}

// Slots lists the slots of a job, task or slot; empty: of all jobs.
func (c *Client) Slots(ctx context.Context, of string) (api.Slots, error) {
	return look[api.Slots](ctx, c, "/slots", "of", of)
}

// Why explains a slot, or each of a job or task.
func (c *Client) Why(ctx context.Context, of string) (api.Whys, error) {
	return look[api.Whys](ctx, c, "/why", "of", of)
}

func change[A any](ctx context.Context, c *Client, path string, body any) (A, error) {
	return call[A](ctx, c, http.MethodPost, path, body)
}

// Deploy makes a spec the wanted one of its job.
func (c *Client) Deploy(ctx context.Context, r api.DeployRequest) (api.Change, error) {
	return change[api.Change](ctx, c, "/deploy", r)
}

// Remove ends a job's life.
func (c *Client) Remove(ctx context.Context, r api.RemoveRequest) (api.Change, error) {
	return change[api.Change](ctx, c, "/remove", r)
}

// Scale changes how many copies of a task are wanted.
func (c *Client) Scale(ctx context.Context, r api.ScaleRequest) (api.Change, error) {
	return change[api.Change](ctx, c, "/scale", r)
}

// Restart replaces containers.
func (c *Client) Restart(ctx context.Context, r api.TargetRequest) (api.Change, error) {
	return change[api.Change](ctx, c, "/restart", r)
}

// Stop scales to zero and keeps the job.
func (c *Client) Stop(ctx context.Context, r api.TargetRequest) (api.Change, error) {
	return change[api.Change](ctx, c, "/stop", r)
}

// Rollback goes back to an earlier revision.
func (c *Client) Rollback(ctx context.Context, r api.RollbackRequest) (api.Change, error) {
	return change[api.Change](ctx, c, "/rollback", r)
}

// Drain moves a peer's work elsewhere.
func (c *Client) Drain(ctx context.Context, r api.DrainRequest) error {
	_, err := change[api.Empty](ctx, c, "/drain", r)
	return err
}

// DrainState tells how far a drain of a peer is; empty: of the one asked.
func (c *Client) DrainState(ctx context.Context, peer string) (api.DrainState, error) {
	return get[api.DrainState](ctx, c, "/drain", "peer", peer)
}

// Label sets labels of a peer.
func (c *Client) Label(ctx context.Context, r api.LabelRequest) error {
	_, err := change[api.Empty](ctx, c, "/label", r)
	return err
}

// Expel removes a peer from the swarm for good.
func (c *Client) Expel(ctx context.Context, r api.ExpelRequest) error {
	_, err := change[api.Empty](ctx, c, "/expel", r)
	return err
}

// Leave gives up membership.
func (c *Client) Leave(ctx context.Context, r api.LeaveRequest) error {
	_, err := change[api.Empty](ctx, c, "/leave", r)
	return err
}

// Down stops the daemon.
func (c *Client) Down(ctx context.Context, r api.DownRequest) error {
	_, err := change[api.Empty](ctx, c, "/down", r)
	return err
}

// Ticket makes a ticket.
func (c *Client) Ticket(ctx context.Context, r api.TicketRequest) (api.Ticket, error) {
	return change[api.Ticket](ctx, c, "/tickets", r)
}

// stream calls f for each object of a stream, until it ends, ctx does, or f errs.
func stream[A any](ctx context.Context, c *Client, path string, f func(A) error) error {
	rc, err := c.open(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer rc.Close()
	dec := json.NewDecoder(rc)
	for {
		var a A
		if err := dec.Decode(&a); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return ctx.Err()
			}
			return &UnreachableError{c.socket, fmt.Errorf("the stream broke: %w", err)}
		}
		if err := f(a); err != nil {
			return err
		}
	}
}

// LogOptions say which lines are wanted.
type LogOptions struct {
	Follow bool
	Tail   int // 0: all that is kept
}

// Logs gives the output of one slot, line by line.
func (c *Client) Logs(ctx context.Context, slot string, o LogOptions, f func(api.LogLine) error) error {
	tail := ""
	if o.Tail > 0 {
		tail = strconv.Itoa(o.Tail)
	}
	return stream(ctx, c, "/logs"+queryOf([]string{"slot", slot, "tail", tail, "follow", flag(o.Follow)}), f)
}

// EventOptions say which events are wanted.
type EventOptions struct {
	Follow bool
	Here   bool          // only those of the daemon asked
	Since  time.Duration // only younger ones; 0: all that are kept
}

// Events gives what happened, one by one.
func (c *Client) Events(ctx context.Context, o EventOptions, f func(api.Event) error) error {
	since := ""
	if o.Since > 0 {
		since = strconv.FormatFloat(o.Since.Seconds(), 'f', 3, 64)
	}
	return stream(ctx, c, "/events"+queryOf([]string{"since", since, "follow", flag(o.Follow), "here", flag(o.Here)}), f)
}

func flag(on bool) string {
	if on {
		return "true"
	}
	return ""
}
