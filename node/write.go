package node

import "shoal/wire"

// write seals a record of our own and brings it into the ledger; it is on disk
// before anything that this step sends.
func (c *Core) write(kind wire.RecordKind, body any) *wire.Record {
	return c.writeEncoded(kind, c.encode(kind, body), body)
}

// encode is how this peer writes the body of a record.
func (c *Core) encode(kind wire.RecordKind, body any) []byte {
	return c.extend(kind, wire.MustMarshal(body))
}

func (c *Core) extend(kind wire.RecordKind, encoded []byte) []byte {
	if c.cfg.Extend == nil {
		return encoded
	}
	return c.cfg.Extend(kind, encoded)
}

// writeEncoded is write for a body that is to stay as it was written, fields of a later
// version with it.
func (c *Core) writeEncoded(kind wire.RecordKind, encoded []byte, body any) *wire.Record {
	if c.self.inc == 0 {
		panic("node: a record before this peer knows its incarnation")
	}
	c.self.seq++
	r := &wire.Record{
		Num:  wire.Number{Issuer: c.cfg.Self, Inc: c.self.inc, Nonce: c.cfg.Nonce, Seq: c.self.seq},
		Kind: kind, Body: encoded, Value: body,
	}
	r.Seal(c.cfg.Swarm, c.cfg.Key)
	c.led.Own(r)
	c.sync = true
	c.arrived(r)
	c.pass(r, 2, c.cfg.Self)
	return r
}

// flush turns the ledger's changes into writes.
func (c *Core) flush() {
	for _, ch := range c.led.Take() {
		switch {
		case ch.Put != nil:
			c.out.Records = append(c.out.Records, Write{Put: ch.Put, Sync: c.sync || ch.Put.Num.Issuer == c.cfg.Self})
		case ch.Drop != nil:
			n := ch.Drop.Num
			c.out.Records = append(c.out.Records, Write{Drop: &n})
		case ch.Mark != nil:
			key := localMark + string(ch.Mark.Issuer[:])
			c.local(key, wire.MustMarshal(ch.Mark), false)
		case ch.Removed != nil:
			c.local(localRemoved+string(ch.Removed.Job), wire.MustMarshal(ch.Removed.Life), true)
		}
	}
	if c.sync && !c.out.MustSync() {
		// What is vouched for came earlier, unsynced: it must be on disk now.
		c.out.Records = append(c.out.Records, Write{Sync: true})
	}
	c.sync = false
}
