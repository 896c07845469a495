package sim

import "shoal/wire"

// Sizes of what surrounds a message, in bytes: of a frame on a stream its length,
// the encryption and the share of a packet's headers; of a publication also author,
// sequence, topic and signature.
const (
	streamOverhead = 60
	gossipOverhead = 230
)

// sizeOfExchange is sizeOf for what follows the Digest of an exchange.
func sizeOfExchange(m wire.Message) int {
	const number, mark = 60, 90
	switch m := m.(type) {
	case *wire.Vector:
		return 20 + len(m.Marks)*mark
	case *wire.Lists:
		size := 20
		for i := range m.Issuers {
			size += mark + len(m.Issuers[i].Numbers)*16
		}
		return size
	case *wire.Delta:
		return 24 + sizeOfRecords(m.Records) + len(m.Marks)*mark + (len(m.Want)+len(m.Drop))*number
	case *wire.Sketch:
		return 24 + len(m.Sums) + len(m.Symbols)
	case *wire.Trade:
		return 28 + sizeOfRecords(m.Records) + len(m.Buckets) + len(m.Marks) + len(m.Want)
	case *wire.Settle:
		return 24 + sizeOfRecords(m.Records) + len(m.Marks) + len(m.Others)*number + len(m.Gone) + len(m.Over)
	default:
		return 0
	}
}

// sizeOf estimates how long the encoding of a message is, in bytes, within about a
// quarter; it is for timing alone.
func sizeOf(m wire.Message) int {
	const hash = 34
	switch m := m.(type) {
	case *noise:
		return 1000
	case *wire.Beat:
		return 35
	case *wire.Observe:
		return 12
	case *wire.Probe:
		return 60
	case *wire.Digest:
		if m.Equal {
			return 20
		}
		return 58 + len(m.Parity)
	case *wire.Votes:
		return 8 + len(m.Votes)*110
	case *wire.Vector, *wire.Lists, *wire.Delta, *wire.Sketch, *wire.Trade, *wire.Settle:
		return sizeOfExchange(m)
	case *wire.Push:
		return 8 + sizeOfRecords(m.Records)
	case *wire.Store:
		return 20 + sizeOfRecords(m.Records)
	case *wire.Stored:
		size := 16 + len(m.Refused)
		if m.Conflict != nil {
			size += sizeOfRecord(m.Conflict)
		}
		return size
	case *wire.Call:
		size := 60 + sizeOfRecords(m.Records)
		for i := range m.Lots {
			size += 90 + hash + len(m.Lots[i].Slots)*2
		}
		return size
	case *wire.Bid:
		return 70 + len(m.Offers)*12 + len(m.No)
	case *wire.Standing:
		return sizeOfStanding(m)
	case *wire.Award:
		size := 16 + sizeOfRecords(m.Rests)
		for i := range m.Slots {
			size += 100 + len(m.Slots[i].Summary.Bids)*22 + len(m.Slots[i].Summary.Noes)*30
		}
		return size
	case *wire.Reply:
		size := 8 + sizeOfStanding(&m.Bid) + sizeOfRecords(m.Records)
		for i := range m.Decisions {
			size += 30 + len(m.Decisions[i].Decline) + sizeOfRecords(m.Decisions[i].Known)
		}
		return size
	}
	return 100
}

func sizeOfStanding(m *wire.Standing) int {
	if m.Still {
		return 14
	}
	return 32 + 3*len(m.GPUs) + len(m.No) + len(m.Images)
}

func sizeOfRecords(list []*wire.Record) (size int) {
	for _, r := range list {
		size += sizeOfRecord(r)
	}
	return size
}

func sizeOfRecord(r *wire.Record) int {
	return 75 + len(r.Key) + len(r.Rank) + len(r.Body) + len(r.Sig)
}
