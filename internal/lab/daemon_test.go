package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
)

// standIn behaves at its edges like the binary: up runs until it is told to end,
// and the other commands find it by its socket's path.
const standIn = `#!/bin/bash
case $1 in
up)
  while [ $# -gt 0 ]; do
    case $1 in --socket) socket=$2 ;; --state) state=$2 ;; refuse) echo "this ticket is cut" >&2; exit 3 ;; esac
    shift
  done
  mkdir -p "$state" && echo run >>"$state/runs"
  trap 'rm -f "$socket"; exit 0' TERM
  echo $$ >"$socket"
  while :; do read -r -t 0.1 <> <(:); done ;;
status) kill -0 "$(cat "$SHOAL_SOCKET")" || exit 1 ;;
runs) wc -l <"$SHOAL_STATE/runs" ;;
fail) echo "no such job" >&2; exit 4 ;;
esac
`

// The steps by which tests drive a daemon, with a stand-in for the binary.
func TestDaemonSteps(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "shoal")
	must(t, os.WriteFile(binary, []byte(standIn), 0o755))
	l := labtest.Start(t, lab.Config{Peers: 2, Binary: binary, NoEngines: true})
	ctx, a, b := t.Context(), l.Peers[0], l.Peers[1]

	must(t, a.StartDaemon(ctx))
	if r, err := a.Shoal(ctx, "fail"); err != nil || r.Code != 4 || r.Stderr != "no such job\n" {
		t.Errorf("a failing command gave %+v, %v", r, err)
	}
	if r, err := b.Shoal(ctx, "status"); err != nil || r.Code == 0 {
		t.Errorf("status without a daemon gave %+v, %v", r, err)
	}
	if err := b.StartDaemon(ctx, "refuse"); err == nil || !strings.Contains(err.Error(), "this ticket is cut") {
		t.Errorf("a daemon that ends at once: %v, want its own words", err)
	}
	must(t, a.KillDaemon())
	must(t, a.StartDaemon(ctx))
	must(t, a.SignalDaemon(syscall.SIGTERM))
	must(t, a.StartDaemon(ctx))
	must(t, a.PowerCut(ctx))
	if _, err := a.Shoal(ctx, "status"); err == nil {
		t.Error("a peer without power runs commands")
	}
	must(t, a.PowerOn(ctx))
	must(t, a.StartDaemon(ctx))
	r, err := a.Shoal(ctx, "runs")
	if err != nil || strings.TrimSpace(r.Stdout) != "4" {
		t.Errorf("starts counted on the disk: %+v, %v, want 4", r, err)
	}
}
