package sim

import "fmt"

// maxWaits is how many waiting slots a Result names.
const maxWaits = 20

// waits names the wanted slots that nobody holds at the end, and why: a slot that
// fits nowhere breaks no rule, and is seldom what somebody meant. Why, only the
// stewards know.
func (w *World) waits() (out []string) {
	m := w.witness()
	if m == nil {
		return nil
	}
	more := 0
	for _, v := range m.slots("") {
		switch {
		case v.Phase != "waiting" || v.Surplus:
		case len(out) >= maxWaits:
			more++
		default:
			why := v.Detail
			for _, p := range m.core.Lead(v.ID.Job) {
				s := w.speaker(m, p)
				if s == nil || s.core == nil {
					continue
				}
				if view, err := s.core.Why(v.Slot); err == nil && view.Waiting != nil {
					why = view.Waiting.Reason
					break
				}
			}
			out = append(out, v.Slot+colon(why))
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}

func colon(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}
