package badger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	badgerdb "github.com/dgraph-io/badger/v4"
)

// A checksum stands before each stored value, over its key and value, so that an
// altered or misplaced one is seen.
type checksum [16]byte

func checksumOf(key, value []byte) checksum {
	h := sha256.New()
	h.Write([]byte{byte(len(key) >> 8), byte(len(key))})
	h.Write(key)
	h.Write(value)
	return checksum(h.Sum(nil)[:16])
}

// unwrap splits what is stored under key; ok is false if it was altered.
func unwrap(key, stored []byte) (c checksum, value []byte, ok bool) {
	if len(stored) < len(c) {
		return c, nil, false
	}
	c = checksum(stored[:len(c)])
	value = stored[len(c):]
	return c, value, checksumOf(key, value) == c
}

// A writer turns one batch into as few transactions as Badger takes; the sums of
// each are right by themselves, so that a crash between two leaves no false alarm.
type writer struct {
	db    *badgerdb.DB
	txn   *badgerdb.Txn
	sums  sums
	count int64
	bytes int64
}

func newWriter(db *badgerdb.DB, s sums) *writer {
	return &writer{db: db, txn: db.NewTransaction(true), sums: s}
}

// set puts a value, or deletes the key if value is nil.
func (w *writer) set(key, value []byte) error {
	if err := w.forget(key); err != nil {
		return err
	}
	// Half of what Badger takes: its own count of a batch is a little above ours. One
	// great record may go beyond that, alone.
	size := int64(len(key) + len(value) + 64)
	if w.count > 0 && (w.count >= w.db.MaxBatchCount()/2 || w.bytes+size > w.db.MaxBatchSize()/2) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	var err error
	if value == nil {
		err = w.txn.Delete(key)
	} else {
		c := checksumOf(key, value)
		w.sums.add(c)
		err = w.txn.Set(key, append(slices.Clone(c[:]), value...))
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	w.count++
	w.bytes += size
	return nil
}

// forget takes what is stored under key out of the sums.
func (w *writer) forget(key []byte) error {
	item, err := w.txn.Get(key)
	if errors.Is(err, badgerdb.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read before write: %w", err)
	}
	return item.Value(func(stored []byte) error {
		c, _, ok := unwrap(key, stored)
		if !ok {
			return errors.New("a stored value was altered since the start: restart shoal, it will be refilled from other peers")
		}
		w.sums.remove(c)
		return nil
	})
}

// flush commits what there is so far and begins the next transaction.
func (w *writer) flush() error {
	if err := w.commit(); err != nil {
		return err
	}
	w.txn, w.count, w.bytes = w.db.NewTransaction(true), 0, 0
	return nil
}

func (w *writer) commit() error {
	if err := w.txn.Set(sumsKey, w.sums.encode()); err != nil {
		return fmt.Errorf("write sums: %w", err)
	}
	if err := w.txn.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (w *writer) discard() { w.txn.Discard() }

// syncLogs brings everything written so far to the disk. Badger syncs only the
// log files it writes at the moment; one that filled up since the last sync may
// still be in memory alone, so those are synced here, once each.
func (s *Store) syncLogs() error {
	if err := s.db.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	dir := filepath.Join(s.dir, dbDir)
	present, err := logFiles(dir)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	s.weighTables(dir)
	isNew := false
	for kind, names := range present {
		for i, name := range names {
			done, known := s.synced[name]
			isNew = isNew || !known
			s.synced[name] = i < len(names)-1 // the last one is being written
			if done || !s.synced[name] {
				continue
			}
			if err := syncFile(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("sync %s file: %w", kind, err)
			}
		}
	}
	maps.DeleteFunc(s.synced, func(name string, _ bool) bool {
		return !slices.Contains(present[filepath.Ext(name)], name)
	})
	if isNew {
		return syncDir(dir)
	}
	return nil
}

// logFiles lists Badger's memtable and value logs, each kind oldest first; their
// names are numbers of fixed width.
func logFiles(dir string) (map[string][]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".mem" || ext == ".vlog" {
			out[ext] = append(out[ext], e.Name())
		}
	}
	return out, nil
}

// weighTables notes how much there is to merge.
func (s *Store) weighTables(dir string) {
	var sum int64
	paths, _ := filepath.Glob(filepath.Join(dir, "*.sst")) // the pattern is good
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			sum += info.Size()
		}
	}
	s.tables.Store(sum)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncDir(path string) error {
	if err := syncFile(path); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

func sortedKeys(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }
