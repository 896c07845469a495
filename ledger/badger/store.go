// Package badger keeps one peer's ledger on its disk. It decides nothing about
// records; it sees to it that what was promised is still there, or that its loss
// is seen.
//
// A state directory holds:
//
//	lock      who uses it, by flock and process number
//	schema    the version of all that follows
//	head      two alternating slots: how far the promises go, see head.go
//	db/       the Badger store
//	ballast   room to give back when the disk is full, see disk.go
//	opening   how often opening the store has begun and not ended
//
// Badger notices a damaged value, but not that its log ends too early or that a
// table is missing. So a sum over everything held travels with each batch, and
// the chain of synced batches ends in a file outside. What was shortened or
// altered does not match one of the two: then what is left is moved to a fresh
// store, and the peer counts as damaged until others have refilled it.
package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	badgerdb "github.com/dgraph-io/badger/v4"

	"shoal/wire"
)

// Options say how much memory and disk a store may take.
type Options struct {
	Small     bool         // for devices with little of both: 2 MiB buffers, no ballast
	NoBallast bool         // keep no room back: for a store that is not there to stay
	Logger    *slog.Logger // nil: nothing is logged
}

// A Store is an open state directory. Its methods may be called from several
// goroutines; Apply runs one at a time.
type Store struct {
	dir  string
	opts Options
	log  *slog.Logger
	lock *os.File

	mu     sync.Mutex
	db     *badgerdb.DB
	head   *headFile
	sums   sums
	loaded content
	damage error
	synced map[string]bool // log files of Badger that are full and synced
	failed error           // why nothing can be written any more
	closed bool
	tables atomic.Int64 // bytes of Badger's tables at the last sync
}

// content is everything a store held when it was opened, until Load takes it.
type content struct {
	records []*wire.Record
	locals  map[string][]byte
}

// Open opens the state directory dir, making it if need be, and reads all of it.
// A damaged store is no error: it is opened with what is left, and Load says so.
// The errors are for people: the directory cannot be written, another process
// uses it, or a newer shoal wrote it.
func Open(dir string, opts Options) (*Store, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: dir, opts: opts, log: opts.Logger, synced: map[string]bool{}}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	lock, err := acquire(dir)
	if err != nil {
		return nil, err
	}
	s.lock = lock
	if err := s.open(); err != nil {
		_ = s.Close()
		if errors.Is(err, syscall.ENOSPC) { // taken since there was room, a moment ago
			free, _, _ := Free(dir)
			err = fmt.Errorf("state directory %s cannot be opened: %w", dir, &FullError{free, opts.least()})
		}
		return nil, err
	}
	return s, nil
}

func (s *Store) open() error {
	write, err := s.checkSchema()
	if err != nil {
		return err
	}
	if err := s.makeRoom(s.opts.least()); err != nil {
		return fmt.Errorf("state directory %s cannot be opened: %w", s.dir, err)
	}
	s.fitBallast()
	head, err := openHead(filepath.Join(s.dir, "head"))
	if err != nil {
		return fmt.Errorf("state directory %s: %w", s.dir, err)
	}
	s.head = head
	if err := s.openDB(); err != nil {
		return err
	}
	if err := s.scan(); err != nil || !write {
		return err
	}
	return s.writeSchema() // after the head, which remembers what was wrong with it
}

// Load returns what the store held when it was opened; it may be called once.
// Damage is nil, or one sentence on what is missing: the peer must then be
// refilled by others before it may call itself ready, and say so with Mend.
func (s *Store) Load() (records []*wire.Record, locals map[string][]byte, damage error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.loaded
	s.loaded = content{}
	return c.records, c.locals, s.damage
}

// Apply writes one batch: puts, then drops, then locals, where a nil value deletes
// its key. With sync it returns once all of it, and all before it, survives a power
// cut. A batch too big for one transaction is split; a crash may then leave its
// first part. On a full disk it returns a *FullError and has written nothing; batches
// that drop records and put none still go through for a while. After any other error
// nothing more is written: every later Apply returns the same error. Whatever the
// error, who called must promise nothing.
func (s *Store) Apply(puts []*wire.Record, drops []wire.Number, locals map[string][]byte, sync bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the store is closed")
	}
	if s.failed != nil {
		return s.failed
	}
	need := s.need()
	if len(puts) == 0 && len(drops) > 0 {
		need /= 2
	}
	if err := s.makeRoom(need); err != nil {
		return fmt.Errorf("write to state directory %s: %w", s.dir, err)
	}
	if err := s.apply(puts, drops, locals, sync); err != nil {
		s.failed = fmt.Errorf("write to state directory %s: %w", s.dir, err)
		return s.failed
	}
	return nil
}

func (s *Store) apply(puts []*wire.Record, drops []wire.Number, locals map[string][]byte, sync bool) error {
	w := newWriter(s.db, s.sums)
	defer w.discard()
	for _, r := range puts {
		b, err := wire.Marshal(r)
		if err != nil {
			return fmt.Errorf("record %v: %w", r.Num, err)
		}
		if err := w.set(recordKey(r.Num), b); err != nil {
			return err
		}
	}
	for _, n := range drops {
		if err := w.set(recordKey(n), nil); err != nil {
			return err
		}
	}
	for _, k := range sortedKeys(locals) {
		if err := w.set(localKey(k), locals[k]); err != nil {
			return err
		}
	}
	if sync {
		w.sums.promise()
	}
	if err := w.commit(); err != nil {
		return err
	}
	s.sums = w.sums
	if !sync {
		return nil
	}
	if err := s.syncLogs(); err != nil {
		return err
	}
	return s.head.write(headSlot{counter: s.sums.counter, chain: s.sums.chain, damaged: s.damage != nil})
}

// Mend says that others have refilled what was lost: from now on the store counts
// as whole. On a store without damage it does nothing.
func (s *Store) Mend() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.damage == nil || s.closed || s.failed != nil {
		return s.failed
	}
	if err := s.syncLogs(); err != nil {
		return err
	}
	if err := s.head.write(headSlot{counter: s.head.counter, chain: s.head.chain}); err != nil {
		return err
	}
	s.damage = nil
	return nil
}

// Collect gives back the room of what was overwritten or dropped and lies deep in the
// tree, and takes the ballast again where it had been given back. It is for a quiet
// moment, every few minutes.
func (s *Store) Collect() error {
	s.fitBallast()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if err := s.db.Flatten(1); err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	return nil
}

// Close ends the use of the directory. A second Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.head != nil {
		errs = append(errs, s.head.close())
	}
	errs = append(errs, s.lock.Close()) // which gives up the lock
	return errors.Join(errs...)
}

// Keys are big-endian and, for records, of fixed width, so that one issuer's
// records lie together in the order of their numbers.
const (
	recordPrefix = 'r'
	localPrefix  = 'l'
	recordKeyLen = 1 + 32 + 4 + 8 + 8
)

var sumsKey = []byte("h")

func recordKey(n wire.Number) []byte {
	k := make([]byte, 0, recordKeyLen)
	k = append(k, recordPrefix)
	k = append(k, n.Issuer[:]...)
	k = binary.BigEndian.AppendUint32(k, n.Inc)
	k = binary.BigEndian.AppendUint64(k, n.Nonce)
	return binary.BigEndian.AppendUint64(k, n.Seq)
}

func localKey(key string) []byte { return append([]byte{localPrefix}, key...) }
