package job

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A ChangeKind says what a Change does to the slots of its task.
type ChangeKind string

// The kinds of change between two Specs.
const (
	ChangeAdd    ChangeKind = "add"    // a task that was not there: its slots are sold
	ChangeRemove ChangeKind = "remove" // a task that is no longer there: its slots end
	ChangeScale  ChangeKind = "scale"  // another count: slots are sold or end, none restarts
	ChangeUpdate ChangeKind = "update" // another field: slots move to the new spec
)

// A Change is one difference between two Specs of a job.
type Change struct {
	Task  string     `json:"task,omitempty"`  // empty: of the job itself
	Field string     `json:"field,omitempty"` // "image", "env.PORT", "restart.delay"; empty for add and remove
	Old   string     `json:"old,omitempty"`   // empty: was not set
	New   string     `json:"new,omitempty"`
	Kind  ChangeKind `json:"kind"`
}

// Diff lists what differs between two Specs, the job's own fields first, then task
// by task in order of name. A nil Spec has no tasks. Both should have had Defaults,
// or a default that was filled shows as a change.
func Diff(old, new *Spec) []Change {
	if old == nil {
		old = &Spec{}
	}
	if new == nil {
		new = &Spec{}
	}
	d := differ{}
	if len(old.Tasks) > 0 && len(new.Tasks) > 0 {
		d.fields("", reflect.ValueOf(*old), reflect.ValueOf(*new), "tasks")
	}
	for _, name := range taskNames(old, new) {
		d.task = name
		before, after := old.Task(name), new.Task(name)
		switch {
		case before == nil:
			d.add(Change{Kind: ChangeAdd, New: summary(after)})
		case after == nil:
			d.add(Change{Kind: ChangeRemove, Old: summary(before)})
		default:
			d.fields("", reflect.ValueOf(*before), reflect.ValueOf(*after), "name")
		}
	}
	return d.changes
}

func taskNames(specs ...*Spec) []string {
	var names []string
	for _, s := range specs {
		for _, t := range s.Tasks {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func summary(t *Task) string {
	if t.Type == System && t.Count > 0 {
		return "on each peer " + t.Image
	}
	return fmt.Sprintf("%d × %s", t.Count, t.Image)
}

type differ struct {
	task    string
	changes []Change
}

func (d *differ) add(c Change) {
	c.Task = d.task
	d.changes = append(d.changes, c)
}

// fields compares two structs of one type, field by field, under their JSON names.
func (d *differ) fields(prefix string, before, after reflect.Value, skip string) {
	for i := range before.NumField() {
		name, _, _ := strings.Cut(before.Type().Field(i).Tag.Get("json"), ",")
		if name != skip {
			d.value(prefix+name, before.Field(i), after.Field(i))
		}
	}
}

func (d *differ) value(field string, before, after reflect.Value) {
	if before.Kind() == reflect.Pointer && !before.IsNil() && !after.IsNil() {
		before, after = before.Elem(), after.Elem()
	}
	switch {
	case before.Kind() == reflect.Struct:
		d.fields(field+".", before, after, "")
	case before.Kind() == reflect.Map:
		d.pairs(field, before.Interface().(map[string]string), after.Interface().(map[string]string))
	default:
		kind := ChangeUpdate
		if field == "count" {
			kind = ChangeScale
		}
		if was, is := show(field, before), show(field, after); was != is {
			d.add(Change{Kind: kind, Field: field, Old: was, New: is})
		}
	}
}

func (d *differ) pairs(field string, before, after map[string]string) {
	keys := append(sortedKeys(before), sortedKeys(after)...)
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		was, had := before[k]
		is, has := after[k]
		if was != is || had != has {
			d.add(Change{Kind: ChangeUpdate, Field: field + "." + k, Old: was, New: is})
		}
	}
}

// show prints a field as a person would write it: sizes with units, lists with blanks.
func show(field string, v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case int64:
		if strings.HasSuffix(field, "Bytes") {
			return showBytes(x)
		}
		if strings.HasSuffix(field, "cpuMilli") {
			return showCPUs(x)
		}
	case []string:
		quoted := make([]string, len(x))
		for i, s := range x {
			quoted[i] = s
			if !isVisible(s) || s == "" {
				quoted[i] = strconv.Quote(s)
			}
		}
		return strings.Join(quoted, " ")
	case *Health:
		if x == nil {
			return ""
		}
		return strings.Join(x.Test, " ")
	}
	switch v.Kind() {
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = showItem(v.Index(i).Interface())
		}
		return strings.Join(parts, ", ")
	default:
		return fmt.Sprint(v.Interface())
	}
}

func showItem(item any) string {
	switch x := item.(type) {
	case Port:
		return fmt.Sprintf("%d→%d/%s", x.Published, x.Target, x.Protocol)
	case Mount:
		text := x.Type + " " + x.Source + ":" + x.Target
		if x.ReadOnly {
			text += ":ro"
		}
		return text
	case Dependency:
		return x.Task + " " + x.Condition
	default:
		return fmt.Sprint(x)
	}
}

// showCPUs prints thousandths of a processor: "0.5 CPU".
func showCPUs(milli int64) string {
	return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64) + " CPU"
}

func showBytes(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
