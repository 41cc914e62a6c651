# lib.bash -- what end-to-end tests share.  Each file is run on a test host of its own.
if declare -F bats_require_minimum_version >/dev/null; then bats_require_minimum_version 1.5.0; fi # the bench reads this too
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
B=${B:-$ROOT/build}
PATH=$B:$PATH

# A place of its own, short enough for a socket's path.
kedge_dirs() {
	W=$(mktemp -d /tmp/kt.XXXXXX)
	chmod 755 "$W"
	export W KEDGE_SOCKET=$W/run/api.sock
}

# kedge_start [kedged's options]: in the background, ready when this returns.
kedge_start() {
	local n=0
	[ -e "$W/kedge.yaml" ] || : >"$W/kedge.yaml"
	kedged --config "$W/kedge.yaml" --state "$W/state" --run "$W/run" --logs "$W/logs" \
		--cgroup "${KEDGE_CGROUP:-kedge-test}$(basename "$W")" "$@" >>"$W/kedged.log" 2>&1 3>&- &
	KEDGED=$!
	until kedge get nodes >/dev/null 2>&1; do
		kill -0 "$KEDGED" 2>/dev/null || { cat "$W/kedged.log"; return 1; }
		n=$((n + 1))
		[ $n -gt 200 ] && { cat "$W/kedged.log"; return 1; }
		sleep 0.05
	done
}

# brain_of [PID]: of that kedged, or of ours
brain_of() { pgrep -P "${1:-$KEDGED}" -f -- --role=brain; }

# also when nobody has reaped it
not_running() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status"; }

kedge_stop() { # the pods live on
	kill -TERM "$KEDGED" 2>/dev/null
	wait_for 10 "kedged ends" not_running "$KEDGED"
}

kedge_end() { # nothing lives on
	if kill -0 "$KEDGED" 2>/dev/null; then
		timeout 30 kedge down --yes >/dev/null 2>&1 || kill -9 "$KEDGED"
		wait_for 10 "kedged ends" not_running "$KEDGED"
	fi
	if [ -n "${KEEP_LOG:-}" ]; then cp "$W/kedged.log" "$KEEP_LOG"; fi
	# a brain that crashes is started again too; a test that kills it says so with KILLS=yes
	[ -n "${KILLS:-}" ] || ! grep -A 3 'brain: gone' "$W/kedged.log" || return 1
	# who died of a sanitizer was started again, and nobody may have noticed
	! grep -A 30 -E 'ERROR: [A-Za-z]+Sanitizer|runtime error:' "$W/kedged.log" || return 1
	rm -rf "$W"
}

# wait_for SECONDS WHAT CMD...: until CMD succeeds; a machine that is busy has eight times as
# long.  It asks a quarter of the time at most: two cores have better to do.
wait_for() {
	local end=$((SECONDS + $1 * ${KEDGE_TEST_PATIENCE:-8} + 1)) what=$2 began nap
	shift 2
	while :; do
		began=${EPOCHREALTIME/[.,]/}
		"$@" >/dev/null 2>&1 && return
		if [ $SECONDS -gt $end ]; then
			echo "waited in vain: $what"
			tail -n 30 "$W/kedged.log"
			timeout 5 kedge events 2>/dev/null | tail -n 5
			return 1
		fi
		nap=$((3 * (${EPOCHREALTIME/[.,]/} - began)))
		nap=$((nap < 50000 ? 50000 : nap > 1000000 ? 1000000 : nap))
		sleep "$((nap / 1000000)).$(printf %06d $((nap % 1000000)))"
	done
}

# A bare repository at $W/deploy.git, a clone of it at $W/clone.
repo_make() {
	git init -q --bare "$W/deploy.git"
	git -C "$W/deploy.git" symbolic-ref HEAD refs/heads/main
	git clone -q "$W/deploy.git" "$W/clone" 2>/dev/null
}
g() { git -C "$W/clone" -c user.name=tester -c user.email=t@example.com -c commit.gpgsign=false "$@"; }
# push MESSAGE: everything in the clone, as one commit
push() { g add -A && g commit -q --allow-empty -m "$1" && g push -q origin HEAD:main; }
head_id() { g rev-parse HEAD; }
# push_wait MESSAGE [TIMEOUT]: and wait until it is healthy
push_wait() { push "$1" && kedge wait --for "$(head_id)" --timeout "${2:-60s}"; }

# image NAME:TAG [options]: the example's web server under that name
image() {
	make -s -C "$ROOT/repo-example/images" O="$B/images"
	local name=$1
	shift
	kedge image import "$B/images/web" "$name" --entrypoint '["/web"]' --port 8080 "$@"
}

# The kedge-inits of pods, without those that wait for one; with pgrep's options.
pod_inits() { pgrep "$@" -f '^kedge-init pod [^(]'; }
pods_are() { [ "$(pod_inits -c)" = "$1" ]; }
# each with the process of its first container
ahead_are() { [ "$(pgrep -fc '^kedge-init pod [(]ahead')" = $((2 * $1)) ]; }
# group POD FILE: what that file of its first container's control groups says
group() {
	local pid controller path
	pid=$(pgrep -P "$(pgrep -f "^kedge-init pod $1[[:space:]]*\$")" | head -n 1)
	while IFS=: read -r _ controller path; do
		cat "/sys/fs/cgroup/$controller$path/$2" 2>/dev/null && return
	done <"/proc/$pid/cgroup"
	return 1
}

# field KIND NAME JQ
field() { kedge get "$1" "$2" -o json | jq -r "$3"; }
# what its Events say, a line each; was one of them so
events_of() { kedge get events -o json | jq -r --arg n "$1" '.items[] | select(.involvedObject.name == $n) | .message'; }
was_told() { events_of "$1" | grep -F "$2"; }
# how many of the pods with this label are ready
pods_ready() {
	kedge get pods ${2:+-n "$2"} -l "$1" -o json |
		jq '[.items[] | select(.metadata.deletionTimestamp == null)
		     | select(any(.status.conditions[]?; .type == "Ready" and .status == "True"))] | length'
}
has_ready() { [ "$(pods_ready "$1")" = "$2" ]; }

# deployment NAME IMAGE [REPLICAS]: a plain one, with a readiness probe
deployment() {
	cat <<-Y
		apiVersion: apps/v1
		kind: Deployment
		metadata:
		  name: $1
		spec:
		  replicas: ${3:-1}
		  selector: {matchLabels: {app: $1}}
		  template:
		    metadata: {labels: {app: $1}}
		    spec:
		      terminationGracePeriodSeconds: 5
		      containers:
		      - name: web
		        image: $2
		        ports: [{containerPort: 8080, name: http}]
		        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
	Y
}
# service NAME [TYPE]
service() {
	cat <<-Y
		apiVersion: v1
		kind: Service
		metadata: {name: $1}
		spec:
		  type: ${2:-ClusterIP}
		  selector: {app: $1}
		  ports: [{port: 80, targetPort: http, name: http}]
	Y
}
