package auction

import (
	"testing"

	"shoal/job"
)

func TestUnmetAffinity(t *testing.T) {
	db := job.Affinity{Task: "db"}
	must := job.Affinity{Task: "db", Required: true}
	zone := job.Affinity{Task: "db", Over: "zone", Required: true}
	for _, tt := range []struct {
		name      string
		task      job.Task
		found     Found
		no        string
		preferred int
	}{
		{"near, here", job.Task{Near: []job.Affinity{must, db}}, Found{Here: "shop/db.0"}, "", 0},
		{"near, nowhere", job.Task{Near: []job.Affinity{must}}, Found{}, "near: db runs nowhere", 0},
		{"near, elsewhere", job.Task{Near: []job.Affinity{must}}, Found{Elsewhere: "pi4"}, "near: db runs on pi4", 0},
		{"rather near", job.Task{Near: []job.Affinity{db}}, Found{Elsewhere: "pi4"}, "", 1},
		{"near over a label", job.Task{Near: []job.Affinity{zone}}, Found{Here: "shop/db.0", At: "pi4"}, "", 0},
		{"apart, here", job.Task{Apart: []job.Affinity{must}}, Found{Here: "shop/db.0"}, "apart: shop/db.0 is here", 0},
		{"apart over a label", job.Task{Apart: []job.Affinity{zone}}, Found{Here: "shop/db.0", At: "pi4"}, "apart: shop/db.0 is on pi4, of the same zone", 0},
		{"apart, elsewhere", job.Task{Apart: []job.Affinity{must}}, Found{Elsewhere: "pi4"}, "", 0},
		{"rather apart", job.Task{Apart: []job.Affinity{db}}, Found{Here: "shop/db.0"}, "", 1},
	} {
		self := &Self{Beside: func(job.ID, job.Affinity) Found { return tt.found }}
		if no, n := unmetAffinity(self, "default/shop", &tt.task); no != tt.no || n != tt.preferred {
			t.Errorf("%s: got %q and %d, want %q and %d", tt.name, no, n, tt.no, tt.preferred)
		}
	}
}

// What is rather met costs the same of both kinds, and shows in the terms.
func TestBucket_Affinities(t *testing.T) {
	c := Costs{ImagePresent: true, Affinities: 2}
	if got, terms := Bucket(c), termsOf(c); got != 2*costAffinity || int(terms[TermAffinity]) != 2*costAffinity {
		t.Errorf("bucket %d, terms %v", got, terms)
	}
	if got := Bucket(Costs{ImagePresent: true, Affinities: 1 << 20}); got != costAffinity*maxAffinities {
		t.Errorf("very many cost %d", got)
	}
}
