package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"shoal/wire"
)

// A Writer writes one archive. It keeps nothing but the sum of what it has written.
type Writer struct {
	out   io.Writer
	sum   hash.Hash
	items uint64
	err   error
}

// NewWriter begins an archive; the header's Format is filled in. Errors of out are
// told by every later call, by Close at the latest.
func NewWriter(out io.Writer, h Header) *Writer {
	w := &Writer{out: out, sum: sha256.New()}
	h.Format = Format
	w.bytes(append(head(textString, len(magic)), magic...))
	_ = w.item(&Item{Header: &h})
	return w
}

// Record adds a record, encoded as wire.Marshal does.
func (w *Writer) Record(encoded []byte) error { return w.item(&Item{Record: encoded}) }

// Removed adds a removed life.
func (w *Writer) Removed(r Removed) error { return w.item(&Item{Removed: &r}) }

// Keys adds secrets: out must be a place for them.
func (w *Writer) Keys(k Keys) error { return w.item(&Item{Keys: &k}) }

// Close ends the archive. It does not close out. Without it the archive counts as cut.
func (w *Writer) Close() error {
	end := End{Items: w.items, Sum: wire.Hash(w.sum.Sum(nil))}
	err := w.item(&Item{End: &end})
	if err == nil {
		w.err = errors.New("the archive is closed")
	}
	return err
}

func (w *Writer) item(i *Item) error {
	b := wire.MustMarshal(i)
	if len(b) > maxItem {
		return fmt.Errorf("an item of %d bytes, at most %d fit an archive", len(b), maxItem)
	}
	w.bytes(head(byteString, len(b)))
	w.bytes(b)
	w.items++
	return w.err
}

func (w *Writer) bytes(b []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(b)
		w.sum.Write(b)
	}
}

// The major types of CBOR that an archive is made of.
const (
	byteString = 2
	textString = 3
)

// head is the beginning of a CBOR string of n bytes, in its shortest form.
func head(major byte, n int) []byte {
	m := major << 5
	switch {
	case n < 24:
		return []byte{m | byte(n)}
	case n < 1<<8:
		return []byte{m | 24, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{m | 25}, uint16(n))
	}
	return binary.BigEndian.AppendUint32([]byte{m | 26}, uint32(n))
}
