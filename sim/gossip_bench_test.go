//go:build unix

package sim

import (
	"strconv"
	"testing"
	"time"

	"shoal/node"
	"shoal/wire"
)

// BenchmarkGossip reports what the network alone costs per delivery of a topic's
// message: it should be the same at any number of peers.
func BenchmarkGossip(b *testing.B) {
	for _, peers := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(peers), func(b *testing.B) {
			w := newWorld(1, nil)
			for range peers {
				m := w.add(MachineSpec{})
				m.core, m.syncing = &node.Core{}, true // it never asks for its inbox
			}
			r := stream(1, 0, "bench")
			for _, m := range w.machines {
				for range 32 {
					if to := w.machines[r.IntN(peers)]; to != m {
						m.setLinked(to, true)
						to.setLinked(m, true)
					}
				}
			}
			cpu := cpuTime()
			for b.Loop() {
				w.network.publish(w.machines[r.IntN(peers)], wire.TopicCalls, &wire.Votes{})
				w.runUntil(w.now + 2*time.Second)
				for _, m := range w.machines {
					m.inbox = m.inbox[:0]
				}
			}
			if got := float64(w.network.gossiped) / float64(b.N); got < float64(peers-1) {
				b.Fatalf("%.1f of %d have heard each message", got, peers-1)
			}
			b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(w.network.gossiped), "cpu-ns/delivery")
		})
	}
}
