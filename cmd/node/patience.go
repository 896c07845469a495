package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shoal/api"
)

// patience is how long a change may take until the command asks what keeps it.
const patience = time.Second

// heldWait is how long a command asks at most, once its time is over, what has kept the
// daemon; a tenth of that time is enough for one that answers.
const heldWait = 2 * time.Second

// patient waits for the answer to a change, as long as f says, and says
// meanwhile on stderr when the daemon holds still, which it does while its disk is full.
func patient[Q, A any](ctx context.Context, c *cli, f waitFlags, ask func(context.Context, Q) (A, error), q Q) (A, error) {
	f.begin()
	limited, cancel := limitedTo(ctx, f.left())
	defer cancel()
	asking, answered := context.WithCancel(limited)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.sayHeld(asking)
	}()
	a, err := ask(limited, q)
	answered()
	<-done // it must not speak after the answer
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = &coded{exitInterrupted, errors.New("stopped waiting for an answer; what was asked may still be done")}
	case limited.Err() != nil:
		err = &coded{exitTimeout, fmt.Errorf("not accepted within %s%s", f.timeout, c.whyLate(ctx, f.timeout))}
	}
	return a, err
}

// whyLate ends a sentence on what has not been answered in time.
func (c *cli) whyLate(ctx context.Context, after time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, min(heldWait, max(after/10, 100*time.Millisecond)))
	defer cancel()
	st, err := c.client().Status(ctx)
	switch {
	case err != nil:
		return ": the daemon does not answer; what was asked may still be done"
	case st.Held != "":
		return fmt.Sprintf(": this peer holds still: %s; what was asked may still be done once there is room", st.Held)
	}
	return "; it may still be"
}

// changed makes a change and waits until it is done, both within the time that f gives.
func changed[Q any](ctx context.Context, c *cli, f waitFlags, ask func(context.Context, Q) (api.Change, error), q Q) error {
	f.begin()
	change, err := patient(ctx, c, f, ask, q)
	if err != nil {
		return err
	}
	return c.accepted(ctx, change, f)
}

// sayHeld says why the daemon holds still, each time that changes, until ctx ends.
func (c *cli) sayHeld(ctx context.Context) {
	said := ""
	for {
		select {
		case <-time.After(patience):
		case <-ctx.Done():
			return
		}
		st, err := c.client().Status(ctx)
		if err == nil && st.Held != said && st.Held != "" {
			c.progress("waiting: this peer holds still: %s", st.Held)
		}
		if err == nil {
			said = st.Held
		}
	}
}
