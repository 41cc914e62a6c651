#!/usr/bin/env bats
# Security contexts: each test is a scenario of security_drive.c, on the runtime alone.

drive() {
	run timeout 100 "${B:-$BATS_TEST_DIRNAME/../../build}/tests/e2e/security_drive" "$@"
	echo "$output"
	[ "$status" -eq 0 ]
}

setup() {
	export KEDGE_TEST_DIR=$(mktemp -d /tmp/kedge-security.XXXXXX)
}

teardown() {
	rm -rf "$KEDGE_TEST_DIR"
}

@test "supplemental groups join the image's own, or replace them" { drive groups; }
@test "what reaches beyond the pod is refused, and the refusal names the row" { drive gates; }
@test "sysctls are the pod's own" { drive sysctls; }
@test "a privileged container has all capabilities and devices, and nothing is masked" { drive privileged; }
@test "procMount Unmasked shows all of /proc" { drive unmasked; }
@test "a seccomp profile of the operator's is compiled and kept to" { drive profiles; }
