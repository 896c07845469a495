package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/api"
	"shoal/api/client"
	"shoal/job"
)

const pollEvery = 250 * time.Millisecond

// A watch follows a job until every slot of a revision serves.
type watch struct {
	cli   *cli
	cl    *client.Client
	id    job.ID
	want  api.Change
	told  map[string]string // what was last said of each slot
	slots []api.Slot
	state string
}

// await waits until the revision's slots serve or have completed, saying what it
// waits for. It returns the state and the slots at the end.
func (c *cli) await(ctx context.Context, change api.Change, f waitFlags) (string, []api.Slot, error) {
	id, err := job.ParseID(change.Job)
	if err != nil {
		return "", nil, err
	}
	limited, cancel := ctx, context.CancelFunc(func() {})
	if !f.until.IsZero() {
		limited, cancel = context.WithDeadline(ctx, f.until)
	}
	defer cancel()
	w := &watch{cli: c, cl: c.client(), id: id, want: change, told: map[string]string{}}
	for {
		done, err := w.look(limited)
		switch {
		case ctx.Err() != nil:
			return w.state, w.slots, &coded{exitInterrupted, fmt.Errorf("stopped watching; %s stays deployed, `shoal ps %s` shows it", change.Job, change.Job)}
		case limited.Err() != nil:
			return w.state, w.slots, w.timedOut(f.timeout)
		case err != nil || done:
			return w.state, w.slots, err
		}
		select {
		case <-time.After(pollEvery):
		case <-limited.Done():
		}
	}
}

func (w *watch) look(ctx context.Context) (done bool, err error) {
	head, err := w.cl.Inspect(ctx, w.id)
	if err != nil {
		var p *api.Problem
		if errors.As(err, &p) && ctx.Err() == nil {
			return false, fmt.Errorf("while waiting for %s: %w", w.want.Job, err)
		}
		return false, err
	}
	slots, err := w.cl.Slots(ctx, w.want.Job)
	if err != nil {
		return false, err
	}
	w.state, w.slots = head.State, slots.Slots
	if head.Life > w.want.Life || head.Life == w.want.Life && head.Revision > w.want.Revision {
		return false, fmt.Errorf("%s revision %d, accepted by %s, has taken the place of revision %d",
			w.want.Job, head.Revision, head.Author, w.want.Revision)
	}
	w.tell()
	switch head.State {
	case "running", "completed", "stopped":
		// Containers of the revision before may still be ending.
		if !slices.ContainsFunc(slots.Slots, ending) {
			w.cli.progress("%s is %s", w.want.Job, head.State)
			return true, nil
		}
	case "failed":
		return false, fmt.Errorf("%s has failed: %s", w.want.Job, w.firstFailed())
	case "paused: bad spec":
		return false, fmt.Errorf("%s revision %d does not work, so no further slot moves to it: %s", w.want.Job, w.want.Revision, w.firstDetail())
	}
	return false, nil
}

// ending tells of a copy that ends soon. One on a peer that is gone does not count:
// nobody can wait for it.
func ending(s api.Slot) bool { return s.Surplus && !s.Doubted }

// tell says what has changed since it last did.
func (w *watch) tell() {
	for _, s := range w.slots {
		key := s.Slot
		if s.Surplus {
			key += " on " + s.Peer
		}
		if text := slotText(s); w.told[key] != text {
			w.told[key] = text
			w.cli.progress("  %-24s %s", s.Slot, text)
		}
	}
}

func slotText(s api.Slot) string {
	text := s.Phase
	switch {
	case s.Peer != "" && isWaiting(s):
		text += ", last on " + s.Peer
	case s.Peer != "":
		text += " on " + s.Peer
	}
	if s.Surplus {
		text += ", ends"
	} else if !isWaiting(s) && !s.Current {
		text += ", on the spec before"
	}
	if s.Detail != "" {
		text += ": " + oneLine(s.Detail)
	}
	return text
}

// firstFailed names the first slot that failed for good.
func (w *watch) firstFailed() string {
	for _, s := range w.slots {
		if s.Phase == "failed" {
			return fmt.Sprintf("%s on %s: %s", s.Slot, s.Peer, oneLine(s.Detail))
		}
	}
	return "a slot does not run again"
}

func (w *watch) firstDetail() string {
	for _, s := range w.slots {
		if s.Detail != "" {
			return s.Slot + ": " + oneLine(s.Detail)
		}
	}
	return "see `shoal ps " + w.want.Job + "`"
}

func (w *watch) timedOut(after time.Duration) error {
	var open []string
	for _, s := range w.slots {
		if s.Phase != "serving" && s.Phase != "completed" || ending(s) || !s.Current && !s.Surplus {
			open = append(open, "\n  "+s.Slot+": "+slotText(s))
		}
	}
	return &coded{exitTimeout, fmt.Errorf("%s is still %s after %s; it stays deployed and goes on trying:%s",
		w.want.Job, w.state, after, strings.Join(open, ""))}
}
