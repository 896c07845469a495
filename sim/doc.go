// Package sim is a world in which many peers run the shipped core at once, in one
// thread and in simulated time: a network that delays, loses and splits, disks
// that lose what was not synced, engines that hang, clocks that disagree. The
// faults and the work of a run are a list drawn or written before it begins, and
// every source of chance is split by peer and purpose from one seed, so a run is
// a pure function of (program, seed, plan): the same seed gives the same hash.
//
//	scenario text ──► Scenario ──► World ──► Result
//	random soak   ──►    │           │  one event at a time, ordered by (time, sequence)
//	                     │           ├─ machine: disk, engine, clock, and a node.Core
//	                     │           ├─ network between machines
//	                     │           └─ checkers (package check), told of every effect
//	                     └─ ops: submit, crash, cut, …; assertions: held, running, …
//
// A machine performs a Ready as the daemon does: records durable, then messages
// and replies, then actions. A crash can fall between any two of these.
package sim
