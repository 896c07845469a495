package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"shoal/api"
	"shoal/api/client"
	"shoal/job"
	"shoal/job/compose"
)

// fileFlags are those of commands that read Compose files.
type fileFlags struct {
	name, namespace, envFile string
	profiles                 []string
	strict                   bool
}

func (f *fileFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "name of the job (default: the file's, else its directory's)")
	flags.StringVar(&f.namespace, "namespace", "", "namespace of the job")
	flags.StringVar(&f.envFile, "env-file", "", "further variables for ${…} (default: .env beside the file)")
	flags.StringSliceVar(&f.profiles, "compose-profile", nil, "active Compose profiles")
	flags.BoolVar(&f.strict, "strict", false, "refuse the file if any of its keys has no effect")
}

// load reads the files and says on stderr what of them has no effect.
func (f *fileFlags) load(ctx context.Context, c *cli, files []string) (*job.Spec, []compose.Warning, error) {
	var own []uint16
	var none *client.UnreachableError
	switch st, err := c.client().Status(ctx); {
	case err == nil:
		own = api.OwnPorts(st.Listen)
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case errors.As(err, &none) && none.Silent(): // of any other error the change itself will tell
		return nil, nil, err
	}
	spec, warnings, err := compose.Load(ctx, compose.Options{
		Reserved: own, Files: files, Name: f.name, Namespace: f.namespace, EnvFile: f.envFile, Profiles: f.profiles, Strict: f.strict, Env: environment(),
	})
	if !c.json() || err != nil {
		for _, w := range warnings {
			fmt.Fprintln(c.err, w)
		}
	}
	return spec, warnings, err
}

func environment() map[string]string {
	env := map[string]string{}
	for _, pair := range os.Environ() {
		k, v, _ := strings.Cut(pair, "=")
		env[k] = v
	}
	return env
}

// waitFlags are those of commands that wait until slots serve.
type waitFlags struct {
	detach  bool
	timeout time.Duration
	until   time.Time // when it is over; zero: never
}

func (f *waitFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.detach, "detach", "d", false, "return once the change is accepted; do not wait until it is done")
	durationFlag(cmd.Flags(), &f.timeout, "timeout", 5*time.Minute, timeouts, "how long to wait; the change stays accepted (0: for ever)")
}

// begin counts the time from now on, of all that the command does, unless it counts
// already.
func (f *waitFlags) begin() {
	if f.timeout > 0 && f.until.IsZero() {
		f.until = time.Now().Add(f.timeout)
	}
}

// left is how much of the time is left; 0: there is no limit.
func (f *waitFlags) left() time.Duration {
	if f.until.IsZero() {
		return 0
	}
	return max(time.Until(f.until), time.Nanosecond)
}

// accepted prints the answer to a change and waits until it is done.
func (c *cli) accepted(ctx context.Context, change api.Change, f waitFlags) error {
	report := deployReport{Change: change}
	if !c.json() {
		c.printChange(change)
	}
	var err error
	if !f.detach {
		report.State, report.Slots, err = c.await(ctx, change, f)
		c.warnPorts(report.Slots)
	}
	if c.json() {
		if err := c.answer(report, nil); err != nil {
			return err
		}
	}
	return err
}

// warnPorts says once each why a published port does not answer on this peer.
func (c *cli) warnPorts(slots []api.Slot) {
	said := map[string]bool{}
	for _, s := range slots {
		for _, p := range s.Problems {
			if !said[p] {
				said[p] = true
				c.progress("warning: %s", p)
			}
		}
	}
}

type deployReport struct {
	api.Change
	State string     `json:"state,omitempty"` // at the end of the wait
	Slots []api.Slot `json:"slots,omitempty"`
}

func (c *cli) printChange(change api.Change) {
	for _, w := range change.Warnings {
		fmt.Fprintln(c.err, "warning:", w)
	}
	if c.quiet {
		fmt.Fprintln(c.out, change.Job)
		return
	}
	fmt.Fprintln(c.out, changeText(change))
	if change.Conflict != "" {
		fmt.Fprintln(c.out, "conflict:", change.Conflict)
	}
}

func changeText(change api.Change) string {
	if !change.Changed {
		return fmt.Sprintf("unchanged: %s revision %d is this already", change.Job, change.Revision)
	}
	text := fmt.Sprintf("accepted: %s revision %d, on %s", change.Job, change.Revision, count(len(change.Stores), "store"))
	if n := len(change.Unreached); n > 0 {
		text += fmt.Sprintf(": %s unreachable (%s)", count(n, "peer"), strings.Join(change.Unreached, ", "))
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c *cli) deployCommand() *cobra.Command {
	var file fileFlags
	var wait waitFlags
	var base uint64
	cmd := &cobra.Command{
		Use:   "deploy FILE...",
		Short: "Make a Compose file the wanted state of its job",
		Long:  "Make a Compose file the wanted state of its job. Later files override earlier ones, as Compose does.\nThe same file again is no change.",
		Args:  wants(1, -1, "a Compose file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			wait.begin()
			limited, cancel := limitedTo(cmd.Context(), wait.timeout)
			defer cancel()
			spec, _, err := file.load(limited, c, args)
			switch {
			case err != nil && limited.Err() != nil && cmd.Context().Err() == nil:
				return &coded{exitTimeout, fmt.Errorf("not sent within %s: the daemon does not answer", wait.timeout)}
			case err != nil:
				return err
			}
			return changed(cmd.Context(), c, wait, c.client().Deploy, api.DeployRequest{Spec: spec, Base: base})
		},
	}
	file.register(cmd)
	wait.register(cmd)
	cmd.Flags().Uint64Var(&base, "base", 0, "refuse unless the job is at this revision")
	return cmd
}

func (c *cli) runCommand() *cobra.Command {
	var o compose.RunOptions
	var wait waitFlags
	cmd := &cobra.Command{
		Use:   "run IMAGE [-- COMMAND [ARGUMENT...]]",
		Short: "Deploy a job of one task",
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 0 {
				dash = len(args)
			}
			if dash != 1 {
				return usagef("shoal run: want one image, and the command after --, such as: shoal run alpine -- sleep 60")
			}
			o.Image, o.Command = args[0], args[1:]
			spec, err := compose.SpecFromRun(o)
			if err != nil {
				return err
			}
			return changed(cmd.Context(), c, wait, c.client().Deploy, api.DeployRequest{Spec: spec})
		},
	}
	wait.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.Name, "name", "", "name of the job (default: from the image)")
	flags.StringVar(&o.Namespace, "namespace", "", "namespace of the job")
	flags.IntVar(&o.Replicas, "replicas", 1, "copies")
	flags.StringVar(&o.Type, "type", "service", "service or batch")
	flags.StringArrayVarP(&o.Publish, "publish", "p", nil, "publish a port on every peer: 8080:80")
	flags.StringArrayVarP(&o.Env, "env", "e", nil, "NAME=VALUE")
	flags.StringArrayVarP(&o.Volumes, "volume", "v", nil, "NAME:/path or /host/path:/path[:ro]")
	flags.StringVar(&o.CPU, "cpu", "", "processors it needs, such as 0.5")
	flags.StringVar(&o.Memory, "memory", "", "memory it needs, such as 256m")
	flags.StringVar(&o.Restart, "restart", "", "no, on-failure[:N] or always")
	flags.StringArrayVar(&o.Constraints, "constraint", nil, `what a peer must have: "disk == ssd", "memory >= 4GiB"`)
	flags.StringArrayVar(&o.Devices, "device", nil, "device of a peer whose owner grants it: /dev/ttyUSB0[:/dev/PATH[:rwm]] or usb=1a86:7523")
	flags.StringSliceVar(&o.Datacenters, "datacenter", nil, "datacenters it may run in")
	flags.StringArrayVar(&o.Labels, "label", nil, "NAME=VALUE")
	flags.StringVarP(&o.User, "user", "u", "", "user inside the container")
	flags.StringVarP(&o.WorkingDir, "workdir", "w", "", "working directory inside the container")
	flags.StringVar(&o.Hostname, "hostname", "", "host name of the container")
	flags.StringArrayVar(&o.Entrypoint, "entrypoint", nil, "instead of the image's; once for each word")
	flags.StringVar(&o.Pull, "pull", "", "missing, always or never")
	flags.StringVar(&o.Platform, "platform", "", "such as linux/arm64")
	return cmd
}

// A plan is what a deploy would change, and what the file's tasks need.
type plan struct {
	Job      string            `json:"job"`
	Revision uint64            `json:"revision"` // of the running head; 0: none runs
	Changes  []job.Change      `json:"changes"`
	Tasks    []planTask        `json:"tasks"`
	Warnings []compose.Warning `json:"warnings,omitempty"`
}

type planTask struct {
	Task  string        `json:"task"`
	Count int           `json:"count"`
	Image string        `json:"image"`
	Each  job.Resources `json:"each"`
	Type  string        `json:"type"`
}

func (c *cli) planCommand() *cobra.Command {
	var file fileFlags
	cmd := &cobra.Command{
		Use:   "plan FILE...",
		Short: "Show what deploy would change, and change nothing",
		Args:  wants(1, -1, "a Compose file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, warnings, err := file.load(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			head, err := c.client().Inspect(cmd.Context(), spec.ID())
			if err != nil && !isMissing(err) {
				return err
			}
			out := plan{Job: spec.ID().String(), Revision: head.Revision, Changes: job.Diff(head.Want, spec), Warnings: warnings}
			for _, t := range spec.Tasks {
				out.Tasks = append(out.Tasks, planTask{t.Name, t.Count, t.Image, t.Needs, t.Type.String()})
			}
			return c.answer(out, func() { c.printPlan(out) })
		},
	}
	file.register(cmd)
	return cmd
}

func (c *cli) printPlan(p plan) {
	switch {
	case p.Revision == 0:
		fmt.Fprintf(c.out, "%s is not deployed; this would be its first revision\n", p.Job)
	case len(p.Changes) == 0:
		fmt.Fprintf(c.out, "%s revision %d is this already: nothing would change\n", p.Job, p.Revision)
	default:
		fmt.Fprintf(c.out, "%s revision %d would change:\n", p.Job, p.Revision)
	}
	for _, ch := range p.Changes {
		fmt.Fprintln(c.out, " ", changeLine(ch))
	}
	fmt.Fprintln(c.out)
	var rows [][]string
	for _, t := range p.Tasks {
		copies := fmt.Sprint(t.Count)
		if t.Type == job.System.String() && t.Count > 0 {
			copies = "1 a peer"
		}
		rows = append(rows, []string{t.Task, copies, t.Image, resources(t.Each), resources(times(t.Each, int64(t.Count)))})
	}
	c.table("", []string{"TASK", "COPIES", "IMAGE", "EACH NEEDS", "ALL NEED"}, rows)
}

func changeLine(ch job.Change) string {
	where := ch.Field
	if ch.Task != "" {
		where = strings.TrimSuffix(ch.Task+" "+ch.Field, " ")
	}
	switch ch.Kind {
	case job.ChangeAdd:
		return fmt.Sprintf("+ %s: %s", where, ch.New)
	case job.ChangeRemove:
		return fmt.Sprintf("- %s: %s", where, ch.Old)
	case job.ChangeScale:
		return fmt.Sprintf("~ %s: %s → %s (no copy that stays is replaced)", where, ch.Old, ch.New)
	default:
		return fmt.Sprintf("~ %s: %s → %s (containers are replaced)", where, cmp.Or(ch.Old, "none"), cmp.Or(ch.New, "none"))
	}
}

// times is what n copies need.
func times(r job.Resources, n int64) job.Resources {
	return job.Resources{CPUMilli: r.CPUMilli * n, MemBytes: r.MemBytes * n, DiskBytes: r.DiskBytes * n, GPUMilli: r.GPUMilli * n}
}

// resources prints amounts as a person writes them: "0.5 CPU, 128MiB".
func resources(r job.Resources) string {
	text := fmt.Sprintf("%s CPU, %s", strconv.FormatFloat(float64(r.CPUMilli)/1000, 'f', -1, 64), units.BytesSize(float64(r.MemBytes)))
	if r.DiskBytes > 0 {
		text += ", " + units.BytesSize(float64(r.DiskBytes)) + " disk"
	}
	if r.GPUMilli > 0 {
		text += fmt.Sprintf(", %g GPU", float64(r.GPUMilli)/job.WholeGPU)
	}
	return text
}
