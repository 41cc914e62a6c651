#!/usr/bin/env bats
# What a host does wrong while kedge works: disks that fill, memory and processes that run
# out, clocks that jump, parts that are killed.  Pods serve on, the message says what
# happened, and with the cause gone all is as it should be.
load kit.bash
KILLS=yes
load registry.bash

setup() { kedge_dirs; }
teardown() {
	odd_stop
	# it fails at what is mounted there, after all else
	[ -z "${KEDGED:-}" ] || kedge_end 2>/dev/null || [ ! -e "$W/kedged.log" ]
	umount "$W/state" "$W/logs" 2>/dev/null || true
	rm -rf "$W"
}

logged() { grep -qE "$1" "$W/kedged.log"; }
again() { kedge_start --source "deploy=$W/deploy.git" "$@"; }
runs_since() { kedge get pods -l app=web -o json | jq -c '[.items[] | {uid: .metadata.uid, at: .status.containerStatuses[0].state.running.startedAt, n: .status.containerStatuses[0].restartCount}] | sort'; }
run_web() {
	image web:1 --env VERSION=v1
	deployment web web:1 1 >"$W/clone/web.yaml"
	service web >"$W/clone/svc.yaml"
	push_wait "first"
	ip=$(field svc web .spec.clusterIP)
	pods=$(runs_since)
}
serves() { curl -sfm 2 "http://$ip/" >/dev/null && [ "$pods" = "$(runs_since)" ]; }

# odd_registry BYTES [none|gzip|zstd]: one on loopback with an image of that many bytes that do not compress
odd_registry() {
	P=$(free_port)
	R=127.0.0.1:$P
	mkdir -p "$W/big"
	make -s -C "$ROOT/repo-example/images" O="$B/images"
	cp "$B/images/web/web" "$W/big/web"
	head -c "$1" /dev/urandom >"$W/big/file"
	tar -C "$W/big" -cf "$W/big.tar" .
	oci_image "$W/reg" '{"Entrypoint": ["/web"]}' "$(oci_layer "$W/reg" "$W/big.tar" "${2:-none}")" >/dev/null
	odd_start "$P" "$W/reg"
	printf 'images: {stallSeconds: 3}\nregistries:\n- {host: "%s", http: true}\n' "$R" >"$W/kedge.yaml"
}
ingest_is_empty() { [ -z "$(ls "$W/state/images/ingest")" ]; }
# The processes that unpack are forked from the hand and never exec; the downloader has a role.
unpackers() { for p in $(pgrep -x -P "$KEDGED" kedged); do grep -qz -- --role= "/proc/$p/cmdline" 2>/dev/null || echo "$p"; done; }
downloader() { pgrep -P "$KEDGED" -f -- --role=pull; }

# ---- disks ----

@test "a disk that fills while an image is pulled: the pull says so, pods serve on, and with room it is pulled" {
	odd_registry 20000000
	repo_make
	mkdir "$W/state"
	mount -t tmpfs -o size=16m tmpfs "$W/state"
	again
	run_web
	run kedge image pull "$R/x"
	[ "$status" != 0 ]
	matches 'No space left on device|the disk is full'
	wait_for 5 "nothing is left of it" ingest_is_empty
	serves
	mount -o remount,size=80m "$W/state"
	kedge image pull "$R/x"
	[ "$(stat -c %s "$W"/state/images/layers/sha256/*/file)" = 20000000 ]
	serves
}

@test "a disk that fills with logs stops no container; with room its lines come again" {
	repo_make
	mkdir "$W/logs"
	mount -t tmpfs -o size=256k tmpfs "$W/logs"
	again
	run_web
	box box:1
	pod talks box:1 '["/bin/sh", "-c", "i=0; while :; do i=$((i + 1)); echo line $i of many words that fill a disk; [ $((i % 100)) != 0 ] || sleep 0.02; done"]' | put talks
	up talks
	wait_for 20 "the disk is full" sh -c "[ \"\$(df --output=avail '$W/logs' | tail -1)\" -lt 8 ]"
	sleep 1
	st_is talks .restartCount 0
	in_ talks /bin/true
	serves
	mount -o remount,size=60m "$W/logs"
	wait_for 10 "it is logged again" sh -c 'a=$(kedge logs talks --tail=1); sleep 0.3; b=$(kedge logs talks --tail=1); [ -n "$b" ] && [ "$a" != "$b" ]'
	st_is talks .restartCount 0
	serves
}

# post N: a ConfigMap of 200 KB; says the code
post() {
	printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c%s"},"data":{"k":"%s"}}' "$1" "$(head -c 200000 /dev/zero | tr '\0' x)" >"$W/body"
	curl -sS -m 20 -o "$W/answer" -w '%{http_code}' --unix-socket "$W/run/api.sock" -H 'Content-Type: application/json' --data-binary "@$W/body" http://localhost/api/v1/namespaces/default/configmaps
}
names() { kedge get cm -o json | jq -r '.items[].metadata.name' | grep '^c[0-9]' | sort -V | tr '\n' ' '; }
names_are() { [ "$(names)" = "$1" ]; }

@test "a write that the full disk does not take is refused and leaves nothing; what was answered is there after a kill" {
	local n=0 code=201 there= brain
	repo_make
	mkdir "$W/state"
	mount -t tmpfs -o size=16m tmpfs "$W/state"
	again
	run_web
	dd if=/dev/zero of="$W/state/fill" bs=4k 2>/dev/null || true
	while [ "$code" = 201 ] && [ "$n" -lt 50 ]; do
		there=$(names)
		n=$((n + 1))
		code=$(post "$n")
	done
	[ "$code" = 500 ]
	grep -q "the disk is full; free some space" "$W/answer"
	names_are "$there"
	brain=$(brain_of)
	kill -9 "$brain"
	wait_for 20 "another brain" sh -c "pgrep -P $KEDGED -f -- --role=brain | grep -vqx $brain"
	wait_for 20 "it has what was answered" names_are "$there"
	serves
	rm "$W/state/fill"
	[ "$(post 99)" = 201 ]
	names_are "${there}c99 "
}

says_full() { kedge status | grep -q 'the disk is full.*not known any more when kedged starts again'; }
says_nothing() { ! says_full; }

@test "what the full disk does not take is said by status as long as it does not" {
	local pid
	repo_make
	mkdir "$W/state"
	mount -t tmpfs -o size=16m tmpfs "$W/state"
	again
	run_web
	says_nothing
	dd if=/dev/zero of="$W/state/fill" bs=4k 2>/dev/null || true
	# what becomes of pods is written as well
	for pid in $(pgrep -x web); do
		if grep -q "${W##*/}" "/proc/$pid/cgroup"; then kill -9 "$pid"; fi
	done
	wait_for 20 "status says it" says_full
	rm "$W/state/fill"
	wait_for 20 "there is room" says_nothing
}

# disk 0|1|2: what kedged_on_disk finds: a good one, one that takes forever, one that refuses
disk() {
	perl -e 'open(F, "+>", $ARGV[0] . ".new") or die; syswrite F, pack("q", $ARGV[1])' "$W/disk" "$1"
	# in place, for it is mapped
	if [ -e "$W/disk" ]; then dd if="$W/disk.new" of="$W/disk" conv=notrunc status=none; else mv "$W/disk.new" "$W/disk"; fi
	chmod 644 "$W/disk"
}
kedged_on_disk() {
	[ "$(basename "$B")" != build-san ] || export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"
	KEDGE_TEST_DISK=$W/disk LD_PRELOAD=$B/images/disk.so again
}
marked() { [ -e "$W/state/images/unsynced" ]; }
unmarked() { ! marked; }
has() { kedge image ls | grep -q "$1"; }

@test "an image is there before the disk has it; a kedged that was killed meanwhile brings it there when it starts again" {
	odd_registry 100000
	repo_make
	disk 1
	kedged_on_disk
	pod w "$R/x:latest" >"$W/clone/w.yaml"
	push "a pod"
	wait_for 15 "it runs" sh -c '[ "$(kedge get pod w -o json | jq -r .status.phase)" = Running ]'
	marked
	kill -9 "$KEDGED"
	wait_for 10 "kedged ends" not_running "$KEDGED"
	kedged_on_disk
	has "$R/x"
	marked
	disk 0
	wait_for 10 "the disk has it" unmarked
	st_is w .restartCount 0
	has "$R/x"
}

@test "what the disk refuses is dropped, and kedged says so; pods on it run on, and with a good disk it is pulled again" {
	odd_registry 100000
	repo_make
	disk 1
	kedged_on_disk
	pod w "$R/x:latest" >"$W/clone/w.yaml"
	push "a pod"
	wait_for 15 "it runs" sh -c '[ "$(kedge get pod w -o json | jq -r .status.phase)" = Running ]'
	has "$R/x"
	disk 2
	wait_for 10 "kedged says so" logged "$R/x:latest: dropped, for what is on the disk cannot be trusted; .*the disk under .* did not take what was written: Input/output error"
	run ! has "$R/x"
	[ -z "$(ls "$W/state/images/layers/sha256")" ]
	wait_for 5 "nothing is under way" unmarked
	st_is w .restartCount 0
	disk 0
	kedge image pull "$R/x"
	has "$R/x"
	wait_for 10 "the disk has it" unmarked
	st_is w .restartCount 0
}

@test "the host goes down before the disk has all: images that are damaged are dropped and pulled again, whole ones kept" {
	local layer
	odd_registry 100000
	repo_make
	disk 1
	kedged_on_disk
	kedge image pull "$R/x"
	layer=$(echo "$W"/state/images/layers/sha256/*)
	box box:1
	kedge_stop
	marked
	# half a file, and a boot that is over
	touch -r "$layer/file" "$W/time"
	dd if=/dev/zero of="$layer/file" bs=4096 count=10 seek=10 conv=notrunc status=none
	touch -r "$W/time" "$layer/file"
	echo 00000000-0000-0000-0000-000000000000 >"$W/state/images/unsynced"
	disk 0
	kedged_on_disk
	logged "$R/x:latest: dropped, for not all of it was on the disk when the host went down"
	has box:1
	run ! has "$R/x"
	unmarked
	kedge image pull "$R/x"
	cmp "$W/big/file" "$layer/file"
	wait_for 10 "the disk has it" unmarked
}

# ---- who pulls ----

@test "who unpacks or downloads is killed at any moment of a pull: it is told, nothing is left, and the next pull is whole" {
	odd_registry 4000000
	repo_make
	again
	run_web
	RANDOM=${KEDGE_SEED:-7}
	for i in $(seq "${KEDGE_KILLS:-12}"); do
		behave "$W/reg" slow=8000000
		kedge image pull "$R/x" >"$W/out" 2>&1 &
		pull=$!
		wait_for 5 "it is begun" downloader
		sleep "0.$((RANDOM % 50))"
		if [ $((i % 3)) = 0 ]; then victim=$(downloader || true); else victim=$(unpackers | sed -n "$((RANDOM % 4 + 1))p"); fi
		[ -z "$victim" ] || kill -9 "$victim" 2>/dev/null || victim=
		rc=0
		wait $pull || rc=$?
		# what was over already, or had nothing more to do, is no failure
		[ $rc = 0 ] || [ -n "$victim" ]
		[ $rc = 0 ] || grep -q 'failed to pull and unpack image' "$W/out"
		[ $rc = 0 ] || grep -qE 'signal 9|download ended|downloader|was killed|Killed' "$W/out" || { cat "$W/out"; false; }
		wait_for 5 "nothing is left of it" ingest_is_empty
		kedge image rm "$R/x" 2>/dev/null || true
	done
	[ -z "$(unpackers)$(downloader)" ]
	behave "$W/reg"
	kedge image pull "$R/x"
	cmp "$W/big/file" "$W"/state/images/layers/sha256/*/file
	serves
}

@test "who unpacks runs out of memory: it is told, nothing is left, and the hand and its pods live" {
	case "$B" in *-san) skip "a sanitizer takes all of the address space" ;; esac
	odd_registry 12000000 zstd # whose window takes more than it has at hand
	repo_make
	again
	run_web
	behave "$W/reg" once-429=1 retry-after=5 # until then they wait
	kedge image pull "$R/x" >"$W/out" 2>&1 &
	pull=$!
	wait_for 5 "it waits for the registry" grep -q blobs "$W/reg/requests"
	[ "$(unpackers | wc -l)" = 4 ]
	for p in $(unpackers); do prlimit --pid "$p" --as=1000:1000; done
	! wait $pull || false
	cat "$W/out"
	grep -q 'failed to pull and unpack image' "$W/out"
	grep -qiE 'memory|signal' "$W/out"
	wait_for 5 "nothing is left of it" ingest_is_empty
	behave "$W/reg"
	kedge image pull "$R/x"
	serves
}

# ---- processes ----

@test "no process may be made any more: it is told, what runs serves on, and later the pod comes" {
	repo_make
	again
	run_web
	box box:1
	pids=$(find /sys/fs/cgroup -maxdepth 1 -type d \( -name pids -o -name 'pids,*' \) | head -1)
	if [ -z "$pids" ]; then
		grep -qw pids /sys/fs/cgroup/cgroup.controllers || skip "no pids controller here"
		pids=/sys/fs/cgroup
	fi
	few=$pids/${KEDGE_CGROUP}few
	mkdir "$few"
	[ -e "$few/pids.max" ] || skip "no pids controller for such a group"
	back=$pids$(grep -E '^[0-9]+:(.*,)?pids(,.*)?:|^0::' "/proc/$KEDGED/cgroup" | head -1 | cut -d: -f3)
	echo "$KEDGED" >"$few/cgroup.procs"
	echo 1 >"$few/pids.max"
	pod late box:1 | put late
	wait_for 10 "it is told" sh -c "kedge get events -o json | jq -r '.items[].message' | grep -q 'Resource temporarily unavailable' || grep -q 'Resource temporarily unavailable' '$W/kedged.log'"
	serves
	kedge get nodes
	echo max >"$few/pids.max"
	up late 30
	serves
	echo "$KEDGED" >"$back/cgroup.procs"
	wait_for 5 "the group is empty" rmdir "$few"
}

@test "kedge-init is killed at any moment: the pod is made anew, and as many of everything are left" {
	repo_make
	again
	box box:1
	deployment web box:1 2 | sed '/readinessProbe/d; /ports:/d' >"$W/clone/web.yaml"
	push_wait "first"
	count() {
		echo "inits $(pgrep -xc kedge-init) groups $(find /sys/fs/cgroup -path "*/$KEDGE_CGROUP*" -type d | wc -l)" \
			"run $(find "$W/run/pods" -mindepth 1 -maxdepth 1 | wc -l) state $(find "$W/state/pods" -mindepth 1 -maxdepth 1 | wc -l)" \
			"mounts $(grep -c "$W" "/proc/$KEDGED/mounts") descriptors $(ls "/proc/$KEDGED/fd" | wc -l)" \
			"links $(ip -o link | grep -c kdg)"
	}
	wait_for 5 "made ahead" ahead_are 4
	before=$(count)
	RANDOM=${KEDGE_SEED:-7}
	for i in $(seq "${KEDGE_KILLS:-30}"); do
		victim=$(pgrep -x kedge-init | sed -n "$((RANDOM % 2 + 1))p")
		[ -z "$victim" ] || kill -9 "$victim" || true
		sleep "0.0$((RANDOM % 10))"
	done
	wait_for 20 "both run" sh -c '[ "$(kedge get pods --no-headers | grep -c "1/1 *Running")" = 2 ]'
	same() { [ "$before" = "$(count)" ]; }
	wait_for 20 "all is as before" same || { echo "$before"; count; false; }
	logged 'its kedge-init died, and all of the pod with it'
}

# ---- clocks ----

@test "the clock jumps, by a year and back: no pod is restarted, pods come and go, images are pulled" {
	odd_registry 100000
	repo_make
	clocked again
	run_web
	box box:1
	for by in 31536000 -31536000 0 -7200 0; do
		# a wait that began before the jump: the image comes a little later
		behave "$W/reg" once-404=1000
		pod "w$by" "$R/x:latest" >"$W/clone/w.yaml"
		sed -i "s/name: w$by/name: w/; s/app: w$by/app: w/" "$W/clone/w.yaml"
		push "an image that does not come"
		wait_for 10 "it waits" sh -c 'kedge get pod w | grep -qE "ImagePull"'
		jump "$by"
		: >"$W/reg/requests"
		kedge sync >/dev/null
		sleep 1.5
		[ "$(grep -c manifests/latest "$W/reg/requests")" -le 2 ] # nor is it asked for without a pause
		behave "$W/reg"
		[ "$by" != 31536000 ] || kedge get nodes
		wait_for 45 "it is pulled" sh -c '[ "$(kedge get pod w -o json | jq -r .status.phase)" = Running ]'
		serves
		deployment late box:1 1 | sed '/readinessProbe/d; /ports:/d' >"$W/clone/late.yaml"
		push "one more"
		wait_for 20 "it runs" sh -c '[ "$(kedge get pods -l app=late --no-headers | grep -c "1/1 *Running")" = 1 ]'
		rm "$W/clone/w.yaml" "$W/clone/late.yaml"
		push "and away"$'\n\nKedge-Prune: yes'
		wait_for 20 "they are gone" pods_are 1
		kedge image rm --force "$R/x"
		serves
	done
}
