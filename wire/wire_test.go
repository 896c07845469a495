package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"shoal/internal/fuzztest"
	"shoal/job"
)

var update = flag.Bool("update", false, "rewrite the golden bytes; a person reads the diff")

func testKey(n byte) Key { return Key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32))) }

var testSwarm = HashOf([]byte("swarm"))

func testRecord() *Record {
	k := testKey(1)
	r := &Record{Num: Number{Issuer: k.Peer(), Inc: 2, Nonce: 3, Seq: 4}, Kind: KindCard, Body: []byte{0xa0}}
	r.Seal(testSwarm, k)
	return r
}

// samples has one message of each kind, with every field set.
func samples() []Message {
	p, r := testKey(1).Peer(), testRecord()
	slot := job.SlotID{Job: "default/shop", Task: "web", Index: 2}
	sum := Summary{Steward: p.Tag(), Bids: []ScoredBid{{Peer: p.Tag(), Copies: 1, Bucket: 2, Room: -3, Terms: []byte{2}}}, Asked: 3, Passed: 2, Noes: []Reason{{Text: "memory", Count: 1}}, Took: time.Millisecond, Waited: time.Second, Standing: true}
	res := job.Resources{CPUMilli: 100, MemBytes: 1 << 20, DiskBytes: 1}
	return []Message{
		&Beat{Inc: 1, Nonce: 2, Beat: 3, Every: time.Second, Ready: true},
		&Observe{For: 10 * time.Second},
		&Votes{Votes: []Vote{{Of: p, Inc: 1, Last: 9, By: p, Sig: []byte{1}}}},
		&Probe{Of: p, Inc: 1, Nonce: 2, Answer: true, Heard: true, AgoMs: 900, AtMs: 4000},
		&Digest{ID: 1, Hash: testSwarm, Ready: true, Equal: true},
		&Vector{ID: 1, Marks: []Mark{{UpTo: r.Num, Sum: [16]byte{1}, Count: 2}}, Ready: true},
		&Lists{ID: 1, Issuers: []IssuerList{{Mark: Mark{UpTo: r.Num}, Numbers: []Version{{Inc: 1, Nonce: 2, Seq: 3}}}}, Ready: true, More: true},
		&Delta{ID: 1, Records: []*Record{r}, Marks: []Mark{{UpTo: r.Num}}, Want: []Number{r.Num}, Drop: []Number{r.Num}, Close: true, More: true, Ready: true},
		&Digest{ID: 1, Hash: testSwarm, Parity: []byte{1, 2, 3}},
		&Sketch{ID: 1, Sums: []byte{1, 2}, Symbols: []byte{3, 4, 5}, Ready: true},
		&Trade{ID: 1, Records: []*Record{r}, Buckets: []byte{1}, Marks: []byte{2}, Want: []byte{3}, More: true, Ready: true, Sum: [16]byte{4}},
		&Settle{ID: 1, Records: []*Record{r}, Marks: []byte{2}, Others: []Number{r.Num}, Gone: []byte{1}, More: true, Ready: true, Over: []byte{3}},
		&Push{Records: []*Record{r}, Hops: 1},
		&Store{ID: 1, Records: []*Record{r}},
		&Stored{ID: 1, Conflict: r, Refused: "no", Over: 3},
		&Call{ID: 1, Steward: p, Lane: 2, Lots: []Lot{{Job: slot.Job, Life: 1, Task: "web", Spec: testSwarm, Needs: res, Slots: []int{0, 2}}}, Closes: time.Second, Records: []*Record{r}, Threshold: &Score{Copies: 1, Bucket: 2, Room: -3, Order: 4}},
		&Bid{Call: 1, Free: res, Total: res, Offers: []Offer{{No: "memory", Copies: 1, Bucket: 2, Volumes: []int{1}, Terms: []byte{2}}}, No: "silent", GPUs: []uint16{500}},
		&Award{ID: 1, Slots: []AwardedSlot{{Slot: slot, Life: 1, Token: 2, Spec: testSwarm, Fails: 3, Summary: sum}}, Rests: []*Record{r}},
		&Reply{Award: 1, Decisions: []Decision{{Slot: slot, Token: 2, Decline: "taken", Known: []*Record{r}}}, Records: []*Record{r}, Bid: Standing{Inc: 1, Seq: 2, Free: res}},
		&Standing{Inc: 1, Seq: 2, Still: true, Free: res, GPUs: []uint16{1000, 0, 250}, Load: 1, Flags: OnBattery | AskMe, No: "silent", Images: []byte{1, 2, 3, 4}},
	}
}

func TestSamplesCoverEveryKind(t *testing.T) {
	seen := map[MessageKind]bool{}
	for _, m := range samples() {
		seen[m.Kind()] = true
	}
	for k := range messages {
		if !seen[k] {
			t.Errorf("no sample of message kind %d", k)
		}
	}
}

// The bytes of each message are what older and newer peers see: they change only
// by intent.
func TestGolden(t *testing.T) {
	var b strings.Builder
	for _, m := range samples() {
		enc, err := Encode(m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		fmt.Fprintf(&b, "%T %s\n", m, hex.EncodeToString(enc))
	}
	const file = "testdata/messages.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("messages encode differently than before; if that is meant, run with -update\ngot:\n%s", b.String())
	}
}

func TestEncodeDecode(t *testing.T) {
	for _, m := range samples() {
		enc, err := Encode(m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		got, err := Decode(enc)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%T: got %+v, want %+v", m, got, m)
		}
	}
}

// A field that a later version added is passed over, a kind it added is no error
// of the sender's.
func TestDecodeLaterVersion(t *testing.T) {
	later := struct {
		For time.Duration `cbor:"1,keyasint"`
		New string        `cbor:"99,keyasint"`
	}{time.Second, "later"}
	b := MustMarshal(frame{Kind: MsgObserve, Body: MustMarshal(later)})
	m, err := Decode(b)
	if err != nil || m.(*Observe).For != time.Second {
		t.Errorf("message with a later field: %v, %v", m, err)
	}
	_, err = Decode(MustMarshal(frame{Kind: 200, Body: MustMarshal(1)}))
	if !errors.Is(err, ErrUnknown) || Judge(err) != Ignore {
		t.Errorf("message of a later kind: %v, want ErrUnknown, ignored", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty": nil, "garbage": {0xff, 0x00}, "cut": MustMarshal(frame{Kind: MsgBeat, Body: MustMarshal(1)})[:2],
		"record null":      MustMarshal(frame{Kind: MsgPush, Body: []byte{0xa1, 0x01, 0x81, 0xf6}}),
		"beat of nothing":  MustMarshal(frame{Kind: MsgBeat, Body: []byte{0xa0}}),
		"too many votes":   MustMarshal(frame{Kind: MsgVotes, Body: MustMarshal(&Votes{Votes: make([]Vote, MaxVotes+1)})}),
		"half an image":    MustMarshal(frame{Kind: MsgStanding, Body: MustMarshal(&Standing{Images: make([]byte, 7)})}),
		"too many images":  MustMarshal(frame{Kind: MsgStanding, Body: MustMarshal(&Standing{Images: make([]byte, 4*MaxImages+4)})}),
		"too many devices": MustMarshal(frame{Kind: MsgReply, Body: MustMarshal(&Reply{Bid: Standing{GPUs: make([]uint16, MaxGPUs+1)}})}),
		"a long no":        MustMarshal(frame{Kind: MsgStanding, Body: MustMarshal(&Standing{No: strings.Repeat("n", MaxStandingNo+1)})}),
		"indefinite array": {0x9f, 0x01, 0xa0, 0xff},
	} {
		if _, err := Decode(b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestRecordSignature(t *testing.T) {
	r := testRecord()
	if !r.Verify(testSwarm, VerifyEd25519) {
		t.Fatal("a sealed record does not verify")
	}
	if r.Verify(HashOf([]byte("another")), VerifyEd25519) {
		t.Error("it verifies for another swarm")
	}
	changes := map[string]func(*Record){
		"number": func(r *Record) { r.Num.Seq++ }, "kind": func(r *Record) { r.Kind++ },
		"key": func(r *Record) { r.Key = []byte{1} }, "rank": func(r *Record) { r.Rank = []byte{1} },
		"body": func(r *Record) { r.Body = []byte{0xa1} }, "issuer": func(r *Record) { r.Num.Issuer[0]++ },
	}
	for name, change := range changes {
		forged := *r
		change(&forged)
		if forged.Verify(testSwarm, VerifyEd25519) {
			t.Errorf("it verifies with another %s", name)
		}
	}
}

func TestPeerIDText(t *testing.T) {
	p := testKey(1).Peer()
	got, err := ParsePeerID(p.String())
	if err != nil || got != p || !strings.HasPrefix(p.String(), "12D3KooW") {
		t.Errorf("%s reads back as %v, %v", p, got, err)
	}
	for _, bad := range []string{"", "12D3", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "0OIl"} {
		if _, err := ParsePeerID(bad); err == nil {
			t.Errorf("%q was read as a peer ID", bad)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples() {
		b, _ := Encode(m)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzztest.Bounded(t, len(b), func() { _, _ = Decode(b) })
		m, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnknown) {
				t.Fatalf("error of neither kind: %v", err)
			}
			return
		}
		if _, err := Encode(m); err != nil {
			t.Fatalf("what was decoded does not encode: %v", err)
		}
	})
}

// A standing bid is sent to up to eight peers each five seconds: it stays small.
func TestStanding_IsSmall(t *testing.T) {
	usual := &Standing{Inc: 1000, Seq: 1 << 20, Free: job.Resources{CPUMilli: 15_500, MemBytes: 61 << 30, DiskBytes: 900 << 30}, Load: 1, Flags: OnBattery}
	for _, c := range []struct {
		name string
		m    *Standing
		most int
	}{
		{"an ordinary one", usual, 50},
		{"with eight devices and ten images", &Standing{Inc: 1000, Seq: 1 << 20, Free: usual.Free, GPUs: make([]uint16, 8), Images: make([]byte, 40)}, 100},
		{"still so", &Standing{Inc: 1000, Seq: 1 << 20, Still: true}, 18},
	} {
		if b, err := Encode(c.m); err != nil || len(b) > c.most {
			t.Errorf("%s: %d bytes, at most %d; %v", c.name, len(b), c.most, err)
		}
	}
}
