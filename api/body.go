package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"shoal/job"
)

// What a body may hold. The decoder makes room for whole elements, some of hundreds of
// bytes, where the text has "null": without a bound two megabytes of text become half
// a gigabyte.
const (
	maxValues   = 64 << 10 // of all lists and objects together
	maxElements = 4096     // of one list
	maxTasks    = job.MaxTasks
	taskDepth   = 3 // of the list of tasks: {"spec": {"tasks": [
)

// checkBody looks over JSON text before it is decoded. It finds no fault with text
// that is no JSON: the decoder does, where it is.
func checkBody(text []byte) error {
	var counts []int // of the lists and objects around, from 1
	var lists []bool
	values, inString := 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if inString {
			switch c {
			case '\\':
				i++
			case '"':
				inString = false
			}
			continue
		}
		switch c {
		case '"':
			inString = true
		case '{', '[':
			counts, lists = append(counts, 1), append(lists, c == '[')
		case '}', ']':
			if len(counts) == 0 {
				return nil
			}
			counts, lists = counts[:len(counts)-1], lists[:len(lists)-1]
		case ',':
			if len(counts) > 0 {
				counts[len(counts)-1]++
			}
		default:
			continue
		}
		if c == ',' || c == '{' || c == '[' {
			values++
		}
		if d := len(counts); d > 0 && lists[d-1] {
			if most := mostElements(d); counts[d-1] > most {
				return fmt.Errorf("a list of more than %d elements", most)
			}
		}
		if values > maxValues || len(counts) > 64 {
			return fmt.Errorf("more than %d values, or more than 64 inside one another", maxValues)
		}
	}
	return nil
}

func mostElements(depth int) int {
	if depth <= taskDepth {
		return maxTasks
	}
	return maxElements
}

// maxListed bounds the elements of all lists in another peer's answer together: more than
// any peer has slots, and few enough for whole elements where the text has "null".
const maxListed = 64 << 10

// listed counts the elements of all lists in JSON text, empty lists as one.
func listed(text []byte) (n int) {
	var lists []bool // of what is around: is it a list?
	inString := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if lists = append(lists, c == '['); c == '[' {
				n++
			}
		case (c == '}' || c == ']') && len(lists) > 0:
			lists = lists[:len(lists)-1]
		case c == ',' && len(lists) > 0 && lists[len(lists)-1]:
			n++
		}
	}
	return n
}

// bounds are those of numbers in a request, by the last part of their fields; of others
// they are what the type holds.
var bounds = map[string][2]int64{
	"count": {0, job.MaxCount}, "priority": {1, job.MaxPriority}, "attempts": {0, job.MaxAttempts},
	"memBytes": {0, job.MaxBytes}, "diskBytes": {0, job.MaxBytes}, "shmBytes": {0, job.MaxBytes},
}

// wrongValue says in plain words which field of a request has a value that is not of its
// kind, or that no integer holds, and what would be right.
func wrongValue(e *json.UnmarshalTypeError) error {
	field := cmp.Or(e.Field, "the request")
	value, isNumber := strings.CutPrefix(e.Value, "number ")
	if len(value) > 40 {
		value = value[:40] + "…"
	}
	if !isNumber || value == "" {
		value = "a value of kind " + e.Value
	}
	kind := e.Type.Kind()
	switch {
	case kind >= reflect.Int && kind <= reflect.Int64:
		most := int64(1)<<(e.Type.Bits()-1) - 1
		b, ok := bounds[field[strings.LastIndex(field, ".")+1:]]
		if !ok {
			b = [2]int64{-most - 1, most}
		}
		return fmt.Errorf("%s: %s is not a whole number between %d and %d", field, value, b[0], b[1])
	case kind >= reflect.Uint && kind <= reflect.Uint64:
		return fmt.Errorf("%s: %s is not a whole number between 0 and %d", field, value, ^uint64(0)>>(64-e.Type.Bits()))
	case kind == reflect.Slice || kind == reflect.Array:
		return fmt.Errorf("%s: %s is not a list", field, value)
	case kind == reflect.Struct || kind == reflect.Map:
		return fmt.Errorf("%s: %s is not an object", field, value)
	}
	return fmt.Errorf("%s: %s is not a %s", field, value, kind)
}
