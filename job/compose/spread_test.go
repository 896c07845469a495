package compose

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func TestLoad_Spread(t *testing.T) {
	for _, tt := range []struct{ web, want string }{
		{"x-shoal: {spread: zone}", "[zone] <nil>"},
		{"x-shoal: {spread: [zone, node.labels.rack]}", "[zone rack] <nil>"},
		{"deploy: {placement: {preferences: [{spread: node.labels.zone}, {spread: datacenter}]}}", "[zone datacenter] <nil>"},
		{"x-shoal: {spread: [a b]}", `compose.yaml:4: services.web.x-shoal.spread[0]: "a b" is no label of peers`},
		{"x-shoal: {spread: {zone: 1}}", "compose.yaml:4: services.web.x-shoal.spread: must be a list, such as [a, b]"},
		{"x-shoal: {spread: [zone, zone]}", `services.web.x-shoal.spread: "zone" stands there twice`},
		{"deploy: {placement: {preferences: [{spread: node.role}]}}", `compose.yaml:4: services.web.deploy.placement.preferences[0].spread: "node.role" is no label of peers`},
		{"deploy: {placement: {preferences: [{}]}}", `services.web.deploy.placement.preferences[0].spread: "" is no label of peers`},
		{"x-shoal: {spread: zone, type: system}", "services.web.x-shoal.spread: a system task has none"},
	} {
		text := "services:\n  web:\n    image: web:1\n    " + tt.web + "\n"
		spec, _, err := Load(context.Background(), Options{Data: []byte(text), Name: "shop"})
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(spec.Task("web").Spread, err)
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.web, got, tt.want)
		}
	}
}
