package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// An output is standard output, which remembers that something could not be written:
// most of what is printed is printed without a look at the error, and a command whose
// answer was lost must not end as if it had been given.
type output struct {
	io.Writer
	err error // the first
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err == nil {
		return n, nil
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	err = fmt.Errorf("standard output cannot be written: %w", err)
	if o.err == nil {
		o.err = err
	}
	return n, err
}
