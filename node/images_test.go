package node

import (
	"strings"
	"testing"

	"shoal/auction"
	"shoal/job"
	"shoal/runtime"
)

// A peer counts an image as present only for its own platform, and bids on no task
// whose image would not run on it.
func TestImages_PresentForThisPlatform(t *testing.T) {
	w := newWorld(t, 1)
	c := w.peers[0].core
	if s := c.bidder(); s.HasImage != nil {
		t.Error("images are known before the engine has told of them")
	}
	w.step(w.peers[0], Input{Images: &Images{List: []runtime.Image{
		{Name: "nginx:1.29", OS: "linux", Arch: "amd64"}, {Name: "nginx:1.29", OS: "linux", Arch: "arm64"},
		{Name: "shop/pi:latest", OS: "linux", Arch: "arm64"},
	}}})
	s := c.bidder()
	for image, want := range map[string]bool{"nginx:1.29": true, "docker.io/library/nginx:1.29": true, "nginx": false, "shop/pi": false} {
		if present, _ := s.HasImage(image); present != want {
			t.Errorf("%s is here: %v, want %v", image, present, want)
		}
	}
	for _, tt := range []struct {
		task job.Task
		want string
	}{
		{job.Task{Image: "shop/pi"}, "linux/arm64"},
		{job.Task{Image: "shop/pi", Platform: "linux/amd64"}, ""},
		{job.Task{Image: "shop/pi", Pull: "always"}, ""},
		{job.Task{Image: "nginx:1.29"}, ""},
		{job.Task{Image: "redis"}, ""},
	} {
		if got := s.ForeignImage(&tt.task); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.task, got, tt.want)
		}
	}
	here, away := auction.Costs{ImagePresent: true}, auction.Costs{}
	if auction.Bucket(here) >= auction.Bucket(away) {
		t.Error("a peer with the image is no cheaper")
	}
	if !strings.Contains(s.Driver, "docker") {
		t.Fatalf("driver %q", s.Driver)
	}
}
