package runtime

import (
	"strconv"
	"strings"

	"shoal/job"
	"shoal/wire"
)

// MaxContainerName is the greatest length of a container, volume or network name
// in bytes; engines take more, file systems and terminals less.
const MaxContainerName = 128

// maxPart bounds each part of a name that carries a hash.
const maxPart = 24

// Name returns the one name the container of a claim can have:
// shoal-SWARM-JOB-TASK-N-LIFE-TOKEN-SPEC-PEER, such as
// "shoal-k7m2-shop-web-0-1-3-9f86d081884c-aB3dE6gH". Where that would be ambiguous ("a-b" and
// "c" against "a" and "b-c"), unsafe for an engine or too long, parts are cut and
// a hash of the whole is put before the peer, so that different claims never meet
// in one name. The spec is part of it, so that an update that starts first can
// have the old and the new container of one claim side by side.
func Name(ref Ref) string {
	place := strconv.Itoa(ref.Slot.Index)
	if ref.Slot.At != "" {
		place = ref.Slot.At
	}
	return engineName(ref.Peer.String(), ref.Swarm, ref.Slot.Job.String(), ref.Slot.Task, place,
		strconv.FormatUint(ref.Life, 10), strconv.FormatUint(uint64(ref.Token), 10), ref.Spec.String(), ref.Peer.Short())
}

// VolumeName returns the engine's name of one slot's named volume,
// shoal-SWARM-JOB-VOLUME-N. Life and token are not part of it: a volume outlives
// both.
func VolumeName(swarm string, id job.ID, volume string, index int) string {
	return engineName("", swarm, id.String(), volume, strconv.Itoa(index))
}

// NetworkName returns the engine's name of a job's bridge, shoal-SWARM-HASH. The
// peer is part of the hash, so that two peers on one engine do not share a bridge.
func NetworkName(swarm string, peer wire.PeerID, id job.ID) string {
	return engineName("", swarm[:min(len(swarm), 8)], NetworkHash(swarm, peer, id).String())
}

// NetworkHash names a job's bridge on one peer; subnet and interface are chosen
// from its bytes.
func NetworkHash(swarm string, peer wire.PeerID, id job.ID) wire.Hash {
	return wire.HashOf([]byte("shoal network\x00" + swarm + "\x00" + peer.String() + "\x00" + string(id)))
}

// engineName joins parts to "shoal-a-b-c". A plain name has exactly one dash
// before each part; one with a hash has more, so the two never meet. hidden is
// hashed but not shown.
func engineName(hidden string, parts ...string) string {
	exact := true
	safe := make([]string, len(parts))
	for i, p := range parts {
		safe[i] = strings.Map(safeRune, p)
		exact = exact && safe[i] == p && p != "" && !strings.Contains(p, "-")
	}
	name := "shoal-" + strings.Join(safe, "-")
	if exact && len(name) <= MaxContainerName {
		return name
	}
	// Quoting makes the hashed text unambiguous whatever the parts contain.
	text := strconv.Quote(hidden)
	for i, p := range parts {
		text += strconv.Quote(p)
		safe[i] = safe[i][:min(len(safe[i]), maxPart)]
	}
	last := len(safe) - 1
	tail := "-" + wire.HashOf([]byte(text)).String() + "-" + safe[last]
	head := "shoal-" + strings.Join(safe[:last], "-")
	return head[:min(len(head), MaxContainerName-len(tail))] + tail
}

func safeRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.', r == '-':
		return r
	}
	return '_'
}
