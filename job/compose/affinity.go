package compose

import (
	"maps"
	"slices"

	"shoal/job"
)

// affinities reads what copies are to run near to, or apart from: tasks of the job by
// their names, or mappings.
func (l *load) affinities(path string, value any) (out []job.Affinity) {
	if value == nil {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		l.refuse(path, "must be a list, such as [db] or [{job: shop, over: zone}]")
		return nil
	}
	for i, item := range list {
		at := path + index(i)
		values, ok := item.(map[string]any)
		if !ok {
			name := l.word(at, item)
			if name == "" {
				l.refuse(at, "is empty; write the name of a service, or {job: shop}")
			}
			out = append(out, job.Affinity{Task: name})
			continue
		}
		out = append(out, l.affinity(at, values))
	}
	return out
}

func (l *load) affinity(path string, values map[string]any) (a job.Affinity) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values[key]
		switch key {
		case "task":
			a.Task = l.word(path+".task", value)
		case "job":
			a.Job = l.word(path+".job", value)
		case "label":
			a.Label = l.word(path+".label", value)
		case "over":
			a.Over = l.word(path+".over", value)
		case "required":
			if a.Required, _ = value.(bool); value != a.Required {
				l.refuse(path+".required", "%v is neither true nor false", value)
			}
		default:
			l.refuse(path, "has no key %q; it has task, job, label, over and required", key)
		}
	}
	return a
}
