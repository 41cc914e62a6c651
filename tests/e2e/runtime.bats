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
@test "what cannot be started says why, with the exit codes of a shell" { drive cannot_run; }
@test "a missing image is waited for, and taken when it comes" { drive no_image; }
@test "command, args, env and working directory follow Kubernetes' rules" { drive words; }
@test "stop asks first, and kills after the grace" { drive stop; }
@test "the first restart comes at once, the next after 10 s, then 20 s" { drive restart; }
@test "OnFailure and Never are kept" { drive policies; }
@test "a container is restarted when asked, and counted" { drive probe_restart; }
@test "pods live on without their caller and are found again, with every exit code" { drive adopt; }
@test "a pod whose first process dies is gone as a whole" { drive init_dies; }
@test "a pod that died unseen is known with its exit code, and removed" { drive init_dies_unseen; }
@test "who attaches types into a container and sees what it prints, also after a restart of kedged" { drive attach; }
@test "who is attached and does not read stops nobody" { drive slow; }
@test "a port of the pod's own loopback is connected to" { drive connects; }
@test "a command runs in a container, with its rights, a terminal, a timeout" { drive exec; }
@test "logs are in CRI format, with long lines in parts" { drive logs; }
@test "logs are rotated by size and bounded in number" { drive rotation; }
@test "the termination message is taken, 4096 bytes of it" { drive last_word; }
@test "users and groups are found in the image, by name and by number" { drive users; }
@test "capabilities, no_new_privs, seccomp and limits are the hardened ones" { drive rights; }
@test "nothing of the host is in sight: descriptors, processes, mounts, links" { drive no_host; }
@test "what tells of the host is masked, what changes it is read-only" { drive kernel_files; }
@test "/dev is private, and a node made inside opens nothing" { drive devices; }
@test "an image's links lead nowhere outside of it" { drive evil_images; }
@test "a container that runs out of memory is OOMKilled" { drive oom; }
@test "pids and cpu are limited" { drive limits; }
@test "volumes of files switch at once; empty and memory ones are the pod's" { drive volumes; }
@test "a subPath that is a link is not followed" { drive subpath_links; }
@test "net, ipc, uts and /dev/shm are the pod's; processes and files the container's" { drive shared; }
@test "hosts, resolv.conf and hostname are the pod's" { drive etc_files; }
@test "a read-only root is one" { drive read_only; }
@test "a container with a terminal has one of its own" { drive terminal; }
@test "every run begins with what the image holds" { drive fresh_layer; }
@test "the writable layer of a run that is over is removed" { drive old_layers; }
@test "down leaves no trace" { drive down; }
@test "a kedge-init costs at most 150 kB" { drive memory; }
@test "a name that could be a path is refused" { drive refusals; }
