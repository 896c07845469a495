package facts

import "golang.org/x/sys/unix"

// kernelVersion is the release of the kernel, "6.1.0-18-amd64"; "" if it is not told.
func kernelVersion() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return labelText(unix.ByteSliceToString(u.Release[:]))
}
