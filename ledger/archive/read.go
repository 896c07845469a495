package archive

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"shoal/wire"
)

var itemShape = wire.ShapeOf((*Item)(nil))

// A Reader reads one archive, an item at a time.
type Reader struct {
	in     *bufio.Reader
	sum    hash.Hash
	offset int64
	items  uint64
	header Header
	err    error // how it ended; io.EOF: well
}

// NewReader reads the beginning of an archive. Its errors are ErrForeign, ErrNewer,
// ErrCut, ErrDamaged, and those of in.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10), sum: sha256.New()}
	want := append(head(textString, len(magic)), magic...)
	got := make([]byte, len(want))
	n, err := io.ReadFull(r.in, got)
	if err != nil && !isEnd(err) {
		return nil, err
	}
	if n == 0 || string(got[:n]) != string(want[:n]) {
		return nil, ErrForeign
	}
	if n < len(want) {
		return nil, ErrCut
	}
	r.took(got)
	i, err := r.read()
	switch {
	case err != nil:
		return nil, err
	case i.Header == nil || i.Header.Format < 1:
		return nil, fmt.Errorf("%w: it does not begin with a header", ErrDamaged)
	case i.Header.Format > Format:
		return nil, fmt.Errorf("%w (format %d, this one reads %d)", ErrNewer, i.Header.Format, Format)
	}
	r.header = *i.Header
	return r, nil
}

// Header returns the first item.
func (r *Reader) Header() Header { return r.header }

// Offset is how many bytes have been read.
func (r *Reader) Offset() int64 { return r.offset }

// Next returns the next item that is neither the header nor the end: io.EOF after
// the last of a whole archive, else ErrCut, ErrDamaged, or what the file itself says.
func (r *Reader) Next() (Item, error) {
	if r.err != nil {
		return Item{}, r.err
	}
	before := wire.Hash(r.sum.Sum(nil))
	i, err := r.read()
	switch {
	case err != nil:
		r.err = err
	case i.Header != nil:
		r.err = fmt.Errorf("%w: at byte %d there is a second header", ErrDamaged, r.offset)
	case i.End != nil:
		r.err = r.finish(i.End, before)
	default:
		return i, nil
	}
	return Item{}, r.err
}

func (r *Reader) finish(end *End, sum wire.Hash) error {
	if end.Sum != sum || end.Items != r.items-1 {
		return fmt.Errorf("%w: its %d items do not have the sum that it ends with", ErrDamaged, r.items-1)
	}
	if _, err := r.in.ReadByte(); err == nil {
		return fmt.Errorf("%w: more follows its end at byte %d", ErrDamaged, r.offset)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return io.EOF
}

// read returns one item as it is.
func (r *Reader) read() (Item, error) {
	n, err := r.length()
	if err != nil {
		return Item{}, err
	}
	// Grown as it comes, so that a length alone takes no memory.
	b, err := io.ReadAll(io.LimitReader(r.in, int64(n)))
	if err != nil {
		return Item{}, err
	}
	if len(b) < n {
		return Item{}, fmt.Errorf("%w: at byte %d, in the middle of an item", ErrCut, r.offset+int64(len(b)))
	}
	at := r.offset
	r.took(b)
	var i Item
	if err := itemShape.Unmarshal(b, &i); err != nil {
		return Item{}, fmt.Errorf("%w: the item at byte %d cannot be read", ErrDamaged, at)
	}
	r.items++
	return i, nil
}

// length reads the beginning of a byte string.
func (r *Reader) length() (int, error) {
	first, err := r.in.ReadByte()
	if err != nil {
		if isEnd(err) {
			return 0, fmt.Errorf("%w: at byte %d, after %d items", ErrCut, r.offset, r.items)
		}
		return 0, err
	}
	n, extra := int(first&31), 0
	switch {
	case first>>5 != byteString || n > 26:
		return 0, fmt.Errorf("%w: at byte %d there is no item", ErrDamaged, r.offset)
	case n >= 24:
		n, extra = 0, 1<<(n-24)
	}
	bytes := []byte{first}
	for range extra {
		b, err := r.in.ReadByte()
		if err != nil {
			if isEnd(err) {
				return 0, fmt.Errorf("%w: at byte %d, in the middle of an item", ErrCut, r.offset)
			}
			return 0, err
		}
		bytes = append(bytes, b)
		n = n<<8 | int(b)
	}
	if n > maxItem {
		return 0, fmt.Errorf("%w: at byte %d there is an item of %d bytes, at most %d are written", ErrDamaged, r.offset, n, maxItem)
	}
	r.took(bytes)
	return n, nil
}

func (r *Reader) took(b []byte) {
	r.sum.Write(b)
	r.offset += int64(len(b))
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
