# What netproxy*.bats share: the driver as `np`, network namespaces as pods.
B=${B:-$PWD/build}
here=${BASH_SOURCE[0]%/*}

variant() {
	case ${BATS_TEST_FILENAME##*/} in *legacy*) echo legacy ;; *) echo nft ;; esac
}

backend() {
	case ${BATS_TEST_FILENAME##*/} in *nftables*) printf %s -n ;; esac
}

np_start() {
	coproc NP { exec "$B/tests/e2e/netproxy_drive" -p "/usr/sbin/iptables-$(variant)-restore" $(backend) "$@" 3>&- 2>>"$BATS_TEST_TMPDIR/stderr"; }
	np_in=${NP[1]} np_out=${NP[0]} np_pid=$NP_PID
	np open
}

# One command; its answer is in $said.  Fails on "error: ...".
np() {
	echo "$*" >&"$np_in"
	said=
	IFS= read -r -t 60 said <&"$np_out"
	[[ $said == ok* ]] || { echo "np $*: $said"; return 1; }
}

# soon CMD...: waits until it succeeds, 5 s at most
soon() {
	local i
	for ((i = 0; i < 500; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.01; done
	echo "not within 5 s: $*"
	return 1
}

own_net() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
there() { ip link show "$1" >/dev/null 2>&1; }
listens() { in_pod "$1" ss -Hltn "sport = :$2" | grep -q .; }

# pod N...: namespaces with the addresses 10.42.0.N
pod() {
	local n
	for n in "$@"; do
		unshare --net sleep 1000 3>&- >/dev/null 2>&1 &
		pod_pid[n]=$!
	done
	for n in "$@"; do
		soon own_net "${pod_pid[n]}"
		np plug "/proc/${pod_pid[n]}/ns/net" "10.42.0.$n"
	done
}

in_pod() {
	local n=$1
	shift
	nsenter -t "${pod_pid[n]}" -n "$@"
}

peer() { perl "$here/netproxy_peer.pl" "$@"; }

# serve PORT N...: pod N answers "podN CLIENT" over TCP and UDP
serve() {
	local port=$1 n
	shift
	for n in "$@"; do
		in_pod "$n" perl "$here/netproxy_peer.pl" serve "pod$n" "$port" 3>&- >/dev/null 2>&1 &
		started+=($!)
	done
	for n in "$@"; do
		soon listens "$n" "$port"
	done
}

get() { curl -sS --max-time 5 "http://$1/"; }

# times COUNT CMD...: how often each answer came: "12 pod2"
times() {
	local count=$1 i
	shift
	for ((i = 0; i < count; i++)); do "$@" || echo "failed"; done | awk '{n[$1]++} END {for (k in n) print n[k], k}'
}

iptables_() { "/usr/sbin/iptables-$(variant)" "$@"; }
save_() { "/usr/sbin/iptables-$(variant)-save" "$@"; }

# The rules without counters, comments and the kernel's default chains' numbers.
rules_now() { save_ | sed -E '/^#/d; s/\[[0-9]+:[0-9]+\]//'; }

setup_host() {
	pod_pid=() started=()
	[ -n "${KEDGE_TEST_HOST:-}" ] || skip "packets only on a test host"
	conntrack -F >/dev/null 2>&1 || true
}

teardown_host() {
	local p left=0
	if [ -n "${np_pid:-}" ]; then
		np down || true
		# its exit status is also the leak checker's, under SAN=1
		echo quit >&"$np_in" || true
		wait "$np_pid" || left=$?
	fi
	for p in "${started[@]}" "${pod_pid[@]}"; do kill "$p" 2>/dev/null || true; done
	[ "$left" = 0 ] || { cat "$BATS_TEST_TMPDIR/stderr"; return "$left"; }
}

web() { np set default/web:http 10.43.0.80 tcp 80 30080 0 0 "$@" && np commit; }
