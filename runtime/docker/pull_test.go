package docker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shoal/internal/enginetest"
	"shoal/job"
	"shoal/runtime"
	"shoal/runtime/runtimetest"
)

// A registry serves one image of one layer under every name; engines take it
// without TLS since it listens on the loopback interface.
type registry struct {
	*httptest.Server
	blobs    map[string][]byte
	manifest []byte
	fetched  atomic.Int32  // manifests given
	hold     chan struct{} // layers wait until it is closed
	manners  atomic.Int32
}

// The ways a registry may behave.
const (
	polite = iota
	silent // takes the question and says nothing
	denies
)

func newRegistry(t *testing.T, seed byte) *registry {
	r := &registry{blobs: map[string][]byte{}, hold: make(chan struct{})}
	var layer, packed bytes.Buffer
	w := tar.NewWriter(&layer)
	w.WriteHeader(&tar.Header{Name: "noise", Mode: 0o644, Size: 4 << 20})
	w.Write(noise(4<<20, seed))
	w.Close()
	z := gzip.NewWriter(&packed)
	z.Write(layer.Bytes())
	z.Close()
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%q]}}`,
		digest(layer.Bytes()))
	part := func(kind string, b []byte) map[string]any {
		r.blobs[digest(b)] = b
		return map[string]any{"mediaType": kind, "size": len(b), "digest": digest(b)}
	}
	r.manifest, _ = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": part("application/vnd.docker.container.image.v1+json", config),
		"layers": []any{part("application/vnd.docker.image.rootfs.diff.tar.gzip", packed.Bytes())},
	})
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() {
		r.CloseClientConnections() // an engine that gave up a pull may still hold some
		r.Close()
	})
	return r
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// noise does not compress.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func (r *registry) image(name string) string {
	return strings.TrimPrefix(r.URL, "http://") + "/" + name + ":v1"
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	manners := r.manners.Load()
	if manners == silent {
		<-q.Context().Done()
		return
	}
	_, sum, isBlob := strings.Cut(q.URL.Path, "/blobs/")
	switch {
	case q.URL.Path == "/v2/":
	case manners == denies:
		http.Error(w, `{"errors":[{"code":"DENIED","message":"not for you"}]}`, http.StatusForbidden)
	case strings.Contains(q.URL.Path, "/nothing/"):
		http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`, http.StatusNotFound)
	case isBlob && r.blobs[sum] != nil:
		r.serveBlob(w, q, r.blobs[sum])
	case strings.Contains(q.URL.Path, "/manifests/"):
		if q.Method == http.MethodGet {
			r.fetched.Add(1)
		}
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("Docker-Content-Digest", digest(r.manifest))
		w.Header().Set("Content-Length", fmt.Sprint(len(r.manifest)))
		if q.Method == http.MethodGet {
			w.Write(r.manifest)
		}
	default:
		http.NotFound(w, q)
	}
}

// serveBlob gives half of a layer, then the rest when it may.
func (r *registry) serveBlob(w http.ResponseWriter, q *http.Request, b []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	if q.Method == http.MethodHead {
		return
	}
	w.Write(b[:len(b)/2])
	w.(http.Flusher).Flush()
	if len(b) > 1<<20 {
		select {
		case <-r.hold:
		case <-q.Context().Done():
			return
		}
	}
	w.Write(b[len(b)/2:])
}

// testPull pulls from a real registry with a real engine.
func testPull(t *testing.T, e *enginetest.Engine) {
	r := newRegistry(t, 1)
	var mu sync.Mutex
	heard := map[string]runtime.Progress{}
	first := make(chan struct{})
	var once sync.Once
	d, err := New(Options{
		Host: e.Host(), Swarm: "p3ll", Peer: runtimetest.Peer, PullFirst: 2 * time.Second, PullStall: 20 * time.Second,
		Progress: func(p runtime.Progress) {
			mu.Lock()
			defer mu.Unlock()
			heard[p.Container] = p
			if p.Total > 0 {
				once.Do(func() { close(first) })
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ensure := func(ctx context.Context, who, image, policy string) error {
		return d.ensureImage(ctx, who, &job.Task{Image: image, Pull: policy})
	}

	t.Run("TooLargeForTheLink", func(t *testing.T) {
		thrifty, err := New(Options{Host: e.Host(), Swarm: "p3ll", Peer: runtimetest.Peer, MaxFetch: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer thrifty.Close()
		open := newRegistry(t, 2) // of another layer: none is fetched twice
		close(open.hold)
		err = thrifty.ensureImage(ctx, "c", &job.Task{Image: open.image("good/large"), Pull: "missing"})
		if !errors.Is(err, runtime.ErrPermanent) || !strings.Contains(err.Error(), "has more than the 1.0 MiB to fetch that this peer's owner allows on its metered link") {
			t.Errorf("4 MiB where 1 MiB is allowed: %v", err)
		}
	})

	t.Run("ManyWaitForOne", func(t *testing.T) {
		given := make(chan error, 8)
		for i := range 8 {
			go func() { given <- ensure(ctx, fmt.Sprint("c", i), r.image("good/one"), "missing") }()
		}
		select {
		case <-first:
		case <-ctx.Done():
			t.Fatal("no progress was told")
		}
		impatient, stop := context.WithTimeout(ctx, 10*time.Millisecond)
		defer stop()
		err := ensure(impatient, "impatient", r.image("good/one"), "missing")
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, runtime.ErrSilent) {
			t.Errorf("one who gave up: %v", err)
		}
		close(r.hold)
		for range 8 {
			if err := <-given; err != nil {
				t.Error(err)
			}
		}
		if n := r.fetched.Load(); n != 1 {
			t.Errorf("the manifest was fetched %d times for 8 containers", n)
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range 8 {
			p := heard[fmt.Sprint("c", i)]
			if p.Image != r.image("good/one") || p.Status == "" {
				t.Errorf("container %d heard %+v", i, p)
			}
		}
	})
	t.Run("AlwaysWithoutRegistry", func(t *testing.T) {
		r.manners.Store(silent)
		defer r.manners.Store(polite)
		if err := ensure(ctx, "c", r.image("good/one"), "always"); err != nil {
			t.Errorf("the image is here: %v", err)
		}
	})
	for _, c := range []struct {
		name      string
		manners   int32
		image     string
		permanent bool
		want      string
	}{
		{"Unknown", polite, "nothing/here", true, "manifest unknown"},
		{"Denied", denies, "good/two", true, "not for you"},
		{"SilentRegistry", silent, "good/two", true, "the registry does not answer"},
		{"BadName", polite, "Not A Name", true, "invalid reference"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.manners.Store(c.manners)
			defer r.manners.Store(polite)
			begun := time.Now()
			err := ensure(ctx, "c", r.image(c.image), "missing")
			if err == nil || errors.Is(err, runtime.ErrPermanent) != c.permanent || errors.Is(err, runtime.ErrSilent) {
				t.Fatalf("got %v, want permanent %v", err, c.permanent)
			}
			if s := err.Error(); !strings.Contains(s, c.want) || !strings.Contains(s, r.image(c.image)) {
				t.Errorf("%q does not say %q", s, c.want)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
