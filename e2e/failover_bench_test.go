package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// BenchmarkFailover measures, on five real peers, the time from the power cut of one that
// runs a slot until another's engine runs it: SHOAL_TRIALS (10) cuts, each of the peer
// that then has the slot, with the default failover.after and with 0s. One run is enough:
//
//	go test ./e2e -run XXX -bench Failover -benchtime 1x -timeout 30m
func BenchmarkFailover(b *testing.B) {
	for _, after := range []string{"default", "0s"} {
		b.Run(after, func(b *testing.B) {
			for b.Loop() {
				benchFailover(b, after)
			}
		})
	}
}

func benchFailover(b *testing.B, after string) {
	trials := 10
	if text := os.Getenv("SHOAL_TRIALS"); text != "" {
		var err error
		if trials, err = strconv.Atoi(text); err != nil || trials < 1 {
			b.Fatalf("SHOAL_TRIALS=%s: want a whole number of trials", text)
		}
	}
	s := startSwarm(b, 5)
	file := filepath.Join(b.TempDir(), "compose.yaml")
	text := "name: bench\nservices:\n  app:\n    image: shoal-test/busybox\n    command: [sleep, \"1000000\"]\n    init: true\n"
	if after != "default" {
		text += "    x-shoal: {failover: {after: " + after + "}}\n"
	}
	must(b, os.WriteFile(file, []byte(text), 0o600))
	s.shoal(s.Peers[0], "deploy", file)
	var took []time.Duration
	for range trials {
		s.within(time.Minute, func(ctx context.Context) error { return s.onceEach(ctx, []string{"bench/app.0"}, s.Peers...) })
		holder := s.holder("bench/app.0")
		left := without(s.Peers, holder)
		began := time.Now()
		must(b, holder.PowerCut(b.Context()))
		s.within(time.Minute, func(ctx context.Context) error {
			slots, err := s.running(ctx, left...)
			if err == nil && len(slots["bench/app.0"]) == 0 {
				err = fmt.Errorf("bench/app.0 runs on none of %d peers", len(left))
			}
			return err
		})
		took = append(took, time.Since(began))
		must(b, holder.PowerOn(b.Context()))
		must(b, holder.StartEngine(b.Context()))
		must(b, holder.StartDaemon(b.Context()))
		s.within(time.Minute, s.equalLedgers)
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds(), "p50-s")
	b.ReportMetric(took[len(took)-1].Seconds(), "max-s")
}
