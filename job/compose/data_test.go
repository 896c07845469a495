package compose_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/job/compose"
)

// TestLoad_OthersFiles reads Compose files that nobody here wrote: each becomes a
// valid job, or is refused in one sentence with file and line.
func TestLoad_OthersFiles(t *testing.T) {
	dir := os.Getenv("SHOAL_TEST_COMPOSE_DIR")
	if dir == "" {
		t.Skip("SHOAL_TEST_COMPOSE_DIR names no directory of Compose files")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.yaml"))
	more, _ := filepath.Glob(filepath.Join(dir, "*", "*.yaml"))
	if files = append(files, more...); len(files) == 0 {
		t.Skipf("no *.yaml under %s", dir)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			spec, warnings, err := compose.Load(context.Background(), compose.Options{Files: []string{file}, Name: "job"})
			for _, w := range warnings {
				t.Log(strings.ReplaceAll(w.String(), dir, ""))
				if w.File != file || w.Line < 1 || w.Field == "" {
					t.Errorf("warning without its place: %+v", w)
				}
			}
			if err != nil {
				t.Log(strings.ReplaceAll(err.Error(), dir, ""))
				var e *compose.Error
				if !errors.As(err, &e) || e.Line < 1 || e.Field == "" || strings.Contains(e.Text, "\n") {
					t.Errorf("refused without its place: %v", err)
				}
				return
			}
			t.Logf("%d tasks", len(spec.Tasks))
		})
	}
}
