#!/usr/bin/env bats
# The runtime alone: pods without a daemon.  Each test is a scenario of runtime_drive.c.

drive() {
	run timeout 100 "${B:-$BATS_TEST_DIRNAME/../../build}/tests/e2e/runtime_drive" "$@"
	echo "$output"
	[ "$status" -eq 0 ]
}

setup() {
	export KEDGE_TEST_DIR=$(mktemp -d /tmp/kedge-runtime.XXXXXX)
}

teardown() {
	rm -rf "$KEDGE_TEST_DIR"
}

@test "a container runs, its output is logged and its exit code is known" { drive exit_code; }
