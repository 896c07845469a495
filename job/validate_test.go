package job_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"shoal/job"
)

// shop is a valid job after Defaults.
func shop() *job.Spec {
	s := &job.Spec{Name: "shop", Tasks: []job.Task{
		{
			Name: "web", Image: "nginx:1.29", Count: 2,
			Ports:     []job.Port{{Target: 80, Published: 8080}},
			DependsOn: []job.Dependency{{Task: "db"}},
			Mounts:    []job.Mount{{Type: "bind", Source: "/srv/www", Target: "/usr/share/nginx/html", ReadOnly: true}},
		},
		{
			Name: "db", Image: "postgres", Count: 1,
			Limits: job.Resources{MemBytes: 512 << 20},
			Mounts: []job.Mount{{Type: "volume", Source: "data", Target: "/var/lib/postgresql/data"}},
			Health: &job.Health{Test: []string{"CMD", "pg_isready"}, Interval: time.Second},
		},
	}}
	s.Defaults()
	return s
}

func TestDefaults_FillNeedsAndSort(t *testing.T) {
	s := shop()
	if s.Namespace != "default" || s.Tasks[0].Name != "db" {
		t.Fatalf("namespace %q, first task %q; want default, db", s.Namespace, s.Tasks[0].Name)
	}
	db, web := s.Task("db"), s.Task("web")
	if db.Needs.MemBytes != 512<<20 || db.Needs.CPUMilli != 100 {
		t.Errorf("needs of db = %+v; want its limit of memory and the default of CPU", db.Needs)
	}
	if web.Needs.MemBytes != 128<<20 || web.Pids != job.DefaultPids || web.StopGrace != job.DefaultStopGrace {
		t.Errorf("web = %+v; want the defaults", web)
	}
	if web.Restart.Policy != "always" || web.Ports[0].Protocol != "tcp" {
		t.Errorf("restart %+v, ports %+v", web.Restart, web.Ports)
	}
	again := *s
	again.Defaults()
	if d := job.Diff(s, &again); len(d) != 0 {
		t.Errorf("a second Defaults changed %v", d)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
}

func TestValidate_NamesTheField(t *testing.T) {
	web := func(s *job.Spec) *job.Task { return s.Task("web") }
	for _, tt := range []struct {
		name   string
		change func(*job.Spec)
		want   string // all parts, between bars
	}{
		{"no namespace", func(s *job.Spec) { s.Namespace = "" }, "namespace: is empty"},
		{"bad name", func(s *job.Spec) { s.Name = "Shop" }, "name: \"Shop\""},
		{"control in name", func(s *job.Spec) { web(s).Name = "we\x00b" }, `name:|'\x00'`},
		{"long name", func(s *job.Spec) { s.Name = strings.Repeat("x", 1<<20) }, "name:|1048576 characters"},
		{"no tasks", func(s *job.Spec) { s.Tasks = nil }, "tasks: there is none"},
		{"unsorted", func(s *job.Spec) { s.Tasks[0], s.Tasks[1] = s.Tasks[1], s.Tasks[0] }, "tasks are sorted"},
		{"twice", func(s *job.Spec) { s.Tasks[1].Name = "db" }, `tasks: "db" is named twice`},
		{"negative count", func(s *job.Spec) { web(s).Count = -1 }, `task "web": count: -1 is not between 0 and 10000`},
		{"huge count", func(s *job.Spec) { web(s).Count = math.MaxInt }, `count: `},
		{"GPUs below nothing", func(s *job.Spec) { web(s).Needs.GPUMilli = -1 }, `task "web": needs.gpuMilli: -1 is not between 0 and 64000`},
		{"GPUs beyond all", func(s *job.Spec) { web(s).Needs.GPUMilli = math.MaxInt64 }, "needs.gpuMilli: "},
		{"a share of two GPUs", func(s *job.Spec) { web(s).Needs.GPUMilli = 1500 },
			"needs.gpuMilli: 1500 is neither a share of one GPU (below 1000) nor so many whole ones; write 1000 or 2000"},
		{"a limit of GPUs", func(s *job.Spec) { web(s).Limits.GPUMilli = 1000 }, "limits.gpuMilli: 1000: a GPU is reserved"},
		{"type later", func(s *job.Spec) { web(s).Type = job.Cron }, "type: cron is not supported yet"},
		{"type unknown", func(s *job.Spec) { web(s).Type = 200 }, "type: 200"},
		{"no image", func(s *job.Spec) { web(s).Image = "" }, "image: is empty"},
		{"image a flag", func(s *job.Spec) { web(s).Image = "--privileged" }, "image:"},
		{"image in capitals", func(s *job.Spec) { web(s).Image = "ghcr.io/x/BB:Up" },
			`"ghcr.io/x/BB:Up" is no image name: only its tag may have capitals; write ghcr.io/x/bb:Up`},
		{"image without tag", func(s *job.Spec) { web(s).Image = "nginx:" }, `"nginx:" is no image name; write one such as nginx:1.29`},
		{"image of half a digest", func(s *job.Spec) { web(s).Image = "nginx@sha256:12" }, "is no image name"},
		{"image with blank", func(s *job.Spec) { web(s).Image = "a b" }, "image:"},
		{"platform", func(s *job.Spec) { web(s).Platform = "arm64" }, "platform:|linux/arm64"},
		{"NUL in command", func(s *job.Spec) { web(s).Command = []string{"a\x00"} }, "command:|NUL"},
		{"NUL in env", func(s *job.Spec) { web(s).Env = map[string]string{"A": "\x00"} }, `env."A":|NUL`},
		{"env name", func(s *job.Spec) { web(s).Env = map[string]string{"A=B": "1"} }, `env: "A=B" is no name`},
		{"env control", func(s *job.Spec) { web(s).Env = map[string]string{"A\x1b": "1"} }, `env: "A\x1b" is no name`},
		{"needs negative", func(s *job.Spec) { web(s).Needs.MemBytes = -1 }, "needs.memBytes: -1"},
		{"needs zero", func(s *job.Spec) { web(s).Needs.CPUMilli = 0 }, "needs.cpuMilli: 0"},
		{"needs overflow", func(s *job.Spec) { web(s).Needs.MemBytes = math.MaxInt64 }, "needs.memBytes:"},
		{"needs above limit", func(s *job.Spec) { web(s).Limits.CPUMilli = 50 }, "needs.cpuMilli: 0.1 CPU is more than the limit of 0.05 CPU"},
		{"pids", func(s *job.Spec) { web(s).Pids = 0 }, "pids: 0"},
		{"udp", func(s *job.Spec) { web(s).Ports[0].Protocol = "udp" }, "ports[0].protocol: udp is not supported yet"},
		{"port 0", func(s *job.Spec) { web(s).Ports[0].Target = 0 }, "ports[0].target: 0"},
		{"port twice", func(s *job.Spec) {
			s.Task("db").Ports = []job.Port{{Target: 81, Published: 8080, Protocol: "tcp"}}
		}, `task "web": ports[0].published: port 8080 is already published by task "db"`},
		{"mount relative", func(s *job.Spec) { web(s).Mounts[0].Target = "www" }, "mounts[0].target:"},
		{"mount dotted", func(s *job.Spec) { web(s).Mounts[0].Source = "/srv/../etc" }, "mounts[0].source:"},
		{"mount root", func(s *job.Spec) { web(s).Mounts[0].Target = "/" }, "mounts[0].target:"},
		{"mount type", func(s *job.Spec) { web(s).Mounts[0].Type = "npipe" }, "mounts[0].type:"},
		{"engine socket", func(s *job.Spec) { web(s).Mounts[0].Source = "/var/run/docker.sock" }, "the engine's socket"},
		{"socket's directory", func(s *job.Spec) { web(s).Mounts[0].Source = "/run" }, "directory of the engine's socket"},
		{"mounted twice", func(s *job.Spec) { web(s).Tmpfs = []string{"/usr/share/nginx/html:size=1m"} }, "tmpfs[0]:|mounted twice"},
		{"depends on none", func(s *job.Spec) { web(s).DependsOn[0].Task = "cache" }, `no task "cache"`},
		{"circle", func(s *job.Spec) {
			s.Task("db").DependsOn = []job.Dependency{{Task: "web", Condition: "started"}}
		}, "db → web → db"},
		{"circle of one", func(s *job.Spec) { web(s).DependsOn[0].Task = "web" }, "web → web"},
		{"condition", func(s *job.Spec) { web(s).DependsOn[0].Condition = "ready" }, "dependsOn[0].condition:"},
		{"restart", func(s *job.Spec) { web(s).Restart.Policy = "sometimes" }, "restart.policy:|on-failure"},
		{"restart of batch", func(s *job.Spec) { web(s).Type = job.Batch }, "restart.policy:|never ends"},
		{"delay", func(s *job.Spec) { web(s).Restart.Delay = -1 }, "restart.delay:"},
		{"update order", func(s *job.Spec) { web(s).Update.Order = "" }, "update.order:"},
		{"failure action", func(s *job.Spec) { web(s).Update.FailureAction = "continue" }, "update.failureAction:"},
		{"failover", func(s *job.Spec) { web(s).Failover.InIsland = "x" }, "failover.inIsland:"},
		{"failover long", func(s *job.Spec) { web(s).Failover.After = math.MaxInt64 }, "failover.after:"},
		{"constraint", func(s *job.Spec) { web(s).Constraints = []string{"a = b"} }, "constraints[0]:"},
		{"constraints", func(s *job.Spec) { web(s).Constraints = slices.Repeat([]string{"ssd"}, 65) }, "constraints: 65 are too many, at most 64"},
		{"policy", func(s *job.Spec) { web(s).Policy = "binpack" }, "policy:|pack"},
		{"priority", func(s *job.Spec) { web(s).Priority = 101 }, "priority: 101 is not between 1 and 100"},
		{"attempts", func(s *job.Spec) { web(s).Attempts = 2 }, "attempts: only a batch"},
		{"attempts negative", func(s *job.Spec) { web(s).Attempts = math.MinInt }, "attempts: -"},
		{"grace", func(s *job.Spec) { web(s).StopGrace = 1 << 62 }, "stopGrace:"},
		{"health empty", func(s *job.Spec) { web(s).Health = &job.Health{} }, "health.test:"},
		{"health hasty", func(s *job.Spec) { s.Task("db").Health.Interval = 1 }, "health.interval: 1ns is less than 1ms"},
		{"alias of another", func(s *job.Spec) { web(s).Aliases = []string{"db"} }, `aliases[0]: "db" is already a name`},
		{"extra host", func(s *job.Spec) { web(s).ExtraHosts = []string{"x"} }, "extraHosts[0]:"},
		{"datacenter", func(s *job.Spec) { s.Datacenters = []string{"a", "a"} }, "datacenters[1]:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := shop()
			tt.change(s)
			err := s.Validate()
			if err == nil {
				t.Fatal("no error")
			}
			var problems *job.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("%T is no *Problems", err)
			}
			for part := range strings.SplitSeq(tt.want, "|") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
}

func TestValidate_BoundsItsAnswer(t *testing.T) {
	s := shop()
	s.Task("web").CapDrop = make([]string, 100_000)
	err := s.Validate()
	if err == nil || len(err.Error()) > 1<<14 || !strings.Contains(err.Error(), "and 99980 more") {
		t.Errorf("error = %.200v…; want 20 problems and a count", err)
	}
	if (*job.Spec)(nil).Validate() == nil || (&job.Spec{}).Validate() == nil {
		t.Error("an empty Spec is valid")
	}
}

func TestDiff(t *testing.T) {
	old, now := shop(), shop()
	web := now.Task("web")
	web.Image, web.Count = "nginx:1.30", 3
	web.Env = map[string]string{"PORT": "80"}
	web.Limits.MemBytes = 64 << 20
	now.Task("db").Name = "store"
	now.Datacenters = []string{"home"}
	want := []job.Change{
		{Field: "datacenters", New: "home", Kind: job.ChangeUpdate},
		{Task: "db", Old: "1 × postgres", Kind: job.ChangeRemove},
		{Task: "store", New: "1 × postgres", Kind: job.ChangeAdd},
		{Task: "web", Field: "count", Old: "2", New: "3", Kind: job.ChangeScale},
		{Task: "web", Field: "image", Old: "nginx:1.29", New: "nginx:1.30", Kind: job.ChangeUpdate},
		{Task: "web", Field: "env.PORT", New: "80", Kind: job.ChangeUpdate},
		{Task: "web", Field: "limits.memBytes", Old: "0 B", New: "64 MiB", Kind: job.ChangeUpdate},
	}
	got := job.Diff(old, now)
	if len(got) != len(want) {
		t.Fatalf("got %d changes %+v; want %d", len(got), got, len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("change %d = %+v; want %+v", i, got[i], want[i])
		}
	}
	if fresh := job.Diff(nil, shop()); len(fresh) != 2 || fresh[0].Kind != job.ChangeAdd {
		t.Errorf("a first deploy = %+v; want two added tasks", fresh)
	}
}

// Whatever a peer sends, Validate returns, and what it lets pass adds up without
// overflow.
func FuzzValidate(f *testing.F) {
	seed, err := cbor.Marshal(shop())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var s job.Spec
		if len(data) > job.MaxSpecBytes || cbor.Unmarshal(data, &s) != nil {
			return
		}
		if err := s.Validate(); err != nil {
			_ = err.Error()
			return
		}
		var sum job.Resources
		for _, task := range s.Tasks {
			for range min(task.Count, 3) {
				sum = sum.Plus(task.Needs)
			}
		}
		if sum.CPUMilli < 0 || sum.MemBytes < 0 || sum.DiskBytes < 0 {
			t.Fatalf("needs of a valid job overflow: %+v", sum)
		}
		before, _ := cbor.Marshal(&s)
		s.Defaults()
		if err := s.Validate(); err != nil {
			t.Fatalf("a valid job became invalid by Defaults: %v", err)
		}
		_, _ = job.Diff(&s, nil), before
	})
}

func TestCheckImage_TakesWhatEnginesTake(t *testing.T) {
	for _, image := range []string{
		"nginx", "nginx:1.29", "library/nginx", "ghcr.io/a/b_c/d__e:V1.2-rc_3", "localhost:5000/x", "[::1]:5000/x", "127.0.0.1:1/nobody/nothing:v1",
		"Registry.Example/x", "x@sha256:" + strings.Repeat("0a", 32), "x:1@sha256:" + strings.Repeat("0a", 32), "process",
	} {
		s := shop()
		s.Tasks[0].Image = image
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", image, err)
		}
	}
}

func TestCheckName_CountsCharacters(t *testing.T) {
	err := job.CheckName("Ünï")
	if err == nil || !strings.Contains(err.Error(), `"Ünï": character 'Ü' at 1 is not allowed`) {
		t.Errorf("got %v", err)
	}
	if err = job.CheckName("aéb"); err == nil || !strings.Contains(err.Error(), `character 'é' at 2`) {
		t.Errorf("got %v", err)
	}
	if err = job.CheckName(strings.Repeat("a", 64)); err == nil || !strings.Contains(err.Error(), "has 64 characters, at most 63") {
		t.Errorf("got %v", err)
	}
}

// Of a batch's starts each peer may use half of what is left, so that the fault of one
// machine does not use up all of them.
func TestMaxStarts(t *testing.T) {
	for _, tt := range []struct {
		name string
		task job.Task
		most int
		here []int // by the starts before
	}{
		{"service", job.Task{}, 0, []int{0, 0}},
		{"default", job.Task{Type: job.Batch}, 6, []int{3, 3, 2, 2, 1, 1, 1}},
		{"restarts", job.Task{Type: job.Batch, Restart: job.Restart{MaxAttempts: 1}}, 2, []int{1, 1, 1}},
		{"attempts", job.Task{Type: job.Batch, Attempts: 4, Restart: job.Restart{MaxAttempts: 9}}, 4, []int{2, 2, 1, 1}},
		{"once", job.Task{Type: job.Batch, Restart: job.Restart{Policy: "no", MaxAttempts: 9}}, 1, []int{1, 1}},
	} {
		if got := tt.task.MaxStarts(); got != tt.most {
			t.Errorf("%s: %d starts, want %d", tt.name, got, tt.most)
		}
		for before, want := range tt.here {
			if got := tt.task.StartsHere(before); got != want {
				t.Errorf("%s: after %d starts %d here, want %d", tt.name, before, got, want)
			}
		}
	}
}
