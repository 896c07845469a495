package shop_test

import (
	"testing"

	"shoal/job/compose"
)

// The files that we show to users first must be free of warnings.
func TestFilesAreStrict(t *testing.T) {
	for _, tc := range []struct {
		file  string
		slots map[string]int // copies of each task
	}{
		{"compose.yaml", map[string]int{"web": 2, "api": 1, "redis": 1}},
		{"processes.yaml", map[string]int{"web": 1, "api": 1, "counter": 1}},
	} {
		t.Run(tc.file, func(t *testing.T) {
			spec, warnings, err := compose.Load(t.Context(), compose.Options{
				Files: []string{tc.file}, Strict: true, Env: map[string]string{"SHOP": "/srv/shop"},
			})
			if err != nil {
				t.Fatal(err, warnings)
			}
			for _, w := range warnings {
				t.Logf("%+v", w)
			}
			if spec.Name != "shop" || len(spec.Tasks) != len(tc.slots) {
				t.Fatalf("job %s with %d tasks", spec.Name, len(spec.Tasks))
			}
			for _, task := range spec.Tasks {
				if task.Count != tc.slots[task.Name] {
					t.Errorf("%s has %d copies, want %d", task.Name, task.Count, tc.slots[task.Name])
				}
			}
		})
	}
}
