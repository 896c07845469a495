package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"shoal/api"
)

// What a program ended with reaches the shell as it is, and no failure becomes a 0.
func TestWaitedSlot_Code(t *testing.T) {
	for _, c := range []struct {
		name, phase string
		exit, want  int
	}{
		{"well", "completed", 0, 0},
		{"its own code", "failed", 3, 3},
		{"the greatest", "failed", 255, 255},
		{"the system would cut it to 0", "failed", 256, 255},
		{"negative", "failed", -1, 255},
		{"failed before its program ran", "failed", 0, 1},
	} {
		if got := (waitedSlot{Phase: c.phase, Exit: c.exit}).code(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func newEndWatch(task, slot string) *endWatch {
	c := &cli{out: io.Discard, err: io.Discard, output: "text"}
	return &endWatch{cli: c, target: "sums", id: "default/sums", task: task, slot: slot, told: map[string]string{}}
}

var sumsHead = api.Job{Job: "sums", Life: 1, Revision: 1, Tasks: []api.Task{
	{Name: "add", Type: "batch"}, {Name: "db", Type: "service"},
}}

// A slot has ended when it runs no more at the spec that is wanted; of several the
// greatest code counts, of equal ones the first is named.
func TestEndWatch_Take(t *testing.T) {
	done := func(slot string, exit int) api.Slot {
		phase := "completed"
		if exit != 0 {
			phase = "failed"
		}
		return api.Slot{Slot: slot, Phase: phase, Peer: "attic", Exit: exit, Current: true}
	}
	old := done("sums/add.1", 0)
	old.Current = false
	surplus := done("sums/add.1", 9)
	surplus.Surplus = true
	db := api.Slot{Slot: "sums/db.0", Phase: "serving", Current: true}
	for _, c := range []struct {
		name  string
		task  string
		slot  string
		slots []api.Slot
		ended bool
		code  int
		text  string
	}{
		{"all well, the service beside them runs on", "", "", []api.Slot{done("sums/add.0", 0), done("sums/add.1", 0), db}, true, 0, ""},
		{"the greatest code", "", "", []api.Slot{done("sums/add.0", 2), done("sums/add.1", 5), done("sums/add.2", 5)}, true, 5,
			"sums/add.1 exited with 5 on attic; 3 of 3 slots failed"},
		{"one is named", "add", "sums/add.0", []api.Slot{done("sums/add.0", 2), done("sums/add.1", 5)}, true, 2, "sums/add.0 exited with 2 on attic"},
		{"one is tried again", "", "", []api.Slot{done("sums/add.0", 0), {Slot: "sums/add.1", Phase: "waiting", Exit: 4, Current: true}}, false, 0, ""},
		{"one is to run again at the new spec", "", "", []api.Slot{done("sums/add.0", 0), old}, false, 0, ""},
		{"surplus does not count", "", "", []api.Slot{done("sums/add.1", 0), surplus}, true, 0, ""},
	} {
		w := newEndWatch(c.task, c.slot)
		ended, err := w.take(sumsHead, c.slots)
		if ended != c.ended || err != nil || w.out.Ended != ended {
			t.Errorf("%s: ended %v, %v, want %v", c.name, ended, err, c.ended)
			continue
		}
		if !ended {
			continue
		}
		err = w.verdict()
		if c.code == 0 && err == nil {
			continue
		}
		if err == nil || codeOf(err) != c.code || w.out.Exit != c.code || err.Error() != c.text {
			t.Errorf("%s: %v, %d, want %d, %q", c.name, err, w.out.Exit, c.code, c.text)
		}
	}
}

// What will not end is told at once.
func TestEndWatch_WillNotEnd(t *testing.T) {
	later := sumsHead
	later.Life, later.Revision = 2, 1
	paused := sumsHead
	paused.State = "paused: bad spec"
	services := api.Job{Life: 1, Revision: 1, Tasks: sumsHead.Tasks[1:]}
	for _, c := range []struct {
		name string
		see  func(w *endWatch) error
		want string
	}{
		{"another life", func(w *endWatch) error { return errors.Join(w.follow(sumsHead), w.follow(later)) }, "was removed and deployed anew"},
		{"no batch in it", func(w *endWatch) error { return w.follow(services) }, "sums has no batch task"},
		{"a service", func(w *endWatch) error { w.task = "db"; return w.follow(sumsHead) }, "sums/db is a service"},
		{"stopped", func(w *endWatch) error { _, err := w.take(sumsHead, nil); return err }, "sums is stopped"},
		{"does not work", func(w *endWatch) error {
			_, err := w.take(paused, []api.Slot{{Slot: "sums/add.0", Phase: "serving", Detail: "exited"}})
			return err
		}, "sums revision 1 does not work, so sums/add.0 does not run it: exited"},
	} {
		if err := c.see(newEndWatch("", "")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := newEndWatch("", "").follow(api.Job{Life: 1, Revision: 1}); err != nil {
		t.Errorf("a head whose spec has not come yet: %v", err)
	}
}
