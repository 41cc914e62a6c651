#!/usr/bin/env bats
# The main job: push, roll, refuse, revert.
load lib.bash

setup_file() {
	load lib.bash
	kedge_dirs
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	export KEDGED
	image web:1 --env VERSION=v1
	image web:2 --env VERSION=v2
}
teardown_file() {
	load lib.bash
	kedge_end
}

@test "a pushed Deployment comes up with all its replicas and a Service reaches them" {
	deployment web web:1 3 >"$W/clone/web.yaml"
	service web >"$W/clone/svc.yaml"
	push_wait "first"
	[ "$(pods_ready app=web)" = 3 ]
	ip=$(field svc web .spec.clusterIP)
	for _ in $(seq 60); do curl -sm 2 "http://$ip/"; done | awk '{print $1}' | sort -u >"$W/names"
	[ "$(wc -l <"$W/names")" = 3 ]
	kedge get pods -l app=web -o json | jq -r '.items[].metadata.name' | sort | diff - "$W/names"
}

@test "pods are named as Kubernetes names them" {
	kedge get pods -l app=web -o json | jq -r '.items[].metadata.name' | grep -qE '^web-[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$'
}

@test "a deleted pod is replaced" {
	old=$(kedge get pods -l app=web -o json | jq -r '.items[0].metadata.name')
	kedge delete pod "$old"
	wait_for 10 "the pod goes" sh -c "! kedge get pod $old"
	wait_for 10 "three are ready" has_ready app=web 3
}

@test "a rolling update under constant new connections loses no request" {
	ip=$(field svc web .spec.clusterIP)
	(
		n=0 bad=0
		trap 'echo "$n $bad" >"$W/count"; exit 0' TERM
		while [ $n -lt 20000 ]; do
			curl -sfm 5 -o /dev/null "http://$ip/" || bad=$((bad + 1))
			n=$((n + 1))
		done
	) 3>&- &
	client=$!
	for v in 2 1 2; do
		deployment web web:$v 3 >"$W/clone/web.yaml"
		push_wait "version $v"
	done
	wait_for 15 "only three are left" sh -c '[ "$(kedge get pods -l app=web -o json | jq ".items | length")" = 3 ]'
	kill -TERM $client
	wait $client || true
	read -r n bad <"$W/count"
	echo "$n requests, $bad failed"
	[ "$n" -gt 20 ]
	[ "$bad" = 0 ]
}

@test "a broken manifest is refused with its place, and what ran runs on" {
	before=$(kedge get pods -o json | jq -c '[.items[].metadata.uid] | sort')
	good=$(head_id)
	sed -i 's/containers:/containres:/' "$W/clone/web.yaml"
	push "oops"
	run kedge wait --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	run kedge status
	[[ $output =~ web.yaml:[0-9]+:[0-9]+:\ .*containres ]]
	[[ $output =~ containers ]]
	kedge history | grep -q 'web.yaml:[0-9]*:[0-9]*:'
	kedge events | grep -q 'web.yaml:[0-9]*:[0-9]*:'
	[ "$before" = "$(kedge get pods -o json | jq -c '[.items[].metadata.uid] | sort')" ]
	g revert --no-edit HEAD >/dev/null
	g push -q origin HEAD:main
	kedge wait --for "$(head_id)" --timeout 10s
	[ "$before" = "$(kedge get pods -o json | jq -c '[.items[].metadata.uid] | sort')" ]
}

@test "git revert brings back the former ReplicaSet and makes no third" {
	before=$(kedge get rs -l app=web -o json | jq -c '[.items[].metadata.name] | sort')
	deployment web web:1 3 >"$W/clone/web.yaml"
	push_wait "back to 1"
	[ "$before" = "$(kedge get rs -l app=web -o json | jq -c '[.items[].metadata.name] | sort')" ]
}

@test "diff says nothing when settled, and shows the plan of another commit" {
	run kedge diff
	echo "$output"
	[ "$status" = 0 ]
	[ -z "$output" ]
	run kedge diff "$(g rev-parse HEAD~1)" # web:2
	echo "$output"
	[ "$status" = 1 ]
	[[ $output =~ "~ update deployment default/web" ]]
}

@test "rollback writes a commit that takes the old tree" {
	n=$(kedge get revisions -o json | jq '[.items[] | select(.status.outcome != "Failed")] | max_by(.spec.number) | .spec.number')
	deployment web web:2 3 >"$W/clone/web.yaml"
	push_wait "two again"
	kedge rollback "$n"
	wait_for 10 "the commit is there" sh -c "git -C $W/deploy.git log --format=%s | head -n 1 | grep -q 'Roll back to revision $n'"
	kedge wait --timeout 20s
	[ "$(kedge get deploy web -o json | jq -r '.spec.template.spec.containers[0].image')" = web:1 ]
	g pull -q --rebase origin main
}

@test "the revert of one pod that never became ready is no failure" {
	deployment one web:1 >"$W/clone/one.yaml"
	push_wait "one"
	deployment one none:1 | sed 's/^spec:/&\n  progressDeadlineSeconds: 2/' >"$W/clone/one.yaml"
	push "what is not there"
	run kedge wait --for "$(head_id)" --timeout 60s
	[ "$status" = 1 ]
	[[ $output == *"exceeded its progress deadline"* ]]
	deployment one web:1 >"$W/clone/one.yaml"
	push_wait "as it was"
	rm "$W/clone/one.yaml"
	push_wait "none"
}

@test "what leaves the repository is pruned, and only that" {
	service extra >"$W/clone/extra.yaml"
	push_wait "one more service"
	kedge get svc extra
	rm "$W/clone/extra.yaml"
	push_wait "and away"
	run kedge get svc extra
	[ "$status" != 0 ]
	kedge get svc web
}

@test "an emptied repository does not delete everything" {
	for i in 1 2 3 4 5 6 7; do
		printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%s}\n' $i >"$W/clone/c$i.yaml"
	done
	push_wait "seven more"
	mkdir "$W/away"
	mv "$W"/clone/*.yaml "$W/away/"
	push "empty"
	run kedge wait --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	kedge status | grep -q -- --allow-prune
	[ "$(pods_ready app=web)" = 3 ]
	mv "$W"/away/*.yaml "$W/clone/"
	push_wait "full again"
}

@test "suspend holds a push back and resume applies it" {
	kedge suspend
	service late >"$W/clone/late.yaml"
	push "while suspended"
	sleep 0.5
	run kedge get svc late
	[ "$status" != 0 ]
	kedge resume
	wait_for 10 "the service comes" kedge get svc late
}

@test "a pod's logs are there" {
	pod=$(kedge get pods -l app=web -o json | jq -r '.items[0].metadata.name')
	kedge logs "$pod"
}

@test "exec of what is not there says so" {
	pod=$(kedge get pods -l app=web -o json | jq -r '.items[0].metadata.name')
	run -127 kedge exec "$pod" -- /nothing-here
}

@test "logs of pods that are no more are removed" {
	wait_for 10 "only living pods have logs" sh -c \
		'[ "$(ls "$W/logs" | wc -l)" = "$(kedge get pods -o json | jq ".items | length")" ]'
}

@test "what is put back while its namespace goes is made once that is gone, and only then" {
	printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n' >"$W/clone/shop.yaml"
	deployment slow web:1 | sed 's/name: slow$/&\n  namespace: shop/; s/Seconds: 5/Seconds: 8/
		s/image: .*/&\n        lifecycle: {preStop: {sleep: {seconds: 6}}}/' >"$W/clone/slow.yaml"
	push_wait "a shop"
	rm "$W/clone/shop.yaml" "$W/clone/slow.yaml"
	push $'none\n\nKedge-Prune: yes'
	wait_for 10 "it goes" sh -c 'kedge get ns shop -o json | jq -e ".status.phase == \"Terminating\""'
	g revert --no-edit HEAD >/dev/null
	g push -q origin HEAD:main
	kedge wait --for "$(head_id)" --timeout 40s
	[ "$(pods_ready app=slow shop)" = 1 ]
	[ "$(grep -c '+ create deployment shop/slow' "$W/kedged.log")" = 2 ]
}

@test "what Git states is made when its namesake that was not Git's is gone" {
	jq -n '{apiVersion: "v1", kind: "Pod", metadata: {name: "alone"}, spec: {terminationGracePeriodSeconds: 8,
		containers: [{name: "web", image: "web:1", lifecycle: {preStop: {sleep: {seconds: 6}}}}]}}' >"$W/alone.yaml"
	curl -sSf --unix-socket "$KEDGE_SOCKET" -H 'Content-Type: application/json' --data-binary "@$W/alone.yaml" \
		http://kedge/api/v1/namespaces/default/pods
	wait_for 10 "it runs" sh -c 'kedge get pod alone | grep -q Running'
	uid=$(field pod alone .metadata.uid)
	kedge delete pod alone
	cp "$W/alone.yaml" "$W/clone/alone.yaml"
	push_wait "Git's own"
	[ "$(field pod alone .metadata.uid)" != "$uid" ]
	[ "$(field pod alone '.metadata.labels["kedge.dev/source"]')" = deploy ]
}
