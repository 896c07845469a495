package pretend_test

import (
	"context"
	"testing"

	"shoal/job"
	"shoal/runtime"
	"shoal/runtime/pretend"
)

// What was started is said to run until it is stopped; each operation done twice is as
// done once, and each is signalled.
func TestDriver_SaysThatItRuns(t *testing.T) {
	d := pretend.New()
	ctx, cancel := context.WithCancel(t.Context())
	changed := d.Watch(ctx)
	do := func(op runtime.Op) {
		t.Helper()
		for range 2 {
			if err := d.Do(ctx, runtime.Action{Op: op, Container: "a", Ref: runtime.Ref{Slot: job.SlotID{Job: "shop", Task: "web"}}}); err != nil {
				t.Fatal(op, err)
			}
		}
		<-changed
	}
	is := func(want ...runtime.State) {
		t.Helper()
		got, err := d.List(ctx)
		if err != nil || len(got) != len(want) || len(want) > 0 && (got[0].State != want[0] || got[0].Ref.Slot.Task != "web") {
			t.Fatalf("%+v, %v: want %v", got, err, want)
		}
	}
	if err := d.Do(ctx, runtime.Action{Op: runtime.OpStart, Container: "a"}); err == nil {
		t.Error("what was never created has been started")
	}
	do(runtime.OpCreate)
	is(runtime.StateCreated)
	do(runtime.OpStart)
	is(runtime.StateRunning)
	do(runtime.OpStop)
	is(runtime.StateExited)
	do(runtime.OpRemove)
	is()
	cancel()
	for range changed { // until it is closed
	}
}
