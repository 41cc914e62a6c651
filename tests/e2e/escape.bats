#!/usr/bin/env bats
# Ways out of a container that others have found: each is tried, and fails.  Scenarios of
# escape_drive.c; those with links in images, users in passwd and subPaths are in runtime.bats
# and volumes.bats.
load drive.bash

setup_file() {
	[ -x "$B/images/escape" ] || make -s -C "$BATS_TEST_DIRNAME/images" O="$B/images"
}

@test "what a container sees is what the written table says" { drive escape seen; }
@test "kedge-init is not overwritten through /proc/self/exe, nor run from inside (CVE-2019-5736)" { drive escape exe; }
@test "no working directory is a descriptor of the host's (CVE-2024-21626)" { drive escape descriptors; }
@test "core_pattern, modprobe, uevent_helper, sysrq-trigger stay the host's, whatever capabilities are held" { drive escape kernel_writes; }
@test "no control group is mounted, written or given a release_agent (CVE-2022-0492, CVE-2023-25809)" { drive escape cgroup_files; }
@test "the host's keys are neither read nor found" { drive escape keyrings; }
@test "a directory that is swapped for a link while pods mount below it leads nowhere (CVE-2021-25741, CVE-2021-30465)" { drive escape race; }
@test "bombs of processes, logs and inodes hit their own container" { drive escape bombs; }
