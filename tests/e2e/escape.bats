#!/usr/bin/env bats
# Ways out of a container that others have found: each is tried, and fails.  Scenarios of
# escape_drive.c and join_drive.c; those with links in images, users in passwd and subPaths
# are in runtime.bats and volumes.bats.
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
@test "who may trace anybody reaches nobody who joins the container (CVE-2016-9962)" { drive join traced; }
@test "a command that comes in has no capability to pass on (CVE-2022-29162)" { drive join inherited; }
@test "a user that is no number to its last byte is refused (CVE-2026-30892)" { drive join numbers; }
@test "devices, terminals and a console that an image has as links are not followed (CVE-2025-31133, CVE-2025-52565)" { drive join nodes; }
@test "nothing that kedge writes follows a container's links in its own /proc and /dev/pts (CVE-2025-52881, CVE-2025-52565)" { drive join led_astray; }
@test "the removal of a pod follows no link in its volumes and layers (CVE-2017-1002102)" { drive join removed; }
