#!/usr/bin/env bats
# The runtime alone: pods without a daemon.  Each test is a scenario of a *_drive.c.
load drive.bash

@test "a container runs, its output is logged and its exit code is known" { drive runtime exit_code; }
@test "what cannot be started says why, with the exit codes of a shell" { drive runtime cannot_run; }
@test "a missing image is waited for, and taken when it comes" { drive runtime no_image; }
@test "a renewed container is another from its next run on, and one that is held has none" { drive runtime renew; }
@test "a renewal that fails, or finds no image, leaves what was there" { drive runtime renew_fails; }
@test "command, args, env and working directory follow Kubernetes' rules" { drive runtime words; }
@test "stop asks first, and kills after the grace" { drive runtime stop; }
@test "the first restart comes at once, the next after 10 s, then 20 s" { drive runtime restart; }
@test "OnFailure and Never are kept" { drive runtime policies; }
@test "a container is restarted when asked, and counted" { drive runtime probe_restart; }
@test "pods live on without their caller and are found again, with every exit code" { drive runtime adopt; }
@test "a pod that does not answer at a start goes on, and is heard when it does" { drive adopt late; }
@test "also when it was called more often than its queue has room for" { drive adopt late_often; }
@test "one that does not answer and is to stop does so when it hears of it" { drive adopt late_stop; }
@test "one that dies before it answers is removed" { drive adopt late_dies; }
@test "one that does not answer is taken down with all others" { drive adopt late_down; }
@test "who listens in kedge-init's place is not believed, whatever it says or does not say" { drive adopt impostors; }
@test "a connection to a pod that is lost is made anew, and what it did not hear is told" { drive adopt lost; }
@test "a pod whose connection is lost is stopped with its grace all the same" { drive adopt lost_stop; }
@test "also when nobody noticed the loss yet" { drive adopt lost_stop_unnoticed; }
@test "the end of a hook that could not be told is told when it answers" { drive adopt lost_hook; }
@test "a pod whose first process dies is gone as a whole" { drive runtime init_dies; }
@test "a pod that died unseen is known with its exit code, and removed" { drive runtime init_dies_unseen; }
@test "who attaches types into a container and sees what it prints, also after a restart of kedged" { drive stream attach; }
@test "who is attached and does not read stops nobody" { drive stream slow; }
@test "a port of the pod's own loopback is connected to" { drive stream connects; }
@test "a command runs in a container, with its rights, a terminal, a timeout" { drive stream exec; }
@test "48 commands run at once beside a hook, one more is told that there are too many, and a probe finds a place" { drive stream exec_slots; }
@test "a hook that is over is no other hook of its container" { drive runtime hooks_apart; }
@test "a hook that is over is not that of the next run, also where processes are shared" { drive runtime hooks_of_runs; }
@test "a command of more words than there is room for is refused, by both sides, and its pod lives" { drive stream many_words; }
@test "logs are in CRI format, with long lines in parts" { drive stream logs; }
@test "logs are rotated by size and bounded in number" { drive stream rotation; }
@test "what was printed is what is logged, also where the log is rotated in the middle of it" { drive stream rotation_of_short; }
@test "what was printed is what is logged, also after a while in which the log could not be opened" { drive stream log_closed; }
@test "the termination message is taken, 4096 bytes of it" { drive stream last_word; }
@test "users and groups are found in the image, by name and by number" { drive rights users; }
@test "capabilities, no_new_privs, seccomp and limits are the hardened ones" { drive rights rights; }
@test "nothing of the host is in sight: descriptors, processes, mounts, links" { drive rights no_host; }
@test "what tells of the host is masked, what changes it is read-only" { drive rights kernel_files; }
@test "/dev is private, and a node made inside opens nothing" { drive rights devices; }
@test "an image's links lead nowhere outside of it" { drive rights evil_images; }
@test "an image's passwd and group that lead out, never end or are nothing to read make nobody of anybody" { drive rights evil_users; }
@test "a container that runs out of memory is OOMKilled" { drive rights oom; }
@test "pids, cpu and memory are limited" { drive rights limits; }
@test "volumes of files switch at once; empty and memory ones are the pod's" { drive volume volumes; }
@test "a subPath that is a link is not followed" { drive volume subpath_links; }
@test "net, ipc, uts and /dev/shm are the pod's; processes and files the container's" { drive runtime shared; }
@test "hosts, resolv.conf and hostname are the pod's" { drive runtime etc_files; }
@test "a read-only root is one" { drive rights read_only; }
@test "a container with a terminal has one of its own" { drive stream terminal; }
@test "every run begins with what the image holds" { drive runtime fresh_layer; }
@test "the writable layer of a run that is over is removed" { drive runtime old_layers; }
@test "down leaves no trace" { drive runtime down; }
@test "a kedge-init alone costs at most 150 kB" { drive runtime memory; }
@test "a name that could be a path is refused" { drive runtime refusals; }
