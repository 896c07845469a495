package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/api"
)

// holdingStill is a daemon whose disk is full: it shows what it knows and does nothing.
func holdingStill(t *testing.T) *cli {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"state":"ready","held":"the disk is full"}`)
	})
	mux.HandleFunc("POST /v1/deploy", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return &cli{out: io.Discard, err: io.Discard, socket: socket}
}

// --timeout counts from the command's beginning: a daemon that holds still is not waited
// for any longer, and its reason is given.
func TestChanged_TimeoutIsOverBeforeTheAnswer(t *testing.T) {
	c := holdingStill(t)
	err := changed(t.Context(), c, waitFlags{timeout: 200 * time.Millisecond}, c.client().Deploy, api.DeployRequest{})
	want := "not accepted within 200ms: this peer holds still: the disk is full; what was asked may still be done once there is room"
	if err == nil || codeOf(err) != exitTimeout || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestChanged_InterruptedBeforeTheAnswer(t *testing.T) {
	c := holdingStill(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // of the user's patience
	defer cancel()
	err := changed(ctx, c, waitFlags{}, c.client().Deploy, api.DeployRequest{})
	if err == nil || codeOf(err) != exitInterrupted || !strings.HasPrefix(err.Error(), "stopped waiting") {
		t.Errorf("%v", err)
	}
}

func TestUnlessInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	broken, better := fmt.Errorf("peers: %w", context.Canceled), &coded{exitInterrupted, errors.New("stopped watching")}
	if got := unlessInterrupted(ctx, broken); !errors.Is(got, broken) {
		t.Errorf("nobody has interrupted: %v", got)
	}
	cancel()
	if got := unlessInterrupted(ctx, broken); codeOf(got) != exitInterrupted || got.Error() != "interrupted" {
		t.Errorf("%v", got)
	}
	if got := unlessInterrupted(ctx, better); !errors.Is(got, better) {
		t.Errorf("%v", got)
	}
}
