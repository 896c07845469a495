package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"shoal/wire"
)

var whose = Header{Content: Backup, Swarm: wire.HashOf([]byte("swarm")), Peer: wire.PeerID{1}, Name: "kitchen", Unix: 1_700_000_000, Shoal: "v1"}

// sample is an archive of every kind of item, one of them of a later version.
func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, whose)
	for _, size := range []int{1, 23, 24, 255, 256, 70_000, wire.MaxRecordBytes} {
		if err := w.Record(bytes.Repeat([]byte{7}, size)); err != nil {
			t.Fatal(err)
		}
	}
	later := wire.MustMarshal(map[int]string{17: "later"})
	w.bytes(head(byteString, len(later)))
	w.bytes(later)
	w.items++
	if err := errors.Join(w.Removed(Removed{"default/shop", 3}), w.Keys(Keys{Root: []byte("root")}), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// drain reads to the end and tells what there was.
func drain(b []byte) (text string, err error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s of %s at %d;", r.Header().Content, r.Header().Name, r.Header().Unix)
	for {
		i, err := r.Next()
		switch {
		case err != nil:
			_, again := r.Next()
			if !errors.Is(again, err) {
				return "", fmt.Errorf("after %w comes %w", err, again)
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return out.String(), err
		case i.Record != nil:
			fmt.Fprintf(&out, " record of %d", len(i.Record))
		case i.Removed != nil:
			fmt.Fprintf(&out, " removed %s %d", i.Removed.Job, i.Removed.Life)
		case i.Keys != nil:
			fmt.Fprintf(&out, " keys %s", i.Keys.Root)
		default:
			out.WriteString(" later")
		}
	}
}

func TestArchive_GivesBackWhatWasPut(t *testing.T) {
	got, err := drain(sample(t))
	want := "backup of kitchen at 1700000000; record of 1 record of 23 record of 24 record of 255 record of 256" +
		" record of 70000 record of 307200 later removed shop 3 keys root"
	if err != nil || got != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestArchive_EveryCutAndEveryFlippedBitIsSeen(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b, whose)
	if err := errors.Join(w.Record([]byte("one")), w.Record(bytes.Repeat([]byte{9}, 300)), w.Close()); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	for n := range whole {
		if _, err := drain(whole[:n]); !errors.Is(err, ErrCut) && (n > 0 || !errors.Is(err, ErrForeign)) {
			t.Fatalf("cut at byte %d of %d: %v", n, len(whole), err)
		}
		for bit := range 8 {
			bad := bytes.Clone(whole)
			bad[n] ^= 1 << bit
			if _, err := drain(bad); err == nil {
				t.Fatalf("bit %d of byte %d flipped, and nobody saw it", bit, n)
			}
		}
	}
	if _, err := drain(append(bytes.Clone(whole), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a byte more: %v", err)
	}
}

func TestArchive_SaysWhatItCannotRead(t *testing.T) {
	text := append(head(textString, len(magic)), magic...)
	header := func(format int) []byte {
		b := wire.MustMarshal(&Item{Header: &Header{Format: format}})
		return append(append(bytes.Clone(text), head(byteString, len(b))...), b...)
	}
	for _, c := range []struct {
		name string
		in   []byte
		kind error
		want string
	}{
		{"nothing", nil, ErrForeign, "is no shoal ledger archive"},
		{"a text", []byte("name: shop\n"), ErrForeign, "is no shoal ledger archive"},
		{"only the beginning", text[:9], ErrCut, "breaks off"},
		{"newer", header(2), ErrNewer, "update this one (format 2, this one reads 1)"},
		{"no format", header(0), ErrDamaged, "header"},
		{"no header", append(bytes.Clone(text), 0x42, 0xa0, 0xa0), ErrDamaged, "cannot be read"},
		{"an item without end", append(header(1), 0x5f), ErrDamaged, "there is no item"},
		{"a huge item", append(header(1), 0x5a, 0x7f, 0xff, 0xff, 0xff), ErrDamaged, "an item of 2147483647 bytes"},
		{"an item of 64 bits", append(header(1), 0x5b, 0, 0, 0, 0, 0, 0, 0, 1, 0xa0), ErrDamaged, "there is no item"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := drain(c.in); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestArchive_ALengthAloneTakesNoMemory(t *testing.T) {
	var b bytes.Buffer
	NewWriter(&b, whose)
	in := append(b.Bytes(), 0x5a, 0, 4, 0, 0) // an item of 256 KiB, and nothing of it
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := drain(in)
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if !errors.Is(err, ErrCut) || allocated > 64<<10+32<<10+uint64(4*len(in)) { // the reader's own buffer, and some room
		t.Errorf("%d bytes allocated for %d of input, %v", allocated, len(in), err)
	}
}

func TestArchive_WhatCannotBeWrittenIsSaid(t *testing.T) {
	full := errors.New("no space left")
	w := NewWriter(limited{full}, whose)
	if err := w.Record([]byte("x")); !errors.Is(err, full) {
		t.Errorf("Record: %v", err)
	}
	if err := w.Close(); !errors.Is(err, full) {
		t.Errorf("Close: %v", err)
	}
	w = NewWriter(io.Discard, whose)
	if err := w.Record(make([]byte, maxItem)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a record that is too big: %v", err)
	}
}

type limited struct{ err error }

func (l limited) Write([]byte) (int, error) { return 0, l.err }

func FuzzReader(f *testing.F) {
	f.Add(sample(f)[:2000])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := drain(b)
		known := err == nil
		for _, kind := range []error{ErrForeign, ErrNewer, ErrCut, ErrDamaged} {
			known = known || errors.Is(err, kind)
		}
		if !known {
			t.Errorf("an error of no kind: %v", err)
		}
	})
}
