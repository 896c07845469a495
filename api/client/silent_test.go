package client

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A daemon that is stopped takes the connection and says nothing: who looks is told so
// after seconds, in a sentence.
func TestLook_ASilentDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Over("/run/s", func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			return ours, nil
		})
		begun := time.Now()
		_, err := c.Peers(t.Context())
		var none *UnreachableError
		if !errors.As(err, &none) || !none.Silent() || none.Absent() || !strings.HasPrefix(err.Error(), "the daemon at /run/s takes no notice: it is stopped, or hangs") {
			t.Errorf("%v", err)
		}
		if took := time.Since(begun); took != lookTimeout {
			t.Errorf("after %v, want %v", took, lookTimeout)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Peers(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &none) {
			t.Errorf("the caller's own limit: %v", err)
		}
		c.http.CloseIdleConnections()
	})
}
