#!/usr/bin/env bats
# Live usage: what pods and the host take, as `kubectl top` writes it.
load kit.bash

setup_file() { file_begin; }
setup() { file_test; }
teardown_file() { file_end; }

# of POD [CONTAINER] COLUMN: a number of its row
number() { kedge top pods --no-headers ${2:+--containers} | awk -v p="$1" -v c="${2:-}" -v k="$3" '$1 == p && (c == "" || $2 == c) { print $k + 0 }'; }

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
	[ "$cpu" -ge 250 ] && [ "$cpu" -le 750 ]
	[ "$memory" -ge 48 ] && [ "$memory" -le 80 ]
	[ "$(number idle "" 2)" -le 50 ]
	[ "$(number idle "" 3)" -le 16 ]
	run kedge top pods --containers
	matches '^POD +NAME +CPU\(cores\) +MEMORY\(bytes\)$'
	[ "$(number busy fat 4)" -ge 48 ]
	[ "$(number busy main 4)" -le 16 ]
	[ "$(number busy fat 3)" -le 100 ]
	run kedge top pods -A
	matches '^NAMESPACE +NAME +CPU'
	matches '^default +busy +[0-9]+m +[0-9]+Mi$'
	run kedge top nodes
	echo "$output"
	matches '^NAME +CPU\(cores\) +CPU\(%\) +MEMORY\(bytes\) +MEMORY\(%\)$'
	matches "^$(kedge get nodes -o json | jq -r '.items[0].metadata.name') +[1-9][0-9]*m +[0-9]+% +[1-9][0-9]*Mi +[1-9][0-9]*%$"
	run kedge top pods -n nowhere
	[ "$status" -ne 0 ]
	has "nothing runs in namespace nowhere"
	drop top
}
