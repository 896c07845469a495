package sim_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"shoal/job"
	"shoal/job/compose"
	"shoal/sim"
	"shoal/sim/plan"
)

// Every plan that we show to users is read without a warning, and its first minutes,
// with the first cut, run as it says. (All of it: shoal sim run examples/sim/forty.yaml.)
func TestPlansRun(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			p, err := plan.Read(data, file, plan.Options{Compose: func(name, jobName string) (*job.Spec, error) {
				spec, _, err := compose.Load(t.Context(), compose.Options{Files: []string{name}, Name: jobName, Strict: true})
				return spec, err
			}})
			if err != nil {
				t.Fatal(err)
			}
			p.Scenario.Run = 12 * time.Minute
			if res := sim.Run(p.Scenario, sim.Options{}); res.Failure != nil {
				t.Fatal(res.String())
			}
		})
	}
}
