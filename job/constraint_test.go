package job_test

import (
	"slices"
	"strings"
	"testing"

	"shoal/job"
)

// kitchen is a peer with labels, and facts that labels do not hide.
func kitchen() *job.Facts {
	return &job.Facts{
		ID: "k7m2", Name: "kitchen", Datacenter: "home", OS: "linux", Arch: "arm64", Driver: "docker",
		Capacity: job.Resources{CPUMilli: 4500, MemBytes: 8 << 30}, Metered: true,
		Labels: map[string]string{"zone": "kitchen", "ssd": "", "disk": "512GB", "kernel": "6.1.0-18-arm64", "rack": "07", "name2": "x"},
	}
}

func TestConstraint(t *testing.T) {
	for _, tt := range []struct {
		text  string
		match bool
	}{
		{"zone == kitchen", true},
		{"zone==attic", false},
		{"zone != attic", true},
		{"zone != kitchen", false},
		{"node.labels.zone == kitchen", true},
		{"gpu != none", true},
		{"gpu == none", false},
		{"ssd", true},
		{"gpu", false},
		{"!gpu", true},
		{"! ssd", false},
		{"in", false},
		{"not in (a)", false}, // has a label "not", in which a list stands
		{"zone in (attic, kitchen)", true},
		{"zone in(attic,kitchen)", true},
		{"zone IN ( kitchen )", true},
		{"zone in (attic)", false},
		{"zone not in (attic, cellar)", true},
		{"zone not in (kitchen)", false},
		{"gpu not in (a100)", true},
		{"gpu in (a100)", false},
		{"zone =~ ^kit", true},
		{"zone=~itch", true},
		{"zone =~ ^itch", false},
		{"gpu =~ .*", false},
		{"cores >= 4", true},
		{"cores > 4", false},
		{"cores<5", true},
		{"cores <= 3", false},
		{"node.labels.cores >= 4", true},
		{"memory >= 8GiB", true},
		{"memory > 8g", false},
		{"memory >= 8.001GiB", false},
		{"memory >= 7.5GiB", true},
		{"memory == 8192MiB", false}, // bytes are no size with a unit
		{"disk == 512GiB", true},
		{"disk >= 0.5TiB", true},
		{"disk != 524288MiB", false},
		{"kernel >= 5.15", true},
		{"kernel >= 6.1", true},
		{"kernel > 6.1.0", false},
		{"kernel >= 6.10", false},
		{"kernel >= 7", false},
		{"rack >= 7", true},
		{"rack == 7", false},
		{"zone >= 4", false},
		{"zone < 4", false},
		{"gpu < 4", false},
		{"temperature > -5", false},
		{"cores > -5", true},
		{"node.hostname == kitchen", true},
		{"node.id == k7m2", true},
		{"node.platform.os == linux", true},
		{"node.platform.arch == aarch64", true},
		{"arch in (amd64, arm64)", true},
		{"arch != aarch64", false},
		{"node.platform.arch == x86_64", false},
		{"datacenter == home", true},
		{"driver == process", false},
		{"metered == no", false},
		{"battery == no", true},
		{"gpus == 0", true}, {"gpus > 1", false},
	} {
		c, err := job.ParseConstraint(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if got := c.MatchFunc(kitchen().Value); got != tt.match {
			t.Errorf("%q: %+v: match %v, want %v", tt.text, c, got, tt.match)
		}
		if again, err := job.ParseConstraint(c.String()); err != nil || again != c {
			t.Errorf("%q does not read back from %q: %+v, %v", tt.text, c.String(), again, err)
		}
	}
}

func TestConstraint_SaysWhatWouldBeRight(t *testing.T) {
	const known = "those that are: ==, !=, <, <=, >, >=, in, not in, =~ (\""
	for _, tt := range []struct{ text, want string }{
		{"", `"" is no label name`},
		{"a b", `"a b" is no label name`},
		{"!a b", `"a b" is no label name`},
		{"zone ==", `"" is no label value`},
		{"zone == a=b", `"a=b" is no label value`},
		{"zone = x", `operator "=" is not known; ` + known + `zone == value")`},
		{"zone === x", `operator "===" is not known`},
		{"cores => 4", `operator "=>" is not known`},
		{"zone ~ x", `operator "~" is not known`},
		{"zone matches x", `operator "matches" is not known`},
		{"a && b", `operator "&&" is not known`},
		{"= 4", `operator "=" is not known; ` + known + `label == value")`},
		{">= 4", `"" is no label name`},
		{"cores >= many", `"many" is no number; write a whole number, a size such as 4GiB or a version such as 6.1`},
		{"cores >= 4 GiB", `"4 GiB" is no number`},
		{"cores >= 99999999999999999999", `is no number`},
		{"memory >= 99999999999TiB", `is no number`},
		{"memory >= 4PiB", `"4PiB" is no number`},
		{"zone in kitchen,attic", `what follows in is a list; write "zone in (a, b)"`},
		{"zone not in", `what follows not in is a list; write "zone not in (a, b)"`},
		{"zone in ()", `"" is no label value`},
		{"zone in (a, (b)", `"(b" is no label value`},
		{"zone in (" + strings.Repeat("a,", 32) + "a)", "33 values are too many, at most 32"},
		{"zone =~ (", "\"(\" is no regular expression (missing closing ): `(`); write one such as zone =~ ^kitchen"},
		{"zone =~", "is no expression of 1 to 128 characters"},
		{"zone =~ " + strings.Repeat("a", 129), "is no expression of 1 to 128 characters"},
		{"zone =~ (x{500}y{500}){1000}", "is no regular expression"},
		{"zone =~ x{200}y{200}", "repeats too much"},
		{"node.role == manager", "not a label of a peer"},
		{"engine.labels.x == y", "not a label of a peer"},
		{"zone == " + strings.Repeat("a", 2000), "has 2008 bytes, at most 1024"},
	} {
		if c, err := job.ParseConstraint(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %+v, %v; want an error with %q", tt.text, c, err, tt.want)
		}
	}
}

func TestFacts_Meets(t *testing.T) {
	f := kitchen()
	if unmet := f.Meets([]string{"zone == kitchen", "cores >= 4"}); unmet != "" {
		t.Errorf("unmet %q", unmet)
	}
	if unmet := f.Meets([]string{"zone == kitchen", "cores >= 8", "= ="}); unmet != "cores >= 8" {
		t.Errorf("unmet %q", unmet)
	}
	if unmet := f.Meets([]string{"= ="}); unmet != "= =" {
		t.Errorf("one that cannot be read is met: %q", unmet)
	}
	if v, has := (&job.Facts{}).Value("memory"); has {
		t.Errorf("memory %q of a peer of which nothing is known", v)
	}
}

// FuzzConstraint: what is read prints as something that reads as the same, and is met
// or not without harm whatever labels say.
func FuzzConstraint(f *testing.F) {
	for _, s := range []string{"disk == ssd", "!gpu", "cores >= 4", "memory < 1.5GiB", "zone not in (a, b)", "zone =~ ^k+(a|b)$", "kernel >= 6.1", "node.hostname != x"} {
		f.Add(s, "6.1.0-18")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		c, err := job.ParseConstraint(text)
		if err != nil {
			if len(err.Error()) > 1024 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if again, err := job.ParseConstraint(c.String()); err != nil || again != c {
			t.Errorf("%q reads as %+v, then as %+v, %v", text, c, again, err)
		}
		with, without := c.Match(map[string]string{c.Label: value}), c.Match(nil)
		if lacks := slices.Contains([]string{"!", "!=", "not in"}, c.Op); without != lacks {
			t.Errorf("%q of a peer without the label: %v", text, without)
		}
		if c.Op == "" && !with || c.Op == "!" && with {
			t.Errorf("%q of a peer with the label: %v", text, with)
		}
	})
}

// What is no label's name is repeated without the blanks around it.
func TestParseConstraint_QuotesTheLabelAlone(t *testing.T) {
	_, err := job.ParseConstraint(" ünïcode == 1")
	if err == nil || !strings.Contains(err.Error(), `: "ünïcode == 1" is no label name`) {
		t.Errorf("%v", err)
	}
}
