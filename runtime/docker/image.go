package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"shoal/job"
	"shoal/runtime"
)

// ensureImage makes the task's image present as its pull policy says. "always"
// falls back to the present image when the registry is out of reach: a device
// must be able to restore its work with the cable out.
func (d *Driver) ensureImage(ctx context.Context, who string, t *job.Task) error {
	if t.Image == "" || t.Image == "process" || strings.HasPrefix(t.Image, "process:") {
		return permanent("image %q means a plain process, and this peer runs containers: name an image", t.Image)
	}
	have, err := d.hasImage(ctx, t.Image, t.Platform)
	if err != nil {
		return err
	}
	switch {
	case t.Pull == "never" && !have:
		return permanent("image %s is not on engine %s, and pull is \"never\": load it there first", t.Image, d.opts.Host)
	case have && t.Pull != "always":
		return nil
	}
	err = d.pulls.do(ctx, d, t.Image, t.Platform, who)
	if err != nil && have && !errors.Is(err, errRefused) && ctx.Err() == nil {
		d.log.Warn("registry out of reach, using the image that is here", "image", t.Image, "err", err)
		return nil
	}
	return err
}

// hasImage reports whether the engine has the image for the platform.
func (d *Driver) hasImage(ctx context.Context, ref, platform string) (have bool, err error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return false, err
	}
	err = d.call(ctx, "look for image "+ref, func(ctx context.Context) error {
		img, err := d.api.ImageInspect(ctx, ref)
		if err != nil {
			return gone(err)
		}
		have = want == nil || img.Os == want.OS && img.Architecture == want.Architecture &&
			(want.Variant == "" || img.Variant == want.Variant)
		return nil
	})
	return have, err
}

// errRefused marks a pull that the registry answered with no.
var errRefused = errors.New("refused by the registry")

// pulls are the pulls in progress: whoever wants an image that is on its way
// waits for that pull. There are at most as many as distinct images wanted.
type pulls struct {
	mu       sync.Mutex
	underway map[string]*pull
}

// A pull is one image on its way.
type pull struct {
	done    chan struct{}
	err     error           // set before done is closed
	waiting map[string]bool // containers that wait, guarded by pulls.mu
}

// do fetches an image, or waits for the pull under way. A caller that gives up
// does not end the pull: others may wait for it, and the next attempt will.
func (p *pulls) do(ctx context.Context, d *Driver, ref, platform, who string) error {
	key := ref + " " + platform
	p.mu.Lock()
	f := p.underway[key]
	if f == nil {
		f = &pull{done: make(chan struct{}), waiting: map[string]bool{}}
		if p.underway == nil {
			p.underway = map[string]*pull{}
		}
		p.underway[key] = f
		go func() {
			f.err = d.fetch(d.ctx, ref, platform, func(pr runtime.Progress) { p.tell(d, f, pr) })
			p.mu.Lock()
			delete(p.underway, key)
			p.mu.Unlock()
			close(f.done)
		}()
	}
	f.waiting[who] = true
	p.mu.Unlock()

	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		p.mu.Lock()
		delete(f.waiting, who)
		p.mu.Unlock()
		return fmt.Errorf("pull %s: %w", ref, ctx.Err())
	}
}

// tell reports progress to everyone who waits.
func (p *pulls) tell(d *Driver, f *pull, pr runtime.Progress) {
	if d.opts.Progress == nil {
		return
	}
	p.mu.Lock()
	names := make([]string, 0, len(f.waiting))
	for name := range f.waiting {
		names = append(names, name)
	}
	p.mu.Unlock()
	for _, pr.Container = range names {
		d.opts.Progress(pr)
	}
}

// fetch pulls one image. It has no deadline as a whole, since links differ by a
// thousand; it ends when nothing was heard for PullFirst, later PullStall.
func (d *Driver) fetch(ctx context.Context, ref, platform string, progress func(runtime.Progress)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(d.opts.PullFirst, func() { cancel(errStalled) })
	defer silent.Stop()

	if err := d.agree(ctx); err != nil {
		return d.pullError(ctx, ref, err, false)
	}
	stream, err := d.api.ImagePull(ctx, ref, image.PullOptions{Platform: platform})
	if err != nil {
		return d.pullError(ctx, ref, err, false)
	}
	defer stream.Close()
	var sum tally
	telling := sum.tellEvery(200*time.Millisecond, func(pr runtime.Progress) {
		pr.Image = ref
		progress(pr)
	})
	defer telling()
	for dec := json.NewDecoder(stream); ; {
		var m pullMessage
		if err := dec.Decode(&m); err == io.EOF {
			return nil
		} else if err != nil {
			return d.pullError(ctx, ref, err, sum.begun())
		}
		silent.Reset(d.opts.PullStall)
		if m.Error != "" {
			return d.pullError(ctx, ref, errors.New(m.Error), sum.begun())
		}
		sum.add(m)
		if most := d.opts.MaxFetch; most > 0 && sum.total() > most {
			return permanent("image %s has more than the %.1f MiB to fetch that this peer's owner allows on its metered link", ref, float64(most)/(1<<20))
		}
	}
}

var errStalled = errors.New("the registry does not answer")

// pullError says which image was not to be had on which engine. A pull that never
// got to a layer cannot be helped by a repeat here; one that broke off can.
func (d *Driver) pullError(ctx context.Context, ref string, err error, begun bool) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		err = errStalled
		if silent := d.Ping(d.ctx); silent != nil { // it was the engine, not the registry
			return fmt.Errorf("pull %s: %w", ref, silent)
		}
	}
	e := &engineError{err: err}
	switch text := e.Error(); {
	case d.ctx.Err() != nil:
		return fmt.Errorf("pull %s: the daemon is stopping: %w", ref, d.ctx.Err())
	case begun && !strings.Contains(text, "no space left"):
		return fmt.Errorf("pull %s to engine %s broke off: %w", ref, d.opts.Host, e)
	case cerrdefs.IsNotFound(err), strings.Contains(text, "denied"), strings.Contains(text, "not found"),
		strings.Contains(text, "manifest unknown"), strings.Contains(text, "unauthorized"):
		return permanent("image %s is not to be had for engine %s: its registry says: %s%w", ref, d.opts.Host, text, hidden{errRefused})
	case d.isSilent(err):
		return fmt.Errorf("pull %s: %w", ref, d.kind(err))
	default:
		return permanent("image %s is not to be had for engine %s: %s", ref, d.opts.Host, text)
	}
}

// isSilent reports whether the engine itself, not the registry, is out of reach.
func (d *Driver) isSilent(err error) bool { return errors.Is(d.kind(err), runtime.ErrSilent) }

// hidden is an error that callers can find and nobody reads.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

// A pullMessage is what we read of the engine's progress stream.
type pullMessage struct {
	Status string `json:"status"`
	ID     string `json:"id"`
	Detail struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error string `json:"error"`
}

// maxLayers bounds the layers a tally counts; an engine refuses images of more.
const maxLayers = 128

// A tally sums the progress of an image's layers.
type tally struct {
	mu     sync.Mutex
	layers map[string][2]int64 // bytes so far and in all of each layer's download
	status string
	news   bool // since the last told
}

// add takes one message of the engine.
func (t *tally) add(m pullMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.layers == nil {
		t.layers = map[string][2]int64{}
	}
	l, known := t.layers[m.ID]
	switch {
	case m.Status != "Downloading" && known: // verifying, extracting: it is all here
		t.layers[m.ID] = [2]int64{l[1], l[1]}
	case m.Status == "Downloading" && m.Detail.Total > 0 && (known || len(t.layers) < maxLayers):
		t.layers[m.ID] = [2]int64{m.Detail.Current, m.Detail.Total}
	}
	t.status, t.news = m.Status, true
}

// begun reports whether a layer is on its way.
func (t *tally) begun() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.layers) > 0
}

// total is what there is to fetch, as far as it is known.
func (t *tally) total() (bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.layers {
		bytes += l[1]
	}
	return bytes
}

// sum returns the progress, and whether there is any news in it.
func (t *tally) sum() (runtime.Progress, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := t.news
	t.news = false
	pr := runtime.Progress{Status: t.status}
	for _, l := range t.layers {
		pr.Current += l[0]
		pr.Total += l[1]
	}
	return pr, news
}

// tellEvery tells the sum at that pace while there is news, the last of it when
// the function it returns is called.
func (t *tally) tellEvery(d time.Duration, tell func(runtime.Progress)) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(d)
		defer tick.Stop()
		for going := true; going; {
			select {
			case <-tick.C:
			case <-over:
				going = false
			}
			if pr, news := t.sum(); news {
				tell(pr)
			}
		}
	}()
	return func() { close(over); <-ended }
}
