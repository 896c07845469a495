package node

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"shoal/clock"
	"shoal/job"
	"shoal/ledger"
	"shoal/wire"
)

// Keys of this peer's own state on disk.
const (
	localInc      = "inc"
	localReady    = "ready"
	localRan      = "ran"
	localLabels   = "labels"
	localDraining = "draining"
	localDrainBy  = "drain-by"
	localLeaving  = "leaving"
	localMark     = "mark/"
	localRemoved  = "removed/"
	localDeleted  = "deleted/"
	localGone     = "gone/"
)

func (c *Core) loadLocals(locals map[string][]byte) error {
	for _, k := range sortedKeys(locals) {
		if err := c.loadLocal(k, locals[k]); err != nil {
			return fmt.Errorf("%q: %w", k, err)
		}
	}
	return nil
}

func (c *Core) loadLocal(key string, v []byte) error {
	var err error
	switch {
	case key == localInc:
		err = wire.Unmarshal(v, &c.self.storedInc)
	case key == localReady:
		c.self.onceReady = true
	case key == localRan:
		err = wire.Unmarshal(v, &c.self.ran)
	case key == localDraining:
		c.self.draining = true
	case key == localLeaving:
		c.self.leaving = true
	case key == localDrainBy:
		var deadline time.Duration
		err = wire.Unmarshal(v, &deadline)
		c.self.drainBy = clock.Instant(max(deadline, 0))
	case key == localLabels:
		err = wire.Unmarshal(v, &c.self.labels)
	case strings.HasPrefix(key, localMark):
		if c.cfg.Damaged {
			// What a damaged store lost must not pass for dropped: every log is
			// fetched anew, and the old marks go.
			c.self.oldMarks = append(c.self.oldMarks, key)
			return nil
		}
		var n wire.Number
		if err = wire.Unmarshal(v, &n); err == nil {
			c.led.LoadMark(n)
		}
	case strings.HasPrefix(key, localRemoved):
		var life uint64
		err = wire.Unmarshal(v, &life)
		c.led.LoadRemoved(ledger.Removed{Job: job.ID(key[len(localRemoved):]), Life: life})
	case strings.HasPrefix(key, localDeleted):
		var at deletedAt
		err = wire.Unmarshal(v, &at)
		c.holding.deleted[job.ID(key[len(localDeleted):])] = at
	case strings.HasPrefix(key, localGone) && len(key) == len(localGone)+len(wire.PeerID{}):
		var ran time.Duration
		err = wire.Unmarshal(v, &ran)
		c.holding.gone[wire.PeerID([]byte(key[len(localGone):]))] = ran
	}
	return err
}

// local writes a piece of this peer's own state; nil deletes it.
func (c *Core) local(key string, value []byte, sync bool) {
	c.out.Records = append(c.out.Records, Write{Local: &Local{Key: key, Value: value}, Sync: sync})
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
