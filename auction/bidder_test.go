package auction

import (
	"slices"
	"strings"
	"testing"

	"shoal/job"
	"shoal/wire"
)

func readySelf() *Self {
	free, total := res(1000, 700), res(4000, 3891)
	free.GPUMilli, total.GPUMilli = 1200, 3000
	return &Self{ID: peer(1), Free: free, Total: total, GPUs: []uint16{0, 600, 600}, OS: "linux", Arch: "amd64", Driver: "docker",
		Ready: true, Datacenter: "home", Labels: map[string]string{"zone": "attic", "gpu": "old"},
		HasImage: func(image string) (bool, int64) { return image == "web:1", 0 }}
}

func webTask() *job.Task { return &job.Task{Name: "web", Image: "web:1", Needs: res(500, 512)} }

func answerOne(self *Self, spec *job.Spec, task *job.Task, slots ...int) *wire.Bid {
	if len(slots) == 0 {
		slots = []int{0}
	}
	call := &wire.Call{ID: 9, Lots: []wire.Lot{{Job: "default/shop", Life: 1, Task: "web", Slots: slots}}}
	return Answer(self, call, func(job.ID, uint64, string, wire.Hash) (*job.Spec, *job.Task, bool) { return spec, task, task != nil })
}

func TestAnswer_HardFilters(t *testing.T) {
	type in struct {
		self *Self
		spec *job.Spec
		task *job.Task
	}
	for _, tc := range []struct {
		name   string
		change func(*in)
		want   string // beginning of the refusal; empty: a bid
	}{
		{"fits", func(*in) {}, ""},
		{"joining", func(c *in) { c.self.Ready = false }, "not ready"},
		{"engine silent", func(c *in) { c.self.Silent = true }, "engine silent"},
		{"a metric is missing", func(c *in) { c.self.Missing = []string{"disk: statfs"} }, "missing metric: disk"},
		{"the disk is full", func(c *in) { c.self.FullDisk, c.self.Missing = "9 MiB free", []string{"load"} }, "disk full: 9 MiB free"},
		{"no memory figure", func(c *in) { c.self.Total.MemBytes = 0 }, "missing metric: memory"},
		{"draining", func(c *in) { c.self.Draining = true }, "draining"},
		{"unknown job", func(c *in) { c.task = nil }, "unknown job: shop of life 1"},
		{"owner lets in others only", func(c *in) { c.self.Accept = &Policy{Namespaces: []string{"family"}} }, "owner refuses: namespace default"},
		{"owner lets it in", func(c *in) { c.self.Accept = &Policy{Namespaces: []string{"family", "default"}} }, ""},
		{"a device without a grant", func(c *in) { c.task.Devices = []string{"/dev/ttyUSB0"} }, "device: its owner does not grant /dev/ttyUSB0"},
		{"a device that is not there", func(c *in) {
			c.task.Devices = []string{"usb=1a86:7523:/dev/zigbee"}
			c.self.Accept = &Policy{Devices: []string{"usb=*:*"}}
			c.self.HasDevice = func(string) bool { return false }
		}, "device: usb=1a86:7523 is not there"},
		{"a device", func(c *in) {
			c.task.Devices = []string{"/dev/ttyUSB0:/dev/zigbee"}
			c.self.Accept = &Policy{Devices: []string{"/dev/ttyUSB?"}}
			c.self.HasDevice = func(host string) bool { return host == "/dev/ttyUSB0" }
		}, ""},
		{"another datacenter", func(c *in) { c.spec.Datacenters = []string{"office", "lab"} }, `datacenter: wants office or lab, peer is in "home"`},
		{"its datacenter", func(c *in) { c.spec.Datacenters = []string{"office", "home"} }, ""},
		{"another platform", func(c *in) { c.task.Platform = "linux/arm64/v8" }, "platform: wants linux/arm64/v8, peer is linux/amd64"},
		{"its platform by another name", func(c *in) { c.task.Platform = "linux/x86_64" }, ""},
		{"the system alone", func(c *in) { c.task.Platform = "linux" }, ""},
		{"another system", func(c *in) { c.task.Platform = "windows/amd64" }, "platform: "},
		{"its image is here for another", func(c *in) { c.self.ForeignImage = func(*job.Task) string { return "linux/arm64" } },
			"platform: peer is linux/amd64, image web:1 is here for linux/arm64"},
		{"process driver, image absent", func(c *in) { c.self.Driver = "process"; c.task.Image = "nginx:1.29" }, "no container engine"},
		{"process driver, image present", func(c *in) { c.self.Driver = "process" }, ""},
		{"the driver's own word", func(c *in) { c.self.CanRun = func(*job.Task) string { return "no container engine: x" } }, "no container engine: x"},
		{"a field that it does not know", func(c *in) { c.self.Later = func(*job.Spec, *job.Task) string { return "field 13.4" } },
			"later version: the task has field 13.4"},
		{"label missing", func(c *in) { c.task.Constraints = []string{"zone == attic", "ssd"} }, "label: wants ssd"},
		{"label of another value", func(c *in) { c.task.Constraints = []string{"zone == cellar"} }, "label: wants zone == cellar"},
		{"labels match", func(c *in) { c.task.Constraints = []string{"zone == attic", "gpu", "ssd != yes"} }, ""},
		{"facts", func(c *in) {
			c.task.Constraints = []string{"arch == x86_64", "cores >= 4", "memory in (1GiB)", "memory > 9GiB"}
		}, "label: wants memory in (1GiB)"},
		{"facts that are met", func(c *in) {
			c.task.Constraints = []string{"os == linux", "cores < 5", "memory >= 3.5GiB", "metered == no"}
		}, ""},
		{"malformed constraint", func(c *in) { c.task.Constraints = []string{"= ="} }, "label: "},
		{"memory to the byte", func(c *in) { c.task.Needs = res(1, 700) }, ""},
		{"a byte too much", func(c *in) { c.task.Needs.MemBytes = 700*mib + 1 }, "memory: needs 0.7 GiB, 0.6 GiB free of 3.7 GiB"},
		{"memory", func(c *in) { c.task.Needs = res(1, 2048) }, "memory: needs 2.0 GiB, 0.6 GiB free of 3.7 GiB"},
		{"cpu to the thousandth", func(c *in) { c.task.Needs = res(1000, 1) }, ""},
		{"cpu", func(c *in) { c.task.Needs = res(1001, 1) }, "cpu: needs 1.001, 1 free of 4"},
		{"disk", func(c *in) { c.task.Needs.DiskBytes = 1 << 30 }, "disk: needs 1.0 GiB, 0.0 KiB free of 0.0 KiB"},
		{"a share of a device", func(c *in) { c.task.Needs.GPUMilli = 500 }, ""},
		{"more than is left of any device", func(c *in) { c.task.Needs.GPUMilli = 700 }, "gpu: needs 0.7 of one device, at most 0.6 free on any of 3"},
		{"two devices", func(c *in) { c.self.GPUs[0] = 1000; c.task.Needs.GPUMilli = 2000 }, "gpu: needs 2 whole, 1 free of 3"},
		{"no device at all", func(c *in) { c.self.GPUs, c.self.Total.GPUMilli, c.task.Needs.GPUMilli = nil, 0, 1 }, "gpu: needs 0.001 of one device, at most 0 free on any of 0"},
		{"label before memory", func(c *in) { c.task.Constraints = []string{"ssd"}; c.task.Needs = res(1, 9999) }, "label: "},
	} {
		c := in{self: readySelf(), spec: &job.Spec{Namespace: "default", Name: "shop"}, task: webTask()}
		tc.change(&c)
		b := answerOne(c.self, c.spec, c.task)
		got := b.No
		if got == "" {
			got = b.Offers[0].No
		}
		if tc.want == "" && got != "" || !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if b.Call != 9 || b.Free != c.self.Free {
			t.Errorf("%s: bid %+v", tc.name, b)
		}
		slot := &wire.AwardedSlot{Slot: slotID("web", 0), Life: 1, Token: 3}
		free := c.self.Free
		_, why := CheckAward(c.self, slot, func(job.ID, uint64, string, wire.Hash) (*job.Spec, *job.Task, bool) {
			return c.spec, c.task, c.task != nil
		})
		if why != got {
			t.Errorf("%s: an award is judged %q, a call %q", tc.name, why, got)
		}
		if want := free.Minus(webTask().Needs); tc.name == "fits" && c.self.Free != want {
			t.Errorf("after taking a slot %+v is free, want %+v", c.self.Free, want)
		} else if why != "" && c.self.Free != free {
			t.Errorf("%s: a declined slot was deducted", tc.name)
		}
	}
}

func TestCheckAward_SlotsOfOneAwardShareWhatIsFree(t *testing.T) {
	self, task := readySelf(), webTask() // 1000m and 700 MiB free, 500m and 512 MiB needed
	find := func(job.ID, uint64, string, wire.Hash) (*job.Spec, *job.Task, bool) { return &job.Spec{}, task, true }
	if _, why := CheckAward(self, &wire.AwardedSlot{Slot: slotID("web", 0)}, find); why != "" {
		t.Fatalf("first: %s", why)
	}
	if _, why := CheckAward(self, &wire.AwardedSlot{Slot: slotID("web", 1)}, find); Class(why) != Memory {
		t.Fatalf("second: %q, want a refusal for memory", why)
	}
}

// TestCheckAward_NamesTheDevices gives shares to the fullest device with room, and whole
// devices in order.
func TestCheckAward_NamesTheDevices(t *testing.T) {
	self, task := readySelf(), webTask()
	task.Needs = res(1, 1)
	self.GPUs, self.Free.GPUMilli = []uint16{1000, 700, 1000, 1000}, 3700
	said := self.GPUs
	find := func(job.ID, uint64, string, wire.Hash) (*job.Spec, *job.Task, bool) { return &job.Spec{}, task, true }
	for i, c := range []struct {
		needs int64
		want  []int
	}{{300, []int{1}}, {500, []int{0}}, {400, []int{1}}, {2000, []int{2, 3}}, {0, nil}, {500, []int{0}}, {1, nil}} {
		task.Needs.GPUMilli = c.needs
		gpus, no := CheckAward(self, &wire.AwardedSlot{Slot: slotID("web", i)}, find)
		if !slices.Equal(gpus, c.want) || (no != "") != (i == 6) {
			t.Errorf("%d: devices %v, %q; want %v", i, gpus, no, c.want)
		}
	}
	if job.SumGPUs(said) != 3700 || job.SumGPUs(self.GPUs) != 0 || self.Free.GPUMilli != 0 {
		t.Errorf("what was said before is now %v; %v is left, together %d", said, self.GPUs, self.Free.GPUMilli)
	}
}

func TestAnswer_Volumes(t *testing.T) {
	kitchen := peer(5)
	for _, tc := range []struct {
		name    string
		place   map[int]wire.PeerID
		restore string // failover.volume
		slots   []int
		no      string
		only    []int
		bucket  uint32
	}{
		{"lives nowhere", nil, "", []int{0, 1}, "", nil, 0},
		{"lives here", map[int]wire.PeerID{0: peer(1)}, "", []int{0}, "", nil, 0},
		{"lives elsewhere", map[int]wire.PeerID{0: kitchen}, "", []int{0}, "volume shop/db is on kitchen", nil, 0},
		{"some elsewhere", map[int]wire.PeerID{0: peer(1), 1: kitchen}, "", []int{0, 1, 2}, "", []int{0, 2}, 0},
		{"elsewhere, a fresh one is allowed", map[int]wire.PeerID{0: kitchen}, "empty", []int{0}, "", nil, costVolumeAway},
	} {
		self, task := readySelf(), webTask()
		task.Mounts = []job.Mount{{Type: "volume", Source: "db", Target: "/data"}, {Type: "bind", Source: "/x", Target: "/y"}}
		task.Failover.Volume = tc.restore
		self.VolumePlace = func(_ job.ID, volume string, slot int) (wire.PeerID, string, bool) {
			holder, known := tc.place[slot]
			return holder, "kitchen", known && volume == "db"
		}
		o := answerOne(self, &job.Spec{Namespace: "default", Name: "shop"}, task, tc.slots...).Offers[0]
		if o.No != tc.no || len(o.Volumes) != len(tc.only) || o.Bucket != tc.bucket {
			t.Errorf("%s: %+v", tc.name, o)
		}
		for i := range o.Volumes {
			if o.Volumes[i] != tc.only[i] {
				t.Errorf("%s: offers slots %v, want %v", tc.name, o.Volumes, tc.only)
			}
		}
	}
}

func TestAnswer_CountsItsOwnCopiesAndFailures(t *testing.T) {
	self := readySelf()
	self.CopiesOf = func(id job.ID, task string) int { return map[string]int{"default/shop/web": 3}[string(id)+"/"+task] }
	self.FailsOf = func(job.ID, string, wire.Hash) int { return 2 }
	if o := answerOne(self, &job.Spec{}, webTask()).Offers[0]; o.Copies != 3 || o.Bucket != 2*costFail {
		t.Errorf("offer %+v, want 3 copies and the cost of 2 failures", o)
	}
}

// A hostile call gets a refusal, not a panic or a large answer.
func TestAnswer_HostileCalls(t *testing.T) {
	many := make([]wire.Lot, wire.MaxLots+1)
	find := func(job.ID, uint64, string, wire.Hash) (*job.Spec, *job.Task, bool) { return nil, nil, false }
	if b := Answer(readySelf(), &wire.Call{Lots: many}, find); Class(b.No) != "malformed call" || len(b.Offers) != 0 {
		t.Errorf("too many lots: %+v", b)
	}
	lots := []wire.Lot{{}, {Slots: make([]int, wire.MaxSlotsPerCall+1)}, {Job: job.ID(strings.Repeat("\x1b[31m", 5000)), Slots: []int{-1}}}
	b := Answer(readySelf(), &wire.Call{Lots: lots}, find)
	for i, o := range b.Offers {
		if o.No == "" || len(o.No) > MaxReasonBytes || strings.Contains(o.No, "\x1b") {
			t.Errorf("lot %d: %q", i, o.No)
		}
	}
}
