package runtime

import (
	"fmt"
	"strconv"
	"strings"

	"shoal/job"
	"shoal/wire"
)

// LabelPrefix begins every label of ours; a user's label of that prefix is left
// out, so that nobody can make a container that looks like another's.
const LabelPrefix = "dev.shoal."

// The labels of containers, volumes and networks.
const (
	LabelSwarm  = LabelPrefix + "swarm"
	LabelPeer   = LabelPrefix + "peer"
	LabelJob    = LabelPrefix + "job"
	LabelTask   = LabelPrefix + "task"
	LabelIndex  = LabelPrefix + "index"
	LabelAt     = LabelPrefix + "at" // only of system and cron slots
	LabelLife   = LabelPrefix + "life"
	LabelToken  = LabelPrefix + "token"
	LabelSpec   = LabelPrefix + "spec"
	LabelRun    = LabelPrefix + "run"    // the start of the claim this container was made for
	LabelVolume = LabelPrefix + "volume" // only of volumes
)

// Labels returns what a container carries; ParseLabels reads it back.
func Labels(ref Ref) map[string]string {
	l := map[string]string{
		LabelSwarm: ref.Swarm,
		LabelPeer:  ref.Peer.String(),
		LabelJob:   string(ref.Slot.Job),
		LabelTask:  ref.Slot.Task,
		LabelIndex: strconv.Itoa(ref.Slot.Index),
		LabelLife:  strconv.FormatUint(ref.Life, 10),
		LabelToken: strconv.FormatUint(uint64(ref.Token), 10),
		LabelSpec:  ref.Spec.Hex(),
	}
	if ref.Slot.At != "" {
		l[LabelAt] = ref.Slot.At
	}
	return l
}

// ParseLabels reads what Labels wrote. Its error names the first label that is
// missing or not what Labels writes; the Ref then holds only swarm and peer, as
// far as they could be read.
func ParseLabels(l map[string]string) (Ref, error) {
	ref := Ref{Swarm: l[LabelSwarm]}
	if err := ref.Peer.UnmarshalText([]byte(l[LabelPeer])); err != nil {
		return ref, fmt.Errorf("label %s: %w", LabelPeer, err)
	}
	full := ref
	ns, name, ok := strings.Cut(l[LabelJob], "/")
	if !ok || job.CheckName(ns) != nil || job.CheckName(name) != nil {
		return ref, fmt.Errorf("label %s: %q is no job, such as default/shop", LabelJob, l[LabelJob])
	}
	if err := job.CheckName(l[LabelTask]); err != nil {
		return ref, fmt.Errorf("label %s: %w", LabelTask, err)
	}
	index, err := strconv.ParseUint(l[LabelIndex], 10, 31)
	if err != nil {
		return ref, fmt.Errorf("label %s: %w", LabelIndex, err)
	}
	full.Slot = job.SlotID{Job: job.MakeID(ns, name), Task: l[LabelTask], Index: int(index), At: l[LabelAt]}
	if full.Life, err = strconv.ParseUint(l[LabelLife], 10, 64); err != nil {
		return ref, fmt.Errorf("label %s: %w", LabelLife, err)
	}
	token, err := strconv.ParseUint(l[LabelToken], 10, 64)
	if err != nil {
		return ref, fmt.Errorf("label %s: %w", LabelToken, err)
	}
	full.Token = wire.Token(token)
	if err := full.Spec.UnmarshalText([]byte(l[LabelSpec])); err != nil {
		return ref, fmt.Errorf("label %s: %w", LabelSpec, err)
	}
	return full, nil
}
