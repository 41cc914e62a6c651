# api.bats -- the API with the real kubectl: every version that is installed beside it.
load kit.bash

setup_file() {
	served_begin
	# shellcheck disable=SC2155
	export KUBECTLS=$(ls "$(dirname "$(readlink -f "$(command -v kubectl)")")"/kubectl.1.* 2>/dev/null || command -v kubectl)
}

teardown_file() { served_end; }

k() { timeout 20 kubectl --server="http://127.0.0.1:$PORT" "$@"; }

# every CMD...: $K is one kubectl after the other, each with a cache of its own.  Called plainly:
# before || no line of CMD but its last one could fail.
every() {
	local bin
	for bin in $KUBECTLS; do
		K="timeout --foreground 60 $bin --server=http://127.0.0.1:$PORT --cache-dir=$W/cache.${bin##*/}"
		echo "with $bin:"
		"$@"
	done
}

curl_() { curl -sS --max-time 10 --unix-socket "$W/api.sock" "$@"; }

server() { # server LINE: has it obeyed
	local n
	n=$(wc -l <"$W/out")
	echo "$*" >"$W/in"
	for _ in $(seq 100); do [ "$(wc -l <"$W/out")" -gt "$n" ] && break; sleep 0.05; done
	[ "$(tail -n 1 "$W/out")" = done ]
}

uid() { k get pod "$1" -o jsonpath='{.metadata.uid}'; }

logs_of() { # the folder of web's log in pod $1
	echo "$W/logs/default_$1_$(uid "$1")/web"
}

@test "kubectl get prints every kind at once, wide" {
	t() {
		run $K get pods,svc,deploy,rs,nodes,events,revisions -o wide
		[ "$status" -eq 0 ] || return 1
		has "NAME                      READY   STATUS    RESTARTS" || return 1
		has "NODE    NOMINATED NODE   READINESS GATES" || return 1
		has "NodePort   10.43.0.20   <none>        80:30080/TCP" || return 1
		has "UP-TO-DATE   AVAILABLE   AGE" || return 1
		has "DESIRED   CURRENT   READY   AGE" || return 1
		has "INTERNAL-IP   EXTERNAL-IP   OS-IMAGE" || return 1
		has "LAST SEEN   TYPE" || return 1
		has "COMMIT     OUTCOME" || return 1
		has "site-2   2        site     01234567   Healthy"
	}
	every t
}

@test "kubectl get all, short names, other namespaces, -A" {
	t() {
		run $K get all
		has "replicaset.apps/web-9b459b4c5" || return 1
		run $K get po -A
		has "other       twins" || return 1
		run $K get ns,cm,ep,endpointslices,sources,secrets -A
		[ "$status" -eq 0 ] || return 1
		has "10.42.0.5:8080,10.42.0.6:8080" || return 1
		run $K get pods -n other --no-headers
		has "twins   0/2   ImagePullBackOff"
	}
	every t
}

@test "kubectl get -o yaml, json, jsonpath, name, custom-columns" {
	t() {
		run $K get deploy web -o yaml
		has "image: example/web:1" || return 1
		run $K get deploy -o json
		has '"kind": "List"' || return 1
		run $K get pods -o 'jsonpath={.items[*].status.podIP}'
		[ "$output" = "10.42.0.5 10.42.0.6" ] || return 1
		run $K get svc -o name
		[ "$output" = service/web ] || return 1
		run $K get rev -o 'custom-columns=N:.spec.number,O:.status.outcome'
		has "2     Healthy"
	}
	every t
}

@test "label and field selectors, sorting and paging" {
	t() {
		run $K get pods -A -l 'app in (web,x),!nothing' -o name
		[ "${#lines[@]}" -eq 2 ] || return 1
		run $K get pods -A --field-selector 'status.phase!=Running' -o name
		[ "$output" = pod/twins ] || return 1
		run $K get events -A --field-selector involvedObject.name=twins,type=Warning -o name
		[ "$output" = event/twins.1 ] || return 1
		run $K get pods --field-selector spec.nodeName=host1 --chunk-size=1 -o name
		[ "${#lines[@]}" -eq 2 ] || return 1
		run $K get pods --sort-by=.metadata.name --no-headers
		[ "${#lines[@]}" -eq 2 ]
	}
	every t
	run k get pods --field-selector spec.frogs=1
	has "field label not supported: spec.frogs"
}

@test "kubectl describe pod, deployment, service, node, source" {
	t() {
		run $K describe pod web-9b459b4c5-cst47
		has "Restart Count:  1" || return 1
		run $K describe deploy web
		has "2 desired | 2 updated | 2 total | 2 available" || return 1
		run $K describe svc web
		has "10.42.0.5:8080,10.42.0.6:8080" || return 1
		run $K describe node host1
		has "web-9b459b4c5-q8w2x" || return 1
		run $K describe revisions.kedge.dev site-2
		has "Outcome:" || return 1
		run $K describe -n other pod twins
		has "the image example/one:1 is not here" || [ "$status" -eq 0 ]
	}
	every t
}

@test "kubectl wait, rollout status and history, cluster discovery" {
	t() {
		run $K wait --for=condition=Available deploy/web --timeout=5s
		has "condition met" || return 1
		run $K rollout status deploy/web --timeout=5s
		has "successfully rolled out" || return 1
		run $K rollout history deploy/web
		[ "$status" -eq 0 ] || return 1
		run $K api-resources
		has "revisions" || return 1
		has "kedge.dev/v1" || return 1
		run $K version -o json
		has '"serverVersion"'
	}
	every t
}

@test "what is served can be discovered: the group of each route and kind" {
	local group
	run curl_ http://localhost/apis
	for group in $(sed -nE 's|.*"/apis/([a-z0-9.]+)/.*|\1|p; s|^RESOURCE.*"([a-z0-9]+\.[a-z0-9.]+)",.*|\1|p' \
		"$ROOT/daemon/routes.def" "$ROOT/reconcile/resources.def" | sort -u); do
		has "\"name\":\"$group\""
	done
	t() {
		run $K api-resources --no-headers
		matches '^tokenreviews +authentication.k8s.io/v1 +false +TokenReview$' || return 1
		matches '^selfsubjectreviews +authentication.k8s.io/v1 +false +SelfSubjectReview$'
	}
	every t
}

@test "what is not there is said as Kubernetes says it" {
	t() {
		run $K get pod nosuch
		[ "$status" -eq 1 ] || return 1
		[ "$output" = 'Error from server (NotFound): pods "nosuch" not found' ] || return 1
		run $K get deploy nosuch
		[ "$output" = 'Error from server (NotFound): deployments.apps "nosuch" not found' ] || return 1
		run $K get frogs
		has 'the server doesn'"'"'t have a resource type "frogs"'
	}
	every t
}

@test "what is kedge's own cannot be written" {
	run k label revision site-2 a=b
	has "MethodNotAllowed"
	has "revisions are kedge's own"
	run k delete node --all
	has "nodes are kedge's own"
	run curl_ -X PATCH -H 'Content-Type: application/merge-patch+json' -d '{"status":{"replicas":7}}' \
		http://localhost/apis/kedge.dev/v1/sources/site/status
	has "status is what kedge sees"
	run curl_ -X PUT http://localhost/api/v1/namespaces/default/pods
	has '"code":405'
}

@test "kubectl get -w sees a change, a new pod and a deletion" {
	t() {
		server "apply $BATS_TEST_DIRNAME/api_world.yaml" || return 1
		timeout 20 $K get pods -w >"$W/watched" 2>&1 3>&- &
		local watcher=$!
		for _ in $(seq 100); do grep -q q8w2x "$W/watched" && break; sleep 0.05; done
		sleep 0.3
		sed 's/restartCount: 0/restartCount: 4/' "$BATS_TEST_DIRNAME/api_world.yaml" >"$W/changed.yaml"
		server "apply $W/changed.yaml" || return 1
		echo '{apiVersion: v1, kind: Pod, metadata: {name: newer, namespace: default},' \
			'spec: {containers: [{name: a, image: i}]}}' >"$W/new.yaml"
		server "apply $W/new.yaml" || return 1
		server "delete pods default newer" || return 1
		for _ in $(seq 60); do [ "$(grep -c newer "$W/watched")" -ge 2 ] && break; sleep 0.05; done
		kill "$watcher"
		wait "$watcher" || true
		output=$(cat "$W/watched")
		[ "$(grep -c newer "$W/watched")" -eq 2 ] || return 1
		[[ $output =~ q8w2x\ +1/1\ +Running\ +4 ]]
	}
	every t
	server "apply $BATS_TEST_DIRNAME/api_world.yaml"
}

@test "a watch begins where a list ended, ends in time and says Gone to who is late" {
	run curl_ "http://localhost/api/v1/pods?watch=true&resourceVersion=1&timeoutSeconds=1"
	[ "$status" -eq 0 ]
	has '"type":"ADDED"'
	rv=$(curl_ http://localhost/api/v1/pods | jq -r .metadata.resourceVersion)
	run curl_ "http://localhost/api/v1/pods?watch=true&resourceVersion=$rv&timeoutSeconds=1&allowWatchBookmarks=true"
	[ "$(jq -r .type <<<"$output")" = BOOKMARK ]
	[ "$(jq -r .object.metadata.resourceVersion <<<"$output")" = "$rv" ]
	run curl_ "http://localhost/api/v1/pods?watch=true&resourceVersion=99999999"
	[ "$(jq -r .object.code <<<"$output")" = 410 ]
	run curl_ "http://localhost/api/v1/pods?watch=true&resourceVersion=nonsense"
	[ "$(jq -r .code <<<"$output")" = 400 ]
	run curl_ "http://localhost/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
	has 'k8s.io/initial-events-end'
}

@test "a watch of one label sees a pod leave it as a deletion" {
	rv=$(curl_ http://localhost/api/v1/pods | jq -r .metadata.resourceVersion)
	curl_ "http://localhost/api/v1/pods?watch=true&labelSelector=app%3Dtwins&resourceVersion=$rv&timeoutSeconds=2" >"$W/left" 3>&- &
	w=$!
	sleep 0.3
	sed 's/app: twins/app: gone/' "$BATS_TEST_DIRNAME/api_world.yaml" >"$W/changed.yaml"
	server "apply $W/changed.yaml"
	wait "$w"
	[ "$(jq -r .type "$W/left")" = DELETED ]
	# as the client knew it, at the version of the change
	[ "$(jq -r .object.metadata.labels.app "$W/left")" = twins ]
	[ "$(jq -r .object.metadata.resourceVersion "$W/left")" -gt "$rv" ]
	server "apply $BATS_TEST_DIRNAME/api_world.yaml"
}

@test "kubectl logs: all, tail, since, timestamps, previous, limit" {
	d=$(logs_of web-9b459b4c5-cst47)
	mkdir -p "$d"
	echo "2026-01-01T00:00:00.000000001Z stdout F of the run before" >"$d/0.log"
	echo "2026-01-01T00:00:00.000000001Z stdout F first" >"$d/1.log.20260101-000000.1"
	printf '%s\n' "2026-01-01T00:00:01.000000001Z stderr F second" \
		"2026-01-01T00:00:02.000000001Z stdout P thi" \
		"2026-01-01T00:00:02.000000001Z stdout F rd" >"$d/1.log"
	t() {
		run $K logs web-9b459b4c5-cst47
		[ "$output" = $'first\nsecond\nthird' ] || return 1
		run $K logs deploy/web --tail 3
		has third || return 1
		run $K logs web-9b459b4c5-cst47 --tail 3 --timestamps
		[ "$output" = $'2026-01-01T00:00:01.000000001Z second\n2026-01-01T00:00:02.000000001Z third' ] || return 1
		run $K logs web-9b459b4c5-cst47 --tail 4
		[ "$output" = $'first\nsecond\nthird' ] || return 1
		run $K logs web-9b459b4c5-cst47 --tail 0
		[ -z "$output" ] || return 1
		run $K logs web-9b459b4c5-cst47 --since-time 2026-01-01T00:00:02Z
		[ "$output" = third ] || return 1
		run $K logs web-9b459b4c5-cst47 --limit-bytes 8
		[ "$output" = $'first\nse' ] || return 1
		run $K logs web-9b459b4c5-cst47 --previous
		[ "$output" = "of the run before" ]
	}
	every t
}

@test "kubectl logs says what is missing" {
	run k logs web-9b459b4c5-q8w2x --previous
	has 'previous terminated container "web" in pod "web-9b459b4c5-q8w2x" not found'
	run k logs -n other twins -c one
	has 'container "one" in pod "twins" is waiting to start: ImagePullBackOff'
	run curl_ http://localhost/api/v1/namespaces/other/pods/twins/log
	has 'a container name must be specified for pod twins, choose one of: [one two]'
	run curl_ "http://localhost/api/v1/namespaces/other/pods/twins/log?container=three"
	has 'container three is not valid for pod twins'
}

@test "kubectl logs -f goes through a rotation and ends with the pod" {
	d=$(logs_of web-9b459b4c5-cst47)
	rm -rf "$d"
	mkdir -p "$d"
	echo "2026-01-01T00:00:01Z stdout F one" >"$d/1.log"
	k logs -f web-9b459b4c5-cst47 >"$W/followed" 3>&- &
	f=$!
	for _ in $(seq 100); do grep -q one "$W/followed" && break; sleep 0.05; done
	mv "$d/1.log" "$d/1.log.20260102-000000.1"
	echo "2026-01-01T00:00:02Z stdout F two" >>"$d/1.log.20260102-000000.1"
	echo "2026-01-01T00:00:03Z stdout F three" >"$d/1.log"
	for _ in $(seq 100); do grep -q three "$W/followed" && break; sleep 0.05; done
	server "delete pods default web-9b459b4c5-cst47"
	wait "$f"
	[ "$(cat "$W/followed")" = $'one\ntwo\nthree' ]
	server "apply $BATS_TEST_DIRNAME/api_world.yaml"
}

# step WHAT CMD...: names the step that failed
step() {
	local what=$1
	shift
	"$@" || { echo "failed: $what (status ${status:-?}, output: ${output:0:300}, errors: ${stderr:0:300})"; return 1; }
}
is() { [ "$1" = "$2" ]; }

# Every kubectl that speaks WebSocket, and our own; in the foreground of the terminal that
# one of them has, for who touches it from the background is stopped
execs() {
	local bin
	for bin in $KUBECTLS; do
		K="timeout --foreground 60 $bin --server=http://127.0.0.1:$PORT --cache-dir=$W/cache.${bin##*/}"
		"$@" || { echo "with $bin"; return 1; }
	done
	K="timeout --foreground 60 $B/kedge"
	KEDGE_SOCKET=$W/api.sock "$@" || { echo "with kedge"; return 1; }
}

@test "kubectl exec: output, errors, exit code, input, terminal" {
	head -c 3000000 /dev/urandom >"$W/big"
	t() {
		run --separate-stderr $K exec web-9b459b4c5-cst47 -- sh -c 'echo out; echo err >&2; exit 7'
		step "the exit code" is "$status" 7 || return 1
		step "the output" is "$output" out || return 1
		step "the errors" eval '[[ $stderr == *err* ]]' || return 1
		stderr=
		run --separate-stderr sh -c "$K exec -i web-9b459b4c5-cst47 -- cat <$W/big | cmp - $W/big"
		step "3 MB there and back" is "$status$output$stderr" 0 || return 1
		run $K exec web-9b459b4c5-cst47 -- cat /nosuch
		step "a failing program" is "$status" 1 || return 1
		run script -qec "$K exec -it web-9b459b4c5-cst47 -- tty" /dev/null
		step "a terminal" has /dev/pts/ || return 1
		run $K exec web-9b459b4c5-cst47 -- refused
		step "a refusal" has "not this one" || return 1
		run $K exec -n other twins -c one -- ls
		step "one that does not run" has "container one of pod twins is not running"
	}
	execs t
}

@test "who reads slowly gets all that was printed, and the exit code" {
	t() {
		local n
		for n in 100000 300000 500000; do
			{
				$K exec web-9b459b4c5-cst47 -- sh -c "head -c $n /dev/zero; exit 7" || echo "$?" >"$W/slow.rc.$n"
			} 2>/dev/null 3>&- | perl -e 'my ($n, $r) = (0, 0); do { select undef, undef, undef, 0.1;
				$n += $r = sysread STDIN, my $b, 10000 } while $r; print "$n\n"' >"$W/slow.$n" 3>&- &
		done
		wait
		for n in 100000 300000 500000; do
			step "$n bytes" is "$(cat "$W/slow.$n") $(cat "$W/slow.rc.$n")" "$n 7" || return 1
		done
	}
	KUBECTLS=${KUBECTLS##*$'\n'} execs t
}

@test "who does not answer the goodbye is hung up on" {
	run perl "$BATS_TEST_DIRNAME/ws.pl" "$W/api.sock" \
		"/api/v1/namespaces/default/pods/web-9b459b4c5-cst47/exec?command=echo&command=hello&stdout=true"
	[ "$output" = $'1 hello\n3 {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}\ngoodbye 1000\nhung up' ]
}

@test "a client that leaves takes its program with it" {
	runs() { pgrep -f '^sleep 98765' >/dev/null; }
	t() { # INPUT
		local client _
		# not through timeout: it is the client that is killed
		${K#timeout --foreground 60 } exec -i web-9b459b4c5-cst47 -- sleep 98765 <"$1" >/dev/null 2>&1 3>&- &
		client=$!
		for _ in $(seq 200); do runs && break; sleep 0.05; done
		step "it starts" runs || return 1
		sleep 0.5
		kill -9 "$client"
		for _ in $(seq 100); do runs || break; sleep 0.05; done
		step "it is gone" eval '! runs' || { pkill -f '^sleep 98765'; return 1; }
	}
	execs t /dev/null
	head -c 20000000 /dev/zero >"$W/more" # than anybody on the way holds
	execs t "$W/more"
}

@test "attach gives what is printed, and ends with the program" {
	run perl "$BATS_TEST_DIRNAME/ws.pl" "$W/api.sock" \
		"/api/v1/namespaces/default/pods/web-9b459b4c5-cst47/attach?stdout=true&stderr=true"
	step "a WebSocket" eval '[[ $output == *"1 now"* && $output == *"2 error"* && $output == *\"Success\"*"hung up" ]]'
	t() {
		run --separate-stderr $K attach web-9b459b4c5-cst47
		step "its output" eval '[[ $output == *now* && $output != *error* ]]' || return 1
		step "its errors" eval '[[ $stderr == *error* ]]'
	}
	execs t
}

@test "kubectl delete pod asks the host and waits until it is gone" {
	t() {
		server "apply $BATS_TEST_DIRNAME/api_world.yaml" || return 1
		run $K delete pod web-9b459b4c5-cst47
		[ "$status" -eq 0 ] || return 1
		has 'pod "web-9b459b4c5-cst47" deleted' || return 1
		run $K get pod web-9b459b4c5-cst47
		[ "$status" -eq 1 ]
	}
	every t
	server "apply $BATS_TEST_DIRNAME/api_world.yaml"
}

@test "a tar reaches the host whole without being held in memory" {
	head -c 60000000 /dev/urandom >"$W/big"
	before=$(awk '/VmHWM/{print $2}' "/proc/$SERVER/status")
	run curl_ -X POST -H Expect: -T - "http://localhost/kedge/images?name=a:1" <"$W/big"
	[ "$(jq .bytes <<<"$output")" -eq 60000000 ]
	run curl_ -X POST -T "$W/big" "http://localhost/kedge/images?name=a:1"
	[ "$(jq .bytes <<<"$output")" -eq 60000000 ]
	after=$(awk '/VmHWM/{print $2}' "/proc/$SERVER/status")
	[ $((after - before)) -lt 8000 ]
	run curl_ -X POST -T "$W/big" "http://localhost/kedge/images?name=refused:1"
	has 'the name \"refused:1\" is refused'
	run curl_ -X POST -d x "http://localhost/kedge/images"
	has 'an image needs a name'
}

@test "kedge's own questions reach the host" {
	run curl_ http://localhost/kedge/status
	has KedgeStatus
	run curl_ -X POST -d '{"allowPrune":true}' http://localhost/apis/kedge.dev/v1/sources/site/sync
	[ "$(jq -c . <<<"$output")" = '{"name":"site","verb":0,"allowPrune":true,"revision":0}' ]
	run curl_ -X POST -d '{"revision":3}' http://localhost/apis/kedge.dev/v1/sources/site/rollback
	[ "$(jq .revision <<<"$output")" = 3 ]
	run curl_ -X POST http://localhost/apis/kedge.dev/v1/sources/nosuch/sync
	[ "$(jq .code <<<"$output")" = 404 ]
	run curl_ -X POST -d nonsense http://localhost/apis/kedge.dev/v1/sources/site/sync
	[ "$(jq .code <<<"$output")" = 400 ]
	run curl_ http://localhost/kedge/images
	[ "$(jq .code <<<"$output")" = 501 ]
}

@test "other users, web pages and rebound names are not served" {
	run curl_ -H 'Origin: http://evil.example' http://localhost/api/v1/secrets
	[ "$(jq .code <<<"$output")" = 403 ]
	run curl -sS -H 'Host: evil.example' "http://127.0.0.1:$PORT/api/v1/secrets"
	[ "$(jq .code <<<"$output")" = 403 ]
	run setpriv --reuid 65534 --clear-groups curl -sS "http://127.0.0.1:$PORT/api/v1/secrets"
	[ "$(jq .code <<<"$output")" = 403 ]
	[[ $output == *"uid 65534 may not use kedge"* ]]
	[ "$(stat -c %a "$W/api.sock")" = 660 ]
	chmod 755 "$W"
	chmod 666 "$W/api.sock"
	run setpriv --reuid 65534 --regid 65534 --clear-groups curl -sS --unix-socket "$W/api.sock" http://localhost/api/v1/secrets
	[ "$(jq .code <<<"$output")" = 403 ]
	chmod 660 "$W/api.sock"
}

@test "a name that would end early in C names nothing" {
	pods=http://localhost/api/v1/namespaces/default/pods
	name=$(curl_ "$pods" | jq -r '.items[0].metadata.name')
	for uri in "$pods/$name%00other" "$pods/$name%0a" "$pods/$name%7F" "$pods%00" "$pods?labelSelector=a%00b"; do
		for method in GET DELETE; do
			run curl_ -X "$method" "$uri"
			[ "$(jq .code <<<"$output")" = 400 ]
			has "the path may have no control bytes in it, the query no %00"
		done
	done
	[ "$(curl_ "$pods/$name" | jq -r .metadata.name)" = "$name" ]
	# a command of several lines is told so
	[ "$(curl_ "$pods?pretty=a%0Ab" | jq -r .kind)" = PodList ]
	[ "$(curl_ "${pods%s}%73/$name" | jq -r .metadata.name)" = "$name" ]
}

@test "those who are refused anyway do not take the room of those who are not" {
	local holder
	mkfifo "$W/hold"
	setpriv --reuid 65534 --regid 65534 --clear-groups perl -MIO::Socket::INET -e '
		for (1 .. 600) {
			my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 5) or next;
			push @all, $s;
		}
		$| = 1;
		print scalar(@all), "\n";
		sleep 600' "127.0.0.1:$PORT" >"$W/hold" 3>&- &
	holder=$!
	read -r n <"$W/hold"
	for _ in 1 2 3 4 5; do
		run curl -sS --max-time 10 "http://127.0.0.1:$PORT/healthz"
		[ "$output" = ok ] || break
	done
	kill "$holder"
	[ "$output" = ok ]
	[ "$n" -ge 520 ]
	# and they are told again why, once there is room
	for _ in $(seq 100); do
		output=$(setpriv --reuid 65534 --clear-groups curl -sS --max-time 10 "http://127.0.0.1:$PORT/api/v1/secrets" 2>/dev/null) || true
		[ -z "$output" ] || break
		sleep 0.05
	done
	has "uid 65534 may not use kedge"
}

@test "only loopback can be listened at" {
	for address in 0.0.0.0:0 192.0.2.1:80 nonsense :80 127.0.0.1:99999 '[::]:80'; do
		run "$B/tests/e2e/api_server" "$W/other.sock" "$address" "$W/logs" "$BATS_TEST_DIRNAME/api_world.yaml" </dev/null
		[ "$status" -eq 1 ]
		has "must be a loopback address and a port"
	done
}

@test "many connections at once, and those that leave, cost nothing that stays" {
	before=$(ls "/proc/$SERVER/fd" | wc -l)
	for i in $(seq 40); do
		curl -sN --unix-socket "$W/api.sock" "http://localhost/api/v1/pods?watch=true" >/dev/null 2>&1 3>&- &
		pids="${pids:-} $!"
	done
	sleep 0.5
	[ "$(ls "/proc/$SERVER/fd" | wc -l)" -ge $((before + 40)) ]
	run k get pods
	[ "$status" -eq 0 ]
	kill $pids
	for _ in $(seq 60); do [ "$(ls "/proc/$SERVER/fd" | wc -l)" -le $((before + 2)) ] && break; sleep 0.05; done
	[ "$(ls "/proc/$SERVER/fd" | wc -l)" -le $((before + 2)) ]
}

@test "a head that is too large is told so, and neither left to wait nor cut off" {
	local n more query cookie code all=""
	asked() { # asked CURL'S OPTIONS: answered with this, or as too large
		code=$(curl_ -o /dev/null -w '%{http_code}' "$@") || true
		[[ $code =~ ^(200|414|431)$ ]] || { echo "$n: $code"; return 1; }
		all+=" $code"
	}
	for n in 100 $(seq 105 116) $(seq 120 10 230) 300 1000; do
		query=$(for _ in $(seq "$n"); do printf 'a=b&'; done)
		for more in 0 1000 3000 6000 12000; do
			asked "http://kedge/api?$query" -H "X-Long: $(printf "%0${more}d" 0)"
		done
	done
	for n in 3 50 100 150 200; do
		cookie=$(for i in $(seq "$n"); do printf 'c%s=d; ' "$i"; done)
		asked "http://kedge/api?$(for _ in $(seq 160); do printf 'a=b&'; done)" -H "Cookie: $cookie"
	done
	for n in 8000 $(seq 12800 100 14800) 20000; do
		asked "http://kedge/api?a=$(printf "%0${n}d" 0)"
		asked "http://kedge/api" -H "X-Long: $(printf "%0${n}d" 0)"
	done
	for n in 200 414 431; do [[ $all == *$n* ]]; done
}

@test "a body in a coding that is not known is refused at once, and the connection ends" {
	local coding
	asked() { # asked HEADERS: the first line and the end, before the client hangs up
		timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$0; printf "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: localhost\r\n%b\r\n" "$1" >&3; cat <&3' "$PORT" "$1"
	}
	for coding in xchunked gzip 'gzip, chunked' identity 'chunked\r\nTransfer-Encoding: chunked'; do
		run asked "Transfer-Encoding: $coding\r\nContent-Type: application/json\r\n"
		[ "$status" = 0 ] || { echo "$coding: left to wait"; return 1; }
		has "HTTP/1.1 501 "
		has '"message":"Transfer-Encoding: only chunked is known","reason":"NotImplemented"'
	done
	# a known one is read to its end
	run asked 'Transfer-Encoding: Chunked\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n2\r\n{}\r\n0\r\n'
	[ "$status" = 0 ]
	hasnt "HTTP/1.1 501 "
	has "HTTP/1.1 4"
}
