package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"shoal/auction"
	"shoal/wire"
)

// A recording is what one core was made with and every input it was given, each
// with the sum of what it answered, so that the run can be had again elsewhere:
// frames of CBOR, each after its length. The first is a recordedStart; then come
// the records and locals of the disk, then the steps. No key and no signature of
// this peer's own is in it.
type recordFrame struct {
	Start  *recordedStart `cbor:"1,keyasint,omitempty"`
	Stored *wire.Record   `cbor:"2,keyasint,omitempty"`
	Local  *recordedLocal `cbor:"3,keyasint,omitempty"`
	Step   *recordedStep  `cbor:"4,keyasint,omitempty"`
}

// A recordedLocal is a Local whose key, which need not be text, is kept as bytes.
type recordedLocal struct {
	Key   []byte `cbor:"1,keyasint"`
	Value []byte `cbor:"2,keyasint"`
}

var frameShape = wire.ShapeOf((*recordFrame)(nil))

// recordVersion grows when an old recording can no longer be read.
const recordVersion = 1

// A recordedStart is a Config without what cannot be written down.
type recordedStart struct {
	Version    int               `cbor:"1,keyasint"`
	Self       wire.PeerID       `cbor:"2,keyasint"`
	Swarm      wire.Hash         `cbor:"3,keyasint"`
	Seed       uint64            `cbor:"4,keyasint"`
	Nonce      uint64            `cbor:"5,keyasint"`
	Name       string            `cbor:"6,keyasint,omitempty"`
	Datacenter string            `cbor:"7,keyasint,omitempty"`
	Labels     map[string]string `cbor:"8,keyasint,omitempty"`
	Profile    string            `cbor:"9,keyasint,omitempty"`
	Shoal      string            `cbor:"10,keyasint,omitempty"`
	Addrs      []string          `cbor:"11,keyasint,omitempty"`
	Cert       []byte            `cbor:"12,keyasint,omitempty"`
	Founder    bool              `cbor:"13,keyasint,omitempty"`
	Damaged    bool              `cbor:"14,keyasint,omitempty"`
	AcceptLoss bool              `cbor:"15,keyasint,omitempty"`
	Horizon    time.Duration     `cbor:"16,keyasint,omitempty"`
	Accept     *auction.Policy   `cbor:"17,keyasint,omitempty"`
}

// A recordedStep is an Input, its message as it travels, and the sum of the Ready
// that followed.
type recordedStep struct {
	Input Input       `cbor:"1,keyasint"` // without Received
	From  wire.PeerID `cbor:"2,keyasint,omitzero"`
	Topic wire.Topic  `cbor:"3,keyasint,omitempty"`
	Msg   []byte      `cbor:"4,keyasint,omitempty"` // as wire.Encode makes it; empty: nothing was received
	Sum   wire.Hash   `cbor:"5,keyasint"`
}

// EncodeStart returns the first frames of a recording. It is to be called before
// the core is made, and the order of records kept: both are inputs as well.
func EncodeStart(cfg Config, stored Stored) ([][]byte, error) {
	start := recordFrame{Start: &recordedStart{
		Version: recordVersion, Self: cfg.Self, Swarm: cfg.Swarm, Seed: cfg.Seed, Nonce: cfg.Nonce, Name: cfg.Name,
		Datacenter: cfg.Datacenter, Labels: cfg.Labels, Profile: cfg.Profile, Shoal: cfg.Version, Addrs: cfg.Addrs,
		Cert: cfg.Cert, Founder: cfg.Founder, Damaged: cfg.Damaged, AcceptLoss: cfg.AcceptLoss, Horizon: cfg.Horizon, Accept: cfg.Accept,
	}}
	frames := []recordFrame{start}
	for _, r := range stored.Records {
		frames = append(frames, recordFrame{Stored: r})
	}
	for _, k := range sortedKeys(stored.Locals) {
		frames = append(frames, recordFrame{Local: &recordedLocal{[]byte(k), stored.Locals[k]}})
	}
	out := make([][]byte, len(frames))
	for i := range frames {
		b, err := wire.Marshal(&frames[i])
		if err != nil {
			return nil, fmt.Errorf("record the start: %w", err)
		}
		out[i] = b
	}
	return out, nil
}

// EncodeStep returns the frame of one input and of the sum of what it brought
// about, see Ready.Sum.
func EncodeStep(in Input, sum wire.Hash) ([]byte, error) {
	s := recordedStep{Input: in, Sum: sum}
	if r := in.Received; r != nil {
		b, err := wire.Encode(r.Msg)
		if err != nil {
			return nil, fmt.Errorf("record a step: %w", err)
		}
		s.From, s.Topic, s.Msg, s.Input.Received = r.From, r.Topic, b, nil
	}
	b, err := wire.Marshal(&recordFrame{Step: &s})
	if err != nil {
		return nil, fmt.Errorf("record a step: %w", err)
	}
	return b, nil
}

// DecodeStep reads what EncodeStep made. It returns wire.ErrInvalid for anything
// else.
func DecodeStep(b []byte) (Input, wire.Hash, error) {
	var f recordFrame
	if err := frameShape.Unmarshal(b, &f); err != nil {
		return Input{}, wire.Hash{}, err
	}
	if f.Step == nil {
		return Input{}, wire.Hash{}, fmt.Errorf("%w: a frame of the recording is no step", wire.ErrInvalid)
	}
	return f.Step.input()
}

func (s *recordedStep) input() (Input, wire.Hash, error) {
	in := s.Input
	if len(s.Msg) > 0 {
		m, err := wire.Decode(s.Msg)
		if err != nil {
			return Input{}, wire.Hash{}, fmt.Errorf("recorded message: %w", err)
		}
		in.Received = &Received{From: s.From, Topic: s.Topic, Msg: m}
	}
	return in, s.Sum, nil
}

// Sum is a hash over everything a Ready holds, in order, signatures left out: two
// cores that were given the same have equal sums, whoever signs for them.
func (r *Ready) Sum() wire.Hash {
	var parts []any
	for _, w := range r.Records {
		switch {
		case w.Put != nil:
			parts = append(parts, []any{"put", w.Put.Hash(), w.Sync})
		case w.Drop != nil:
			parts = append(parts, []any{"drop", *w.Drop, w.Sync})
		case w.Local != nil:
			parts = append(parts, []any{"local", []byte(w.Local.Key), w.Local.Value, w.Local.Value == nil, w.Sync})
		default:
			parts = append(parts, []any{"barrier", w.Sync})
		}
	}
	for _, e := range r.Messages {
		parts = append(parts, []any{"send", e.To, e.Topic, e.Msg.Kind(), unsigned(e.Msg)})
	}
	parts = append(parts, r.Replies, r.Actions, r.Volumes, r.Redial, r.Events, r.Halt, r.WakeAt)
	if len(r.Shun) > 0 { // else the sum is that of recordings from before there was such a thing
		parts = append(parts, r.Shun)
	}
	return wire.HashOf(wire.MustMarshal(parts))
}

// unsigned is a message with the records in it named by their hashes, and without
// the signatures of votes.
func unsigned(m wire.Message) any {
	switch m := m.(type) {
	case *wire.Votes:
		c := *m
		c.Votes = slices.Clone(m.Votes)
		for i := range c.Votes {
			c.Votes[i].Sig = nil
		}
		return &c
	case *wire.Delta:
		c := *m
		c.Records = nil
		return []any{&c, hashes(m.Records)}
	case *wire.Trade:
		c := *m
		c.Records = nil
		return []any{&c, hashes(m.Records)}
	case *wire.Settle:
		c := *m
		c.Records = nil
		return []any{&c, hashes(m.Records)}
	case *wire.Push:
		return []any{m.Hops, hashes(m.Records)}
	case *wire.Store:
		return []any{m.ID, hashes(m.Records)}
	case *wire.Stored:
		c := *m
		c.Conflict = nil
		return []any{&c, hashes([]*wire.Record{m.Conflict})}
	case *wire.Call:
		c := *m
		c.Records = nil
		return []any{&c, hashes(m.Records)}
	case *wire.Award:
		return []any{m.ID, m.Slots, hashes(m.Rests)}
	case *wire.Reply:
		return unsignedReply(m)
	}
	return m
}

func unsignedReply(m *wire.Reply) any {
	c := *m
	c.Records, c.Decisions = nil, slices.Clone(m.Decisions)
	known := [][]wire.Hash{}
	for i := range c.Decisions {
		known = append(known, hashes(c.Decisions[i].Known))
		c.Decisions[i].Known = nil
	}
	return []any{&c, known, hashes(m.Records)}
}

func hashes(recs []*wire.Record) []wire.Hash {
	out := []wire.Hash{}
	for _, r := range recs {
		if r != nil {
			out = append(out, r.Hash())
		}
	}
	return out
}

// A Difference is the first step at which a replayed core answered otherwise.
type Difference struct {
	Step      int // from 0
	Input     Input
	Want, Got wire.Hash
	Ready     Ready // what the replayed core answered
}

// unsignedSigner stands for a key that is not in the recording.
type unsignedSigner struct{}

func (unsignedSigner) Sign([]byte) []byte { return make([]byte, 64) }

// Replay steps a core through a recording, whose frames next returns one by one
// until io.EOF. It stops at the first step with another sum, which it returns, and
// says how many agreed before. An error means that the recording itself cannot be
// read, or that the core panicked, as it may have in the run recorded; ErrCut, that
// it has been read to where it breaks off.
func Replay(next func() ([]byte, error)) (steps int, first *Difference, err error) {
	err = replayEach(next, func(_ *Core, in Input, want wire.Hash, rd Ready) bool {
		if got := rd.Sum(); got != want {
			first = &Difference{Step: steps, Input: in, Want: want, Got: got, Ready: rd}
			return false
		}
		steps++
		return true
	})
	return steps, first, err
}

// ReplayTo steps a core through a recording up to a step, counted from 0, or, with a
// negative one, as far as it goes. It returns what that step was given and what it
// answered, with the core as it then is. The error is one of Replay, or says how many
// steps there are if they are too few.
func ReplayTo(next func() ([]byte, error), step int) (core *Core, in Input, rd Ready, err error) {
	steps := 0
	err = replayEach(next, func(c *Core, i Input, _ wire.Hash, r Ready) bool {
		core, in, rd = c, i, r
		steps++
		return step < 0 || steps <= step
	})
	if (err == nil || errors.Is(err, ErrCut)) && steps <= max(step, 0) {
		err = fmt.Errorf("%w: there is no step %d: the recording has %d, from 0 on", wire.ErrInvalid, max(step, 0), steps)
	}
	return core, in, rd, err
}

// replayEach calls each with every step of a recording until that returns false.
func replayEach(next func() ([]byte, error), each func(*Core, Input, wire.Hash, Ready) bool) error {
	core, frame, err := replayStart(next)
	for step := 0; err == nil; step++ {
		if frame.Step == nil {
			return fmt.Errorf("%w: after step %d the recording has a frame that is no step", wire.ErrInvalid, step)
		}
		in, want, bad := frame.Step.input()
		if bad != nil {
			return fmt.Errorf("step %d: %w", step, bad)
		}
		rd, bad := replayStep(core, in)
		if bad != nil {
			return fmt.Errorf("step %d: %w", step, bad)
		}
		if !each(core, in, want, rd) {
			return nil
		}
		frame, err = nextFrame(next)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// replayStep steps the core; that it refuses an input is part of the run.
func replayStep(c *Core, in Input) (rd Ready, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the core panics: %v", r)
		}
	}()
	rd, _ = c.Step(in)
	return rd, nil
}

// replayStart makes the core and returns the first frame that is a step.
func replayStart(next func() ([]byte, error)) (*Core, recordFrame, error) {
	frame, err := nextFrame(next)
	if err != nil {
		return nil, frame, err
	}
	s := frame.Start
	if s == nil || s.Version != recordVersion {
		return nil, frame, fmt.Errorf("%w: this is no recording of version %d", wire.ErrInvalid, recordVersion)
	}
	stored := Stored{Locals: map[string][]byte{}}
	for {
		frame, err = nextFrame(next)
		switch {
		case err == nil && frame.Stored != nil:
			stored.Records = append(stored.Records, frame.Stored)
		case err == nil && frame.Local != nil:
			stored.Locals[string(frame.Local.Key)] = frame.Local.Value
		case err != nil:
			return nil, frame, err
		default:
			core, err := New(s.config(), stored)
			return core, frame, err
		}
	}
}

func nextFrame(next func() ([]byte, error)) (f recordFrame, err error) {
	b, err := next()
	if err == nil {
		err = frameShape.Unmarshal(b, &f)
	}
	return f, err
}

// config returns what the core was made with, but for the key: signatures of its
// own are taken on trust, all others are checked as they were.
func (s *recordedStart) config() Config {
	return Config{
		Self: s.Self, Swarm: s.Swarm, Key: unsignedSigner{}, Seed: s.Seed, Nonce: s.Nonce, Name: s.Name,
		Datacenter: s.Datacenter, Labels: s.Labels, Profile: s.Profile, Version: s.Shoal, Addrs: s.Addrs, Cert: s.Cert,
		Founder: s.Founder, Damaged: s.Damaged, AcceptLoss: s.AcceptLoss, Horizon: s.Horizon, Accept: s.Accept,
		Verify: func(by wire.PeerID, msg, sig []byte) bool { return by == s.Self || wire.VerifyEd25519(by, msg, sig) },
	}
}

// firstRead is how much of a frame is made room for before any of it has come.
const firstRead = 16 << 10

// maxRecordedFrame bounds a frame of a recording: a message and some room.
const maxRecordedFrame = wire.MaxFrame + 1<<20

// WriteFrame writes one frame of a recording.
func WriteFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// ErrCut is the end of a recording that breaks off in the middle of a frame, as a
// crash leaves it: what came before has been read, and how it went on is not known.
var ErrCut = errors.New("breaks off in the middle of a frame")

// Frames returns the frames of a recording one by one, for Replay: then io.EOF, or
// ErrCut where a last frame has broken off.
func Frames(r io.Reader) func() ([]byte, error) {
	return func() ([]byte, error) {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, cutAt(err, io.ErrUnexpectedEOF)
		}
		n := binary.BigEndian.Uint32(head[:])
		if n > maxRecordedFrame {
			return nil, fmt.Errorf("%w: a frame of %d bytes is in no recording", wire.ErrInvalid, n)
		}
		b := make([]byte, min(n, firstRead)) // a length alone takes little memory
		for got := 0; ; {
			m, err := io.ReadFull(r, b[got:])
			if err != nil {
				return nil, cutAt(cutAt(err, io.EOF), io.ErrUnexpectedEOF)
			}
			if got += m; got == int(n) {
				return b, nil
			}
			b = append(b, make([]byte, min(int(n)-got, got))...) //nolint:makezero // what has come, and room for as much again
		}
	}
}

func cutAt(err, end error) error {
	if errors.Is(err, end) {
		return ErrCut
	}
	return err
}
