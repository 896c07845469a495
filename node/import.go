package node

import (
	"fmt"

	"shoal/ledger"
	"shoal/wire"
)

// MaxImport bounds the records of one Import: so many signatures are checked in one
// step, while all else waits.
const MaxImport = 256

// Import brings records from a file into the ledger by the join that every record
// comes in by. The answer tells of each what became of it, and goes out once all
// that was taken is on this peer's disk; other peers find it by their exchanges.
type Import struct {
	Records []*wire.Record `cbor:"1,keyasint"`
}

// importRecords takes in what a file holds. A peer that waits to be refilled may
// take it from a file, too; one that is not sure of its own past writes nothing.
func (c *Core) importRecords(m *Import) ([]ledger.Offered, Code, error) {
	switch {
	case c.self.stage != joining && c.self.stage != ready:
		return nil, CodeNotReady, fmt.Errorf("this peer is %s, and takes in no records yet: %s", c.self.stage, c.waitsFor())
	case len(m.Records) > MaxImport:
		return nil, CodeInvalid, fmt.Errorf("%d records at once, at most %d are taken", len(m.Records), MaxImport)
	case c.noRoomOnDisk():
		return nil, CodeNotReady, fmt.Errorf("the disk of this peer is nearly full: nothing was taken")
	}
	out := c.offer(m.Records)
	c.sync = true // what was held already may have come unsynced
	c.dirtyLanes()
	c.holding.dirty = true
	return out, CodeOK, nil
}

func (c *Core) offer(recs []*wire.Record) []ledger.Offered {
	out := make([]ledger.Offered, len(recs))
	var fresh []*wire.Record
	for i, r := range recs {
		if out[i] = c.led.Offer(r); out[i] == ledger.OfferedNew || out[i] == ledger.OfferedKept {
			fresh = append(fresh, r)
		}
	}
	c.learned(fresh)
	return out
}

// ImportAtRest is Import for a core that is never stepped: one made of a stopped
// peer's store, to look at it and to add to it. The writes are to be made durable
// before anything is said of them.
func (c *Core) ImportAtRest(recs []*wire.Record) ([]ledger.Offered, []Write) {
	var rd Ready
	c.out = &rd
	out := c.offer(recs)
	c.sync = true
	c.flush()
	c.out = nil
	return out, rd.Records
}

// WasReady reports whether this peer has been ready, now or in an earlier start that its
// disk tells of.
func (c *Core) WasReady() bool { return c.self.onceReady }

// RestoreAtRest makes of a core that is never stepped one of a peer that was ready
// before: it is ready alone if nobody answers.
func (c *Core) RestoreAtRest() []Write {
	var rd Ready
	c.out = &rd
	c.local(localInc, wire.MustMarshal(max(c.self.storedInc, c.led.MaxIncarnation(c.cfg.Self), 1)), true)
	c.local(localReady, []byte{1}, true)
	c.flush()
	c.out = nil
	return rd.Records
}
