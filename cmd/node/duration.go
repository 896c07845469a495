package main

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/pflag"

	"shoal/api"
)

// forEver is the longest that a flag takes.
const forEver = api.Longest

// timeouts are the bounds of every --timeout: 0 is for ever.
var timeouts = bounds{0, forEver, "0 (for ever) to 366 days, such as 5m"}

// bounds are what a duration flag takes, and how a person is told.
type bounds struct {
	least, most time.Duration
	want        string
}

// durationFlag makes a flag that takes a duration within bounds; the default need not lie
// within: it is what holds where the flag is not given.
func durationFlag(flags *pflag.FlagSet, to *time.Duration, name string, value time.Duration, b bounds, usage string) {
	*to = value
	flags.Var(&durationValue{to, b}, name, usage)
}

// A durationValue is a pflag.Value. Its errors are boundsErrors.
type durationValue struct {
	to *time.Duration
	bounds
}

// Set reads what was given.
func (v *durationValue) Set(text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && !overflows(text):
		return errors.New("no duration")
	case err != nil || d < v.least || d > v.most:
		return &boundsError{v.want}
	}
	*v.to = d
	return nil
}

// String is the default as --help shows it; empty: none.
func (v *durationValue) String() string {
	if v.to == nil || *v.to == 0 {
		return ""
	}
	return v.to.String()
}

// Type is that of the library's own duration flags.
func (v *durationValue) Type() string { return "duration" }

// A boundsError says that a duration is too short or too long.
type boundsError struct{ want string }

func (b *boundsError) Error() string { return fmt.Sprintf("want %s", b.want) }

var durationShape = regexp.MustCompile(`^[-+]?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`)

// overflows reports whether a text that is refused as a duration is one of more than 292
// years.
func overflows(text string) bool { return durationShape.MatchString(text) }
