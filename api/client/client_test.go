package client

import (
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/api"
)

// serve answers on a unix socket as h does.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return New(path)
}

func TestClient_SaysWhoDoesNotAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	_, err := New(path).Status(t.Context())
	var u *UnreachableError
	if !errors.As(err, &u) || !strings.Contains(err.Error(), "no daemon answers at "+path+": start one with `shoal up`") {
		t.Errorf("no socket: %v", err)
	}
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusTeapot) })
	if _, err := c.Status(t.Context()); !errors.As(err, &u) || !strings.Contains(err.Error(), "which is not shoal's") {
		t.Errorf("another program: %v", err)
	}
}

func TestClient_GivesTheDaemonsSentence(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"title":"Not Found","status":404,"detail":"no job \"x\" here"}`))
	})
	_, err := c.Inspect(t.Context(), "default/x")
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != 404 || err.Error() != `no job "x" here` {
		t.Errorf("got %v", err)
	}
}

// A stream that breaks off is told from one that ends.
func TestClient_Stream(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"slot":"s","text":"one"}` + "\n"))
		if r.FormValue("tail") == "7" {
			_, _ = w.Write([]byte(`{"slot":`))
			panic(http.ErrAbortHandler)
		}
	})
	for tail, broken := range map[int]bool{0: false, 7: true} {
		var got []string
		err := c.Logs(t.Context(), "s", LogOptions{Tail: tail}, func(l api.LogLine) error {
			got = append(got, l.Text)
			return nil
		})
		if (err != nil) != broken || !broken && (len(got) != 1 || got[0] != "one") {
			t.Errorf("tail %d: %q, %v", tail, got, err)
		}
	}
}
