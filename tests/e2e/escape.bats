#!/usr/bin/env bats
# Ways out of a container that others have found: each is tried, and fails.  Scenarios of
# escape_drive.c; those with links in images, users in passwd and subPaths are in runtime.bats
# and volumes.bats.

drive() {
	run timeout 200 "${B:-$BATS_TEST_DIRNAME/../../build}/tests/e2e/escape_drive" "$@"
	echo "$output"
	[ "$status" -eq 0 ]
}

setup_file() {
	local b=${B:-$BATS_TEST_DIRNAME/../../build}
	[ -x "$b/images/escape" ] || make -s -C "$BATS_TEST_DIRNAME/images" O="$(cd "$b" && pwd)/images"
}
setup() {
	export KEDGE_TEST_DIR=$(mktemp -d /tmp/kedge-escape.XXXXXX)
	export KEDGE_GOLDEN_FILE=$BATS_TEST_DIRNAME/../golden/container/seen.txt
}
teardown() {
	rm -rf "$KEDGE_TEST_DIR"
}

@test "what a container sees is what the written table says" { drive seen; }
@test "kedge-init is not overwritten through /proc/self/exe, nor run from inside (CVE-2019-5736)" { drive exe; }
@test "no working directory is a descriptor of the host's (CVE-2024-21626)" { drive descriptors; }
@test "core_pattern, modprobe, uevent_helper, sysrq-trigger stay the host's, whatever capabilities are held" { drive kernel_writes; }
@test "no control group is mounted, written or given a release_agent (CVE-2022-0492, CVE-2023-25809)" { drive cgroup_files; }
@test "the host's keys are neither read nor found" { drive keyrings; }
@test "a directory that is swapped for a link while pods mount below it leads nowhere (CVE-2021-25741, CVE-2021-30465)" { drive race; }
@test "bombs of processes, logs and inodes hit their own container" { drive bombs; }
