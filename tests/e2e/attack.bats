#!/usr/bin/env bats
# Attacks: who may write manifests, who is inside a pod, who is a user of the host
# and who took over the half that reads, each tries what it must not reach.
load lib.bash

setup_file() {
	load lib.bash
	kedge_dirs
	own_nodes
	mkdir -p "$W/m" "$W/box/bin" "$W/box/etc"
	cp "$(command -v busybox)" "$W/box/bin/box"
	for a in sh sleep cat chmod chown echo head ls id mknod mount touch dd grep wc true; do
		ln -s box "$W/box/bin/$a"
	done
	echo root:x:0:0::/root:/bin/sh >"$W/box/etc/passwd"
	pod inside >"$W/m/pods.yaml"
	kedge_start --source "$W/m" --listen 127.0.0.1:8001
	export KEDGED
	kedge image import "$W/box" box:1 --entrypoint '["/bin/sleep","1000"]'
	wait_for 20 "the pod runs" kedge exec inside -- true
}
teardown_file() {
	load lib.bash
	# before their files go: a node that is deleted cannot be bound into anybody's pod
	for n in null zero full random urandom tty; do umount -l "/dev/$n"; done
	kedge_end
}

# The machine's device nodes stay out of it, should an attack on them succeed.
own_nodes() {
	local n
	for n in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
		# shellcheck disable=SC2046
		mknod -m 666 "$W/${n%%:*}" c $(echo "${n#*:}" | tr : ' ')
		mount --bind "$W/${n%%:*}" "/dev/${n%%:*}"
	done
}
# pod NAME [FIELDS of its container]
pod() {
	cat <<-Y
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: $1}
		spec:
		  terminationGracePeriodSeconds: 0
		  containers:
		  - {name: c, image: "box:1"${2:+, $2}}
	Y
}
in_pod() { kedge exec inside -- "$@"; }

@test "a manifest adds no capability that the operator did not allow" {
	pod mighty 'securityContext: {capabilities: {add: [SYS_ADMIN]}}' >"$W/m/mighty.yaml"
	pod all 'securityContext: {capabilities: {add: [ALL], drop: [NET_RAW]}}' >>"$W/m/mighty.yaml"
	pod modest 'securityContext: {capabilities: {add: [NET_BIND_SERVICE], drop: [ALL]}}' >>"$W/m/mighty.yaml"
	wait_for 10 "refused" was_told mighty "capability SYS_ADMIN is not allowed"
	wait_for 10 "refused" was_told all "capability ALL is not allowed"
	kedge get pods mighty --no-headers | grep -q CreateContainerConfigError
	wait_for 10 "the modest one runs" kedge exec modest -- true
	rm "$W/m/mighty.yaml"
}

@test "privileged, no seccomp, all of /proc and foreign sysctls are refused with the row that allows them" {
	pod priv 'securityContext: {privileged: true}' >"$W/m/priv.yaml"
	pod unconf 'securityContext: {seccompProfile: {type: Unconfined}}' >>"$W/m/priv.yaml"
	pod unmask 'securityContext: {procMount: Unmasked}' >>"$W/m/priv.yaml"
	pod sysctl | sed 's/^spec:/&\n  securityContext: {sysctls: [{name: net.ipv4.ip_forward, value: "1"}]}/' >>"$W/m/priv.yaml"
	wait_for 10 "refused" was_told priv "allow.privileged: true in kedge.yaml"
	wait_for 10 "refused" was_told unconf "allow.unconfined: true in kedge.yaml"
	wait_for 10 "refused" was_told unmask "allow.unmasked: true in kedge.yaml"
	wait_for 10 "refused" was_told sysctl 'forbidden sysctl: "net.ipv4.ip_forward" not allowlisted'
	rm "$W/m/priv.yaml"
}

@test "what kedge does not enforce is told: AppArmor, SELinux" {
	pod labels 'securityContext: {appArmorProfile: {type: RuntimeDefault}, seLinuxOptions: {level: s0}}' >"$W/m/labels.yaml"
	wait_for 10 "it runs" kedge exec labels -- true
	kedge status | grep 'appArmorProfile: not enforced'
	kedge status | grep 'seLinuxOptions: not enforced'
	rm "$W/m/labels.yaml"
}

@test "a hostPath volume that the operator did not allow never appears" {
	cat >"$W/m/path.yaml" <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: path}
		spec:
		  volumes: [{name: h, hostPath: {path: /}}]
		  containers: [{name: c, image: "box:1", volumeMounts: [{name: h, mountPath: /h}]}]
	Y
	wait_for 10 "refused" was_told path "in kedge.yaml under allow.hostPaths"
	rm "$W/m/path.yaml"
}

@test "a container's root changes nothing of the host's device nodes" {
	local before
	before=$(stat -c '%a %u %g' /dev/null /dev/zero)
	for n in null zero full random urandom tty; do
		run in_pod chmod 600 /dev/$n
		[ "$status" != 0 ]
		run in_pod chown 1:1 /dev/$n
		[ "$status" != 0 ]
	done
	run in_pod chmod 600 /proc/kcore # masked by the same node
	[ "$status" != 0 ]
	[ "$(stat -c '%a %u %g' /dev/null /dev/zero)" = "$before" ]
	in_pod sh -c 'echo x >/dev/null && echo x >>/dev/zero && [ "$(head -c 4 /dev/urandom | wc -c)" = 4 ]'
}

@test "what a container writes in its own /etc and last word is bounded, and nowhere on the host" {
	in_pod sh -c 'echo evil >>/etc/hosts; echo evil >/etc/hostname; echo evil >/dev/termination-log'
	[ "$(in_pod cat /etc/hostname)" = evil ]
	run grep -rl evil "$W/run/pods" "$W/state/pods"
	[ "$output" = "" ]
	run in_pod dd if=/dev/zero of=/dev/termination-log bs=64k count=64
	[ "$status" != 0 ]
	[ "$(in_pod cat /dev/termination-log | wc -c)" -le 262144 ]
}

@test "a container named as a folder of kedge's own shares nothing with a volume" {
	cat >"$W/m/volumes.yaml" <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: volumes}
		spec:
		  terminationGracePeriodSeconds: 0
		  volumes: [{name: "0", emptyDir: {}}]
		  containers: [{name: volumes, image: "box:1", volumeMounts: [{name: "0", mountPath: /v}]}]
	Y
	wait_for 10 "it runs" kedge exec volumes -- true
	[ "$(kedge exec volumes -- ls /v)" = "" ]
	rm "$W/m/volumes.yaml"
}

@test "nobody can speak to kedge by a name that is no file, as a pod on the host's network could (CVE-2020-15257)" {
	local name
	grep -qF "$W/run/api.sock" /proc/net/unix # all of this network are shown
	run awk '$8 ~ /^@/ {print $8}' /proc/net/unix
	[ "$(sort <<<"$output")" = "@kedge/bridge/kedge0"$'\n'"@kedge/chains/KDG" ] # two marks
	for name in "${lines[@]}"; do
		run perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die;
			connect($s, pack("Sa*", AF_UNIX, "\0" . substr($ARGV[0], 1))) or die "connect: $!\n";
			$SIG{PIPE} = "IGNORE"; syswrite($s, "evil") or die "$!\n"' "$name"
		[ "$output" = "Broken pipe" ] || [ "$output" = "connect: Connection refused" ]
	done
}

@test "a user of the host who hangs up at once is not taken for root" {
	local uid
	uid=$(field pod inside .metadata.uid)
	setpriv --reuid 65534 --regid 65534 --clear-groups perl -MIO::Socket::INET -e '
		for (1 .. 2000) {
			my $s = IO::Socket::INET->new("127.0.0.1:8001") or die "connect: $!";
			print $s "DELETE /api/v1/namespaces/default/pods/inside HTTP/1.1\r\n",
				"Host: 127.0.0.1:8001\r\nContent-Length: 0\r\n\r\n";
			close $s;
		}'
	curl -sfm 5 -o "$W/o" http://127.0.0.1:8001/api/v1/pods # root may
	[ "$(field pod inside '.metadata.uid + (.metadata.deletionTimestamp // "")')" = "$uid" ]
}

@test "a process that swaps links while thousands of containers start gets nothing of the host mounted or made" {
	export KEDGE_TEST_DIR=$W/race
	mkdir "$KEDGE_TEST_DIR"
	run timeout 300 "${B:-build}/tests/e2e/volume_drive" race
	echo "$output"
	[ "$status" = 0 ]
}
