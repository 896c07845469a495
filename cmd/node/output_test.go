package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shoal/api"
)

type fullWriter struct{ calls int }

func (f *fullWriter) Write([]byte) (int, error) {
	f.calls++
	return 0, errors.New("no space left on device")
}

// Whatever a command prints, a lost answer is an error: one sentence, exit code 1.
func TestRun_LostOutput(t *testing.T) {
	t.Setenv("SHOAL_SOCKET", filepath.Join(t.TempDir(), "none"))
	for _, args := range [][]string{{"version"}, {"version", "-o", "json"}, {"help"}, {"ps", "--help"}, {"completion", "bash"}, {"--version"}} {
		var errOut bytes.Buffer
		full := &fullWriter{}
		if code := run(args, full, &errOut); code != exitError || full.calls == 0 {
			t.Errorf("%v: exit code %d", args, code)
		}
		if got := errOut.String(); got != "shoal: standard output cannot be written: no space left on device\n" {
			t.Errorf("%v: %q", args, got)
		}
	}
}

// A change that meets a full disk does not wait in silence.
func TestPatient_SaysThatThePeerHoldsStill(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	room := make(chan struct{})
	asked := 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/remove", func(w http.ResponseWriter, _ *http.Request) {
		<-room
		_ = json.NewEncoder(w).Encode(api.Change{Job: "shop", Changed: true})
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 2 {
			close(room)
		}
		_ = json.NewEncoder(w).Encode(api.Status{Held: "the disk is full: 9 MiB are free"})
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	var errOut bytes.Buffer
	if code := run([]string{"rm", "shop", "--socket", socket}, io.Discard, &errOut); code != 0 {
		t.Errorf("exit code %d: %s", code, &errOut)
	}
	if n := strings.Count(errOut.String(), "waiting: this peer holds still: the disk is full: 9 MiB are free\n"); n != 1 {
		t.Errorf("said %d times: %q", n, &errOut)
	}
}
