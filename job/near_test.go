package job

import (
	"slices"
	"testing"
)

func TestNear(t *testing.T) {
	known := []string{"shop", "shop-staging", "blog", "wiki"}
	for _, tt := range []struct {
		name string
		want []string
	}{
		{"shpo", []string{"shop"}},
		{"xhpo", nil},
		{"sho", []string{"shop", "shop-staging"}},
		{"blag", []string{"blog"}},
		{"wikki", []string{"wiki"}},
		{"unrelated", nil},
		{"", nil},
	} {
		if got := Near(tt.name, known); !slices.Equal(got, tt.want) {
			t.Errorf("Near(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}
