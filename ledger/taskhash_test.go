package ledger_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"shoal/job"
	"shoal/ledger"
	"shoal/ledger/ledgertest"
	"shoal/wire"
)

func drawTask(t *rapid.T) job.Task {
	word := rapid.SampledFrom([]string{"", "a", "b"})
	task := job.Task{
		Name: "web", Image: "web:1", Count: rapid.IntRange(0, 99).Draw(t, "count"), User: word.Draw(t, "user"), Hostname: word.Draw(t, "host"),
		Needs: job.Resources{CPUMilli: int64(rapid.IntRange(0, 9).Draw(t, "cpu"))}, ReadOnly: rapid.Bool().Draw(t, "read only"),
		StopGrace: time.Duration(rapid.IntRange(0, 2).Draw(t, "grace")) * time.Second,
	}
	task.Priority, task.Attempts = rapid.IntRange(0, 2).Draw(t, "priority"), rapid.IntRange(0, 2).Draw(t, "attempts")
	task.Update.Parallelism = rapid.IntRange(0, 2).Draw(t, "parallelism")
	task.Failover.Never = rapid.Bool().Draw(t, "never")
	task.Restart.MaxAttempts = rapid.IntRange(0, 2).Draw(t, "restarts")
	if rapid.Bool().Draw(t, "with parts") {
		task.Mounts = []job.Mount{{Type: "volume", Source: "db", Target: "/db"}}
		task.Env = map[string]string{"A": word.Draw(t, "env")}
		task.Health = &job.Health{Test: []string{"CMD", "x"}}
	}
	return task
}

// laterSpec encodes a spec as a later version does, with fields more in each task.
func laterSpec(spec *job.Spec, fields map[uint64]any) []byte {
	body := map[uint64]any{}
	if err := wire.Unmarshal(wire.MustMarshal(spec), &body); err != nil {
		panic(err)
	}
	for _, task := range body[4].([]any) {
		for n, v := range fields {
			task.(map[any]any)[n] = v
		}
	}
	return wire.MustMarshal(body)
}

// hashIn is the hash of the one task of a spec that came as bytes.
func hashIn(t *rapid.T, body []byte) (wire.Hash, string) {
	w := &ledgertest.Writer{ID: wire.PeerID{7}}
	r := w.Seal(wire.KindSpec, &job.Spec{})
	r.Body, r.Value = body, nil
	r.Seal(ledgertest.Test.ID, ledgertest.Key(w.ID))
	s := ledgertest.Test.New()
	if out, err := s.Merge(r); out != ledger.Merged {
		t.Fatal(out, err)
	}
	h, ok := s.TaskHash(wire.HashOf(body), "web")
	if !ok {
		t.Fatal("the task is not there")
	}
	return h, s.LaterField(wire.HashOf(body), "web")
}

// TestTaskHash_OfBytesAndOfTasks has both ways to a task's name agree where a version
// knows all of it, also with the name as it was before there were such fields.
func TestTaskHash_OfBytesAndOfTasks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		task := drawTask(t)
		bare := task
		bare.Count, bare.Update, bare.Failover = 0, job.Update{}, job.Failover{}
		bare.Priority, bare.Attempts = 0, 0
		want := wire.HashOf(wire.MustMarshal(&bare))
		if got := ledger.TaskHash(&task); got != want {
			t.Fatalf("of the task %v, want %v", got, want)
		}
		got, later := hashIn(t, wire.MustMarshal(&job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{task}}))
		if got != want || later != "" {
			t.Fatalf("of its bytes %v, want %v; not known is %q", got, want, later)
		}
	})
}

// TestTaskHash_WithLaterFields has a field that only a later version knows count in a
// task's name, but for an open one, and what this version does to the task leave the
// name as it is exactly where it would without that field.
func TestTaskHash_WithLaterFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := &job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{drawTask(t)}}
		field := rapid.SampledFrom([]uint64{60, job.FirstOpenField - 1, job.FirstOpenField, 1000}).Draw(t, "field")
		old := laterSpec(spec, map[uint64]any{field: "of a later version"})
		before, later := hashIn(t, old)
		bare := ledger.TaskHash(&spec.Tasks[0])
		if open := field >= job.FirstOpenField; (before == bare) != open || (later == "") != open {
			t.Fatalf("field %d: named %v, without it %v; not known is %q", field, before, bare, later)
		}

		changed := *spec
		changed.Tasks = []job.Task{spec.Tasks[0]}
		task := &changed.Tasks[0]
		task.Count += rapid.IntRange(0, 1).Draw(t, "one more")
		task.Failover.InIsland = rapid.SampledFrom([]string{"", "wait"}).Draw(t, "island")
		task.Generation += uint64(rapid.IntRange(0, 1).Draw(t, "restarted"))
		after, still := hashIn(t, ledger.CarrySpec(old, &changed))
		if moved := ledger.TaskHash(task) != bare; (after != before) != moved || still != later {
			t.Fatalf("field %d: named %v and then %v, should move: %v; not known is %q and then %q", field, before, after, moved, later, still)
		}
		if want, _ := hashIn(t, laterSpec(&changed, map[uint64]any{field: "of a later version"})); after != want {
			t.Fatalf("a later version names it %v, this one %v", want, after)
		}
	})
}
