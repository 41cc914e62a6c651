#!/usr/bin/env bats
# The servers that the host's own /etc/resolv.conf names: asked where kedge.yaml names none.
load kit.bash

setup_file() {
	for n in 5 6; do begin $n 127.0.0.$n; done
	begin 7 127.0.0.7 tcp case
	begin 8 127.0.0.8 tcp
	resolvers 127.0.0.5
	mount --bind "$BATS_FILE_TMPDIR/resolv.conf" /etc/resolv.conf
	file_begin
	pod a box:1 | put a
	up a
}
setup() { file_test; }
teardown_file() {
	file_end
	for n in 5 6 7 8 9; do kill "$(cat "$BATS_FILE_TMPDIR/upstream.$n")" 2>/dev/null || :; done
	umount /etc/resolv.conf
}

# begin N ADDRESS [LACK]...: a server there; all names are 192.0.2.N
begin() {
	local n=$1 at=$2
	shift 2
	"$ROOT/tests/e2e/dns_upstream.pl" "$at" 53 "$BATS_FILE_TMPDIR/asked.$n" "$n" "$@" 3>&- &
	echo $! >"$BATS_FILE_TMPDIR/upstream.$n"
}
# resolvers SERVER...: the host's file has these; the same file, as programs that only edit it leave it
resolvers() { { echo '# of the host'; printf 'nameserver %s # one\n' "$@"; echo 'options timeout:1'; } >"$BATS_FILE_TMPDIR/resolv.conf"; }
q() { dig +short +tries=1 +time=6 @10.43.0.10 "$1" A; }
# asks WHAT: of a name that was never asked for before, this is said.  (dig reads the host's file
# as well, and ends at what it cannot read there.)
asks() {
	tried=$((${tried:-0} + 1))
	run kedge dns "n$tried-$BATS_TEST_NUMBER.example.org."
	matches "$1"
}
said() { grep -qF -- "$1" "$W/kedged.log"; }

@test "the host's own server is asked, and another one when its file changes" {
	asks ' IN A 192\.0\.2\.5$'
	[ "$(q once.example.org)" = 192.0.2.5 ]
	[ "$(q once.example.org)" = 192.0.2.5 ]
	[ "$(grep -c '^udp once.example.org 1$' "$BATS_FILE_TMPDIR/asked.5")" = 1 ]
	in_ a busybox nslookup www.example.net | grep -q 192.0.2.5
	run kedge dns www.example.com.
	has "not of the cluster: what the servers say that the host's /etc/resolv.conf names"
	has "192.0.2.5"
	resolvers 127.0.0.6
	wait_for 12 "the other is asked" asks ' IN A 192\.0\.2\.6$'
}

@test "a server at an address of one link is asked over it, once the link is there; nonsense is said" {
	resolvers nonsense fe80::53%late0
	wait_for 12 "nobody can be asked" asks SERVFAIL
	wait_for 12 "it is said" said "/etc/resolv.conf: nameserver nonsense is not asked: it is no address"
	ip link add late0 type veth peer name late1
	ip link set late0 up
	ip link set late1 up
	ip -6 addr add fe80::53/64 dev late0 nodad
	begin 9 fe80::53%late0
	wait_for 12 "it is asked" asks ' IN A 192\.0\.2\.9$'
}

@test "after a server that has neither letters' cases nor TCP the next is asked by UDP" {
	resolvers 127.0.0.7 127.0.0.8
	wait_for 12 "the second answers" asks ' IN A 192\.0\.2\.8$'
	grep -q "^udp n" "$BATS_FILE_TMPDIR/asked.7"
}
