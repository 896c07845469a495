package owner

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"shoal/auction"
	"shoal/job"
)

const whole = `# a laptop that lends a hand
reserve:
  cpus: 0.5
  memory: 1.5GiB
  disk: 10g
accept:
  namespaces: [default, family]
  jobs: ["team == shop", "image =~ ^ghcr.io/"]
  signers: kitchen
  hours: [22:00-06:00, "12:00 - 13:30"]
  battery: no
  temperature: 80
  metered: {fetch: 50MiB}
  cpus: 2
  memory: 4GiB
  gpus: 1
  slots: 10
  devices: ["/dev/ttyUSB*", usb=1a86:7523]
`

func TestParse(t *testing.T) {
	got, err := Parse("peer.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Reserve: job.Resources{CPUMilli: 500, MemBytes: 3 << 29, DiskBytes: 10 << 30},
		Most:    job.Resources{CPUMilli: 2000, MemBytes: 4 << 30, GPUMilli: 1000},
		Policy: auction.Policy{
			Namespaces: []string{"default", "family"},
			Jobs:       []job.Constraint{{Label: "team", Op: "==", Value: "shop"}, {Label: "image", Op: "=~", Value: "^ghcr.io/"}},
			Signers:    []string{"kitchen"}, Hours: []auction.Span{{From: 1320, To: 360}, {From: 720, To: 810}},
			OnMains: true, MaxTempC: 80, MaxSlots: 10, LimitsFetch: true, MaxFetch: 50 << 20,
			Devices: []string{"/dev/ttyUSB*", "usb=1a86:7523"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, empty := range []string{"", "# nothing\n", "accept:\nreserve:\n", "accept: {}\n", "null\n"} {
		if got, err := Parse("peer.yaml", []byte(empty)); err != nil || !reflect.DeepEqual(got, &Config{}) {
			t.Errorf("%q reads as %+v, %v", empty, got, err)
		}
	}
	if got, err := Parse("peer.yaml", []byte("accept: {gpus: 0, metered: {fetch: 0}}")); err != nil || !got.NoGPUs || !got.Policy.LimitsFetch {
		t.Errorf("nothing of both reads as %+v, %v", got, err)
	}
}

func TestParse_SaysWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string]string{
		"accept:\n  hour: [a]":                                "peer.yaml:2: accept.hour: is no key here; did you mean hours?",
		"acept: {}":                                           "peer.yaml:1: acept: is no key here; did you mean accept?",
		"zzz: 1":                                              "peer.yaml:1: zzz: is no key here; the keys are accept, reserve",
		"accept:\n  slots: 1\n  slots: 2":                     "peer.yaml:3: accept.slots: is there twice",
		"accept: 4":                                           "peer.yaml:1: accept: must be a mapping of battery, cpus,",
		"- a":                                                 "peer.yaml:1: must be a mapping of accept, reserve",
		"accept:\n  hours: 22-6":                              `peer.yaml:2: accept.hours: "22-6" is no span of the day; write one such as 22:00-06:00`,
		"accept:\n  hours:\n   - 22:00-06:60":                 `peer.yaml:3: accept.hours: "22:00-06:60" is no span of the day`,
		"accept: {hours: [06:00-06:00]}":                      `"06:00-06:00" begins and ends at the same time; write 00:00-24:00 for the whole day`,
		"accept: {hours: [25:00-26:00]}":                      "is no span of the day",
		"accept: {battery: maybe}":                            `accept.battery: "maybe" is neither yes nor no`,
		"accept: {temperature: 0}":                            `"0" is not between 1 and 150 °C`,
		"accept: {slots: -1}":                                 `"-1" is not between 1 and`,
		"accept: {slots: 99999999999999999999}":               "is not between 1 and",
		"accept: {gpus: 65}":                                  `"65" is not between 0 and 64 GPUs`,
		"accept: {cpus: 0}":                                   `"0" is no number of CPUs; write one such as 1.5`,
		"accept: {cpus: .nan}":                                "is no number of CPUs",
		"reserve: {cpus: 1e300}":                              "is no number of CPUs",
		"reserve: {memory: much}":                             `reserve.memory: "much" is no size; write one such as 4GiB`,
		"reserve: {memory: -4GiB}":                            "is no size",
		"reserve: {disk: [1, 2]}":                             "reserve.disk: must be one word",
		"accept: {devices: [gpu]}":                            `accept.devices: "gpu" is no device; write one such as /dev/ttyUSB*`,
		"accept: {namespaces: [A B]}":                         "accept.namespaces: ",
		"accept: {signers: [k7m2/x]}":                         "is neither a peer's name nor its whole ID",
		"accept: {jobs: [cores => 4]}":                        `operator "=>" is not known`,
		"accept: {metered: {fetc: 1}}":                        "accept.metered.fetc: is no key here; did you mean fetch?",
		"accept: [":                                           "peer.yaml:1: is not valid YAML",
		"accept: {}\n---\naccept: {}":                         "holds more than one document",
		"accept: {jobs: [" + strings.Repeat("a,", 65) + "a]}": "has 66 items, at most 64",
	} {
		_, err := Parse("peer.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
	_, err := Parse("p", []byte("accept: {"+strings.Repeat("a: 1, ", 50)+"}"))
	var many FileError
	if !errors.As(err, &many) || len(many) != maxProblems {
		t.Errorf("many problems: %v", err)
	}
}

func TestRead(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "there is no such file; want a peer's configuration") {
		t.Errorf("no file: %v", err)
	}
	p := filepath.Join(t.TempDir(), "peer.yaml")
	if err := os.WriteFile(p, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Read(p); err != nil || c.Policy.MaxSlots != 10 {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("accept: {hours: [22:00-06:00], jobs: ['a =~ b']}")
	f.Add("a: &x [1]\naccept: {namespaces: *x}")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Parse("peer.yaml", []byte(text)); err != nil && len(err.Error()) > 64<<10 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
