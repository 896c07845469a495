package sim

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/wire"
)

func TestParse_NetErrorsNameThePlace(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"short.tsv": "0 1\n1\n", "words.tsv": "0 1\n\nfar 0\n", "negative.tsv": "0 -3\n1 0\n",
		"wide.tsv": "0 1 2\n1 0 2\n", "long.tsv": "0 1\n1 0\n1 0\n", "empty.tsv": "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"no file", "peers 2\nnet matrix=nowhere.tsv\n", ":2: net: matrix=nowhere.tsv: "},
		{"directory", "peers 2\nnet matrix=.\n", "want a file of round-trip times"},
		{"short row", "peers 2\nnet matrix=short.tsv\n", "short.tsv:2: 1 round-trip times, the lines above have 2"},
		{"word", "peers 2\nnet matrix=words.tsv\n", `words.tsv:3: column 1: "far" is no round-trip time in milliseconds from 0 to 60000`},
		{"negative", "peers 2\nnet matrix=negative.tsv\n", `negative.tsv:1: column 2: "-3" is no round-trip time`},
		{"not square", "peers 2\nnet matrix=wide.tsv\n", "wide.tsv:2: 2 lines of 3 round-trip times are no square"},
		{"too long", "peers 2\nnet matrix=long.tsv\n", "long.tsv:3: one line too many: 2 round-trip times on each of 2 lines are a square"},
		{"empty", "peers 2\nnet matrix=empty.tsv\n", "empty.tsv:1: no round-trip times"},
		{"rows", "peers 2\nnet rows=best\n", ":2: net: rows=best: is none of index, draw"},
		{"bandwidth", "peers 2\nnet bandwidth=fast\n", `:2: net: bandwidth=fast: "fast" is no bandwidth from 100bit to 1000Gbit a second`},
		{"no bandwidth", "peers 2\nlink n1>n2 bandwidth=0bit\n", `:2: link: bandwidth=0bit: "0bit" is no bandwidth`},
		{"delay", "peers 2\nnet delay=lognormal:0ms..5ms\n", "the median of a lognormal delay is above zero"},
		{"cap", "peers 2\nnet conncap=0\n", `:2: net: conncap=0: "0" is no number of connections from 1 to `},
		{"nat", "peers 2 nat=maybe\n", ":1: peers: nat=maybe: is none of yes, relay"},
		{"net option", "peers 2\nnet colour=red\n", ":2: net: colour=red: unknown option; known are delay, jitter, "},
		{"link alone", "peers 2\nlink n1>n2\n", ":2: link: want: link n1,n2>n3"},
		{"link sides", "peers 2\nlink n1 loss=3%\n", `:2: link: "n1" does not say what from what`},
		{"link moment", "peers 2\nlink holder(web.0)>n1 loss=3%\n", ":2: link: \"holder(web.0)>n1\" depends on the moment"},
		{"link option", "peers 2\nlink n1>n2 conncap=3\n", ":2: link: conncap=3: unknown option; known are delay, "},
		{"verb link", "peers 2\nat 1s link n1>n2\n", ":2: link: want: n1,n2>n3"},
		{"bridge", "peers 3\nat 1s bridge n1|n2\n", `:2: bridge: "n1|n2" is no bridge; write n1,n2|n3|n4,n5`},
		{"ring", "peers 3\nat 1s ring n1,n2,n3\n", `:2: ring: "n1,n2,n3" is no ring: of fewer than 4 peers`},
		{"slow", "peers 3\nat 1s slow n1\n", ":2: slow: factor=: want a number from 1 to 10000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(dir, "x.txt")
			_, err := Parse(strings.NewReader(c.text), name)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), name+":") {
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
}

// TestNetSpec_ReadsBack writes every option as text and reads it again.
func TestNetSpec_ReadsBack(t *testing.T) {
	const text = "peers 3 nat=relay addr=home uplink=2Mbit\n" +
		"net delay=lognormal:20ms..80ms jitter=1ms loss=1% topicloss=0% dup=2% reorder=3% bandwidth=10Mbit uplink=1Mbit\n" +
		"net matrix=latency/four_sites.tsv rows=index conncap=8 punch=50% relays=no queue=32\nlink n1>rest delay=3ms..4ms loss=7%\nrun 5s\n"
	first, err := Parse(strings.NewReader(text), "testdata/x.txt")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(strings.NewReader(first.String()), "elsewhere/x.txt")
	if err != nil {
		t.Fatal(err)
	}
	if first.String() != again.String() || again.Net.Matrix == nil || len(again.Net.Links) != 1 {
		t.Fatalf("read\n%s\nwritten\n%s", first, again)
	}
	for _, word := range strings.Fields("nat=relay addr=home uplink=2000000bit topicloss=0% queue=32 relays=no rows=index punch=50% loss=7%") {
		if !strings.Contains(again.String(), word) {
			t.Errorf("%s is missing in\n%s", word, again)
		}
	}
}

func TestLatency_HasItsPercentiles(t *testing.T) {
	l := latency{curve: lognormal(20*time.Millisecond, 200*time.Millisecond), jitter: time.Millisecond}
	r := stream(1, 0, "test")
	var all []time.Duration
	for range 20_000 {
		all = append(all, l.draw(r))
	}
	slices.Sort(all)
	for _, c := range []struct {
		part float64
		want time.Duration
	}{{0.5, 20500 * time.Microsecond}, {0.99, 200500 * time.Microsecond}} {
		got := all[int(c.part*float64(len(all)))]
		if got < c.want*9/10 || got > c.want*11/10 {
			t.Errorf("percentile %g is %v, want about %v", c.part*100, got, c.want)
		}
	}
}

// TestMatrix_HalfOfTheRoundTrip sends between machines of a measured matrix.
func TestMatrix_HalfOfTheRoundTrip(t *testing.T) {
	w, ms := quietWorld(t, "peers 5\nnet matrix=latency/four_sites.tsv rows=index\nlink n1>n2 delay=3ms\n")
	for _, c := range []struct {
		from, to int
		want     time.Duration
	}{{0, 2, 49100 * time.Microsecond}, {3, 1, 85625 * time.Microsecond}, {1, 0, 6250 * time.Microsecond}, {0, 4, sameSite}, {0, 1, 3 * time.Millisecond}} {
		if got := w.network.travel(ms[c.from], ms[c.to]); got != c.want {
			t.Errorf("n%d to n%d: %v, want %v", c.from+1, c.to+1, got, c.want)
		}
	}
	drawn, _ := quietWorld(t, "peers 4\nnet matrix=latency/four_sites.tsv\nrun 1s seed=3\n")
	sites := map[int32]bool{}
	for _, m := range drawn.machines {
		sites[m.nic.site] = true
	}
	if len(sites) != 4 {
		t.Errorf("4 machines of a matrix of 4 live at %d sites", len(sites))
	}
}

// quietWorld makes a world of started machines in which nothing happens by itself.
func quietWorld(t *testing.T, text string) (*World, []*machine) {
	t.Helper()
	s, err := Parse(strings.NewReader(text), "testdata/quiet.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, s.Seed, Options{})
	r.start()
	r.w.runUntil(5 * time.Second)
	if r.w.failure != nil {
		t.Fatal(r.w.failure)
	}
	return r.w, r.w.machines
}

// TestLinks_LaterLinesLieOnTop: a line changes what it names, the weather the rest.
func TestLinks_LaterLinesLieOnTop(t *testing.T) {
	w, ms := quietWorld(t, "peers 4\nnet loss=1%\nlink n1|rest loss=10%\nlink n1>n2 delay=7ms bandwidth=1Mbit\n")
	n := &w.network
	n.now.Dup = 0.25
	n.now.Loss = 0.02
	n.links.weather(&n.now)
	for _, c := range []struct {
		from, to  int
		loss, dup float64
		bits      int64
	}{{0, 1, 0.1, 0.25, 1e6}, {1, 0, 0.1, 0.25, 0}, {0, 3, 0.1, 0.25, 0}, {2, 3, 0.02, 0.25, 0}} {
		l := n.links.between(ms[c.from].index, ms[c.to].index)
		if l.loss != c.loss || l.dup != c.dup || l.bits != c.bits {
			t.Errorf("n%d to n%d: loss %g dup %g bits %d, want %+v", c.from+1, c.to+1, l.loss, l.dup, l.bits, c)
		}
	}
	if l := n.links.between(0, 1); l.span != (span{7 * time.Millisecond, 7 * time.Millisecond}) {
		t.Errorf("delay %v", l.span)
	}
}

// TestNetFaults_Fire shows that each fault of the network does what it says.
func TestNetFaults_Fire(t *testing.T) {
	const swarm = "peers 5\nrun 40s seed=5\nat 2s submit web replicas=5 cpu=200m mem=64MiB\nat 15s "
	const hurry = "peers 3\nrun 20s seed=5\n"
	for _, c := range []struct{ name, text, want string }{
		{"bridge", swarm + "bridge n1,n2|n3|n4,n5\nat 35s linked n1 n3\nat 35s linked n4 n3\nat 35s linked n1 n4\n", "no connection"},
		{"ring", swarm + "ring n1..n5\nat 35s linked n1 n5\nat 35s linked n1 n2\nat 35s linked n2 n5\n", "n2 and n5 have no connection"},
		{"ring heals", swarm + "ring n1..n5 for=5s\nby 39s linked n2 n5\nby 39s linked n1 n3\n", ""},
		{"lossy link", swarm + "link n2>rest loss=97%\nby 39s event died\n", ""},
		{"slow", hurry + "at 2s slow n1 factor=10000\nat 5s submit web at=n1 cpu=1m mem=1MiB\nby 6500ms accepted web\n", "there is no answer"},
		{"slow for a moment", hurry + "at 2s slow n1 factor=10000 for=100ms\nat 5s submit web at=n1 cpu=1m mem=1MiB\nby 6500ms accepted web\n", ""},
		{"no fault", swarm + "net dup=1%\nby 39s event died\n", "event died"},
		{"nat", "peers 1\npeers 2 nat=yes\npeers 1\nrun 20s\nat 19s linked n2 n1 via=direct\nat 19s linked n2 n3 via=relay\n", ""},
		{"punched", "peers 2\npeers 2 nat=yes\nnet punch=100%\nrun 20s\nat 19s linked n3 n4 via=direct\n", ""},
		{"not punched", "peers 2\npeers 2 nat=relay\nnet punch=100%\nrun 20s\nat 19s linked n3 n4 via=direct\n", "n3 and n4 are connected through n"},
		{"no relays", "peers 2\npeers 2 nat=yes\nnet relays=no\nrun 20s\nat 19s linked n3 n4\n", "no connection"},
		{"one house", "peers 2\npeers 2 nat=yes addr=home\nnet relays=no\nrun 20s\nat 19s linked n3 n4 via=direct\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res := runText(t, c.text, c.name)
			switch {
			case c.want == "" && res.Verdict != OK:
				t.Fatal(res.String())
			case c.want != "" && (res.Failure == nil || !strings.Contains(res.Failure.String(), c.want)):
				t.Fatalf("want %q: %s", c.want, res.String())
			}
		})
	}
}

// TestPause_WithinASync: a daemon that is stopped while it waits for its disk goes
// on afterwards.
func TestPause_WithinASync(t *testing.T) {
	w, ms := quietWorld(t, "peers 2\n")
	m := ms[1]
	for m.slow = 2000; !m.syncing; {
		w.runUntil(w.now + 10*time.Millisecond)
	}
	m.paused, m.slow = true, 0
	w.runUntil(w.now + maxStep + time.Second)
	if len(m.inbox) == 0 {
		t.Fatal("nothing has waited for the paused daemon")
	}
	m.resume()
	w.runUntil(w.now + time.Second)
	if m.syncing && len(m.inbox) > 1 || m.paused {
		t.Fatalf("the daemon is stuck: syncing, %d events wait", len(m.inbox))
	}
}

// TestNAT_RelayDies: two peers behind NAT find another relay.
func TestNAT_RelayDies(t *testing.T) {
	w, ms := quietWorld(t, "peers 3\npeers 2 nat=yes\nrun 60s\n")
	r, ok := w.network.relay(ms[3], ms[4])
	if r == nil || !ok {
		t.Fatal("n4 and n5 have no relay")
	}
	if !w.network.gossips(ms[3], ms[4]) || w.network.nextHop(ms[3], ms[4]) != r {
		t.Fatal("topics' messages avoid the relay")
	}
	r.powerCut()
	if w.network.gossips(ms[3], ms[4]) {
		t.Fatal("topics' messages go through a dead machine")
	}
	if r, _ := w.network.relay(ms[3], ms[4]); r != nil || ms[3].linked[4] {
		t.Fatalf("a dead machine relays")
	}
	w.runUntil(w.now + 30*time.Second)
	next, ok := w.network.relay(ms[3], ms[4])
	if !ms[3].linked[4] || !ok || next == nil || next == r {
		t.Fatalf("linked %v, relay %v, before %s", ms[3].linked[4], next, r.name)
	}
}

// TestConnCap: of twenty peers behind one address a peer outside takes eight.
func TestConnCap(t *testing.T) {
	for _, c := range []struct {
		net  string
		want int
	}{{"net conncap=8", 8}, {"", 20}} {
		_, ms := quietWorld(t, "peers 1\npeers 20 nat=yes addr=home\n"+c.net+"\n")
		got := 0
		for _, m := range ms[1:] {
			if m.linked[0] && ms[0].linked[m.index] {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%q: %d connections from one address, want %d", c.net, got, c.want)
		}
	}
}

// burst publishes so many messages of n1 at once and returns the part delivered.
func burst(t *testing.T, text string, count int) float64 {
	t.Helper()
	w, ms := quietWorld(t, text)
	before := w.network.gossiped
	for range count {
		w.network.publish(ms[0], wire.TopicMembers, &wire.Votes{})
	}
	w.runUntil(w.now + 20*time.Second)
	return float64(w.network.gossiped-before) / float64(count*(len(ms)-1))
}

// TestGossip_FullQueuesDrop: pubsub's own queues of 32 lose most of a burst, and
// nobody is told; ours of 4,096 lose none.
func TestGossip_FullQueuesDrop(t *testing.T) {
	const swarm = "peers 20\nnet delay=25ms uplink=20Mbit"
	for _, c := range []struct {
		net      string
		count    int
		from, to float64
	}{{"", 1000, 1, 1}, {" queue=32", 1000, 0.02, 0.35}, {" queue=32", 100, 0.3, 0.9}, {" queue=32", 10, 1, 1}} {
		if got := burst(t, swarm+c.net+"\n", c.count); got < c.from || got > c.to {
			t.Errorf("%q, burst of %d: %.1f %% delivered, want %.0f to %.0f", c.net, c.count, got*100, c.from*100, c.to*100)
		}
	}
}

// TestGossip_PassesOverABridge: what an author cannot send to goes from neighbour
// to neighbour.
func TestGossip_PassesOverABridge(t *testing.T) {
	w, ms := quietWorld(t, "peers 9\n")
	r := &run{w: w, s: &Scenario{}}
	if err := r.bridge(&Op{Args: []string{"n1..n4|n5|n6..n9"}}); err != nil {
		t.Fatal(err)
	}
	w.runUntil(w.now + 30*time.Second)
	before := w.network.gossiped
	w.network.publish(ms[0], wire.TopicMembers, &wire.Votes{})
	w.runUntil(w.now + 4*time.Second)
	if got := w.network.gossiped - before; got != 8 {
		t.Errorf("%d of 8 have heard it", got)
	}
}

// TestBandwidth_TakesTimeAndQueues sends deltas over a narrow link and a narrow uplink.
func TestBandwidth_TakesTimeAndQueues(t *testing.T) {
	w, ms := quietWorld(t, "peers 3\npeers 1 uplink=1Mbit\nnet delay=1ms\nlink n1>n2 bandwidth=100kbit\n")
	n := &w.network
	size := func(ms time.Duration, bits int) int { return int(ms.Seconds()*float64(bits)) / 8 }
	at, ok := n.depart(ms[0], ms[1], size(500*time.Millisecond, 100_000), w.now, false)
	if got := at - w.now; !ok || got != 500*time.Millisecond {
		t.Errorf("half a second's bytes took %v", got)
	}
	at, _ = n.depart(ms[0], ms[1], size(100*time.Millisecond, 100_000), w.now, false)
	if got := at - w.now; got != 600*time.Millisecond {
		t.Errorf("the next took %v, want 600ms after waiting", got)
	}
	if at, _ := n.depart(ms[0], ms[2], 1<<20, w.now, false); at != w.now {
		t.Errorf("another link took %v", at-w.now)
	}
	n.depart(ms[3], ms[0], size(time.Second, 1_000_000), w.now, false)
	if at, _ := n.depart(ms[3], ms[1], size(time.Second, 1_000_000), w.now, false); at-w.now < 2*time.Second {
		t.Errorf("a shared uplink let the second pass after %v", at-w.now)
	}
	if _, ok := n.depart(ms[3], ms[1], size(streamPatience, 1_000_000), w.now, false); ok {
		t.Error("a frame waits longer than its stream lives")
	}
}

// TestSizeOf holds the estimates against the encodings of what a swarm really sends.
func TestSizeOf(t *testing.T) {
	s, err := Parse(strings.NewReader("peers 5\nrun 30s\nat 3s submit web replicas=6 cpu=100m mem=64MiB\nat 9s crash n2\nat 12s scale web replicas=3\n"), "sizes")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, 1, Options{})
	type sum struct{ got, want, count int }
	sums := map[wire.MessageKind]*sum{}
	r.w.network.watch = func(msg wire.Message) {
		b, err := wire.Encode(msg)
		if err != nil {
			t.Fatal(err)
		}
		k := sums[msg.Kind()]
		if k == nil {
			k = &sum{}
			sums[msg.Kind()] = k
		}
		k.got, k.want, k.count = k.got+sizeOf(msg), k.want+len(b), k.count+1
	}
	r.start()
	r.plan()
	r.w.runUntil(s.Run)
	for kind, k := range sums {
		if ratio := float64(k.got) / float64(k.want); ratio < 0.7 || ratio > 1.4 {
			t.Errorf("%s: %d bytes estimated of %d messages, %d encoded", messageName(kind), k.got/k.count, k.count, k.want/k.count)
		}
	}
	if len(sums) < 10 {
		t.Errorf("only %d kinds of message were sent", len(sums))
	}
}
