#!/usr/bin/env bats
# Security contexts: each test is a scenario of security_drive.c, on the runtime alone.
load drive.bash

@test "supplemental groups join the image's own, or replace them" { drive security groups; }
@test "what reaches beyond the pod is refused, and the refusal names the row" { drive security gates; }
@test "a container that was held back gets no more than it could have had at once" { drive security renewed; }
@test "what could not be read again is not written into a running pod's spec" { drive security renewed_too_large; }
@test "sysctls are the pod's own" { drive security sysctls; }
@test "a privileged container has all capabilities and devices, and nothing is masked" { drive security privileged; }
@test "procMount Unmasked shows all of /proc" { drive security unmasked; }
@test "a seccomp profile of the operator's is compiled and kept to" { drive security profiles; }
@test "root of a pod is nobody on the host, and everything in the pod is its own" { drive security user_namespace; }
@test "all capabilities reach no further than the pod's namespaces" { drive security caps_inside; }
@test "no two pods share an id, and a pod keeps its own" { drive security own_ranges; }
@test "an id that a pod cannot have is told, and hostUsers needs the operator" { drive security too_large_ids; }
