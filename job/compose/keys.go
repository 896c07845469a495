package compose

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/schema"
)

// A treatment is what becomes of one kind of key.
type treatment struct {
	how  how
	text string // why, for refuse and unsupported
}

type how uint8

const (
	unsupported how = iota // a warning; also of every key of the specification that treatments lacks
	descend                // convert maps it; the keys below have treatments of their own
	whole                  // convert maps it and all below it
	harmless               // says nothing about how containers run
	refuse                 // the job would not work, or would be less safe than the file says
)

const (
	noHooks = "is not supported yet; do it in the image's entrypoint"
	noFile  = "is not supported yet, and the container would miss the file; put it into the image or a volume"
	oneNet  = "has no effect: the tasks of a job share one network, apart from other jobs; remove it"
)

// treatments is keyed by pattern. A pattern of the Compose specification that is not
// here is unsupported, so a key that a new specification brings can never slip through.
var treatments = map[string]treatment{
	"version":  {how: harmless},
	"name":     {how: whole},
	"services": {how: descend}, "services.*": {how: descend},
	"volumes": {how: descend}, "volumes.*": {how: descend},
	"volumes.*.driver": {how: whole}, "volumes.*.driver_opts": {refuse, "is not supported yet; a plain volume would not hold the data that is meant"},
	"networks": {unsupported, oneNet},
	"include":  {refuse, "is not supported; name all files on the command line instead: shoal deploy a.yaml b.yaml"},
	"models":   {refuse, "is not supported; run the model as a service"},
	"jobs":     {refuse, "is not supported; write a service with x-shoal: {type: batch}"},

	"x-shoal": {how: descend}, "x-shoal.datacenters": {how: whole}, "x-shoal.namespace": {how: whole},
}

// serviceKeys are the treatments below "services.*.".
var serviceKeys = map[string]treatment{
	"image": {how: whole}, "command": {how: whole}, "entrypoint": {how: whole}, "platform": {how: whole},
	"environment": {how: whole}, "env_file": {how: whole}, "labels": {how: whole}, "label_file": {how: whole},
	"user": {how: whole}, "working_dir": {how: whole}, "hostname": {how: whole}, "extra_hosts": {how: whole},
	"restart": {how: whole}, "scale": {how: whole}, "profiles": {how: whole}, "pull_policy": {how: whole},
	"stop_signal": {how: whole}, "stop_grace_period": {how: whole}, "init": {how: whole}, "read_only": {how: whole},
	"tmpfs": {how: whole}, "shm_size": {how: whole}, "cap_drop": {how: whole}, "expose": {how: whole},
	"mem_limit": {how: whole}, "mem_reservation": {how: whole}, "cpus": {how: whole}, "pids_limit": {how: whole},
	"build": {how: whole}, "extends": {how: descend}, "extends.service": {how: whole},
	"extends.file": {refuse, "is not supported; name all files on the command line instead: shoal deploy a.yaml b.yaml"},
	"attach":       {how: harmless}, "develop": {how: harmless},
	"container_name": {unsupported, "has no effect: the copies of a task are named JOB/TASK.N"},

	"ports": {how: descend}, "ports.[].target": {how: whole}, "ports.[].published": {how: whole}, "ports.[].protocol": {how: whole},
	"ports.[].host_ip": {how: whole}, "ports.[].mode": {how: whole}, "ports.[].name": {how: harmless}, "ports.[].app_protocol": {how: harmless},
	"volumes": {how: descend}, "volumes.[].type": {how: whole}, "volumes.[].source": {how: whole}, "volumes.[].target": {how: whole},
	"volumes.[].read_only": {how: whole}, "volumes.[].consistency": {how: harmless},
	"volumes.[].tmpfs": {how: descend}, "volumes.[].tmpfs.size": {how: whole}, "volumes.[].tmpfs.mode": {how: whole},
	"volumes.[].bind": {how: descend}, "volumes.[].volume": {how: descend},
	"networks": {how: descend}, "networks.*": {how: descend}, "networks.*.aliases": {how: whole},
	"depends_on": {how: descend}, "depends_on.*": {how: descend}, "depends_on.*.condition": {how: whole}, "depends_on.*.required": {how: whole},
	"healthcheck": {how: descend}, "healthcheck.test": {how: whole}, "healthcheck.interval": {how: whole}, "healthcheck.timeout": {how: whole},
	"healthcheck.retries": {how: whole}, "healthcheck.start_period": {how: whole}, "healthcheck.disable": {how: whole},

	"deploy": {how: descend}, "deploy.mode": {how: whole}, "deploy.replicas": {how: whole},
	"deploy.resources": {how: descend}, "deploy.resources.limits": {how: descend}, "deploy.resources.reservations": {how: descend},
	"deploy.resources.limits.cpus": {how: whole}, "deploy.resources.limits.memory": {how: whole}, "deploy.resources.limits.pids": {how: whole},
	"deploy.resources.reservations.cpus": {how: whole}, "deploy.resources.reservations.memory": {how: whole},
	"deploy.resources.reservations.devices":           {how: whole},
	"deploy.resources.reservations.generic_resources": {refuse, "is not supported; label peers and write a constraint"},
	"deploy.restart_policy":                           {how: descend}, "deploy.restart_policy.condition": {how: whole},
	"deploy.restart_policy.delay": {how: whole}, "deploy.restart_policy.max_attempts": {how: whole},
	"deploy.update_config": {how: descend}, "deploy.update_config.parallelism": {how: whole}, "deploy.update_config.order": {how: whole},
	"deploy.update_config.failure_action": {how: whole}, "deploy.update_config.monitor": {how: whole},
	"deploy.placement": {how: descend}, "deploy.placement.constraints": {how: whole},
	"deploy.placement.max_replicas_per_node": {how: whole},
	"deploy.placement.preferences":           {how: descend}, "deploy.placement.preferences.[].spread": {how: whole},

	// Refused by value, in refuse.go.
	"privileged": {how: whole}, "cap_add": {how: whole}, "security_opt": {how: whole}, "use_api_socket": {how: whole},
	"network_mode": {how: whole}, "pid": {how: whole}, "ipc": {how: whole}, "uts": {how: whole}, "userns_mode": {how: whole}, "cgroup": {how: whole},
	"devices": {how: whole}, "gpus": {how: whole}, "device_cgroup_rules": {how: whole}, "volumes_from": {how: whole}, "provider": {how: whole},
	"pre_start": {refuse, noHooks}, "post_start": {refuse, noHooks}, "pre_stop": {refuse, noHooks},
	"configs": {refuse, noFile}, "secrets": {refuse, noFile}, "models": {refuse, "is not supported; run the model as a service"},

	"x-shoal": {how: descend}, "x-shoal.type": {how: whole}, "x-shoal.constraints": {how: whole}, "x-shoal.devices": {how: whole},
	"x-shoal.policy":   {how: whole},
	"x-shoal.priority": {how: whole}, "x-shoal.attempts": {how: whole},
	"x-shoal.exclusive": {how: whole}, "x-shoal.affinity": {how: whole}, "x-shoal.anti-affinity": {how: whole},
	"x-shoal.spread": {how: whole}, "x-shoal.gpus": {how: whole}, "x-shoal.disk": {how: whole},
	"x-shoal.failover": {how: descend}, "x-shoal.failover.after": {how: whole}, "x-shoal.failover.inIsland": {how: whole},
	"x-shoal.failover.onReturn": {how: whole}, "x-shoal.failover.volume": {how: whole},
}

func init() {
	for key, t := range serviceKeys {
		treatments["services.*."+key] = t
	}
}

// knownKeys are the patterns of the specification and our own.
var knownKeys = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for _, path := range schema.AttributePaths() {
		known[string(path)] = true
	}
	for pattern := range treatments {
		if strings.Contains(pattern, "x-shoal") {
			known[pattern] = true
		}
	}
	return known
})

// kindOf returns the pattern of a key below a pattern, and whether there is one.
func kindOf(pattern, key string) (string, bool) {
	for _, name := range []string{key, "*"} {
		if kind := join(pattern, name); name != "[]" && knownKeys()[kind] {
			return kind, true
		}
	}
	return "", false
}

// unknownKey says what a key that nobody knows may have been meant to be.
func unknownKey(pattern, key string) string {
	text := "is no key of Compose and has no effect; "
	if strings.Contains(pattern, "x-shoal") {
		text = "is no key of x-shoal and has no effect; "
	}
	if pattern == "services.*" || pattern == "" {
		for kind := range strings.SplitSeq("type constraints policy priority attempts failover datacenters namespace", " ") {
			if key == kind && knownKeys()[join(pattern, "x-shoal."+kind)] {
				return text + "write it under x-shoal"
			}
		}
	}
	if near := nearest(key, siblings(pattern)); near != "" {
		return text + fmt.Sprintf("did you mean %s?", near)
	}
	if pattern == "services.*.x-shoal" && knownKeys()["x-shoal."+key] {
		return text + "it is the whole job's: write x-shoal at the top of the file, beside services:"
	}
	if pattern == "services.*" {
		for _, kind := range sortedKinds() {
			if below, ok := strings.CutPrefix(kind, "services.*."); ok && strings.HasSuffix(below, "."+key) && treatments[kind].how == whole {
				return text + fmt.Sprintf("did you mean %s?", below)
			}
		}
	}
	return text + "remove it, or check the spelling and the indentation"
}

func sortedKinds() []string {
	kinds := make([]string, 0, len(treatments))
	for kind := range treatments {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// siblings are the words allowed directly below a pattern.
func siblings(pattern string) []string {
	var words []string
	for kind := range knownKeys() {
		word := kind
		if pattern != "" {
			var ok bool
			if word, ok = strings.CutPrefix(kind, pattern+"."); !ok {
				continue
			}
		}
		if !strings.Contains(word, ".") && word != "*" {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}

// nearest returns the word that is one slip away, or two in a long one.
func nearest(key string, words []string) string {
	best, least := "", 3
	for _, word := range words {
		if d := distance(key, word); d < least && d*3 <= max(len(key), 3) {
			best, least = word, d
		}
	}
	return best
}

// distance counts insertions, deletions, replacements and swaps of neighbours
// (Damerau and Levenshtein, restricted); above 2 it is only known to be above 2.
func distance(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 || len(a) > 64 {
		return 3
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		older, old, row := rows[(i+2)%3], rows[i%3], rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(old[j]+1, row[j-1]+1, old[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
	}
	return rows[(len(a)+1)%3][len(b)]
}
