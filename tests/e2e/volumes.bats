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
		  privileged: true
		  hostUsers: true
		  hostPaths:
		  - {pathPrefix: $W/host/rw}
		  - {pathPrefix: $W/host/ro, readOnly: true}
		  - {pathPrefix: $W/host/own}
		  - {pathPrefix: $W/host/own/late/row}
	Y
	ln -s rw "$W/host/own"
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

@test "what is optional is there when it comes; binaryData are bytes; labels in files follow the pod's" {
	late() {
		SPEC='volumes:
- {name: conf, configMap: {name: late, optional: true}}
- {name: word, secret: {secretName: later, optional: true}}
- {name: own, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}' \
			MORE='volumeMounts: [{name: conf, mountPath: /conf}, {name: word, mountPath: /word}, {name: own, mountPath: /own}]' \
			pod late box:1 | sed "s/app: late/app: late, colour: $1/"
	}
	late red | put late
	up late
	run in_ late ls /conf /word
	hasnt raw
	hasnt pass
	in_ late grep -qx 'colour="red"' /own/labels
	{
		late blue
		cat <<-Y
			apiVersion: v1
			kind: ConfigMap
			metadata: {name: late}
			data: {text: here}
			binaryData: {raw: AP8KDQCA}
			---
			apiVersion: v1
			kind: Secret
			metadata: {name: later}
			stringData: {pass: sesame}
		Y
	} | put late
	wait_for 10 "the ConfigMap came" says late /conf/text here
	wait_for 10 "the Secret came" says late /word/pass sesame
	wait_for 10 "the label followed" in_ late grep -qx 'colour="blue"' /own/labels
	[ "$(in_ late od -An -tx1 /conf/raw | xargs)" = "00 ff 0a 0d 00 80" ]
	[ "$(st late .restartCount)" = 0 ]
	drop late
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
		host nochar "$W/host/rw/block" CharDevice
		host noblock "$W/host/rw/char" BlockDevice
		host gone "$W/host/rw/nothing/here" Directory
	} | put wrong
	wait_for 10 "nodir" was_told nodir "hostPath type check failed: $W/host/rw/file is not a directory"
	wait_for 10 "nofile" was_told nofile "hostPath type check failed: $W/host/rw/dir is not a file"
	wait_for 10 "nosock" was_told nosock "is not a socket file"
	wait_for 10 "nochar" was_told nochar "hostPath type check failed: $W/host/rw/block is not a character device"
	wait_for 10 "noblock" was_told noblock "hostPath type check failed: $W/host/rw/char is not a block device"
	wait_for 10 "gone" was_told gone "No such file or directory"
	[ ! -e "$W/host/rw/nothing" ]
	sleep 3
	run grep -c 'start pod default/gone ' "$W/kedged.log" # ten seconds later again, then twenty
	[ "$output" -ge 1 ]
	[ "$output" -le 4 ]
	drop wrong
}

@test "hostPath: what is kedge's own is nobody's, whichever way a pod gets there" {
	echo "{state: $W/state, allow: {hostPaths: [{pathPrefix: $W}]}}" >"$W/wide.yaml"
	run kedge validate --config "$W/wide.yaml"
	has "allow.hostPaths[0]: kedge's own $W/state is in \"$W\""
	ln -sfn ../state "$W/host/own" # the operator's row, but not what it was
	host own "$W/host/own/pki" | put own
	wait_for 10 own was_told own "hostPath \"$W/host/own/pki\" is kedge's own, as all of $W/state is"
	ln -sfn rw "$W/host/own"
	drop own
}

@test "hostPath: a path that is refused is not made, nor any part of it" {
	local made
	ln -sfn ../state "$W/host/own"
	{
		host layer "$W/host/own/images/layers/sha256/$(printf %064d 0)" DirectoryOrCreate
		host claim "$W/host/own/volumes/pvc/mine" ""
		host touch "$W/host/own/pki/mine" FileOrCreate
		host row "$W/host/own/late/row/here" DirectoryOrCreate
	} | put own
	for p in layer claim touch row; do wait_for 10 "$p" was_told "$p" "is kedge's own, as all of $W/state is"; done
	made=$(cd "$W/state" && ls -d images/layers/sha256/000* volumes/pvc pki/mine late 2>/dev/null) || true
	[ -z "$made" ]
	ln -sfn rw "$W/host/own"
	drop own
}

@test "what may go nowhere in /proc or /sys is told so" {
	SPEC='volumes: [{name: e, emptyDir: {}}]' MORE='volumeMounts: [{name: e, mountPath: /sys/fs}]' pod sysfs box:1 | put sysfs
	wait_for 10 "it is told" sh -c 'kedge get pod sysfs -o json | grep -qF "its place is in /proc or /sys"'
	drop sysfs
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
	{
		printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: few}\ndata: {one: "1"}\n---\n'
		SPEC='volumes: [{name: c, configMap: {name: few}}]' MORE='volumeMounts: [{name: c, mountPath: /etc/app.conf, subPath: two}]' pod lacks box:1
	} | put sub
	wait_for 10 "the subPath is named" was_told lacks 'mount volume /etc/app.conf (subPath "two"): No such file or directory'
	drop sub
}

@test "what is mounted deeper is seen in whatever order it is written, from the root, and /etc/hosts above a volume at /etc" {
	local dir
	{
		SPEC='hostAliases: [{ip: 10.9.8.7, hostnames: [elsewhere]}]
volumes: [{name: in, emptyDir: {}}, {name: top, emptyDir: {}}, {name: etc, emptyDir: {}}]' \
			MORE='volumeMounts: [{name: in, mountPath: /d/in/}, {name: top, mountPath: /d}, {name: etc, mountPath: /etc}]' \
			pod deep box:1
		SPEC='volumes: [{name: c, configMap: {name: own}}]' \
			MORE='volumeMounts: [{name: c, mountPath: etc//hosts, subPath: hosts}]' pod own-hosts box:1
		printf '%s\n' 'apiVersion: v1' 'kind: ConfigMap' 'metadata: {name: own}' 'data: {hosts: "mine"}'
	} | put deep
	up deep
	in_ deep sh -c 'touch /d/in/x /d/y'
	dir=$W/state/pods/$(field pod deep .metadata.uid)/.volumes
	[ -e "$dir/in/x" ]
	[ "$(ls "$dir/top")" = $'in\ny' ]
	in_ deep grep -q '10.9.8.7.elsewhere' /etc/hosts
	says deep /etc/hostname deep
	in_ deep test -s /etc/resolv.conf
	[ "$(stat -c '%s %u' "$dir/etc/hosts")" = "0 0" ] # what it is mounted on
	up own-hosts
	says own-hosts /etc/hosts mine
	says own-hosts /etc/hostname own-hosts
	drop deep
}

@test "what is mounted inside a ConfigMap or a projected volume is there, also after these changed" {
	{
		SPEC='volumes: [{name: c, configMap: {name: app}}, {name: e, emptyDir: {}}, {name: k, secret: {secretName: keys}},
  {name: p, projected: {sources: [{configMap: {name: app, items: [{key: a, path: sub/a}]}}]}}]' \
			MORE='volumeMounts:
- {name: k, mountPath: /etc/app/keys}
- {name: e, mountPath: /etc/app/keys/x/y}
- {name: e, mountPath: /etc/app/one/two}
- {name: k, mountPath: /etc/app/key.txt, subPath: key}
- {name: c, mountPath: /etc/app}
- {name: p, mountPath: /p}
- {name: c, mountPath: /p/c}' pod nest box:1
		SPEC='volumes: [{name: c, configMap: {name: app}}]' \
			MORE='volumeMounts: [{name: c, mountPath: /etc}]' pod etc box:1
		cat <<-Y
			apiVersion: v1
			kind: ConfigMap
			metadata: {name: app}
			data: {a: one, b: gone}
			---
			apiVersion: v1
			kind: Secret
			metadata: {name: keys}
			stringData: {key: sesame}
		Y
	} | put nest
	up nest
	up etc
	in_ nest touch /etc/app/keys/x/y/file /etc/app/one/two/other
	sed -i 's/{a: one, b: gone}/{a: two, c: new}/' "$W/clone/nest.yaml"
	push two
	wait_for 10 "the new contents" says nest /etc/app/a two
	says nest /etc/app/keys/key sesame
	says nest /etc/app/key.txt sesame
	says nest /p/sub/a two
	says nest /p/c/c new
	in_ nest test -e /etc/app/keys/x/y/other -a -e /etc/app/one/two/file
	[ "$(in_ nest ls /etc/app | xargs)" = "a c key.txt keys one" ]
	run in_ nest touch /etc/app/keys/z
	[ "$status" != 0 ]
	says etc /etc/a two
	says etc /etc/hostname etc
	drop nest
}

@test "hostPath: a device is one in a privileged container, and only there, with the host's users" {
	local who
	mknod -m 666 "$W/host/rw/null" c 1 3
	for who in plain 'hostUsers: true' 'hostUsers: false'; do
		SPEC="${who/plain/restartPolicy: Always}
volumes: [{name: h, hostPath: {path: $W/host/rw/null, type: CharDevice}}, {name: d, hostPath: {path: $W/host/rw}}]" \
			MORE="securityContext: {privileged: $([ "$who" = plain ] && echo false || echo true)}
volumeMounts: [{name: h, mountPath: /dev/mine}, {name: d, mountPath: /h}]" \
			pod "dev-$(tr -dc a-z <<<"${who,,}")" box:1
	done | put devices
	up dev-hostuserstrue
	in_ dev-hostuserstrue sh -c 'echo x >/dev/mine && echo x >/h/null'
	for who in dev-plain dev-hostusersfalse; do
		up $who
		in_ $who test -c /dev/mine
		run in_ $who sh -c 'echo x >/dev/mine'
		[ "$status" != 0 ]
		run in_ $who sh -c 'echo x >/h/null'
		[ "$status" != 0 ]
	done
	rm "$W/host/rw/null"
	drop devices
}

@test "recursiveReadOnly seals what is mounted within; readOnly alone does not" {
	[ "$(printf '6.3\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.3 ] ||
		skip "Linux before 6.3 cannot show a tmpfs of the host with the ids of a pod"
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
	[ "$(st top '.volumeMounts[] | select(.name == "h") | "\(.readOnly) \(.recursiveReadOnly)"')" = "true Disabled" ]
	[ "$(st all '.volumeMounts[] | select(.name == "h") | "\(.readOnly) \(.recursiveReadOnly)"')" = "true Enabled" ]
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

@test "mountPropagation: Bidirectional is for privileged containers, and reaches the host" {
	mkdir -p "$W/host/rw/both/within"
	mount --bind "$W/host/rw/both" "$W/host/rw/both"
	mount --make-shared "$W/host/rw/both"
	host plain "$W/host/rw/both" "" "mountPropagation: Bidirectional" | put both
	wait_for 10 "refused" sh -c 'kedge status | grep -q "Bidirectional mount propagation is available only to privileged containers"'
	SPEC="hostUsers: true
volumes: [{name: h, hostPath: {path: $W/host/rw/both}}]" MORE='securityContext: {privileged: true}
volumeMounts: [{name: h, mountPath: /h, mountPropagation: Bidirectional}]' pod both box:1 | put both
	up both
	in_ both mount -t tmpfs tmpfs /h/within
	grep -q " $W/host/rw/both/within " /proc/self/mountinfo
	in_ both umount /h/within
	run grep " $W/host/rw/both/within " /proc/self/mountinfo
	[ "$status" != 0 ]
	drop both
	umount "$W/host/rw/both"
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
	run kedge image rm data:1
	[ "$status" != 0 ]
	has "used by pod default/reader"
	kedge image rm data:1 --force
	in_ reader cat /data/models/m
	drop reader
}

# claim NAME [MORE]: one of 1Gi
claim() {
	cat <<-Y
		---
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: $1}
		spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}${2:+, $2}}
		---
	Y
}
user() { # POD CLAIM [FIELDS of its spec]: mounts it at /data
	SPEC="volumes: [{name: d, persistentVolumeClaim: {claimName: $2}}]${3:+
$3}" MORE='volumeMounts: [{name: d, mountPath: /data}]' pod "$1" box:1
}
pvc_is() { [ "$(field pvc "$1" .status.phase)" = "$2" ]; }
gone() { ! kedge get "$1" "$2"; }

@test "an image's own volumes stay writable under a read-only root, with what the image has there" {
	source "$BATS_TEST_DIRNAME/registry.bash"
	cp -a "$B/images/box" "$W/vols"
	mkdir -p "$W/vols/data/sub"
	echo seed >"$W/vols/data/seed"
	chown 7:8 "$W/vols/data/seed"
	tar -C "$W/vols" -cf "$W/vols.tar" .
	oci_image "$W/vols.oci" '{"Cmd": ["/bin/talk", "wait"], "Volumes": {"/data": {}, "/new/deep": {}, "/proc": {}, "/mine/": {}, "/a/../b": {}, "/": {}}}' \
		"$(oci_layer "$W/vols.oci" "$W/vols.tar")"
	tar -C "$W/vols.oci" -cf "$W/vols.tar" .
	kedge image load "$W/vols.tar" vols:1
	SPEC='volumes: [{name: e, emptyDir: {}}]' MORE='securityContext: {readOnlyRootFilesystem: true}
volumeMounts: [{name: e, mountPath: /data/sub}, {name: e, mountPath: /mine, readOnly: true}]' pod vols vols:1 | put vols
	up vols
	in_ vols sh -c 'echo more >>/data/seed; touch /data/x /data/sub/y /new/deep/z'
	[ "$(in_ vols cat /data/seed)" = $'seed\nmore' ]
	[ "$(in_ vols stat -c '%u %g' /data/seed)" = "7 8" ]
	[ -e "$W/state/pods/$(field pod vols .metadata.uid)/.volumes/e/y" ]
	for p in /x /new/x /mine/x /bin/x /b/x; do
		run in_ vols touch $p
		[ "$status" != 0 ]
	done
	drop vols
}

@test "a claim gets a directory by the default class; data survives pods, kedged and its death" {
	{ claim data; user writer data; } | put data
	up writer
	pvc_is data Bound
	in_ writer sh -c 'echo kept >/data/file'
	local pv
	pv=$(field pvc data .spec.volumeName)
	[ "$(cat "$W/state/volumes/$pv/file")" = kept ]
	run k get pv,pvc,sc
	matches "persistentvolume/$pv +1Gi +RWO +Delete +Bound +default/data +local"
	matches "persistentvolumeclaim/data +Bound +$pv +1Gi +RWO +local"
	matches 'storageclass.storage.k8s.io/local \(default\) +kedge.dev/local +Delete +Immediate +true'
	run k describe pvc data
	matches 'Used By: +writer'
	matches 'ProvisioningSucceeded'
	run kedge describe pod writer
	matches 'ClaimName: +data'
	kedge delete pod writer
	wait_for 15 "its successor" says writer /data/file kept
	kill -9 "$KEDGED"
	wait_for 10 "kedged ends" not_running "$KEDGED"
	kedge_start --source "deploy=$W/deploy.git" --listen "$API"
	says writer /data/file kept
	{ claim data; user reader data; } | put data # another pod, the same claim
	up reader 15
	says reader /data/file kept
}

@test "a claim that left Git stays while a pod uses it; then its volume follows the reclaim policy" {
	local pv
	pv=$(field pvc data .spec.volumeName)
	user reader data | put data # the claim leaves
	wait_for 10 "it is going" sh -c 'kedge get pvc data | grep -q Terminating'
	says reader /data/file kept
	drop data
	wait_for 15 "the claim goes" gone pvc data
	wait_for 15 "its volume goes" gone pv "$pv"
	[ ! -e "$W/state/volumes/$pv" ]
	wait_for 10 "nothing is left of it" sh -c "[ -z \"\$(ls -A $W/state/volumes)\" ]"
}

@test "Retain keeps the data, WaitForFirstConsumer waits for a pod" {
	local pv
	{
		cat <<-Y
			apiVersion: storage.k8s.io/v1
			kind: StorageClass
			metadata: {name: keep}
			provisioner: kedge.dev/local
			reclaimPolicy: Retain
			volumeBindingMode: WaitForFirstConsumer
		Y
		claim later "storageClassName: keep"
	} | put class
	wait_for 10 "it waits" was_told later "waiting for first consumer to be created before binding"
	pvc_is later Pending
	user first later | put first
	up first 15
	in_ first sh -c 'echo precious >/data/file'
	pv=$(field pvc later .spec.volumeName)
	drop first
	wait_for 15 "the pod goes" gone pod first
	drop class
	wait_for 10 "the claim goes" gone pvc later
	wait_for 10 "released" sh -c "[ \"\$(kedge get pv $pv -o json | jq -r .status.phase)\" = Released ]"
	[ "$(cat "$W/state/volumes/$pv/file")" = precious ]
}

@test "a static volume is taken by the claim it fits, and its path needs the operator's row" {
	mkdir -p "$W/host/rw/static"
	{
		for p in "static $W/host/rw/static" "forbidden $W/secret"; do
			set -- $p
			cat <<-Y
				---
				apiVersion: v1
				kind: PersistentVolume
				metadata: {name: $1}
				spec: {capacity: {storage: 2Gi}, accessModes: [ReadWriteOnce], storageClassName: manual, hostPath: {path: $2}}
			Y
			claim "$1" "storageClassName: manual, volumeName: $1"
			user "$1" "$1"
		done
	} | put static
	up static
	in_ static touch /data/x
	[ -e "$W/host/rw/static/x" ]
	wait_for 10 "refused" was_told forbidden "in kedge.yaml under allow.hostPaths"
	drop static
	wait_for 10 "gone" gone pv static
	[ -e "$W/host/rw/static/x" ]
}

@test "a pod waits for its claim in the scheduler's words" {
	user waits nowhere | put waits
	wait_for 10 "told" was_told waits '0/1 nodes are available: persistentvolumeclaim "nowhere" not found.'
	{ claim nowhere 'storageClassName: ""'; user waits nowhere; } | put waits
	wait_for 10 "told" was_told waits "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
	wait_for 10 "told" was_told nowhere "no persistent volumes available for this claim and no storage class is set"
	drop waits
}

@test "fsGroup owns what is in a claim, all of it or only when its top is another's" {
	local pv
	{ claim own; user makes own; } | put own
	up makes
	in_ makes sh -c 'mkdir -p /data/a/b && echo x >/data/a/b/f && chmod 600 /data/a/b/f && ln -s /etc/passwd /data/l'
	pv=$(field pvc own .spec.volumeName)
	{ claim own; user always own 'securityContext: {runAsUser: 1000, fsGroup: 4321}'; } | put own
	up always 15
	[ "$(stat -c '%a %g' "$W/state/volumes/$pv" "$W/state/volumes/$pv/a/b" "$W/state/volumes/$pv/a/b/f" | xargs)" = \
		"2777 4321 2775 4321 660 4321" ]
	in_ always sh -c 'echo y >>/data/a/b/f'
	chgrp 7 "$W/state/volumes/$pv/a/b/f"
	{ claim own; user mismatch own 'securityContext: {fsGroup: 4321, fsGroupChangePolicy: OnRootMismatch}'; } | put own
	up mismatch 15
	[ "$(stat -c %g "$W/state/volumes/$pv/a/b/f")" = 7 ]
	drop own
}

@test "while a volume cannot be given to its group nothing runs without, however often it is tried" {
	{ claim odd; user before odd; } | put odd
	up before
	# deeper than it is walked
	in_ before sh -c 'cd /data; for i in $(seq 260); do mkdir d && cd d || exit 1; done'
	{ claim odd; user late odd 'securityContext: {runAsUser: 1000, fsGroup: 4321}'; } | put odd
	tried() { [ "$(field pod late '.status.containerStatuses[0].restartCount')" -ge 2 ]; }
	wait_for 40 "tried again" tried
	[ "$(field pod late '.status.containerStatuses[0].lastState.terminated.reason')" = StartError ]
	field pod late '.status.containerStatuses[0].lastState.terminated.message' | grep -F 'File name too long'
	drop odd
}

@test "fsGroup owns what is in a local volume, and a hostPath never" {
	local p
	mkdir -p "$W/host/rw/local/a" "$W/host/rw/path/a"
	chmod 755 "$W/host/rw/local" "$W/host/rw/local/a"
	{
		for p in local path; do
			cat <<-Y
				---
				apiVersion: v1
				kind: PersistentVolume
				metadata: {name: of-$p}
				spec:
				  capacity: {storage: 2Gi}
				  accessModes: [ReadWriteOnce]
				  storageClassName: manual
				  ${p/#path/hostPath}: {path: $W/host/rw/$p}
				  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: Exists}]}]}}
			Y
			claim "of-$p" "storageClassName: manual, volumeName: of-$p"
			user "of-$p" "of-$p" 'securityContext: {runAsUser: 1000, fsGroup: 4321}'
		done
	} | put local
	up of-local
	up of-path
	in_ of-local touch /data/x /data/a/y
	[ "$(stat -c '%a %g' "$W/host/rw/local" "$W/host/rw/local/a" | sort -u)" = "2775 4321" ]
	[ "$(stat -c '%u %g' "$W/host/rw/local/a/y")" = "1000 4321" ]
	run in_ of-path touch /data/x
	[ "$status" != 0 ]
	[ "$(stat -c '%g' "$W/host/rw/path/a")" = 0 ]
	drop local
}

@test "fsGroup lets its group read what is made of the API, whatever the mode says" {
	local g name
	{
		echo '{apiVersion: v1, kind: Secret, metadata: {name: shared}, stringData: {key: open}}'
		echo ---
		for g in ', fsGroup: 4321' ', fsGroup: 0' ''; do
			case $g in *1) name=-shared ;; *0) name=-rootly ;; *) name= ;; esac
			SPEC="securityContext: {runAsUser: 1000$g}
volumes: [{name: s, secret: {secretName: shared, defaultMode: 0400}},
  {name: p, projected: {defaultMode: 0600, sources: [{secret: {name: shared}}, {downwardAPI: {items: [{path: x, mode: 0400, fieldRef: {fieldPath: metadata.name}}, {path: none, mode: 0, fieldRef: {fieldPath: metadata.name}}]}}]}},
  {name: e, emptyDir: {}}]" \
				MORE='volumeMounts: [{name: s, mountPath: /s}, {name: p, mountPath: /p}, {name: e, mountPath: /e}]' pod "reads$name" box:1
		done
	} | put shared
	up reads-shared
	up reads
	[ "$(in_ reads-shared stat -Lc '%a %u %g' /s/key /p/key /p/x | xargs)" = "440 0 4321 640 0 4321 440 0 4321" ]
	says reads-shared /s/key open
	says reads-shared /p/x reads-shared
	[ "$(in_ reads stat -Lc '%a %u %g' /s/key /p/key | xargs)" = "400 0 0 600 0 0" ]
	# nobody's mode, and root's group, are values as any other
	[ "$(in_ reads stat -Lc '%a' /p/none)" = 0 ]
	up reads-rootly
	[ "$(in_ reads-rootly stat -Lc '%a %u %g' /s/key /p/none | xargs)" = "440 0 0 440 0 0" ]
	in_ reads-rootly id -G | grep -qw 0
	[ "$(in_ reads-rootly stat -c '%a %g' /e)" = "2777 0" ]
	run in_ reads cat /s/key
	[ "$status" != 0 ]
	drop shared
}

evicted() { is "$1" .status.reason Evicted; }

@test "nobody hides from a limit below folders in folders" {
	SPEC='volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}]' MORE='volumeMounts: [{name: v, mountPath: /v}]' \
		pod digger box:1 '["/bin/sh", "-c", "cd /v; for i in $(seq 260); do mkdir d && cd d || exit 1; done; head -c 8000000 /dev/zero >f; sleep 1000"]' | put digger
	wait_for 40 "it is evicted" evicted digger
	drop digger
}

@test "sizeLimit: memory ends at its size; a disk volume over it has its pod evicted, in the kubelet's words" {
	SPEC='volumes: [{name: m, emptyDir: {medium: Memory, sizeLimit: 1Mi}}, {name: cache, emptyDir: {sizeLimit: 1Mi}},
  {name: half, emptyDir: {medium: Memory}}]
restartPolicy: Never' MORE='resources: {limits: {memory: 64Mi}}
volumeMounts: [{name: m, mountPath: /m}, {name: cache, mountPath: /c}, {name: half, mountPath: /h}]' pod full box:1 | put full
	up full
	run in_ full sh -c 'head -c 2000000 /dev/zero >/m/x'
	[ "$status" != 0 ]
	[ "$(in_ full stat -c %s /m/x)" -le 1048576 ]
	[ "$(in_ full df -k /h | awk 'NR == 2 {print $2}')" = 65536 ] # what the pod may have
	in_ full sh -c 'head -c 500000 /dev/zero >/c/x'
	sleep 6
	run ! evicted full
	in_ full sh -c 'head -c 2000000 /dev/zero >/c/y; sync'
	wait_for 20 "evicted" evicted full
	is full .status.phase Failed
	[ "$(field pod full .status.message)" = 'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". ' ]
	was_told full 'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". '
	drop full
}

@test "a file below another one cannot be, and that is what is told" {
	{
		SPEC='volumes: [{name: v, configMap: {name: twice, items: [{key: one, path: a}, {key: two, path: a/b}]}}]' \
			MORE='volumeMounts: [{name: v, mountPath: /v}]' pod twice box:1
		printf '%s\n' 'apiVersion: v1' 'kind: ConfigMap' 'metadata: {name: twice}' 'data: {one: "1", two: "2"}'
	} | put twice
	wait_for 10 "it is told" was_told twice 'volumes/v: Not a directory'
	drop twice
}

@test "ephemeral-storage: what init containers may take is not added to what comes after them" {
	SPEC='restartPolicy: Never
volumes: [{name: v, emptyDir: {}}]
initContainers: [{name: first, image: "box:1", command: [/bin/true], resources: {limits: {ephemeral-storage: 2Mi}}}]' \
		MORE='volumeMounts: [{name: v, mountPath: /v}]
resources: {limits: {ephemeral-storage: 2Mi}}' pod initial box:1 | put initial
	up initial
	in_ initial sh -c 'head -c 3000000 /dev/zero >/v/x; sync'
	wait_for 20 "evicted" evicted initial
	[ "$(field pod initial .status.message)" = 'Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ' ]
	drop initial
}

@test "ephemeral-storage: layer, logs and scratch space together, and the ReplicaSet makes another pod" {
	cat <<-Y | put bomb
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: bomb}
		spec:
		  selector: {matchLabels: {app: bomb}}
		  template:
		    metadata: {labels: {app: bomb}}
		    spec:
		      terminationGracePeriodSeconds: 0
		      containers: [{name: main, image: "box:1", resources: {limits: {ephemeral-storage: 1Mi}}}]
	Y
	wait_for 10 "it runs" has_ready app=bomb 1
	local p
	p=$(kedge get pods -l app=bomb -o json | jq -r '.items[0].metadata.name')
	in_ "$p" sh -c 'head -c 3000000 /dev/zero >/tmp-file; sync'
	wait_for 20 "evicted" evicted "$p"
	[[ $(field pod "$p" .status.message) == 'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ' ]]
	wait_for 15 "its successor" has_ready app=bomb 1
	drop bomb
}

@test "ephemeral-storage: a container over its own limit is named, though the pod is within all of them" {
	{
		MORE='resources: {limits: {ephemeral-storage: 1Mi}}' pod parts box:1 | sed '$d'
		echo '  - {name: other, image: "box:1", resources: {limits: {ephemeral-storage: 100Mi}}}'
	} | put parts
	up parts
	kedge exec parts -c other -- sh -c 'head -c 3000000 /dev/zero >/tmp-file; sync'
	kedge exec parts -c main -- sh -c 'head -c 500000 /dev/zero >/tmp-file; sync'
	sleep 6
	run ! evicted parts
	kedge exec parts -c main -- sh -c 'head -c 3000000 /dev/zero >/tmp-file; sync'
	wait_for 20 "evicted" evicted parts
	[ "$(field pod parts .status.message)" = 'Container main exceeded its local ephemeral storage limit "1Mi". ' ]
	drop parts
}
