// Package calibrate holds tests alone: they run package p2p as it ships (QUIC,
// gossipsub, admission, framed streams) on a network inside the process and measure
// its delivery times, for the simulator's network to be held against.
//
// All is under testing/synctest: time is virtual and stands still while anybody
// computes, so that what is measured is the network and the protocols, and not this
// machine.
package calibrate
