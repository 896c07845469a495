package badger

import (
	"runtime"
	"sync"

	badgerdb "github.com/dgraph-io/badger/v4"

	"shoal/ledger"
	"shoal/wire"
)

// A chunk is a part of what is stored: one goroutine reads it, another decodes it.
type chunk struct {
	keys, values [][]byte

	content
	got     sums // over what is as it was written
	altered int  // entries that are not
}

const chunkEntries = 512

// read fills s.loaded with every entry that is as it was written, and returns
// the sums over those and the sums as stored. All cores decode.
func (s *Store) read() (got, stored sums, hasSums bool) {
	var chunks []*chunk
	var workers sync.WaitGroup
	work := make(chan *chunk, 2*runtime.GOMAXPROCS(0))
	for range cap(work) / 2 {
		workers.Go(func() {
			for c := range work {
				c.decode()
			}
		})
	}
	stored, hasSums = s.readChunks(func(c *chunk) {
		chunks = append(chunks, c)
		work <- c
	})
	close(work)
	workers.Wait()
	s.loaded = content{locals: map[string][]byte{}}
	for _, c := range chunks {
		got.join(c.got)
		s.loaded.records = append(s.loaded.records, c.records...)
		for k, v := range c.locals {
			s.loaded.locals[k] = v
		}
		if c.altered > 0 {
			s.found("the store in %s has an entry that was altered", s.dir)
		}
	}
	return got, stored, hasSums
}

// readChunks hands on all there is, in the order of keys, and returns the sums.
func (s *Store) readChunks(hand func(*chunk)) (stored sums, hasSums bool) {
	c := &chunk{}
	defer func() {
		if r := recover(); r != nil { // Badger, on a damaged table
			s.found("the store in %s cannot be read to its end: %v", s.dir, r)
		}
		hand(c)
	}()
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badgerdb.IteratorOptions{PrefetchValues: true, PrefetchSize: 64})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		value, err := it.Item().ValueCopy(nil)
		if err != nil {
			s.found("the store in %s has an entry that cannot be read: %w", s.dir, err)
			continue
		}
		if string(key) == string(sumsKey) {
			stored, hasSums = decodeSums(value)
			continue
		}
		c.keys, c.values = append(c.keys, key), append(c.values, value)
		if len(c.keys) == chunkEntries {
			hand(c)
			c = &chunk{}
		}
	}
	return stored, hasSums
}

func (c *chunk) decode() {
	c.locals = map[string][]byte{}
	for i, key := range c.keys {
		if sum, body, ok := unwrap(key, c.values[i]); !ok || !c.keep(key, body) {
			c.altered++
		} else {
			c.got.add(sum)
		}
	}
	c.keys, c.values = nil, nil
}

func (c *chunk) keep(key, value []byte) bool {
	switch key[0] {
	case localPrefix:
		c.locals[string(key[1:])] = value
		return true
	case recordPrefix:
		r, err := wire.DecodeRecord(value)
		if err != nil || string(recordKey(r.Num)) != string(key) {
			return false
		}
		// What the ledger will do with each record, here on all cores; what is wrong
		// with one is told where it is loaded.
		if ledger.Open(r) == nil {
			r.Hash()
		}
		c.records = append(c.records, r)
		return true
	}
	return false
}
