#!/usr/bin/env bats
# `make install` as a package would call it, and what it put there.

setup_file() {
	export D=$BATS_FILE_TMPDIR/root
	cd "$BATS_TEST_DIRNAME/../.."
	# kedged with another PREFIX in it, built beside the tree's own
	# and by somebody whose new files nobody else may read
	(umask 077 && make -s install DESTDIR="$D" PREFIX=/opt/kedge B="$BATS_FILE_TMPDIR/build" CFLAGS=-O0)
}
P() { echo "$D/opt/kedge/$1"; }

@test "every file is in its place, with its mode" {
	for f in sbin/kedged bin/kedge libexec/kedge/kedge-init; do
		[ "$(stat -c %a "$(P $f)")" = 755 ]
	done
	for f in lib/systemd/system/kedged.service lib/sysusers.d/kedge.conf share/man/man8/kedged.8 \
		share/man/man1/kedge.1 share/man/man5/kedge.yaml.5 share/bash-completion/completions/kedge \
		share/zsh/site-functions/_kedge share/fish/vendor_completions.d/kedge.fish; do
		[ -s "$(P $f)" ] || { echo "$f"; false; }
		[ "$(stat -c %a "$(P $f)")" = 644 ] || { echo "$f"; false; }
	done
	[ -s "$D/etc/kedge/kedge.yaml" ]
}

@test "nothing is put outside DESTDIR's PREFIX and /etc/kedge" {
	[ -z "$(find "$D" -type f ! -path "$D/opt/kedge/*" ! -path "$D/etc/kedge/kedge.yaml")" ]
}

@test "the sample configuration is valid, and an operator's own is not overwritten" {
	"$(P bin/kedge)" validate --config "$D/etc/kedge/kedge.yaml"
	echo "# mine" >>"$D/etc/kedge/kedge.yaml"
	make -s -C "$BATS_TEST_DIRNAME/../.." install DESTDIR="$D" PREFIX=/opt/kedge B="$BATS_FILE_TMPDIR/build" CFLAGS=-O0
	grep -q '^# mine' "$D/etc/kedge/kedge.yaml"
}

# runs_a_pod PREFIX: what is installed there does
runs_a_pod() {
	local w=$BATS_TEST_TMPDIR
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$w" 2>/dev/null || true
	w=$(mktemp -d /tmp/kt.XXXXXX)
	chmod 755 "$w"
	: >"$w/kedge.yaml"
	mkdir "$w/manifests"
	"$1/sbin/kedged" --config "$w/kedge.yaml" --state "$w/state" --run "$w/run" --logs "$w/logs" \
		--cgroup "${KEDGE_CGROUP:-kedge-test}$(basename "$w")" --source "d=$w/manifests" >"$w/log" 2>&1 3>&- &
	export KEDGE_SOCKET=$w/run/api.sock PATH=$1/bin:$PATH
	for _ in $(seq 200); do kedge get nodes >/dev/null 2>&1 && break; sleep 0.05; done
	make -s -C "$BATS_TEST_DIRNAME/../../repo-example/images" O="$w/images"
	kedge image import "$w/images/web" web:1 --entrypoint '["/web"]' --port 8080
	cat >"$w/manifests/pod.yaml" <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: web}
		spec: {containers: [{name: web, image: "web:1"}]}
	Y
	for _ in $(seq 200); do
		[ "$(kedge get pod web -o json 2>/dev/null | jq -r .status.phase)" = Running ] && break
		sleep 0.05
	done
	cat "$w/log"
	[ "$(kedge get pod web -o json | jq -r .status.phase)" = Running ]
	kedge down --yes
	rm -rf "$w"
}

@test "kedged finds kedge-init in its prefix's libexec" {
	mount -t tmpfs tmpfs /opt
	cp -r "$D/opt/kedge" /opt/
	runs_a_pod /opt/kedge
}

@test "kedged finds kedge-init in the libexec beside its own folder, whatever PREFIX it was made for" {
	mount -t tmpfs tmpfs /opt
	cp -r "$D/opt/kedge" /opt/other
	runs_a_pod /opt/other
}

@test "without kedge-init every place where it could be is named" {
	mount -t tmpfs tmpfs /opt
	mkdir -p /opt/lone/sbin "$BATS_TEST_TMPDIR/m"
	cp "$(P sbin/kedged)" /opt/lone/sbin/
	: >/opt/lone/kedge.yaml
	run timeout 20 /opt/lone/sbin/kedged --config /opt/lone/kedge.yaml --state /opt/lone/state --run /opt/lone/run \
		--logs /opt/lone/logs --source "d=$BATS_TEST_TMPDIR/m"
	echo "$output"
	[ "$status" != 0 ]
	for d in /opt/lone/sbin /opt/lone/libexec/kedge /opt/kedge/libexec/kedge; do
		[[ $output == *"$d/kedge-init"* ]]
	done
}

@test "the manual pages are pages, and the unit names what is there" {
	for m in man1/kedge.1 man5/kedge.yaml.5 man8/kedged.8; do
		grep -q '^\.TH ' "$(P share/man/$m)"
		grep -q '^\.SH NAME' "$(P share/man/$m)"
	done
	grep -qx 'ExecStart=/opt/kedge/sbin/kedged' "$(P lib/systemd/system/kedged.service)"
	! grep -q '@PREFIX@' "$(P lib/systemd/system/kedged.service)" || false
	bash -n "$(P share/bash-completion/completions/kedge)"
}

@test "systemd finds nothing wrong with the unit" {
	if command -v systemd-analyze >/dev/null; then
		mount -t tmpfs tmpfs /opt
		cp -r "$D/opt/kedge" /opt/
		run systemd-analyze verify --man=no "$(P lib/systemd/system/kedged.service)"
		echo "$output"
		[ "$status" -eq 0 ]
		[ -z "$(echo "$output" | grep kedged.service)" ]
	fi
	# the same by eye, where there is no systemd
	for l in KillMode=process Delegate=yes Restart=always Type=notify; do
		grep -qx "$l" "$(P lib/systemd/system/kedged.service)"
	done
}

@test "what kedge down ended is not started again by systemd, but what died is" {
	unit=$(P lib/systemd/system/kedged.service)
	grep -qx Restart=always "$unit"
	grep -qx RestartPreventExitStatus=0 "$unit"
	# 0 is how it ends when it is told to, and only then
	w=$(mktemp -d /tmp/kt.XXXXXX)
	chmod 755 "$w"
	: >"$w/kedge.yaml"
	mkdir "$w/manifests"
	mount -t tmpfs tmpfs /opt
	cp -r "$D/opt/kedge" /opt/
	/opt/kedge/sbin/kedged --config "$w/kedge.yaml" --state "$w/state" --run "$w/run" --logs "$w/logs" \
		--cgroup "${KEDGE_CGROUP:-kedge-test}$(basename "$w")" --source "d=$w/manifests" >"$w/log" 2>&1 3>&- &
	pid=$!
	export KEDGE_SOCKET=$w/run/api.sock
	for _ in $(seq 200); do "$(P bin/kedge)" get nodes >/dev/null 2>&1 && break; sleep 0.05; done
	"$(P bin/kedge)" down --yes
	wait "$pid"
	rm -rf "$w"
}

@test "uninstall takes away what install brought, leaves the configuration, and says so" {
	run make -s -C "$BATS_TEST_DIRNAME/../.." uninstall DESTDIR="$D" PREFIX=/opt/kedge
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"not stopped"*"$D/etc/kedge"*"left"* ]]
	[ -z "$(find "$D/opt" -type f)" ]
	[ ! -e "$(P libexec/kedge)" ]
	[ -e "$D/etc/kedge/kedge.yaml" ]
}
