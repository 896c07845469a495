package compose_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/job/compose"
)

func TestLoad_MapsEveryKey(t *testing.T) {
	spec, warnings, err := compose.Load(context.Background(), compose.Options{Files: []string{"testdata/shop.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	want := &job.Spec{
		Namespace: "prod", Name: "shop", Datacenters: []string{"home", "attic"},
		Tasks: []job.Task{{
			Name: "web", Count: 3, Image: "shop/web:2", Platform: "linux/arm64",
			Entrypoint: []string{"/bin/web"}, Command: []string{"serve", "--port", "8000"},
			Env:  map[string]string{"API": "http://api:9000", "TOKEN": "from-file"},
			User: "1000:1000", WorkingDir: "/srv", Hostname: "web", Labels: map[string]string{"tier": "front"},
			Needs:  job.Resources{CPUMilli: 250, MemBytes: 64 << 20},
			Limits: job.Resources{CPUMilli: 500, MemBytes: 128 << 20},
			Pids:   200, Pull: "missing",
			Restart: job.Restart{Policy: "on-failure", MaxAttempts: 7, Delay: 2 * time.Second},
			Ports:   []job.Port{{Target: 8000, Published: 8080}, {Target: 8001, Published: 8081}, {Target: 9100, Published: 9100}},
			Expose:  []uint16{7000, 7100, 7101},
			DependsOn: []job.Dependency{
				{Task: "api", Condition: "healthy"}, {Task: "migrate", Condition: "completed"},
			},
			Update:      job.Update{Parallelism: 2, Order: "start-first", FailureAction: "rollback", Monitor: 8 * time.Second},
			Failover:    job.Failover{After: -1, InIsland: "wait", OnReturn: "newest", Volume: "empty"},
			Constraints: []string{"zone == kitchen", "ssd", "gpu != none"}, Policy: "pack",
			StopSignal: "SIGINT", StopGrace: 30 * time.Second, ReadOnly: true, CapDrop: []string{"ALL"},
			ExtraHosts: []string{"printer:192.168.1.9"}, Tmpfs: []string{"/run/web"}, ShmBytes: 64 << 20,
			Aliases: []string{"front"},
		}, {
			Name: "api", Count: 2, Image: "shop/api",
			Limits: job.Resources{CPUMilli: 1500, MemBytes: 256 << 20},
			Mounts: []job.Mount{
				{Type: "volume", Source: "data", Target: "/var/lib/api"},
				{Type: "bind", Source: "/etc/shop", Target: "/etc/shop", ReadOnly: true},
				{Type: "volume", Target: "/scratch"},
			},
			Tmpfs: []string{"/cache:size=1048576"},
			Health: &job.Health{
				Test: []string{"CMD-SHELL", "curl -f http://localhost:9000/health"}, Interval: 5 * time.Second,
				Timeout: 2 * time.Second, Retries: 4, StartPeriod: 20 * time.Second,
			},
		}, {
			Name: "migrate", Type: job.Batch, Count: 1, Image: "shop/migrate",
			Restart: job.Restart{Policy: "on-failure", MaxAttempts: 2}, Failover: job.Failover{Never: true},
		}},
	}
	want.Defaults()
	for _, c := range job.Diff(want, spec) {
		t.Errorf("%s.%s = %q; want %q", c.Task, c.Field, c.New, c.Old)
	}
	var texts []string
	for _, w := range warnings {
		texts = append(texts, w.String())
	}
	wantWarnings := []string{
		"warning 1: testdata/shop.yaml:12: services.web.logging is not supported and has no effect; remove it",
		"warning 2: testdata/shop.yaml:70: services.api.volumes[1] is a directory or file of whichever peer runs the task: /etc/shop must be there; a volume or the image travels better",
		"warning 3: testdata/shop.yaml:87: services.debug.profiles leaves the service out: none of its profiles is active; choose one with --profile",
	}
	if !reflect.DeepEqual(texts, wantWarnings) {
		t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(texts, "\n"), strings.Join(wantWarnings, "\n"))
	}
}

// load reads one file from memory.
func load(data string, change ...func(*compose.Options)) (*job.Spec, []compose.Warning, error) {
	o := compose.Options{Data: []byte(data), Name: "shop", WorkingDir: "/srv/shop"}
	for _, f := range change {
		f(&o)
	}
	return compose.Load(context.Background(), o)
}

func TestLoad_RefusesInOneSentence(t *testing.T) {
	const web = "services:\n  web:\n    image: nginx\n"
	for _, tt := range []struct{ name, data, want string }{
		{"empty", "", "compose.yaml: empty; a Compose file has at least services: with one service"},
		{"no mapping", "- a\n", "compose.yaml:1: no Compose file: it must be a mapping that begins with a key such as services:"},
		{"bad indentation", "services:\n  web:\n    image: x\n   ports: []\n", "compose.yaml:4: not valid YAML: |; check indentation"},
		{"tab", "services:\n\tweb: x\n", "compose.yaml:2: not valid YAML: "},
		{"key twice", web + "    image: caddy\n", "compose.yaml:4: services.web.image: stands twice, here and on line 3; remove one"},
		{"no services", "name: shop\n", "compose.yaml:1: services: there is no service to run"},
		{"no image", "services:\n  web:\n    command: x\n", "compose.yaml:2: services.web: has no image:; name one, such as image: nginx:1.29"},
		{"wrong type", web + "    ports: 80\n", "compose.yaml:4: services.web.ports: must be a list"},
		{"wrong item", web + "    ports:\n      - 80:80\n      - x:y\n", "compose.yaml:6: services.web.ports[1]: "},
		{"required variable", web + "    user: ${WHO:?name one}\n", "compose.yaml:4: services.web.user: |WHO|name one"},
		{"broken variable", web + "    user: ${WHO\n", "compose.yaml:4: services.web.user: "},
		{"privileged", web + "    privileged: true\n", "compose.yaml:4: services.web.privileged: refused: it would let the container act on its peer; remove it"},
		{"privileged by variable", web + "    privileged: ${P:-true}\n", "compose.yaml:4: services.web.privileged: refused"},
		{"cap_add", web + "    cap_add: [NET_ADMIN]\n", "compose.yaml:4: services.web.cap_add: refused"},
		{"host network", web + "    network_mode: host\n", "compose.yaml:4: services.web.network_mode: host is refused"},
		{"host pid", web + "    pid: host\n", "compose.yaml:4: services.web.pid: host is refused"},
		{"host ipc", web + "    ipc: host\n", "compose.yaml:4: services.web.ipc: host is refused"},
		{"no device", web + "    devices: [/etc/passwd]\n", "compose.yaml:4: services.web.devices[0]: \"/etc/passwd:/etc/passwd:rwm\" is no device; write one such as /dev/ttyUSB0:/dev/ttyUSB0"},
		{"no USB device", web + "    x-shoal:\n      devices: [usb=stick]\n", "compose.yaml:5: services.web.x-shoal.devices[0]: \"usb=stick\" is no USB device"},
		{"a device twice", web + "    devices: [/dev/a]\n    x-shoal:\n      devices: [/dev/a:/dev/a:r]\n", "services.web.devices: /dev/a is given twice"},
		{"all GPUs", web + "    gpus: all\n", "compose.yaml:4: services.web.gpus[0].count: all is not supported, as no sale could say how many that is; write a number such as 1"},
		{"less than no GPUs", web + "    gpus: [{count: -3}]\n", "compose.yaml:4: services.web.gpus[0].count: -3 is no number of GPUs; write one such as 1"},
		{"one and a half GPUs", web + "    x-shoal: {gpus: 1.5}\n", "compose.yaml:4: services.web.x-shoal.gpus: 1.5 is neither a share of one GPU nor so many whole ones; write 1 or 2"},
		{"no number of GPUs", web + "    x-shoal: {gpus: many}\n", "compose.yaml:4: services.web.x-shoal.gpus: many is no number of GPUs; write a share of one such as 0.5, or up to 64 whole ones"},
		{"no amount of disk", web + "    x-shoal: {disk: much}\n", "compose.yaml:4: services.web.x-shoal.disk: much is no amount of disk up to 64t; write one such as 2GiB"},
		{"less than no disk", web + "    x-shoal: {disk: -1}\n", "compose.yaml:4: services.web.x-shoal.disk: -1 is no amount of disk"},
		{"more disk than bytes can count", web + "    x-shoal: {disk: 99999999999999999999G}\n", "services.web.x-shoal.disk: 99999999999999999999G is no amount of disk up to 64t"},
		{"GPUs in two ways", web + "    gpus: [{count: 2}]\n    x-shoal: {gpus: 0.5}\n", "compose.yaml:5: services.web.x-shoal.gpus: contradicts the 2 devices"},
		{"another device", web + "    deploy:\n      resources:\n        reservations:\n          devices:\n            - {capabilities: [tpu], count: 1}\n", "compose.yaml:8: services.web.deploy.resources.reservations.devices[0].capabilities: must have gpu"},
		{"a named device", web + "    deploy:\n      resources:\n        reservations:\n          devices:\n            - {capabilities: [gpu], device_ids: ['0']}\n", "compose.yaml:8: services.web.deploy.resources.reservations.devices[0].device_ids: not supported: which device it is"},
		{"socket", web + "    volumes:\n      - data:/d\n      - /var/run/docker.sock:/s\nvolumes: {data: }\n", "compose.yaml:6: services.web.volumes[1]: refused: /var/run/docker.sock gives the container the engine's socket; remove it"},
		{"socket, dotted", web + "    volumes: ['/srv/../var/run/docker.sock:/s']\n", "the engine's socket"},
		{"no seccomp", web + "    security_opt:\n      - seccomp=unconfined\n", "compose.yaml:5: services.web.security_opt[0]: \"seccomp=unconfined\" is refused"},
		{"build only", "services:\n  web:\n    build: .\n", "compose.yaml:3: services.web.build: images are not built here"},
		{"secrets", web + "    secrets: [s]\nsecrets: {s: {file: x}}\n", "compose.yaml:4: services.web.secrets: not supported yet"},
		{"global job", web + "    deploy:\n      mode: global-job\n", "compose.yaml:5: services.web.deploy.mode: global-job (a batch on every peer) is not supported yet; write global or replicated-job"},
		{"no number at all", web + "    cpus: .nan\n", "compose.yaml:4: services.web.cpus: .nan is no number"},
		{"more shared memory than any number", web + "    shm_size: 99999999999999999999G\n", "compose.yaml:4: services.web.shm_size: 99999999999999999999G is not between 0 and 64t"},
		{"more processes than any number", web + "    pids_limit: 99999999999999999999\n", "compose.yaml:4: services.web.pids_limit: 99999999999999999999 is no number of processes"},
		{"less than no time", web + "    stop_grace_period: -5s\n", "compose.yaml:4: services.web.stop_grace_period: -5s is less than no time"},
		{"fewer than no retries", web + "    healthcheck: {test: [CMD, x], retries: -1}\n", "compose.yaml:4: services.web.healthcheck.retries: -1 is not a whole number that is possible here"},
		{"half a copy", web + "    deploy: {replicas: 1.5}\n", "compose.yaml:4: services.web.deploy.replicas: must be a whole number"},
		{"empty constraint", web + "    x-shoal: {constraints: [null]}\n", "services.web.x-shoal.constraints: an empty one is no constraint"},
		{"no mode", web + "    deploy:\n      mode: foo\n", `compose.yaml:5: services.web.deploy.mode: "foo" is not one of replicated, global, replicated-job`},
		{"more memory than any number", web + "    deploy:\n      resources:\n        reservations:\n          memory: 99999999999999999999G\n", "compose.yaml:7: services.web.deploy.resources.reservations.memory: 99999999999999999999G is not between 0 and 64t of memory; write one such as 256m"},
		{"too much memory", web + "    deploy:\n      resources:\n        reservations:\n          memory: 65T\n", "compose.yaml:7: services.web.deploy.resources.reservations.memory: 65T is not between 0 and 64t of memory"},
		{"limit below the reservation", web + "    deploy:\n      resources:\n        limits: {cpus: '0.5'}\n        reservations:\n          cpus: '2'\n", "compose.yaml:8: services.web.deploy.resources.reservations.cpus: 2 CPU is more than the limit of 0.5 CPU; lower the reservation or raise the limit"},
		{"memory limit below the reservation", web + "    mem_limit: 100m\n    mem_reservation: 1g\n", "compose.yaml:5: services.web.mem_reservation: 1 GiB is more than the limit of 100 MiB"},
		{"constraints by name", web + "    x-shoal:\n      constraints: {a: b}\n", `compose.yaml:5: services.web.x-shoal.constraints: must be a list, such as ["zone == kitchen"]`},
		{"number for a constraint", web + "    x-shoal:\n      constraints: [5]\n", `compose.yaml:5: services.web.x-shoal.constraints: 5 is no constraint; write one such as "zone == kitchen"`},
		{"datacenters by name", "x-shoal:\n  datacenters: {a: b}\n" + web, "compose.yaml:2: x-shoal.datacenters: must be a list, such as [a, b]"},
		{"global, with a number", web + "    deploy:\n      mode: global\n      replicas: 3\n", "compose.yaml:6: services.web.deploy.replicas: 3 is not 0 or 1: a system task has one copy on each peer"},
		{"global batch", web + "    deploy:\n      mode: global\n    x-shoal: {type: batch}\n", "services.web.x-shoal.type: batch contradicts deploy.mode global; remove one of the two"},
		{"system with failover", web + "    x-shoal:\n      type: system\n      failover: {after: 9s}\n", "compose.yaml:6: services.web.x-shoal.failover: a system task has none"},
		{"volume of a system task", web + "    volumes: ['data:/d']\n    x-shoal: {type: system}\n  db: {image: x, volumes: ['data:/d']}\nvolumes: {data: }\n", "volume \"data\" is also that of task \"db\"; a system task shares none"},
		{"udp", web + "    ports:\n      - 53:53\n      - 53:53/udp\n", "compose.yaml:6: services.web.ports[1]: udp is not supported yet"},
		{"one address", web + "    ports: ['127.0.0.1:80:80']\n", "compose.yaml:4: services.web.ports[0]: the address 127.0.0.1 is not supported"},
		{"port twice", web + "    ports: ['80:80']\n  www:\n    image: x\n    ports:\n      - 81:81\n      - 80:8080\n", "compose.yaml:9: services.www.ports[1]: port 80 is already published by task \"web\""},
		{"circle", web + "    depends_on: [db]\n  db:\n    image: x\n    depends_on: [web]\n", "tasks wait for one another in a circle: db → web → db"},
		{"depends on none", web + "    depends_on: [dbb]\n  db: {image: x}\n", "compose.yaml:4: services.web.depends_on.dbb: there is no service of that name; did you mean db?"},
		{"volume of none", web + "    volumes: ['data:/d']\n", "compose.yaml:4: services.web.volumes[0]: there is no volume data; add it under volumes:"},
		{"volume driver", web + "volumes:\n  data:\n    driver: nfs\n", "compose.yaml:6: volumes.data.driver: nfs is not supported yet"},
		{"constraint", web + "    deploy:\n      placement:\n        constraints: [node.role == manager]\n", "compose.yaml:6: services.web.deploy.placement.constraints: \"node.role\" is not a label of a peer"},
		{"exclusive", web + "    x-shoal:\n      exclusive: true\n", "compose.yaml:5: services.web.x-shoal.exclusive: not supported yet; remove it"},
		{"cron", web + "    x-shoal: {type: cron}\n", "services.web.x-shoal.type: cron is not supported yet; write service, batch or system"},
		{"failover", web + "    x-shoal:\n      failover:\n        after: soon\n", "compose.yaml:6: services.web.x-shoal.failover.after: \"soon\" is no duration"},
		{"service's name", "services:\n  Web:\n    image: nginx\n", "compose.yaml:2: services.Web: \"Web\": character 'W' at 1 is not allowed"},
		{"service's name of two words", "services:\n  web: {image: x}\n  a b:\n    image: nginx\n", "compose.yaml:3: services.a b: \"a b\": character ' ' at 2 is not allowed"},
		{"no size", web + "    mem_limit: foo\n  db: {image: x, shm_size: 3q}\n", `compose.yaml:4: services.web.mem_limit: "foo" is no size; write one such as 256m (and 1 more)`},
		{"no unit", web + "    shm_size: 12q\n", `compose.yaml:4: services.web.shm_size: "q" is no unit of size; write one such as 256m`},
		{"no duration", web + "    stop_grace_period: 5x\n", `compose.yaml:4: services.web.stop_grace_period: "5x" is no duration; write one such as 10s`},
		{"no number", web + "    cpus: foo\n", `compose.yaml:4: services.web.cpus: "foo" is no number`},
		{"no truth", web + "    init: perhaps\n", `compose.yaml:4: services.web.init: "perhaps" is neither true nor false`},
		{"open quote", "services:\n  web:\n    image: \"x\n", "compose.yaml:3: not valid YAML: "},
		{"image in capitals", "services:\n  web:\n    image: BB:Up\n", `compose.yaml:3: services.web.image: "BB:Up" is no image name: only its tag may have capitals; write bb:Up`},
		{"too many", web + "    scale: 10001\n", "compose.yaml:4: services.web.scale: 10001 is not between 0 and 10000"},
		{"more than any number", web + "    deploy:\n      replicas: 99999999999999999999\n", "compose.yaml:5: services.web.deploy.replicas: 99999999999999999999 is not between 0 and 10000"},
		{"less than any number", web + "    scale: -99999999999999999999\n", "compose.yaml:4: services.web.scale: -99999999999999999999 is not between 0 and 10000"},
		{"more, with an exponent", web + "    scale: 1e20\n", "compose.yaml:4: services.web.scale: 1e20 is not between 0 and 10000"},
		{"operator", web + "    x-shoal:\n      constraints: [cores => 4]\n", `compose.yaml:5: services.web.x-shoal.constraints: "cores => 4": operator "=>" is not known; those that are: ==, !=, <, <=, >, >=, in, not in, =~ ("cores == value")`},
		{"priority", web + "    x-shoal:\n      priority: 101\n", `compose.yaml:5: services.web.x-shoal.priority: "101" is not a whole number between 1 and 100`},
		{"priority of none", web + "    x-shoal: {priority: 0}\n", `compose.yaml:4: services.web.x-shoal.priority: "0" is not a whole number between 1 and 100`},
		{"priority of words", web + "    x-shoal: {priority: [high]}\n", `services.web.x-shoal.priority: "[high]" is not a whole number`},
		{"attempts", web + "    x-shoal: {type: batch, attempts: 1.5}\n", `compose.yaml:4: services.web.x-shoal.attempts: "1.5" is not a whole number between 1 and 1000000`},
		{"attempts of a service", web + "    x-shoal:\n      attempts: 3\n", "compose.yaml:5: services.web.x-shoal.attempts: only a batch has them; a service is started again for as long as it is wanted"},
		{"attempts of one", web + "    restart: 'no'\n    x-shoal: {type: batch, attempts: 3}\n", "services.web.x-shoal.attempts: 3 contradicts the restart policy no"},
		{"include", "include: [https://example.org/compose.yaml]\n" + web, "compose.yaml:1: include: not supported; name all files on the command line"},
		{"extends a file", web + "    extends: {file: /etc/passwd, service: x}\n", "services.web.extends.file: not supported"},
		{"two reasons", web + "    privileged: true\n    pid: host\n", "compose.yaml:4: services.web.privileged: |(and 1 more)"},
		{"aliases without end", "a: &a {b: *a}\nservices: *a\n", "compose.yaml:1: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spec, _, err := load(tt.data)
			if err == nil {
				t.Fatalf("accepted: %+v", spec)
			}
			var e *compose.Error
			if !errors.As(err, &e) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is not one sentence: %q", err)
			}
			for i, part := range strings.Split(tt.want, "|") {
				if !strings.Contains(err.Error(), part) || i == 0 && strings.HasPrefix(part, "compose.yaml") && !strings.HasPrefix(err.Error(), part) {
					t.Errorf("error %q\n    lacks %q", err, part)
				}
			}
		})
	}
}

func TestLoad_UnknownKeys(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{"services:\n  web:\n    image: x\n    enviroment: {}\n", "compose.yaml:4: services.web.enviroment is no key of Compose and has no effect; did you mean environment?"},
		{"services:\n  web:\n    image: x\n    replicas: 2\n", "did you mean deploy.replicas?"},
		{"services:\n  web:\n    image: x\n    type: batch\n", "write it under x-shoal"},
		{"services:\n  web:\n    image: x\n    deploy: {replica: 2}\n", "did you mean replicas?"},
		{"services:\n  web:\n    image: x\n    x-shoal: {failover: {afterr: 1s}}\n", "services.web.x-shoal.failover.afterr is no key of x-shoal and has no effect; did you mean after?"},
		{"services:\n  web:\n    image: x\nservice:\n  db: {}\n", "compose.yaml:4: service is no key of Compose and has no effect; did you mean services?"},
		{"services:\n  web:\n    image: x\n    depends_on: {web2: {condtion: service_started}}\n  web2: {image: x}\n", "did you mean condition?"},
		{"services:\n  web:\n    image: x\n    x-shoal: {datacenters: [home]}\n", "it is the whole job's: write x-shoal at the top of the file"},
		{"services:\n  web:\n    image: x\n    restart: 'no'\n    x-shoal: {type: system}\n", "compose.yaml:4: services.web.restart no only lengthens the pauses of a system task"},
		{"services:\n  web:\n    image: x\n    depends_on: {db: {condition: service_completed_successfully}}\n  db: {image: x}\n", "services.web.depends_on.db.condition never comes about: db is no batch"},
		{"services:\n  web:\n    image: x\n    depends_on: {db: {condition: service_started, required: false}}\n  db: {image: x}\n", "services.web.depends_on.db.required false has no effect: a service that is there is waited for"},
		{"services:\n  web:\n    image: x\n    depends_on: {dbb: {condition: service_started, required: false}}\n  db: {image: x}\n", "services.web.depends_on.dbb waits for nothing: there is no service of that name; did you mean db?"},
	} {
		spec, warnings, err := load(tt.data)
		if len(warnings) != 1 || !strings.Contains(warnings[0].String(), tt.want) {
			t.Errorf("%q: warnings %v; want %q", tt.data, warnings, tt.want)
		}
		if err == nil && spec.Task("web") == nil {
			t.Errorf("%q: no task web", tt.data)
		}
		_, _, err = load(tt.data, func(o *compose.Options) { o.Strict = true })
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q, strict: error %v; want %q", tt.data, err, tt.want)
		}
	}
	_, _, err := load("services:\n  web:\n    imgae: x\n")
	if err == nil || !strings.Contains(err.Error(), "has no image:") {
		t.Errorf("imgae: error %v; want one about the image", err)
	}
}

func TestLoad_Name(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "My Shop.")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "compose.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := func(o compose.Options) string {
		o.Files = []string{file}
		spec, _, err := compose.Load(context.Background(), o)
		if err != nil {
			return err.Error()
		}
		return spec.ID().String()
	}
	const services = "services: {web: {image: x}}\n"
	write(services)
	if got := name(compose.Options{}); got != "myshop" {
		t.Errorf("from the directory: %q; want myshop", got)
	}
	write("name: ${STORE}-1\n" + services)
	if got := name(compose.Options{Env: map[string]string{"STORE": "books"}}); got != "books-1" {
		t.Errorf("from the file: %q; want books-1", got)
	}
	if got := name(compose.Options{Name: "b.c", Namespace: "test"}); got != "test/b.c" {
		t.Errorf("given: %q; want test/b.c", got)
	}
	write("name: My Shop\n" + services)
	if got := name(compose.Options{}); !strings.Contains(got, file+":1: name: \"My Shop\"") {
		t.Errorf("bad name: %q; want an error with file and line", got)
	}
}

func TestLoad_LaterFilesOverride(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for name, text := range map[string]string{
		"a.yaml": "services:\n  web:\n    image: nginx:1\n    ports: ['80:80']\n",
		"b.yaml": "services:\n  web:\n    image: nginx:${V}\n    privileged: true\n",
		".env":   "V=2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files = []string{filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")}
	_, warnings, err := compose.Load(context.Background(), compose.Options{Files: files, Name: "x"})
	if want := files[1] + ":4: services.web.privileged: refused"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v; want %s", err, want)
	}
	if len(warnings) != 0 {
		t.Errorf("warnings %v; V is set in .env", warnings)
	}
}

func TestLoad_DataAloneReadsNoFile(t *testing.T) {
	alone := func(o *compose.Options) { o.WorkingDir = "" }
	for _, key := range []string{"env_file: /etc/hostname", "label_file: /etc/hostname", "volumes: ['./x:/x']"} {
		_, _, err := load("services:\n  web:\n    image: x\n    "+key+"\n", alone)
		var e *compose.Error
		if !errors.As(err, &e) || e.Line != 4 {
			t.Errorf("%s: error %v; want one on line 4", key, err)
		}
	}
}
