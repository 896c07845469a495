package job

import (
	"fmt"
	"strings"
	"testing"
)

func TestValidate_Affinities(t *testing.T) {
	for _, tt := range []struct {
		name        string
		near, apart []Affinity
		want        string // a part of what is wrong; "": nothing
	}{
		{name: "task and job", near: []Affinity{{Task: "db", Required: true}, {Job: "prod/shop"}}},
		{name: "over a label", apart: []Affinity{{Task: "web", Over: "zone", Required: true}, {Label: "tier=db", Over: "node-room"}}},
		{name: "near to itself, if there is one", near: []Affinity{{Task: "web"}}},
		{"unknown task", []Affinity{{Task: "dp"}}, nil, `near[0].task: the job has no task "dp"`},
		{"nothing", []Affinity{{Over: "zone"}}, nil, "near[0]: names nothing"},
		{"two", nil, []Affinity{{Task: "db", Job: "shop"}}, "apart[0]: names more than one"},
		{"bad job", []Affinity{{Job: "a/b/c"}}, nil, "near[0].job: "},
		{"bad label", []Affinity{{Label: "tier"}}, nil, `near[0].label: "tier" is no label`},
		{"bad over", nil, []Affinity{{Task: "db", Over: "a b"}}, `apart[0].over: "a b" is no label of peers`},
		{"both", []Affinity{{Task: "db"}}, []Affinity{{Task: "db", Required: true}}, `apart[0]: "db" is also what it is to be near to`},
		{"itself", []Affinity{{Task: "web", Required: true}}, nil, `near[0]: "web" waits for the task itself`},
		{"in a circle", []Affinity{{Task: "app", Required: true}}, nil, "waits for the task itself"},
		{"too many", make([]Affinity, 17), nil, "near: 17 are too many"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Spec{Namespace: "default", Name: "shop", Tasks: []Task{
				{Name: "app", Image: "app:1", Count: 1, Near: []Affinity{{Task: "web", Required: true}}},
				{Name: "db", Image: "db:1", Count: 1},
				{Name: "web", Image: "web:1", Count: 2, Near: tt.near, Apart: tt.apart},
			}}
			s.Defaults()
			if got := fmt.Sprint(s.Validate()); tt.want == "" && got != "<nil>" || !strings.Contains(got, tt.want) {
				t.Errorf("got %s, want %q", got, tt.want)
			}
		})
	}
}

// A circle of which one half is a dependency and the other an affinity is one, too.
func TestAffinity_CircleWithADependency(t *testing.T) {
	s := Spec{Namespace: "default", Name: "shop", Tasks: []Task{
		{Name: "v", Image: "v:1", Count: 1, DependsOn: []Dependency{{Task: "w"}}},
		{Name: "w", Image: "w:1", Count: 1, Near: []Affinity{{Task: "v", Required: true}}},
	}}
	s.Defaults()
	if got := fmt.Sprint(s.Validate()); !strings.Contains(got, `"v" waits for the task itself`) {
		t.Errorf("got %s", got)
	}
	s.Tasks[1].Near[0].Required = false
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}

func TestAffinity_String(t *testing.T) {
	got := fmt.Sprint([]Affinity{{Task: "db"}, {Job: "shop", Over: "zone", Required: true}, {Label: "tier=db"}})
	if want := "[db job shop over zone, required label tier=db]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDiff_Affinities(t *testing.T) {
	of := func(near ...Affinity) *Spec { return &Spec{Tasks: []Task{{Name: "web", Near: near}}} }
	got := Diff(of(), of(Affinity{Task: "db", Over: "zone", Required: true}))
	if len(got) != 1 || got[0].Field != "near" || got[0].New != "db over zone, required" {
		t.Errorf("got %+v", got)
	}
}
