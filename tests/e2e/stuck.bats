#!/usr/bin/env bats
# A repository that can be read to no end: its worker is given up, the others go on.
load kit.bash

setup_file() {
	load kit.bash
	kedge_dirs
	repo_make
	git init -q --bare -b main "$W/stuck.git"
	g commit -q --allow-empty -m "there"
	g push -q "$W/stuck.git" HEAD:main
	cp -a "$W/stuck.git" "$W/whole.git"
	rm "$W/stuck.git/refs/heads/main"
	mkfifo "$W/stuck.git/refs/heads/main"
	printf 'sources:\n- {name: stuck, url: %s, timeout: 1}\n' "$W/stuck.git" >"$W/kedge.yaml"
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
}
setup() { file_test; }
teardown_file() {
	load kit.bash
	file_end
}

config_map() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n' "$1"; }
workers() { pgrep -c -P "$KEDGED" -f -- --role=source; }

@test "a FIFO in place of a branch: the worker is given up and it is said; the other source goes on" {
	wait_for 20 "the message" sh -c "kedge status stuck | grep -q 'longer than 1 s'"
	output=$(field source stuck .status.message)
	has "$W/stuck.git"
	has "FIFO"
	config_map one | put one
	kedge wait deploy --for "$(head_id)" --timeout 20s
	kedge get cm one
}

@test "each new worker is given up too, none piles up, and it is logged once" {
	worker() { pgrep -P "$KEDGED" -f -- --role=source | sort -n | tail -n 1; }
	before=$(worker)
	newer() { [ "$(worker)" != "$before" ]; }
	wait_for 30 "another worker" newer
	# one for each source that is there
	[ "$(pgrep -c -P "$KEDGED" -f -- --role=source)" -le 2 ]
	[ "$(grep -c 'longer than 1 s' "$W/kedged.log")" = 1 ]
}

@test "once it can be read again it is, and the message goes" {
	rm "$W/stuck.git/refs/heads/main"
	cp "$W/whole.git/refs/heads/main" "$W/stuck.git/refs/heads/main"
	good() { [ -z "$(field source stuck '.status.message // ""')" ] && [ -n "$(field source stuck '.status.commit // ""')" ]; }
	wait_for 60 "it is read" good
}
