package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"shoal/api"
	"shoal/api/client"
	"shoal/job"
	"shoal/ledger"
	"shoal/ledger/archive"
	"shoal/p2p/admit"
	"shoal/wire"
)

// A target is where an archive is written: a file that appears as a whole, for its
// owner alone, or standard output.
type target struct {
	out  io.Writer
	tmp  *os.File // nil: standard output
	path string
}

// create opens the target. A file that is there is only replaced with force.
func (c *cli) create(path string, force bool) (*target, error) {
	if path == "-" {
		return &target{out: c.out}, nil
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no plain file: name another, or - for standard output", path)
	case err == nil && !force:
		return nil, fmt.Errorf("%s exists: name another file, or replace it with --force", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, cannotWrite(path, err)
	}
	tmp, err := createUnfinished(path)
	if err != nil {
		return nil, cannotWrite(path, err)
	}
	return &target{out: tmp, tmp: tmp, path: path}, nil
}

func cannotWrite(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s cannot be written: %w", path, err)
}

// finish makes the file durable and gives it its name; with an error it goes.
func (t *target) finish(err error) error {
	if t.tmp == nil {
		return err
	}
	if err == nil {
		err = t.tmp.Sync()
	}
	if closeErr := t.tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(t.tmp.Name(), t.path)
	}
	if err == nil {
		return stateDir(filepath.Dir(t.path)).sync()
	}
	_ = os.Remove(t.tmp.Name())
	var p *fs.PathError
	if errors.As(err, &p) {
		return cannotWrite(t.path, err)
	}
	return err
}

// An outcome of writing or reading an archive, for people and for programs.
type archived struct {
	File     string          `json:"file"`
	Content  archive.Content `json:"content"`
	Swarm    string          `json:"swarm"`
	Peer     string          `json:"peer"`               // whose ledger it was
	Written  *time.Time      `json:"written,omitempty"`  // when, by that peer's clock
	Records  int             `json:"records"`            // in the archive
	Kinds    map[string]int  `json:"kinds"`              // of these, by kind
	Removed  int             `json:"removed"`            // jobs whose removal is remembered
	Keys     bool            `json:"keys"`               // secrets are in it
	Outcomes map[string]int  `json:"outcomes,omitempty"` // what became of the records, where they were brought in
	Jobs     []archivedJob   `json:"jobs,omitempty"`
	Passed   int             `json:"unknownItems,omitempty"`
	Damage   string          `json:"damage,omitempty"`
	NewPeer  string          `json:"newPeer,omitempty"` // that this machine has become
}

// An archivedJob is the latest head of a job in an archive.
type archivedJob struct {
	Job      string `json:"job"`
	Life     uint64 `json:"life"`
	Revision uint64 `json:"revision"`
	Deleted  bool   `json:"deleted,omitempty"`
	Outcome  string `json:"outcome,omitempty"`
	Now      string `json:"now,omitempty"` // what holds here, where it is something else
}

// noted counts a record of an archive.
func (a *archived) noted(kind string) {
	if a.Kinds == nil {
		a.Kinds = map[string]int{}
	}
	a.Records++
	a.Kinds[kind]++
}

// writeArchive writes what the ledger holds that keep wants.
func (c *cli) writeArchive(
	ctx context.Context, cl *client.Client, out io.Writer, a *archived, keep func(api.LedgerRecord) bool, keys *archive.Keys,
) error {
	sum, err := cl.Ledger(ctx)
	if err != nil {
		return err
	}
	h := archive.Header{Content: a.Content, Name: sum.Peer, Unix: time.Now().Unix(), Shoal: version}
	swarm, err := hex.DecodeString(sum.Swarm)
	if err != nil || len(swarm) != len(h.Swarm) {
		return fmt.Errorf("the daemon's answer names swarm %q", sum.Swarm)
	}
	h.Swarm = wire.Hash(swarm)
	if h.Peer, err = wire.ParsePeerID(sum.PeerID); err != nil {
		return err
	}
	a.Swarm, a.Peer = admit.SwarmID(h.Swarm).Short(), sum.Peer
	w := archive.NewWriter(out, h)
	bar := c.newPace(sum.Records, "records written")
	err = cl.LedgerRecords(ctx, client.RecordOptions{Raw: true}, func(r api.LedgerRecord) error {
		bar.step(1)
		if !keep(r) {
			return nil
		}
		a.noted(r.Kind)
		return w.Record(r.Raw)
	})
	if err != nil {
		return err
	}
	for _, l := range sum.Removed {
		id, err := job.ParseID(l.Job)
		if err == nil {
			err = w.Removed(archive.Removed{Job: id, Life: l.Life})
		}
		if err != nil {
			return err
		}
		a.Removed++
	}
	if keys != nil {
		a.Keys = true
		if err := w.Keys(*keys); err != nil {
			return err
		}
	}
	return w.Close()
}

// A pace tells on stderr how far long work is, every few seconds.
type pace struct {
	c     *cli
	what  string
	total int // 0: not known
	done  int
	next  time.Time
}

const paceEvery = 2 * time.Second

func (c *cli) newPace(total int, what string) *pace {
	return &pace{c: c, what: what, total: total, next: time.Now().Add(paceEvery)}
}

func (p *pace) step(n int) {
	p.done += n
	if time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(paceEvery)
	of := ""
	if p.total > 0 {
		of = fmt.Sprintf(" of %d", p.total)
	}
	p.c.progress("%d%s %s", p.done, of, p.what)
}

// An archiveReader reads an archive and sums it up.
type archiveReader struct {
	*archive.Reader
	name  string
	sum   archived
	keys  *archive.Keys
	heads map[job.ID]*ledger.Head
}

// openArchive reads the beginning of an archive.
func openArchive(name string, in io.Reader) (*archiveReader, error) {
	r, err := archive.NewReader(in)
	if err != nil {
		return nil, badArchive(name, err)
	}
	h := r.Header()
	a := &archiveReader{Reader: r, name: name, heads: map[job.ID]*ledger.Head{}}
	a.sum = archived{File: name, Content: h.Content, Swarm: admit.SwarmID(h.Swarm).Short(), Peer: h.Name, Kinds: map[string]int{}}
	if h.Unix > 0 {
		at := time.Unix(h.Unix, 0).UTC()
		a.sum.Written = &at
	}
	return a, nil
}

func badArchive(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s cannot be read: %w", name, p.Err)
	}
	return fmt.Errorf("%s %w", name, err)
}

// each calls f with every record of the archive, encoded and as far as it decodes.
// Its error is f's, or tells how the archive ends before it should.
func (a *archiveReader) each(f func(encoded []byte, r *wire.Record) error) error {
	for {
		i, err := a.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return badArchive(a.name, err)
		case i.Record != nil:
			r, err := wire.DecodeRecord(i.Record)
			if err != nil || ledger.Open(r) != nil {
				r = nil
			}
			a.note(r)
			if err := f(i.Record, r); err != nil {
				return err
			}
		case i.Removed != nil: // for who reads the file: nobody has signed it, so nobody takes it
			a.sum.Removed++
		case i.Keys != nil:
			a.keys, a.sum.Keys = i.Keys, true
		default:
			a.sum.Passed++
		}
	}
}

func (a *archiveReader) note(r *wire.Record) {
	if r == nil {
		a.sum.noted("unreadable")
		return
	}
	a.sum.noted(r.Kind.String())
	h, ok := r.Value.(*ledger.Head)
	if !ok {
		return
	}
	if was := a.heads[h.Job]; was == nil || ledger.CompareHeads(h, was) > 0 {
		a.heads[h.Job] = h
	}
}

// openInput opens what an archive is read from: a plain file, or, for -, standard
// input, which is put aside whole first, so that it too is known to be whole before
// anything of it is taken.
func openInput(ctx context.Context, path string) (f *os.File, name string, err error) {
	if path != "-" {
		f, err = openFile(path)
		return f, path, err
	}
	name = "standard input"
	f, err = os.CreateTemp("", "shoal-input-*")
	if err != nil {
		return nil, name, fmt.Errorf("%s cannot be put aside: %w", name, err)
	}
	_ = os.Remove(f.Name()) // it goes when it is closed
	done := make(chan error, 1)
	go func() {
		n, err := io.Copy(f, io.LimitReader(os.Stdin, maxInput+1))
		if err == nil && n > maxInput {
			err = fmt.Errorf("it is longer than %d GiB", maxInput>>30)
		}
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return nil, name, ctx.Err() // the copy ends with the process
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, name, errors.Join(fmt.Errorf("%s cannot be read: %w", name, err), f.Close())
	}
	return f, name, nil
}

// maxInput bounds what is read from standard input, in bytes.
const maxInput = 4 << 30

// openFile opens a plain file, and waits for nobody to write to a pipe.
func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, badArchive(path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no plain file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// latest lists the jobs of an archive, by name.
func (a *archiveReader) latest() (out []archivedJob) {
	for _, id := range slices.Sorted(maps.Keys(a.heads)) {
		h := a.heads[id]
		out = append(out, archivedJob{Job: id.String(), Life: h.Life, Revision: h.Revision, Deleted: h.Deleted})
	}
	return out
}
