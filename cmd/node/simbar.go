package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// A bar shows how far a simulated run is: on a terminal as a bar that is redrawn, else
// as a line every ten seconds. A run that ends within its first second shows nothing.
type bar struct {
	out    io.Writer
	redraw bool
	total  time.Duration // of simulated time, before the calm
	now    func() time.Time
	began  time.Time
	said   time.Time
	drawn  bool
}

const (
	barQuiet = time.Second
	barEvery = 100 * time.Millisecond
	barLine  = 10 * time.Second
	barWidth = 28
)

func (c *cli) newBar(total time.Duration) *bar {
	b := &bar{out: c.err, total: total, now: time.Now}
	if c.quiet {
		b.out = nil
	}
	if f, ok := c.err.(*os.File); ok {
		b.redraw = term.IsTerminal(int(f.Fd()))
	}
	b.began = b.now()
	b.said = b.began
	return b
}

// at is told each simulated second.
func (b *bar) at(sim time.Duration) {
	if b.out == nil {
		return
	}
	now := b.now()
	every := barLine
	if b.redraw {
		every = barEvery
	}
	if now.Sub(b.said) < every || now.Sub(b.began) < barQuiet {
		return
	}
	b.said = now
	text := b.text(sim, now.Sub(b.began))
	if b.redraw {
		fmt.Fprintf(b.out, "\r\x1b[K%s", text)
		b.drawn = true
		return
	}
	fmt.Fprintln(b.out, text)
}

// text is such as "[######    ] 38% 34m20s of 1h30m0s, 412x real time, 8s left".
func (b *bar) text(sim, wall time.Duration) string {
	share := min(1, float64(sim)/float64(max(b.total, 1)))
	speed := sim.Seconds() / wall.Seconds()
	state := fmt.Sprintf("%s of %s", sim.Truncate(time.Second), b.total)
	left := ", calm"
	if sim <= b.total {
		left = fmt.Sprintf(", %s left", time.Duration(float64(b.total-sim)/speed).Round(time.Second))
	}
	meter := ""
	if b.redraw {
		full := int(share * barWidth)
		meter = "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "] "
	}
	return fmt.Sprintf("%s%3.0f%%  %s, %.*fx real time%s", meter, share*100, state, decimals(speed), speed, left)
}

func decimals(speed float64) int {
	if speed < 10 {
		return 1
	}
	return 0
}

// end takes the bar away.
func (b *bar) end() {
	if b.drawn {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}
