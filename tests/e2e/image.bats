#!/usr/bin/env bats
# Images: brought in by every door, stacked, kept and removed; bad ones refused.
load lib.bash
KILLS=yes

setup_file() {
	load lib.bash
	kedge_dirs
	mkdir "$W/manifests"
	# so that the source is never empty: then nothing would be pruned
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: keep}\n' >"$W/manifests/keep.yaml"
	kedge_start --source "$W/manifests"
	make -s -C "$ROOT/repo-example/images" O="$B/images"
	tree_make
	layout_make "$W/oci" "$(go_arch)"
	echo "$KEDGED" >"$W/pid"
}
setup() { KEDGED=$(cat "$W/pid"); }
teardown_file() {
	load lib.bash
	KEDGED=$(cat "$W/pid")
	kedge_end
}
again() {
	kedge_start --source "$W/manifests" "$@"
	echo "$KEDGED" >"$W/pid"
}

go_arch() { case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac; }

# $W/tree: a root with the static server and what an image may have
tree_make() {
	mkdir -p "$W/tree/etc" "$W/tree/data"
	cp -r "$B/images/web/." "$W/tree/"
	echo lower >"$W/tree/data/gone"
	echo lower >"$W/tree/data/kept"
	mkdir "$W/tree/old"
	echo lower >"$W/tree/old/file"
	ln "$W/tree/data/kept" "$W/tree/etc/same"
	ln -s /data/kept "$W/tree/etc/link"
}

# blob FILE MEDIA: moves FILE among the blobs of $L and prints its descriptor
blob() {
	local d
	d=$(sha256sum <"$1" | cut -d' ' -f1)
	printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s}' \
		"$2" "$d" "$(stat -c %s "$1")"
	mv "$1" "$L/blobs/sha256/$d"
}

# layout_make DIR ARCH: two layers; the second removes, replaces and adds
layout_make() {
	local t l1 l2 d1 d2 c m
	L=$1 t=$(mktemp -d)
	mkdir -p "$L/blobs/sha256" "$t/data" "$t/old"
	tar -C "$W/tree" -cf "$t/1.tar" .
	: >"$t/data/.wh.gone"
	echo upper >"$t/data/kept"
	: >"$t/old/.wh..wh..opq"
	echo upper >"$t/old/new"
	tar -C "$t" -cf "$t/2.tar" data old
	d1=$(sha256sum <"$t/1.tar" | cut -d' ' -f1) d2=$(sha256sum <"$t/2.tar" | cut -d' ' -f1)
	gzip -n "$t/1.tar" "$t/2.tar"
	l1=$(blob "$t/1.tar.gz" layer.v1.tar+gzip) l2=$(blob "$t/2.tar.gz" layer.v1.tar+gzip)
	printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/web"],"Env":["A=1"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}' \
		"$2" "$d1" "$d2" >"$t/c"
	c=$(blob "$t/c" config.v1+json)
	printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s,%s]}' \
		"$c" "$l1" "$l2" >"$t/m"
	m=$(blob "$t/m" manifest.v1+json)
	echo '{"imageLayoutVersion":"1.0.0"}' >"$L/oci-layout"
	printf '{"schemaVersion":2,"manifests":[%s]}' "$m" >"$L/index.json"
	rm -rf "$t"
}

# pod NAME IMAGE: and wait until it runs
pod() {
	cat >"$W/manifests/$1.yaml" <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: $1}
		spec:
		  terminationGracePeriodSeconds: 1
		  containers: [{name: web, image: "$2"}]
	Y
	[ "${3:-}" = nowait ] || wait_for 15 "$1 runs" runs "$1"
}
runs() { [ "$(field pod "$1" .status.phase)" = Running ]; }
waits_for() { [ "$(field pod "$1" '.status.containerStatuses[0].state.waiting.reason')" = "$2" ]; }
pod_end() {
	rm -f "$W/manifests/$1.yaml"
	wait_for 15 "$1 is gone" sh -c "! kedge get pod $1"
}
root_of() { # a path as the pod sees it
	local pid
	pid=$(pgrep -n -x web) && echo "/proc/$pid/root"
}
stored() { ls "$W/state/images/layers/sha256" "$W/state/images/names" "$W/state/images/configs/sha256"; }
swept() { [ -z "$(ls "$W/state/images/ingest")" ]; }
# refused MESSAGE CMD...: fails, says so, and leaves nothing behind
refused() {
	local says=$1 before
	before=$(stored)
	shift
	run "$@"
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"$says"* ]]
	[ "$before" = "$(stored)" ]
	wait_for 5 "nothing is left" swept
}

@test "a folder becomes an image, and the same folder the same image" {
	kedge image import "$W/tree" app:1 --entrypoint '["/web"]'
	id=$(kedge image ls -o json | jq -r '.images[] | select(.name == "docker.io/library/app:1").id')
	cat "$W/tree/data/kept"
	kedge image import "$W/tree" app:again --entrypoint '["/web"]'
	[ "$id" = "$(kedge image ls -o json | jq -r '.images[] | select(.name == "docker.io/library/app:again").id')" ]
	[ "$(ls "$W/state/images/layers/sha256" | wc -l)" = 1 ]
	kedge image rm app:again
	pod one app:1
	[ "$(cat "$(root_of)/etc/same")" = lower ]
	[ "$(readlink "$(root_of)/etc/link")" = /data/kept ]
	# what is pruned frees what nobody else has, once
	mkdir "$W/solo"
	head -c 3000000 /dev/urandom >"$W/solo/noise"
	kedge image import "$W/tree" app:more --env A=b
	kedge image import "$W/tree" app:again
	[ "$(kedge image prune --all | tail -1)" = "removed 2 images, 0B" ]
	kedge image import "$W/solo" solo:1
	kedge image import "$W/solo" solo:2 --env A=b
	kedge image import "$W/tree" app:again
	[ "$(kedge image prune --all | tail -1)" = "removed 3 images, 3.0MB" ]
	pod_end one
}

@test "headers of GNU's and POSIX' tar: sparse files, long names, large ids, hard links, setuid" {
	local t="$W/formats" long f have layer
	long=$(printf 'part-of-a-long-path-%.0s' 1 2 3 4)/$(printf 'name-%.0s' $(seq 20))
	mkdir -p "$t/$(dirname "$long")"
	echo "long name" >"$t/$long"
	truncate -s 8M "$t/hole" # data in the midst, and a hole at the end
	echo data | dd of="$t/hole" bs=1M seek=3 conv=notrunc status=none
	truncate -s 3M "$t/empty"
	ln "$t/hole" "$t/same"
	echo run >"$t/su"
	chmod 4755 "$t/su"
	ln -s hole "$t/link"
	mkdir "$t/sub"
	chmod 1775 "$t" "$t/sub"
	for f in gnu oldgnu posix,0.0 posix,0.1 posix,1.0 ustar; do
		tar -C "$t" --format="${f%,*}" $([ "$f" = ustar ] || echo -S) $([ "$f" = "${f%,*}" ] || echo "--sparse-version=${f#*,}") \
			--owner=:60001 --group=:50001 -cf "$W/formats.tar" .
		have=$(ls "$W/state/images/layers/sha256")
		kedge image import "$W/formats.tar" "formats-${f%,*}:1" --entrypoint '["/su"]'
		layer=$W/state/images/layers/sha256/$(ls "$W/state/images/layers/sha256" | grep -vxF "$have")
		[ -d "$layer/" ] || { echo "$f: no layer of its own"; false; }
		diff -r --no-dereference "$t" "$layer"
		[ "$(stat -c '%a %u %g' "$layer/su")" = '4755 60001 50001' ]
		[ "$(stat -c '%h %i' "$layer/hole")" = "2 $(stat -c %i "$layer/same")" ]
		[ "$f" = ustar ] || [ "$(du -k "$layer/hole" "$layer/empty" | awk '{n += $1} END {print n}')" -lt 1024 ]
		rm -rf "$W/kept"
		mkdir "$W/kept"
		cp -a --sparse=always "$layer/." "$W/kept"
		kedge image save "formats-${f%,*}:1" "$W/saved.tar"
		kedge image rm "formats-${f%,*}:1"
		[ "$f" = ustar ] || [ "$(stat -c %s "$W/saved.tar")" -lt 1048576 ] # holes are not written out
		kedge image load "$W/saved.tar" back:1
		layer=$W/state/images/layers/sha256/$(ls "$W/state/images/layers/sha256" | grep -vxF "$have")
		diff -r --no-dereference "$W/kept" "$layer"
		[ "$f" = ustar ] || [ "$(du -k "$layer/hole" "$layer/empty" | awk '{n += $1} END {print n}')" -lt 1024 ]
		[ "$(stat -c '%a %u %g %h' "$layer/su" "$layer/hole" | xargs)" = '4755 60001 50001 1 644 60001 50001 2' ]
		[ "$(stat -c '%a %u %g' "$layer" "$layer/sub" | xargs)" = '1775 60001 50001 1775 60001 50001' ]
		kedge image rm back:1
	done
}

@test "a sparse file counts by what it holds, and by what it claims to be" {
	local t="$W/claims"
	mkdir "$t"
	truncate -s 40G "$t/log" # as /var/log/lastlog is of a large uid
	echo end >>"$t/log"
	tar -C "$t" --format=posix -S -cf "$W/claims.tar" log
	refused 'log: its size is 42949672964 bytes, the limit' kedge image import "$W/claims.tar" claims:1
	truncate -s 3G "$t/log"
	truncate -s 3G "$t/other"
	echo end >>"$t/other"
	tar -C "$t" --format=gnu -S -cf "$W/claims.tar" log other
	kedge image import "$W/claims.tar" claims:1
	[ "$(kedge image ls -o json | jq '.images[] | select(.name == "docker.io/library/claims:1").size < 1048576')" = true ]
	[ "$(stat -c %s "$W"/state/images/layers/sha256/*/other)" = 3221225476 ]
	[ "$(tail -c 4 "$W"/state/images/layers/sha256/*/other)" = end ]
	kedge image verify
	kedge image rm claims:1
}

@test "file capabilities and user attributes of a layer are kept, and others are not" {
	local t="$W/attrs" layer have
	mkdir -p "$t"
	cp -r "$B/images/box/." "$t/"
	have=$(ls "$W/state/images/layers/sha256")
	python3 - "$t" <<-'P'
		import os, sys
		t = sys.argv[1]
		os.setxattr(t + "/bin/busybox", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
		os.setxattr(t + "/bin/talk", "user.note", b"kept")
		os.setxattr(t + "/bin", "user.note", b"kept")
		os.setxattr(t + "/bin/talk", "trusted.overlay.metacopy", b"")
	P
	tar -C "$t" --format=posix --xattrs --xattrs-include='*' -cf "$W/attrs.tar" .
	kedge image import "$W/attrs.tar" attrs:1 --cmd '["/bin/sh", "-c", "grep CapEff /proc/self/status >/tmp/x; sleep 1000"]' --user 1000:1000
	kept() {
		layer=$W/state/images/layers/sha256/$(ls "$W/state/images/layers/sha256" | grep -vxF "$have")
		[ "$(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "security.capability").hex())' "$layer/bin/busybox")" = 0100000200200000000000000000000000000000 ] &&
			[ "$(python3 -c 'import os, sys; print(os.listxattr(sys.argv[1]))' "$layer/bin/talk")" = "['user.note']" ] &&
			[ "$(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.note"))' "$layer/bin")" = "b'kept'" ]
	}
	kept
	kedge image save attrs:1 "$W/attrs.tar"
	cp "$W/attrs.tar" "$W/before.tar"
	# who mistypes the name keeps the archive that was there, and what is no file stays one
	refused 'nosuch:1' kedge image save nosuch:1 "$W/attrs.tar"
	cmp "$W/before.tar" "$W/attrs.tar"
	mkfifo "$W/pipe"
	cat "$W/pipe" >"$W/piped.tar" 3>&- &
	kedge image save attrs:1 "$W/pipe"
	wait $!
	cmp "$W/before.tar" "$W/piped.tar"
	[ -p "$W/pipe" ]
	# behind a link, too
	ln -s attrs.tar "$W/link.tar"
	head -c 9000000 /dev/zero >>"$W/attrs.tar"
	kedge image save attrs:1 "$W/link.tar"
	[ -L "$W/link.tar" ]
	cmp "$W/before.tar" "$W/attrs.tar"
	[ ! -e "$W/attrs.tar.part" ]
	kedge image rm attrs:1
	kedge image load "$W/attrs.tar" attrs:1
	kept
	# from pipe to pipe, too; and an archive of images is not the files of one
	[ "$(kedge image save attrs:1 - | kedge image load - piped:1)" = "loaded docker.io/library/piped:1" ]
	[ "$(tar -C "$t" -cf - bin | kedge image import - piped:2)" = "imported piped:2" ]
	kedge image rm piped:1 piped:2
	refused 'is an archive of images, not the files of one: kedge image load' kedge image import "$W/attrs.tar" bad:1
	mkdir "$W/site"
	touch "$W/site/manifest.json" "$W/site/index.html"
	tar -C "$W/site" -cf "$W/site.tar" .
	kedge image import "$W/site.tar" site:1
	kedge image rm site:1
	# who is not root gets the capability by running the file, where privileges may grow
	cat >"$W/manifests/attrs.yaml" <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: attrs}
		spec:
		  terminationGracePeriodSeconds: 0
		  containers:
		  - {name: grows, image: "attrs:1", securityContext: {allowPrivilegeEscalation: true}}
		  - {name: not, image: "attrs:1"}
	Y
	wait_for 15 "it runs" runs attrs
	[ "$(kedge exec attrs -c grows -- /bin/busybox grep CapEff /proc/self/status | awk '{print $2}')" = 0000000000002000 ]
	[ "$(kedge exec attrs -c not -- /bin/busybox grep CapEff /proc/self/status | awk '{print $2}')" = 0000000000000000 ]
	pod_end attrs
	kedge image rm attrs:1 --force
}

@test "tars come in plain, gzip and zstd" {
	tar -C "$W/tree" -cf "$W/t.tar" .
	gzip -k "$W/t.tar"
	zstd -q "$W/t.tar" 2>/dev/null || bsdtar --zstd -cf "$W/t.tar.zst" @"$W/t.tar"
	for f in t.tar t.tar.gz t.tar.zst; do
		kedge image import "$W/$f" "tar:${f##*.}" --entrypoint '["/web"]'
	done
	[ "$(kedge image ls -o json | jq -r '[.images[] | select(.name | test("library/tar:")).id] | unique | length')" = 1 ]
	kedge image rm tar:tar tar:gz tar:zst
}

@test "layers are stacked: removed, replaced, opaque" {
	kedge image load "$W/oci" stacked:1
	pod stacked stacked:1
	r=$(root_of)
	[ ! -e "$r/data/gone" ]
	[ "$(cat "$r/data/kept")" = upper ]
	[ "$(cat "$r/etc/same")" = lower ]
	[ "$(ls "$r/old")" = new ]
	pod_end stacked
}

@test "what skopeo writes runs: docker-archive and OCI archive" {
	command -v skopeo >/dev/null || skip "no skopeo"
	S="skopeo --insecure-policy copy -q oci:$W/oci"
	$S "docker-archive:$W/d.tar:example.org/team/app:1" >/dev/null
	$S "oci-archive:$W/o.tar:example.org/team/app:2" >/dev/null
	$S --dest-compress-format zstd "oci:$W/z:z" >/dev/null
	kedge image load "$W/d.tar" | grep -qx 'loaded example.org/team/app:1'
	gzip -k "$W/o.tar"
	kedge image load "$W/o.tar.gz" | grep -qx 'loaded example.org/team/app:2'
	kedge image load "$W/z" zstd:1
	pod docker example.org/team/app:1
	[ "$(ls "$(root_of)/old")" = new ]
	pod_end docker
	kedge image rm --force example.org/team/app:1 example.org/team/app:2 zstd:1
}

@test "a pod whose image is missing says so, and starts when it comes" {
	pod late late:1 nowait
	wait_for 10 "it waits" sh -c 'kedge get pod late | grep -qE "ErrImagePull|ImagePullBackOff"'
	field pod late '.status.containerStatuses[0].state.waiting.message' | grep -q 'late:1'
	kedge image import "$W/tree" late:1 --entrypoint '["/web"]'
	wait_for 30 "it runs" runs late
	pod_end late
	kedge image rm late:1 --force
}

@test "an image under a running pod may lose its name, and goes with the pod" {
	echo own >"$W/tree/own"
	kedge image import "$W/tree" mine:1 --entrypoint '["/web"]'
	rm "$W/tree/own"
	pod mine mine:1
	before=$(ls "$W/state/images/layers/sha256" | wc -l)
	run kedge image rm mine:1
	[ "$status" -ne 0 ]
	[[ $output == *'unable to remove image "mine:1" (must force: --force): used by pod default/mine, revision '* ]]
	[[ $output == *'; change or delete what names it first, in Git where it is Git'"'"'s; a revision keeps it for a rollback until 10 newer ones are there (images.keepRevisions in kedge.yaml)' ]]
	kedge image ls | grep -q '^mine:1 '
	# over the API a flag is as Kubernetes reads one
	remove() { curl -sS --max-time 10 --unix-socket "$KEDGE_SOCKET" -o "$W/answer" -w '%{http_code}' -X DELETE "http://kedge/kedge/images?name=mine:1&force=$1"; }
	[ "$(remove False)" = 409 ]
	[ "$(remove 0)" = 409 ]
	kedge image ls | grep -q '^mine:1 '
	[ "$(remove 1)" = 200 ]
	[ "$(ls "$W/state/images/layers/sha256" | wc -l)" = "$before" ]
	[ "$(cat "$(root_of)/own")" = own ]
	kill -9 "$(pgrep -n -x web)"
	wait_for 20 "it runs again" sh -c "[ \"\$(kedge get pod mine -o json | jq '.status.containerStatuses[0].restartCount')\" -ge 1 ] && kedge get pod mine -o json | jq -e '.status.containerStatuses[0].state.running'"
	pod_end mine
	wait_for 5 "its layer goes" sh -c "[ \$(ls '$W/state/images/layers/sha256' | wc -l) -lt $before ]"
}

@test "hostile tars are refused by the name of their entry" {
	python3 - "$W" <<-'P'
		import io, sys, tarfile
		w = sys.argv[1]
		def make(name, *members):
		    t = tarfile.open(f"{w}/{name}.tar", "w")
		    for path, kind, target in members:
		        i = tarfile.TarInfo(path)
		        i.type, i.linkname = kind, target
		        t.addfile(i, io.BytesIO(b""))
		    t.close()
		R, S, L = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
		make("up", ("../../escaped", R, ""))
		make("abs", ("/escaped", R, ""))
		make("through", ("out", S, "/"), ("out/escaped", R, ""))
		make("hard", ("h", L, "../../../etc/passwd"))
		make("dev", ("dev", S, "/"))
		make("white", ("out", S, "/"), ("out/.wh.etc", R, ""))
	P
	refused '../../escaped' kedge image import "$W/up.tar" bad:1
	refused '/escaped: is an absolute path' kedge image import "$W/abs.tar" bad:1
	refused 'out/escaped: goes through out, which is a symbolic link' kedge image import "$W/through.tar" bad:1
	refused 'the hard link' kedge image import "$W/hard.tar" bad:1
	refused 'dev: must be a directory, not a symbolic link' kedge image import "$W/dev.tar" bad:1
	refused 'out/.wh.etc: goes through out' kedge image import "$W/white.tar" bad:1
	[ ! -e /escaped ] && [ ! -e "$W/escaped" ] && [ -e /etc ]
}

@test "bombs, damaged archives and what is no archive are refused" {
	head -c 200M /dev/zero | gzip -9 >"$W/bomb.gz"
	(mkdir "$W/z0" && truncate -s 200M "$W/z0/zeros" && tar -C "$W/z0" -cf - zeros | gzip -9 >"$W/bomb.tgz")
	refused 'bomb' kedge image import "$W/bomb.tgz" bad:1
	refused 'bomb' kedge image import "$W/bomb.gz" bad:1
	opaque() { # DIRECTORIES TIMES
		python3 - "$@" <<-'P'
			import io, sys, tarfile
			with tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz") as t:
			    for i in range(int(sys.argv[1])):
			        for k in range(int(sys.argv[2])):
			            t.addfile(tarfile.TarInfo("d%d/.wh..wh..opq" % i))
		P
	}
	opaque 10001 1 >"$W/opaque.tgz"
	refused 'more than 10000 directories of the layer hide those of the layers below' kedge image import "$W/opaque.tgz" bad:1
	opaque 1 20000 >"$W/opaque.tgz" # said again and again: it is one
	kedge image import "$W/opaque.tgz" opaque:1
	kedge image rm opaque:1
	refused 'tar' kedge image import "$ROOT/Makefile" bad:1
	head -c 100000 "$W/t.tar.gz" >"$W/short.tgz"
	refused 'the tree' kedge image import "$W/short.tgz" bad:1
	cp -r "$W/oci" "$W/damaged"
	f=$(find "$W/damaged/blobs" -size +100k | head -1)
	printf 'x' | dd of="$f" bs=1 seek=5000 conv=notrunc status=none
	refused 'is damaged' kedge image load "$W/damaged" bad:1
	layout_make "$W/sparc" sparc
	refused 'the image is for sparc' kedge image load "$W/sparc" bad:1
	refused 'neither a docker-archive' kedge image load "$W/t.tar" bad:1
	refused 'gives its image no name' kedge image load "$W/oci"
	refused 'such as nginx:1.25' kedge image import "$W/t.tar" 'Bad:1'
	refused 'is not here' kedge image rm nothing:1
}

@test "a full disk is said, and the next image that fits is taken" {
	mkdir "$W/small"
	mount -t tmpfs -o size=8m tmpfs "$W/small"
	# one bridge and one control group are one state folder's
	kedge down --yes --keep
	wait_for 10 "it is down" not_running "$KEDGED"
	again --state "$W/small"
	head -c 16M /dev/urandom >"$W/z0/big"
	rm "$W/z0/zeros"
	run kedge image import "$W/z0" big:1
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"No space left on device"* ]]
	wait_for 5 "it is cleaned up" sh -c "[ -z \"\$(ls '$W/small/images/ingest')\" ]"
	kedge image import "$W/tree" fits:1 --entrypoint '["/web"]'
	kedge down --yes --keep
	wait_for 10 "it is down" not_running "$KEDGED"
	umount "$W/small"
	again
}

@test "killed while it unpacks, kedged leaves the old image and no rest" {
	kedge image import "$W/tree" steady:1 --entrypoint '["/web"]'
	before=$(stored)
	head -c 100M /dev/urandom >"$W/z0/big"
	for pause in 0.02 0.1 0.3; do
		kedge image import "$W/z0" steady:1 >/dev/null 2>&1 &
		sleep "$pause"
		b=$(pgrep -P "$KEDGED" -f -- --role=brain)
		kill -9 "$KEDGED" "$b"
		wait "$KEDGED" 2>/dev/null || true
		wait_for 5 "it is gone" not_running "$KEDGED"
		again
		wait_for 5 "nothing is left" swept
		[ "$before" = "$(stored)" ]
	done
	kedge image ls | grep -q 'steady:1'
}
