package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
)

// BenchmarkIdle measures what a peer costs while nothing changes: real daemons over real
// sockets, each in a network namespace of its own with its own engine (without one above
// maxEngines), SHOAL_IDLE_MINUTES (10) after they have known each other for a minute. The
// figures are of one peer in the middle, and all of its traffic counts: bytes sent are IP
// packets with their headers. One run is enough:
//
//	go test ./e2e -run XXX -bench Idle/lan/20$ -benchtime 1x -timeout 30m
func BenchmarkIdle(b *testing.B) {
	for _, profile := range []string{"lan", "metered", "small"} {
		for _, peers := range []int{3, 20, 50} {
			b.Run(fmt.Sprintf("%s/%d", profile, peers), func(b *testing.B) { benchIdle(b, profile, peers) })
		}
	}
}

const maxEngines = 20

// neighbourTable bounds the hardware addresses that all namespaces together may know.
// Beyond it packets are dropped: with the usual 1,024 the thirty-fourth cannot join.
const neighbourTable = "/proc/sys/net/ipv4/neigh/default/gc_thresh3"

func benchIdle(b *testing.B, profile string, peers int) {
	labtest.Need(b)
	if most := number(b, strings.TrimSpace(readAll(b, neighbourTable))); float64(peers*(peers-1)) > most {
		b.Skipf("%d peers know one another's hardware addresses, and the system keeps %.0f of all networks together: raise %s", peers, most, neighbourTable)
	}
	minutes := 10
	if text := os.Getenv("SHOAL_IDLE_MINUTES"); text != "" {
		var err error
		if minutes, err = strconv.Atoi(text); err != nil || minutes < 1 {
			b.Fatalf("SHOAL_IDLE_MINUTES=%s: want a whole number of minutes", text)
		}
	}
	l := labtest.Start(b, lab.Config{Peers: peers, Binary: labtest.Binary(b), NoEngines: peers > maxEngines})
	up := []string{"--profile", profile}
	if l.Peers[0].StartDaemon(b.Context(), append(up, "--new")...) != nil {
		b.Fatal(l.Peers[0].Log("shoal"))
	}
	result, err := l.Peers[0].Shoal(b.Context(), "ticket")
	if err != nil || result.Code != 0 {
		b.Fatal(err, result)
	}
	for _, p := range l.Peers[1:] {
		if err := p.StartDaemon(b.Context(), append(up, strings.TrimSpace(result.Stdout))...); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := lab.Poll(ctx, func() error { return knows(ctx, l.Peers[peers/2], l.Peers) }); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		pause(b, time.Minute)
		b.StartTimer()
		measureIdle(b, l.Peers[peers/2], time.Duration(minutes)*time.Minute)
	}
}

// pause waits, unless the benchmark ends before.
func pause(b *testing.B, d time.Duration) {
	b.Helper()
	select {
	case <-time.After(d):
	case <-b.Context().Done():
		b.Fatal(b.Context().Err())
	}
}

func measureIdle(b *testing.B, p *lab.Peer, d time.Duration) {
	b.Helper()
	before := countersOf(b, p)
	pause(b, d)
	after := countersOf(b, p)
	seconds := d.Seconds()
	b.ReportMetric((after.sent-before.sent)/seconds, "sent-B/s")
	b.ReportMetric((after.packets-before.packets)/seconds, "packets/s")
	b.ReportMetric(100*(after.cpu-before.cpu)/seconds, "cpu-%")
	b.ReportMetric(after.anonymous/1e6, "anonymous-MB")
	b.ReportMetric(after.file/1e6, "file-MB")
}

// Counters are what the system says of a daemon and of its network.
type counters struct {
	sent, packets   float64 // bytes with IP headers, and packets, since its network is up
	cpu             float64 // seconds since its start
	anonymous, file float64 // bytes resident now
}

// etherHeader is what the system counts beside the IP packet.
const etherHeader = 14

func countersOf(b *testing.B, p *lab.Peer) (c counters) {
	b.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(p.DaemonPID()))
	for _, line := range strings.Split(readAll(b, filepath.Join(proc, "net/dev")), "\n") {
		if f := strings.Fields(line); len(f) > 10 && f[0] == "eth0:" {
			c.packets = number(b, f[10])
			c.sent = number(b, f[9]) - etherHeader*c.packets
		}
	}
	if c.packets == 0 {
		b.Fatalf("%s has sent nothing on eth0", p.Name)
	}
	_, stat, _ := strings.Cut(readAll(b, filepath.Join(proc, "stat")), ") ")
	f := strings.Fields(stat)
	c.cpu = (number(b, f[11]) + number(b, f[12])) / 100 // USER_HZ
	for _, line := range strings.Split(readAll(b, filepath.Join(proc, "smaps_rollup")), "\n") {
		if f := strings.Fields(line); len(f) == 3 {
			switch f[0] {
			case "Rss:":
				c.file += 1024 * number(b, f[1])
			case "Anonymous:":
				c.anonymous = 1024 * number(b, f[1])
			}
		}
	}
	c.file -= c.anonymous
	return c
}

func readAll(b *testing.B, path string) string {
	b.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

func number(b *testing.B, text string) float64 {
	b.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}
