package api

import "testing"

// A value that is not of its field's kind, or that no integer holds, is refused by field,
// with what would be right.
func TestDecodeBody_NamesFieldAndBounds(t *testing.T) {
	for text, want := range map[string]string{
		`{"spec":{"tasks":[{"count":99999999999999999999}]}}`: "spec.tasks.count: 99999999999999999999 is not a whole number between 0 and 10000",
		`{"spec":{"tasks":[{"priority":1e30}]}}`:              "spec.tasks.priority: 1e30 is not a whole number between 1 and 100",
		`{"base":-1}`:                                         "base: -1 is not a whole number between 0 and 18446744073709551615",
		`{"spec":{"tasks":{}}}`:                               "spec.tasks: a value of kind object is not a list",
		`{"spec":[]}`:                                         "spec: a value of kind array is not an object",
		`{"spec":{"name":5}}`:                                 "spec.name: a value of kind number is not a string",
		`{"spec":{"tasks":[{"needs":{"memBytes":1e30}}]}}`:    "spec.tasks.needs.memBytes: 1e30 is not a whole number between 0 and 70368744177664",
		`[]`: "the request: a value of kind array is not an object",
	} {
		var q DeployRequest
		if err := decodeBody([]byte(text), &q); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
}
