package runtime

import (
	"cmp"
	"slices"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/wire"
)

// A slot is all this peer has and wants of one slot: as a rule one claim with one
// container, during an update two containers, after a supersession those of
// earlier claims as well. It has at most one action in flight.
type slot struct {
	id         job.SlotID
	claims     []*claim     // by life and token
	containers []*container // by name
	flight     *flight
	dirty      bool          // look at it in the next Tick
	wake       clock.Instant // look at it then, 0: no need
	queued     uint64        // its turn among those that found MaxInFlight reached; 0: not waiting
}

// A flight is the one action of a slot whose Result is still to come.
type flight struct {
	id  uint64
	op  Op
	c   *container
	key claimKey
}

type claimKey struct {
	life  uint64
	token wire.Token
}

func keyOf(r Ref) claimKey { return claimKey{r.Life, r.Token} }

func (k claimKey) compare(o claimKey) int {
	return cmp.Or(cmp.Compare(k.life, o.life), cmp.Compare(k.token, o.token))
}

// A container is what is known of one container, from snapshots and results.
type container struct {
	Observed // State 0: none, or none yet
	// unsure says that an action failed in a way that may yet have had its effect:
	// until a later snapshot or result it counts as running.
	unsure bool
	// seen says that a snapshot has shown it running since its present start.
	seen  bool
	since clock.Instant // of its present start, or when it was first found running
	asOf  clock.Instant // end of the last action on it: a snapshot begun no later says nothing of it; 0: none
	grace time.Duration // for its stop, also after its Want has gone
	round uint64        // the last snapshot that had it

	tries int // errors in a row in stopping or removing it
	retry clock.Instant
}

// live reports whether it runs as far as anyone can tell.
func (c *container) live() bool { return c.State == StateRunning || c.unsure }

// gone reports whether it is known not to exist.
func (c *container) gone() bool { return c.State == 0 && !c.unsure }

func (s *slot) claim(k claimKey) *claim {
	i, ok := slices.BinarySearchFunc(s.claims, k, func(cl *claim, k claimKey) int { return cl.key.compare(k) })
	if !ok {
		return nil
	}
	return s.claims[i]
}

func (s *slot) addClaim(cl *claim) {
	i, _ := slices.BinarySearchFunc(s.claims, cl.key, func(o *claim, k claimKey) int { return o.key.compare(k) })
	s.claims = slices.Insert(s.claims, i, cl)
}

// container returns the one of that name, making room for it if it is new.
func (s *slot) container(name string, ref Ref) *container {
	i, ok := slices.BinarySearchFunc(s.containers, name, func(c *container, n string) int { return cmp.Compare(c.Container, n) })
	if !ok {
		c := &container{Observed: Observed{Container: name, Ref: ref}, grace: job.DefaultStopGrace}
		s.containers = slices.Insert(s.containers, i, c)
	}
	return s.containers[i]
}

// owner returns the claim that c belongs to, whatever its spec.
func (s *slot) owner(c *container) *claim { return s.claim(keyOf(c.Ref)) }

// current returns the container of the claim's present spec, or nil. Should there
// be two, that of the expected name is it and the other one a stray.
func (s *slot) current(cl *claim) *container {
	var found *container
	for _, c := range s.containers {
		if c.Ref != cl.want.Ref || c.gone() {
			continue
		}
		if c.Container == cl.name {
			return c
		}
		if found == nil {
			found = c
		}
	}
	return found
}

// oldRuns reports whether a container of an earlier spec of the claim runs.
func (s *slot) oldRuns(cl *claim) bool {
	cur := s.current(cl)
	return slices.ContainsFunc(s.containers, func(c *container) bool {
		return c != cur && c.live() && keyOf(c.Ref) == cl.key
	})
}

// empty reports whether any container of the claim may still exist.
func (s *slot) empty(cl *claim) bool {
	return !slices.ContainsFunc(s.containers, func(c *container) bool {
		return !c.gone() && keyOf(c.Ref) == cl.key
	})
}

// idle reports whether nothing is left to know about the slot.
func (s *slot) idle() bool {
	return s.flight == nil && len(s.claims) == 0 && len(s.containers) == 0
}
