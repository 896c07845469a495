package auction

import (
	"cmp"
	"fmt"

	"shoal/job"
)

// Found is what copies of an affinity there are, as far as the ledger tells. A copy whose
// holder is about to give it up is none.
type Found struct {
	Here      string // "shop/db.0", of one at the peer, or at a peer of the same place
	At        string // where Here is: the peer's name; empty: at the peer itself
	Elsewhere string // the name of some peer of another place that has one
}

// unmetAffinity says which required affinity a peer does not meet, or "", and how many that
// are not required. Who cannot see the other copies meets none that is required.
func unmetAffinity(self *Self, id job.ID, task *job.Task) (no string, preferred int) {
	find := self.Beside
	if find == nil {
		find = func(job.ID, job.Affinity) Found { return Found{} }
	}
	for _, a := range task.Near {
		switch f := find(id, a); {
		case f.Here != "":
		case !a.Required:
			preferred++
		case f.Elsewhere == "":
			return fmt.Sprintf("%s: %s runs nowhere", Near, a.What()), 0
		default:
			return fmt.Sprintf("%s: %s runs on %s", Near, a.What(), f.Elsewhere), 0
		}
	}
	for _, a := range task.Apart {
		switch f := find(id, a); {
		case f.Here == "":
		case a.Required:
			return fmt.Sprintf("%s: %s is %s", Apart, f.Here, cmp.Or(on(f.At, a.Over), "here")), 0
		default:
			preferred++
		}
	}
	return "", preferred
}

// on says at which peer of the same place a copy is.
func on(peer, over string) string {
	if peer == "" {
		return ""
	}
	return fmt.Sprintf("on %s, of the same %s", peer, over)
}
