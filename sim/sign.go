package sim

import (
	"bytes"
	"crypto/sha256"

	"shoal/wire"
)

// A simulated signature is a hash over signer and text: as good as a real one
// against everybody who does not forge on purpose, and a hundred times cheaper.
type signer wire.PeerID

// Sign implements wire.Signer.
func (s signer) Sign(msg []byte) []byte { return signature(wire.PeerID(s), msg) }

// verify is the wire.Verifier of a simulated swarm.
func verify(by wire.PeerID, msg, sig []byte) bool { return bytes.Equal(signature(by, msg), sig) }

func signature(by wire.PeerID, msg []byte) []byte {
	h := sha256.New()
	h.Write(by[:])
	h.Write(msg)
	return h.Sum(nil)[:16]
}
