package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
	"shoal/job"
)

// maxExit is the greatest code that a program can end with.
const maxExit = 255

func (c *cli) waitCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait JOB|JOB/TASK|SLOT",
		Short: "Wait until a batch has ended, and exit with its exit code",
		Long: `Wait until a batch has ended, and exit with its exit code: 0 when every slot has completed, else the greatest code of
those that failed for good. Of a job, its batch tasks are waited for, not the services beside them. A slot that failed
and is tried again has not ended; one that failed before its program ran counts as 1. An update is waited for in turn.
What ends the wait earlier is 1 (removed, stopped), 124 (--timeout), 125 (no daemon answers) or 130 (interrupted): the
same codes from a program are told apart by -o json, whose "ended" is then true.`,
		Args:              wants(1, 1, "one job, task or slot"),
		ValidArgsFunction: c.complete(false, batchNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.wait(cmd.Context(), args[0], timeout)
		},
	}
	durationFlag(cmd.Flags(), &timeout, "timeout", 0, timeouts, "how long to wait; the job goes on (0, the default: for ever)")
	return cmd
}

// batchNames are jobs that have a batch task, these tasks and their slots.
func batchNames(ctx context.Context, cl *client.Client) []string {
	jobs, _ := cl.Jobs(ctx, false)
	slots, _ := cl.Slots(ctx, "")
	var out []string
	for _, j := range jobs {
		if !slices.ContainsFunc(j.Tasks, isBatch) {
			continue
		}
		out = append(out, j.Job)
		for _, t := range j.Tasks {
			if !isBatch(t) {
				continue
			}
			out = append(out, j.Job+"/"+t.Name)
			for _, s := range slots.Slots {
				if !s.Surplus && strings.HasPrefix(s.Slot, j.Job+"/"+t.Name+".") {
					out = append(out, s.Slot)
				}
			}
		}
	}
	return out
}

func isBatch(t api.Task) bool { return t.Type == job.Batch.String() }

// A waited is what a wait has come to.
type waited struct {
	Job      string       `json:"job"`
	Life     uint64       `json:"life"`
	Revision uint64       `json:"revision"`
	Ended    bool         `json:"ended"` // all of them have
	Exit     int          `json:"exit"`  // with which the command ends if they have
	Slots    []waitedSlot `json:"slots"`
}

type waitedSlot struct {
	Slot   string `json:"slot"`
	Ended  bool   `json:"ended"`
	Phase  string `json:"phase"`
	Peer   string `json:"peer,omitempty"`
	Exit   int    `json:"exit"` // of its last run
	Detail string `json:"detail,omitempty"`
}

// code is what an ended slot adds to the exit code of the wait.
func (s waitedSlot) code() int {
	switch {
	case s.Phase == "completed" && s.Exit == 0:
		return 0
	case s.Exit == 0: // it never ran, or its engine lost it
		return exitError
	case s.Exit < 0 || s.Exit > maxExit:
		return maxExit // else the system would cut it, perhaps to 0
	}
	return s.Exit
}

// wait follows the batch slots of what is named until they have ended.
func (c *cli) wait(ctx context.Context, of string, timeout time.Duration) error {
	limited, cancel := limitedTo(ctx, timeout)
	defer cancel()
	if err := c.tellUnready(limited); err != nil {
		return c.waitOver(ctx, limited, err, of, timeout, "")
	}
	w := &endWatch{cli: c, cl: c.client(), told: map[string]string{}, out: waited{Slots: []waitedSlot{}}}
	err := w.find(limited, of)
	if err == nil {
		err = w.await(limited)
	}
	if err != nil {
		err = c.waitOver(ctx, limited, err, of, timeout, w.open())
	}
	if w.out.Job == "" {
		return err // nothing of that name
	}
	if said := c.answer(w.out, w.print); said != nil {
		return said
	}
	if err != nil {
		return err
	}
	return w.verdict()
}

// waitOver words the end of a wait that did not see the end of what it waits for.
func (c *cli) waitOver(ctx, limited context.Context, err error, of string, timeout time.Duration, open string) error {
	switch {
	case ctx.Err() != nil:
		return &coded{exitInterrupted, fmt.Errorf("stopped waiting; %s goes on, `shoal wait %s` waits again", of, of)}
	case limited.Err() != nil:
		return &coded{exitTimeout, fmt.Errorf("%s has not ended after %s and goes on:%s", of, timeout, cmp.Or(open, " the daemon does not answer"))}
	}
	return err
}

// An endWatch follows slots until they have ended.
type endWatch struct {
	cli    *cli
	cl     *client.Client
	target string // as the daemon takes it
	id     job.ID
	task   string // the one named; empty: all that are batches
	slot   string // the one named; empty: all
	told   map[string]string
	out    waited
}

// find settles which job is meant, as the daemon does: a namespace and a job look alike,
// and what is deployed decides.
func (w *endWatch) find(ctx context.Context, of string) error {
	jobs, err := w.cl.Jobs(ctx, false)
	if err != nil {
		return err
	}
	of = strings.TrimPrefix(of, job.DefaultNamespace+"/")
	has := func(id job.ID) bool {
		return slices.ContainsFunc(jobs, func(j api.Job) bool { return j.Job == id.String() })
	}
	w.target = of
	if slot, err := job.ParseSlotID(of); err == nil && has(slot.Job) {
		w.id, w.task, w.slot = slot.Job, slot.Task, slot.String()
	} else if id, err := job.ParseID(of); err == nil && has(id) {
		w.id = id
	} else if cut := strings.LastIndex(of, "/"); cut > 0 {
		if id, err := job.ParseID(of[:cut]); err == nil && has(id) {
			w.id, w.task = id, of[cut+1:]
		}
	}
	if w.id == "" {
		// The daemon says what is wrong, and which names are near.
		if _, err := w.cl.Slots(ctx, of); err != nil {
			return err
		}
		return fmt.Errorf("%s was deployed only just now; ask again", of)
	}
	w.out.Job = w.id.String()
	return nil
}

func (w *endWatch) await(ctx context.Context) error {
	for {
		done, err := w.look(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *endWatch) look(ctx context.Context) (done bool, err error) {
	head, err := w.cl.Inspect(ctx, w.id)
	if isMissing(err) {
		return false, w.gone(ctx)
	}
	if err != nil {
		return false, err
	}
	if err := w.follow(head.Job); err != nil {
		return false, err
	}
	slots, err := w.cl.Slots(ctx, w.target)
	if isMissing(err) {
		return false, nil // it changes just now: the next look tells what has become of it
	}
	if err != nil {
		return false, err
	}
	done, err = w.take(head.Job, slots.Slots)
	if !done || err != nil {
		return done, err
	}
	// The slots may be newer than the head, which says whether their spec is given up.
	again, err := w.cl.Inspect(ctx, w.id)
	if isMissing(err) {
		return false, nil // the next look tells what has become of it
	}
	return err == nil && again.Revision == head.Revision && again.State == head.State, err
}

// gone says that the job was removed; nil: only its spec has not come here yet.
func (w *endWatch) gone(ctx context.Context) error {
	jobs, err := w.cl.Jobs(ctx, false)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(jobs, func(j api.Job) bool { return j.Job == w.id.String() }) {
		return nil
	}
	return fmt.Errorf("%s was removed before it had ended", w.id)
}

// follow takes note of the head that is waited for. A later revision is waited for in
// turn; a later life is another job.
func (w *endWatch) follow(head api.Job) error {
	switch {
	case w.out.Life != 0 && head.Life != w.out.Life:
		return fmt.Errorf("%s was removed and deployed anew; `shoal wait %s` waits for the new one", w.id, w.target)
	case w.out.Revision != 0 && head.Revision != w.out.Revision:
		w.cli.progress("%s revision %d has taken the place of revision %d", w.id, head.Revision, w.out.Revision)
	}
	w.out.Life, w.out.Revision = head.Life, head.Revision
	if w.task != "" {
		return w.mayEnd(head)
	}
	if len(head.Tasks) > 0 && !slices.ContainsFunc(head.Tasks, isBatch) {
		return fmt.Errorf("%s has no batch task, so it does not end by itself: wait for a job with x-shoal.type batch, or use `shoal ps %s`", w.id, w.id)
	}
	return nil
}

// mayEnd refuses a task that is none of the job's, or no batch.
func (w *endWatch) mayEnd(head api.Job) error {
	var have []string
	for _, t := range head.Tasks {
		if t.Name == w.task && isBatch(t) {
			return nil
		}
		if t.Name == w.task {
			return fmt.Errorf("%s/%s is a %s, which does not end by itself: wait for a task with x-shoal.type batch, or use `shoal ps %s/%s`",
				w.id, w.task, t.Type, w.id, w.task)
		}
		have = append(have, t.Name)
	}
	if len(have) == 0 {
		return nil // its spec has not come here yet
	}
	return fmt.Errorf("job %s has no task %q: it has %s", w.id, w.task, strings.Join(have, ", "))
}

// take reads off a listing which slots have ended, and says what has changed.
func (w *endWatch) take(head api.Job, slots []api.Slot) (done bool, err error) {
	w.out.Slots = w.out.Slots[:0]
	done = true
	for _, s := range slots {
		if s.Surplus || !w.isAwaited(head, s.Slot) {
			continue
		}
		if (!s.Current || s.Phase == "failed") && head.State == "paused: bad spec" {
			return false, fmt.Errorf("%s revision %d does not work, so %s does not run it: %s", w.id, head.Revision, s.Slot, oneLine(s.Detail))
		}
		has := waitedSlot{Slot: s.Slot, Phase: s.Phase, Peer: s.Peer, Exit: s.Exit, Detail: oneLine(s.Detail)}
		// A completed run of the spec before is repeated with the new one.
		has.Ended = s.Current && (s.Phase == "completed" || s.Phase == "failed" || s.InVain)
		w.out.Slots = append(w.out.Slots, has)
		done = done && has.Ended
		if text := endText(s, has.Ended); w.told[s.Slot] != text {
			w.told[s.Slot] = text
			w.cli.progress("  %-24s %s", s.Slot, text)
		}
	}
	if len(head.Tasks) > 0 && len(w.out.Slots) == 0 {
		if w.slot != "" {
			return false, fmt.Errorf("slot %s is not wanted, so it does not run: `shoal ps %s` shows those that are", w.slot, w.id)
		}
		return false, fmt.Errorf("%s is stopped, so it does not end: `shoal scale %s/TASK=N` starts it again", w.target, w.id)
	}
	w.out.Ended = done && len(w.out.Slots) > 0
	if w.out.Ended {
		w.out.Exit = w.worst().code()
	}
	return w.out.Ended, nil
}

// isAwaited reports whether a slot is of a batch task and of what was named.
func (w *endWatch) isAwaited(head api.Job, slot string) bool {
	id, err := job.ParseSlotID(slot)
	return err == nil && (w.slot == "" || slot == w.slot) && slices.ContainsFunc(head.Tasks, func(t api.Task) bool {
		return t.Name == id.Task && isBatch(t) && (w.task == "" || t.Name == w.task)
	})
}

// endText is what is said of a slot while it is waited for.
func endText(s api.Slot, ended bool) string {
	text := slotText(s)
	if ended && s.Exit != 0 {
		text = strings.Replace(text, s.Phase, fmt.Sprintf("%s (exit %d)", s.Phase, s.Exit), 1)
	}
	return text
}

// worst is the slot with the greatest code, of several the first.
func (w *endWatch) worst() waitedSlot {
	return slices.MaxFunc(w.out.Slots, func(a, b waitedSlot) int { return cmp.Compare(a.code(), b.code()) })
}

// verdict is nil when all have ended well, else an error with the code of the worst.
func (w *endWatch) verdict() error {
	bad := w.worst()
	if bad.code() == 0 {
		return nil
	}
	text := fmt.Sprintf("%s exited with %d on %s", bad.Slot, bad.Exit, bad.Peer)
	switch {
	case bad.Phase == "waiting":
		text = fmt.Sprintf("%s never runs: it %s", bad.Slot, bad.Detail)
	case bad.Exit == 0:
		text = fmt.Sprintf("%s failed on %s before its program ended: %s", bad.Slot, bad.Peer, bad.Detail)
	}
	failed := 0
	for _, s := range w.out.Slots {
		if s.code() != 0 {
			failed++
		}
	}
	if failed > 1 {
		text += fmt.Sprintf("; %d of %s failed", failed, count(len(w.out.Slots), "slot"))
	}
	return &coded{bad.code(), errors.New(text)}
}

// open lists those that have not ended.
func (w *endWatch) open() string {
	var b strings.Builder
	for _, s := range w.out.Slots {
		if !s.Ended {
			fmt.Fprintf(&b, "\n  %s: %s", s.Slot, w.told[s.Slot])
		}
	}
	return b.String()
}

func (w *endWatch) print() {
	if !w.out.Ended {
		return // the error lists what is open
	}
	var rows [][]string
	for _, s := range w.out.Slots {
		if w.cli.quiet {
			fmt.Fprintln(w.cli.out, s.Slot)
			continue
		}
		rows = append(rows, []string{s.Slot, s.Phase, fmt.Sprint(s.Exit), s.Peer})
	}
	if !w.cli.quiet {
		w.cli.table("", []string{"SLOT", "PHASE", "EXIT", "PEER"}, rows)
	}
}
