package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/api"
	"shoal/api/client"
	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
	"shoal/job"
)

// BenchmarkDecision measures, on 20 real peers whose tasks are plain processes, how long a
// job of one slot waits for its holder: from its acceptance, that is the answer to the
// submitter, until its holder has its claim on disk and says so; 0 where that comes first.
// The whole time since the submission is told too. SHOAL_TRIALS (100) jobs, one after
// the other, each submitted at the next peer and removed once it is claimed:
//
//	go test ./e2e -run XXX -bench Decision -benchtime 1x -timeout 20m
func BenchmarkDecision(b *testing.B) {
	trials := saleTrials(b, 100)
	f := startFair(b, 20, "process")
	var accepted, submitted []time.Duration
	for i := range trials {
		name := fmt.Sprintf("one%d", i)
		at := f.clients[i%len(f.clients)]
		began := time.Now()
		_, err := at.Deploy(b.Context(), api.DeployRequest{Spec: fairJob(name, 1)})
		answered := time.Now()
		must(b, err)
		claimed := f.claims(name, 1, time.Minute)[0]
		accepted = append(accepted, max(claimed.Sub(answered), 0))
		submitted = append(submitted, claimed.Sub(began))
		_, err = at.Remove(b.Context(), api.RemoveRequest{Job: name})
		must(b, err)
	}
	reportTimes(b, "accepted", accepted)
	reportTimes(b, "submitted", submitted)
}

// BenchmarkThousand measures, on 20 and on 50 real peers whose driver runs nothing, how long
// a job of 1,000 slots takes from its submission until every slot is claimed:
//
//	go test ./e2e -run XXX -bench Thousand/50 -benchtime 1x -timeout 20m
//
// SHOAL_TRIALS (3) jobs, one after the other, each removed before the next.
func BenchmarkThousand(b *testing.B) {
	for _, peers := range []int{20, 50} {
		b.Run(strconv.Itoa(peers), func(b *testing.B) { benchThousand(b, peers) })
	}
}

func benchThousand(b *testing.B, peers int) {
	const slots = 1000
	trials := saleTrials(b, 3)
	b.Setenv("SHOAL_PRETEND", "1")
	f := startFair(b, peers, "pretend")
	var answers, halves, all []time.Duration
	for i := range trials {
		name := fmt.Sprintf("many%d", i)
		began := time.Now()
		_, err := f.clients[i].Deploy(b.Context(), api.DeployRequest{Spec: fairJob(name, slots)})
		must(b, err)
		answers = append(answers, time.Since(began))
		claims := f.claims(name, slots, 5*time.Minute)
		halves = append(halves, claims[slots/2-1].Sub(began))
		all = append(all, claims[slots-1].Sub(began))
		b.Logf("%s: accepted after %s, half claimed after %s, all after %s", name, answers[i], halves[i], all[i])
		_, err = f.clients[i].Remove(b.Context(), api.RemoveRequest{Job: name})
		must(b, err)
		f.within(5*time.Minute, func(ctx context.Context) error { return nothingLeft(ctx, f.clients, name) })
		pause(b, 5*time.Second) // what the removal ends has ended
	}
	reportTimes(b, "accepted", answers)
	reportTimes(b, "half", halves)
	reportTimes(b, "all", all)
}

// A fair is a swarm on which jobs are sold for a benchmark.
type fair struct {
	swarm
	clients []*client.Client // by peer
	claimed chan claimed
}

// A claimed slot, and when its holder said so.
type claimed struct {
	slot string
	at   time.Time
}

// startFair joins n peers with a driver, and listens to what each of them claims.
func startFair(b *testing.B, n int, driver string) *fair {
	b.Helper()
	if err := lab.Available(); err != nil {
		b.Skip(err)
	}
	if most := number(b, strings.TrimSpace(readAll(b, neighbourTable))); float64(n*(n-1)) > most {
		b.Skipf("%d peers know one another's hardware addresses, and the system keeps %.0f of all networks together: raise %s", n, most, neighbourTable)
	}
	l := labtest.Start(b, lab.Config{Peers: n, Binary: labtest.Binary(b), NoEngines: true})
	f := &fair{swarm: swarm{l, b}, claimed: make(chan claimed, 1<<16)}
	must(b, l.Peers[0].StartDaemon(b.Context(), "--driver", driver, "--new"))
	ticket := strings.TrimSpace(f.shoal(l.Peers[0], "ticket"))
	for _, p := range l.Peers[1:] {
		must(b, p.StartDaemon(b.Context(), "--driver", driver, ticket))
	}
	for _, p := range l.Peers {
		f.clients = append(f.clients, client.New(p.Socket))
	}
	f.within(5*time.Minute, func(ctx context.Context) error { return allKnown(ctx, f.clients) })
	for _, c := range f.clients {
		go f.listen(b.Context(), c)
	}
	pause(b, 5*time.Second) // the last of them have joined just now
	return f
}

// listen gathers what a peer claims, until the benchmark ends.
func (f *fair) listen(ctx context.Context, c *client.Client) {
	_ = c.Events(ctx, client.EventOptions{Follow: true, Here: true}, func(e api.Event) error {
		if e.Kind == "claimed" {
			f.claimed <- claimed{e.Slot, e.Time}
		}
		return nil
	})
}

// claims waits until so many slots of a job are claimed and returns when each first was,
// in order.
func (f *fair) claims(name string, n int, limit time.Duration) (at []time.Time) {
	f.t.Helper()
	known := map[string]bool{}
	for late := time.After(limit); len(at) < n; {
		select {
		case c := <-f.claimed:
			if strings.HasPrefix(c.slot, name+"/") && !known[c.slot] {
				known[c.slot] = true
				at = append(at, c.at)
			}
		case <-late:
			f.t.Fatalf("%d of %d slots are claimed after %s", len(at), n, limit)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// allKnown is nil once every peer shows as many as there are as ready.
func allKnown(ctx context.Context, all []*client.Client) error {
	for i, c := range all {
		peers, err := c.Peers(ctx)
		if err != nil {
			return err
		}
		ready := 0
		for _, p := range peers {
			if p.State == "ready" {
				ready++
			}
		}
		if ready != len(all) {
			return fmt.Errorf("peer %d of %d shows %d as ready", i+1, len(all), ready)
		}
	}
	return nil
}

// nothingLeft is nil once no peer shows a slot of a job.
func nothingLeft(ctx context.Context, all []*client.Client, name string) error {
	for i, c := range all {
		jobs, err := c.Jobs(ctx, false)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(jobs, func(j api.Job) bool { return j.Job == name }) {
			return fmt.Errorf("peer %d still shows %s", i+1, name)
		}
	}
	return nil
}

// fairJob is a job that needs next to nothing; with the process driver its copies sleep.
func fairJob(name string, slots int) *job.Spec {
	s := &job.Spec{Name: name, Tasks: []job.Task{{
		Name: "app", Count: slots, Image: "process", Command: []string{"sleep", "1000000"},
		Needs: job.Resources{CPUMilli: 1, MemBytes: 1 << 20},
	}}}
	s.Defaults()
	return s
}

func saleTrials(b *testing.B, usual int) int {
	text := os.Getenv("SHOAL_TRIALS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("SHOAL_TRIALS=%s: want a whole number of trials", text)
	}
	return n
}

// reportTimes reports the median, the 99th percentile and the greatest of some times.
func reportTimes(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	ms := func(i int) float64 { return took[i].Seconds() * 1000 }
	b.ReportMetric(ms((len(took)-1)/2), name+"-p50-ms")
	b.ReportMetric(ms((len(took)*99+99)/100-1), name+"-p99-ms")
	b.ReportMetric(ms(len(took)-1), name+"-max-ms")
}
