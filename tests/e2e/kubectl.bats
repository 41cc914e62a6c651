#!/usr/bin/env bats
# The real kubectl, several versions of it, before a daemon with real pods.
load kit.bash

setup_file() {
	file_begin --listen "$API"
	KUBECTLS=$(kubectls)
	export KUBECTLS
	image web:1 --env VERSION=v1 >/dev/null
	world
}
setup() { file_test; }
teardown_file() { file_end; }

head_of() { git -C "$W/clone" rev-parse --short=7 HEAD; }
world() {
	{
		deployment web web:1 2
		echo ---
		service web
		echo ---
		cat <<-'Y'
			{apiVersion: v1, kind: ConfigMap, metadata: {name: cm, labels: {tier: conf}}, data: {a: one}}
			---
			{apiVersion: v1, kind: Secret, metadata: {name: sec}, stringData: {p: hidden}}
			---
			{apiVersion: v1, kind: Namespace, metadata: {name: other}}
			---
		Y
		pod loner box:1 '["/bin/sh", "-c", "echo first; echo second; exec talk wait"]'
		SPEC='restartPolicy: Never' pod over box:1 '["/bin/sh", "-c", "exit 4"]'
		pod far box:1 | sed 's/{name: far,/{name: far, namespace: other,/'
	} | put world
	wait_for 10 "two" has_ready app=web 2
	up loner
	wait_for 10 "it fails" phase_is over Failed
}

@test "get, wide, by name, as yaml, json, jsonpath and name" {
	t() {
		run k get pods,svc,deploy,rs,cm,secrets,nodes,ns,events,endpoints,endpointslices,sources,revisions -o wide
		[ "$status" = 0 ] || return 1
		matches '^pod/web-[a-z0-9]+-[a-z0-9]{5} +1/1 +Running +0 ' || return 1
		matches '^deployment.apps/web +2/2 +2 +2 .* web +web:1 +app=web$' || return 1
		matches '^service/web +ClusterIP .* 80/TCP .* app=web$' || return 1
		matches '^node/.* Ready ' || return 1
		run k get pod loner -o yaml
		has "image: box:1" || return 1
		matches '^  phase: Running$' || return 1
		[ "$(k get pod loner -o json | jq -r .kind)" = Pod ] || return 1
		[ "$(k get deploy web -o 'jsonpath={.status.readyReplicas}')" = 2 ] || return 1
		[ "$(k get svc -o name | xargs)" = "service/kubernetes service/web" ] || return 1
		run k get pod nothing
		[ "$output" = 'Error from server (NotFound): pods "nothing" not found' ]
	}
	every t
}

@test "selectors of labels and fields, and all namespaces" {
	t() {
		[ "$(k get pods -l app=web -o name | wc -l)" = 2 ] || return 1
		[ "$(k get pods -l 'app notin (web),app' -o name | sort | xargs)" = "pod/loner pod/over" ] || return 1
		[ "$(k get pods --field-selector status.phase=Failed -o name)" = pod/over ] || return 1
		[ "$(k get pods -A --field-selector metadata.namespace=other -o name)" = pod/far ] || return 1
		run k get pods -A
		matches '^other +far ' || return 1
		[ "$(k get events --field-selector involvedObject.name=loner,reason=Started -o name | wc -l)" = 1 ]
	}
	every t
}

@test "describe of every kind" {
	t() {
		run k describe pod loner
		matches '^Name: +loner$' || return 1
		matches 'Started container main' || return 1
		matches 'Container ID: +kedge://' || return 1
		run k describe pod over
		matches 'Exit Code: +4' || return 1
		matches 'Reason: +Error' || return 1
		run k describe deploy web
		matches '^Replicas: +2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable' || return 1
		matches 'Scaled up replica set web-[a-z0-9]+ from 0 to 2' || return 1
		matches '^NewReplicaSet: +web-[a-z0-9]+ \(2/2 replicas created\)' || return 1
		run k describe svc web
		matches '^Endpoints: +10\.42\.[0-9.]+:8080,10\.42\.[0-9.]+:8080' || return 1
		# before 1.21 it asks for slices as they were in beta
		for what in rs node cm/cm secret/sec ns/other endpoints $(newer 21 && echo endpointslices) sources revisions events; do
			run k describe "$what"
			[ "$status" = 0 ] || { echo "$what: $output"; return 1; }
			[ -n "$output" ] || { echo "nothing of $what"; return 1; }
		done
		run k describe secret sec
		hasnt hidden
	}
	every t
}

@test "logs of a pod, of a Deployment, with options" {
	t() {
		[ "$(k logs loner | xargs)" = "first second" ] || return 1
		[ "$(k logs loner --tail=1)" = second ] || return 1
		k logs loner --timestamps | grep -qE '^20[0-9-]+T[0-9:.]+Z first$' || return 1
		k logs loner --since=1h -c main | grep -q first || return 1
		k logs deploy/web >/dev/null || return 1
		run k logs loner -c nothing
		[ "$status" != 0 ] || return 1
		has "container nothing is not valid for pod loner"
	}
	every t
}

@test "logs of all containers of all pods with a label, each line with its prefix" {
	for p in choir-a choir-b; do
		SPEC='initContainers: [{name: tune, image: "box:1", command: [/bin/echo, la]}]' \
			pod $p box:1 '["/bin/sh", "-c", "echo one; exec talk wait"]' | sed "/^---/d; s/labels: {app: $p}/labels: {app: choir}/"
		printf '  - {name: side, image: "box:1", command: [/bin/sh, -c, "echo two; exec talk wait"]}\n---\n'
	done | put choir
	up choir-a
	up choir-b
	both() {
		for p in choir-a choir-b; do printf '%s\n' "[pod/$p/tune] la" "[pod/$p/main] one" "[pod/$p/side] two"; done | sort
	}
	t() {
		[ "$(k logs -l app=choir --prefix --all-containers | sort)" = "$(both)" ] || return 1
		[ "$(k logs -l app=choir --all-containers --tail=1 | sort | xargs)" = "la la one one two two" ] || return 1
		[ "$(k logs choir-a --prefix --all-containers --timestamps | grep -cE '^\[pod/choir-a/(tune|main|side)\] 20[0-9-]+T[0-9:.]+Z (la|one|two)$')" = 3 ] || return 1
		# followed, one connection for each of the six; more at once only when told to
		k logs -l app=choir --prefix --all-containers -f --max-log-requests=6 >"$W/sung" 2>&1 &
		all() { [ "$(sort "$W/sung")" = "$(both)" ]; }
		wait_for 10 "all lines came" all || return 1
		kill $!
		refused 'attempting to follow 6 log streams, but maximum allowed concurrency is 5' \
			k logs -l app=choir --prefix --all-containers -f
	}
	every t
	drop choir
}

@test "rollout status and history, wait, top-level questions" {
	t() {
		run k rollout status deploy web
		[ "$output" = 'deployment "web" successfully rolled out' ] || return 1
		run k rollout history deploy web
		matches '^1 +<none>$' || return 1
		run k wait --for=condition=Ready pod -l app=web --timeout=5s
		[ "$status" = 0 ] || return 1
		has "condition met" || return 1
		if newer 23; then # older ones know conditions only
			run k wait --for=jsonpath='{.status.phase}'=Failed pod/over --timeout=5s
			[ "$status" = 0 ] || return 1
		fi
		run k wait --for=condition=Ready pod/over --timeout=1s
		[ "$status" = 1 ] || return 1
		k version >/dev/null 2>&1 || return 1
		k cluster-info >/dev/null 2>&1 || true
		run k api-resources
		has deployments || return 1
		has revisions
	}
	every t
}

@test "a watch sees pods come, change and go" {
	t() {
		local n
		n=$(basename "$K" | tr . -)
		KTIME=8 k get pods -w -o name >"$W/watch" 2>&1 3>&- &
		local w=$!
		KTIME=8 k get pods -w --output-watch-events >"$W/watch.e" 2>&1 3>&- &
		local we=$!
		wait_for 5 "it began" grep -q loner "$W/watch"
		wait_for 5 "it began" grep -q loner "$W/watch.e"
		pod "guest-$n" box:1 | put guest
		wait_for 5 "it came" grep -q "guest-$n" "$W/watch"
		wait_for 5 "it runs" grep -qE "MODIFIED +guest-$n +1/1 +Running" "$W/watch.e"
		drop guest
		wait_for 8 "it goes" grep -qE "DELETED +guest-$n " "$W/watch.e"
		kill $w $we
		wait $w $we || true
	}
	every t
}

@test "a rollout is followed to its end" {
	t() {
		{
			deployment web web:1 2
			echo "# $K"
		} | sed "s/labels: {app: web}}/labels: {app: web, by: \"$(basename "$K")\"}}/" >"$W/new.yaml"
		sed -n '/^---$/,$p' "$W/clone/world.yaml" >"$W/rest.yaml"
		cat "$W/new.yaml" "$W/rest.yaml" | put world
		wait_for 5 "it began" sh -c "kedge get deploy web -o json | jq -e '.spec.template.metadata.labels.by == \"$(basename "$K")\"'"
		run k rollout status deploy web --timeout=20s
		[ "$status" = 0 ] || return 1
		has 'successfully rolled out'
	}
	every t
}

@test "what Git states is refused over the API with where it stands" {
	t() {
		run k scale deploy web --replicas=5
		[ "$status" != 0 ] || return 1
		matches "spec.replicas is owned by Git: world.yaml:[0-9]+ at $(head_of)" || return 1
		run k delete deploy web
		[ "$status" != 0 ] || return 1
		has "is owned by Git: world.yaml:1 at $(head_of) (source deploy); remove it there and commit" || return 1
		[ "$(field deploy web .spec.replicas)" = 2 ]
	}
	every t
}

@test "a pod that kubectl deletes is made again" {
	old=$(kedge get pods -l app=web -o json | jq -r '.items[0].metadata.name')
	run k delete pod "$old"
	[ "$status" = 0 ]
	has "pod \"$old\" deleted"
	wait_for 10 "two" has_ready app=web 2
	run k get pod "$old"
	[ "$status" = 1 ]
}
