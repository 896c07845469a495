// Package calibrate holds tests alone: they run a scenario on package p2p as it ships
// (QUIC, gossipsub, admission, framed streams), on a network inside the process, and
// in the simulator's network, and hold the delivery times of the two against one
// another. `make calibrate` writes them into docs/SIMULATION.md.
//
// The real stack is under testing/synctest: time is virtual and stands still while
// anybody computes, so that what is measured is the network and the protocols, and
// not this machine.
package calibrate
