# kit.bash -- more for end-to-end tests: small images, manifests in one breath, kubectl.
# shellcheck source=lib.bash
source "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

API=127.0.0.1:8001 # on the test host's own loopback

# box NAME:TAG...: busybox and talk under these names
box() {
	local name
	[ -x "$B/images/box/bin/busybox" ] || make -s -C "$ROOT/tests/e2e/images" O="$B/images"
	for name; do kedge image import "$B/images/box" "$name" --cmd '["/bin/talk","wait"]' >/dev/null; done
}

# For setup_file: a kedged with these options (and CONFIG as its kedge.yaml) that follows
# deploy.git, and box:1; in a file X_nftables.bats (a link to X.bats) with nftables' proxy.  A file's tests are processes of their own: its number is in $W/pid.
file_begin() {
	kedge_dirs
	repo_make
	case ${BATS_TEST_FILENAME##*/} in *_nftables*) CONFIG="${CONFIG:+$CONFIG$'\n'}proxy: nftables" ;; esac
	[ -z "${CONFIG:-}" ] || echo "$CONFIG" >"$W/kedge.yaml"
	kedge_start --source "deploy=$W/deploy.git" "$@"
	echo "$KEDGED" >"$W/pid"
	box box:1
}
# clocked CMD...: starts a kedged whose clock `jump` sets
clocked() {
	[ "$(basename "$B")" != build-san ] || export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"
	perl -e 'print pack("q", 0)' >"$W/clock"
	chmod 666 "$W/clock"
	install -m 755 "$B/images/clock.so" "$W/" # where the brain's user finds it, too
	KEDGE_TEST_CLOCK=$W/clock LD_PRELOAD=$W/clock.so${PRELOAD:+:$PRELOAD} "$@"
}
# jump SECONDS: what kedged and all that it starts take for the time since 1970 is off by as much
jump() { perl -e 'open(F, "+<", $ARGV[0]) or die; syswrite F, pack("q", $ARGV[1])' "$W/clock" "$1"; }
file_test() { KEDGED=$(cat "$W/pid"); } # for setup
file_end() { file_test && kedge_end; }  # for teardown_file

# put NAME: standard input as that file of the clone, pushed
put() { cat >"$W/clone/$1.yaml" && push "$1"; }
# drop NAME: and away
drop() { rm "$W/clone/$1.yaml" && push "no $1"$'\n\nKedge-Prune: yes'; }

# pod NAME IMAGE [COMMAND-AS-JSON]: a bare one; more lines of its container on standard input
# when MORE is set, of its spec in SPEC
pod() {
	cat <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, labels: {app: $1}}
		spec:
		  terminationGracePeriodSeconds: 1
	Y
	[ -z "${SPEC:-}" ] || sed 's/^/  /' <<<"$SPEC"
	cat <<-Y
		  containers:
		  - name: main
		    image: $2
	Y
	[ -z "${3:-}" ] || echo "    command: $3"
	[ -z "${MORE:-}" ] || sed 's/^/    /' <<<"$MORE"
	echo ---
}

nc() { "$B/images/box/bin/busybox" nc "$@"; }

# st POD JQ: of its first container's status;  is POD JQ VALUE
st() { field pod "$1" ".status.containerStatuses[0]$2"; }
is() { [ "$(field pod "$1" "$2")" = "$3" ]; }
st_is() { [ "$(st "$1" "$2")" = "$3" ]; }
phase_is() { is "$1" .status.phase "$2"; }
up() { wait_for "${2:-10}" "$1 is ready" is "$1" '[.status.conditions[]? | select(.type == "Ready")][0].status' True; }
# in_ POD CMD...: in its first container
in_() { local p=$1; shift; timeout 20 kedge exec "$p" -- "$@"; }

has() { [[ $output == *"$1"* ]] || { echo "no \"$1\" in: $output"; return 1; }; }
hasnt() { [[ $output != *"$1"* ]] || { echo "\"$1\" in: $output"; return 1; }; }
matches() { grep -qE -- "$1" <<<"$output" || { echo "nothing like $1 in: $output"; return 1; }; }

# refused TEXT CMD...: fails and says so
refused() {
	local text=$1
	shift
	run "$@"
	[ "$status" != 0 ] || { echo "not refused: $*"; return 1; }
	has "$text"
}

# served_begin: api_server, with no daemon behind it, at $W/api.sock and 127.0.0.1:$PORT.
# What is written into $W/in it obeys.
served_begin() {
	W=$(mktemp -d /tmp/ka.XXXXXX)
	export W HOME=$W KUBECONFIG=/dev/null
	mkdir "$W/logs"
	mkfifo "$W/in"
	"$B/tests/e2e/api_server" "$W/api.sock" 127.0.0.1:0 "$W/logs" \
		"$BATS_TEST_DIRNAME/api_world.yaml" <"$W/in" >"$W/out" 2>"$W/err" 3>&- &
	SERVER=$!
	sleep 1000 >"$W/in" 3>&- &
	HOLD=$!
	export SERVER HOLD
	for _ in $(seq 100); do grep -q ready "$W/out" && break; sleep 0.05; done
	PORT=$(awk '/^ready/{print $2}' "$W/out")
	export PORT
	[ -n "$PORT" ] || { cat "$W/err"; return 1; }
}
served_end() {
	kill "$HOLD"
	wait "$SERVER"
	rm -rf "$W"
}

# The oldest, a middle and the newest kubectl of this machine, or those of
# KEDGE_TEST_KUBECTLS="28 29 31 32".
kubectls() {
	local dir v all=()
	dir=$(dirname "$(readlink -f "$(command -v kubectl)")")
	for v in ${KEDGE_TEST_KUBECTLS:-27 30 33}; do [ ! -x "$dir/kubectl.1.$v" ] || all+=("$dir/kubectl.1.$v"); done
	[ ${#all[@]} -gt 0 ] || all=("$(command -v kubectl)")
	printf '%s\n' "${all[@]}"
}
# kubectl_needs MINOR: the oldest that a test is typed with; Debian's may be older
kubectl_needs() {
	local minor
	minor=$("${KUBECTLS%%[[:space:]]*}" version --client -o json | jq -r '.clientVersion.minor' | tr -dc 0-9)
	[ "${minor:-0}" -ge "$1" ] || skip "the only kubectl here is 1.$minor, and this needs 1.$1"
}
k() { HOME=$W KUBECONFIG=/dev/null timeout "${KTIME:-20}" "${K:-kubectl}" --server="http://$API" --cache-dir="$W/cache.$(basename "${K:-kubectl}")" "$@"; }
# every TEST: with $K one kubectl after the other.  Called plainly: before || no line of TEST
# but its last one could fail.
every() {
	local bin
	for bin in $KUBECTLS; do
		echo "with $bin:"
		K=$bin "$@"
	done
}
newer() { # newer MINOR: is $K at least 1.MINOR?
	local minor
	if [[ $K =~ kubectl\.1\.([0-9]+) ]]; then
		minor=${BASH_REMATCH[1]}
	else # Debian's own has no version in its name
		minor=$($K version --client -o json | jq -r '.clientVersion.minor | gsub("[^0-9].*"; "")')
	fi
	[ "$minor" -ge "$1" ]
}

# neighbour_begin: a host of its own at the other end of the link lan0, as lan1, until
# neighbour_end; who asks from there says `beside CMD...`.
neighbour_begin() {
	unshare --net sleep 1000 3>&- >/dev/null 2>&1 &
	echo $! >"$BATS_FILE_TMPDIR/neighbour"
	wait_for 5 "it has a network" sh -c "[ \$(readlink /proc/$!/ns/net) != \$(readlink /proc/self/ns/net) ]"
	ip link add lan0 type veth peer name lan1 netns $!
	ip link set lan0 up
	beside ip link set lan1 up
}
neighbour_end() { kill "$(cat "$BATS_FILE_TMPDIR/neighbour")"; }
beside() { nsenter -t "$(cat "$BATS_FILE_TMPDIR/neighbour")" -n "$@"; }
ask_beside() { beside "$B/images/box/bin/busybox" nc -w 2 "$1" "$2" </dev/null; }
# answers ADDRESS PORT [WHO]
answers() { ask_beside "$1" "$2" | grep -qE "${3:-.}"; }
