package runtime

import (
	"math/rand/v2"
	"testing"
	"time"

	"shoal/job"
)

func TestJudge(t *testing.T) {
	task := func(typ job.Type, policy string) *job.Task {
		return &job.Task{Type: typ, Restart: job.Restart{Policy: policy}}
	}
	sick := end{why: "its health check failed"}
	for _, row := range []struct {
		name string
		task *job.Task
		end  end
		want verdict
	}{
		{"service, 0", task(job.Service, ""), end{}, restart},
		{"service, 1", task(job.Service, ""), end{code: 1}, restart},
		{"system, 0", task(job.System, ""), end{}, restart},
		{"service always, 0", task(job.Service, "always"), end{}, restart},
		{"service unless-stopped, 0", task(job.Service, "unless-stopped"), end{}, restart},
		{"service on-failure, 0", task(job.Service, "on-failure"), end{}, complete},
		{"service on-failure, 1", task(job.Service, "on-failure"), end{code: 1}, restart},
		{"service on-failure, sick", task(job.Service, "on-failure"), sick, restart},
		{"service no, 0", task(job.Service, "no"), end{}, complete},
		{"service no, 1", task(job.Service, "no"), end{code: 1}, fail},
		{"service no, sick", task(job.Service, "no"), sick, fail},
		{"service, unknown policy", task(job.Service, "sometimes"), end{}, restart},
		{"batch, 0", task(job.Batch, ""), end{}, complete},
		{"batch, 1", task(job.Batch, ""), end{code: 1}, restart},
		{"batch always, 0", task(job.Batch, "always"), end{}, complete},
		{"batch no, 1", task(job.Batch, "no"), end{code: 1}, fail},
		{"cron, 0", task(job.Cron, ""), end{}, complete},
		{"cron, unknown policy, 1", task(job.Cron, "sometimes"), end{code: 1}, restart},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := judge(row.task, row.end); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	for _, row := range []struct {
		name string
		base time.Duration
		n    int
		want time.Duration
	}{
		{"first", 0, 1, time.Second},
		{"second", 0, 2, 2 * time.Second},
		{"ninth", 0, 9, 256 * time.Second},
		{"tenth meets the cap", 0, 10, 5 * time.Minute},
		{"far", 0, 1 << 30, 5 * time.Minute},
		{"own delay", 5 * time.Second, 3, 20 * time.Second},
		{"own delay above the cap", time.Hour, 1, 5 * time.Minute},
		{"negative delay", -1, 1, time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := backoff(nil, row.base, row.n, MaxBackoff); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
			chance := rand.New(rand.NewPCG(1, 2))
			low, high := row.want, row.want
			for range 1000 {
				d := backoff(chance, row.base, row.n, MaxBackoff)
				low, high = min(low, d), max(high, d)
			}
			if low < row.want*9/10 || high > row.want*11/10 || low == high {
				t.Errorf("spread over %v to %v, want ±10 %% of %v", low, high, row.want)
			}
		})
	}
}

// A container that keeps ending is started five times again, each time after
// twice as long, then the claim fails here.
func TestRestartsAreUsedUp(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
	b.run(2 * sec)
	b.trail()
	for n := 1; n <= job.DefaultRestarts; n++ {
		b.exit(ref, 3)
		b.look()
		b.tick()
		ended := b.now
		rep := b.reports[len(b.reports)-1]
		want := ended.Add(time.Second << (n - 1))
		if rep.Phase != Backoff || rep.Next != want || rep.ExitCode != 3 || rep.Err != "exited with code 3" || b.wake != min(want, ended.Add(DefaultSilentAfter)) {
			t.Fatalf("end %d: got %+v, wake %v, want the next run at %v", n, rep, b.wake, want)
		}
		b.now = want - 1
		b.look()
		b.now = want - 1
		b.wantActions("")
		b.now = want
		if a := b.tick(); len(a) != 1 || a[0].Op != OpStart || a[0].Run != uint32(n+1) {
			t.Fatalf("end %d: got %v, want the start of run %d", n, ops(a), n+1)
		}
		b.perform()
		b.look()
	}
	b.trail()
	b.exit(ref, 3)
	b.runFor(10 * time.Minute)
	b.wantTrail("6 failed")
	if b.state(ref) != StateExited {
		t.Errorf("the container is %v; it is to stay for its logs while the claim is listed", b.state(ref))
	}
	b.r.Settle(b.now, true)
	b.r.Set(b.now, nil)
	b.runFor(time.Second)
	if b.state(ref) != 0 {
		t.Error("the container stays although nobody wants it")
	}
}

func TestLongServingForgivesFailures(t *testing.T) {
	for _, row := range []struct {
		name   string
		served time.Duration
		want   int
	}{
		{"just short", SteadyAfter - 1, 2},
		{"long enough", SteadyAfter, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			cl := newClaim(Want{Ref: refOf("shop/web.0", 1, "a"), Task: service()})
			cl.fresh = false
			cl.ran(sec)
			cl.ended(2*sec, end{code: 1}, nil)
			cl.ran(10 * sec)
			cl.phase, cl.servedFrom = Serving, 15*sec
			cl.ended((15 * sec).Add(row.served), end{code: 1}, nil)
			if cl.failures != row.want {
				t.Errorf("%d failures, want %d", cl.failures, row.want)
			}
		})
	}
}

func TestBatch(t *testing.T) {
	for _, row := range []struct {
		name  string
		task  job.Task
		codes []int
		want  string
	}{
		{"succeeds", job.Task{Type: job.Batch}, []int{0}, "1 completed"},
		{"second try", job.Task{Type: job.Batch}, []int{9, 0}, "1 backoff, 2 starting, 2 completed"},
		{"fails", job.Task{Type: job.Batch, Restart: job.Restart{MaxAttempts: 1}}, []int{9, 8}, "1 backoff, 2 starting, 2 failed"},
		{"no", job.Task{Type: job.Batch, Restart: job.Restart{Policy: "no"}}, []int{9}, "1 failed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			ref := refOf("shop/import.0", 1, "a")
			b.r.Set(b.now, []Want{{Ref: ref, Task: &row.task}})
			b.run(2 * sec)
			b.trail()
			last := Report{}
			for _, code := range row.codes {
				b.exit(ref, code)
				b.look()
				b.tick()
				last = b.reports[len(b.reports)-1]
				b.runFor(3 * time.Second)
			}
			b.wantTrail(row.want)
			if code := row.codes[len(row.codes)-1]; last.ExitCode != code {
				t.Errorf("exit code %d, want %d", last.ExitCode, code)
			}
		})
	}
}

func TestOutOfMemoryIsSaid(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
	b.run(2 * sec)
	b.exit(ref, 137)
	b.engine[Name(ref)].OOM = true
	b.look()
	b.tick()
	if rep := b.reports[len(b.reports)-1]; rep.ExitCode != 137 || rep.Err != exitText(137, true) {
		t.Errorf("got %+v", rep)
	}
}

// An unhealthy container is stopped and started again, and that counts.
func TestUnhealthyIsRestarted(t *testing.T) {
	b := newBench(t)
	ref := refOf("shop/web.0", 1, "a")
	task := &job.Task{Health: &job.Health{Test: []string{"CMD", "x"}}, Restart: job.Restart{MaxAttempts: 1}}
	b.r.Set(b.now, []Want{{Ref: ref, Task: task}})
	b.run(2 * sec)
	b.engine[Name(ref)].Health = Healthy
	b.runFor(time.Second)
	b.wantTrail("1 starting, 1 serving")
	b.engine[Name(ref)].Health = Unhealthy
	b.look()
	b.wantActions("stop shop/web.0.1 run 0")
	b.perform()
	b.tick()
	if rep := b.reports[len(b.reports)-1]; rep.Phase != Backoff || rep.Err != "its health check failed" {
		t.Fatalf("got %+v", rep)
	}
	b.runFor(3 * time.Second)
	b.wantTrail("1 backoff, 2 starting")
	b.engine[Name(ref)].Health = Unhealthy
	b.look()
	b.tick()
	b.wantTrail("") // failed is not said while it runs
	b.perform()
	b.tick()
	b.wantTrail("2 failed")
}

func TestErrorsOfTheEngine(t *testing.T) {
	want := []Want{{Ref: refOf("shop/web.0", 1, "a"), Task: service()}}
	t.Run("permanent", func(t *testing.T) {
		b := newBench(t)
		b.r.Set(b.now, want)
		b.look()
		b.result(b.tick()[0], "bad mount", true)
		b.tick()
		rep := b.reports[len(b.reports)-1]
		if rep.Phase != Failed || !rep.Permanent || rep.Err != "bad mount" {
			t.Errorf("got %+v", rep)
		}
		b.runFor(time.Minute)
		b.wantTrail("1 starting, 1 failed")
	})
	t.Run("passing", func(t *testing.T) {
		b := newBench(t)
		b.r.Set(b.now, want)
		b.look()
		b.result(b.tick()[0], "try later", false)
		at := b.now.Add(time.Second)
		b.wantActions("")
		if rep := b.reports[len(b.reports)-1]; b.wake != at || rep.Err != "try later" || rep.Phase != Starting {
			t.Errorf("wakes at %v, want %v; says %+v", b.wake, at, rep)
		}
		b.now = at
		b.wantActions("create shop/web.0.1 run 1")
		b.perform()
		b.runFor(time.Second)
		if b.state(want[0].Ref) != StateRunning {
			t.Error("does not run")
		}
	})
	t.Run("an answering engine that fails for ever", func(t *testing.T) {
		b := newBench(t)
		b.r.Set(b.now, want)
		tries := 0
		for end := b.now + 900*sec; b.now < end; b.now += sec {
			b.look()
			for _, a := range b.tick() {
				if a.Op == OpStop { // whether it was created after all is not known
					b.perform()
					continue
				}
				tries++
				b.result(a, "no space left on device", false)
			}
		}
		if b.wantTrail("1 starting, 1 failed"); tries != MaxTries {
			t.Errorf("%d tries, want %d", tries, MaxTries)
		}
	})
	t.Run("given up, yet it runs", func(t *testing.T) {
		b := newBench(t)
		b.r.Set(b.now, want)
		b.look()
		b.tick()
		b.perform()
		for tries := 0; tries < MaxTries; b.now += sec {
			b.look()
			for _, a := range b.tick() {
				if tries++; tries == MaxTries {
					b.apply(a)
				}
				b.result(a, "timed out", false)
			}
		}
		b.trail()
		b.look()
		b.wantActions("stop shop/web.0.1 run 0")
		b.wantTrail("") // not before it has ended
		b.perform()
		b.tick()
		b.wantTrail("1 failed")
	})
	t.Run("an engine that is down is waited for, and asked at once when it is back", func(t *testing.T) {
		b := newBench(t)
		b.r.Set(b.now, want)
		b.look()
		b.tick()
		for end := b.now + 900*sec; b.now < end; b.now += sec {
			b.r.Observe(b.now, Snapshot{Begun: b.now, Err: "connection refused"})
			for len(b.open) > 0 {
				b.result(b.open[0], "connection refused", false)
			}
			b.tick()
		}
		b.look()
		b.wantActions("create shop/web.0.1 run 1")
		b.wantTrail("1 starting")
	})
	t.Run("a stop is tried for ever", func(t *testing.T) {
		b := newBench(t)
		b.r.Set(b.now, want)
		b.run(5 * sec)
		b.trail()
		b.r.Set(b.now, []Want{{Ref: want[0].Ref, Stop: true}})
		tries := 0
		for end := b.now + 900*sec; b.now < end; b.now += sec {
			b.look()
			for _, a := range b.tick() {
				tries++
				b.result(a, "stuck", false)
			}
		}
		if tries < 900/33 || tries > 40 {
			t.Errorf("%d tries in 15 min, want one each 30s ±10 %%", tries)
		}
		b.trail()
		b.runFor(time.Minute)
		b.wantTrail("1 gone")
	})
}

// An errored start may have worked: a later snapshot decides, and the container
// is never taken for stopped before.
func TestErroredStart(t *testing.T) {
	ref := refOf("shop/web.0", 1, "a")
	for _, row := range []struct {
		name    string
		observe func(c *Observed)
		actions string // after the back-off
		trail   string
	}{
		{"worked", func(c *Observed) { c.State, c.Starts = StateRunning, "1" }, "", "1 starting"},
		{"did not", func(*Observed) {}, "start shop/web.0.1 run 1", ""},
		{"worked and ended", func(c *Observed) { c.State, c.Starts, c.ExitCode = StateExited, "1", 2 }, "start shop/web.0.1 run 2", "1 backoff, 2 starting"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			b.r.Set(b.now, []Want{{Ref: ref, Task: service()}})
			b.look()
			b.tick()
			b.perform()
			b.result(b.tick()[0], "timed out", false)
			b.tick()
			b.trail()
			row.observe(b.engine[Name(ref)])
			b.look()
			b.wantActions("")
			b.now += sec
			b.wantActions(row.actions)
			b.wantTrail(row.trail)
		})
	}
}
