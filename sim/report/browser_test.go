package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/sim"
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

// A run with little to draw has its page all the same.
func TestPage_OfALittleInABrowser(t *testing.T) {
	for name, text := range bare {
		dom, console := browse(t, write(t, run(t, text), Options{}), "zoom=0,2", 1280)
		if console != "" {
			t.Errorf("%s: %s", name, console)
		}
		if !drawn.MatchString(dom) || !strings.Contains(dom, ">n3</text>") {
			t.Errorf("%s: the lanes are not drawn", name)
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

// What a FaultSpan does not tell of stands as a mark on the lane of its peer: of all of
// them if it befell all.
func TestPage_MarksWhatElseBefellAPeerInABrowser(t *testing.T) {
	const text = `peers 4 run 40s
at 1s submit web
at 8s rot n2 records=2
at 9s clockjump n3 by=-10y
at 10s drain n1
at 11s drain n1 undo
at 12s diskslow all factor=20 for=5s
at 20s exit container web.0
at 25s crash n4 for=2s
`
	res := run(t, text)
	marks := 0
	for _, m := range res.Recording.Marks {
		switch {
		case m.Lane && m.Peer == sim.AllPeers:
			marks += len(res.Recording.Peers)
		case m.Lane:
			marks++
		}
	}
	if marks != 9 {
		t.Errorf("%d marks on the lanes, want 9", marks)
	}
	dom, console := browse(t, write(t, res, Options{Names: []string{"nas.1", "nas.2"}}), "hover=k1", 1280)
	if console != "" {
		t.Error(console)
	}
	if n := len(laneMark.FindAllString(dom, -1)); n != marks {
		t.Errorf("%d marks are drawn, want %d", n, marks)
	}
	if !strings.Contains(dom, "<b>rot nas.2 records=2</b><br>at 0:08.0") {
		t.Error("a mark has no tip")
	}
}

var (
	laneMark = regexp.MustCompile(`<path class="mark[^"]*" data-t="k[0-9]+"`)
	svgWidth = regexp.MustCompile(`<svg width="([0-9.]+)" height="[0-9.]+" role="img" aria-label="messages`)
	boxWidth = regexp.MustCompile(`class="ink b halo column" x="([0-9.]+)"`)
)

// All columns of the message diagram stand within the page, however many they are.
func TestPage_TheDiagramKeepsItsColumnsInABrowser(t *testing.T) {
	res := run(t, small)
	d := &res.Recording.Diagram
	d.Arrows = nil
	for i := range 24 {
		res.Recording.Peers = append(res.Recording.Peers, sim.PeerTrack{Name: fmt.Sprintf("a-long-name.%d", i)})
		d.Arrows = append(d.Arrows, sim.Arrow{From: i, To: i + 1, Sent: time.Second, Arrives: 2 * time.Second, Kind: "award", Text: "web/web.0 with token 1"})
	}
	dom, console := browse(t, write(t, res, Options{}), "", 1280)
	if console != "" {
		t.Error(console)
	}
	m := svgWidth.FindStringSubmatch(dom)
	if m == nil {
		t.Fatal("no diagram")
	}
	width, _ := strconv.ParseFloat(m[1], 64)
	columns := boxWidth.FindAllStringSubmatch(dom, -1)
	if len(columns) != 25 || width > 1280 {
		t.Errorf("%d columns on %v, want 25 within 1280", len(columns), width)
	}
	for _, c := range columns {
		if x, _ := strconv.ParseFloat(c[1], 64); x > width-40 {
			t.Errorf("a column stands at %v of %v", x, width)
		}
	}
}
