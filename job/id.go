package job

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// DefaultNamespace is where a job lives that names none; it is left out when an
// ID is printed.
const DefaultNamespace = "default"

// An ID is a job's full name, namespace and name: "default/shop". Text printed
// for people leaves the default namespace out: "shop".
type ID string

// MakeID joins a namespace, which may be empty for the default, and a name.
func MakeID(namespace, name string) ID {
	if namespace == "" {
		namespace = DefaultNamespace
	}
	return ID(namespace + "/" + name)
}

// ParseID reads "shop" or "prod/shop".
func ParseID(s string) (ID, error) {
	ns, name, ok := strings.Cut(s, "/")
	if !ok {
		ns, name = DefaultNamespace, s
	}
	if err := CheckName(ns); err != nil {
		return "", fmt.Errorf("namespace %q: %w", ns, err)
	}
	if err := CheckName(name); err != nil {
		return "", fmt.Errorf("job name %q: %w", name, err)
	}
	return MakeID(ns, name), nil
}

// Namespace returns the part before the slash.
func (id ID) Namespace() string { ns, _, _ := strings.Cut(string(id), "/"); return ns }

// Name returns the part after the slash.
func (id ID) Name() string { _, n, _ := strings.Cut(string(id), "/"); return n }

// String leaves out the default namespace.
func (id ID) String() string {
	return strings.TrimPrefix(string(id), DefaultNamespace+"/")
}

// A SlotID names one copy of a task, such as "shop/web.0". Numbered slots count
// from zero and have an empty At; a system slot is "shop/agent@PEER" and a cron
// slot "shop/backup@TICK", both with Index 0 and At set.
type SlotID struct {
	_     struct{} `cbor:",toarray"`
	Job   ID
	Task  string
	Index int
	At    string
}

// String prints the slot as people type it; ParseSlotID reads it back.
func (s SlotID) String() string {
	if s.At != "" {
		return s.Job.String() + "/" + s.Task + "@" + s.At
	}
	return s.Job.String() + "/" + s.Task + "." + strconv.Itoa(s.Index)
}

// ParseSlotID reads "shop/web.0", "prod/shop/web.0" or "shop/agent@PEER".
func ParseSlotID(text string) (SlotID, error) {
	cut := strings.LastIndex(text, "/")
	if cut < 0 {
		return SlotID{}, fmt.Errorf("slot %q: want JOB/TASK.N, such as shop/web.0", text)
	}
	id, err := ParseID(text[:cut])
	if err != nil {
		return SlotID{}, fmt.Errorf("slot %q: %w", text, err)
	}
	rest := text[cut+1:]
	if task, at, ok := strings.Cut(rest, "@"); ok {
		if err := CheckName(task); err != nil || at == "" {
			return SlotID{}, fmt.Errorf("slot %q: want JOB/TASK@PEER", text)
		}
		return SlotID{Job: id, Task: task, At: at}, nil
	}
	dot := strings.LastIndex(rest, ".")
	if dot < 0 {
		return SlotID{}, fmt.Errorf("slot %q: want JOB/TASK.N, such as shop/web.0", text)
	}
	n, err := strconv.Atoi(rest[dot+1:])
	if err != nil || n < 0 {
		return SlotID{}, fmt.Errorf("slot %q: %q is no slot number", text, rest[dot+1:])
	}
	if err := CheckName(rest[:dot]); err != nil {
		return SlotID{}, fmt.Errorf("slot %q: task %w", text, err)
	}
	return SlotID{Job: id, Task: rest[:dot], Index: n}, nil
}

// Compare orders slots by job, task, number and place.
func (s SlotID) Compare(t SlotID) int {
	switch {
	case s.Job != t.Job:
		return cmp.Compare(s.Job, t.Job)
	case s.Task != t.Task:
		return cmp.Compare(s.Task, t.Task)
	case s.Index != t.Index:
		return cmp.Compare(s.Index, t.Index)
	}
	return cmp.Compare(s.At, t.At)
}

// MaxName is the greatest length of a name in bytes.
const MaxName = 63

// CheckName reports why s cannot name a job, task, namespace, volume or label
// value: 1 to 63 of lower-case letters, digits, '-', '_' and '.', beginning and
// ending with a letter or digit.
func CheckName(s string) error {
	if s == "" {
		return fmt.Errorf("is empty")
	}
	alnum := func(c rune) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	n := 0
	for i, c := range s {
		n++
		if !alnum(c) && (!strings.ContainsRune("-_.", c) || i == 0 || i == len(s)-1) {
			return fmt.Errorf("%s: character %q at %d is not allowed (lower-case letters, digits, and inside '-', '_', '.')", quote(s), c, n)
		}
	}
	if len(s) > MaxName {
		return fmt.Errorf("%s has %d characters, at most %d are allowed", quote(s), len(s), MaxName)
	}
	return nil
}
