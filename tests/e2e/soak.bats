#!/usr/bin/env bats
# Two thousand pods come and go; then the host is the one before.
load lib.bash

setup() {
	KEDGE_TEST_DIR=$(mktemp -d /tmp/ks.XXXXXX)
	export KEDGE_TEST_DIR
}
teardown() { rm -rf "$KEDGE_TEST_DIR"; }

@test "after two thousand random lives of pods there is as much of everything as before" {
	local seed=${KEDGE_SOAK_SEED:-$RANDOM}
	echo "# seed $seed (KEDGE_SOAK_SEED)" >&3
	timeout 300 "$B/tests/e2e/soak_drive" "${KEDGE_SOAK:-2000}" "$seed" 3>&-
}
