package job_test

import (
	"testing"

	"shoal/job"
)

func TestImageName(t *testing.T) {
	sum := "@sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for given, want := range map[string]string{
		"nginx": "nginx:latest", "nginx:1.29": "nginx:1.29", "library/nginx": "nginx:latest",
		"docker.io/library/nginx:1.29": "nginx:1.29", "index.docker.io/grafana/loki": "grafana/loki:latest",
		"localhost:5000/shop/web": "localhost:5000/shop/web:latest", "localhost:5000/shop/web:2": "localhost:5000/shop/web:2",
		"ghcr.io/a/b" + sum: "ghcr.io/a/b" + sum, "nginx:1.29" + sum: "nginx" + sum, "localhost:5000/x:1" + sum: "localhost:5000/x" + sum,
		"": "", "docker.io/": "", "@": "@", ":": ":",
	} {
		if got := job.ImageName(given); got != want {
			t.Errorf("%q is %q, want %q", given, got, want)
		}
		if got := job.ImageName(want); got != want {
			t.Errorf("%q is %q the second time", want, got)
		}
	}
}
