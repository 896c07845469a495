package sim

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"shoal/internal/plain"
	"shoal/job"
)

// Files in the format of the openb trace (cluster-trace-gpu-v2023 of
// alibaba/clusterdata; Weng et al., "Beware of Fragmentation", USENIX ATC 2023): one
// of pods, whose needs and times become jobs, and one of nodes, which become peers.
// GPUs are kept for packing; a workload asks for none, so among peers a model is a label.

const (
	podHeader  = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time"
	nodeHeader = "sn,cpu_milli,memory_mib,gpu,model"

	maxTraceBytes = 64 << 20
	maxTraceRows  = 1_000_000
	maxTraceCPU   = 1_000_000      // thousandths of a core: 1,000 cores
	maxTraceMem   = 16 << 20       // MiB: 16 TiB
	maxTraceTime  = 10_000_000_000 // seconds: three hundred years
	maxTraceGPUs  = 1024           // devices of one row
	wholeGPU      = 1000           // thousandths of a device
)

// A pod is a row of a trace.
type pod struct {
	cpuMilli, memMiB int64
	created, lasts   int64  // seconds; created counts from the trace's own zero
	bestEffort       bool   // batch work; the others are services
	gpus, gpuMilli   int64  // devices, and the thousandths of each; only of a single one fewer than all
	gpuSpec          string // models that will do, such as "t4|p100"; "": any
}

// A traceNode is a row of a table of nodes, and the machine that it becomes.
type traceNode struct {
	MachineSpec
	gpus  int64
	model string // of its devices, such as "t4"; "": unknown, or it has none
}

// readPods reads a file of pods, ordered by creation. Its error names file and line.
func readPods(path string) ([]pod, error) {
	var pods []pod
	err := readTable(path, podHeader, func(r *tableRow) {
		p := pod{
			cpuMilli: r.number("cpu_milli", 0, maxTraceCPU), memMiB: r.number("memory_mib", 0, maxTraceMem),
			created: r.number("creation_time", 0, maxTraceTime),
		}
		r.gpus(&p)
		switch qos := r.text("qos"); qos {
		case "BE":
			p.bestEffort = true
		case "LS", "Burstable", "Guaranteed":
		default:
			r.refuse("qos", "is none of BE, Burstable, Guaranteed, LS")
		}
		begun := p.created
		if r.text("scheduled_time") != "" { // empty if it never was
			begun = r.number("scheduled_time", p.created, maxTraceTime)
		}
		p.lasts = r.number("deletion_time", begun, maxTraceTime) - begun
		pods = append(pods, p)
	})
	slices.SortStableFunc(pods, func(a, b pod) int { return cmp.Compare(a.created, b.created) })
	return pods, err
}

// gpus reads what a pod wants of GPUs: none, a share of one device, or whole ones.
func (r *tableRow) gpus(p *pod) {
	p.gpus = r.number("num_gpu", 0, maxTraceGPUs)
	switch p.gpus {
	case 0:
		p.gpuMilli = r.number("gpu_milli", 0, 0)
	case 1:
		p.gpuMilli = r.number("gpu_milli", 1, wholeGPU)
	default: // several devices are whole
		p.gpuMilli = r.number("gpu_milli", wholeGPU, wholeGPU)
	}
	p.gpuSpec = strings.ToLower(r.text("gpu_spec"))
	if p.gpuSpec == "" {
		return
	}
	for model := range strings.SplitSeq(p.gpuSpec, "|") {
		r.model("gpu_spec", model)
	}
}

// model refuses the name of a model that could be no label.
func (r *tableRow) model(column, name string) {
	if job.CheckName(name) != nil {
		r.refuse(column, "is no name; letters, digits, '-', '_' and '.' make one")
	}
}

// readNodes reads a file of nodes as machines. Its error names file and line.
func readNodes(path string) ([]traceNode, error) {
	var nodes []traceNode
	err := readTable(path, nodeHeader, func(r *tableRow) {
		n := traceNode{gpus: r.number("gpu", 0, maxTraceGPUs)}
		n.Capacity = job.Resources{
			CPUMilli: r.number("cpu_milli", 1, maxTraceCPU), MemBytes: r.number("memory_mib", 1, maxTraceMem) << 20,
			DiskBytes: defaultCapacity.DiskBytes,
		}
		if model := strings.ToLower(r.text("model")); n.gpus > 0 && model != "" {
			r.model("model", model)
			n.model, n.Labels = model, map[string]string{"gpu": model}
		}
		nodes = append(nodes, n)
	})
	return nodes, err
}

// A tableRow is one row of a table being read; it keeps the first thing wrong with it.
type tableRow struct {
	columns []string
	fields  []string
	err     error
}

func (r *tableRow) text(column string) string { return r.fields[slices.Index(r.columns, column)] }

func (r *tableRow) refuse(column, why string) {
	if r.err == nil {
		text := r.text(column)
		r.err = fmt.Errorf("%s: %q %s", column, text[:min(len(text), 40)], why)
	}
}

func (r *tableRow) number(column string, least, most int64) int64 {
	n, err := strconv.ParseInt(r.text(column), 10, 64)
	switch {
	case err == nil && n >= least && n <= most:
	case least == most:
		r.refuse(column, fmt.Sprintf("is not %d", least))
		return least
	default:
		r.refuse(column, fmt.Sprintf("is no whole number from %d to %d", least, most))
		return least
	}
	return n
}

// readTable calls row with each row of a table in CSV. Its error names file and line.
func readTable(path, header string, row func(*tableRow)) error {
	f, err := plain.Open(path, "a table in CSV", maxTraceBytes)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := csv.NewReader(f)
	lines.FieldsPerRecord, lines.ReuseRecord = -1, true
	r := &tableRow{columns: strings.Split(header, ",")}
	for n := 0; ; n++ {
		r.fields, err = lines.Read()
		var wrong *csv.ParseError
		switch {
		case errors.As(err, &wrong):
			return fmt.Errorf("%s:%d: %w", path, wrong.Line, wrong.Err)
		case errors.Is(err, io.EOF) && n > 1:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%s:%d: no rows; want the line %s and rows after it", path, n+1, header)
		case err != nil:
			return err
		}
		line, _ := lines.FieldPos(0)
		if n == 0 {
			if !slices.Equal(r.fields, r.columns) {
				return fmt.Errorf("%s:%d: the first line is not %s", path, line, header)
			}
			continue
		}
		if err := r.check(n, row); err != nil {
			return fmt.Errorf("%s:%d: %w", path, line, err)
		}
	}
}

func (r *tableRow) check(n int, row func(*tableRow)) error {
	switch {
	case n > maxTraceRows:
		return fmt.Errorf("more than %d rows", maxTraceRows)
	case len(r.fields) != len(r.columns):
		return fmt.Errorf("%d fields, want %d", len(r.fields), len(r.columns))
	}
	row(r)
	return r.err
}

// pickNodes takes n machines out of nodes at even distances, so that the mix stays;
// of few nodes each is taken more than once. Equal neighbours become one group.
func pickNodes(nodes []traceNode, n int) []PeerGroup {
	var groups []PeerGroup
	for i := range n {
		m := nodes[i*len(nodes)/n].MachineSpec
		if last := len(groups) - 1; last >= 0 && groups[last].Capacity == m.Capacity && groups[last].Labels["gpu"] == m.Labels["gpu"] {
			groups[last].Count++
			continue
		}
		groups = append(groups, PeerGroup{Count: 1, MachineSpec: m})
	}
	return groups
}

// UseNodes replaces the scenario's peers by as many of the nodes in a file; n is
// their number, 0 the scenario's.
func (s *Scenario) UseNodes(path string, n int) error {
	nodes, err := readNodes(path)
	if err != nil {
		return err
	}
	flag := "--nodes " + Quote(path)
	if n == 0 {
		n = s.peers()
	} else {
		flag += fmt.Sprintf(" --peers %d", n)
	}
	if n < 1 || n > maxPeers {
		return fmt.Errorf("%d is no number of peers from 1 to %d", n, maxPeers)
	}
	if err := s.namesAtMost(n); err != nil {
		return err
	}
	for _, g := range s.Groups {
		if len(g.Labels) > 0 || g.Datacenter != "" || g.Profile != "" || g.NIC != (nicSpec{}) || g.Clock != 0 || g.DriftPPM != 0 {
			return fmt.Errorf("the peers of %s have labels, sites, profiles, NAT or clocks of their own, which a table of nodes has not: leave the flag out", s.Name)
		}
	}
	s.Groups = pickNodes(nodes, n)
	s.Flags = append(s.Flags, flag)
	return nil
}

// peersFrom reads "from=nodes.csv count=100" of the statement peers.
func (p *parser) peersFrom(words []string) error {
	n, from := 0, ""
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "from":
			from = value
		case "count":
			var err error
			if n, err = strconv.Atoi(value); err != nil || n < 1 || n > maxPeers {
				return fmt.Errorf("%s: want a number of peers from 1 to %d", w, maxPeers)
			}
		default:
			return fmt.Errorf("%s: unknown option beside from=; known is count", w)
		}
	}
	if n == 0 {
		return fmt.Errorf("how many? such as: peers from=nodes.csv count=100")
	}
	nodes, err := readNodes(p.path(from))
	if err != nil {
		return fmt.Errorf("from=%s: %w", from, err)
	}
	p.s.Groups = append(p.s.Groups, pickNodes(nodes, n)...)
	return nil
}

// path finds a file that the scenario names: from the folder the scenario is in.
func (p *parser) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(filepath.Dir(p.name), file)
}
