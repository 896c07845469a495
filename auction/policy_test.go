package auction

import (
	"strings"
	"testing"

	"shoal/job"
	"shoal/wire"
)

func constraint(t *testing.T, text string) job.Constraint {
	t.Helper()
	c, err := job.ParseConstraint(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What the owner does not want is refused with the rule that says so, and a task that
// keeps all the rules is taken.
func TestPolicy_Refuses(t *testing.T) {
	signer := wire.PeerID{7}
	for _, tc := range []struct {
		name   string
		policy Policy
		change func(s *Self, spec *job.Spec, task *job.Task)
		want   string
	}{
		{"nothing is asked", Policy{}, nil, ""},
		{"a label of the job", Policy{Jobs: []job.Constraint{constraint(t, "team == shop")}}, nil, ""},
		{"the task's own label wins", Policy{Jobs: []job.Constraint{constraint(t, "tier == back")}}, nil, "owner refuses: wants of jobs tier == back"},
		{"facts of the task", Policy{Jobs: []job.Constraint{
			constraint(t, "namespace in (default)"), constraint(t, "job == shop"), constraint(t, "task == web"),
			constraint(t, "image =~ ^ghcr.io/"), constraint(t, "type != batch"),
		}}, nil, "owner refuses: wants of jobs image =~ ^ghcr.io/"},
		{"signed by name", Policy{Signers: []string{"attic", "kitchen"}}, nil, ""},
		{"signed by ID", Policy{Signers: []string{signer.String()}}, nil, ""},
		{"signed elsewhere", Policy{Signers: []string{"attic"}}, nil, "owner refuses: accepted at kitchen"},
		{"a name that two have", Policy{Signers: []string{"kitchen"}}, func(s *Self, _ *job.Spec, _ *job.Task) {
			s.SignerOf = func(job.ID) (wire.PeerID, string) { return signer, "" }
		}, "owner refuses: accepted at " + signer.Short()},
		{"end of an ID", Policy{Signers: []string{signer.Short()}}, nil, "owner refuses: accepted at kitchen"},
		{"nobody knows who signed", Policy{Signers: []string{"kitchen"}}, func(s *Self, _ *job.Spec, _ *job.Task) { s.SignerOf = nil }, "owner refuses: accepted at an unknown"},
		{"no fetch, unmetered", Policy{LimitsFetch: true}, func(_ *Self, _ *job.Spec, t *job.Task) { t.Image = "nginx" }, ""},
		{"no fetch, metered", Policy{LimitsFetch: true}, func(s *Self, _ *job.Spec, t *job.Task) { t.Image, s.Metered = "nginx", true }, "owner refuses: fetches no image on a metered link"},
		{"no fetch, image here", Policy{LimitsFetch: true}, func(s *Self, _ *job.Spec, _ *job.Task) { s.Metered = true }, ""},
		{"no fetch, always pulled", Policy{LimitsFetch: true}, func(s *Self, _ *job.Spec, t *job.Task) { t.Pull, s.Metered = "always", true }, "owner refuses: fetches no"},
		{"a large image", Policy{LimitsFetch: true, MaxFetch: 1 << 20}, func(s *Self, _ *job.Spec, _ *job.Task) {
			s.Metered, s.HasImage = true, func(string) (bool, int64) { return false, 3 << 20 }
		}, "owner refuses: image of 3.0 MiB, at most 1.0 MiB on a metered link"},
		{"slots left", Policy{MaxSlots: 2}, func(s *Self, _ *job.Spec, _ *job.Task) { s.Held = 1 }, ""},
		{"no slots left", Policy{MaxSlots: 2}, func(s *Self, _ *job.Spec, _ *job.Task) { s.Held = 2 }, "owner refuses: holds 2 slots, at most 2"},
		{"closed", Policy{}, func(s *Self, _ *job.Spec, _ *job.Task) { s.Closed = "owner refuses: closed until 22:00" }, "owner refuses: closed until 22:00"},
	} {
		self, task := readySelf(), webTask()
		spec := &job.Spec{Namespace: "default", Name: "shop", Labels: map[string]string{"team": "shop", "tier": "back"}}
		task.Labels = map[string]string{"tier": "front"}
		self.Accept = &tc.policy
		self.SignerOf = func(job.ID) (wire.PeerID, string) { return signer, "kitchen" }
		if tc.change != nil {
			tc.change(self, spec, task)
		}
		b := answerOne(self, spec, task)
		got := b.No
		if got == "" {
			got = b.Offers[0].No
		}
		if tc.want == "" && got != "" || !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestPolicy_Closed(t *testing.T) {
	night := &Policy{Hours: []Span{{22 * 60, 6 * 60}, {12 * 60, 13 * 60}}}
	for _, tc := range []struct {
		policy *Policy
		is     Condition
		want   string
	}{
		{nil, Condition{Battery: true, TempC: 120}, ""},
		{&Policy{}, Condition{Battery: true, TempC: 120}, ""},
		{night, Condition{Minute: 22 * 60}, ""},
		{night, Condition{Minute: 5*60 + 59}, ""},
		{night, Condition{Minute: 6 * 60}, "owner refuses: closed until 12:00"},
		{night, Condition{Minute: 12*60 + 30}, ""},
		{night, Condition{Minute: 13 * 60}, "owner refuses: closed until 22:00"},
		{&Policy{Hours: []Span{{0, 0}}}, Condition{Minute: 700}, ""},
		{&Policy{OnMains: true}, Condition{}, ""},
		{&Policy{OnMains: true}, Condition{Battery: true}, "owner refuses: nothing while on battery"},
		{&Policy{MaxTempC: 80}, Condition{TempC: 80}, ""},
		{&Policy{MaxTempC: 80}, Condition{TempC: 81}, "owner refuses: nothing while hotter than 80 °C"},
	} {
		if got := tc.policy.Closed(tc.is); got != tc.want {
			t.Errorf("%+v, %+v: %q, want %q", tc.policy, tc.is, got, tc.want)
		}
	}
}

// What depends on the task is private, what depends on the peer's own state is not:
// that it says in its standing bid.
func TestPolicy_IsPrivate(t *testing.T) {
	for _, p := range []*Policy{nil, {}, {Hours: []Span{{0, 1}}, OnMains: true, MaxTempC: 80, Devices: []string{"/dev/x"}}} {
		if p.IsPrivate() {
			t.Errorf("%+v is private", p)
		}
	}
	for _, p := range []*Policy{{Namespaces: []string{"a"}}, {Jobs: []job.Constraint{{Label: "a"}}}, {Signers: []string{"a"}}, {LimitsFetch: true}, {MaxSlots: 1}} {
		if !p.IsPrivate() {
			t.Errorf("%+v is not private", p)
		}
	}
}

// An award of more slots than the owner allows is taken as far as it goes.
func TestCheckAward_CountsSlots(t *testing.T) {
	self, task := readySelf(), webTask()
	self.Accept, self.Held = &Policy{MaxSlots: 3}, 1
	task.Needs = res(1, 1)
	spec := &job.Spec{Namespace: "default", Name: "shop"}
	var taken int
	for i := range 4 {
		a := wire.AwardedSlot{Slot: job.SlotID{Job: spec.ID(), Task: task.Name, Index: i}, Life: 1}
		if _, no := CheckAward(self, &a, func(job.ID, uint64, string, wire.Hash) (*job.Spec, *job.Task, bool) { return spec, task, true }); no == "" {
			taken++
		}
	}
	if taken != 2 {
		t.Errorf("%d slots taken, 2 were left", taken)
	}
}
