// Package job has the domain's words: what a user submits (Spec, Task), how its
// parts are named (ID, SlotID), what they need (Resources), and the rules by
// which a Spec is valid. It decides nothing about where or when anything runs.
package job

import (
	"cmp"
	"fmt"
	"time"
)

// A Spec is a whole job as submitted: immutable, named by the hash of its
// deterministic encoding (wire.Hash). Tasks are sorted by name.
type Spec struct {
	Namespace   string            `cbor:"1,keyasint" json:"namespace"`
	Name        string            `cbor:"2,keyasint" json:"name"`
	Datacenters []string          `cbor:"3,keyasint,omitempty" json:"datacenters,omitempty"` // empty: any
	Tasks       []Task            `cbor:"4,keyasint" json:"tasks"`
	Labels      map[string]string `cbor:"5,keyasint,omitempty" json:"labels,omitempty"`
}

// ID returns the job's full name.
func (s *Spec) ID() ID { return MakeID(s.Namespace, s.Name) }

// Task returns the task of that name, or nil.
func (s *Spec) Task(name string) *Task {
	for i := range s.Tasks {
		if s.Tasks[i].Name == name {
			return &s.Tasks[i]
		}
	}
	return nil
}

// A Type says how a task lives. The zero value is Service.
type Type uint8

// The types of task.
const (
	Service Type = iota // runs until removed
	Batch               // runs to completion; its exit code is kept
	System              // one copy on every eligible peer, without a sale
	Cron                // a batch run at each tick of a schedule
)

func (t Type) String() string {
	if t > Cron {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return [...]string{"service", "batch", "system", "cron"}[t]
}

// A Task is one container template of a job.
type Task struct {
	Name  string `cbor:"1,keyasint" json:"name"`
	Type  Type   `cbor:"2,keyasint,omitempty" json:"type,omitempty"`
	Count int    `cbor:"3,keyasint,omitempty" json:"count"` // copies wanted, 0 to MaxCount; of a system task on each peer, 0 or 1

	Image      string            `cbor:"4,keyasint" json:"image"`
	Platform   string            `cbor:"5,keyasint,omitempty" json:"platform,omitempty"` // "linux/arm64"; empty: whatever the image has
	Entrypoint []string          `cbor:"6,keyasint,omitempty" json:"entrypoint,omitempty"`
	Command    []string          `cbor:"7,keyasint,omitempty" json:"command,omitempty"`
	Env        map[string]string `cbor:"8,keyasint,omitempty" json:"env,omitempty"`
	User       string            `cbor:"9,keyasint,omitempty" json:"user,omitempty"`
	WorkingDir string            `cbor:"10,keyasint,omitempty" json:"workingDir,omitempty"`
	Hostname   string            `cbor:"11,keyasint,omitempty" json:"hostname,omitempty"`
	Labels     map[string]string `cbor:"12,keyasint,omitempty" json:"labels,omitempty"`

	Needs   Resources `cbor:"13,keyasint" json:"needs"`           // what a sale sets aside; after Defaults never zero
	Limits  Resources `cbor:"14,keyasint,omitzero" json:"limits"` // what the engine enforces; 0: none
	Pids    int64     `cbor:"15,keyasint,omitempty" json:"pids"`  // greatest number of processes; after Defaults never zero
	Pull    string    `cbor:"16,keyasint,omitempty" json:"pull"`  // "missing" (default), "always", "never"
	Restart Restart   `cbor:"17,keyasint,omitzero" json:"restart"`

	Ports  []Port   `cbor:"18,keyasint,omitempty" json:"ports,omitempty"`
	Expose []uint16 `cbor:"19,keyasint,omitempty" json:"expose,omitempty"` // TCP ports reachable inside the job, beside the targets of Ports
	Mounts []Mount  `cbor:"20,keyasint,omitempty" json:"mounts,omitempty"`
	Health *Health  `cbor:"21,keyasint,omitempty" json:"health,omitempty"`

	DependsOn   []Dependency `cbor:"22,keyasint,omitempty" json:"dependsOn,omitempty"`
	Update      Update       `cbor:"23,keyasint,omitzero" json:"update"`
	Failover    Failover     `cbor:"24,keyasint,omitzero" json:"failover"`
	Constraints []string     `cbor:"25,keyasint,omitempty" json:"constraints,omitempty"` // "label == value", "cores >= 4", "label", see ParseConstraint
	Policy      string       `cbor:"26,keyasint,omitempty" json:"policy,omitempty"`      // "spread" (default) or "pack"

	StopSignal string        `cbor:"27,keyasint,omitempty" json:"stopSignal,omitempty"`
	StopGrace  time.Duration `cbor:"28,keyasint,omitempty" json:"stopGrace,omitempty"` // 0: DefaultStopGrace
	ReadOnly   bool          `cbor:"29,keyasint,omitempty" json:"readOnly,omitempty"`
	CapDrop    []string      `cbor:"30,keyasint,omitempty" json:"capDrop,omitempty"`
	ExtraHosts []string      `cbor:"31,keyasint,omitempty" json:"extraHosts,omitempty"` // "name:address"
	Tmpfs      []string      `cbor:"32,keyasint,omitempty" json:"tmpfs,omitempty"`
	ShmBytes   int64         `cbor:"33,keyasint,omitempty" json:"shmBytes,omitempty"`
	Aliases    []string      `cbor:"34,keyasint,omitempty" json:"aliases,omitempty"`    // further names of the service inside the job
	Generation uint64        `cbor:"35,keyasint,omitempty" json:"generation,omitempty"` // raised by `restart`: the same container, made anew
	Priority   int           `cbor:"36,keyasint,omitempty" json:"priority,omitempty"`   // 1 to MaxPriority, first the greatest; 0: DefaultPriority

	Spread []string `cbor:"37,keyasint,omitempty" json:"spread,omitempty"` // labels of peers that copies are spread over before peers, at most MaxSpread

	Near  []Affinity `cbor:"38,keyasint,omitempty" json:"near,omitempty"`  // what its copies are to run near to
	Apart []Affinity `cbor:"39,keyasint,omitempty" json:"apart,omitempty"` // and apart from

	Devices  []string `cbor:"40,keyasint,omitempty" json:"devices,omitempty"`  // of the peer, by owner's grant: see ParseDevice
	Attempts int      `cbor:"41,keyasint,omitempty" json:"attempts,omitempty"` // of a batch, starts of one slot in all; 0: see MaxStarts
}

// Limits on what a job may ask for, so that a bad file cannot bloat a peer.
const (
	MaxCount     = 10_000 // copies of one task
	MaxTasks     = 256    // tasks of one job
	MaxSpecBytes = 256 << 10
)

// FirstOpenField is the number from which on whoever does not know a field of a spec, a
// task or a part of one passes over it. Whoever does not know one below leaves the task
// to others. An open field of a task itself is not part of its task hash.
const FirstOpenField = 128

// Defaults that apply where a file says nothing (shown by `shoal plan`).
const (
	DefaultNeedsCPU  = 100       // milli-CPU
	DefaultNeedsMem  = 128 << 20 // bytes
	DefaultPids      = 4096
	DefaultStopGrace = 10 * time.Second
	DefaultPriority  = 50
)

// MaxPriority is the greatest priority of a task.
const MaxPriority = 100

// Resources are amounts of what a peer has and a task needs. Zero means none.
type Resources struct {
	CPUMilli  int64 `cbor:"1,keyasint,omitempty" json:"cpuMilli"`
	MemBytes  int64 `cbor:"2,keyasint,omitempty" json:"memBytes"`
	DiskBytes int64 `cbor:"3,keyasint,omitempty" json:"diskBytes"`

	// GPUMilli is in thousandths of a device. A need below WholeGPU is a share of one
	// device, any other is of so many whole ones; what a peer has is the sum over its
	// devices, so that a need which fits into it need not fit on the devices (PickGPUs).
	GPUMilli int64 `cbor:"4,keyasint,omitempty" json:"gpuMilli,omitempty"`
}

// Plus returns the sum.
func (r Resources) Plus(o Resources) Resources {
	return Resources{r.CPUMilli + o.CPUMilli, r.MemBytes + o.MemBytes, r.DiskBytes + o.DiskBytes, r.GPUMilli + o.GPUMilli}
}

// Minus returns the difference, which may be negative.
func (r Resources) Minus(o Resources) Resources {
	return Resources{r.CPUMilli - o.CPUMilli, r.MemBytes - o.MemBytes, r.DiskBytes - o.DiskBytes, r.GPUMilli - o.GPUMilli}
}

// Fits reports whether r is at most o in every part.
func (r Resources) Fits(o Resources) bool {
	return r.CPUMilli <= o.CPUMilli && r.MemBytes <= o.MemBytes && r.DiskBytes <= o.DiskBytes && r.GPUMilli <= o.GPUMilli
}

// Restart says what a holder does, on its own, when a container has exited.
type Restart struct {
	Policy string `cbor:"1,keyasint,omitempty" json:"policy"` // "always" (default of a service), "on-failure" (of a batch), "no"

	// MaxAttempts is how often it restarts on this peer before the claim fails and
	// the slot is sold again; 0: DefaultRestarts. A batch may fail there earlier: see
	// Task.StartsHere.
	MaxAttempts int           `cbor:"2,keyasint,omitempty" json:"maxAttempts"`
	Delay       time.Duration `cbor:"3,keyasint,omitempty" json:"delay"` // before the first restart, doubled each time; 0: 1s
}

// DefaultRestarts is how often a holder restarts a container that exits before
// it gives the slot up for sale elsewhere.
const DefaultRestarts = 5

// A Port is one that a task listens on, and where to publish it.
type Port struct {
	Target    uint16 `cbor:"1,keyasint" json:"target"`              // inside the container
	Published uint16 `cbor:"2,keyasint,omitempty" json:"published"` // on every peer; 0: inside the job only
	Protocol  string `cbor:"3,keyasint,omitempty" json:"protocol"`  // "tcp" (default); "udp" is refused so far
}

// A Mount is a place in a container's file system.
type Mount struct {
	Type     string `cbor:"1,keyasint" json:"type"` // "volume" (named, stays on its peer), "bind", "tmpfs"
	Source   string `cbor:"2,keyasint,omitempty" json:"source,omitempty"`
	Target   string `cbor:"3,keyasint" json:"target"`
	ReadOnly bool   `cbor:"4,keyasint,omitempty" json:"readOnly,omitempty"`
}

// Health is a check inside the container, as Compose's healthcheck.
type Health struct {
	Test        []string      `cbor:"1,keyasint" json:"test"`                  // ["CMD", …], ["CMD-SHELL", "…"]
	Interval    time.Duration `cbor:"2,keyasint,omitempty" json:"interval"`    // 0: 30s
	Timeout     time.Duration `cbor:"3,keyasint,omitempty" json:"timeout"`     // 0: 30s
	StartPeriod time.Duration `cbor:"4,keyasint,omitempty" json:"startPeriod"` // failures before it do not count
	Retries     int           `cbor:"5,keyasint,omitempty" json:"retries"`     // 0: 3
}

// A Dependency is another task of the job, and what it must have reached.
type Dependency struct {
	Task      string `cbor:"1,keyasint" json:"task"`
	Condition string `cbor:"2,keyasint,omitempty" json:"condition"` // "started" (default), "healthy", "completed"
}

// Update says how the slots of a task move to a new spec.
type Update struct {
	Parallelism   int           `cbor:"1,keyasint,omitempty" json:"parallelism"`   // slots moving at once; 0: 1
	Order         string        `cbor:"2,keyasint,omitempty" json:"order"`         // "stop-first" (default), "start-first"
	FailureAction string        `cbor:"3,keyasint,omitempty" json:"failureAction"` // "pause" (default), "rollback"
	Monitor       time.Duration `cbor:"4,keyasint,omitempty" json:"monitor"`       // a container without health check serves after it; 0: 5s
}

// Failover says when a slot is sold again after its peer is gone, and which of
// two holders stays when it returns.
type Failover struct {
	After    time.Duration `cbor:"1,keyasint,omitempty" json:"after"`    // 0: the type's default; negative: at once (x-shoal "0s")
	Never    bool          `cbor:"2,keyasint,omitempty" json:"never"`    // only `peers rm` releases the slot
	InIsland string        `cbor:"3,keyasint,omitempty" json:"inIsland"` // "heal" (default), "wait"
	OnReturn string        `cbor:"4,keyasint,omitempty" json:"onReturn"` // "incumbent" (default), "newest"
	Volume   string        `cbor:"5,keyasint,omitempty" json:"volume"`   // "" (wait for the volume's peer), "empty" (allow a fresh one)
}

// Delay returns how long after a death the task's slots are sold again.
func (t *Task) Delay() time.Duration {
	switch {
	case t.Failover.After < 0:
		return 0
	case t.Failover.After > 0:
		return t.Failover.After
	case t.Type == Service:
		return 5 * time.Second
	default:
		return 30 * time.Second
	}
}

// Monitor is how long a container without a health check must run to serve.
func (t *Task) Monitor() time.Duration {
	if t.Update.Monitor > 0 {
		return t.Update.Monitor
	}
	return 5 * time.Second
}

// Weight is the task's priority, the default filled in.
func (t *Task) Weight() int { return cmp.Or(t.Priority, DefaultPriority) }

// MaxStarts is how often one slot of a batch is started in all, over all peers, before
// it has failed for good: Attempts, or once and each restart that its policy allows.
// 0 stands for no bound, as of all other types.
func (t *Task) MaxStarts() int {
	switch {
	case t.Type != Batch:
		return 0
	case t.Restart.Policy == "no":
		return 1
	case t.Attempts > 0:
		return t.Attempts
	}
	return 1 + cmp.Or(t.Restart.MaxAttempts, DefaultRestarts)
}

// StartsHere is how many of the starts that are left of a batch's slot after some in
// vain one peer may use: half, rounded up, so that the fault of one machine does not
// use up all of them. 0: no bound.
func (t *Task) StartsHere(before int) int {
	most := t.MaxStarts()
	if most == 0 {
		return 0
	}
	return max(1, (most-before+1)/2)
}

// Volumes returns the names of the named volumes the task mounts.
func (t *Task) Volumes() []string {
	var names []string
	for _, m := range t.Mounts {
		if m.Type == "volume" && m.Source != "" {
			names = append(names, m.Source)
		}
	}
	return names
}
