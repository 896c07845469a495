package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/auction"
	"shoal/clock"
	"shoal/job"
	"shoal/runtime"
	"shoal/wire"
)

func recordedInputs() []Input {
	spec := testSpec("shop", job.Task{Name: "web", Count: 2})
	rec := &wire.Record{Num: wire.Number{Issuer: wire.PeerID{7}, Seq: 1}, Kind: wire.KindMember, Body: []byte{0xa0}, Sig: []byte("s")}
	return []Input{
		{Now: 1},
		{Now: 2, Wall: 5, Received: &Received{From: wire.PeerID{1}, Topic: wire.TopicJobs, Msg: &wire.Push{Records: []*wire.Record{rec}, Hops: 1}}},
		{Now: 3, Received: &Received{From: wire.PeerID{1}, Msg: &wire.Beat{Inc: 1, Beat: 2, Every: time.Second, Ready: true}}},
		{Now: 4, Linked: &Linked{Peer: wire.PeerID{2}, Up: true}},
		{Now: 5, Snapshot: &runtime.Snapshot{Begun: 4, Containers: []runtime.Observed{{Container: "c", Ref: runtime.Ref{Slot: job.SlotID{Job: "default/shop", Task: "web"}}, State: runtime.StateRunning}}}},
		{Now: 6, Done: &runtime.Result{ID: 9, Op: runtime.OpStart, Container: "c", Err: "no", Permanent: true}},
		{Now: 7, Facts: &runtime.Facts{Capacity: job.Resources{CPUMilli: 1}, OS: "linux", Labels: map[string]string{"a": "b"}}},
		{Now: 8, Request: &Request{ID: 3, Deploy: &Deploy{Spec: spec, Base: 2}}},
		{Now: 9, Disk: &Disk{FreeBytes: 1, TotalBytes: 2}},
		{Now: 11, Images: &Images{List: []runtime.Image{{Name: "nginx:1.29", OS: "linux", Arch: "arm64", Bytes: 9}}}},
		{Now: 10, Addrs: []string{"/ip4/192.0.2.1/tcp/7462"}},
	}
}

func TestEncodeStep_ComesBack(t *testing.T) {
	for _, in := range recordedInputs() {
		sum := wire.HashOf([]byte{byte(in.Now)})
		b, err := EncodeStep(in, sum)
		if err != nil {
			t.Fatal(err)
		}
		got, gotSum, err := DecodeStep(b)
		if err != nil || gotSum != sum || !reflect.DeepEqual(got, in) {
			t.Errorf("input %v came back as %+v, sum %v, %v", in.Now, got, gotSum, err)
		}
	}
}

func TestDecodeStep_RefusesRubbish(t *testing.T) {
	start, err := EncodeStart(Config{Self: wire.PeerID{1}}, Stored{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, {0}, []byte("rubbish"), start[0]} {
		if _, _, err := DecodeStep(b); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%x: error %v", b, err)
		}
	}
}

// TestSum_IsBlindForSignaturesAlone changes every part of a Ready once.
func TestSum_IsBlindForSignaturesAlone(t *testing.T) {
	ready := func(sig string, change func(*Ready)) wire.Hash {
		rec := func(seq uint64) *wire.Record {
			return &wire.Record{Num: wire.Number{Issuer: wire.PeerID{7}, Seq: seq}, Kind: wire.KindClaim, Body: []byte{1}, Sig: []byte(sig)}
		}
		num := rec(5).Num
		rd := Ready{
			Records: []Write{{Put: rec(1), Sync: true}, {Drop: &num}, {Local: &Local{Key: "mark/\xff", Value: []byte{1}}}, {Sync: true}},
			Messages: []wire.Envelope{
				{To: wire.PeerID{1}, Msg: &wire.Push{Records: []*wire.Record{rec(2)}}},
				{Topic: wire.TopicMembers, Msg: &wire.Votes{Votes: []wire.Vote{{Of: wire.PeerID{3}, Sig: []byte(sig)}}}},
				{To: wire.PeerID{1}, Msg: &wire.Reply{Decisions: []wire.Decision{{Token: 1, Known: []*wire.Record{rec(3)}}}, Records: []*wire.Record{rec(4)}}},
				{To: wire.PeerID{1}, Msg: &wire.Stored{ID: 1, Conflict: rec(6)}},
				{To: wire.PeerID{1}, Msg: &wire.Delta{ID: 1, Records: []*wire.Record{rec(7)}}},
				{To: wire.PeerID{1}, Msg: &wire.Store{ID: 1, Records: []*wire.Record{rec(8)}}},
				{To: wire.PeerID{1}, Msg: &wire.Call{ID: 1, Records: []*wire.Record{rec(9)}}},
				{To: wire.PeerID{1}, Msg: &wire.Award{ID: 1, Rests: []*wire.Record{rec(10)}}},
			},
			Replies: []Reply{{ID: 1}}, Actions: []runtime.Action{{ID: 1, Task: &job.Task{Name: "web"}}},
			Volumes: []VolumeRef{{Job: "default/shop"}}, Redial: []wire.PeerID{{1}}, Events: []Event{{Kind: "sold"}}, WakeAt: 3,
		}
		change(&rd)
		return rd.Sum()
	}
	same := ready("one", func(*Ready) {})
	if ready("two", func(*Ready) {}) != same {
		t.Error("the sum depends on signatures")
	}
	for name, change := range map[string]func(*Ready){
		"put":       func(r *Ready) { r.Records[0].Put.Num.Seq++ },
		"sync":      func(r *Ready) { r.Records[0].Sync = false },
		"drop":      func(r *Ready) { r.Records[1].Drop.Seq++ },
		"local":     func(r *Ready) { r.Records[2].Local.Value = nil },
		"barrier":   func(r *Ready) { r.Records = r.Records[:3] },
		"to":        func(r *Ready) { r.Messages[0].To = wire.PeerID{2} },
		"hops":      func(r *Ready) { r.Messages[0].Msg.(*wire.Push).Hops = 1 },
		"pushed":    func(r *Ready) { r.Messages[0].Msg.(*wire.Push).Records[0].Body = []byte{2} },
		"vote":      func(r *Ready) { r.Messages[1].Msg.(*wire.Votes).Votes[0].Inc = 1 },
		"known":     func(r *Ready) { r.Messages[2].Msg.(*wire.Reply).Decisions[0].Known[0].Body = []byte{2} },
		"decision":  func(r *Ready) { r.Messages[2].Msg.(*wire.Reply).Decisions[0].Decline = "no" },
		"conflict":  func(r *Ready) { r.Messages[3].Msg.(*wire.Stored).Conflict = nil },
		"delta":     func(r *Ready) { r.Messages[4].Msg.(*wire.Delta).Close = true },
		"stored":    func(r *Ready) { r.Messages[5].Msg.(*wire.Store).Records[0].Body = []byte{2} },
		"call":      func(r *Ready) { r.Messages[6].Msg.(*wire.Call).Lane = 1 },
		"rests":     func(r *Ready) { r.Messages[7].Msg.(*wire.Award).Rests[0].Body = []byte{2} },
		"order":     func(r *Ready) { slices.Reverse(r.Messages) },
		"reply":     func(r *Ready) { r.Replies[0].Err = "no" },
		"action":    func(r *Ready) { r.Actions[0].Task = &job.Task{Name: "api"} },
		"volume":    func(r *Ready) { r.Volumes[0].Slot = 1 },
		"redial":    func(r *Ready) { r.Redial = nil },
		"event":     func(r *Ready) { r.Events[0].Text = "x" },
		"halt":      func(r *Ready) { r.Halt = HaltLeft },
		"wake time": func(r *Ready) { r.WakeAt = 4 },
	} {
		if ready("one", change) == same {
			t.Errorf("the sum is blind for %s", name)
		}
	}
}

// What a peer refused in the field it refuses in a replay.
func TestEncodeStart_KeepsThePolicy(t *testing.T) {
	want := &auction.Policy{
		Namespaces: []string{"family"}, Jobs: []job.Constraint{{Label: "team", Op: "==", Value: "shop"}}, Hours: []auction.Span{{From: 60, To: 0}},
		OnMains: true, LimitsFetch: true, Devices: []string{"/dev/ttyUSB*"},
	}
	frames, err := EncodeStart(Config{Self: wire.PeerID{1}, Accept: want}, Stored{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := nextFrame(func() ([]byte, error) { return frames[0], nil })
	if err != nil || !reflect.DeepEqual(f.Start.config().Accept, want) {
		t.Errorf("%+v, %v", f.Start, err)
	}
}

// recording makes one of a peer that founds a swarm and takes a job.
func recording(t *testing.T, spoil int) []byte {
	t.Helper()
	cfg := Config{
		Self: wire.PeerID{1}, Swarm: wire.HashOf([]byte("w")), Key: testKey{1}, Verify: func(wire.PeerID, []byte, []byte) bool { return true },
		Seed: 1, Nonce: 2, Name: "n1", Founder: true,
	}
	stored := Stored{Locals: map[string][]byte{localInc: wire.MustMarshal(uint32(4))}}
	frames, err := EncodeStart(cfg, stored)
	if err != nil {
		t.Fatal(err)
	}
	core, err := New(cfg, stored)
	if err != nil {
		t.Fatal(err)
	}
	inputs := recordedInputs()
	for i := range 39 {
		inputs = append(inputs, Input{Now: clock.Instant(i+1) * clock.Instant(100*time.Millisecond)})
	}
	for i, in := range inputs {
		rd, _ := core.Step(in)
		if i == spoil {
			rd.WakeAt++
		}
		b, err := EncodeStep(in, rd.Sum())
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, b)
	}
	var out bytes.Buffer
	for _, b := range frames {
		if err := WriteFrame(&out, b); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestReplay_AgreesAndFindsTheFirstDifference(t *testing.T) {
	steps, diff, err := Replay(Frames(bytes.NewReader(recording(t, -1))))
	if steps != 50 || diff != nil || err != nil {
		t.Errorf("%d steps, %+v, %v", steps, diff, err)
	}
	steps, diff, err = Replay(Frames(bytes.NewReader(recording(t, 17))))
	if steps != 17 || diff == nil || diff.Step != 17 || diff.Want == diff.Got || err != nil {
		t.Errorf("%d steps, %+v, %v", steps, diff, err)
	}
}

// TestReplay_SaysThatItIsCut cuts a recording at every byte: only between frames is
// what is left a whole one.
func TestReplay_SaysThatItIsCut(t *testing.T) {
	whole := recording(t, -1)
	ends := map[int]bool{0: true}
	for at := 0; at < len(whole); {
		at += 4 + int(binary.BigEndian.Uint32(whole[at:]))
		ends[at] = true
	}
	for n := range whole {
		next := Frames(bytes.NewReader(whole[:n]))
		err := error(nil)
		for err == nil {
			_, err = next()
		}
		if want := map[bool]error{true: io.EOF, false: ErrCut}[ends[n]]; !errors.Is(err, want) {
			t.Fatalf("cut at %d: %v, want %v", n, err, want)
		}
	}
	if steps, diff, err := Replay(Frames(bytes.NewReader(whole[:len(whole)-1]))); steps != 49 || diff != nil || !errors.Is(err, ErrCut) {
		t.Errorf("%d steps, %v, %v", steps, diff, err)
	}
}

func TestReplayTo_StopsAtTheStep(t *testing.T) {
	whole := recording(t, -1)
	core, in, rd, err := ReplayTo(Frames(bytes.NewReader(whole)), 17)
	if err != nil || core == nil || in.Now == 0 {
		t.Fatalf("%+v, %v", in, err)
	}
	_, diff, _ := Replay(Frames(bytes.NewReader(recording(t, 17))))
	if diff == nil || rd.Sum() != diff.Got {
		t.Errorf("step 17 answers %s, want that of %+v", rd.Sum(), diff)
	}
	if _, _, _, err := ReplayTo(Frames(bytes.NewReader(whole)), 50); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("step 50 of 50: %v", err)
	}
}

func TestReplay_RefusesWhatIsNoRecording(t *testing.T) {
	whole := recording(t, -1)
	for name, b := range map[string][]byte{
		"text":       []byte("this is a text file, not a recording"),
		"huge frame": {0xff, 0xff, 0xff, 0xff},
		"no start":   whole[4+len(firstFrame(t, whole)):],
	} {
		if _, _, err := Replay(Frames(bytes.NewReader(b))); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if steps, diff, err := Replay(Frames(strings.NewReader(""))); steps != 0 || diff != nil || err != nil {
		t.Errorf("nothing: %d steps, %v, %v", steps, diff, err)
	}
}

func firstFrame(t *testing.T, b []byte) []byte {
	t.Helper()
	f, err := Frames(bytes.NewReader(b))()
	if err != nil {
		t.Fatal(err)
	}
	return f
}
