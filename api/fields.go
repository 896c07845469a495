package api

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
	"unicode"
)

// fieldsOf writes a record's body as JSON with its own field names, the first letter
// small, in their order; IDs and hashes as text, durations in seconds. What has JSON
// names of its own, as a job's spec, keeps them. Empty fields are left out.
func fieldsOf(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := appendFields(&b, reflect.ValueOf(v)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func appendFields(b *bytes.Buffer, v reflect.Value) error {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return appendJSON(b, Age(x))
	case json.Marshaler, encoding.TextMarshaler:
		return appendJSON(b, x)
	case fmt.Stringer: // a phase
		return appendJSON(b, x.String())
	}
	switch {
	case v.Kind() == reflect.Struct && !hasOwnNames(v.Type()):
		return appendStruct(b, v)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		return appendList(b, v)
	}
	return appendJSON(b, v.Interface())
}

// hasOwnNames reports whether a struct says how it is written in JSON.
func hasOwnNames(t reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("json") != "" {
			return true
		}
	}
	return false
}

func appendStruct(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('{')
	for i, n := 0, 0; i < v.NumField(); i++ {
		f := v.Type().Field(i)
		if !f.IsExported() || v.Field(i).IsZero() {
			continue
		}
		if n++; n > 1 {
			b.WriteByte(',')
		}
		name := []rune(f.Name)
		name[0] = unicode.ToLower(name[0])
		fmt.Fprintf(b, "%q:", string(name))
		if err := appendFields(b, v.Field(i)); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func appendList(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := appendFields(b, v.Index(i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func appendJSON(b *bytes.Buffer, v any) error {
	text, err := json.Marshal(v)
	b.Write(text)
	return err
}
