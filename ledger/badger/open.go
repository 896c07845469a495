package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"shoal/wire"
)

const (
	dbDir      = "db"
	freshDir   = "db.fresh"   // what is left of a damaged store, on its way to db
	damagedDir = "db.damaged" // the last damaged store, for whoever wants to know

	// openAttempts is how often opening may begin without ending before the store
	// counts as damaged: Badger can crash the whole process on damaged files. It is
	// more than power that comes and goes may cut short.
	openAttempts = 12
)

// settings returns Badger's options. Two compactors are its least: with one it
// does not start, with none writes stall for good. Entries have no expiry, which
// would follow the wall clock. Nothing is compressed, so there is no block cache.
//
// Every value lies in the tree, none in Badger's value log: its collection writes
// deleted values back, with their old version, and where the deletion has been
// compacted away meanwhile they are there again. So the least memtable is one whose
// transactions, 15 % of it, take the greatest record.
//
// Level 0 stalls before it has the four tables that Badger would merge among
// themselves: that drops deletions of what an older table there still holds.
func (s *Store) settings(dir string) badgerdb.Options {
	o := badgerdb.DefaultOptions(dir).WithLogger(logger{s.log}).
		WithSyncWrites(false).WithDetectConflicts(false).WithMetricsEnabled(false).
		WithNumVersionsToKeep(1).WithNumCompactors(2).WithValueLogFileSize(1 << 20).
		WithCompression(options.None).WithBlockCacheSize(0).WithIndexCacheSize(0).
		WithChecksumVerificationMode(options.OnBlockRead)
	if s.opts.Small {
		return o.WithMemTableSize(2 << 20).WithNumMemtables(1).WithNumLevelZeroTables(1).WithNumLevelZeroTablesStall(2).
			WithValueThreshold(greatestValue).WithBaseTableSize(1 << 20).WithBaseLevelSize(4 << 20).WithNumGoroutines(1)
	}
	return o.WithMemTableSize(4 << 20).WithNumMemtables(2).WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(3).
		WithValueThreshold(greatestValue).WithBaseTableSize(2 << 20).WithBaseLevelSize(10 << 20).WithNumGoroutines(2)
}

// greatestValue is a little more than a record with all that is stored around it.
const greatestValue = wire.MaxRecordBytes + 6<<10

// openDB opens Badger, or, if it refuses its files, an empty one in its place.
func (s *Store) openDB() error {
	db, fresh := filepath.Join(s.dir, dbDir), filepath.Join(s.dir, freshDir)
	if _, err := os.Stat(db); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(fresh, db); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("state directory %s: %w", s.dir, err)
		}
	}
	_ = os.RemoveAll(fresh)
	var err error
	if s.countAttempt() > openAttempts {
		err = fmt.Errorf("opening it has crashed %d times", openAttempts)
	} else if s.db, err = openBadger(s.settings(db)); err == nil {
		return nil
	}
	if isOutside(err) {
		return fmt.Errorf("open the store in state directory %s: %w", s.dir, err)
	}
	why, _, _ := strings.Cut(err.Error(), "\n") // Badger adds advice
	s.found("the store in %s cannot be opened (%s); it was set aside as %s", s.dir, why, damagedDir)
	if err := s.head.write(headSlot{counter: s.head.counter, chain: s.head.chain, damaged: true}); err != nil {
		return err
	}
	if err := s.setAside(); err != nil {
		return err
	}
	s.countAttempt()
	if s.db, err = openBadger(s.settings(db)); err != nil {
		return fmt.Errorf("open a fresh store in state directory %s: %w", s.dir, err)
	}
	return nil
}

// found notes damage; the first finding is the one told.
func (s *Store) found(format string, args ...any) {
	if s.damage == nil {
		s.damage = fmt.Errorf(format, args...)
	}
	s.log.Warn("the store is damaged", "finding", fmt.Sprintf(strings.ReplaceAll(format, "%w", "%v"), args...))
}

// openBadger turns a panic on damaged files into an error. Tables are not verified
// as a whole here, since Badger would panic where we cannot catch it: scan reads
// every block, and a table that Badger leaves out is missing from the sums.
func openBadger(o badgerdb.Options) (db *badgerdb.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("badger: %v", r)
		}
	}()
	if err := removeEmptyLogs(o.Dir); err != nil {
		return nil, err
	}
	if err := checkTables(o.Dir); err != nil {
		return nil, err
	}
	if hasBigLogs(o) {
		big := o.WithMemTableSize(bigMemTable).WithNumMemtables(2)
		if db, err = badgerdb.Open(big); err != nil {
			return nil, err
		}
		if err := db.Close(); err != nil { // which makes tables of the logs
			return nil, err
		}
	}
	return badgerdb.Open(o)
}

// removeEmptyLogs removes the logs that a kill left just made: Badger does not open
// one of no length. Of a log that lost all it had the sums tell.
func removeEmptyLogs(dir string) error {
	present, err := logFiles(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, names := range present {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err != nil || info.Size() > 0 {
				continue
			}
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// bigMemTable is the greatest memtable that any profile has had.
const bigMemTable = 8 << 20

// hasBigLogs reports whether a kill left memtable logs that may not fit into the
// memtables of o: Badger ends the process there. A log of o's own is as long as o
// made it, twice its memtable, until it is cut to what it holds.
func hasBigLogs(o badgerdb.Options) bool {
	paths, _ := filepath.Glob(filepath.Join(o.Dir, "*.mem")) // the pattern is good
	for _, path := range paths {
		info, err := os.Stat(path)
		if err == nil && o.MemTableSize < bigMemTable && info.Size() > o.MemTableSize && info.Size() != 2*o.MemTableSize {
			return true
		}
	}
	return false
}

// isOutside reports whether opening failed for a reason that does not lie in the
// files: no room, no rights, no memory.
func isOutside(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, fs.ErrPermission) || errors.As(err, &errno) &&
		errno != syscall.ENOENT && errno != syscall.EINVAL
}

// setAside moves the present Badger files away; of those moved before none stay.
func (s *Store) setAside() error {
	away := filepath.Join(s.dir, damagedDir)
	if err := os.RemoveAll(away); err != nil {
		return fmt.Errorf("state directory %s: %w", s.dir, err)
	}
	if err := os.Rename(filepath.Join(s.dir, dbDir), away); err != nil {
		return fmt.Errorf("state directory %s: %w", s.dir, err)
	}
	_ = os.Remove(filepath.Join(s.dir, openingFile))
	if s.opts.Small {
		_ = os.RemoveAll(away)
	}
	return syncDir(s.dir)
}

const openingFile = "opening"

// countAttempt notes that opening begins and returns how often it did since it
// last ended: that many bytes the file has, which no flipped bit changes.
func (s *Store) countAttempt() int {
	f, err := os.OpenFile(filepath.Join(s.dir, openingFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return 1
	}
	defer f.Close()
	_, _ = f.WriteString("x")
	info, err := f.Stat()
	if err != nil {
		return 1
	}
	return int(info.Size())
}

// scan reads everything, compares it with the sums and the head, and moves what
// is left to a fresh store if they do not match.
func (s *Store) scan() error {
	got, stored, hasSums := s.read()
	switch h := s.head; {
	case h.fresh && (!hasSums || stored.counter == 0 && got.entries == 0) && s.damage == nil:
		if got.entries == 0 {
			return s.begin()
		}
		s.found("the store in %s lacks its sums and its head", s.dir)
	case h.fresh:
		s.found("the file head of state directory %s is gone", s.dir)
	case h.bad:
		s.found("the file head of state directory %s cannot be read", s.dir)
	case h.damaged:
		s.found("the store in %s was found damaged before and has not been refilled yet", s.dir)
	case !hasSums || stored.counter < h.counter:
		s.found("the store in %s was shortened: it ends at batch %d, and %d were promised", s.dir, stored.counter, h.counter)
	case stored.counter == h.counter && stored.chain != h.chain:
		s.found("the store in %s is not the one its head belongs to", s.dir)
	}
	whole := hasSums && got.lo == stored.lo && got.hi == stored.hi && got.entries == stored.entries
	if hasSums && !whole {
		s.found("the store in %s was altered: of %d entries %d are left", s.dir, stored.entries, got.entries)
	}
	s.sums = stored
	if s.damage == nil {
		_ = os.Remove(filepath.Join(s.dir, openingFile))
		return nil
	}
	return s.rebuild(whole)
}

// begin writes the first sums of a store, then its head: without the head such a
// store counts as not begun.
func (s *Store) begin() error {
	w := newWriter(s.db, sums{})
	defer w.discard()
	if err := w.commit(); err != nil {
		return err
	}
	s.loaded.locals = map[string][]byte{}
	if err := s.syncLogs(); err != nil {
		return err
	}
	_ = os.Remove(filepath.Join(s.dir, openingFile))
	return s.head.write(headSlot{})
}

// rebuild moves what is left to a fresh store, since Badger would stumble over
// its damaged files again and again, and marks the head damaged until Mend. A
// store whose entries are all there stays as it is.
func (s *Store) rebuild(whole bool) error {
	counter := max(s.head.counter, s.sums.counter)
	mark := headSlot{counter: s.head.counter, chain: s.head.chain, damaged: true}
	if err := s.head.write(mark); err != nil {
		return err
	}
	if !whole {
		if err := s.refill(); err != nil {
			return fmt.Errorf("rescue the store in state directory %s: %w", s.dir, err)
		}
	}
	_ = os.Remove(filepath.Join(s.dir, openingFile))
	s.sums.counter = counter
	return s.apply(nil, nil, nil, true)
}

func (s *Store) refill() error {
	fresh := filepath.Join(s.dir, freshDir)
	db, err := openBadger(s.settings(fresh))
	if err != nil {
		return err
	}
	w := newWriter(db, sums{counter: s.sums.counter, chain: s.sums.chain})
	defer func() { w.discard() }()
	for _, r := range s.loaded.records {
		b, err := wire.Marshal(r)
		if err == nil {
			err = w.set(recordKey(r.Num), b)
		}
		if err != nil {
			return errors.Join(err, db.Close())
		}
	}
	for _, k := range sortedKeys(s.loaded.locals) {
		if err := w.set(localKey(k), s.loaded.locals[k]); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if err := errors.Join(w.commit(), db.Sync(), db.Close()); err != nil {
		return err
	}
	s.sums = w.sums
	closeQuietly(s.db)
	s.db = nil
	if err := s.setAside(); err != nil {
		return err
	}
	target := filepath.Join(s.dir, dbDir)
	if err := errors.Join(os.Rename(fresh, target), syncDir(s.dir)); err != nil {
		return err
	}
	s.db, err = openBadger(s.settings(target))
	return err
}

// closeQuietly closes a store that is given up; what it has to say no longer
// matters, not even by a panic.
func closeQuietly(db *badgerdb.DB) {
	defer func() { _ = recover() }()
	_ = db.Close()
}
