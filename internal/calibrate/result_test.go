package calibrate

import "time"

// A result is what one level measured, from sending to arrival.
type result struct {
	topic  []time.Duration // at each peer but the author
	author []time.Duration // the same of an author's first publication
	warm   []time.Duration // a frame on a stream in use
	answer []time.Duration // a frame and its answer, on streams in use
	first  []time.Duration // the first frame to a peer without a connection
}

func (r *result) add(kind byte, took time.Duration) {
	switch kind {
	case introduction:
		r.author = append(r.author, took)
	case publication:
		r.topic = append(r.topic, took)
	case question:
		r.warm = append(r.warm, took)
	case answer:
		r.answer = append(r.answer, took)
	case first:
		r.first = append(r.first, took)
	}
}
