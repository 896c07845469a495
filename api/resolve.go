package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"shoal/job"
	"shoal/node"
	"shoal/wire"
)

// A target is what a user named: a job, one of its tasks, or one of its slots.
type target struct {
	job  job.ID
	task string // empty: the whole job
	slot string // empty: no single slot
}

// resolve reads "shop", "prod/shop", "shop/web", "shop/web.0" or "shop/agent@PEER".
// A namespace and a job look alike: what is deployed decides.
func resolve(c *node.Core, text string) (target, error) {
	text = strings.TrimPrefix(text, job.DefaultNamespace+"/")
	if slot, err := job.ParseSlotID(text); err == nil && hasJob(c, slot.Job) {
		found, err := c.FindSlot(text)
		if err != nil {
			return target{}, failf(http.StatusNotFound, "%v", err)
		}
		return target{job: slot.Job, task: slot.Task, slot: c.SlotName(found)}, nil
	}
	if id, err := job.ParseID(text); err == nil && hasJob(c, id) {
		return target{job: id}, nil
	}
	if cut := strings.LastIndex(text, "/"); cut >= 0 {
		id, err := job.ParseID(text[:cut])
		if err == nil && hasJob(c, id) {
			return taskTarget(c, id, text[cut+1:])
		}
	}
	return target{}, noSuch(c, text)
}

func taskTarget(c *node.Core, id job.ID, task string) (target, error) {
	spec, _, err := c.Inspect(id)
	if err != nil {
		return target{}, failf(http.StatusNotFound, "%v", err)
	}
	var have []string
	for _, t := range spec.Tasks {
		have = append(have, t.Name)
	}
	if !slices.Contains(have, task) {
		return target{}, failf(http.StatusNotFound, "job %s has no task %q: it has %s", id, task, strings.Join(have, ", "))
	}
	return target{job: id, task: task}, nil
}

func hasJob(c *node.Core, id job.ID) bool {
	h := c.Ledger().Head(id)
	return h != nil && !h.Deleted
}

// noSuch lets the core say which jobs there are, with near matches.
func noSuch(c *node.Core, text string) error {
	id, err := job.ParseID(text)
	if slot, slotErr := job.ParseSlotID(text); slotErr == nil {
		id, err = slot.Job, nil
	} else if cut := strings.LastIndex(text, "/"); err != nil && cut > 0 {
		id, err = job.ParseID(text[:cut])
	}
	if err != nil {
		return failf(http.StatusBadRequest, "%q: want a job, a task or a slot, such as shop, shop/web or shop/web.0", text)
	}
	if _, _, err := c.Inspect(id); err != nil {
		return failf(http.StatusNotFound, "%v", err)
	}
	return failf(http.StatusNotFound, "nothing is called %q", text)
}

// findPeer finds a member by name, by its ID or by the end or the beginning of that; an
// empty text is the answering peer.
func findPeer(c *node.Core, text string) (wire.PeerID, error) { return pickPeer(c, text, false) }

// findExpelled finds a peer to remove: a member, as findPeer does, or one that left.
func findExpelled(c *node.Core, text string) (wire.PeerID, error) { return pickPeer(c, text, true) }

// leastOfID is how much of the end of an ID names a peer. People have the last eight
// characters, from `shoal peers`.
const leastOfID = 4

// headOfID is how much of its beginning does: the first eight are the same in all.
const headOfID = 12

func isPartOf(id, text string) bool {
	return len(text) >= leastOfID && strings.HasSuffix(id, text) || len(text) >= headOfID && strings.HasPrefix(id, text)
}

// named are the peers that a text may mean.
type named struct {
	members, left, removed []node.PeerView
}

func (n *named) add(p node.PeerView) {
	switch p.State {
	case "removed":
		n.removed = append(n.removed, p)
	case "left":
		n.left = append(n.left, p)
	default:
		n.members = append(n.members, p)
	}
}

func pickPeer(c *node.Core, text string, orLeft bool) (wire.PeerID, error) {
	return pickFrom(c.Peers(), text, orLeft)
}

func pickFrom(peers []node.PeerView, text string, orLeft bool) (wire.PeerID, error) {
	var byName, byID named
	var known []string
	for _, p := range peers {
		if text == "" && p.Self {
			return p.ID, nil
		}
		if p.State != "removed" && p.State != "left" {
			known = append(known, p.Name)
		}
		switch {
		case text == "":
		case p.Name == text:
			byName.add(p)
		case isPartOf(p.ID.String(), text):
			byID.add(p)
		}
	}
	// A member goes before one that left and had its name, and a name before an ID.
	for _, n := range []named{byName, byID} {
		found := n.members
		if len(found) == 0 && orLeft {
			found = n.left
		}
		if len(found) > 0 {
			return onlyPeer(text, found)
		}
	}
	for _, gone := range [][]node.PeerView{byName.left, byID.left, byName.removed, byID.removed} {
		if len(gone) > 0 {
			return wire.PeerID{}, isGone(text, gone[0].State)
		}
	}
	known = slices.Compact(known) // they are in order
	hint := "there is " + strings.Join(known[:min(len(known), 8)], ", ")
	if near := job.Near(text, known); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %s?", strings.Join(near, " or "))
	}
	return wire.PeerID{}, failf(http.StatusNotFound, "no peer %q here; %s", text, hint)
}

// isGone says that a peer is no member any more.
func isGone(text, state string) error {
	if state == "left" {
		return failf(http.StatusGone, "peer %s has left the swarm; a ticket takes it in again", text)
	}
	return failf(http.StatusGone, "peer %s was removed from the swarm already; there is nothing more to do to it", text)
}

// onlyPeer is the one that was found, or says how each of several is told from the others.
func onlyPeer(text string, found []node.PeerView) (wire.PeerID, error) {
	if len(found) == 1 {
		return found[0].ID, nil
	}
	var which []string
	for _, p := range found {
		which = append(which, fmt.Sprintf("%s (%s, %s)", p.ID.Short(), p.Name, p.State))
	}
	return wire.PeerID{}, failf(http.StatusConflict, "%d peers are called %q: name one by the end of its ID, %s",
		len(found), text, strings.Join(which, " or "))
}
