package sim

import (
	"maps"
	"strings"
)

// workVerbs are the verbs of users; whatever else does something is a fault, or
// the end of one.
var workVerbs = map[string]bool{
	"submit": true, "deploy": true, "update": true, "scale": true, "remove": true, "redeploy": true, "rollback": true,
	"drain": true, "leave": true, "expel": true, "exit": true,
}

// isFault reports whether a line does harm, or ends it.
func isFault(op *Op) bool {
	v, ok := verbs[op.Verb]
	return ok && v.do != nil && !workVerbs[op.Verb]
}

// endsFault reports whether a line ends what another one began.
func endsFault(op *Op) bool {
	switch op.Verb {
	case "heal", "fix", "restart":
		return true
	case "net":
		return op.Opts["loss"] == "1%" && op.Opts["dup"] == "0%" // as plans are drawn
	case "link":
		return op.Opts["loss"] == "0%" && op.Opts["bandwidth"] == "100Mbit"
	case "diskfull":
		return strings.HasSuffix(op.Opts["free"], "GiB")
	}
	return false
}

// Faults is how many harms the scenario does; what ends one is not counted.
func (s *Scenario) Faults() (n int) {
	for i := range s.Ops {
		if op := &s.Ops[i]; isFault(op) && !endsFault(op) {
			n++
		}
	}
	return n
}

func cloneOpts(opts map[string]string) map[string]string {
	if opts = maps.Clone(opts); opts == nil {
		opts = map[string]string{}
	}
	return opts
}
