#!/usr/bin/env bats
# Watches over random histories, with the server killed and started again in between.
load kit.bash
KILLS=yes

setup_file() { file_begin --listen "$API"; }
setup() { file_test; }
teardown_file() { file_end; }

MAPS=/api/v1/namespaces/default/configmaps
write() { curl -sm 5 -o /dev/null -H "Content-Type: application/${4:-json}" -X "$1" "http://$API$MAPS$2" -d "$3" || true; }

# one random write of the twelve ConfigMaps m0 to m11
one() {
	local m=m$((RANDOM % 12))
	case $((RANDOM % 4)) in
	0 | 1) write POST "" '{"metadata": {"name": "'$m'"}, "data": {"n": "'$RANDOM'"}}' ;;
	2) write PATCH "/$m" '{"data": {"n": "'$RANDOM'"}}' merge-patch+json ;;
	3) write DELETE "/$m" '{}' ;;
	esac
}
now() { kedge get configmaps -o json | jq -r '.items[].metadata | "\(.name) \(.resourceVersion)"' | sort; }

@test "clients that watch see each change once, over kills of the brain and restarts of kedged" {
	local i w watchers=()
	RANDOM=4711
	for i in 1 2 3; do
		perl "$BATS_TEST_DIRNAME/watcher.pl" "$API" "$MAPS" "$W/enough" >"$W/saw.$i" 2>"$W/wrong.$i" 3>&- &
		watchers+=($!)
	done
	for ((i = 0; i < 240; i++)); do
		one
		case $i in
		40 | 41 | 80 | 120 | 160) kill -9 "$(brain_of)" 2>/dev/null || true ;;
		100 | 200)
			kedge_stop
			kedge_start --source "deploy=$W/deploy.git" --listen "$API"
			echo "$KEDGED" >"$W/pid"
			;;
		esac
	done
	wait_for 10 "kedged answers" kedge get configmaps
	for ((i = 0; i < 20; i++)); do one; done
	touch "$W/enough"
	for i in 1 2 3; do
		w=0
		wait "${watchers[i - 1]}" || w=$?
		cat "$W/wrong.$i" "$W/saw.$i"
		[ "$w" = 0 ]
		diff <(now) <(grep -v '^lists' "$W/saw.$i")
		[ "$(sed -n 's/.*events \([0-9]*\).*/\1/p' "$W/saw.$i")" -gt 60 ]
	done
}
