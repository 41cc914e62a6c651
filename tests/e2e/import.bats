#!/usr/bin/env bats
# An archive that stops half-way is no image.
load lib.bash

setup_file() {
	load lib.bash
	kedge_dirs
	kedge_start
	export KEDGED
	make -s -C "$ROOT/repo-example/images" O="$B/images"
}
teardown_file() {
	load lib.bash
	kedge_end
}

@test "a sender that leaves at a block boundary leaves no image" {
	mkdir "$W/root"
	for i in 1 2 3 4; do head -c 300000 /dev/urandom >"$W/root/f$i"; done
	tar -C "$W/root" -cf "$W/root.tar" .
	for n in 0 1 600 1200; do
		# says it has more than it sends, then leaves
		size=$(stat -c %s "$W/root.tar")
		{
			printf 'POST /kedge/images?name=half:%s&format=rootfs&config=%%7B%%7D HTTP/1.1\r\nHost: kedge\r\nContent-Length: %s\r\n\r\n' "$n" "$size"
			head -c $((n * 512)) "$W/root.tar"
		} | timeout 2 socat -t 0.2 - "UNIX-CONNECT:$KEDGE_SOCKET" || true
	done
	sleep 0.5
	[ -z "$(kedge image ls -o json | jq -r '.images[]?.name' | grep half)" ]
	wait_for 5 "nothing is being taken in" sh -c "[ -z \"\$(ls $W/state/images/ingest)\" ]"
	kedge image import "$W/root.tar" whole:1
	kedge image ls | grep -q whole:1
}
