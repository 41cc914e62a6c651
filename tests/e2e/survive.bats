#!/usr/bin/env bats
# Pods live on, whatever happens to kedged.
load lib.bash
KILLS=yes

setup_file() {
	load lib.bash
	kedge_dirs
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	image web:1 --env VERSION=v1
	image web:2 --env VERSION=v2
	deployment web web:1 2 >"$W/clone/web.yaml"
	service web >"$W/clone/svc.yaml"
	push_wait "first"
	echo "$KEDGED" >"$W/pid"
}
setup() { KEDGED=$(cat "$W/pid"); }
teardown_file() {
	load lib.bash
	KEDGED=$(cat "$W/pid")
	kedge_end
}

again() {
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
}
pod_facts() { kedge get pods ${1:+-l "$1"} -o json | jq -c '[.items[] | {uid: .metadata.uid, ip: .status.podIP, n: .status.containerStatuses[0].restartCount, at: .status.containerStatuses[0].state.running.startedAt}] | sort'; }

@test "a killed brain is started again and nothing else happens" {
	before=$(pod_facts)
	old=$(brain_of "$KEDGED")
	kill -9 "$old"
	wait_for 10 "another brain" sh -c "p=\$(pgrep -P $KEDGED -f -- --role=brain) && [ \"\$p\" != $old ]"
	wait_for 10 "it serves" kedge get pods
	[ "$before" = "$(pod_facts)" ]
}

@test "both killed: pods serve, and the next start adopts them without a restart" {
	before=$(pod_facts)
	ip=$(field svc web .spec.clusterIP)
	b=$(brain_of "$KEDGED")
	kill -9 "$KEDGED"
	kill -9 "$b" || true
	wait_for 5 "it is gone" not_running "$KEDGED"
	curl -sfm 2 "http://$ip/"
	again
	wait_for 10 "both are ready" has_ready app=web 2
	[ "$before" = "$(pod_facts)" ]
	curl -sfm 2 "http://$ip/"
}

@test "both killed while a pod's first process stands still: it is known as it was, and no other takes its place" {
	before=$(pod_facts)
	first=$(kedge get pods -o json | jq -r '.items[0].metadata.name')
	init=$(pgrep -f "^kedge-init pod $first\$")
	b=$(brain_of "$KEDGED")
	kill -STOP "$init"
	kill -9 "$KEDGED" ${b:+"$b"}
	wait_for 5 "it is gone" not_running "$KEDGED"
	again
	wait_for 10 "it serves" kedge get pods
	sleep 2
	[ "$before" = "$(pod_facts)" ]
	has_ready app=web 2
	kill -CONT "$init"
	heard() { kedge exec "$first" -- /none 2>&1 | grep -q 'stat /none: no such file'; }
	wait_for 10 "it is asked to run a command" heard
	[ "$before" = "$(pod_facts)" ]
	[ "$(kedge get events -o json | jq --arg n "$first" '[.items[] | select(.involvedObject.name == $n and .reason == "Started") | .count] | add')" = 1 ]
}

@test "a stop by SIGTERM leaves the pods, and a start finds them" {
	before=$(pod_facts)
	ip=$(field svc web .spec.clusterIP)
	kedge_stop
	curl -sfm 2 "http://$ip/"
	again
	wait_for 10 "both are ready" has_ready app=web 2
	[ "$before" = "$(pod_facts)" ]
}

@test "a push made while kedged was away is applied at its start" {
	kedge_stop
	deployment web web:2 2 >"$W/clone/web.yaml"
	push "while away"
	again
	kedge wait --for "$(head_id)" --timeout 30s
	ip=$(field svc web .spec.clusterIP)
	curl -sfm 2 "http://$ip/" | grep -q v2
}

# What a settled host holds: the same numbers before and after, whatever came between.
holds() {
	wait_for 20 "three pods are left" sh -c '[ "$(kedge get pods -o json | jq ".items | length")" = 3 ]' || return 1
	wait_for 10 "three sandboxes are left" pods_are 3 || return 1
	wait_for 10 "three links are left" sh -c '[ "$(ip -o link show master kedge0 | grep -c kdg)" = 3 ]' || return 1
	wait_for 10 "four are made ahead" sh -c '[ "$(ip -o link show master kedge0 | grep -c kdw)" = 4 ]' || return 1
	wait_for 10 "three folders are left" sh -c "[ \$(ls $W/run/pods | grep -vc ^ahead-) = 3 ]" || return 1
	echo "processes $(pgrep -c web) of pods, $(pgrep -fc kedged.--config) kedged"
	for ns in net pid ipc uts mnt; do
		echo "namespaces $ns $(readlink /proc/[0-9]*/ns/$ns | sort -u | wc -l)"
	done
	echo "links $(ip -o link | wc -l), routes $(ip route | wc -l)"
	echo "mounts $(grep -c "$W" /proc/self/mounts)"
	echo "cgroups $(find /sys/fs/cgroup -path "*/$KEDGE_CGROUP*" -type d | wc -l)"
	echo "chains $(iptables-save | grep -c '^:KDG'), rules $(iptables-save | grep -c '^-A.*KDG')"
	echo "run $(find "$W/run" -mindepth 1 -maxdepth 2 | wc -l)"
	echo "state $(ls "$W/state" | xargs), layers $(ls -A "$W/state/pods" | wc -l) of pods"
	wait_for 10 "three pods' logs are left" sh -c "[ \$(ls $W/logs | wc -l) = 3 ]" || return 1
	echo "replica sets $(kedge get rs -o json | jq '.items | length')"
}

@test "killed at random moments of rollouts it converges and leaks nothing" {
	deployment calm web:1 1 >"$W/clone/calm.yaml"
	service calm >"$W/clone/calm-svc.yaml"
	deployment web web:1 2 >"$W/clone/web.yaml"
	push_wait "beside them one that nobody touches"
	calm=$(pod_facts app=calm)
	holds >"$W/before"
	RANDOM=${KEDGE_SEED:-7}
	for i in $(seq "${KEDGE_KILLS:-200}"); do
		deployment web web:$((i % 2 + 1)) 2 >"$W/clone/web.yaml"
		push "rollout $i"
		sleep "0.$((RANDOM % 40 + 10))"
		b=$(brain_of "$KEDGED") || true
		case $((RANDOM % 3)) in
		0) [ -z "$b" ] || kill -9 "$b" || true ;;
		1)
			kill -9 "$KEDGED" ${b:+"$b"} || true
			wait_for 5 "it is gone" not_running "$KEDGED"
			again
			;;
		2)
			kill -9 "$KEDGED"
			wait_for 5 "it is gone" not_running "$KEDGED"
			again
			;;
		esac
	done
	deployment web web:1 2 >"$W/clone/web.yaml"
	push "the last"
	wait_for 20 "it serves" kedge get pods
	kedge wait --for "$(head_id)" --timeout 40s
	holds >"$W/after"
	diff "$W/before" "$W/after"
	[ "$calm" = "$(pod_facts app=calm)" ]
	[ "$(kedge get pods -o json | jq '[.items[].status.containerStatuses[].restartCount] | add')" = 0 ]
}

@test "kedge down takes everything away" {
	kedge down --yes
	wait_for 10 "it ends" not_running "$KEDGED"
	[ "$(pgrep -xc kedge-init)" = 0 ]
	! ip link show kedge0 2>/dev/null || false
	! ip -o link | grep kdw || false
	! iptables-save 2>/dev/null | grep -q KDG- || false
	[ -z "$(find /sys/fs/cgroup -type d -path "*/$KEDGE_CGROUP*")" ]
	[ -z "$(ls -A "$W/run" 2>/dev/null)" ]
	! grep -q "$W" /proc/self/mounts || false
}
