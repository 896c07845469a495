package compose_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"shoal/job"
	"shoal/job/compose"
)

func TestSpecFromRun(t *testing.T) {
	got, err := compose.SpecFromRun(compose.RunOptions{
		Image: "ghcr.io/x/shop:2", Command: []string{"serve"}, Replicas: 3, Publish: []string{"8080:80", "9000"},
		Env: []string{"A=b=c"}, Volumes: []string{"data:/d", "/srv/www:/www:ro"}, CPU: "0.5", Memory: "256m", Restart: "on-failure:3",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &job.Spec{Name: "shop", Tasks: []job.Task{{
		Name: "shop", Image: "ghcr.io/x/shop:2", Command: []string{"serve"}, Count: 3, Env: map[string]string{"A": "b=c"},
		Ports:   []job.Port{{Target: 80, Published: 8080}, {Target: 9000, Published: 9000}},
		Mounts:  []job.Mount{{Type: "volume", Source: "data", Target: "/d"}, {Type: "bind", Source: "/srv/www", Target: "/www", ReadOnly: true}},
		Limits:  job.Resources{CPUMilli: 500, MemBytes: 256 << 20},
		Restart: job.Restart{Policy: "on-failure", MaxAttempts: 3, Delay: time.Second},
	}}}
	want.Defaults()
	for _, c := range job.Diff(want, got) {
		t.Errorf("%s = %q; want %q", c.Field, c.New, c.Old)
	}
	for _, tt := range []struct {
		o    compose.RunOptions
		want string
	}{
		{compose.RunOptions{}, "--name: "},
		{compose.RunOptions{Image: "x", Name: "X"}, "--name: "},
		{compose.RunOptions{Image: "x", Publish: []string{"a"}}, "--publish: \"a\" is no port"},
		{compose.RunOptions{Image: "x", Publish: []string{"1:1/udp"}}, "--publish: udp is not supported yet"},
		{compose.RunOptions{Image: "x", Env: []string{"A"}}, "--env: \"A\" is not NAME=VALUE"},
		{compose.RunOptions{Image: "x", Volumes: []string{"a"}}, "--volume: "},
		{compose.RunOptions{Image: "x", Volumes: []string{"/run/docker.sock:/s"}}, "the engine's socket"},
		{compose.RunOptions{Image: "x", CPU: "NaN"}, "--cpu: "},
		{compose.RunOptions{Image: "x", Memory: "-1"}, "--memory: "},
		{compose.RunOptions{Image: "x", Restart: "maybe"}, "--restart: "},
		{compose.RunOptions{Image: "x", Type: "cron"}, "--type: cron is not supported yet"},
		{compose.RunOptions{Image: "x", Replicas: -1}, "--replicas: "},
	} {
		if _, err := compose.SpecFromRun(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v; want %q", tt.o, err, tt.want)
		}
	}
}

// Whatever a file has in it, Load returns: a valid job or an error.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"services:\n  web:\n    image: nginx:${V:-1}\n    ports: ['80-81:80-81']\n    volumes: [a:/b, /c, ./d:/d]\nvolumes: {a: }\n",
		"x: &x {image: a}\nservices: {a: {<<: *x, deploy: {replicas: 2, mode: replicated-job}}}\n---\nname: b\n",
		"services: {a: {image: x, x-shoal: {type: batch, failover: {after: 0s}}, enviroment: [A]}}\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		spec, _, err := compose.Load(ctx, compose.Options{Data: data, Name: "x"})
		if err == nil && spec.Validate() != nil {
			t.Fatalf("an invalid job: %v", spec.Validate())
		}
	})
}
