package badger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// sums say what a store must hold: they are written into each batch, and what
// does not match them when the store is read was altered or lost.
type sums struct {
	counter uint64   // synced batches so far
	chain   [32]byte // hash over the sums of all synced batches, in order
	lo, hi  uint64   // sum of the entries' checksums; order does not matter
	entries uint64
}

// promise links the present state into the chain.
func (s *sums) promise() {
	s.counter++
	var b bytes.Buffer
	b.Write(s.chain[:])
	b.Write(s.encode()[40:])
	s.chain = sha256.Sum256(b.Bytes())
}

func (s *sums) add(c checksum) {
	s.lo += binary.BigEndian.Uint64(c[:8])
	s.hi += binary.BigEndian.Uint64(c[8:])
	s.entries++
}

// join adds what others are the sums of.
func (s *sums) join(o sums) {
	s.lo, s.hi, s.entries = s.lo+o.lo, s.hi+o.hi, s.entries+o.entries
}

func (s *sums) remove(c checksum) {
	s.lo -= binary.BigEndian.Uint64(c[:8])
	s.hi -= binary.BigEndian.Uint64(c[8:])
	s.entries--
}

const sumsLen = 8 + 32 + 3*8

func (s *sums) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, sumsLen), s.counter)
	b = append(b, s.chain[:]...)
	b = binary.BigEndian.AppendUint64(b, s.lo)
	b = binary.BigEndian.AppendUint64(b, s.hi)
	return binary.BigEndian.AppendUint64(b, s.entries)
}

func decodeSums(b []byte) (s sums, ok bool) {
	if len(b) != sumsLen {
		return s, false
	}
	s.counter = binary.BigEndian.Uint64(b)
	copy(s.chain[:], b[8:40])
	s.lo = binary.BigEndian.Uint64(b[40:])
	s.hi = binary.BigEndian.Uint64(b[48:])
	s.entries = binary.BigEndian.Uint64(b[56:])
	return s, true
}

// A headSlot is how far a store's promises go.
type headSlot struct {
	generation uint64 // of two good slots the greater counts
	counter    uint64
	chain      [32]byte
	damaged    bool // what was found damaged has not been refilled yet
}

// A headFile is the end of the chain, outside Badger. Its slots are written in
// turn, so that a torn write leaves the one before.
type headFile struct {
	headSlot
	f     *os.File
	slots int  // that could be read when it was opened
	fresh bool // the file was not there
	bad   bool // the file was there and no slot of it can be read
}

const (
	headMagic  = "shoalhd1"
	slotStride = 4096 // one page each: a write tears no two of them
	slotLen    = 8 + 8 + 8 + 32 + 1 + 32
)

func openHead(path string) (*headFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open head: %w", err)
	}
	h := &headFile{f: f}
	b, err := io.ReadAll(io.LimitReader(f, 2*slotStride))
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read head: %w", err)
	}
	h.take(b)
	if h.fresh {
		if err := syncDir(filepath.Dir(path)); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	return h, nil
}

// take reads the slots of a head's file.
func (h *headFile) take(file []byte) {
	for i := range 2 {
		if slot, ok := decodeSlot(file, i); ok {
			if h.slots == 0 || slot.generation > h.generation {
				h.headSlot = slot
			}
			h.slots++
		}
	}
	h.fresh, h.bad = len(file) == 0, len(file) > 0 && h.slots == 0
}

// write makes slot the head, on disk when it returns.
func (h *headFile) write(slot headSlot) error {
	slot.generation = h.generation + 1
	at := int64(slot.generation%2) * slotStride
	if _, err := h.f.WriteAt(slot.encode(), at); err != nil {
		return fmt.Errorf("write head: %w", err)
	}
	if err := h.f.Sync(); err != nil {
		return fmt.Errorf("sync head: %w", err)
	}
	h.headSlot = slot
	return nil
}

func (h *headFile) close() error { return h.f.Close() }

func (s *headSlot) encode() []byte {
	b := append(make([]byte, 0, slotLen), headMagic...)
	b = binary.BigEndian.AppendUint64(b, s.generation)
	b = binary.BigEndian.AppendUint64(b, s.counter)
	b = append(b, s.chain[:]...)
	if s.damaged {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func decodeSlot(file []byte, i int) (s headSlot, ok bool) {
	at := i * slotStride
	if len(file) < at+slotLen {
		return s, false
	}
	b := file[at : at+slotLen]
	body, sum := b[:slotLen-32], b[slotLen-32:]
	if want := sha256.Sum256(body); !bytes.Equal(sum, want[:]) || string(body[:8]) != headMagic {
		return s, false
	}
	s.generation = binary.BigEndian.Uint64(body[8:])
	s.counter = binary.BigEndian.Uint64(body[16:])
	copy(s.chain[:], body[24:56])
	s.damaged = body[56] == 1
	return s, true
}
