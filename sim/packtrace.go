package sim

import (
	"fmt"

	"shoal/sim/pack"
)

// ReadPackTrace reads a table of nodes and one of pods, both in the format of the openb
// trace, for placing the one on the other. When pods came and went is left out. Its
// error names the file, and the line if one row is wrong.
func ReadPackTrace(nodesFile, podsFile string) (*pack.Trace, error) {
	table, err := readNodes(nodesFile)
	if err != nil {
		return nil, err
	}
	rows, err := readPods(podsFile)
	if err != nil {
		return nil, err
	}
	nodes := make([]pack.Node, 0, len(table))
	for _, n := range table {
		nodes = append(nodes, pack.Node{CPUMilli: n.Capacity.CPUMilli, MemMiB: n.Capacity.MemBytes >> 20, GPUs: int(n.gpus), Model: n.model})
	}
	pods := make([]pack.Pod, 0, len(rows))
	for _, p := range rows {
		pods = append(pods, pack.Pod{CPUMilli: p.cpuMilli, MemMiB: p.memMiB, GPUs: int(p.gpus), GPUMilli: p.gpuMilli, Models: p.gpuSpec})
	}
	t, err := pack.NewTrace(nodes, pods)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", nodesFile, podsFile, err)
	}
	return t, nil
}
