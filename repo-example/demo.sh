#!/bin/bash
# demo.sh -- kedge's main job, from an empty repository to a rollback, on this host.
#
# Uses its own folders and takes everything away again.  KEEP=1 leaves it running.
# The last line is "demo: ok, N requests, 0 failed", or what went wrong (exit 1).
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-$PWD/build}
D=$(mktemp -d /tmp/kedge-demo.XXXXXX)
chmod 755 "$D"
export KEDGE_SOCKET=$D/run/api.sock
PATH=$B:$PATH
daemon= client=

title() { printf '\n\033[1m== %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
# As it can be typed: what a shell would take apart is quoted.
run() {
	local word line=

	for word; do
		[[ $word =~ ^[A-Za-z0-9_./:=,@+-]+$ ]] || word=${word@Q}
		line+=" $word"
	done
	printf '$%s\n' "$line" | sed 's/git_ push -q/git push/'
	"$@"
}
fail() {
	trap - EXIT
	echo "demo: $*"
	[ -e "$D/kedged.log" ] && { echo "-- the last of kedged's log:"; tail -n 20 "$D/kedged.log"; }
	clean
	exit 1
}
clean() {
	trap '' INT TERM # who is impatient would leave pods that nobody knows
	[ -n "$client" ] && kill "$client" 2>/dev/null
	if [ -n "$daemon" ] && kill -0 "$daemon" 2>/dev/null; then
		kedge down --yes >/dev/null 2>&1 || kill "$daemon" 2>/dev/null
		for _ in $(seq 100); do kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
	fi
	rm -rf "$D"
}
trap 'fail "interrupted"' INT TERM
trap clean EXIT

git_() { git -C "$D/clone" -c user.name=you -c user.email=you@example.com -c commit.gpgsign=false "$@"; }
# The commit that was just pushed is there, healthy.
arrived() { kedge wait --for "$(git_ rev-parse HEAD)" --timeout 30s >"$D/wait.log" 2>&1 || { cat "$D/wait.log"; fail "commit did not become healthy"; }; }
cluster_ip() { kedge get svc "$1" -o json | jq -r .spec.clusterIP; }

for socket in /tmp/kedge-demo.*/run/api.sock; do
	[ -S "$socket" ] && KEDGE_SOCKET=$socket kedge get nodes >/dev/null 2>&1 &&
		fail "one still runs; this ends it: sudo env KEDGE_SOCKET=$socket $B/kedge down"
done

title "1. Two images from repo-example/images, one server in two versions"
MAKEFLAGS= make -s -C repo-example/images O="$B/images" || fail "the images could not be built"
git init -q --bare "$D/deploy.git" && git -C "$D/deploy.git" symbolic-ref HEAD refs/heads/main
: >"$D/kedge.yaml"
# In a session of its own: Ctrl-C ends this script, and this script ends what kedged runs.
setsid kedged --source "deploy=$D/deploy.git" --state "$D/state" --run "$D/run" --logs "$D/logs" \
	--cgroup "${KEDGE_CGROUP:-}kedge-demo" --config "$D/kedge.yaml" >"$D/kedged.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do [ -S "$KEDGE_SOCKET" ] && kedge version >/dev/null 2>&1 && break
	kill -0 $daemon 2>/dev/null || fail "kedged did not start"; sleep 0.05; done
for v in 1 2; do
	run kedge image import "$B/images/web" "web:$v" --entrypoint '["/web"]' --env "VERSION=v$v" --port 8080 || fail "image import"
done
run kedge image ls

title "2. A repository is cloned, manifests are pushed"
git clone -q "$D/deploy.git" "$D/clone" 2>/dev/null
cp -r repo-example/web repo-example/.kedgeignore "$D/clone/"
git_ add -A && git_ commit -qm "web: three replicas of version 1"
run git_ push -q origin HEAD:main || fail "push"
arrived
run kedge get pods -o wide
run kedge status

title "3. The Service spreads requests over three pods"
IP=$(cluster_ip web)
for _ in $(seq 30); do curl -sm 2 "http://$IP/" || fail "the ClusterIP does not answer"; done | sort | uniq -c
HOST=$(kedge get nodes -o json | jq -r '.items[0].status.addresses[] | select(.type=="InternalIP").address')
echo "\$ curl http://$HOST:30080/"
curl -sm 2 "http://$HOST:30080/" || fail "the NodePort does not answer"
[ "$(for _ in $(seq 60); do curl -sm 2 "http://$IP/"; done | awk '{print $1}' | sort -u | wc -l)" = 3 ] || fail "not all three pods answer"

title "4. Version 2 is pushed while a client keeps asking"
(
	n=0 bad=0
	trap 'echo "$n $bad" >"$D/requests"; exit 0' TERM
	while :; do
		curl -sfm 5 -o /dev/null "http://$IP/" || bad=$((bad + 1))
		n=$((n + 1))
	done
) &
client=$!
sed -i 's/image: web:1/image: web:2/' "$D/clone/web/deployment.yaml"
sed -i 's/change-cause: .*/change-cause: version 2/' "$D/clone/web/deployment.yaml"
git_ commit -qam "web: version 2"
run git_ push -q origin HEAD:main
arrived
for _ in $(seq 100); do [ "$(kedge get pods -o json | jq '.items | length')" = 3 ] && break; sleep 0.1; done
sleep 0.3
kill -TERM $client; wait $client 2>/dev/null; client=
read -r requests failed <"$D/requests"
echo "requests sent: $requests, failed: $failed"
curl -sm 2 "http://$IP/" | grep -q v2 || fail "version 2 does not answer"
[ "$failed" = 0 ] || fail "$failed of $requests requests failed"
run kedge get deploy,rs,pods

title "5. A broken manifest is pushed: nothing changes"
before=$(kedge get pods -o json | jq -c '[.items[].metadata.name]')
sed -i 's/containers:/containres:/' "$D/clone/web/deployment.yaml"
git_ commit -qam "web: oops"
run git_ push -q origin HEAD:main
kedge wait --for "$(git_ rev-parse HEAD)" --timeout 10s >"$D/wait.log" 2>&1 && fail "a broken manifest was taken"
run kedge status
kedge status | grep -qE 'web/deployment.yaml:[0-9]+:[0-9]+: ' || fail "the error has no place"
[ "$before" = "$(kedge get pods -o json | jq -c '[.items[].metadata.name]')" ] || fail "a broken manifest changed pods"

title "6. git revert, twice: the error goes, then version 1 is back"
git_ revert --no-edit HEAD >/dev/null && git_ revert --no-edit HEAD~2 >/dev/null
run git_ push -q origin HEAD:main
arrived
for _ in $(seq 50); do out=$(curl -sm 2 "http://$IP/"); case $out in *v1*) break ;; esac; sleep 0.1; done
echo "$out"
case $out in *v1*) ;; *) fail "version 1 did not come back" ;; esac
[ "$(kedge get rs -o json | jq '.items | length')" = 2 ] || fail "the revert made a third ReplicaSet"
run kedge history

if [ -n "${KEEP:-}" ]; then
	trap - EXIT
	title "It is left running"
	cat <<-T
		  sudo env KEDGE_SOCKET=$KEDGE_SOCKET "PATH=$B:\$PATH" bash       and in that shell:
		  kedge status -w;  kedge get pods -A -o wide;  kedge logs deploy/web;  curl http://$IP/
		  edit, commit and push in $D/clone
		  kedge down && rm -r $D      ends and removes everything
	T
else
	title "7. Everything is taken away"
	run kedge down --yes || fail "kedge down"
	for _ in $(seq 100); do kill -0 $daemon 2>/dev/null || break; sleep 0.1; done
	kill -0 $daemon 2>/dev/null && fail "kedged did not end"
	daemon=
	iptables-save 2>/dev/null | grep -q KDG- && fail "rules were left behind"
	ip link show kedge0 >/dev/null 2>&1 && fail "the bridge was left behind"
fi
echo "demo: ok, $requests requests, $failed failed"
