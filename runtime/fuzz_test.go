package runtime

import (
	"testing"

	"shoal/wire"
)

// FuzzLabels reads the labels of a container that anybody may have made.
func FuzzLabels(f *testing.F) {
	l := Labels(Ref{Swarm: "s", Peer: wire.PeerID{1}, Token: 3, Life: 1})
	f.Add(l[LabelPeer], "default/shop", "web", "2", "1", "3", l[LabelSpec], "")
	f.Add(l[LabelPeer], "default/shop", "backup", "0", "1", "3", l[LabelSpec], "2026-11-21T02:00Z")
	f.Fuzz(func(t *testing.T, peer, id, task, index, life, token, spec, at string) {
		in := map[string]string{
			LabelSwarm: "s", LabelPeer: peer, LabelJob: id, LabelTask: task, LabelIndex: index, LabelLife: life,
			LabelToken: token, LabelSpec: spec, LabelAt: at,
		}
		ref, err := ParseLabels(in)
		if err != nil {
			return
		}
		if again, err := ParseLabels(Labels(ref)); err != nil || again != ref {
			t.Errorf("%+v, then %+v: %v", ref, again, err)
		}
		_ = Name(ref)
	})
}

// FuzzLogLine reads a line of a container's output as a driver hands it on.
func FuzzLogLine(f *testing.F) {
	f.Add("o 2026-11-21T09:30:00Z hello")
	f.Add("e t \n")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLogLine(s)
		if err != nil {
			return
		}
		if again, err := ParseLogLine(l.String()); err != nil || again != l {
			t.Errorf("%+v, then %+v: %v", l, again, err)
		}
	})
}
