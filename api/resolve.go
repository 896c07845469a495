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
		return target{job: slot.Job, task: slot.Task, slot: slot.String()}, nil
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

// findPeer finds a member by name, by ID or by the end of its ID; an empty text is
// the answering peer. One that is gone is found by its ID alone.
func findPeer(c *node.Core, text string) (wire.PeerID, error) { return pickPeer(c, text, false) }

// findExpelled finds a peer to remove: a member, as findPeer does, or one that left.
func findExpelled(c *node.Core, text string) (wire.PeerID, error) { return pickPeer(c, text, true) }

func pickPeer(c *node.Core, text string, orLeft bool) (wire.PeerID, error) {
	var found, left []node.PeerView
	var known []string
	for _, p := range c.Peers() {
		if text == "" && p.Self {
			return p.ID, nil
		}
		if p.ID.String() == text {
			return p.ID, nil
		}
		called := text != "" && (p.Name == text || p.ID.Short() == text)
		switch {
		case p.State == "removed" || p.State == "left" && !orLeft:
		case p.State == "left":
			if called {
				left = append(left, p)
			}
		default:
			known = append(known, p.Name)
			if called {
				found = append(found, p)
			}
		}
	}
	if len(found) == 0 { // a member goes before one that left and had its name
		found = left
	}
	switch len(found) {
	case 1:
		return found[0].ID, nil
	case 0:
		hint := "there is " + strings.Join(known[:min(len(known), 8)], ", ")
		if near := job.Near(text, known); len(near) > 0 {
			hint = fmt.Sprintf("did you mean %s?", strings.Join(near, " or "))
		}
		return wire.PeerID{}, failf(http.StatusNotFound, "no peer %q here; %s", text, hint)
	}
	var ids []string
	for _, p := range found {
		ids = append(ids, p.ID.String())
	}
	return wire.PeerID{}, failf(http.StatusConflict, "%d peers are called %q: name one by its ID, %s", len(found), text, strings.Join(ids, " or "))
}
