package lab_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"shoal/internal/lab"
	"shoal/internal/lab/labtest"
)

// The shop's images must run as they are: web finds the API by name, the API Redis.
func TestDemoImages(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	programs := labtest.Programs(t, "shoal/examples/shop/web", "shoal/examples/shop/api")
	l := labtest.Start(t, lab.Config{Images: lab.DemoImages(programs)})
	p := l.Peers[0]
	docker, err := p.Docker()
	must(t, err)
	defer docker.Close()
	_, err = docker.NetworkCreate(t.Context(), "shop", network.CreateOptions{})
	must(t, err)
	for _, name := range []string{"redis", "api", "web"} {
		made, err := docker.ContainerCreate(t.Context(), &container.Config{Image: "shoal-demo/" + name},
			&container.HostConfig{NetworkMode: "shop"}, nil, nil, name)
		must(t, err)
		must(t, docker.ContainerStart(t.Context(), made.ID, container.StartOptions{}))
	}
	web, err := docker.ContainerInspect(t.Context(), "web")
	must(t, err)
	url := "http://" + web.NetworkSettings.Networks["shop"].IPAddress + ":8080/"
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	must(t, lab.Poll(ctx, func() error {
		_, err := p.Get(ctx, url)
		return err
	}))
	first, second := visitor(t, p, url), visitor(t, p, url)
	if second != first+1 {
		t.Errorf("visitor %d, then %d", first, second)
	}
}

func visitor(t *testing.T, p *lab.Peer, url string) int {
	t.Helper()
	page, err := p.Get(t.Context(), url)
	must(t, err)
	var n int
	_, after, _ := strings.Cut(page, "visitor number ")
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatalf("page %q: %v", page, err)
	}
	return n
}
