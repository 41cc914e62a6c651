#!/usr/bin/env bats
# Sandboxes made ahead of their pods: scenarios of ahead_drive.c, and all of the runtime's in them.

drive() { # DRIVER SCENARIO
	run timeout 100 "${B:-$BATS_TEST_DIRNAME/../../build}/tests/e2e/$1_drive" "$2"
	echo "$output"
	[ "$status" -eq 0 ]
}

setup() {
	export KEDGE_TEST_DIR=$(mktemp -d /tmp/kedge-ahead.XXXXXX)
}

teardown() {
	rm -rf "$KEDGE_TEST_DIR"
}

@test "a pod goes on where its sandbox stopped, with the layers it waited with" { drive ahead taken; }
@test "a pod of another image has its own layers in that sandbox" { drive ahead other_image; }
@test "a terminal, an open input, a shared /dev/shm, memory volumes: they begin anew" { drive ahead misfits; }
@test "a sandbox, or its first process, that was killed is nobody's loss" { drive ahead killed; }
@test "a pod that comes when its sandbox has just died is made all the same" { drive ahead just_died; }
@test "an image that is removed takes the sandboxes along that hoped for it" { drive ahead image_goes; }
@test "sandboxes end with their hand, and what they leave is swept" { drive ahead hand_goes; }
@test "all of that holds where a process is born into its group of cgroup v2" {
	export KIT_CGROUP_ROOT=/sys/fs/cgroup
	[ -e "$KIT_CGROUP_ROOT/cgroup.controllers" ] || KIT_CGROUP_ROOT=/sys/fs/cgroup/unified
	for scenario in taken other_image misfits killed just_died image_goes hand_goes; do
		drive ahead "$scenario"
		rm -rf "$KEDGE_TEST_DIR"/*
	done
}
# every: the runtime's scenarios, one after the other
every() {
	# not what counts processes or knows where groups lie, nor what is about none
	sed -n 's/^@test.*{ drive \([a-z]*\) \([a-z_]*\); }$/\1 \2/p' "$BATS_TEST_DIRNAME/runtime.bats" |
		grep -vx '.* \(memory\|refusals\|restart\|limits\)' >"$KEDGE_TEST_DIR.list"
	while read -r driver scenario; do
		echo "$scenario"
		drive "$driver" "$scenario" </dev/null
		rm -rf "$KEDGE_TEST_DIR"/*
	done <"$KEDGE_TEST_DIR.list"
	rm "$KEDGE_TEST_DIR.list"
}
@test "whatever a pod can do, it can in a sandbox that was made ahead" {
	export KIT_AHEAD=1
	every
}
@test "and where a tmpfs cannot be mapped to other ids, as before Linux 6.3" {
	export KIT_OLD_TMPFS=1
	every
}
