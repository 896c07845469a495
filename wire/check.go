package wire

import "fmt"

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
	return checkRecords(lists...)
}
