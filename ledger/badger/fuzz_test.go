package badger

import (
	"os"
	"path/filepath"
	"testing"

	"shoal/internal/fuzztest"
	"shoal/wire"
)

// FuzzHead reads the file with the end of the chain, whatever became of it.
func FuzzHead(f *testing.F) {
	slot := headSlot{generation: 3, counter: 7, chain: [32]byte{1}}
	file := make([]byte, slotStride+slotLen)
	copy(file, slot.encode())
	f.Add(file)
	slot.generation, slot.damaged = 4, true
	copy(file[slotStride:], slot.encode())
	f.Add(file)
	f.Add(file[:slotStride+20])
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Bounded(t, len(b), func() { new(headFile).take(b) })
		var h headFile
		h.take(b)
		if h.slots > 2 || h.bad && h.slots > 0 || h.fresh != (len(b) == 0) {
			t.Errorf("%+v", h)
		}
	})
}

// FuzzEntry reads one entry of the store, as loading does.
func FuzzEntry(f *testing.F) {
	r := &wire.Record{Num: wire.Number{Issuer: wire.PeerID{1}, Inc: 1, Nonce: 2, Seq: 3}, Kind: wire.KindCard, Body: []byte{0xa0}}
	r.Seal(wire.Hash{1}, wire.Key(make([]byte, 64)))
	f.Add(recordKey(r.Num), wire.MustMarshal(r))
	f.Add(append([]byte{localPrefix}, "ran"...), []byte{1})
	f.Add(sumsKey, (&sums{counter: 1}).encode())
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if len(key) == 0 {
			return // Badger has no such key
		}
		sum := checksumOf(key, value)
		read := func() *chunk {
			c := &chunk{keys: [][]byte{key}, values: [][]byte{append(sum[:], value...)}}
			c.decode()
			return c
		}
		// Three steps, each within its bound: the entry, the record's body, its hash.
		fuzztest.BoundedBy(t, len(key)+len(value), 3*fuzztest.PerByte, 3*fuzztest.Always, func() { read() })
		if _, _, ok := unwrap(key, value); ok && len(value) < len(sum) {
			t.Error("an entry without its checksum is taken")
		}
		decodeSums(value)
		if c := read(); len(c.records)+len(c.locals)+c.altered != 1 {
			t.Error("one entry is not one thing")
		}
	})
}

// FuzzTable looks at the end of a table before Badger does.
func FuzzTable(f *testing.F) {
	f.Add([]byte("index\x00\x00\x00\x05\x08\x01\x00\x00\x00\x02"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	path := filepath.Join(f.TempDir(), "1.sst")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		fuzztest.Bounded(t, len(b), func() { _ = checkTable(path) })
	})
}
