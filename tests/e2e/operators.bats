#!/usr/bin/env bats
# Who may ask a kedged whose user is not called kedge, and what is left of one that kept an audit log.
load kit.bash

setup_file() {
	kedge_dirs
	# users of this test host alone
	{ cat /etc/passwd; printf '%s\n' kt:x:61001:61001::/:/bin/sh member:x:61002:61002::/:/bin/sh first:x:61003:61001::/:/bin/sh; } >"$W/passwd"
	{ grep -v '^kedge:' /etc/group; printf '%s\n' kedge:x:61004:old kt:x:61001:member; } >"$W/group"
	mount --bind "$W/passwd" /etc/passwd
	mount --bind "$W/group" /etc/group
	cat >"$W/kedge.yaml" <<-Y
		user: kt
		listen: $API
		audit: {path: $W/state/audit.log, maxFiles: 3}
	Y
	kedge_start
	echo "$KEDGED" >"$W/pid"
}
setup() { file_test; }
teardown_file() {
	umount /etc/passwd /etc/group
	rm -rf "$W"
}

@test "the members of its user's own group are served, at either door" {
	setpriv --reuid 61002 --regid 61002 --groups 61002,61001 kedge get nodes
	setpriv --reuid 61002 --regid 61002 --clear-groups curl -sSf "http://$API/api/v1/nodes" >/dev/null
	# whose first group it is, too
	setpriv --reuid 61003 --regid 61001 --clear-groups kedge get nodes
	setpriv --reuid 61003 --regid 61001 --clear-groups curl -sSf "http://$API/api/v1/nodes" >/dev/null
}

@test "a group that is only the first of its user is not its own" {
	sed -i 's/^kt:x:61001:member/all:x:61001:member/' "$W/group"
	cat "$W/group" >/etc/group
	kedge_stop
	kedge_start
	echo "$KEDGED" >"$W/pid"
	run setpriv --reuid 61002 --regid 61002 --groups 61002,61001 kedge get nodes
	[ "$status" = 1 ]
	has "join the group kedge and log in again"
	sed -i 's/^all:x:61001:member/kt:x:61001:member/' "$W/group"
	cat "$W/group" >/etc/group
	kedge_stop
	kedge_start
	echo "$KEDGED" >"$W/pid"
}

@test "nobody else is, and is told what group it takes" {
	chmod 666 "$KEDGE_SOCKET"
	run setpriv --reuid 61005 --regid 61004 --clear-groups kedge get nodes
	chmod 660 "$KEDGE_SOCKET"
	[ "$status" = 1 ]
	has "uid 61005 may not use kedge: run as root, or join the group kt and log in again"
	run setpriv --reuid 61005 --regid 61004 --clear-groups curl -sS "http://$API/api/v1/nodes"
	[ "$(jq .code <<<"$output")" = 403 ]
	has "join the group kt and log in again; here kedge knows only who was a member when it started"
}

@test "kedge down takes the audit log in its own folder along, and another kedged may begin there" {
	kedge get nodes
	wait_for 10 "the log" test -s "$W/state/audit.log"
	cp "$W/state/audit.log" "$W/state/audit.log.1"
	kedge down --yes
	wait_for 10 "kedged ends" not_running "$KEDGED"
	[ ! -e "$W/state" ]
	kedge_start
	kedge down --yes --keep
	wait_for 10 "kedged ends" not_running "$KEDGED"
	[ -s "$W/state/audit.log" ]
	kedge_start
	kedge down --yes
	wait_for 10 "kedged ends" not_running "$KEDGED"
	[ ! -e "$W/state" ]
}

@test "kedge down takes along what it kept of a remote repository" {
	kedge_start --source "far=https://127.0.0.1:9/far.git"
	wait_for 10 "its place" test -d "$W/state/remotes/far"
	kedge down --yes
	wait_for 10 "kedged ends" not_running "$KEDGED"
	[ ! -e "$W/state" ]
}
