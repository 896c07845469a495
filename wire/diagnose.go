package wire

import "github.com/fxamacker/cbor/v2"

// maxDiagnosed bounds the bytes that Diagnose spells out.
const maxDiagnosed = 64 << 10

// Diagnose spells CBOR out as RFC 8949 has it, for people: what a body of a kind
// that this version does not know holds. It returns ErrInvalid for other bytes, and
// for more than 64 KiB of them.
func Diagnose(b []byte) (string, error) {
	if len(b) > maxDiagnosed {
		return "", ErrInvalid
	}
	text, err := diagnoser.Diagnose(b)
	if err != nil {
		return "", ErrInvalid
	}
	return text, nil
}

var diagnoser = func() cbor.DiagMode {
	d, err := cbor.DiagOptions{MaxNestedLevels: 16, MaxArrayElements: 65536, MaxMapPairs: 65536}.DiagMode()
	if err != nil {
		panic(err)
	}
	return d
}()
