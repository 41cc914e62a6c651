#!/usr/bin/env bats
# Three hundred random things happen, kill -9 of each part among them; then the world is the
# one before: as many processes, namespaces, links, mounts, groups, rules, files, descriptors.
load kit.bash
KILLS=yes

setup() { kedge_dirs; }
teardown() { kedge_end; }

again() { kedge_start --source "deploy=$W/deploy.git"; }

# NAME IMAGE REPLICAS VERSION SHARED: each kind of volume, an init container, a sidecar, hooks, a probe
dep() { # NAME IMG REPL
cat <<-Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $3
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}, annotations: {v: "$4"}}
    spec:
      terminationGracePeriodSeconds: 1
      shareProcessNamespace: $5
      volumes:
      - {name: v, emptyDir: {}}
      - {name: m, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
      - {name: h, hostPath: {path: $W/host, type: DirectoryOrCreate}}
      - {name: i, image: {reference: "box:2"}}
      - name: p
        projected: {sources: [{configMap: {name: conf}}, {secret: {name: word, optional: true}}, {downwardAPI: {items: [{path: l, fieldRef: {fieldPath: metadata.labels}}]}}]}
      initContainers:
      - {name: one, image: box:1, command: [/bin/sh, -c, "echo one >>/v/story"], volumeMounts: [{name: v, mountPath: /v}]}
      - {name: side, image: box:1, restartPolicy: Always, command: [/bin/talk, wait], volumeMounts: [{name: p, mountPath: /p}]}
      containers:
      - name: main
        image: $2
        command: [/bin/sh, -c, 'trap "exit 0" TERM; while :; do sleep 0.2; done']
        volumeMounts: [{name: v, mountPath: /v}, {name: m, mountPath: /m}, {name: h, mountPath: /h}, {name: p, mountPath: /p}, {name: h, mountPath: /s, subPathExpr: "x"}, {name: i, mountPath: /i}]
        lifecycle: {postStart: {exec: {command: [/bin/true]}}, preStop: {exec: {command: [/bin/true]}}}
        readinessProbe: {exec: {command: [/bin/true]}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: $1}
spec: {type: NodePort, selector: {app: $1}, ports: [{port: 80, targetPort: 8080}]}
---
Y
}
world() { # V: the settled state
	dep a box:1 2 "$1" false; dep b box:2 1 "$1" true
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {a: "%s"}\n' "$1"
}
# What there is of everything, when the world has come to rest.
count() {
	local b ns
	wait_for 30 "three pods are left" sh -c '[ "$(kedge get pods -o json | jq ".items | length")" = 3 ]'
	wait_for 30 "three pods are ready" sh -c '[ "$(kedge get pods --no-headers | grep -c "2/2 *Running")" = 3 ]'
	wait_for 15 "three sandboxes are left" pods_are 3
	wait_for 15 "four are made ahead" ahead_are 4
	b=$(brain_of "$KEDGED")
	echo "processes $(ps ax -o comm= | grep -cE '^(kedge|talk)')"
	for ns in user net pid ipc uts mnt cgroup; do
		echo "namespaces $ns $(readlink /proc/[0-9]*/ns/$ns | sort -u | wc -l)"
	done
	echo "links $(ip -o link | wc -l), routes $(ip route | wc -l)"
	echo "mounts $(grep -c "$W" /proc/self/mounts) $(wc -l <"/proc/$KEDGED/mounts")"
	echo "cgroups $(find /sys/fs/cgroup -path "*/$KEDGE_CGROUP*" -type d | wc -l)"
	echo "chains $(iptables-save | grep -c '^:KDG'), rules $(iptables-save | grep -c '^-A.*KDG')"
	echo "run $(find "$W/run" -mindepth 1 | wc -l), logs $(find "$W/logs" -mindepth 1 -maxdepth 1 | wc -l)"
	echo "state $(find "$W/state" -mindepth 1 -not -path '*/repo.git/*' | wc -l)"
	echo "descriptors of the hand $(ls "/proc/$KEDGED/fd" | wc -l), of the brain $(ls "/proc/$b/fd" | wc -l)"
}
# The counts are those of $1, now or soon; of descriptors there are no more.
counts_are() {
	count >"$W/now" 2>&1 || return 1
	diff <(grep -v ^descriptors "$1") <(grep -v ^descriptors "$W/now") || return 1
	paste <(tr -dc '0-9 \n' <"$1") <(tr -dc '0-9 \n' <"$W/now") | tail -n 1 |
		awk '{exit !(NF == 4 && $3 <= $1 && $4 <= $2)}'
}

any_pod() { kedge get pods -o json | jq -r '.items[].metadata.name' | sed -n "$((RANDOM % 3 + 1))p"; }
any_process() { pgrep "$@" | sed -n "$((RANDOM % 3 + 1))p"; }
ends() { [ -z "$1" ] || kill -9 "$1"; }

act() {
	local b p
	case $((RANDOM % 14)) in
	0 | 1) world "$1" >"$W/clone/w.yaml"; push "w $1" ;;
	2) dep "x$((RANDOM % 3))" "box:$((RANDOM % 2 + 1))" $((RANDOM % 3)) "$1" true >"$W/clone/x$((RANDOM % 3)).yaml"; push "x $1" ;;
	3) rm -f "$W"/clone/x*.yaml; push "nox $1"$'\n\nKedge-Prune: yes' ;;
	4) p=$(any_pod); kedge delete pod "$p" & ;;
	5) ends "$(any_process -x kedge-init)" ;;
	6) ends "$(any_process -x talk)" ;;
	7) iptables -t nat -F; iptables -F ;;
	8) p=$(any_pod); timeout -s KILL "0.0$((RANDOM % 9 + 1))" kedge exec "$p" -c main -- sleep 5 </dev/null & ;;
	9) kedge suspend; kedge resume ;;
	10) timeout 0.2 kedge diff HEAD~1 & timeout 0.3 kedge get pods -w & ;;
	11) ends "$(any_process -f -- --role=source)" ;;
	12) ends "$(brain_of "$KEDGED")" ;;
	13)
		b=$(brain_of "$KEDGED")
		kill -9 "$KEDGED"
		[ $((RANDOM % 2)) = 0 ] || ends "$b"
		wait_for 5 "it is gone" not_running "$KEDGED"
		again ;;
	esac
}

@test "after three hundred random actions and kills there is as much as before" {
	local i seed=${KEDGE_CHAOS_SEED:-7}
	echo "# seed $seed (KEDGE_CHAOS_SEED)" >&3
	repo_make
	mkdir "$W/host"
	printf 'allow:\n  hostPaths: [{pathPrefix: %s/host}]\n' "$W" >"$W/kedge.yaml"
	again
	box box:1 box:2
	world 0 >"$W/clone/w.yaml"
	push first
	kedge wait --for "$(head_id)" --timeout 30s
	kedge_stop
	again
	sleep 2
	count >"$W/before"
	cat "$W/before"
	RANDOM=$seed
	for i in $(seq "${KEDGE_CHAOS:-300}"); do
		act "$i" >/dev/null 2>&1 3>&- || true # what it is told may be down just now
		sleep "0.0$((RANDOM % 4))"
		kill -0 "$KEDGED" || { echo "kedged died of action $i"; tail -50 "$W/kedged.log"; false; }
	done
	wait_for 20 "it serves" kedge get pods
	kedge resume || true
	rm -f "$W"/clone/x*.yaml
	world 99999 >"$W/clone/w.yaml"
	push "last"$'\n\nKedge-Prune: yes'
	kedge wait --for "$(head_id)" --timeout 60s
	kedge_stop
	again
	wait_for 20 "all is as before" counts_are "$W/before" || { diff "$W/before" "$W/now"; false; }
	kedge down --yes
	wait_for 10 "it ends" not_running "$KEDGED"
	! pgrep -x kedge-init || false
	[ -z "$(find /sys/fs/cgroup -type d -path "*/$KEDGE_CGROUP*")" ]
	[ "$(iptables-save | grep -c KDG)" = 0 ]
	[ "$(grep -c "$W/run" /proc/self/mounts)" = 0 ]
}
