package compose

import (
	"context"
	"strings"
	"testing"

	"shoal/job"
)

// effects has, for every key below services.* that is said to be mapped, a way to use
// it that must show: in the Spec, in a warning, or in a refusal.
var effects = map[string]string{
	"image": "image: other", "command": "command: x", "entrypoint": "entrypoint: x", "platform": "platform: linux/arm64",
	"environment": "environment: {A: b}", "env_file": "env_file: web.env", "labels": "labels: {a: b}", "label_file": "label_file: web.env",
	"user": "user: u", "working_dir": "working_dir: /w", "hostname": "hostname: h", "extra_hosts": "extra_hosts: ['a:1.2.3.4']",
	"restart": "restart: 'no'", "scale": "scale: 2", "profiles": "profiles: [p]", "pull_policy": "pull_policy: always",
	"stop_signal": "stop_signal: SIGINT", "stop_grace_period": "stop_grace_period: 1s", "init": "init: false", "read_only": "read_only: true",
	"tmpfs": "tmpfs: /t", "shm_size": "shm_size: 1m", "cap_drop": "cap_drop: [ALL]", "expose": "expose: ['1']",
	"mem_limit": "mem_limit: 1m", "mem_reservation": "mem_reservation: 1m", "cpus": "cpus: 2", "pids_limit": "pids_limit: 9",
	"build": "build: .", "extends.service": "extends: {service: other}",

	"ports.[].target": "ports: [{target: 1}]", "ports.[].published": "ports: [{target: 1, published: '2'}]",
	"ports.[].protocol": "ports: [{target: 1, protocol: udp}]", "ports.[].host_ip": "ports: [{target: 1, host_ip: 10.0.0.1}]",
	"ports.[].mode":   "ports: [{target: 1, published: '2', mode: host}]",
	"volumes.[].type": "volumes: [{type: npipe, target: /t}]", "volumes.[].source": "volumes: [{type: volume, source: data, target: /t}]",
	"volumes.[].target": "volumes: [{type: volume, target: /t}]", "volumes.[].read_only": "volumes: [{type: volume, target: /t, read_only: true}]",
	"volumes.[].tmpfs.size": "volumes: [{type: tmpfs, target: /t, tmpfs: {size: 5}}]", "volumes.[].tmpfs.mode": "volumes: [{type: tmpfs, target: /t, tmpfs: {mode: 5}}]",
	"networks.*.aliases":     "networks: {default: {aliases: [a]}}",
	"depends_on.*.condition": "depends_on: {other: {condition: service_healthy}}", "depends_on.*.required": "depends_on: {none: {condition: service_started, required: true}}",
	"healthcheck.test": "healthcheck: {test: x}", "healthcheck.interval": "healthcheck: {test: x, interval: 1s}",
	"healthcheck.timeout": "healthcheck: {test: x, timeout: 1s}", "healthcheck.retries": "healthcheck: {test: x, retries: 1}",
	"healthcheck.start_period": "healthcheck: {test: x, start_period: 1s}", "healthcheck.disable": "healthcheck: {disable: true}",

	"deploy.mode": "deploy: {mode: global}", "deploy.replicas": "deploy: {replicas: 2}",
	"deploy.resources.limits.cpus": "deploy: {resources: {limits: {cpus: '2'}}}", "deploy.resources.limits.memory": "deploy: {resources: {limits: {memory: 1m}}}",
	"deploy.resources.limits.pids": "deploy: {resources: {limits: {pids: 5}}}", "deploy.resources.reservations.cpus": "deploy: {resources: {reservations: {cpus: '2'}}}",
	"deploy.resources.reservations.devices": "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 2}]}}}", "x-shoal.gpus": "x-shoal: {gpus: 0.5}", "x-shoal.disk": "x-shoal: {disk: 2GiB}",
	"deploy.resources.reservations.memory": "deploy: {resources: {reservations: {memory: 1m}}}",
	"deploy.restart_policy.condition":      "deploy: {restart_policy: {condition: none}}", "deploy.restart_policy.delay": "deploy: {restart_policy: {delay: 9s}}",
	"deploy.restart_policy.max_attempts": "deploy: {restart_policy: {max_attempts: 9}}", "deploy.update_config.parallelism": "deploy: {update_config: {parallelism: 9}}",
	"deploy.update_config.order": "deploy: {update_config: {order: start-first}}", "deploy.update_config.failure_action": "deploy: {update_config: {failure_action: rollback}}",
	"deploy.update_config.monitor": "deploy: {update_config: {monitor: 9s}}", "deploy.placement.constraints": "deploy: {placement: {constraints: [a]}}",

	"privileged": "privileged: true", "cap_add": "cap_add: [A]", "security_opt": "security_opt: [a]", "use_api_socket": "use_api_socket: true",
	"network_mode": "network_mode: host", "pid": "pid: host", "ipc": "ipc: host", "uts": "uts: host", "userns_mode": "userns_mode: host", "cgroup": "cgroup: host",
	"devices": "devices: [/dev/a]", "gpus": "gpus: [{count: 2}]", "device_cgroup_rules": "device_cgroup_rules: ['c 1:3 mr']", "volumes_from": "volumes_from: [other]",
	"provider": "provider: {type: x}",

	"x-shoal.type": "x-shoal: {type: batch}", "x-shoal.constraints": "x-shoal: {constraints: [a]}", "x-shoal.devices": "x-shoal: {devices: [usb=1a86:7523]}", "x-shoal.policy": "x-shoal: {policy: pack}",
	"x-shoal.priority": "x-shoal: {priority: 9}", "x-shoal.attempts": "x-shoal: {type: batch, attempts: 9}",
	"x-shoal.exclusive": "x-shoal: {exclusive: true}", "x-shoal.affinity": "x-shoal: {affinity: [other]}", "x-shoal.anti-affinity": "x-shoal: {anti-affinity: [{label: a=b}]}",
	"deploy.placement.max_replicas_per_node": "deploy: {placement: {max_replicas_per_node: 1}}", "x-shoal.spread": "x-shoal: {spread: zone}",
	"deploy.placement.preferences.[].spread": "deploy: {placement: {preferences: [{spread: node.labels.zone}]}}",
	"x-shoal.failover.after":                 "x-shoal: {failover: {after: 9s}}", "x-shoal.failover.inIsland": "x-shoal: {failover: {inIsland: wait}}",
	"x-shoal.failover.onReturn": "x-shoal: {failover: {onReturn: newest}}", "x-shoal.failover.volume": "x-shoal: {failover: {volume: empty}}",
}

// Nothing is ignored in silence: a key of the table that is said to be mapped changes
// the job, and every other key of the specification is warned of or refuses the file.
func TestTreatments_HideNothing(t *testing.T) {
	for pattern := range treatments {
		if !knownKeys()[pattern] {
			t.Errorf("%s is no key of the specification", pattern)
		}
	}
	base := "services:\n  web:\n    %\n  other: {image: x, command: y}\nvolumes: {data: }\n"
	read := func(fragment string) (*job.Spec, string) {
		if !strings.HasPrefix(fragment, "image") && !strings.HasPrefix(fragment, "build") {
			fragment += "\n    image: x"
		}
		text := strings.Replace(base, "%", fragment, 1)
		spec, warnings, err := Load(context.Background(), Options{Data: []byte(text), Name: "shop", WorkingDir: "testdata"})
		said := ""
		for _, w := range warnings {
			said += w.String()
		}
		if err != nil {
			said += err.Error()
		}
		return spec, said
	}
	plain, said := read("image: x")
	if said != "" {
		t.Fatal(said)
	}
	for key, treated := range serviceKeys {
		if treated.how != whole {
			continue
		}
		fragment, ok := effects[key]
		if !ok {
			t.Errorf("%s: no case shows that it has an effect", key)
			continue
		}
		if spec, said := read(fragment); said == "" && len(job.Diff(plain, spec)) == 0 {
			t.Errorf("%s is ignored in silence", fragment)
		}
	}
	for _, key := range siblings("services.*") {
		treated := serviceKeys[key]
		if treated.how != unsupported && treated.how != refuse {
			continue
		}
		if _, said := read(key + ":"); !strings.Contains(said, "compose.yaml:3: services.web."+key) {
			t.Errorf("%s: said %q; want its place and what becomes of it", key, said)
		}
	}
}
