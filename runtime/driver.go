package runtime

import (
	"fmt"
	"strings"
	"time"

	"shoal/job"
)

// LogOptions say which lines of a container's output are wanted.
type LogOptions struct {
	Follow bool          // go on until the container ends or the reader is closed
	Tail   int           // only the last lines; 0: all that is kept
	Since  time.Duration // only lines younger than this; 0: all
}

// The streams of a log line.
const (
	Stdout = 'o'
	Stderr = 'e'
)

// A LogLine is one line of a container's output. Drivers write it as
// "o 2026-11-21T09:30:00.123456789Z text\n".
type LogLine struct {
	Stream byte   // Stdout or Stderr
	Time   string // RFC 3339 with nanoseconds, UTC, of the peer's own clock
	Text   string
}

// MaxLogLine is the greatest length of a line's text in bytes; a longer line is
// given as several.
const MaxLogLine = 16 << 10

// String returns the form that drivers write, without the newline.
func (l LogLine) String() string { return string(l.Stream) + " " + l.Time + " " + l.Text }

// ParseLogLine reads what String wrote, with or without the newline.
func ParseLogLine(s string) (LogLine, error) {
	s = strings.TrimSuffix(s, "\n")
	if strings.Contains(s, "\n") {
		return LogLine{}, fmt.Errorf("log line %.40q is more than one line", s)
	}
	stream, rest, ok := strings.Cut(s, " ")
	if !ok || len(stream) != 1 || stream[0] != Stdout && stream[0] != Stderr {
		return LogLine{}, fmt.Errorf("log line %.40q does not begin with %q or %q", s, Stdout, Stderr)
	}
	stamp, text, ok := strings.Cut(rest, " ")
	if !ok {
		return LogLine{}, fmt.Errorf("log line %.40q has no time", s)
	}
	return LogLine{Stream: stream[0], Time: stamp, Text: text}, nil
}

// A NetworkInfo is a job's bridge on this peer, as text because the pure packages
// know no addresses.
type NetworkInfo struct {
	Job     job.ID
	Name    string // the engine's own
	Bridge  string // the host's interface, "shoal1a2b3c4d"; "lo" where tasks are plain processes
	Gateway string // the host's address on it, "10.64.3.1"; containers ask it for names
	Subnet  string // "10.64.3.0/24"
	// First and Last bound the addresses of the subnet that the engine never
	// gives to a container, for the services of the job: "10.64.3.2" to "10.64.3.127".
	First, Last string
}

// A Progress is how far the fetching of an image is.
type Progress struct {
	Container string // who waits for it
	Image     string
	Status    string // "Downloading", "Extracting", in the engine's words
	Current   int64  // bytes so far, of the layers known by now
	Total     int64  // bytes; grows while layers become known; 0: not known
}
