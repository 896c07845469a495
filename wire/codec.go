package wire

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// Errors of decoding. ErrInvalid is the sender's fault and never valid;
// ErrUnknown is a kind this version does not know, to be ignored and never held
// against the sender; ErrStale is nobody's fault: its time has passed.
var (
	ErrInvalid = errors.New("invalid")
	ErrUnknown = errors.New("unknown kind")
	ErrStale   = errors.New("stale")
)

// MaxFrame is the greatest size of an encoded message on a stream, in bytes.
const MaxFrame = 4 << 20

// MaxGossip is the greatest size of an encoded message on a topic, in bytes.
const MaxGossip = 60 << 10

var encoder, decoder = codec()

func codec() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, MaxNestedLevels: 16,
		MaxArrayElements: 131072, MaxMapPairs: 4096,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return enc, dec
}

// Marshal encodes v in deterministic CBOR: one byte string per value.
func Marshal(v any) ([]byte, error) { return encoder.Marshal(v) }

// Unmarshal decodes b strictly; fields it does not know are passed over.
func Unmarshal(b []byte, v any) error {
	if err := decoder.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", faultOfEncoding(err), err)
	}
	return nil
}

// MustMarshal encodes a value of our own making; that it cannot be encoded is a
// broken invariant.
func MustMarshal(v any) []byte {
	b, err := Marshal(v)
	if err != nil {
		panic("wire: " + err.Error())
	}
	return b
}

type frame struct {
	_    struct{} `cbor:",toarray"`
	Kind MessageKind
	Body cbor.RawMessage
}

// Encode makes the bytes of a message: its kind and its body.
func Encode(m Message) ([]byte, error) {
	body, err := Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	return Marshal(frame{Kind: m.Kind(), Body: body})
}

// Decode reads a message. It returns ErrInvalid for bytes that no version of
// shoal sends, ErrUnknown for a kind of a later version.
func Decode(b []byte) (Message, error) {
	if len(b) > MaxFrame {
		return nil, fmt.Errorf("%w: frame of %d bytes, at most %d are allowed", FaultOversized, len(b), MaxFrame)
	}
	kind, body, err := open(b)
	if err != nil {
		return nil, err
	}
	proto, ok := messages[kind]
	if !ok {
		return nil, fmt.Errorf("%w %d", ErrUnknown, kind)
	}
	m := reflect.New(reflect.TypeOf(proto).Elem())
	if err := shapes[kind].Unmarshal(body, m.Interface()); err != nil {
		return nil, fmt.Errorf("%T: %w", proto, err)
	}
	if c, ok := m.Interface().(checked); ok {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("%T: %w", proto, err)
		}
	}
	return m.Interface().(Message), nil
}

// shapes are those of the messages.
var shapes = func() map[MessageKind]*Shape {
	out := map[MessageKind]*Shape{}
	for k, proto := range messages {
		out[k] = ShapeOf(proto)
	}
	return out
}()

// open returns a frame's kind and, without a copy, the bytes of its body.
func open(b []byte) (MessageKind, []byte, error) {
	w := weigher{b: b}
	major, n, err := w.head()
	if err == nil {
		err = is(major == majorArray && n == 2)
	}
	if err == nil {
		if major, n, err = w.head(); err == nil {
			err = is(major == majorUint && n < 256)
		}
	}
	if err != nil {
		return 0, nil, fmt.Errorf("%w: no frame", err)
	}
	return MessageKind(n), w.b, nil
}

// Key is an Ed25519 private key as a Signer.
type Key ed25519.PrivateKey

// Sign implements Signer.
func (k Key) Sign(msg []byte) []byte { return ed25519.Sign(ed25519.PrivateKey(k), msg) }

// Peer returns the identity of the key.
func (k Key) Peer() PeerID { return PeerID(ed25519.PrivateKey(k).Public().(ed25519.PublicKey)) }

// VerifyEd25519 is the Verifier of a real swarm.
func VerifyEd25519(by PeerID, msg, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(by[:], msg, sig)
}

// A Judgement says what a receiver of a gossip message does with it.
type Judgement uint8

// The judgements, as gossipsub knows them.
const (
	Accept Judgement = iota // use it and pass it on
	Ignore                  // do neither; nobody is to blame
	Reject                  // drop it, and score the sender down
)

// Judge is the one place that turns an error into a judgement: only what can
// never be valid is held against the sender.
func Judge(err error) Judgement {
	switch {
	case err == nil:
		return Accept
	case errors.Is(err, ErrInvalid):
		return Reject
	default:
		return Ignore
	}
}
