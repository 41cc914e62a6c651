#!/usr/bin/env bats
# A repository that can be read to no end: its worker is given up, the others go on.
load kit.bash

setup_file() {
	load kit.bash
	kedge_dirs
	repo_make
	git init -q --bare -b main "$W/stuck.git"
	# above its owner's reach
	mkdir -m 700 "$W/shut"
	git init -q --bare -b main "$W/shut/it.git"
	chown -R 12345 "$W/shut/it.git"
	g commit -q --allow-empty -m "there"
	g push -q "$W/stuck.git" HEAD:main
	cp -a "$W/stuck.git" "$W/whole.git"
	rm "$W/stuck.git/refs/heads/main"
	mkfifo "$W/stuck.git/refs/heads/main"
	printf 'sources:\n- {name: stuck, url: %s, timeout: 1}\n- {name: none, url: %s}\n- {name: shut, url: %s}\n' "$W/stuck.git" "$W/none.git" "$W/shut/it.git" >"$W/kedge.yaml"
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
	wait_for 20 "the message" sh -c "kedge status stuck | grep -q 'no further for 1 s'"
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
	[ "$(pgrep -c -P "$KEDGED" -f -- --role=source)" -le 3 ]
	[ "$(grep -c 'no further for 1 s' "$W/kedged.log")" = 1 ]
}

@test "what is not there, or cannot be read, is said once, with what to do" {
	wait_for 10 "the message" sh -c "kedge status none | grep -q 'put it back'"
	output=$(field source none .status.message)
	has "$W/none.git is not there: put it back, or correct"
	wait_for 10 "the message" sh -c "kedge status shut | grep -q 'Permission denied'"
	output=$(field source shut .status.message)
	has "with the rights of its owner (uid 12345)"
	has "chmod"
	[ "$(grep -c "none.git is not there" "$W/kedged.log")" = 1 ]
	[ "$(grep -c "shut/it.git: Permission denied" "$W/kedged.log")" = 1 ]
	chmod 755 "$W/shut"
	head() { ! kedge status shut | grep -q 'Permission denied'; }
	wait_for 10 "it is looked at again" head
}

@test "once it can be read again it is, and the message goes" {
	rm "$W/stuck.git/refs/heads/main"
	cp "$W/whole.git/refs/heads/main" "$W/stuck.git/refs/heads/main"
	good() { [ -z "$(field source stuck '.status.message // ""')" ] && [ -n "$(field source stuck '.status.commit // ""')" ]; }
	wait_for 60 "it is read" good
}
