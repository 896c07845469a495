package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Peer writes a peer as the scenario does: "nas.1" as its number, and "holder of web.0"
// or "holder(web.0)" with the job whose task web is. What it does not know it returns as
// it is. The error says that several jobs have such a task.
func (p *Plan) Peer(text string) (string, error) {
	text = strings.TrimSpace(strings.TrimPrefix(text, "peer "))
	if i := slices.Index(p.Peers, text); i >= 0 {
		return fmt.Sprintf("n%d", i+1), nil
	}
	if m := singleOf.FindStringSubmatch(text); m != nil {
		text = m[1] + "(" + m[2] + ")"
	}
	slot, ok := strings.CutPrefix(text, "holder(")
	if !ok {
		return text, nil
	}
	task, _, _ := strings.Cut(strings.TrimSuffix(slot, ")"), ".")
	var of []string
	for _, s := range p.jobs {
		if s.Task(task) != nil {
			of = append(of, s.Name)
		}
	}
	switch {
	case strings.Contains(task, "/") || len(of) == 0:
		return text, nil
	case len(of) > 1:
		return "", fmt.Errorf("the jobs %s have a task %s each; write holder(%s/%s", strings.Join(of, ", "), task, of[0], slot)
	}
	return "holder(" + of[0] + "/" + slot, nil
}

// Near says which of the plan's peers somebody may have meant.
func (p *Plan) Near(text string) string { return near(text, p.Peers[:min(len(p.Peers), 200)]) }
