package main

import "syscall"

// staUnsync is the kernel's flag for a clock that nothing keeps right (adjtimex(2)).
const staUnsync = 0x40

// clockSynced is what the kernel says of its clock; nil if it says nothing.
func clockSynced() *bool {
	var t syscall.Timex
	if _, err := syscall.Adjtimex(&t); err != nil {
		return nil
	}
	synced := t.Status&staUnsync == 0
	return &synced
}
