package e2e

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
)

// BenchmarkJoin measures the time from `shoal up TICKET` on a new machine until the peer
// that made the ticket shows it as ready: SHOAL_TRIALS (10) machines, one after the other,
// on the network of the two that are there, or each behind a NAT of its own through which
// no hole can be made. One run is enough:
//
//	go test ./e2e -run XXX -bench Join -benchtime 1x
func BenchmarkJoin(b *testing.B) {
	trials := 10
	if text := os.Getenv("SHOAL_TRIALS"); text != "" {
		var err error
		if trials, err = strconv.Atoi(text); err != nil || trials < 1 {
			b.Fatalf("SHOAL_TRIALS=%s: want a whole number of trials", text)
		}
	}
	b.Run("lan", func(b *testing.B) { benchJoin(b, trials, nil) })
	b.Run("nat", func(b *testing.B) { benchJoin(b, trials, slices.Repeat([]lab.NAT{{Peers: 1, Strict: true}}, trials)) })
}

func benchJoin(b *testing.B, trials int, nats []lab.NAT) {
	s := swarm{labtest.Start(b, lab.Config{Peers: 2 + trials, Binary: labtest.Binary(b), NoEngines: true, NATs: nats}), b}
	first := s.Peers[0]
	must(b, first.StartDaemon(b.Context(), "--new"))
	ticket := strings.TrimSpace(s.shoal(first, "ticket"))
	var took []time.Duration
	for i, p := range s.Peers[1:] {
		began := time.Now()
		must(b, p.StartDaemon(b.Context(), ticket))
		s.within(time.Minute, func(ctx context.Context) error { return isReady(ctx, first, p) })
		if i > 0 { // the second is there to relay
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds(), "p50-s")
	b.ReportMetric(took[len(took)-1].Seconds(), "max-s")
}
