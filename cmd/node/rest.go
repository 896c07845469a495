package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"shoal/api"
	"shoal/api/client"
	"shoal/ledger/badger"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// withLedger calls f with a client of the daemon or, if a state directory is given,
// of the ledger that a stopped peer left there.
func (c *cli) withLedger(ctx context.Context, state string, f func(*client.Client) error) error {
	if state == "" {
		return f(c.client())
	}
	return c.withRest(ctx, state, func(_ *rest, cl *client.Client) error { return f(cl) })
}

// withRest calls f with the ledger that a stopped peer left, and a client of it.
func (c *cli) withRest(ctx context.Context, state string, f func(*rest, *client.Client) error) error {
	dir, err := stateAt(state)
	if err != nil {
		return err
	}
	r, err := c.openRest(dir, false)
	if err != nil {
		return err
	}
	return errors.Join(f(r, r.serve(ctx)), r.close())
}

// A rest is the ledger of a stopped peer: its core is made and never stepped. It
// serves the same API as a daemon, as far as a ledger alone can answer.
type rest struct {
	mu     sync.Mutex // guards core
	core   *node.Core
	store  restStore
	damage error  // of the store; nil: none
	stop   func() // what serve began
}

// restStore is a store, or a copy of one.
type restStore interface {
	Load() (records []*wire.Record, locals map[string][]byte, damage error)
	Apply(puts []*wire.Record, drops []wire.Number, locals map[string][]byte, sync bool) error
	Check() (badger.Check, error)
	Close() error
}

// openRest opens a stopped peer's ledger: a copy, unless it is to be written. It is an
// error if a daemon runs there.
func (c *cli) openRest(dir stateDir, write bool) (*rest, error) {
	id, err := dir.load()
	switch {
	case err != nil:
		return nil, err
	case id == nil || id.cert.Swarm.IsZero():
		return nil, fmt.Errorf("state directory %s holds no peer: name one with --state", dir)
	}
	r := &rest{}
	if write {
		r.store, err = badger.Open(dir.path("store"), badger.Options{})
	} else {
		r.store, err = badger.OpenCopy(dir.path("store"), badger.Options{})
	}
	var busy *badger.InUseError
	switch {
	case errors.As(err, &busy):
		return nil, fmt.Errorf("%w; while its daemon runs, leave out --state: then the daemon is asked", err)
	case err != nil:
		return nil, err
	}
	if err := r.load(c, id); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *rest) load(c *cli, id *identity) (err error) {
	records, locals, damage := r.store.Load()
	r.damage = damage
	if damage != nil {
		c.progress("the store is damaged, and what is left is shown: %v", damage)
	}
	r.core, err = node.New(node.Config{
		Self: id.peer(), Swarm: wire.Hash(id.cert.Swarm), Key: wire.Key(id.key), Verify: wire.VerifyEd25519,
		Entitled: entitled(id.cert.Swarm), Damaged: damage != nil, Version: version,
	}, node.Stored{Records: records, Locals: locals})
	return err
}

// serve answers a client in this process, until ctx ends or the rest is closed.
func (r *rest) serve(ctx context.Context) *client.Client {
	l := newPeerListener()
	h := api.HTTP(api.New(api.Config{Backend: r, Version: version, CheckStore: checkStore(r.store)}).Handler())
	go func() { _ = h.Serve(l) }()
	r.stop = func() { _ = h.Close() }
	return client.Over("the store", func(context.Context) (net.Conn, error) {
		here, there := net.Pipe()
		l.put(there)
		return here, ctx.Err()
	})
}

func (r *rest) close() error {
	if r.stop != nil {
		r.stop()
	}
	return r.store.Close()
}

// checkStore is what of a store the API shows.
func checkStore(s interface{ Check() (badger.Check, error) }) func() (api.StoreCheck, error) {
	return func() (api.StoreCheck, error) {
		c, err := s.Check()
		return api.StoreCheck{
			Entries: c.Entries, Altered: c.Altered, Batches: c.Batches, Slots: c.Slots, Sums: c.Sums, Head: c.Head, Damage: c.Damage,
		}, err
	}
}

// Do brings in records; a stopped peer does nothing else.
func (r *rest) Do(_ context.Context, q node.Request) (node.Reply, error) {
	if q.Import == nil {
		return node.Reply{}, errors.New("this peer is stopped: `shoal up` starts it")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	out, writes := r.core.ImportAtRest(q.Import.Records)
	return node.Reply{Changed: true, Imported: out}, r.apply(writes)
}

// apply makes writes durable.
func (r *rest) apply(writes []node.Write) error {
	var puts []*wire.Record
	var drops []wire.Number
	locals := map[string][]byte{}
	for _, w := range writes {
		switch {
		case w.Put != nil:
			puts = append(puts, w.Put)
		case w.Drop != nil:
			drops = append(drops, *w.Drop)
		case w.Local != nil:
			locals[w.Local.Key] = w.Local.Value
		}
	}
	return r.store.Apply(puts, drops, locals, true)
}

// begin makes it the store of a peer that was ready before.
func (r *rest) begin() error { return r.apply(r.core.RestoreAtRest()) }

// View reads the core.
func (r *rest) View(_ context.Context, f func(*node.Core)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.core)
	return nil
}

// Events has none to tell.
func (r *rest) Events(context.Context, uint64, bool, func(uint64, time.Time, node.Event) error) error {
	return nil
}

// Logs has none to show.
func (r *rest) Logs(context.Context, string, runtime.LogOptions) (io.ReadCloser, error) {
	return nil, os.ErrNotExist
}
