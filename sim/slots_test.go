package sim

import (
	"strings"
	"testing"
)

func parseText(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Parse(strings.NewReader(text), "a.txt")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The height is of the slots wanted at a time, whichever verbs ask for them.
func TestCensus_CountsWhatIsWantedAtATime(t *testing.T) {
	for text, want := range map[string]int64{
		"at 1s submit web": 1,
		"at 1s submit web replicas=3\nat 2s update web version=2":                            3,
		"at 1s submit web replicas=3\nat 2s scale web replicas=9":                            9,
		"at 1s submit web replicas=3\nat 2s remove web\nat 3s submit db replicas=2":          3,
		"at 1s submit web replicas=3\nat 2s remove web\nat 3s redeploy web":                  3,
		"at 1s submit shop/web replicas=3\nat 2s submit shop/db replicas=2":                  5,
		"at 3s submit a replicas=4\nat 1s submit b replicas=2\nat 2s remove b\n":             4,
		"at 1s submit web replicas=3\nat 2s remove web\nat 3s update web version=2":          3,
		"at 1s submit web replicas=3\nat 2s scale web replicas=0\nat 3s submit b replicas=1": 3,
	} {
		if got := parseText(t, "peers 3\n"+text+"\n").census().height; got != want {
			t.Errorf("%q: %d slots at the height, want %d", text, got, want)
		}
	}
}

// What a workload brings counts, and so does each plan of a soak that runs at once.
func TestMemoryNeeded_CountsWorkloadsAndPlansAtOnce(t *testing.T) {
	plain := parseText(t, "peers 300\nrun 60s\n").MemoryNeeded(Options{})
	loaded := parseText(t, "peers 300\nrun 60s\nworkload rate=100/s replicas=100..100 until=60s\n").MemoryNeeded(Options{})
	if slots := (loaded - plain) / 300 / bytesPerCopy; slots < 400_000 || slots > 700_000 {
		t.Errorf("the workload counts as %d slots, want about 550000", slots)
	}
	one := SoakPlan{Seeds: 100, Peers: 100, Jobs: 1}.MemoryNeeded() - bytesAlways
	if many := (SoakPlan{Seeds: 100, Peers: 100, Jobs: 40}.MemoryNeeded() - bytesAlways); many != 40*one {
		t.Errorf("40 plans at once need %d bytes, one needs %d", many, one)
	}
}

func TestParse_RefusesSlotsThatNoLineMakes(t *testing.T) {
	const head = "peers 3\nat 1s submit web replicas=2\n"
	for line, want := range map[string]string{
		"at 5s crash holder(nojob.0)":                  "a.txt:3: crash: no line makes the slot nojob/nojob.0: none submits the job nojob",
		"at 5s crash holder(web.2)":                    "a.txt:3: crash: no line makes the slot web/web.2: the task never has more than 2, from web.0 to web.1",
		"at 5s crash holder(web/db.0)":                 "a.txt:3: crash: no line makes the slot web/db.0: the job web has the tasks web",
		"at 5s cut n1,holder(web.7)|rest":              "a.txt:3: cut: no line makes the slot web/web.7: the task never",
		"at 5s restart n1 disk=clone-of:holder(web.7)": "a.txt:3: restart: no line makes",
		"at 5s exit container web.3":                   "a.txt:3: exit: no line makes the slot web/web.3",
		"at 5s oom nojob.0":                            "a.txt:3: oom: no line makes",
		"by 20s held web.9":                            "a.txt:3: held: no line makes the slot web/web.9: the task never",
		"at 5s crash acceptor(nojob)":                  "a.txt:3: crash: no line submits the job nojob",
	} {
		_, err := Parse(strings.NewReader(head+line+"\n"), "a.txt")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	for _, text := range []string{
		"at 5s crash holder(web.1)", "at 5s scale web replicas=9\nat 9s exit container web.8",
		"at 5s orphan n1 old.3\nat 9s exit container old.3", "at 5s crash holder(load-0.2)\nworkload rate=1/s",
	} {
		parseText(t, head+text+"\n")
	}
}
