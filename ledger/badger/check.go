package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	badgerdb "github.com/dgraph-io/badger/v4"

	"shoal/wire"
)

// A Check is what a look at all of an open store has found. Empty sentences are good
// news.
type Check struct {
	Entries uint64 // read: records, and what concerns this peer alone
	Records uint64
	Altered uint64 // entries that cannot be read or are not as they were written
	Sums    string // how what is held differs from the sums written with it
	Batches uint64 // synced so far
	Slots   int    // of the head that can be read, of two; one is normal after a crash
	Head    string // how the chain of batches differs from the head outside
	Damage  string // what was found at the start and not refilled since
}

// Check reads everything again from the files, beside what goes on: it looks at one
// state between two batches.
func (s *Store) Check() (Check, error) {
	s.mu.Lock()
	if s.closed || s.db == nil {
		s.mu.Unlock()
		return Check{}, errors.New("the store is closed")
	}
	txn := s.db.NewTransaction(false)
	c := s.checkHead()
	s.mu.Unlock()
	defer txn.Discard()
	got, stored, hasSums := c.read(txn)
	switch {
	case !hasSums:
		c.Sums = "the sums are gone"
	case got.lo != stored.lo || got.hi != stored.hi || got.entries != stored.entries:
		c.Sums = fmt.Sprintf("of %d entries written %d are left as they were", stored.entries, got.entries)
	}
	return c, nil
}

// checkHead compares the head's file with the chain of batches. s.mu is held.
func (s *Store) checkHead() (c Check) {
	c.Batches = s.sums.counter
	if s.damage != nil {
		c.Damage = s.damage.Error()
	}
	var h headFile
	b, err := os.ReadFile(filepath.Join(s.dir, "head"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Head = fmt.Sprintf("the file head cannot be read: %v", cause(err))
		return c
	}
	h.take(b)
	c.Slots = h.slots
	switch {
	case h.fresh:
		c.Head = "the file head is gone"
	case h.bad:
		c.Head = "the file head cannot be read"
	case s.sums.counter < h.counter:
		c.Head = fmt.Sprintf("the store ends at batch %d, and %d were promised", s.sums.counter, h.counter)
	case s.sums.counter > h.counter:
		c.Head = fmt.Sprintf("the head ends at batch %d, and the store at %d", h.counter, s.sums.counter)
	case s.sums.chain != h.chain:
		c.Head = "the store is not the one its head belongs to"
	}
	return c
}

// read sums up every entry that is as it was written.
func (c *Check) read(txn *badgerdb.Txn) (got, stored sums, hasSums bool) {
	defer func() {
		if r := recover(); r != nil { // Badger, on a damaged table
			c.Altered++
		}
	}()
	it := txn.NewIterator(badgerdb.IteratorOptions{PrefetchValues: true, PrefetchSize: 64})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		value, err := it.Item().ValueCopy(nil)
		if err == nil && string(key) == string(sumsKey) {
			stored, hasSums = decodeSums(value)
			continue
		}
		c.Entries++
		sum, body, ok := unwrap(key, value)
		if ok && key[0] == recordPrefix {
			c.Records++
			r, bad := wire.DecodeRecord(body)
			ok = bad == nil && string(recordKey(r.Num)) == string(key)
		}
		if err != nil || !ok {
			c.Altered++
			continue
		}
		got.add(sum)
	}
	return got, stored, hasSums
}
