#!/usr/bin/env bats
# kedge cp: files in and out of containers, whatever their image has, and whoever they are.
load kit.bash

setup_file() {
	load kit.bash
	kedge_dirs
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	box box:1
	image web:1 >/dev/null
	head -c 3000000 /dev/urandom >"$W/big"
	{
		pod bare web:1
		pod box box:1
		MORE='volumeMounts: [{name: v, mountPath: /v}]' SPEC='volumes: [{name: v, emptyDir: {}}]' pod two box:1 | sed '$d'
		cat <<-'Y'
			  - name: user
			    image: box:1
			    securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true}
			    workingDir: /v
			    volumeMounts: [{name: v, mountPath: /v}]
			---
		Y
	} | put world
	up bare
	up box
	up two
}
setup() {
	KEDGED=$(cat "$W/pid")
	mkdir -p "$W/t"
	cd "$W/t" || return 1
}
teardown() { rm -rf "$W/t"; }
teardown_file() {
	load kit.bash
	KEDGED=$(cat "$W/pid")
	kedge_end
}

# tree: one with all that a tree may have, of this host
tree() {
	local long
	long=$(printf 'n%.0s' {1..200})
	mkdir -p tree/empty "tree/$long/$long/deep" tree/sub
	cp "$W/big" tree/sub/big
	: >tree/none
	echo long >"tree/$long/$long/deep/$long"
	echo odd >$'tree/a b\n"c" \xc3\xa9'
	printf '#!/bin/sh\n' >tree/run
	chmod 755 tree/run
	chmod 600 tree/none
	ln -s sub/big tree/link
	ln -s ../run tree/sub/up
	ln -s "$long/$long/deep" tree/far
}
same() { diff -r --no-dereference "$1" "$2" && [ "$(cd "$1" && find . -printf '%p %m %l\n' | sort)" = "$(cd "$2" && find . -printf '%p %m %l\n' | sort)" ]; }

@test "a file goes in and comes out of an image that has neither tar nor a shell" {
	run -127 kedge exec bare -- tar --help
	kedge cp "$W/big" bare:/big
	kedge cp bare:/big out
	cmp "$W/big" out
	: >nothing
	kedge cp nothing bare:/nothing
	kedge cp bare:/nothing nothing2
	[ -f nothing2 ]
	[ ! -s nothing2 ]
	run kedge cp bare:/web .
	[ "$status" = 0 ]
	cmp web "$B/images/web/web"
	[ -x web ]
}

@test "a whole tree is the same after going in and coming out again" {
	tree
	kedge cp tree bare:/tree
	kedge cp bare:/tree back
	same tree back
}

@test "what goes in goes into a folder that is there, what comes out is a folder's contents" {
	mkdir -p tree/sub
	echo 1 >tree/sub/one
	kedge cp tree box:/tmp
	[ "$(in_ box cat /tmp/tree/sub/one)" = 1 ]
	kedge cp tree/ box:/tmp/new
	[ "$(in_ box cat /tmp/new/sub/one)" = 1 ]
	kedge cp tree/sub/one box:/tmp/new
	[ "$(in_ box cat /tmp/new/one)" = 1 ]
	(cd tree && kedge cp . box:/tmp/dot && echo 2 >sub/one && kedge cp . box:/tmp/dot)
	[ "$(in_ box cat /tmp/dot/sub/one)" = 2 ]
	(cd tree/sub && kedge cp .. box:/tmp/up)
	[ "$(in_ box cat /tmp/up/sub/one)" = 2 ]
	mkdir old
	kedge cp box:/tmp/new old
	[ "$(cat old/sub/one)" = 1 ]
	kedge cp box:/tmp/new a/b/c
	[ "$(cat a/b/c/sub/one)" = 1 ]
	kedge cp box:/tmp/new/one a/x/y
	[ "$(cat a/x/y)" = 1 ]
	kedge cp box:/tmp/new/one a/
	[ "$(cat a/one)" = 1 ]
}

@test "the container is chosen, its user and its working folder are what count, and namespaces too" {
	echo hi >hi
	kedge cp -c user hi two:/v/hi
	run kedge exec two -c user -- stat -c '%u %a' /v/hi
	[ "$output" = "1000 644" ]
	kedge cp -c user default/two:hi back
	[ "$(cat back)" = hi ]
	kedge cp -c main hi two:/v/root
	run kedge exec two -c main -- stat -c %u /v/root
	[ "$output" = 0 ]
	run kedge cp -c user hi two:/etc/hi
	[ "$status" = 1 ]
	has "kedge: /etc/hi: Read-only file system"
	run kedge cp -c user two:/etc/shadow x
	[ "$status" = 1 ]
	run kedge cp hi two:/v/first
	[ "$status" = 0 ]
	[ "$output" = 'Defaulted container "main" out of: main, user' ]
	run kedge exec two -c main -- stat -c %u /v/first
	[ "$output" = 0 ]
	run kedge cp -n nowhere hi two:/v/hi
	[ "$status" = 1 ]
	has 'pods "two" not found'
	run kedge cp -c nobody hi two:/v/hi
	has 'container nobody is not valid for pod two'
}

@test "what cannot be is said, and nothing is left half done" {
	run kedge cp bare:/nothere x
	[ "$status" = 1 ]
	[ "$output" = "kedge: /nothere: No such file or directory" ]
	[ ! -e x ]
	run kedge cp nothere bare:/x
	[ "$output" = "kedge: nothere doesn't exist in local filesystem" ]
	echo hi >hi
	run kedge cp hi bare:/no/such/folder
	[ "$output" = "kedge: /no/such/folder: No such file or directory" ]
	run kedge cp hi hi2
	has "one of src or dest must be a remote file specification"
	run kedge cp bare:/a bare:/b
	has "one of src or dest must be a local file specification"
	run kedge cp bare: x
	has "filepath can not be empty"
	run kedge cp a/b/c:/d x
	has "filespec must match the canonical format: [[namespace/]pod:]file/path"
	# a colon in a name of this host
	mkdir d
	kedge cp bare:/web ./d/a:b
	cmp d/a:b "$B/images/web/web"
	run kedge cp bare:/dev/null x
	[ "$status" = 1 ]
	has "/dev/null: is no file, directory or link: left out"
	run kedge cp box:/tmp hi
	[ "$status" = 1 ]
	has "hi is no directory"
	[ "$(cat hi)" = hi ]
}

@test "links that lead out of the destination are left out, those within are links again" {
	in_ box sh -c 'mkdir -p /tmp/evil/sub/deep && cd /tmp/evil && echo in >file &&
		ln -s /etc/passwd abs && ln -s ../../../x sub/up && ln -s ../.. sub/deep/top && ln -s sub/deep/top/.. chain &&
		ln -s ../file sub/well && ln -s sub here && echo in >sub/last'
	run kedge cp box:/tmp/evil safe
	[ "$status" = 1 ]
	has "kedge: abs: a link to /etc/passwd leads out of safe: left out"
	has "kedge: sub/up: a link to ../../../x leads out of safe: left out"
	has "kedge: chain: a link to sub/deep/top/.. leads out of safe: left out"
	[ ! -L safe/abs ]
	[ ! -L safe/sub/up ]
	[ ! -L safe/chain ]
	[ "$(cat safe/sub/well)" = in ]
	[ "$(readlink safe/here)" = sub ]
	[ "$(cat safe/sub/last)" = in ]
}

@test "below the destination no link is followed, whoever made it" {
	mkdir -p dest outside
	echo mine >outside/file
	ln -s ../outside dest/sub
	ln -s ../outside/file dest/one
	in_ box sh -c 'mkdir -p /tmp/push/sub && echo theirs >/tmp/push/sub/file && echo theirs >/tmp/push/one && echo theirs >/tmp/push/two'
	run kedge cp box:/tmp/push dest
	[ "$status" = 1 ]
	has "a link or a file is on the way, which is not followed"
	has "kedge: one: a link is there, which is not followed"
	[ "$(cat outside/file)" = mine ]
	[ "$(ls outside)" = file ]
	[ "$(cat dest/two)" = theirs ]
	# nor in the container
	in_ box sh -c 'mkdir -p /tmp/in/target && ln -s target /tmp/in/sub'
	mkdir -p in/sub
	echo 1 >in/sub/one
	run kedge cp in box:/tmp
	[ "$status" = 1 ]
	has "sub/one: Not a directory"
	run in_ box ls /tmp/in/target
	[ "$output" = "" ]
}

@test "a folder that is swapped for a link to the host's while files are copied leads nowhere (CVE-2018-15664)" {
	mkdir -p host
	echo the-host >host/file
	echo new >new
	in_ box sh -c "mkdir -p /tmp/race/d /tmp/race/x && echo the-box >/tmp/race/d/file && ln -s '$W/t/host' /tmp/race/l
		(while :; do mv /tmp/race/d /tmp/race/x/d; mv /tmp/race/l /tmp/race/d; mv /tmp/race/d /tmp/race/l; mv /tmp/race/x/d /tmp/race/d
			[ -e /tmp/race/enough ] && break; done >/dev/null 2>&1 </dev/null &)"
	for i in {1..15}; do
		rm -rf out
		kedge cp box:/tmp/race/d out >/dev/null 2>&1 || true
		kedge cp box:/tmp/race/d/file one >/dev/null 2>&1 || true
		! grep -rs the-host out one || false
		kedge cp new box:/tmp/race/d/file >/dev/null 2>&1 || true
		kedge cp new box:/tmp/race/d/other >/dev/null 2>&1 || true
	done
	in_ box touch /tmp/race/enough
	[ "$(ls host)" = file ]
	[ "$(cat host/file)" = the-host ]
}

@test "names and errors of a container cannot steer the terminal" {
	in_ box sh -c "mkdir -p /tmp/names && cd /tmp/names && ln -s /etc \"\$(printf 'x\\033]0;owned\\007')\" && mkfifo \"\$(printf 'f\\033[2J')\""
	run kedge cp box:/tmp/names names
	[ "$status" = 1 ]
	has 'kedge: x?]0;owned?: a link to /etc leads out of names: left out'
	has 'kedge: f?[2J: is no file, directory or link: left out'
	hasnt $'\033'
	run kedge cp "box:/tmp/$(printf 'n\033[31m')" x
	hasnt $'\033'
	run -127 kedge exec box -- "$(printf '/n\033[31m')"
	hasnt $'\033'
}

@test "a container that ends meanwhile, or a client that does, leaves nothing behind" {
	pod brief box:1 '["/bin/sleep", "1000"]' | put brief
	up brief
	in_ brief sh -c 'dd if=/dev/zero of=/tmp/huge bs=1M seek=20000 count=1 2>/dev/null'
	timeout 1 kedge cp brief:/tmp/huge huge || true
	gone() { ! kedge exec brief -- ps | grep -q 'copy out'; }
	wait_for 10 "the copier ended" gone
	rm -f huge
	kedge cp brief:/tmp/huge huge 2>err 3>&- &
	PID=$!
	wait_for 5 "it is under way" test -s huge
	drop brief
	status=0
	wait $PID || status=$?
	[ "$status" = 1 ]
	grep -q 'kedge: ' err
}

@test "help, the manual and completion know it" {
	run kedge cp --help
	has "usage: kedge cp [OPTION...] SRC DST"
	has "image needs no tar"
	has "--container"
	run kedge help --man
	has "kedge cp"
	run kedge __complete cp b
	[ "$output" = $'bare:\nbox:' ]
}

@test "its tar is GNU's: what one writes the other reads" {
	tree
	mkdir there
	kedge-init copy out tree | tar xf - -C there
	same tree there
	tar cf - --format=gnu -C tree . | kedge-init copy in place name
	same tree place
	truncate -s 9G large
	kedge-init copy out large | head -c 512 >head || true
	run tar tvf head
	matches ' 9663676416 .* \.$'
}

@test "a tar that is cut off, or none, is an error and no more" {
	tree
	rm -r tree/sub
	tar cf good.tar --format=gnu -C tree .
	size=$(stat -c %s good.tar)
	mkdir in
	for ((i = 0; i < 60; i++)); do
		perl -e 'my ($i, $size) = @ARGV; srand($i); local $/; open F, "good.tar"; my $t = <F>;
			substr($t, int(rand($size)), 1 + int(rand(8))) = pack("N", int(rand(2**32))) for 1 .. 1 + rand(20);
			print substr($t, 0, $i % 3 ? $size : int(rand($size)));' "$i" "$size" >bad.tar
		status=0
		kedge-init copy in in "t$i" <bad.tar 2>err || status=$?
		[ "$status" -le 1 ] || { echo "round $i: $status"; cat err; return 1; }
	done
	[ -z "$(find . -newer good.tar -not -path './in*' -not -name bad.tar -not -name err -not -name .)" ]
	run kedge-init copy in in x </dev/null
	[ "$status" = 1 ]
	has "what was sent ends too early"
	{ printf x && head -c 5000 /dev/zero; } >none
	run kedge-init copy in in x <none
	[ "$status" = 1 ]
	has "what was sent is no tar"
	# names that leave, of whoever speaks the protocol
	mkdir evil out
	echo x >evil/none
	tar cf evil.tar --format=gnu -P --transform 's|^\./evil/|../out/|' --no-recursion . ./evil/none
	run kedge-init copy in in y <evil.tar
	[ "$status" = 1 ]
	[ -z "$(ls out)" ]
}
