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
@test "a container that was held back gets no more than it could have had at once" { drive renewed; }
@test "sysctls are the pod's own" { drive sysctls; }
@test "a privileged container has all capabilities and devices, and nothing is masked" { drive privileged; }
@test "procMount Unmasked shows all of /proc" { drive unmasked; }
@test "a seccomp profile of the operator's is compiled and kept to" { drive profiles; }
@test "root of a pod is nobody on the host, and everything in the pod is its own" { drive user_namespace; }
@test "all capabilities reach no further than the pod's namespaces" { drive caps_inside; }
@test "no two pods share an id, and a pod keeps its own" { drive own_ranges; }
@test "an id that a pod cannot have is told, and hostUsers needs the operator" { drive too_large_ids; }
