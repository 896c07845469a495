package job_test

import (
	"testing"

	"shoal/job"
)

// TestJudge_TellsLaterValuesFromWrongOnes has what a later version may know stop its
// task alone, and what none would allow the whole job.
func TestJudge_TellsLaterValuesFromWrongOnes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*job.Task)
		want   string // "": the whole job is wrong
	}{
		{"a type", func(t *job.Task) { t.Type = 99 }, "type 99"},
		{"a word", func(t *job.Task) { t.Update.Order = "rolling" }, `update.order "rolling"`},
		{"a protocol", func(t *job.Task) { t.Ports = []job.Port{{Target: 80, Protocol: "sctp"}} }, `ports[0].protocol "sctp"`},
		{"a kind of mount", func(t *job.Task) { t.Mounts = []job.Mount{{Type: "nfs", Target: "/a"}} }, `mounts[0].type "nfs"`},
		{"too many copies", func(t *job.Task) { t.Count = job.MaxCount + 1 }, ""},
		{"a wrong name", func(t *job.Task) { t.Name = "a b" }, ""},
		{"the engine's socket", func(t *job.Task) {
			t.Type = 99
			t.Mounts = []job.Mount{{Type: "bind", Source: "/run/docker.sock", Target: "/a"}}
		}, ""},
	} {
		s := job.Spec{Namespace: "default", Name: "shop", Tasks: []job.Task{{Name: "a", Image: "nginx"}, {Name: "b", Image: "nginx"}}}
		s.Defaults()
		if later, err := s.Judge(); err != nil || len(later) != 0 {
			t.Fatal(later, err)
		}
		tc.change(&s.Tasks[0])
		later, err := s.Judge()
		if (err != nil) != (tc.want == "") || later["a"] != tc.want || later["b"] != "" || s.Validate() == nil {
			t.Errorf("%s: %q, %v; want %q", tc.name, later, err, tc.want)
		}
	}
}
