package sim

import "testing"

func TestNamePeers_ReplacesWholeWordsAlone(t *testing.T) {
	names := []string{"nas.1", "nas.2", "n1.1"}
	for text, want := range map[string]string{
		"at 5s crash n1 for=3s":                "at 5s crash nas.1 for=3s",
		"cut n1..n3|rest":                      "cut nas.1..n1.1|rest",
		"beat<n2: n3 is down.":                 "beat<nas.2: n1.1 is down.",
		"n1.":                                  "nas.1.",
		"n1.yaml: x/n1.txt n1/web.0 a-n2 n1-b": "n1.yaml: x/n1.txt n1/web.0 a-n2 n1-b",
		"n4 and n12, on1":                      "n4 and n12, on1",
		"at=n2,n1)":                            "at=nas.2,nas.1)",
	} {
		if got := NamePeers(text, names); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if again := NamePeers(want, names); again != want {
			t.Errorf("%q is named once more: %q", want, again)
		}
	}
	if NamePeers("n1", nil) != "n1" {
		t.Error("no names, and yet another")
	}
}

func TestQuote(t *testing.T) {
	for text, want := range map[string]string{
		"sim/testdata/a_b-1.txt": "sim/testdata/a_b-1.txt",
		"größe.yaml":             "größe.yaml",
		"my plan.yaml":           "'my plan.yaml'",
		"f'x y.yaml":             `'f'\''x y.yaml'`,
		"$(touch x);.txt":        "'$(touch x);.txt'",
		"~a.txt":                 "'~a.txt'",
		"-n.txt":                 "./-n.txt",
		"":                       "''",
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// The line to run again what a file with a space in its name says can be pasted.
func TestReplay_QuotesTheFile(t *testing.T) {
	s := parseText(t, "peers 2\nrun 1s\n")
	s.Name = "my plan.yaml"
	if res := Run(s, Options{}); res.Replay != "shoal sim run 'my plan.yaml' --seed 1" {
		t.Error(res.Replay)
	}
}
