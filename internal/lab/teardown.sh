#!/usr/bin/env bash
# Ends what a lab has started and removes what it has made. Run twice it is as run
# once, and it needs nothing but names, so it also serves when the lab is gone.
#
#   teardown.sh peer NAMESPACE CGROUP DIR   power cut: processes, mounts, namespace, DIR/run
#   teardown.sh lab NUMBER                  everything of lab NUMBER
set -u
shopt -s nullglob
PATH=$PATH:/usr/sbin:/sbin

# cgroups CGROUP: its directories, in each hierarchy of version 1 or in the one of version 2.
cgroups() { local d; for d in /sys/fs/cgroup"$1" /sys/fs/cgroup/*"$1"; do [ -d "$d" ] && echo "$d"; done; }

# processes NAMESPACE CGROUP: engine and daemon are found by the namespace, the
# containers, which have namespaces of their own, by the cgroup.
processes() {
  local d
  [ -e "/run/netns/$1" ] && ip netns pids "$1" 2>/dev/null
  for d in $(cgroups "$2"); do find "$d" -name cgroup.procs -exec cat {} + 2>/dev/null; done
}

thaw() { # a frozen process cannot be killed
  local d f
  for d in $(cgroups "$1"); do
    for f in $(find "$d" -name freezer.state 2>/dev/null); do echo THAWED >"$f"; done
    for f in $(find "$d" -name cgroup.freeze 2>/dev/null); do echo 0 >"$f"; done
  done 2>/dev/null
}

# shim_sockets NAMESPACE: containerd's shims keep theirs in a place of their own.
shim_sockets() {
  [ -e "/run/netns/$1" ] && nsenter --net="/run/netns/$1" cat /proc/net/unix | grep -o '/run/containerd/s/[0-9a-f]*$' | sort -u
}

peer() {
  local ns=$1 cgroup=$2 dir=$3 sockets pids left=100
  sockets=$(shim_sockets "$ns")
  # The lab itself may be there for a moment, to dial from inside.
  while pids=$(processes "$ns" "$cgroup" | grep -vx "$PPID" | sort -un) && [ -n "$pids" ]; do
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null
    thaw "$cgroup"
    [ $((left -= 1)) -gt 0 ] || { echo "still running after 10 s:" $pids >&2; return 1; }
    sleep 0.1
  done
  # shellcheck disable=SC2086
  [ -z "$sockets" ] || rm -f $sockets
  awk '{ print $5 }' /proc/self/mountinfo | grep "^$dir/" | sort -r | while read -r mount; do umount -l "$mount"; done
  [ ! -e "/run/netns/$ns" ] || ip netns del "$ns"
  ip link del "$ns" 2>/dev/null # its end on the bridge, should the namespace linger
  rm -rf "$dir/run"
  local d
  for d in $(cgroups "$cgroup"); do find "$d" -depth -type d -exec rmdir {} + 2>/dev/null; done
  return 0
}

lab() {
  local number=$1 registry=/run/shoal-lab/$1 dir ns code=0
  dir=$(cat "$registry/dir" 2>/dev/null)
  for ns in /run/netns/"sl$number"-*; do
    ns=${ns##*/}
    peer "$ns" "/shoal-lab-$number/${ns#*-}" "${dir:-/nonexistent}/${ns#*-}" || code=1
  done
  ip link del "sl$number" 2>/dev/null
  while iptables -w -D FORWARD -i "sl$number" -o "sl$number" -j ACCEPT 2>/dev/null; do :; done
  local d
  for d in $(cgroups "/shoal-lab-$number"); do find "$d" -depth -type d -exec rmdir {} + 2>/dev/null; done
  case $dir in */shoal-lab-*) rm -rf --one-file-system "$dir" || code=1 ;; esac
  [ "$code" != 0 ] || rm -rf "$registry"
  return "$code"
}

case ${1-} in
  peer) peer "$2" "$3" "$4" ;;
  lab) lab "$2" ;;
  *) echo "usage: teardown.sh peer NAMESPACE CGROUP DIR | lab NUMBER" >&2; exit 2 ;;
esac
