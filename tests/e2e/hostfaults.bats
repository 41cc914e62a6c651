#!/usr/bin/env bats
# What a host can do wrong: nothing that runs is touched, the message says what,
# where and what to do, and when the cause is gone all is well again.
load lib.bash
KILLS=yes

setup() {
	kedge_dirs
	repo_make
}
teardown() {
	umount "$W/state" 2>/dev/null || true
	[ -z "${KEDGED:-}" ] || kedge_end
	umount "$W/state" 2>/dev/null || true
	rm -rf "$W"
}

config_map() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {k: "%s"}\n' "$1" "${2:-v}"; }
brain_of() { pgrep -P "$KEDGED" -f -- --role=brain; }
pods_now() { kedge get pods -o json | jq -c '[.items[] | {uid: .metadata.uid, at: .status.containerStatuses[0].state.running.startedAt, n: .status.containerStatuses[0].restartCount}] | sort'; }
logged() { grep -qE "$1" "$W/kedged.log"; }
run_web() { # one pod behind a service
	image web:1 --env VERSION=v1
	deployment web web:1 1 >"$W/clone/web.yaml"
	service web >"$W/clone/svc.yaml"
	push_wait "first"
	ip=$(field svc web .spec.clusterIP)
	pods=$(pods_now)
}
serves() { curl -sfm 2 "http://$ip/" >/dev/null && [ "$pods" = "$(pods_now)" ]; }

# kedged_fails PATTERN [options]: it ends at once, with that message
kedged_fails() {
	local pattern=$1 rc=0
	shift
	timeout 10 kedged --config "$W/kedge.yaml" --state "$W/state" --run "$W/run" --logs "$W/logs" \
		--cgroup "${KEDGE_CGROUP:-kedge-test}x" "$@" >"$W/said" 2>&1 3>&- || rc=$?
	cat "$W/said"
	[ $rc != 0 ] && [ $rc != 124 ] && grep -qE "$pattern" "$W/said"
}

# ---- starting ----

@test "a configuration with errors starts nothing and tells all of them with their places" {
	printf 'lissten: x\nnetwork:\n  podCIDR: 10.0.0.0/99\nlimits: {maxPods: many}\n' >"$W/kedge.yaml"
	kedged_fails 'kedge.yaml:1:1: .*lissten.*did you mean "listen"'
	grep -qE 'kedge.yaml:4:[0-9]+: .*maxPods' "$W/said"
	[ ! -e "$W/run/api.sock" ]
}

@test "a range that is none is refused with its name" {
	printf 'network:\n  podCIDR: 10.0.0.0/99\n' >"$W/kedge.yaml"
	kedged_fails 'network.podCIDR: .*10\.0\.0\.0/99'
}

@test "ranges that overlap are refused, and both are named" {
	printf 'network:\n  podCIDR: 10.42.0.0/16\n  serviceCIDR: 10.42.128.0/20\n' >"$W/kedge.yaml"
	kedged_fails '10\.42\.0\.0/16.*10\.42\.128\.0/20|10\.42\.128\.0/20.*10\.42\.0\.0/16'
}

@test "kedge validate --config says the same words as kedged" {
	cat >"$W/kedge.yaml" <<-Y
		listen: 0.0.0.0:8001
		node: {name: My_Host, labels: {zone: -x}}
		network:
		  podCIDR: 10.42.1.0/16
		  serviceCIDR: 10.43.0.0/30
		sources:
		- {name: My Source, url: /x}
		- {name: twice, url: /x}
		- {name: twice, url: /y}
	Y
	kedged_fails 'kedge.yaml has errors; nothing was started'
	grep '^[^ ]*kedge.yaml:[0-9]' "$W/said" >"$W/kedged.said"
	[ "$(wc -l <"$W/kedged.said")" = 7 ]
	rc=0
	kedge validate --config "$W/kedge.yaml" >/dev/null 2>"$W/kedge.said" || rc=$?
	[ $rc = 1 ]
	diff "$W/kedged.said" "$W/kedge.said"
}

@test "flags that cannot be meant are refused with what would be right" {
	: >"$W/kedge.yaml"
	kedged_fails 'usage: kedged' --nonsense
	kedged_fails 'sources are named with --source' here
	kedged_fails 'loopback' --listen 0.0.0.0:8001
	kedged_fails '8001x|ADDRESS:PORT' --listen 127.0.0.1:8001x
	kedged_fails 'relative|absolute' --source relative/path
	kedged_fails 'two sources are named "a" .those of kedge.yaml and of --source count together' --source a=/x --source a=/y
	echo 'sources: [{name: a, url: /x}]' >"$W/kedge.yaml"
	kedged_fails 'two sources are named "a" .those of kedge.yaml and of --source count together' --source a=/y
	: >"$W/kedge.yaml"
	kedged_fails '/nowhere.yaml.*No such file' --config /nowhere.yaml
}

@test "a run folder whose socket would be too long is refused with the limit" {
	: >"$W/kedge.yaml"
	kedged_fails 'api.sock is longer than.*107.*--run' --run "$W/$(printf 'r%.0s' $(seq 100))"
}

@test "without root it says so and touches nothing" {
	: >"$W/kedge.yaml"
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$B/kedged" --config "$W/kedge.yaml" --state "$W/state" --run "$W/run"
	echo "$output"
	[ "$status" != 0 ]
	[[ $output =~ "must be started as root" ]]
	[ ! -e "$W/state" ]
}

@test "a second kedged on the same state, run folder or port is refused, and the first serves on" {
	kedge_start --source "deploy=$W/deploy.git" --listen 127.0.0.1:18080
	run_web
	kedged_fails "another kedged uses $W/state.*--state"
	kedged_fails "$W/run.*another kedged|another kedged.*$W/run" --state "$W/state2"
	kedged_fails '127\.0\.0\.1:18080.*in use' --state "$W/state3" --run "$W/run3" --listen 127.0.0.1:18080
	kedge get pods
	curl -sfm 2 http://127.0.0.1:18080/version >/dev/null
	serves
}

@test "a state or run folder that holds other things is refused untouched" {
	: >"$W/kedge.yaml"
	mkdir -m 755 "$W/lib"
	touch "$W/lib/dpkg"
	kedged_fails "$W/lib holds \"dpkg\".*folder of its own \(--state\)" --state "$W/lib"
	kedged_fails "$W/lib holds \"dpkg\".*folder of its own \(--run\)" --run "$W/lib"
	[ "$(ls "$W/lib")" = dpkg ]
	[ "$(stat -c '%a %U' "$W/lib")" = "755 root" ]
}

@test "kedge down takes from a folder that others log to only what is kedge's" {
	mkdir -p "$W/logs/nginx" "$W/logs/not_one_ours"
	touch "$W/logs/nginx/access.log" "$W/logs/not_one_ours/x" "$W/logs/syslog"
	kedge_start --source "deploy=$W/deploy.git"
	run_web
	[ "$(find "$W/logs" -path '*default_web-*' -name 0.log | wc -l)" = 1 ]
	kedge down --yes
	wait_for 10 "it ends" not_running "$KEDGED"
	[ "$(cd "$W/logs" && find . -type f | sort | xargs)" = "./nginx/access.log ./not_one_ours/x ./syslog" ]
}

# apart N [LINES]: a kedge.yaml for a second kedged beside the first one
apart() {
	cat >"$W/apart.yaml" <<-Y
		network:
		  bridge: kedge$1
		  chains: KD$(tr 0-9 A-J <<<"$1")
		  podCIDR: 10.1$1.0.0/16
		  serviceCIDR: 10.2$1.0.0/16
		  nodePortRange: 31000-31999
	Y
	sed -i "${2:-}" "$W/apart.yaml"
}
# other_fails PATTERN SED: a second kedged whose settings differ in all but that is refused
other_fails() {
	apart 1 "$2"
	kedged_fails "$1" --config "$W/apart.yaml" --state "$W/state2" --run "$W/run2" --logs "$W/logs2"
}

@test "a second kedged on the same bridge, chains, ranges or control group is refused, and the first is named" {
	kedge_start --source "deploy=$W/deploy.git"
	run_web
	who="another kedged .pid $KEDGED, state in $W/state. uses the"
	other_fails "$who bridge kedge0: .*its own network.bridge, network.chains" 's/bridge: .*/bridge: kedge0/'
	other_fails "$who iptables chains KDG: " 's/chains: .*/chains: KDG/'
	other_fails "kedge0 .of the kedged with its state in $W/state. has the address 10.42.0.1.*choose another network.podCIDR" \
		's/podCIDR: .*/podCIDR: 10.42.0.0\/16/'
	other_fails "kedge0 .of the kedged with its state in $W/state. has the address 10.43.0.10.*choose another network.serviceCIDR" \
		's/serviceCIDR: .*/serviceCIDR: 10.43.0.0\/16/'
	other_fails "route to 10.42.0.0/16 by kedge0 .of the kedged with" 's/podCIDR: .*/podCIDR: 10.42.8.0\/22/'
	apart 1
	kedged_fails "control group .* is that of another kedged .state in $W/state.*--cgroup" --config "$W/apart.yaml" \
		--state "$W/state2" --run "$W/run2" --logs "$W/logs2" --cgroup "${KEDGE_CGROUP}$(basename "$W")"
	! ip link show kedge1 2>/dev/null || false
	serves
	[ "$(iptables-save | grep -c -- '-j KDG-F$')" = 1 ]
	# also while it is away
	kedge_stop
	other_fails "the bridge kedge0 belongs to the kedged with its state in $W/state, which does not run now" 's/bridge: .*/bridge: kedge0/'
	apart 1
	kedged_fails "control group .* of another kedged .state in $W/state.: it does not run now" --config "$W/apart.yaml" \
		--state "$W/state2" --run "$W/run2" --logs "$W/logs2" --cgroup "${KEDGE_CGROUP}$(basename "$W")"
	kedge_start --source "deploy=$W/deploy.git"
	serves
}

@test "what a kedged left whose state folder is gone is taken over" {
	kedge_start
	kill -9 "$KEDGED"
	wait_for 5 "it is gone" not_running "$KEDGED"
	rm -rf "$W/old"; mkdir "$W/old"; mv "$W/state" "$W/run" "$W/logs" "$W/old/"
	kedge_start
	kedge get nodes
	ip link show kedge0 | grep -q "alias kedge KDG $KEDGED $W/state"
}

@test "two kedgeds that are set apart work side by side, and one goes down without the other" {
	kedge_start --source "deploy=$W/deploy.git"
	run_web
	apart 1
	mkdir "$W/dir2"
	kedged --config "$W/apart.yaml" --state "$W/state2" --run "$W/run2" --logs "$W/logs2" \
		--cgroup "${KEDGE_CGROUP}$(basename "$W")two" --source "files=$W/dir2" >"$W/second.log" 2>&1 3>&- &
	second=$!
	KEDGE_SOCKET=$W/run2/api.sock wait_for 10 "the second serves" kedge get nodes
	KEDGE_SOCKET=$W/run2/api.sock image web:1 --env VERSION=second
	deployment web web:1 1 >"$W/dir2/web.yaml"
	service web NodePort >"$W/dir2/svc.yaml"
	KEDGE_SOCKET=$W/run2/api.sock wait_for 10 "its pod" has_ready app=web 1
	ip2=$(KEDGE_SOCKET=$W/run2/api.sock field svc web .spec.clusterIP)
	[[ $ip2 == 10.21.* ]]
	wait_for 5 "its service" sh -c "curl -sfm 2 http://$ip2/ | grep -q second"
	curl -sfm 2 "http://$ip/" | grep -q v1
	serves
	sleep 4.5 # each looks after its own rules alone
	! logged "somebody removed kedge's chains" || false
	! grep "somebody removed kedge's chains" "$W/second.log" || false
	iptables-save | grep -q -- '-A KDB-'
	iptables-save | grep -q -- '-A KDG-'
	KEDGE_SOCKET=$W/run2/api.sock kedge down --yes
	wait_for 10 "the second ends" not_running $second
	! iptables-save | grep KDB- || false
	! ip link show kedge1 2>/dev/null || false
	serves
	sleep 2.5
	! logged "somebody removed kedge's chains" || false
	curl -sfm 2 "http://$ip/" | grep -q v1
}

@test "a range that a route of the host narrows is refused; a wider route is said" {
	ip link add dummy7 type bridge
	ip link set dummy7 up
	ip route add 10.42.7.0/24 dev dummy7
	: >"$W/kedge.yaml"
	kedged_fails 'this host has a route to 10.42.7.0/24 by dummy7, which takes packets from the range 10.42.0.0/16 that is meant for pods: choose another network.podCIDR'
	ip route del 10.42.7.0/24 dev dummy7
	ip route add 10.0.0.0/8 dev dummy7
	kedge_start
	logged 'warning.*route to 10.0.0.0/8 by dummy7: what is behind it at 10.42.0.0/16 cannot be reached any more'
	kedge describe node | grep -q 'route to 10.0.0.0/8' || kedge get nodes -o json | grep -q 'route to 10.0.0.0/8'
	ip link del dummy7
}

@test "a socket that a killed kedged left is taken over" {
	kedge_start
	b=$(brain_of)
	kill -9 "$KEDGED" "$b"
	wait_for 5 "it is gone" not_running "$KEDGED"
	[ -S "$W/run/api.sock" ]
	run kedge get nodes
	[ "$status" != 0 ]
	[[ $output =~ "is kedged running" ]]
	kedge_start
	kedge get nodes
}

@test "a state.db of a newer kedge is refused untouched, with what to do" {
	kedge_start
	kedge_stop
	"$B/tests/e2e/sql" "$W/state/state.db" "PRAGMA user_version = 99"
	sum=$(sha256sum <"$W/state/state.db")
	kedged --config "$W/kedge.yaml" --state "$W/state" --run "$W/run" --logs "$W/logs" \
		--cgroup "${KEDGE_CGROUP}$(basename "$W")" >"$W/said" 2>&1 3>&- &
	KEDGED=$!
	wait_for 5 "the message" grep -q 'state.db was written by a newer kedge (schema 99.*install that version' "$W/said"
	wait_for 5 "it ends" not_running "$KEDGED"
	[ "$sum" = "$(sha256sum <"$W/state/state.db")" ]
	"$B/tests/e2e/sql" "$W/state/state.db" "PRAGMA user_version = 1"
	kedge_start
	kedge get nodes
}

@test "a damaged state.db is refused with its path and what to do, and pods serve on" {
	kedge_start --source "deploy=$W/deploy.git"
	run_web
	kedge_stop
	mkdir "$W/whole"
	cp -a "$W"/state/state.db* "$W/whole/"
	head -c 4096 /dev/urandom | dd of="$W/state/state.db" conv=notrunc status=none
	rm -f "$W"/state/state.db-*
	: >"$W/kedged.log"
	kedged --config "$W/kedge.yaml" --state "$W/state" --run "$W/run" --logs "$W/logs" \
		--cgroup "${KEDGE_CGROUP}$(basename "$W")" --source "deploy=$W/deploy.git" >>"$W/kedged.log" 2>&1 3>&- &
	KEDGED=$!
	wait_for 5 "the message" logged 'state\.db: .*the file is damaged.*Move it and .* away'
	run kedge get pods
	[ "$status" != 0 ]
	echo "$output"
	curl -sfm 2 "http://$ip/"
	wait_for 5 "it ends" not_running "$KEDGED"
	rm -f "$W"/state/state.db*
	cp -a "$W"/whole/* "$W/state/"
	kedge_start --source "deploy=$W/deploy.git"
	serves
}

@test "a state folder on a read-only file system is refused with its path" {
	mkdir "$W/state"
	mount -t tmpfs tmpfs "$W/state"
	mount -o remount,ro "$W/state"
	: >"$W/kedge.yaml"
	kedged_fails "$W/state.*Read-only file system"
}

@test "without iptables it says which package to install, and starts when it is there" {
	: >"$W/kedge.yaml"
	PATH=/nowhere kedged_fails_env 'iptables.*(install|package)'
}
kedged_fails_env() {
	local rc=0
	timeout_bin=$(PATH=/usr/bin:/bin command -v timeout)
	"$timeout_bin" 5 "$B/kedged" --config "$W/kedge.yaml" --state "$W/state" --run "$W/run" --logs "$W/logs" \
		--cgroup "${KEDGE_CGROUP}p" >"$W/said" 2>&1 3>&- || rc=$?
	/bin/cat "$W/said"
	/bin/grep -qE "$1" "$W/said"
}

# one_iptables VARIANT: only that one is on kedged's PATH, as $W/ipt/iptables-restore
one_iptables() {
	command -v "iptables-$1-restore" >/dev/null || skip "no iptables-$1"
	mkdir "$W/ipt"
	ln -s "$(command -v "iptables-$1-restore")" "$W/ipt/iptables-restore"
	PATH=$W/ipt:$B:/usr/bin:/bin kedge_start --source "deploy=$W/deploy.git"
}
second_service() { # its address, once it is in the store
	service again >"$W/clone/again.yaml"
	sed -i 's/selector: {app: again}/selector: {app: web}/' "$W/clone/again.yaml"
	push "another service"
	wait_for 5 "its address" sh -c "kedge get svc again -o json | jq -e '.spec.clusterIP // empty'"
	again=$(field svc again .spec.clusterIP)
}

@test "one variant of iptables is enough, whichever it is" {
	one_iptables legacy
	run_web
	iptables-legacy-save | grep -q -- '-A KDG-'
	! iptables-nft-save 2>/dev/null | grep KDG- || false
	serves
	kedge down --yes
	wait_for 10 "it is down" not_running "$KEDGED"
	rm -rf "$W/ipt"
	one_iptables nft
	image web:1 --env VERSION=v1
	wait_for 10 "the pod" has_ready app=web 1
	ip=$(field svc web .spec.clusterIP)
	wait_for 5 "it serves" curl -sfm 2 "http://$ip/"
	iptables-nft-save | grep -q -- '-A KDG-'
	! iptables-legacy-save 2>/dev/null | grep KDG- || false
}

@test "iptables that goes while kedged runs is missed by name; what is in force serves on, and when it is back all is" {
	one_iptables nft
	run_web
	mv "$W/ipt/iptables-restore" "$W/ipt/away"
	second_service
	wait_for 5 "the message" logged 'rules: .*iptables-restore is not installed.*install the package iptables'
	rules_missed() { kedge status | grep -A1 "^  node " | grep -q "services go by the rules of before: .*iptables-restore is not installed"; }
	wait_for 5 "status says it" rules_missed
	node_says() { [ "$(kedge get node -o json | jq -r '.items[0].status.conditions[] | select(.type == "NetworkUnavailable") | .status + " " + .reason')" = "True RulesNotInForce" ]; }
	wait_for 5 "the node says it" node_says
	serves
	kedge get svc again
	! curl -sfm 1 "http://$again/" || false
	mv "$W/ipt/away" "$W/ipt/iptables-restore"
	rules_there() { ! rules_missed && ! kedge get node -o json | grep -q NetworkUnavailable; }
	wait_for 10 "nothing is amiss any more" rules_there
	wait_for 10 "the new one serves" curl -sfm 1 "http://$again/"
	serves
}

@test "an xtables lock that somebody holds for long is named and waited for; pods serve on" {
	one_iptables legacy
	run_web
	flock /run/xtables.lock sleep 13 3>&- &
	holder=$!
	sleep 0.3
	second_service
	wait_for 12 "the message" logged 'rules: .*xtables lock'
	serves
	kedge get pods
	wait "$holder" || true
	wait_for 10 "the new one serves" curl -sfm 1 "http://$again/"
	serves
}

# ---- running ----

@test "garbage on the socket harms nobody" {
	kedge_start
	for text in 'GET' 'GET / HTTP/9.9\r\n\r\n' '\0\0\0\0' 'POST /api HTTP/1.1\r\nContent-Length: -1\r\n\r\n' \
		'GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n' 'GET /api/v1/pods?limit=999999999999999999999 HTTP/1.1\r\nHost: x\r\n\r\n'; do
		printf "$text" | timeout 1 perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new($ARGV[0]) or die; local $/; print $s <STDIN>; shutdown $s, 1; print <$s>' "$KEDGE_SOCKET" || true
	done
	head -c 1000000 /dev/urandom | timeout 2 perl -MIO::Socket::UNIX -e '$SIG{PIPE} = "IGNORE"; $s = IO::Socket::UNIX->new($ARGV[0]) or die; local $/; print $s <STDIN>; shutdown $s, 1; print length <$s>' "$KEDGE_SOCKET" || true
	b=$(brain_of)
	kedge get nodes
	[ "$b" = "$(brain_of)" ]
	! logged 'brain.*gone' || false
}

@test "a mirror that is garbled while kedged runs mends itself, and pods serve on" {
	kedge_start --source "deploy=$W/deploy.git"
	run_web
	find "$W/state/repo.git/objects" -type f -exec sh -c 'chmod u+w "$1"; head -c 64 /dev/urandom >"$1"' _ {} \;
	config_map one >"$W/clone/one.yaml"
	push_wait "after the damage"
	kedge get cm one
	serves
	find "$W/state/repo.git/objects" -type f -delete
	config_map two >"$W/clone/two.yaml"
	push_wait "after the loss"
	kedge get cm two
	n=$(kedge get revisions -o json | jq '[.items[].spec.number] | min')
	run kedge rollback "$n"
	[ "$status" = 1 ] # who cannot see what goes must be told to go on
	[[ $output =~ "would delete cannot be seen (".*"; say --yes if that is meant" ]]
	kedge rollback "$n" --yes
	wait_for 10 "the old tree" sh -c "! kedge get cm one"
	serves
}

@test "a mirror that is garbled while kedged is away mends itself at its start" {
	kedge_start --source "deploy=$W/deploy.git"
	run_web
	kedge_stop
	find "$W/state/repo.git/objects" -type f -exec sh -c 'chmod u+w "$1"; head -c 64 /dev/urandom >"$1"' _ {} \;
	kedge_start --source "deploy=$W/deploy.git"
	serves
	config_map one >"$W/clone/one.yaml"
	push_wait "after the damage"
	kedge get cm one
	kedge_stop
	rm -rf "$W/state/repo.git/HEAD" "$W/state/repo.git/config"
	kedge_start --source "deploy=$W/deploy.git"
	config_map two >"$W/clone/two.yaml"
	push_wait "after HEAD went"
	kedge get cm two
	serves
	ls -d "$W"/state/repo.git.broken-1 # was moved aside, for who wants to look
	kedge down --yes
	wait_for 10 "kedged ends" not_running "$KEDGED"
	[ ! -e "$W/state" ] # it goes with the rest
}

@test "kedge down follows no link that the brain's user puts in its way" {
	kedge_start
	local uid gid racer i
	uid=$(awk '/^Uid:/ {print $2}' "/proc/$(pgrep -P "$KEDGED" -f -- --role=brain)/status")
	gid=$(stat -c %g "$W/state")
	mkdir -p "$W/victim/deep/er"
	for i in $(seq 300); do echo x >"$W/victim/deep/er/$i"; done
	chmod -R 777 "$W/victim"
	find "$W/victim" | sort >"$W/before"
	setpriv --reuid "$uid" --regid "$gid" --clear-groups sh -c "ln -s $W/victim $W/state/fetch; ln -s $W/victim $W/state/repo.git/link"
	# a folder that is a link, and again a folder, all the time
	setpriv --reuid "$uid" --regid "$gid" --clear-groups perl -e '
		my ($repo, $victim) = @ARGV;
		for my $i (1 .. 400) { mkdir "$repo/d$i"; mkdir "$repo/d$i/deep"; mkdir "$repo/d$i/deep/er"; symlink $victim, "$repo/l$i"; }
		$| = 1; print "racing\n";
		my $end = time + 20;
		while (time < $end) {
			for my $i (1 .. 400) {
				rename "$repo/d$i", "$repo/x$i"; rename "$repo/l$i", "$repo/d$i";
				rename "$repo/d$i", "$repo/l$i"; rename "$repo/x$i", "$repo/d$i";
			}
		}' "$W/state/repo.git" "$W/victim" >"$W/race" 3>&- &
	racer=$!
	wait_for 5 "it races" grep -q racing "$W/race"
	kedge down --yes || true
	wait_for 20 "kedged ends" not_running "$KEDGED"
	kill "$racer"
	find "$W/victim" | sort | diff "$W/before" -
	[ ! -e "$W/state/state.db" ]
	[ ! -L "$W/state/fetch" ]
}

@test "a full disk stops nothing; it is said, and with room all goes on" {
	mkdir "$W/state"
	mount -t tmpfs -o size=24m tmpfs "$W/state"
	kedge_start --source "deploy=$W/deploy.git"
	run_web
	dd if=/dev/zero of="$W/state/filler" bs=64k status=none 2>/dev/null || true
	dd if=/dev/zero of="$W/state/filler2" bs=512 status=none 2>/dev/null || true
	for i in 1 2 3; do
		{ config_map big$i; printf '  big: "'; head -c 300000 /dev/urandom | base64 -w 0; echo '"'; } >"$W/clone/big$i.yaml"
		sed -i 's/^data: .*/data:/' "$W/clone/big$i.yaml"
	done
	push "more than there is room for"
	wait_for 10 "the message" logged '(disk|space).*(full|left)|No space left'
	grep -E 'full|space' "$W/kedged.log" | head -n 3
	serves
	kedge get nodes
	b=$(brain_of)
	run image web:2
	echo "image import: $output"
	[ "$status" != 0 ]
	[[ $output =~ [Nn]"o space"|"disk is full" ]]
	serves
	rm "$W/state/filler" "$W/state/filler2"
	kedge wait deploy --for "$(head_id)" --timeout 30s
	kedge get cm big3
	serves
	[ "$b" = "$(brain_of)" ]
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git"
	kedge get cm big3
	serves
}

@test "a brain that outlives its hand for a moment keeps no port from the next kedged" {
	kedge_start --source "deploy=$W/deploy.git"
	b=$(brain_of)
	kill -STOP "$b"
	kill -9 "$KEDGED"
	wait_for 5 "it is gone" not_running "$KEDGED"
	(sleep 0.5 && kill -9 "$b") 3>&- &
	kedge_start --source "deploy=$W/deploy.git"
}

@test "a stopped hand keeps nobody waiting for what the brain knows, and goes on where it was" {
	kedge_start --source "deploy=$W/deploy.git"
	run_web
	kill -STOP "$KEDGED"
	timeout 5 kedge get pods
	timeout 5 kedge status
	curl -sfm 2 "http://$ip/"
	image_later=$(deployment web web:1 2)
	echo "$image_later" >"$W/clone/web.yaml"
	push "while it stands"
	sleep 0.5
	kill -CONT "$KEDGED"
	kedge wait deploy --for "$(head_id)" --timeout 20s
	[ "$(pods_ready app=web)" = 2 ]
}

@test "a brain that dies again and again is started with growing pauses, and pods serve on" {
	kedge_start --source "deploy=$W/deploy.git"
	run_web
	end=$(($(date +%s) + 4)) n=0
	while [ "$(date +%s)" -lt $end ]; do
		b=$(brain_of) && kill -9 "$b" 2>/dev/null && n=$((n + 1))
		sleep 0.02
	done
	echo "$n brains in 4 s"
	[ $n -ge 4 ]
	[ $n -le 9 ]
	curl -sfm 2 "http://$ip/"
	wait_for 15 "it serves again" kedge get pods
	serves
}

@test "a brain that was taken over gets nothing from the hand, which stays up and makes nothing" {
	mkdir -p "$W/bin" "$W/hostile" "$W/state" "$W/run" "$W/logs"
	cp "$B/tests/e2e/hostile_brain" "$B/kedge-init" "$W/bin/"
	chmod 777 "$W/hostile"
	cat >"$W/kedge.yaml" <<-Y
		state: $W/state
		run: $W/run
		logs: $W/logs
		cgroup: $KEDGE_CGROUP$(basename "$W")
		limits: {warmPods: 0} # what is made ahead is not what a brain asked for
		sources: [{name: deploy, url: $W/deploy.git}]
	Y
	: >"$W/kedged.log"
	chmod 644 "$W/kedged.log"
	HOSTILE=$W/hostile HAND_LOG=$W/kedged.log "$W/bin/hostile_brain" "$W/kedge.yaml" >>"$W/kedged.log" 2>&1 3>&- &
	KEDGED=$!
	wait_for 10 "it begins" grep -q 'life 1' "$W/hostile/said"
	iptables-save | grep -v '^[#:]' | sort >"$W/rules"
	sleep 0.2
	wait_for 60 "all its lives" grep -q done "$W/hostile/said"
	cat "$W/hostile/said"
	! grep FAIL "$W/hostile/said" || false
	[ "$(grep -c ^refused "$W/hostile/said")" -gt 60 ]
	! not_running "$KEDGED" || false # the same hand all the time
	[ "$(ls "/proc/$KEDGED/fd" | wc -l)" -lt 40 ]
	# a sanitizer keeps what was freed
	grep -q __asan_init "$B/kedged" || [ "$(awk '/^VmRSS/ {print $2}' "/proc/$KEDGED/status")" -lt 150000 ]
	# the brain, and no other of its brains; the DNS server is tried again beside it
	[ "$(pgrep -f -P "$KEDGED" -- --role=brain | wc -l)" = 1 ]
	logged "more demands of the brain were refused"
	[ "$(wc -c <"$W/kedged.log")" -lt 200000 ]
	# nothing was made
	wait_for 5 "no pod" sh -c "! pgrep -x kedge-init"
	! ip -o link | grep ': kdg' || false
	iptables-save | grep -v '^[#:]' | sort | diff "$W/rules" -
	wait_for 5 "no folder" sh -c "! find $W/run/pods $W/state/pods $W/logs -mindepth 1 | grep ."
	[ ! -e /tmp/evil ]
	! find "$W" /etc/cron.d /tmp -maxdepth 3 -name '*evil*' | grep . || false
	[ -z "$(find "$W/state/images" -name '*evil*')" ]
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
	kill "$KEDGED"
	wait_for 10 "it ends" not_running "$KEDGED"
	KEDGED=
}

# without CALLS: kedged on a kernel that lacks them; the log is in $W/kedged.log
without() {
	[ -e "$W/kedge.yaml" ] || : >"$W/kedge.yaml"
	: >"$W/kedged.log"
	"$B/tests/e2e/without" "$1" "$B/kedged" --config "$W/kedge.yaml" --state "$W/state" --run "$W/run" --logs "$W/logs" \
		--cgroup "${KEDGE_CGROUP}$(basename "$W")" --source "deploy=$W/deploy.git" >"$W/kedged.log" 2>&1 3>&- &
	KEDGED=$!
	wait_for 10 "it serves or says why not" sh -c "kedge get nodes || grep -q 'error: start' $W/kedged.log"
}
# refused_without CALLS PATTERN...: kedged ends at once and has made nothing
refused_without() {
	local p
	without "$1"
	wait_for 5 "it ends" not_running "$KEDGED"
	cat "$W/kedged.log"
	logged "error: start: this kernel .*lacks .*: kedge needs Linux 5.12; install a newer kernel"
	shift
	for p; do logged "$p" || { echo "no: $p"; return 1; }; done
	[ ! -e "$W/state" ]
	! ip link show kedge0 2>/dev/null || false
}

@test "a kernel without Landlock: kedge goes on without it and says so" {
	without landlock_create_ruleset
	logged 'brain: warning.*no Landlock \(5\.13 has\): going on without'
	image web:1 --env VERSION=v1
	deployment web web:1 1 >"$W/clone/web.yaml"
	push_wait "without Landlock"
	[ "$(pods_ready app=web)" = 1 ]
}

@test "a kernel without clone3 is refused, with what it is for" {
	refused_without clone3 "lacks clone3 .to make a pod's processes"
}

@test "a kernel without pidfds is refused, with what they are for" {
	refused_without pidfd_open,pidfd_send_signal 'pidfd_open .to hold on to the processes of pods., pidfd_send_signal .to stop pods.'
}

@test "a kernel without the new mount calls is refused, and all of them are told at once" {
	refused_without fsopen,open_tree,move_mount,mount_setattr \
		"fsopen .to mount a container's file systems., open_tree .to mount volumes., move_mount .to mount volumes., mount_setattr .to make mounts read-only."
}

@test "a kernel without openat2 is refused, with what it is for" {
	refused_without openat2 'openat2 .to resolve paths inside images and volumes.'
}

@test "a kernel without seccomp: it is said at the start, and the pod's status carries the reason" {
	without seccomp
	logged 'hand: warning: host: this kernel has no seccomp filters .CONFIG_SECCOMP_FILTER.: only containers whose seccompProfile is Unconfined'
	image web:1 --env VERSION=v1
	deployment web web:1 1 >"$W/clone/web.yaml"
	push "without seccomp"
	wait_for 10 "the reason" sh -c "kedge get pods | grep -q CreateContainerError"
	kedge get pods -o json | jq -r '.items[0].status.containerStatuses[0].state.waiting.message' | tee "$W/said"
	grep -q 'no seccomp filters (CONFIG_SECCOMP_FILTER), and without one a container is not started' "$W/said"
	[ "$(kedge get pods -o json | jq '.items[0].status.containerStatuses[0].restartCount')" = 0 ]
	wait_for 5 "the status" sh -c "kedge status deploy | grep -q 'no seccomp filters'"
}

@test "a host without the memory controller runs pods, and says that limits are not enforced" {
	[ -d /sys/fs/cgroup/memory ] || skip "no cgroup v1"
	mkdir "$W/empty"
	mount --bind "$W/empty" /sys/fs/cgroup/memory
	kedge_start --source "deploy=$W/deploy.git"
	logged 'hand: warning: host: there is no cgroup controller for memory: memory limits are not enforced'
	run_web
	serves
	kedge_end
	KEDGED=
	umount /sys/fs/cgroup/memory
}

@test "a host without any cgroup is refused, with what to mount" {
	mount -t tmpfs tmpfs /sys/fs/cgroup
	: >"$W/kedge.yaml"
	kedged_fails '/sys/fs/cgroup holds neither cgroup v2 nor the v1 controllers cpu, memory, pids: mount one of them there'
	umount /sys/fs/cgroup
}
