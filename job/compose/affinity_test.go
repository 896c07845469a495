package compose

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func TestLoad_Affinities(t *testing.T) {
	for _, tt := range []struct{ web, want string }{
		{"x-shoal: {affinity: [db, {job: wiki, over: zone, required: true}], anti-affinity: [{label: tier=db}]}",
			"[db job wiki over zone, required] [label tier=db] <nil>"},
		{"deploy: {placement: {max_replicas_per_node: 1}}", "[] [web, required] <nil>"},
		{"deploy: {placement: {max_replicas_per_node: 2}}", "compose.yaml:4: services.web.deploy.placement.max_replicas_per_node: 2 is not supported"},
		{"x-shoal: {affinity: db}", "compose.yaml:4: services.web.x-shoal.affinity: must be a list"},
		{"x-shoal: {affinity: [{taks: db}]}", `compose.yaml:4: services.web.x-shoal.affinity[0]: has no key "taks"`},
		{"x-shoal: {affinity: [{task: db, required: maybe}]}", "compose.yaml:4: services.web.x-shoal.affinity[0].required: maybe is neither true nor false"},
		{"x-shoal: {affinity: [dp]}", `services.web.x-shoal.affinity: the job has no task "dp"`},
		{"x-shoal: {anti-affinity: [{label: tier}]}", `services.web.x-shoal.anti-affinity: "tier" is no label`},
	} {
		text := "services:\n  web:\n    image: web:1\n    " + tt.web + "\n  db: {image: db:1}\n"
		spec, _, err := Load(context.Background(), Options{Data: []byte(text), Name: "shop"})
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(spec.Task("web").Near, spec.Task("web").Apart, err)
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.web, got, tt.want)
		}
	}
}
