package runtime

import (
	"testing"
	"time"

	"shoal/clock"
	"shoal/job"
)

func TestOneClaimFromNothingToGone(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 3, "a")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
	b.wantActions("") // nothing is known of the engine yet
	b.look()
	b.wantActions("create shop/web.0.3 run 1")
	b.wantTrail("1 starting") // with the action, so that it is durable before
	b.wantActions("")
	b.perform()
	b.wantActions("start shop/web.0.3 run 1")
	b.perform()
	started := b.now
	b.look()
	b.tick()
	if b.wake != started.Add(5*time.Second) {
		t.Errorf("wakes at %v, want when it has run for 5s, %v", b.wake, started.Add(5*time.Second))
	}
	b.wantTrail("1 starting") // its address
	b.now = started.Add(5*time.Second) - 1
	b.tick()
	b.wantTrail("")
	b.now++
	b.tick()
	b.wantTrail("1 serving")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service(), Run: 1, Stop: true, Grace: 2 * time.Second}})
	if a := b.tick(); len(a) != 1 || a[0].Op != OpStop || a[0].Grace != 2*time.Second {
		t.Fatalf("got %+v, want a stop with a grace of 2s", a)
	}
	b.perform()
	b.wantActions("remove shop/web.0.3 run 0")
	b.look() // begun before the removal ended
	b.wantTrail("")
	b.perform()
	b.tick()
	b.wantTrail("1 gone")
	b.r.Set(b.now, nil)
	b.runFor(5 * time.Second)
	b.wantTrail("")
}

func TestSnapshotBegunBeforeAnActionsEndSaysNothingOfItsContainer(t *testing.T) {
	for _, row := range []struct {
		name  string
		begun clock.Instant // against the end of the create at 10s
		want  string
	}{
		{"before", 10*sec - 1, "start shop/web.0.1 run 1"},
		{"same instant", 10 * sec, "start shop/web.0.1 run 1"}, // it may have been earlier all the same
		{"after", 10*sec + 1, "create shop/web.0.1 run 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}})
			b.look()
			b.tick()
			b.now = 10 * sec
			b.perform()
			b.r.Observe(11*sec, Snapshot{Begun: row.begun}) // empty
			b.wantActions(row.want)
		})
	}
}

func TestSnapshotFromBeforeAStartDoesNotEndTheRun(t *testing.T) {
	for _, begun := range []clock.Instant{10*sec - 1, 10 * sec} {
		b := newBench(t)
		ref := refOf("shop/web.0", 1, "a")
		b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
		b.look()
		b.tick()
		b.perform()
		b.tick()
		created := *b.engine[Name(ref)]
		b.now = 10 * sec
		b.perform()
		b.r.Observe(10*sec+1, Snapshot{Begun: begun, Containers: []Observed{created}})
		b.wantActions("")
		b.wantTrail("1 starting")
	}
}

func TestOlderSnapshotIsIgnored(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
	b.run(10 * sec)
	b.trail()
	b.r.Observe(b.now, Snapshot{Begun: b.now - 2*sec}) // says it is gone
	b.wantActions("")
	b.wantTrail("")
}

func TestServing(t *testing.T) {
	check := &job.Health{Test: []string{"CMD", "true"}}
	for _, row := range []struct {
		name   string
		task   job.Task
		health HealthState
		after  time.Duration
		want   string
	}{
		{"no check, just before monitor", job.Task{}, HealthNone, 5*time.Second - 1, "1 starting"},
		{"no check, monitor", job.Task{}, HealthNone, 5 * time.Second, "1 starting, 1 serving"},
		{"own monitor", job.Task{Update: job.Update{Monitor: 9 * time.Second}}, HealthNone, 8 * time.Second, "1 starting"},
		{"check starting", job.Task{Health: check}, HealthStarting, 8 * time.Second, "1 starting"},
		{"check passes at once", job.Task{Health: check}, Healthy, 0, "1 starting, 1 serving"},
		{"check of the image", job.Task{}, HealthStarting, 8 * time.Second, "1 starting"},
		{"check switched off", job.Task{Health: &job.Health{Test: []string{"NONE"}}}, HealthNone, 5 * time.Second, "1 starting, 1 serving"},
		{"declared check not yet shown", job.Task{Health: check}, HealthNone, 8 * time.Second, "1 starting"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			ref := refOf("shop/web.0", 1, "a")
			b.r.Set(b.now, []Want{{Ref: ref, Task: &row.task}})
			b.look()
			b.tick()
			b.perform()
			b.tick()
			b.perform()
			from := b.now
			b.engine[Name(ref)].Health = row.health
			b.look()
			b.tick()
			b.now = max(b.now, from.Add(row.after))
			b.tick()
			b.wantTrail(row.want)
		})
	}
}

func TestNoServingWithoutASnapshotThatShowsItRunning(t *testing.T) {
	b := newBench(t)
	b.r.Set(b.now, []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}})
	b.look()
	b.tick()
	b.perform()
	b.tick()
	b.perform()
	b.now += 10 * sec
	b.tick()
	b.wantTrail("1 starting")
}

func TestNotServingAfter(t *testing.T) {
	check := func(start, every time.Duration, n int) *job.Health {
		return &job.Health{Test: []string{"CMD", "x"}, StartPeriod: start, Interval: every, Retries: n}
	}
	for _, row := range []struct {
		name   string
		health *job.Health
		want   time.Duration
	}{
		{"no check", nil, time.Minute},
		{"short check", check(5*time.Second, time.Second, 3), time.Minute},
		{"long start", check(2*time.Minute, 10*time.Second, 4), 160 * time.Second},
		{"defaults of a check", check(0, 0, 0), 90 * time.Second},
		{"absurd", check(1<<62, 1<<62, 1<<30), 24 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := NotServingAfter(&job.Task{Health: row.health}); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestNotServingIsReportedAndNothingStopped(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	task := &job.Task{Health: &job.Health{Test: []string{"CMD", "x"}, Interval: time.Second}}
	b.r.Set(b.now, []Want{{Ref: ref, Task: task}})
	b.look()
	b.tick()
	b.perform()
	b.tick()
	b.perform()
	start := b.now
	b.engine[Name(ref)].Health = HealthStarting
	for b.now+sec < start+60*sec {
		b.now += sec
		b.look()
		b.tick()
	}
	b.wantTrail("1 starting")
	b.now = start + 60*sec - 1
	b.tick()
	b.wantTrail("")
	b.now++
	b.tick()
	b.wantTrail("1 starting late")
	b.runFor(30 * time.Second)
	b.wantTrail("")
	b.engine[Name(ref)].Health = Healthy
	b.runFor(time.Second)
	b.wantTrail("1 serving")
}

func TestStateChangesOutsideAreRuns(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
	b.run(10 * sec)
	b.wantTrail("1 starting, 1 serving")
	b.engine[Name(ref)].Starts = "by hand"
	b.runFor(8 * time.Second)
	b.wantTrail("2 starting, 2 serving")
	delete(b.engine, Name(ref)) // removed by hand: it counts as an end, and is made anew
	b.runFor(10 * time.Second)
	b.wantTrail("2 backoff, 3 starting, 3 serving")
}

// twoAtOnce skips where the names of two specs of one claim are equal, so that an
// update can only replace.
// A container of another spec under the very name the new one needs goes first,
// even where the new one would be made before it.
// A new container that cannot be started leaves the old one as its order has it.
// A new container that completes its work before it has served ends the old one,
// and the claim is not complete before that.
// What is wanted again while it is being stopped is started again at once, and
// that is no failure of its own.
