package p2p

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

// A house of machines behind one NAT comes at once after a power cut, each with QUIC
// and TCP: no profile may turn some away for where they come from.
func TestLimits_AHouseMayComeAtOnce(t *testing.T) {
	from := ma.StringCast("/ip4/192.0.2.7/udp/7462/quic-v1")
	for name, l := range profiles {
		manager, err := l.resourceManager()
		if err != nil {
			t.Fatal(err)
		}
		defer manager.Close()
		for i := range min(l.strangers, 128) {
			c, err := manager.OpenConnection(network.DirInbound, false, from)
			if err != nil {
				t.Fatalf("%s: connection %d from one address: %v", name, i+1, err)
			}
			defer c.Done()
		}
	}
}
