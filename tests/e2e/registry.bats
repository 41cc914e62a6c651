#!/usr/bin/env bats
# Images from registries: the real docker-registry on this test host's loopback.
load lib.bash
load registry.bash

setup() {
	registry_have || skip "docker-registry and skopeo are not installed"
	kedge_dirs
	R=127.0.0.1:$(free_port)
	registry_start "${R#*:}"
	printf 'registries:\n- {host: "%s", http: true}\n' "$R" >"$W/kedge.yaml"
}
teardown() {
	kedge_end
	local p
	for p in /proc/self/fd/none "${R#*:}"; do [ -e "$W/reg-$p.pid" ] && registry_stop "$p"; done
	rm -rf "$W"
}

@test "an image is pulled, and says what it is" {
	web_layout "$W/web" v1
	push_image "$W/web" "$R/team/web:1"
	kedge_start
	run kedge image pull "$R/team/web:1"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == "pulled $R/team/web:1 ("* ]]
	kedge image ls | grep -q "^$R/team/web:1 .* 2 "
	# nothing is left of the way
	[ -z "$(ls "$W/state/images/ingest")" ]
}
