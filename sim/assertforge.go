package sim

import (
	"fmt"

	"shoal/node"
)

// treated asks every running peer how it treats one; the first that f accepts ends it.
func (r *run) treated(op *Op, f func(node.PeerView) bool) (by string, err error) {
	m, err := r.w.find(op.Args[0])
	if err != nil {
		return "", err
	}
	for _, o := range r.w.machines {
		if o == m || o.core == nil {
			continue
		}
		for _, v := range o.core.Peers() {
			if v.ID == m.id && f(v) {
				return o.name, nil
			}
		}
	}
	return "", nil
}

func (r *run) isRefused(op *Op) string {
	by, err := r.treated(op, func(v node.PeerView) bool { return v.RefusedFor > 0 })
	switch {
	case err != nil:
		return err.Error()
	case by == "":
		return "nobody refuses it"
	}
	return ""
}

func (r *run) isForgiven(op *Op) string {
	by, err := r.treated(op, func(v node.PeerView) bool { return v.RefusedFor > 0 || v.Ignored })
	switch {
	case err != nil:
		return err.Error()
	case by != "":
		return fmt.Sprintf("%s holds something against it still", by)
	}
	return ""
}
