package facts

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
)

// limits are what control groups (cgroups(7), either version) leave of the machine;
// math.MaxInt64 where they do not say.
type limits struct{ memBytes, cpuMilli int64 }

// groupLimits are those of the groups around what this peer runs: of the whole
// hierarchy that is seen from here, as in a container, and with own those of this
// process, whose children the process driver's are.
func (t tree) groupLimits(own bool) limits {
	l := limits{math.MaxInt64, math.MaxInt64}
	l.meet(t, "sys/fs/cgroup", "sys/fs/cgroup/memory", "sys/fs/cgroup/cpu")
	if !own {
		return l
	}
	for line := range strings.Lines(t.text("proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for p := filepath.Clean("/" + parts[2]); p != "/"; p = filepath.Dir(p) {
			l.meet(t, filepath.Join("sys/fs/cgroup", p), filepath.Join("sys/fs/cgroup/memory", p), filepath.Join("sys/fs/cgroup/cpu", p))
		}
	}
	return l
}

// meet takes in the limits of one group: of version 2 in unified, of version 1 in the
// two others.
func (l *limits) meet(t tree, unified, memory, cpu string) {
	for _, n := range []func() (int64, bool){
		func() (int64, bool) { return t.number(unified, "memory.max") },
		func() (int64, bool) { return t.number(memory, "memory.limit_in_bytes") },
	} {
		if most, ok := n(); ok && most > 0 {
			l.memBytes = min(l.memBytes, most)
		}
	}
	quota, period, _ := strings.Cut(t.text(unified, "cpu.max"), " ")
	if quota == "" {
		quota, period = t.text(cpu, "cpu.cfs_quota_us"), t.text(cpu, "cpu.cfs_period_us")
	}
	q, err := strconv.ParseInt(quota, 10, 64) // "max" and -1 are none
	p, perr := strconv.ParseInt(period, 10, 64)
	if err == nil && perr == nil && q > 0 && p > 0 && q < math.MaxInt64/1000 {
		l.cpuMilli = min(l.cpuMilli, q*1000/p)
	}
}
