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

@test "a pushed commit's image comes from the registry, and the pod runs" {
	web_layout "$W/web" v1
	push_image "$W/web" "$R/team/web:1"
	repo_make
	deployment web "$R/team/web:1" 2 >"$W/clone/web.yaml"
	kedge_start --source "$W/deploy.git"
	push_wait "web"
	[ "$(pods_ready app=web)" = 2 ]
	kedge get events | grep -q "Pulled"
	local pod
	pod=$(kedge get pods -o json | jq -r '.items[0].metadata.name')
	kedge get pod "$pod" -o json | jq -e '.status.containerStatuses[0].imageID | contains("sha256:")'
}

@test "a tag that is not there is ErrImagePull in the registry's words, then backs off, then comes" {
	web_layout "$W/web" v1
	push_image "$W/web" "$R/team/web:1"
	repo_make
	deployment web "$R/team/web:2" >"$W/clone/web.yaml"
	kedge_start --source "$W/deploy.git"
	push "web"
	wait_for 10 "it fails" sh -c 'kedge get pods | grep -q ErrImagePull'
	wait_for 10 "it backs off" sh -c 'kedge get pods | grep -q ImagePullBackOff'
	kedge get pods -o json >"$W/pods.json"
	jq -r '.items[0].status.containerStatuses[0].state.waiting.message' "$W/pods.json" | tee /dev/stderr |
		grep -q "^Back-off pulling image \"$R/team/web:2\": ErrImagePull: .*manifest unknown"
	kedge events | tee /dev/stderr >"$W/events"
	grep -q "Pulling .*Pulling image \"$R/team/web:2\"" "$W/events"
	grep -q "Failed .*Failed to pull image \"$R/team/web:2\": .*404 Not Found: manifest unknown" "$W/events"
	grep -q 'Failed .*Error: ErrImagePull' "$W/events"
	grep -q "BackOff .*Back-off pulling image \"$R/team/web:2\"" "$W/events"
	grep -q 'Failed .*Error: ImagePullBackOff' "$W/events"
	push_image "$W/web" "$R/team/web:2"
	wait_for 15 "the next try succeeds" has_ready app=web 1
}
