package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"shoal/internal/plain"
	"shoal/node"
	"shoal/sim"
	"shoal/wire"
)

type replayOptions struct {
	at     sim.LookAt
	atStep bool // --step was given
	diff   bool
	loads  simLoads
	run    sim.Options
}

func (c *cli) simReplayCommand() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay FILE, or replay --diff [SCENARIO] A B",
		Short: "Run a scenario or a recording again, and look into it",
		Long: `Run a scenario again and stop at a step, or show what a peer knows; or step a core
through what shoal up --record FILE logged, and compare.

  shoal sim replay SCENARIO --step 4711        what came in and went out at that step
  shoal sim replay SCENARIO --dump n3          what n3 knows at the end, or at --step
  shoal sim replay --diff SCENARIO 1 2         the first step at which two seeds differ
  shoal sim replay --diff A.txt B.txt          the same of two scenarios, or of two traces
                                               that shoal sim run --trace wrote
  shoal sim replay RECORDING [--step N]        a daemon's recording; its steps count from 0

What shoal sim run prints after "again:" can be given here too: the same file and flags.

Exit codes: as shoal sim run for scenarios, but 0 with --step; 1 where a recording or a
trace differs, or breaks off; 125 wrong usage; 130 interrupted.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.diff {
				return wants(2, 3, "[SCENARIO] A B")(cmd, args)
			}
			return wants(1, 1, "one scenario or recording")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.run, err = o.loads.options(cmd); err != nil {
				return err
			}
			o.atStep = cmd.Flags().Changed("step")
			if o.diff {
				return c.diff(cmd, args, o)
			}
			return c.replayFile(cmd, args[0], o)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.at.Step, "step", 0, "stop after this step and show it")
	f.StringVar(&o.at.Peer, "dump", "", "show what this peer knows then: n3, holder(web.0), or nas.1 of a plan")
	f.BoolVar(&o.diff, "diff", false, "find the first difference of two seeds of a scenario, two scenarios or two traces")
	o.loads.flags(cmd)
	return cmd
}

func (c *cli) replayFile(cmd *cobra.Command, file string, o replayOptions) error {
	f, err := plain.Open(file, aScenario+", or a recording", 0)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(untilInterrupted{f, o.run.Stop})
	if !isRecording(r) {
		return c.replayScenario(cmd.Context(), file, o)
	}
	if err := o.loads.none(cmd, file, "a recording of a daemon"); err != nil {
		return err
	}
	if o.atStep || o.at.Peer != "" {
		err = c.lookIntoRecording(r, o)
	} else {
		err = c.replay(r)
	}
	if errors.Is(err, errInterrupted) {
		return &coded{exitInterrupted, fmt.Errorf("%s: %w", file, err)}
	}
	if err != nil && !errors.Is(err, errSaid) {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return err
}

// isRecording tells a recording, which begins with the length of its first frame,
// from a text. What is empty counts as a recording without a step.
func isRecording(r *bufio.Reader) bool {
	head, _ := r.Peek(4)
	return len(head) == 0 || head[0] < ' ' && head[0] != '\t' && head[0] != '\n' && head[0] != '\r'
}

func (c *cli) replay(r io.Reader) error {
	steps, first, err := node.Replay(node.Frames(r))
	if errors.Is(err, node.ErrCut) {
		return fmt.Errorf("the recording %w after %d steps, which are all as recorded", err, steps)
	}
	if err != nil {
		return err
	}
	out := map[string]any{"steps": steps, "equal": first == nil}
	if first != nil {
		out["step"], out["want"], out["got"] = first.Step, first.Want, first.Got
	}
	err = c.answer(out, func() {
		if first == nil {
			fmt.Fprintf(c.out, "%d steps, all as recorded\n", steps)
			return
		}
		fmt.Fprintf(c.out, "step %d differs: recorded %s, now %s; %d steps before it are equal\n", first.Step, first.Want, first.Got, steps)
	})
	if err == nil && first != nil {
		err = &coded{exitError, errSaid}
	}
	return err
}

// lookIntoRecording shows a step of a recording, or what its peer knows then.
func (c *cli) lookIntoRecording(r io.Reader, o replayOptions) error {
	step := int(min(o.at.Step, 1<<31))
	if !o.atStep {
		step = -1
	}
	core, in, rd, err := node.ReplayTo(node.Frames(r), step)
	if err != nil {
		return err
	}
	name := func(p wire.PeerID) string {
		if card := core.Ledger().Card(p); card != nil {
			return card.Name
		}
		return p.Short()
	}
	seen := &sim.Seen{}
	if o.atStep {
		seen.Step = sim.ViewStep(&in, &rd, nil, name)
		seen.Step.Step, seen.Step.Peer = o.at.Step, core.Status().Self.Name
		seen.Step.Hash = rd.Sum().String()
	}
	if o.at.Peer != "" {
		seen.Peer = sim.DumpCore(core, name)
		if p := o.at.Peer; p != seen.Peer.Name && p != "self" {
			return fmt.Errorf("--dump %s: this is a recording of %s", p, seen.Peer.Name)
		}
	}
	return c.answer(seen, func() { c.seen(seen) })
}

func (c *cli) replayScenario(ctx context.Context, file string, o replayOptions) error {
	if o.atStep && o.at.Step == 0 {
		return usagef("--step 0: the steps of a scenario count from 1")
	}
	t, err := c.load(ctx, file, o.run, &o.loads)
	if err != nil {
		return err
	}
	if err := fits(t.s, t.o); err != nil {
		return err
	}
	if o.at.Peer != "" {
		if o.at.Peer, err = t.peer(o.at.Peer); err != nil {
			return usagef("--dump %s: %w", o.at.Peer, err)
		}
	}
	defer c.speakOf(t)()
	t.o.Lines = o.at == sim.LookAt{}
	seen, err := sim.Look(t.s, t.o, o.at)
	if err != nil {
		return fmt.Errorf("%s: %s", file, t.named(err.Error()))
	}
	if err := c.answer(seen, func() { c.seen(seen) }); err != nil {
		return err
	}
	if code := seen.Result.Verdict.ExitCode(); code != 0 {
		return &coded{code, errSaid}
	}
	return nil
}

func (c *cli) seen(s *sim.Seen) {
	if s.Result != nil {
		for _, l := range s.Result.Lines {
			fmt.Fprintln(c.out, l)
		}
	}
	if s.Step != nil {
		for _, l := range s.Before {
			fmt.Fprintln(c.out, "  "+oneLine(l))
		}
		c.step(s.Step)
	}
	if s.Peer != nil {
		c.dumped(s.Peer)
	}
	if s.Step == nil && s.Result != nil {
		fmt.Fprintln(c.out, s.Result.String())
	}
}

func (c *cli) step(v *sim.StepView) {
	fmt.Fprintf(c.out, "step %d at %.6fs: %s, its instant %v, trace %s\n", v.Step, v.At.Seconds(), v.Peer, v.Now, v.Hash)
	fmt.Fprintf(c.out, "  input    %s\n", oneLine(v.Input))
	if v.Refused != "" {
		fmt.Fprintf(c.out, "  refused  %s\n", oneLine(v.Refused))
	}
	for _, part := range []struct {
		name  string
		lines []string
	}{{"record", v.Records}, {"message", v.Messages}, {"action", v.Actions}, {"reply", v.Replies}, {"event", v.Events}, {"also", v.Others}} {
		for _, l := range part.lines {
			fmt.Fprintf(c.out, "  %-8s %s\n", part.name, oneLine(l))
		}
	}
	if v.WakeAt > 0 {
		fmt.Fprintf(c.out, "  wake     in %v\n", (v.WakeAt - v.Now).Round(time.Microsecond))
	}
}

func (c *cli) dumped(d *sim.PeerDump) {
	if d.Status == nil {
		fmt.Fprintf(c.out, "%s: its daemon does not run\n", d.Name)
	} else {
		s := d.Status
		fmt.Fprintf(c.out, "%s: %s, up for %v, start %d; %d records, ledger %s\n", d.Name, s.State, s.Uptime.Round(time.Millisecond),
			s.Self.Incarnation, s.Records, s.Ledger)
		if s.Why != "" {
			fmt.Fprintf(c.out, "  %s\n", oneLine(s.Why))
		}
	}
	var members, jobs, slots [][]string
	for _, p := range d.Members {
		heard := p.Heard.Round(time.Millisecond).String()
		members = append(members, []string{p.Name, p.State, strconv.Itoa(int(p.Incarnation)), heard, strconv.Itoa(p.Slots)})
	}
	for _, j := range d.Jobs {
		jobs = append(jobs, []string{string(j.ID), j.State, strconv.FormatUint(j.Life, 10), strconv.FormatUint(j.Revision, 10)})
	}
	for _, s := range d.Slots {
		slots = append(slots, []string{s.Slot, s.Phase, s.PeerName, strconv.FormatUint(uint64(s.Token), 10), s.Detail})
	}
	c.part("members", []string{"PEER", "STATE", "START", "HEARD", "SLOTS"}, members)
	c.part("jobs", []string{"JOB", "STATE", "LIFE", "REVISION"}, jobs)
	c.part("slots", []string{"SLOT", "PHASE", "PEER", "TOKEN", "DETAIL"}, slots)
	c.part("claims", []string{"CLAIM"}, rows(d.Claims))
	c.part("verdicts", []string{"VERDICT"}, rows(d.Verdicts))
	c.part("containers", []string{"CONTAINER"}, rows(d.Containers))
}

func rows(lines []string) (out [][]string) {
	for _, l := range lines {
		out = append(out, []string{l})
	}
	return out
}

func (c *cli) part(name string, head []string, rows [][]string) {
	fmt.Fprintf(c.out, "%s: %d\n", name, len(rows))
	if c.named != nil { // before the columns are as wide as what stands in them
		for _, row := range rows {
			for i := range row {
				row[i] = c.named(row[i])
			}
		}
	}
	if len(rows) > 0 {
		c.table("  ", head, rows)
	}
}
