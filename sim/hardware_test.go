package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/node"
	"shoal/runtime"
	"shoal/wire"
)

// TestCrashSync_EveryBarrier cuts the power of one peer at every sync that it makes
// while a job is submitted, changed and moved, before and after each, with its writes
// torn and not. No such moment may break an invariant.
func TestCrashSync_EveryBarrier(t *testing.T) {
	const plan = `peers 3
run 40s seed=51
at 1s   crashsync n2 after=%d when=%s %s for=3s
at 2s   submit web replicas=4 cpu=200m mem=64MiB at=n2 fails=no
at 8s   update web version=2 at=n1 fails=no
at 12s  crashdaemon n1 for=9s
at 20s  remove web at=n3 fails=no
at 22s  redeploy web at=n3 fails=no
calm    running 4 of web
`
	hit := 0
	for after := 0; ; after++ {
		fired := false
		for _, when := range []string{"before", "before torn", "after"} {
			when, torn, _ := strings.Cut(when, " ")
			res, err := RunScenario(strings.NewReader(fmt.Sprintf(plan, after, when, torn)), "barrier", Options{Lines: true})
			if err != nil {
				t.Fatal(err)
			}
			if res.Verdict != OK {
				t.Fatalf("sync %d, %s %s: %s", after, when, torn, res.String())
			}
			fired = fired || slices.ContainsFunc(res.Lines, func(l string) bool { return strings.Contains(l, "dies "+when+" its sync") })
		}
		if !fired {
			break
		}
		hit++
	}
	if hit < 15 {
		t.Errorf("only %d barriers were hit", hit)
	}
	t.Logf("%d barriers", hit)
}

// TestFaults_FireOnHardware shows that each fault of disk, clock and engine does what
// it says.
func TestFaults_FireOnHardware(t *testing.T) {
	const swarm = "peers 3\nrun 60s seed=5\nat 2s submit web replicas=3 cpu=200m mem=64MiB policy=spread\n"
	for _, c := range []struct{ name, plan, line string }{
		{"barrier", "at 3s crashsync any after=2 when=before", "dies before its sync"},
		{"torn write", "at 1s crashsync n2 torn=yes for=2s\nat 2s crashsync n3 torn=yes for=2s", "its store is torn|dies before its sync"},
		{"full", "at 15s diskfull n2 free=1MiB\nat 20s update web version=2", "cannot write: the disk is full; it holds still"},
		{"full at the start", "at 15s crash n2\nat 16s diskfull n2 free=1MiB\nat 17s restart n2", "does not start: the disk is full"},
		{"room again", "at 15s diskfull n2 free=1MiB for=20s\nat 20s update web version=2", "goes on: there is room"},
		{"room again after a start", "at 15s crash n2\nat 16s diskfull n2 free=1MiB for=20s\nat 17s restart n2", "n2    starts (2)"},
		{"killed while it holds still", "at 15s diskfull n2 free=1MiB for=20s\nat 20s update web version=2\nat 30s crashdaemon n2 for=1s", "does not start: the disk is full"},
		{"rot is met by a write", "at 15s rot n2 records=1000\nat 20s update web version=2", "a stored value was altered"},
		{"rot is met at the start", "at 15s rot n2 records=3\nat 20s crash n2 for=2s", "its store opens damaged"},
		{"lost end of the log", "at 4s rot n2 log=yes\nat 15s update web version=2\nat 20s crash n2 for=2s", "its store opens damaged"},
		{"sync fails", "at 15s diskfail n2\nat 16s update web version=2", "cannot sync"},
		{"call hangs", "at 1s hangcall all op=start", "start of web/web.0 hangs"},
		{"name taken", "at 1s conflict n2", "is somebody else's container"},
		{"start fails", "long at 1s startfail n2 p=1", "on n2 is failed: start shoal-"},
		{"out of memory", "at 20s oom web.0", "out of memory"},
		{"image lost", "at 1s lose sim/web at=n2", "no such image"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := swarm
			if plan, long := strings.CutPrefix(c.plan, "long "); long {
				text, c.plan = strings.Replace(swarm, "run 60s", "run 6m", 1), plan
			}
			res, err := RunScenario(strings.NewReader(text+c.plan+"\n"), c.name, Options{Lines: true})
			if err != nil {
				t.Fatal(err)
			}
			if res.Verdict != OK {
				t.Fatal(res.String())
			}
			for _, want := range strings.Split(c.line, "|") {
				if !slices.ContainsFunc(res.Lines, func(l string) bool { return strings.Contains(l, want) }) {
					t.Fatalf("no line has %q:\n%s", want, strings.Join(res.Lines, "\n"))
				}
			}
		})
	}
}

func TestParse_HardwareErrorsNameThePlace(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"at 1s crashsync n1 when=during", "x.txt:2: crashsync: when=during: is none of before, after"},
		{"at 1s flood n1", "x.txt:2: flood: factor= is missing"},
		{"at 1s flood n1 factor=5000", "x.txt:2: flood: factor=5000: want a number from 1 to 1000"},
		{"at 1s lie n1", "x.txt:2: lie: want factor=4, starts=no or never, or both"},
		{"at 1s lie n1 factor=0", "x.txt:2: lie: factor=0: want a number from 1 to 1000"},
		{"at 1s diskslow n1", "x.txt:2: diskslow: want one of factor=20 and sync=200ms..2s"},
		{"at 1s diskslow n1 factor=0", `x.txt:2: diskslow: factor=0: "0" is no factor from 1 to 10000`},
		{"at 1s diskfull n1 free=some", `x.txt:2: diskfull: free=some: "some" is no amount of memory`},
		{"at 1s rot n1", "x.txt:2: rot: want one of records=5 and log=yes"},
		{"at 1s rot n1 records=-3", `x.txt:2: rot: records=-3: "-3" is no number from 1 to 1000000`},
		{"at 1s startfail n1", "x.txt:2: startfail: p= is missing"},
		{"at 1s startfail all p=3", `x.txt:2: startfail: p=3: "3" is no rate`},
		{"at 1s hangcall n1 op=pull", "x.txt:2: hangcall: op=pull: is none of create, start, stop, remove"},
		{"at 1s engine n1 start=soon", `x.txt:2: engine: start=soon: "soon" is no duration`},
		{"at 1s orphan n1 web", "x.txt:2: orphan: "},
		{"at 1s oom web", "x.txt:2: oom: "},
		{"at 1s crash n1 on=n2", `x.txt:2: crash: on=n2: "n2" is no kind of message`},
		{"at 1s crash all", `x.txt:2: crash: "all" is no peer`},
		{"peers 2 clock=never", `x.txt:2: peers: clock=never: "never" is no shift of a clock`},
		{"peers 2 drift=fast", `x.txt:2: peers: drift=fast: "fast" is no drift; write millionths from -10000 to 10000`},
	} {
		t.Run(c.line, func(t *testing.T) {
			_, err := Parse(strings.NewReader("peers 2\n"+c.line+"\n"), "x.txt")
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("got %v, want %s…", err, c.want)
			}
		})
	}
}

func number(seq uint64) wire.Number { return wire.Number{Issuer: wire.PeerID{1}, Inc: 1, Seq: seq} }

func puts(from, to uint64, body int) (w []node.Write) {
	for seq := from; seq < to; seq++ {
		w = append(w, node.Write{Put: &wire.Record{Num: number(seq), Body: make([]byte, body)}})
	}
	return w
}

// TestDisk_TearKeepsWholeTransactions: a batch is kept as a whole or not at all,
// unless it is too big for one transaction of the store.
func TestDisk_TearKeepsWholeTransactions(t *testing.T) {
	for _, c := range []struct {
		name        string
		small       bool
		body, parts int
	}{{"one", false, 100, 1}, {"too big", false, 32 << 10, 4}, {"too big for a small store", true, 16 << 10, 4}} {
		t.Run(c.name, func(t *testing.T) {
			kept := map[int]bool{}
			for seed := range uint64(300) {
				d := newDisk()
				d.append(puts(0, 40, c.body), c.small)
				if len(d.ends) != c.parts {
					t.Fatalf("%d transactions, want %d", len(d.ends), c.parts)
				}
				d.tear(rand.New(rand.NewPCG(seed, 1)))
				kept[d.records.count] = true
			}
			if len(kept) != c.parts+1 || !kept[0] || !kept[40] {
				t.Fatalf("kept %v of 40 records", kept)
			}
		})
	}
}

// TestDisk_OpenSees: rot is seen when the store is opened; the loss of what nobody was
// promised is not.
func TestDisk_OpenSees(t *testing.T) {
	d := newDisk()
	d.append(puts(0, 9, 10), false)
	d.sync()
	if d.spoil(rand.New(rand.NewPCG(1, 1)), 3); !d.open() || d.records.count != 6 {
		t.Fatalf("%d records left", d.records.count)
	}
	d.spoilLog()
	d.append(puts(9, 12, 10), false)
	if d.open() || d.records.count != 6 {
		t.Fatalf("%d records left of what was not synced", d.records.count)
	}
	d.spoilLog()
	d.append(puts(9, 12, 10), false)
	d.sync()
	d.trouble.promised = true
	if !d.open() || d.records.count != 6 {
		t.Fatalf("%d records left of what was promised", d.records.count)
	}
}

// TestPause_QueuesAreBounded: a paused peer gets what its queues can hold, no more.
func TestPause_QueuesAreBounded(t *testing.T) {
	m := &machine{}
	for range 3 * maxFramesWaiting {
		m.keeps(&event{kind: evMessage, from: 1})
		m.keeps(&event{kind: evMessage, from: 2, topic: wire.TopicJobs})
	}
	if b := m.waiting; b.frames[1] != maxFramesWaiting || b.gossip != inboxBound || b.lost != 2*maxFramesWaiting+2*inboxBound {
		t.Fatalf("%+v wait", b)
	}
}

// TestPause_MidSync: a sync that ends in a pause lets the daemon go on afterwards.
func TestPause_MidSync(t *testing.T) {
	res := runText(t, "peers 3\nrun 40s seed=3\nat 0s diskslow n2 sync=1s\nat 2s submit web replicas=3 cpu=100m mem=64MiB at=n2\n"+
		"at 2500ms pause n2 for=10s\nat 13s diskslow n2 factor=1\nby 39s serving 3 of web\n", "midsync")
	if res.Verdict != OK {
		t.Fatal(res.String())
	}
}

// TestPace_HasItsMedian: the table is a log-normal distribution's.
func TestPace_HasItsMedian(t *testing.T) {
	r, p := rand.New(rand.NewPCG(1, 2)), measured.start
	var all []time.Duration
	for range 10_001 {
		all = append(all, p.draw(r))
	}
	slices.Sort(all)
	for part, want := range map[float64]int64{0.16: 148, 0.5: 243, 0.84: 400, 0.95: 553} {
		got := all[int(part*10_000)].Milliseconds()
		if got < want*95/100 || got > want*105/100 {
			t.Errorf("quantile %v is %d ms, want about %d", part, got, want)
		}
	}
}

// TestOutOfMemory_OfAChild leaves the container running, with OOM unset, as the engine
// does; only the cgroup counts it.
func TestOutOfMemory_OfAChild(t *testing.T) {
	w := newWorld(1, nil)
	m := w.add(MachineSpec{Capacity: defaultCapacity})
	m.engine.leave(runtime.Ref{Slot: mustSlot(t, "web.0")}, true, behaviour{})
	c := m.engine.containers[0]
	m.engine.outOfMemory(c, true)
	if c.State != runtime.StateRunning || c.OOM || c.kills != 1 {
		t.Fatalf("after a child: %+v, %d kills", c.Observed, c.kills)
	}
	m.engine.outOfMemory(c, false)
	if c.State != runtime.StateExited || !c.OOM || c.ExitCode != 137 {
		t.Fatalf("after its first process: %+v", c.Observed)
	}
}

func mustSlot(t *testing.T, text string) job.SlotID {
	t.Helper()
	slot, err := parseSlot(text)
	if err != nil {
		t.Fatal(err)
	}
	return slot
}
