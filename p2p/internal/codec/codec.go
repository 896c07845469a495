// Package codec is the one CBOR dialect of admission: deterministic when written
// (one byte string per value, so that it can be signed), strict when read.
package codec

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"shoal/wire"
)

var (
	enc = must(cbor.CoreDetEncOptions().EncMode())
	dec = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  8,
		MaxArrayElements: 1024,
		MaxMapPairs:      64,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // the options above are constants of ours
	}
	return v
}

// Marshal writes v; v is a struct of ours, so it cannot fail.
func Marshal(v any) []byte { return must(enc.Marshal(v)) }

// Unmarshal reads the whole of b into v. Unknown fields are passed over; doubled
// keys, indefinite lengths, tags, deep nesting and trailing bytes are errors, and
// so is anything longer than maxBytes, or that stands for much more than it is long.
func Unmarshal(b []byte, maxBytes int, v any) error {
	if len(b) > maxBytes {
		return fmt.Errorf("%d bytes, at most %d are read", len(b), maxBytes)
	}
	t := reflect.TypeOf(v)
	shape, known := shapes.Load(t)
	if !known {
		shape, _ = shapes.LoadOrStore(t, wire.ShapeOf(v))
	}
	if err := shape.(*wire.Shape).Weigh(b); err != nil { //nolint:errcheck // nothing else is in it
		return err
	}
	return dec.Unmarshal(b, v)
}

// shapes are those of the types read so far: a few, all of ours.
var shapes sync.Map // of reflect.Type to *wire.Shape
