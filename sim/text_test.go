package sim

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestJSON_DurationsHaveTheirUnit looks at all that run, soak and replay print.
func TestJSON_DurationsHaveTheirUnit(t *testing.T) {
	const d, text = 62*time.Second + 500*time.Millisecond, `"1m2.5s"`
	failure := &Failure{Kind: Safety, At: d}
	for _, c := range []struct {
		name string
		v    any
		want []string
	}{
		{"run", &Result{Simulated: d, Calm: d, Wall: d, Failure: failure}, []string{"simulated", "calm", "wall", "at"}},
		{"soak", &Soaked{Time: d, Simulated: d, Wall: d, Failures: []SoakFailure{{Failure: *failure}}}, []string{"time", "simulated", "wall", "at"}},
		{"replay", &Seen{Step: &StepView{At: d, Now: d, WakeAt: d}}, []string{"at", "now", "wakeAt"}},
		{"diff", &Parting{StepA: &StepView{At: d}, StepB: &StepView{Now: d}}, []string{"at", "now"}},
	} {
		out, err := json.Marshal(c.v)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range c.want {
			if !strings.Contains(string(out), `"`+key+`":`+text) {
				t.Errorf("%s: %s is not %s: %s", c.name, key, text, out)
			}
		}
		if strings.Contains(string(out), "62500000000") {
			t.Errorf("%s: nanoseconds: %s", c.name, out)
		}
	}
	if out, _ := json.Marshal(Result{}); strings.Contains(string(out), `"calm"`) {
		t.Errorf("no calm, and yet: %s", out)
	}
}
