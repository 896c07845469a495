package check

import (
	"shoal/node"
	"shoal/wire"
)

// Signed is the part of S3 that needs no rights: nobody keeps a record that its
// issuer has not signed. It looks at what is written while somebody forges, since
// a signature costs as much to check as all the rest.
type Signed struct{ compared uint64 }

// Rule implements Checker.
func (*Signed) Rule() string { return "S3" }

// Compared implements Counter: signatures looked at.
func (s *Signed) Compared() uint64 { return s.compared }

// Wrote implements WriteWatcher.
func (s *Signed) Wrote(h Host, writes []node.Write) error {
	if !h.Forgeries() {
		return nil
	}
	for i := range writes {
		r := writes[i].Put
		if r != nil && len(r.Body) > wire.MaxRecordBytes {
			return violation("S3", "%s keeps the %v %v of %d bytes", h.Name(), r.Kind, r.Num, len(r.Body))
		}
		if r != nil {
			s.compared++
		}
		if r != nil && !h.Signed(r) {
			return violation("S3", "%s keeps the %v %v, which its issuer has not signed", h.Name(), r.Kind, r.Num)
		}
	}
	return nil
}
