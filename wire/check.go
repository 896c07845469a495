package wire

import (
	"cmp"
	"fmt"
)

// checked is a message with parts that the encoding alone cannot vouch for.
type checked interface{ check() error }

// MaxRecords is how many records one message may carry.
const MaxRecords = 8192

func checkRecords(lists ...[]*Record) error {
	n := 0
	for _, l := range lists {
		n += len(l)
		for _, r := range l {
			if r == nil {
				return fmt.Errorf("%w: a record is missing", FaultMalformed)
			}
		}
	}
	if n > MaxRecords {
		return fmt.Errorf("%w: %d records, at most %d are allowed", FaultOversized, n, MaxRecords)
	}
	return nil
}

func (m *Delta) check() error  { return checkRecords(m.Records) }
func (m *Trade) check() error  { return checkRecords(m.Records) }
func (m *Settle) check() error { return checkRecords(m.Records) }
func (m *Push) check() error   { return checkRecords(m.Records) }
func (m *Store) check() error  { return checkRecords(m.Records) }
func (m *Call) check() error   { return checkRecords(m.Records) }
func (m *Award) check() error  { return checkRecords(m.Rests) }

func (m *Votes) check() error {
	if len(m.Votes) > MaxVotes {
		return fmt.Errorf("%w: %d votes, at most %d are allowed", FaultOversized, len(m.Votes), MaxVotes)
	}
	if len(m.Heard) > MaxVotes {
		return fmt.Errorf("%w: %d signs, at most %d are allowed", FaultOversized, len(m.Heard), MaxVotes)
	}
	return nil
}

func (m *Beat) check() error {
	if m.Every <= 0 {
		return fmt.Errorf("%w: a beat every %v", FaultMalformed, m.Every)
	}
	return nil
}

func (m *Reply) check() error {
	lists := [][]*Record{m.Records}
	for _, d := range m.Decisions {
		lists = append(lists, d.Known)
	}
	return cmp.Or(checkRecords(lists...), m.Bid.check())
}

func checkGPUs(g []uint16) error {
	if len(g) > MaxGPUs {
		return fmt.Errorf("%w: %d devices, at most %d are allowed", FaultOversized, len(g), MaxGPUs)
	}
	return nil
}

func (m *Bid) check() error { return checkGPUs(m.GPUs) }

func (m *Standing) check() error {
	switch mark := len(ImageMark("")); {
	case len(m.No) > MaxStandingNo:
		return fmt.Errorf("%w: a reason of %d bytes, at most %d are allowed", FaultOversized, len(m.No), MaxStandingNo)
	case len(m.Images) > MaxImages*mark:
		return fmt.Errorf("%w: %d bytes of images, at most %d are allowed", FaultOversized, len(m.Images), MaxImages*mark)
	case len(m.Images)%mark != 0:
		return fmt.Errorf("%w: %d bytes of images, which are no whole number of marks", FaultMalformed, len(m.Images))
	}
	return checkGPUs(m.GPUs)
}
