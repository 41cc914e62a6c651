#!/usr/bin/env bats
# Volumes as their users see them: files made of the API, scratch space, the host's
# folders where the operator allows them, and storage that outlives its pods.
load kit.bash

setup_file() {
	load kit.bash
	kedge_dirs
	repo_make
	kedge_start --source "deploy=$W/deploy.git" --listen "$API"
	export KEDGED
	box box:1
}
teardown_file() {
	load kit.bash
	kedge_end
}

says() { [ "$(in_ "$1" cat "$2")" = "$3" ]; }

@test "a projected volume holds ConfigMap, Secret and the pod's own fields, and follows them" {
	{
		SPEC="volumes:
- name: all
  projected:
    defaultMode: 0440
    sources:
    - configMap: {name: conf, items: [{key: a, path: conf/a.txt}]}
    - secret: {name: word}
    - secret: {name: gone, optional: true}
    - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}},
        {path: mem, mode: 0444, resourceFieldRef: {containerName: main, resource: limits.memory, divisor: 1Mi}}]}" \
		MORE='resources: {limits: {memory: 64Mi}}
volumeMounts: [{name: all, mountPath: /all}]' pod proj box:1
		cat <<-Y
			apiVersion: v1
			kind: ConfigMap
			metadata: {name: conf}
			data: {a: one}
			---
			apiVersion: v1
			kind: Secret
			metadata: {name: word}
			stringData: {pass: sesame}
		Y
	} | put proj
	up proj
	says proj /all/conf/a.txt one
	says proj /all/pass sesame
	in_ proj grep -qx 'app="proj"' /all/labels
	says proj /all/mem 64
	[ "$(in_ proj stat -Lc %a /all/pass /all/mem | xargs)" = "440 444" ]
	run in_ proj sh -c 'echo x >/all/pass'
	[ "$status" != 0 ]
	sed -i 's/a: one/a: two/' "$W/clone/proj.yaml"
	push "two"
	wait_for 10 "the new contents" says proj /all/conf/a.txt two
	drop proj
}
