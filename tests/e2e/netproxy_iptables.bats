# What looks into iptables' own tables; netproxy_backends.bats has the like for nftables.  Run as
# netproxy_iptables_legacy.bats (a link to this file) everything is repeated with the other iptables.
load netproxy_kit

setup() { setup_host; }
teardown() { teardown_host; }

@test "a flush by somebody else is noticed and repaired" {
	np_start
	pod 2
	serve 8080 2
	web 10.42.0.2:8080
	np check
	[[ $said == "ok intact"* ]]
	chain=$(iptables_ -t nat -S | sed -n 's/^-N \(KDG-S-.*\)/\1/p')
	for harm in "-t nat -F" "-F" "-t nat -F PREROUTING" "-t nat -F $chain" "-t nat -D OUTPUT -j KDG-D" \
		"-D FORWARD -j KDG-F" "-t nat -I OUTPUT -j KDG-D" "-F KDG-CANARY-1"; do
		want=$(rules_now)
		iptables_ $harm
		np check
		echo "$harm: $said"
		[[ $said == "ok broken"* ]]
		np commit
		[[ $said == *whole=1* ]]
		np check
		[[ $said == "ok intact"* ]]
		[ "$(rules_now)" = "$want" ]
		[[ $(get 10.43.0.80) == "pod2 "* ]]
	done
	# all at once, tables and all
	iptables_ -t nat -F
	iptables_ -F
	iptables_ -t nat -X
	iptables_ -X
	np check
	[[ $said == "ok broken"* ]]
	np commit
	[[ $(get 10.43.0.80) == "pod2 "* ]]
}

@test "forwarding that somebody turns off is on again, and off when kedge goes" {
	echo 1 >/proc/sys/net/ipv4/ip_forward
	np_start
	np check
	[[ $said == "ok intact"* ]]
	echo 0 >/proc/sys/net/ipv4/ip_forward
	np check
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
	grep -q 'somebody set /proc/sys/net/ipv4/ip_forward to 0; it is 1 again' "$BATS_TEST_TMPDIR/stderr"
	# that it was is noted among the rules, which nobody had touched
	[[ $said == "ok broken"* ]]
	np commit
	rules_now | grep -q KDG-FORWARD-WAS-0
	! grep "somebody removed kedge's chains" "$BATS_TEST_TMPDIR/stderr" || false
	echo 0 >/proc/sys/net/ipv4/ip_forward
	np check
	[[ $said == "ok intact"* ]]
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
	np down
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ]
}

@test "very many rules that somebody deleted come back; iptables-nft gets them in transactions of a bounded size" {
	real=/usr/sbin/iptables-$(variant)-restore
	printf '#!/bin/sh\ncat >%s\nexec %s "$@" <%s\n' "$BATS_TEST_TMPDIR/text" "$real" "$BATS_TEST_TMPDIR/text" \
		>"$BATS_TEST_TMPDIR/restore"
	chmod +x "$BATS_TEST_TMPDIR/restore"
	largest() { awk '/^\*/ {n = 0} /^:/ && ++n > most {most = n} END {print most}' "$BATS_TEST_TMPDIR/text"; }
	np_start -p "$BATS_TEST_TMPDIR/restore"
	np many 5000 10.42.0.2:8080
	np commit
	echo "$said, at most $(largest) chains at once"
	[ "$(variant)" = legacy ] || [ "$(largest)" -lt 1010 ]
	rules_now | sort >"$BATS_TEST_TMPDIR/want"
	for t in nat filter; do
		iptables_ -t $t -F
		iptables_ -t $t -X
	done
	np check
	[[ $said == "ok broken"* ]]
	np commit
	echo "$said, at most $(largest) chains at once"
	[[ $said == *whole=1* ]]
	[ "$(variant)" = legacy ] || [ "$(largest)" -lt 1050 ]
	rules_now | sort | diff "$BATS_TEST_TMPDIR/want" -
	np check
	[[ $said == "ok intact"* ]]
}

@test "one change writes a few chains, however many services there are" {
	np_start
	np many 1000 10.42.0.2:8080
	np commit
	echo "$said"
	np set fill/500 10.43.17.244 tcp 80 0 0 0 10.42.0.2:8080 10.42.0.3:8080
	np commit
	echo "$said"
	[[ $said == "ok chains=1 rules=2 removed=0 whole=0"* ]]
	np set fill/500 10.43.17.244 tcp 80 0 0 0 10.42.0.3:8080
	np commit
	echo "$said"
	[[ $said == "ok chains=1 rules=1 removed=0 whole=0"* ]]
	# with an affinity each endpoint has a chain
	np set fill/500 10.43.17.244 tcp 80 0 60 0 10.42.0.2:8080 10.42.0.3:8080
	np commit
	echo "$said"
	[[ $said == "ok chains=3 "* && $said == *"removed=0 whole=0"* ]]
	np set fill/500 10.43.17.244 tcp 80 0 60 0 10.42.0.3:8080
	np commit
	echo "$said"
	[[ $said == "ok chains=1 "* && $said == *"removed=1 whole=0"* ]]
	# a new service: its own chains and one leaf
	np set default/web:http 10.43.16.0 tcp 443 0 0 0 10.42.0.3:8080
	np commit
	echo "$said"
	chains=${said#ok chains=}
	[ "${chains%% *}" -le 5 ]
	# nothing
	np set default/web:http 10.43.16.0 tcp 443 0 0 0 10.42.0.3:8080
	np commit
	[[ $said == "ok chains=0 rules=0 removed=0 "* ]]
}

@test "rules that are there serve through a restart, until the first commit" {
	np_start
	pod 2 3
	serve 8080 2 3
	web 10.42.0.2:8080
	np set default/gone:http 10.43.0.81 tcp 80 0 0 0 10.42.0.2:8080
	np commit
	np close
	[[ $(get 10.43.0.80) == "pod2 "* ]]
	np open
	[[ $(get 10.43.0.80) == "pod2 "* ]]
	[[ $(get 10.43.0.81) == "pod2 "* ]]
	np check
	[[ $said == "ok intact"* ]]
	web 10.42.0.3:8080
	[[ $said == *whole=1* ]]
	[[ $(get 10.43.0.80) == "pod3 "* ]]
	run get 10.43.0.81
	[ "$status" = 7 ]
	[ "$(iptables_ -t nat -S | grep -c '^-A PREROUTING')" = 1 ]
}

@test "a commit that fails in part is tried whole" {
	np_start
	pod 2 3
	serve 8080 2 3
	np set default/web:http 10.43.0.80 tcp 80 0 60 0 10.42.0.2:8080
	np commit
	iptables_ -t nat -F
	iptables_ -t nat -X
	# leads to the chain of 10.42.0.2, which is as before
	np set default/web:http 10.43.0.80 tcp 80 0 60 0 10.42.0.2:8080 10.42.0.3:8080
	np commit
	echo "$said"
	[[ $said == *whole=1* ]]
	[[ $(get 10.43.0.80) == "pod"* ]]
}

@test "an iptables that hangs is killed, and the next commit is as if it had never been" {
	cat >"$BATS_TEST_TMPDIR/iptables-restore" <<-EOF
		#!/bin/bash
		[ "\$1" = -V ] && exec /usr/sbin/iptables-$(variant)-restore -V
		[ -e "$BATS_TEST_TMPDIR/hang" ] && exec sleep 1000
		exec /usr/sbin/iptables-$(variant)-restore "\$@"
	EOF
	chmod +x "$BATS_TEST_TMPDIR/iptables-restore"
	np_start -p "$BATS_TEST_TMPDIR/iptables-restore" -t 5
	pod 2
	serve 8080 2
	touch "$BATS_TEST_TMPDIR/hang"
	run web 10.42.0.2:8080
	[[ $output == *"iptables-restore did not end within 5 s"*" was killed"* ]]
	rm "$BATS_TEST_TMPDIR/hang"
	np commit
	[[ $(get 10.43.0.80) == "pod2 "* ]]
}

# An iptables-restore that, while there is a file "half", writes the first table of its input and
# no more, and notes its pid; and a Service that was reached, and is not any more.
half() {
	cat >"$BATS_TEST_TMPDIR/iptables-restore" <<-EOF
		#!/bin/bash
		real=/usr/sbin/iptables-$(variant)-restore
		[ "\$1" = -V ] && exec \$real -V
		[ -e "$BATS_TEST_TMPDIR/half" ] || exec \$real "\$@"
		sed '/^COMMIT/q' | \$real "\$@"
		echo \$\$ >"$BATS_TEST_TMPDIR/written"
		exec sleep 1000
	EOF
	chmod +x "$BATS_TEST_TMPDIR/iptables-restore"
	np_start -p "$BATS_TEST_TMPDIR/iptables-restore"
	pod 2
	serve 8080 2
	web 10.42.0.2:8080
	want=$(rules_now)
	web
	run get 10.43.0.80
	[ "$status" = 7 ]
}

# It is served again: so says nat, and the filter still refuses.
half_way() {
	touch "$BATS_TEST_TMPDIR/half"
	np set default/web:http 10.43.0.80 tcp 80 30080 0 0 10.42.0.2:8080
	echo commit >&"$np_in"
	soon test -s "$BATS_TEST_TMPDIR/written"
	[ "$(rules_now)" != "$want" ]
	rules_now | grep -q 'to-destination 10.42.0.2:8080'
	rm "$BATS_TEST_TMPDIR/half"
}

@test "an iptables-restore that is killed between its tables is followed by all of it" {
	half
	half_way
	kill -9 "$(cat "$BATS_TEST_TMPDIR/written")"
	IFS= read -r -t 60 said <&"$np_out"
	[[ $said == ok*whole=1* ]]
	[ "$(rules_now)" = "$want" ]
	[[ $(get 10.43.0.80) == "pod2 "* ]]
	np check
	[[ $said == "ok intact"* ]]
}

@test "who dies between the two tables is followed by one that writes both" {
	half
	half_way
	kill -9 "$np_pid" "$(cat "$BATS_TEST_TMPDIR/written")"
	wait "$np_pid" || true
	np_start -p "$BATS_TEST_TMPDIR/iptables-restore"
	web 10.42.0.2:8080
	[[ $said == *whole=1* ]]
	[ "$(rules_now)" = "$want" ]
	[[ $(get 10.43.0.80) == "pod2 "* ]]
	np check
	[[ $said == "ok intact"* ]]
}
