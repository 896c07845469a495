package report

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// browse opens a page in a real browser and returns the document after its scripts
// have run, and what was written to the console.
func browse(t *testing.T, page []byte, hash string, width int) (dom, console string) {
	t.Helper()
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && browser == "" {
			browser = path
		}
	}
	if browser == "" {
		t.Skip("no chromium on this machine: the page was not opened in a browser")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--enable-logging=stderr", "--v=0",
		"--window-size="+strconv.Itoa(width)+",900", "--virtual-time-budget=3000", "--dump-dom", "file://"+file+"#"+hash)
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", browser, err, log.String())
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "CONSOLE") {
			console += line
		}
	}
	return out.String(), console
}

var drawn = regexp.MustCompile(`data-drawn="([0-9]+)"`)

// TestPage_InABrowser looks at what a browser makes of the page: no error, no request,
// a bar for each container, a tip for what is pointed at.
func TestPage_InABrowser(t *testing.T) {
	res := run(t, small)
	page := write(t, res, Options{Names: []string{"first", "second"}})
	for _, width := range []int{1280, 400} {
		dom, console := browse(t, page, "hover=r0", width)
		if console != "" {
			t.Errorf("%d wide: %s", width, console)
		}
		bars := len(res.Recording.Containers) + len(res.Recording.Faults)
		if m := drawn.FindStringSubmatch(dom); m == nil || m[1] != strconv.Itoa(bars) {
			t.Errorf("%d wide: %v drawn, want %d bars and faults", width, m, bars)
		}
		_, tip, _ := strings.Cut(dom, `<div id="tip"`)
		tip, _, _ = strings.Cut(tip, "</div>")
		if !strings.Contains(tip, "web/web.") || !strings.Contains(tip, "token 1") || strings.Contains(tip, "hidden") {
			t.Errorf("%d wide: the tip is %q", width, tip)
		}
		for _, want := range []string{`data-series="same"`, `data-series="placed"`, "award: web/web.", ">second</text>", `data-series="bytes"`} {
			if !strings.Contains(dom, want) {
				t.Errorf("%d wide: no %s is drawn", width, want)
			}
		}
	}
}

// A large run opens with a lane for each site, and one of them can be opened.
func TestPage_LargeRunInABrowser(t *testing.T) {
	dom, console := browse(t, write(t, large(), Options{}), "open=site3", 1280)
	if console != "" {
		t.Error(console)
	}
	if n := strings.Count(dom, `<g data-group="site`); n != 7 {
		t.Errorf("%d groups, want 7", n)
	}
	if m := drawn.FindStringSubmatch(dom); m == nil || len(m[1]) < 4 {
		t.Errorf("%v drawn", m)
	}
}

func TestPage_ShowsTheViolationInABrowser(t *testing.T) {
	res := run(t, small+"at 80s running 9 of web\n")
	dom, console := browse(t, write(t, res, Options{}), "zoom=10,85", 1280)
	if console != "" {
		t.Error(console)
	}
	for _, want := range []string{`class="fail"`, ">violation</text>", "the last messages before the violation", "running 9 web"} {
		if !strings.Contains(dom, want) {
			t.Errorf("no %s", want)
		}
	}
}
