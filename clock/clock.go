// Package clock has the one notion of time that the pure core knows: the time
// since this peer started. There is no Now here: an Instant comes into the core
// with an input and never leaves the peer. Messages carry durations instead, and
// the clocks of two peers are never compared.
package clock

import "time"

// An Instant is a point in a peer's own time, counted in nanoseconds from the
// start of its daemon. It never goes backwards. Zero is the start; as a deadline
// zero means "none".
type Instant int64

// Add returns the instant d after i. It does not overflow for any d that a
// deadline of ours can have.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub returns the duration from j to i, negative when i is earlier.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i - j) }

// Earliest returns the earlier of two deadlines; zero means "none" and loses to
// any other.
func Earliest(a, b Instant) Instant {
	switch {
	case a == 0:
		return b
	case b == 0 || a < b:
		return a
	default:
		return b
	}
}

// String prints i in seconds with milliseconds, "12.345s".
func (i Instant) String() string { return time.Duration(i).Truncate(time.Millisecond).String() }
