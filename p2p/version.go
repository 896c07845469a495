package p2p

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

// ErrVersion says that another peer speaks no version of a protocol that this one does.
var ErrVersion = errors.New("it speaks another version of shoal's protocol: update the older of the two")

// asVersion makes ErrVersion of the error of a stream whose protocol could not be agreed
// on, and leaves any other as it is.
func asVersion(err error, proto string) error {
	var none multistream.ErrNotSupported[protocol.ID]
	if !errors.As(err, &none) {
		return err
	}
	return fmt.Errorf("%w; this one speaks %s", ErrVersion, proto)
}

// A reminder lets something be said now, and not again for a while.
type reminder struct{ last atomic.Int64 }

const remindEvery = time.Minute

// due reports whether it was not said within remindEvery, and takes it as said.
func (r *reminder) due(now time.Time) bool {
	last := r.last.Load()
	return now.UnixNano()-last >= int64(remindEvery) && r.last.CompareAndSwap(last, now.UnixNano())
}
