#!/usr/bin/env bats
# Live usage: what pods and the host take, as `kubectl top` writes it.
load kit.bash

setup_file() {
	KUBECTLS=$(kubectls)
	export KUBECTLS
	file_begin --listen "$API"
}
setup() { file_test; }
teardown_file() { file_end; }

# of POD [CONTAINER] COLUMN: a number of its row
number() { kedge top pods --no-headers ${2:+--containers} | awk -v p="$1" -v c="${2:-}" -v k="$3" '$1 == p && (c == "" || $2 == c) { print $k + 0 }'; }

@test "before anything runs there is nothing to tell" {
	t() {
		run k top pods
		has "No resources found in default namespace."
	}
	every t
}

@test "top tells cpu and memory of pods, of containers and of the node" {
	{
		MORE='resources: {limits: {cpu: 500m}}' pod busy box:1 '["/bin/sh", "-c", "while :; do :; done"]' | sed '$d'
		cat <<-'Y'
			  - name: fat
			    image: box:1
			    command: [/bin/talk, eat, "48"]
			---
		Y
		pod idle box:1 '["/bin/sleep", "1000"]'
	} | put top
	up busy
	up idle
	wait_for 10 "it ate" sh -c 'kedge logs busy -c fat | grep -q "ate 48"'
	sleep 1
	run kedge top pods
	echo "$output"
	matches '^NAME +CPU\(cores\) +MEMORY\(bytes\)$'
	cpu=$(number busy "" 2) memory=$(number busy "" 3)
	[ "$cpu" -ge 250 ]
	[ "$cpu" -le 750 ]
	[ "$memory" -ge 48 ]
	[ "$memory" -le 80 ]
	[ "$(number idle "" 2)" -le 50 ]
	[ "$(number idle "" 3)" -le 16 ]
	run kedge top pods --containers
	matches '^POD +NAME +CPU\(cores\) +MEMORY\(bytes\)$'
	[ "$(number busy fat 4)" -ge 48 ]
	[ "$(number busy main 4)" -le 16 ]
	[ "$(number busy fat 3)" -le 100 ]
	run kedge top pods -A
	matches '^NAMESPACE +NAME +CPU'
	[ "$(kedge top pods -o json | jq -r '[.items[].metadata.name] | sort | join(" ")')" = "busy idle" ]
	[ "$(kedge top nodes -o json | jq '.items | length')" = 1 ]
	matches '^default +busy +[0-9]+m +[0-9]+Mi$'
	run kedge top nodes
	echo "$output"
	matches '^NAME +CPU\(cores\) +CPU\(%\) +MEMORY\(bytes\) +MEMORY\(%\)$'
	matches "^$(kedge get nodes -o json | jq -r '.items[0].metadata.name') +[1-9][0-9]*m +[0-9]+% +[1-9][0-9]*Mi +[1-9][0-9]*%$"
	run kedge top pods -n nowhere
	[ "$status" -ne 0 ]
	has "nothing runs in namespace nowhere"
	for args in "gone" "gone -A" "busy -n nowhere"; do
		run kedge top pods $args
		[ "$status" = 1 ]
		[ "$output" = "kedge: pods \"${args%% *}\" not found" ]
	done
}

@test "kubectl top pods and nodes say the same, one kubectl after the other" {
	t() {
		local cpu memory
		run k top pods --no-headers
		[ "$status" = 0 ] || return 1
		cpu=$(awk '$1 == "busy" { print $2 + 0 }' <<<"$output")
		memory=$(awk '$1 == "busy" { print $3 + 0 }' <<<"$output")
		[ "$cpu" -ge 250 ] && [ "$cpu" -le 750 ] && [ "$memory" -ge 48 ] && [ "$memory" -le 80 ] || return 1
		matches '^idle +[0-9]+m +[0-9]+Mi' || return 1
		run k top pods --containers
		matches '^POD +NAME +CPU\(cores\) +MEMORY\(bytes\)' || return 1
		matches '^busy +fat +[0-9]+m +(4[89]|[5-7][0-9])Mi' || return 1
		matches '^busy +main +[1-9][0-9]*m +[0-9]+Mi' || return 1
		run k top pods -l app=idle --no-headers
		matches '^idle ' && hasnt busy || return 1
		run k top pod idle --no-headers
		matches '^idle ' && hasnt busy || return 1
		run k top pods -A --sort-by=memory --no-headers
		[[ $(head -1 <<<"$output") =~ ^default\ +busy ]] || return 1
		run k top pod nobody
		[ "$status" = 1 ] && has 'Error from server (NotFound): podmetrics.metrics.k8s.io "default/nobody" not found' || return 1
		run k top pods -n nowhere
		has "No resources found in nowhere namespace." || return 1
		run k top nodes
		echo "$output"
		matches '^NAME +CPU\(cores\) +CPU(\(%\)|%) +MEMORY\(bytes\) +MEMORY(\(%\)|%)' || return 1
		matches "^$(kedge get nodes -o json | jq -r '.items[0].metadata.name') +[1-9][0-9]*m +[0-9]+% +[1-9][0-9]*Mi +[1-9][0-9]*%" || return 1
		run k top node nobody
		[ "$status" = 1 ] && has 'nodemetrics.metrics.k8s.io "nobody" not found'
	}
	every t
}

@test "metrics.k8s.io is there to be discovered, and leaves pods and nodes to the core group" {
	t() {
		run k api-resources --api-group=metrics.k8s.io --no-headers
		matches '^nodes +metrics.k8s.io/v1beta1 +false +NodeMetrics' || return 1
		matches '^pods +metrics.k8s.io/v1beta1 +true +PodMetrics' || return 1
		run k get pods.v1beta1.metrics.k8s.io
		matches '^NAME +CPU +MEMORY +WINDOW' && matches '^busy +[0-9]+n +[0-9]+Ki +[0-9.]+s' || return 1
		run k get pods.v1beta1.metrics.k8s.io busy -o yaml
		has 'kind: PodMetrics' && has 'apiVersion: metrics.k8s.io/v1beta1' && matches '^  labels:' || return 1
		run k get pods,nodes
		matches '^pod/busy +2/2 +Running' && matches '^node/'
	}
	every t
}

@test "who asks again is answered from the look of before, a second ago at least" {
	ask() { curl -s --unix-socket "$KEDGE_SOCKET" http://x/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/busy; }
	ask >/dev/null
	sleep 3
	windows=$(for _ in 1 2 3 4 5; do ask | jq -r .window; done)
	echo "$windows"
	# who waits for a second look has a window of one second
	[ "$(tr -d s <<<"$windows" | awk 'NR == 1 && $1 < 2.9' | wc -l)" = 0 ]
	[ "$(tr -d s <<<"$windows" | awk '$1 < 1 || $1 > 31' | wc -l)" = 0 ]
	[ "$(wc -l <<<"$windows")" = 5 ]
	drop top
}
