package p2p

import (
	"encoding/binary"
	"fmt"
	"io"

	"shoal/wire"
)

// A frame is its length, four bytes, big-endian, then as many bytes.
const frameHeader = 4

// firstRead bounds what a header alone can make us allocate; the rest follows as
// bytes arrive.
const firstRead = 32 << 10

func writeFrame(w io.Writer, b []byte) error {
	var head [frameHeader]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(b)))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// readFrame reads one frame of at most limit bytes. io.EOF means the stream ended
// between frames.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > limit {
		return nil, fmt.Errorf("%w: frame of %d bytes, at most %d are taken", wire.FaultOversized, n, limit)
	}
	b := make([]byte, min(n, firstRead))
	for got := 0; ; {
		m, err := io.ReadFull(r, b[got:])
		if got += m; err != nil {
			return nil, fmt.Errorf("frame ends after %d of %d bytes: %w", got, n, io.ErrUnexpectedEOF)
		}
		if got == n {
			return b, nil
		}
		b = append(b, make([]byte, min(n-got, got))...) //nolint:makezero // what has come, and room for as much again
	}
}
