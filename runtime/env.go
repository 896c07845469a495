package runtime

import (
	"maps"
	"slices"
	"strconv"
)

// Env returns the environment of a container as sorted "KEY=value": the task's,
// and what every container is told of its place. The latter wins: a program may
// rely on it, the token for fencing above all.
func Env(ref Ref, task map[string]string) []string {
	env := maps.Clone(task)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, map[string]string{
		"SHOAL_SWARM": ref.Swarm,
		"SHOAL_PEER":  ref.Peer.String(),
		"SHOAL_JOB":   ref.Slot.Job.String(),
		"SHOAL_TASK":  ref.Slot.Task,
		"SHOAL_SLOT":  ref.Slot.String(),
		"SHOAL_INDEX": strconv.Itoa(ref.Slot.Index),
		"SHOAL_LIFE":  strconv.FormatUint(ref.Life, 10),
		"SHOAL_TOKEN": strconv.FormatUint(uint64(ref.Token), 10),
	})
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}
