package main

import (
	"context"
	"time"
)

// patience is how long a change may take until the command asks what keeps it.
const patience = time.Second

// patient waits for the answer to a change and says meanwhile on stderr when the
// daemon holds still, which it does while its disk is full.
func patient[Q, A any](ctx context.Context, c *cli, ask func(context.Context, Q) (A, error), q Q) (A, error) {
	asking, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.sayHeld(asking)
	}()
	a, err := ask(ctx, q)
	cancel()
	<-done // it must not speak after the answer
	return a, err
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
