package job

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseSpread(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"zone", "zone"},
		{" node.labels.zone ", "zone"},
		{"node.hostname", "name"},
		{"node.platform.arch", "arch"},
		{"", `"" is no label of peers; write one such as zone or node.labels.zone`},
		{"node.labels.", `"node.labels." is no label of peers`},
		{"node.role", `"node.role" is no label of peers`},
		{"engine.labels.zone", `"engine.labels.zone" is no label of peers`},
		{"zone == a", `"zone == a" is no label of peers`},
	} {
		got, err := ParseSpread(tt.text)
		if err != nil {
			got = err.Error()
		}
		if err == nil && got != tt.want || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%q: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestValidate_Spread(t *testing.T) {
	for _, tt := range []struct {
		typ    Type
		spread []string
		want   string // a part of what is wrong; "": nothing
	}{
		{Service, []string{"zone", "rack"}, ""},
		{Batch, []string{"datacenter"}, ""},
		{Service, []string{"zone", "rack", "zone"}, `spread[2]: "zone" stands there twice`},
		{Service, []string{"a b"}, `spread[0]: "a b" is no label of peers`},
		{Service, []string{""}, `spread[0]: "" is no label of peers`},
		{Service, []string{"a", "b", "c", "d", "e"}, "spread: 5 labels are too many, at most 4 are allowed"},
		{System, []string{"zone"}, "spread: a system task has none"},
	} {
		s := Spec{Namespace: "default", Name: "shop", Tasks: []Task{{Name: "web", Type: tt.typ, Image: "web:1", Count: 1, Spread: tt.spread}}}
		s.Defaults()
		if got := fmt.Sprint(s.Validate()); tt.want == "" && got != "<nil>" || !strings.Contains(got, tt.want) {
			t.Errorf("%s %q: got %s, want %q", tt.typ, tt.spread, got, tt.want)
		}
	}
}
