#!/usr/bin/env bats
# Volumes as their users see them: files made of the API, scratch space, the host's
# folders where the operator allows them, and storage that outlives its pods.
load kit.bash

setup_file() {
	load kit.bash
	kedge_dirs
	repo_make
	mkdir -p "$W/host/rw/dir" "$W/host/ro/dir" "$W/secret"
	echo top-secret >"$W/secret/key"
	echo readable >"$W/host/ro/dir/file"
	cat >"$W/kedge.yaml" <<-Y
		allow:
		  hostPaths:
		  - {pathPrefix: $W/host/rw}
		  - {pathPrefix: $W/host/ro, readOnly: true}
	Y
	kedge_start --source "deploy=$W/deploy.git" --listen "$API"
	export KEDGED
	box box:1
}
teardown_file() {
	load kit.bash
	kedge_end
}

events_of() { kedge get events -o json | jq -r --arg n "$1" '.items[] | select(.involvedObject.name == $n) | .message'; }
was_told() { events_of "$1" | grep -F "$2"; }
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

# host NAME PATH [TYPE] [MOUNT FIELDS]: a pod with that hostPath at /h
host() {
	SPEC="volumes: [{name: h, hostPath: {path: $2${3:+, type: $3}}}]" \
		MORE="volumeMounts: [{name: h, mountPath: /h${4:+, $4}}]" pod "$1" box:1
}

@test "hostPath: each type is checked or made, what the operator allowed" {
	mkfifo "$W/host/rw/pipe"
	touch "$W/host/rw/file"
	perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1)' "$W/host/rw/sock"
	mknod "$W/host/rw/char" c 1 3
	mknod "$W/host/rw/block" b 7 77
	{
		host any "$W/host/rw/dir" ""
		host dir "$W/host/rw/dir" Directory
		host made "$W/host/rw/new/deep" DirectoryOrCreate
		host file "$W/host/rw/file" File
		host touched "$W/host/rw/dir/touched" FileOrCreate
		host socket "$W/host/rw/sock" Socket
		host char "$W/host/rw/char" CharDevice
		host block "$W/host/rw/block" BlockDevice
	} | put types
	for p in any dir made file touched socket char block; do up $p; done
	in_ made touch /h/x
	[ -e "$W/host/rw/new/deep/x" ]
	[ "$(stat -c %a "$W/host/rw/new/deep")" = 755 ]
	in_ touched sh -c 'echo hello >/h'
	[ "$(cat "$W/host/rw/dir/touched")" = hello ]
	[ "$(in_ any cat /h/touched)" = hello ]
	in_ socket test -S /h
	in_ char test -c /h
	run in_ char sh -c 'echo x >/h' # a node in a volume opens nothing
	[ "$status" != 0 ]
	drop types
}

@test "hostPath: what is not as its type says holds the pod back, in the kubelet's words" {
	{
		host nodir "$W/host/rw/file" Directory
		host nofile "$W/host/rw/dir" File
		host nosock "$W/host/rw/file" Socket
		host gone "$W/host/rw/nothing/here" Directory
	} | put wrong
	wait_for 10 "nodir" was_told nodir "hostPath type check failed: $W/host/rw/file is not a directory"
	wait_for 10 "nofile" was_told nofile "hostPath type check failed: $W/host/rw/dir is not a file"
	wait_for 10 "nosock" was_told nosock "is not a socket file"
	wait_for 10 "gone" was_told gone "No such file or directory"
	[ ! -e "$W/host/rw/nothing" ]
	drop wrong
}

@test "hostPath: what the operator did not allow is refused with the row to write" {
	ln -s "$W/secret" "$W/host/rw/link"
	{
		host etc /etc
		host beside "$W/host/rw-not"
		host up "$W/host"
		host link "$W/host/rw/link/key"
		host write "$W/host/ro/dir"
	} | put no
	for p in etc beside up; do wait_for 10 $p was_told $p 'in kedge.yaml under allow.hostPaths'; done
	wait_for 10 link was_told link "below $W/host/rw is a symbolic link"
	wait_for 10 write was_told write 'set readOnly: true where container main mounts it'
	host write "$W/host/ro/dir" "" "readOnly: true" | put no
	up write
	[ "$(in_ write cat /h/file)" = readable ]
	run in_ write touch /h/x
	[ "$status" != 0 ]
	rm "$W/host/rw/link"
	drop no
}

@test "subPath and subPathExpr: made when missing, by the volume's own mode, never through a link" {
	SPEC='volumes: [{name: v, emptyDir: {}}]
securityContext: {runAsUser: 1234, fsGroup: 4321}' \
		MORE='env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
volumeMounts:
- {name: v, mountPath: /v}
- {name: v, mountPath: /sub, subPath: a/b}
- {name: v, mountPath: /expr, subPathExpr: logs/$(POD)}' pod sub box:1 | put sub
	up sub
	in_ sub sh -c 'echo 1 >/sub/x; echo 2 >/expr/y'
	[ "$(in_ sub cat /v/a/b/x /v/logs/sub/y)" = $'1\n2' ]
	[ "$(in_ sub stat -c '%a %g' /v /v/a /v/a/b | sort -u)" = "2777 4321" ]
	MORE='volumeMounts: [{name: v, mountPath: /v, subPathExpr: $(NOPE)}]' SPEC='volumes: [{name: v, emptyDir: {}}]' \
		pod nope box:1 | put sub
	wait_for 10 "named" was_told nope 'missing value for "NOPE"'
	drop sub
}

@test "recursiveReadOnly seals what is mounted within; readOnly alone does not" {
	mkdir -p "$W/host/rw/outer/inner"
	mount -t tmpfs tmpfs "$W/host/rw/outer/inner"
	{
		host top "$W/host/rw/outer" "" "readOnly: true"
		host all "$W/host/rw/outer" "" "readOnly: true, recursiveReadOnly: Enabled"
	} | put seal
	up top
	up all
	for p in top all; do
		run in_ $p touch /h/x
		[ "$status" != 0 ]
	done
	in_ top touch /h/inner/x
	run in_ all touch /h/inner/y
	[ "$status" != 0 ]
	drop seal
	umount "$W/host/rw/outer/inner"
}

@test "mountPropagation: HostToContainer sees what the host mounts later, None does not" {
	mkdir -p "$W/host/rw/prop/late"
	mount --bind "$W/host/rw/prop" "$W/host/rw/prop"
	mount --make-shared "$W/host/rw/prop"
	{
		host hears "$W/host/rw/prop" "" "mountPropagation: HostToContainer"
		host deaf "$W/host/rw/prop"
	} | put prop
	up hears
	up deaf
	mount -t tmpfs tmpfs "$W/host/rw/prop/late"
	touch "$W/host/rw/prop/late/x"
	in_ hears test -e /h/late/x
	run in_ deaf test -e /h/late/x
	[ "$status" != 0 ]
	umount "$W/host/rw/prop/late"
	run in_ hears test -e /h/late/x
	[ "$status" != 0 ]
	[ "$(grep -c "$W/host/rw/prop" /proc/self/mountinfo)" = 1 ] # nothing came back
	drop prop
	umount "$W/host/rw/prop"
}

@test "an image volume shows what the image holds, and nobody writes or runs it" {
	mkdir -p "$W/data/models"
	echo weights >"$W/data/models/m"
	printf '#!/bin/sh\necho ran\n' >"$W/data/run"
	chmod 755 "$W/data/run"
	kedge image import "$W/data" data:1
	SPEC='volumes: [{name: d, image: {reference: "data:1"}}]' \
		MORE='volumeMounts: [{name: d, mountPath: /data}, {name: d, mountPath: /m, subPath: models}]' \
		pod reader box:1 | put reader
	up reader
	[ "$(in_ reader cat /data/models/m /m/m)" = $'weights\nweights' ]
	run in_ reader touch /data/x
	[ "$status" != 0 ]
	run in_ reader /data/run
	[ "$status" != 0 ]
	kedge image rm data:1
	in_ reader cat /data/models/m
	drop reader
}
