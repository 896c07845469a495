// Package e2e holds the tests of the shipped binary: each peer in a network
// namespace of its own, with its own real engine. They believe the engines and the
// network, not what the peers say of themselves, and check the one against the other.
package e2e
