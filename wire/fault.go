package wire

import (
	"errors"
	"io"
)

// A Fault is why a message or a record was dropped. It is an error, so that one can
// be wrapped where it is found and counted where it ends: see FaultOf.
type Fault uint8

// The faults. Those up to FaultSwarm are ErrInvalid; IsBlamed says which of them are
// held against whoever sent the bytes.
const (
	FaultTruncated   Fault = iota + 1 // the encoding ends too early
	FaultUndecodable                  // no encoding of any message
	FaultOversized                    // above a bound that every sender knows
	FaultMalformed                    // encoded well, and not what such a thing can say
	FaultUnfit                        // the same, but signed by its issuer, who may run a later version
	FaultForged                       // the signature is not the issuer's
	FaultDomain                       // the signature is the issuer's, of a record of another kind
	FaultSwarm                        // of another swarm
	FaultReplayed                     // older than what is held, or dropped here by a rule
	FaultRemoved                      // of a life of a job that was removed
	FaultUnknown                      // of a kind that a later version has
	FaultStranger                     // from, or about, a peer that is no member
	FaultIgnored                      // not looked at, because of its sender's score

	NumFaults = int(FaultIgnored) + 1
)

var faultNames = [NumFaults]string{
	"none", "truncated", "undecodable", "oversized", "malformed", "unfit", "forged", "wrong domain", "wrong swarm",
	"replayed", "removed life", "unknown kind", "stranger", "ignored",
}

func (f Fault) String() string { return faultNames[min(int(f), NumFaults-1)] }

// Error implements error.
func (f Fault) Error() string {
	if f.Is(ErrInvalid) {
		return "invalid: " + f.String()
	}
	return f.String()
}

// Is makes a fault one of the kinds of error of this package.
func (f Fault) Is(kind error) bool {
	switch kind {
	case ErrInvalid:
		return f >= FaultTruncated && f <= FaultSwarm
	case ErrStale:
		return f == FaultReplayed || f == FaultRemoved
	case ErrUnknown:
		return f == FaultUnknown
	}
	return false
}

// IsBlamed reports whether no correct peer, of any version, sends such a thing: it
// checks what it passes on, and replays and repeats only what was good once.
func (f Fault) IsBlamed() bool { return f.Is(ErrInvalid) && f != FaultUnfit }

// FaultOf returns what an error of decoding or checking says is at fault; 0 for none
// of the sender's.
func FaultOf(err error) Fault {
	var f Fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, ErrUnknown):
		return FaultUnknown
	case errors.Is(err, ErrStale):
		return FaultReplayed
	case errors.Is(err, ErrInvalid):
		return FaultMalformed
	}
	return 0
}

// faultOfEncoding tells bytes that stop from bytes that are something else.
func faultOfEncoding(err error) Fault {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return FaultTruncated
	}
	return FaultUndecodable
}

// FaultCounts is how often each fault was met, by its number.
type FaultCounts [NumFaults]uint64

// Since returns what was counted after an earlier state of the same counts.
func (c FaultCounts) Since(before FaultCounts) FaultCounts {
	for i := range c {
		c[i] -= before[i]
	}
	return c
}

// Add counts more.
func (c *FaultCounts) Add(more FaultCounts) {
	for i := range c {
		c[i] += more[i]
	}
}

// Map returns what was met at all, by name; nil for nothing.
func (c *FaultCounts) Map() map[string]uint64 {
	var out map[string]uint64
	for i, n := range c {
		if n == 0 {
			continue
		}
		if out == nil {
			out = map[string]uint64{}
		}
		out[Fault(i).String()] = n
	}
	return out
}

// Blamed is how many of the counted are held against their sender.
func (c *FaultCounts) Blamed() (n uint64) {
	for i := range c {
		if Fault(i).IsBlamed() {
			n += c[i]
		}
	}
	return n
}
