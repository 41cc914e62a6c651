#!/usr/bin/env bats
# Writing over the API with the real kubectl, oldest to newest, before a daemon with real pods.
load kit.bash

setup_file() {
	file_begin --listen "$API"
	KUBECTLS=$(kubectls)
	export KUBECTLS
	box box:2
	printf '#!/bin/sh\nexec sed -i "s/replicas: 0/replicas: 1/" "$1"\n' >"$W/editor"
	chmod +x "$W/editor"
	image web:1 --env VERSION=v1 >/dev/null
}
setup() { file_test && kubectl_needs 27; }
teardown_file() { file_end; }

head_of() { git -C "$W/clone" rev-parse --short=7 HEAD; }
left() { [ -z "$(k get deploy,rs,pods -o name)" ]; }
left_none() { [ -z "$(k get "$@" --ignore-not-found -o name)" ]; }
gone() { ! k get "$@" >/dev/null 2>&1; }
# talk DEPLOYMENT [REPLICAS]: a manifest of box:1
talk() {
	cat <<-Y
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: $1, labels: {app: $1}}
		spec:
		  replicas: ${2:-1}
		  selector: {matchLabels: {app: $1}}
		  template:
		    metadata: {labels: {app: $1}}
		    spec:
		      terminationGracePeriodSeconds: 1
		      containers:
		      - {name: box, image: "box:1", command: [talk, wait]}
	Y
}
restart() { # kedged ends and begins anew, as at an upgrade
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git" --listen "$API"
	echo "$KEDGED" >"$W/pid"
}
curl_() { curl -sS --max-time 10 --unix-socket "$W/run/api.sock" "$@"; }
api() { # api METHOD PATH [TYPE]: standard input is the body
	curl_ -X "$1" -H "Content-Type: ${3:-application/json}" --data-binary @- "http://localhost$2"
}

@test "create, apply, replace, edit, label, annotate, patch and delete" {
	t() {
		talk a | k create -f - || return 1
		refused 'deployments.apps "a" already exists' k create -f - <<<"$(talk a)" || return 1
		wait_for 10 "it runs" has_ready app=a 1 || return 1
		talk b | k apply -f - || return 1
		[ "$(talk b | k apply -f -)" = "deployment.apps/b unchanged" ] || return 1
		[ "$(talk b 2 | k apply -f -)" = "deployment.apps/b configured" ] || return 1
		wait_for 10 "two" has_ready app=b 2 || return 1
		talk b 1 | k diff -f - && return 1
		talk a 0 | k replace -f - || return 1
		wait_for 10 "none" has_ready app=a 0 || return 1
		TMPDIR=$W KUBE_EDITOR="$W/editor" k edit deploy a || return 1
		[ "$(k get deploy a -o 'jsonpath={.spec.replicas} {.metadata.generation}')" = "1 3" ] || return 1
		k label deploy a tier=x && k label deploy a tier=y --overwrite && k annotate deploy a note=hi || return 1
		refused "already has a value" k label deploy a tier=z || return 1
		[ "$(k get deploy -l tier=y -o name)" = deployment.apps/a ] || return 1
		k label deploy a tier- || return 1
		[ -z "$(k get deploy -l tier -o name)" ] || return 1
		k patch deploy a -p '{"spec":{"template":{"spec":{"containers":[{"name":"box","env":[{"name":"X","value":"1"}]}]}}}}' || return 1
		k patch deploy a --type=json -p '[{"op":"test","path":"/spec/replicas","value":1},{"op":"replace","path":"/spec/replicas","value":2}]' || return 1
		refused "testing path /spec/replicas failed" k patch deploy a --type=json -p '[{"op":"test","path":"/spec/replicas","value":1},{"op":"replace","path":"/spec/replicas","value":3}]' || return 1
		k patch deploy a --type=merge -p '{"spec":{"minReadySeconds":1}}' || return 1
		[ "$(k get deploy a -o 'jsonpath={.spec.replicas} {.spec.minReadySeconds} {..env[0].name}')" = "2 1 X" ] || return 1
		k delete deploy a b || return 1
		wait_for 10 "nothing is left" left
	}
	every t
}

@test "the image of a pod that runs is changed, and that container alone begins anew" {
	t() {
		{
			SPEC='restartPolicy: Never' pod i web:1 | sed '/^---$/d'
			printf '  - {name: box, image: "box:1", command: [/bin/sleep, "1000"]}\n'
		} | k apply -f - || return 1
		up i || return 1
		before=$(k get pod i -o 'jsonpath={.metadata.uid} {.status.podIP} {.status.containerStatuses[?(@.name=="box")].containerID}')
		ip=$(k get pod i -o 'jsonpath={.status.podIP}')
		wait_for 10 "it runs web:1" answers "$ip" v1 || return 1
		k set image pod/i main=web:2 || return 1
		wait_for 15 "it runs web:2" answers "$ip" v2 || return 1
		up i 15 || return 1
		wait_for 5 "it is told" is i '.status.containerStatuses[] | select(.name == "main") | "\(.restartCount) \(.image) \(.lastState.terminated.reason)"' '1 web:2 Completed' || return 1
		is i '.status.containerStatuses[] | select(.name == "box") | "\(.restartCount) \(.image)"' '0 box:1' || return 1
		[ "$before" = "$(k get pod i -o 'jsonpath={.metadata.uid} {.status.podIP} {.status.containerStatuses[?(@.name=="box")].containerID}')" ] || return 1
		run k describe pod i
		has 'Container main definition changed, will be restarted' || return 1
		has 'Container image "web:2" already present on machine' || return 1
		hasnt 'Container box definition changed' || return 1
		# one that does not come: what runs goes on, and it is told
		k patch pod i --type=json -p '[{"op":"replace","path":"/spec/containers/0/image","value":"127.0.0.1:1/no/such:1"}]' || return 1
		wait_for 15 "it is told" is i '.status.conditions[] | select(.type == "kedge.dev/ImagePending") | .status' True || return 1
		wait_for 15 "and why" told_of i 'Failed to pull image "127.0.0.1:1/no/such:1"' || return 1
		kedge status | grep -A1 'pod default/i' | grep -qE '(ErrImagePull|ImagePullBackOff): container main goes on with image "web:2"' || return 1
		is i '.status.containerStatuses[] | select(.name == "main") | "\(.restartCount) \(.image) \(.ready)"' '1 web:2 true' || return 1
		k set image pod/i main=web:2 || return 1
		wait_for 15 "nothing is pending" is i '[.status.conditions[] | select(.type == "kedge.dev/ImagePending")] | length' 0 || return 1
		is i '.status.containerStatuses[] | select(.name == "main") | .restartCount' 1 || return 1
		refused 'pod updates may not add or remove containers' k patch pod i --type=json -p '[{"op":"remove","path":"/spec/containers/1"}]' || return 1
		refused 'pod updates may not change fields other than' k patch pod i -p '{"spec":{"containers":[{"name":"box","command":["/bin/true"]}]}}' || return 1
		k patch pod i -p '{"spec":{"tolerations":[{"key":"k","operator":"Exists"}]}}' || return 1
		refused 'existing toleration can not be modified' k patch pod i --type=json -p '[{"op":"remove","path":"/spec/tolerations/0"}]' || return 1
		k patch pod i -p '{"spec":{"activeDeadlineSeconds":1}}' || return 1
		wait_for 15 "its time is over" is i .status.reason DeadlineExceeded || return 1
		k delete pod i || return 1
		wait_for 10 "nothing is left" left
	}
	answers() { curl -sS --max-time 2 "http://$1:8080/" 2>/dev/null | grep -q " $2$"; }
	told_of() { k describe pod "$1" | grep -qF "$2"; }
	[[ $(image web:2 --env VERSION=v2) == *web:2* ]]
	every t
}

@test "so is that of a ReplicaSet's pod, of an init container that waits, and of one in Git" {
	talk own | k apply -f -
	k rollout status deploy own --timeout=20s
	pod=$(k get pods -l app=own -o 'jsonpath={.items[0].metadata.name}')
	k set image "pod/$pod" box=box:2
	wait_for 15 "it runs box:2" st_is "$pod" '| "\(.restartCount) \(.image)"' '1 box:2'
	[ "$(k get pods -l app=own -o name)" = "pod/$pod" ]
	k delete deploy own
	pod mine box:1 '["/bin/sleep", "1000"]' | put mine
	up mine
	uid=$(field pod mine .metadata.uid)
	pod mine box:2 '["/bin/sleep", "1000"]' | put mine
	wait_for 15 "it runs box:2" st_is mine '| "\(.restartCount) \(.image)"' '1 box:2'
	[ "$uid" = "$(field pod mine .metadata.uid)" ]
	drop mine
	pod first box:1 '["/bin/sleep", "1000"]' | sed 's|^  containers:|  initContainers: [{name: init, image: "box:1", command: [/bin/sh, -c, "exit 7"]}]\n  containers:|' | k apply -f -
	wait_for 10 "it fails" is first '.status.initContainerStatuses[0].restartCount > 0' true
	k set image pod/first init=box:2
	wait_for 5 "at once, whatever its back-off" is first '.status.initContainerStatuses[0].image' box:2
	k delete pod first
	wait_for 10 "nothing is left" left
}

@test "a gate keeps a pod from its node until it is taken away; a RuntimeClass that is none refuses it" {
	SPEC='schedulingGates: [{name: example.com/wait}]' pod gated box:1 | k apply -f -
	wait_for 5 "it is told" sh -c 'kedge get pod gated --no-headers | grep -qE "^gated +0/1 +SchedulingGated +0 "'
	is gated .status.phase Pending
	is gated .spec.nodeName null
	refused 'only deletion is allowed' k patch pod gated --type=json -p '[{"op":"add","path":"/spec/schedulingGates/-","value":{"name":"example.com/more"}}]'
	k patch pod gated --type=json -p '[{"op":"remove","path":"/spec/schedulingGates/0"}]'
	up gated
	k delete pod gated
	SPEC='runtimeClassName: gvisor' pod classy box:1 >"$W/classy.yaml"
	refused 'pods "classy" is forbidden: pod rejected: RuntimeClass "gvisor" not found' k create -f "$W/classy.yaml"
	put classy <"$W/classy.yaml"
	wait_for 10 "the commit is refused" sh -c 'kedge status | grep -qF "RuntimeClass \"gvisor\" not found"'
	drop classy
}

@test "scale, set image, set env, rollout restart, history, undo, pause" {
	t() {
		talk r 2 | k apply -f - || return 1
		k rollout status deploy r --timeout=20s || return 1
		k scale deploy r --replicas=3 || return 1
		k scale deploy r --current-replicas=3 --replicas=1 || return 1
		refused "Expected replicas to be 5, was 1" k scale deploy r --current-replicas=5 --replicas=2 || return 1
		k set image deploy r box=box:2 || return 1
		k annotate deploy r kubernetes.io/change-cause="box 2" || return 1
		k rollout status deploy r --timeout=20s || return 1
		k set env deploy r COLOR=red || return 1
		k rollout restart deploy r || return 1
		k rollout status deploy r --timeout=20s || return 1
		run k rollout history deploy r
		matches '^2 +box 2$' || return 1
		k rollout undo deploy r --to-revision=1 || return 1
		k rollout status deploy r --timeout=20s || return 1
		[ "$(k get deploy r -o 'jsonpath={..image}')" = box:1 ] || return 1
		[ "$(k get deploy r -o json | jq -r '.metadata.annotations["deployment.kubernetes.io/revision"]')" = 5 ] || return 1
		k rollout pause deploy r && k set env deploy r COLOR=blue && k rollout resume deploy r || return 1
		k delete deploy r || return 1
		wait_for 10 "nothing is left" left
	}
	every t
}

@test "a ReplicaSet that is made with no replicas is told by no event" {
	scaled() { k get events -o json | jq -r '.items[] | select(.involvedObject.name == "none" and .reason == "ScalingReplicaSet").message'; }
	told() { [ -n "$(scaled)" ]; }
	talk none 0 | k create -f -
	wait_for 10 "its set" eval '[ -n "$(k get rs -l app=none -o name)" ]'
	k scale deploy none --replicas=1
	wait_for 10 "an event" told
	run scaled
	matches '^Scaled up replica set none-[a-z0-9]+ from 0 to 1$'
	[ "${#lines[@]}" = 1 ]
	k delete deploy none
	wait_for 20 "gone" left_none rs,pods -l app=none
}

@test "run, expose, and a name made up from generateName" {
	t() {
		k run solo --image=box:1 --labels=app=solo --command -- talk wait || return 1
		up solo
		k expose pod solo --port=8080 --name=solo-svc || return 1
		ip=$(k get svc solo-svc -o 'jsonpath={.spec.clusterIP}')
		[[ $ip == 10.43.* ]] || return 1
		k get svc solo-svc -o json | jq 'del(.spec.clusterIP, .spec.clusterIPs, .metadata.resourceVersion) | .spec.ports[0].port = 81' | k replace -f - || return 1
		[ "$(k get svc solo-svc -o 'jsonpath={.spec.clusterIP}')" = "$ip" ] || return 1
		k patch svc solo-svc -p '{"spec":{"type":"NodePort"}}' || return 1
		wait_for 5 "it has a node port" sh -c 'kedge get svc solo-svc -o json | jq -e ".spec.ports[0].nodePort > 0"' || return 1
		k patch svc solo-svc -p '{"spec":{"type":"ClusterIP"}}' || return 1
		[ -z "$(k get svc solo-svc -o 'jsonpath={.spec.ports[0].nodePort}')" ] || return 1
		name=$(k create -o name -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"made-"}}')
		[[ $name =~ ^configmap/made-[a-z0-9]{5}$ ]] || return 1
		k delete pod/solo svc/solo-svc "$name" --grace-period=1
	}
	every t
}

@test "what is wrong is said in Kubernetes' words, and nothing of it is kept" {
	t() {
		refused 'The Deployment "bad" is invalid: spec.template.spec.containers[0].image: Required value' \
			k create -f - <<<"$(talk bad | sed 's/, image: "box:1"//')" || return 1
		refused 'unknown field "spec.replicsa"' k create -f - <<<"$(talk bad | sed 's/replicas/replicsa/')" || return 1
		refused 'namespaces "nowhere" not found' k -n nowhere create -f - <<<"$(talk bad)" || return 1
		refused 'metadata.name: Invalid value: "Bad"' k create -f - <<<"$(talk bad | sed 's/{name: bad,/{name: Bad,/')" || return 1
		gone deploy bad || return 1
		run k create --validate=warn -f - <<<"$(talk bad | sed 's/replicas/replicsa/')"
		[ "$status" = 0 ] || return 1
		has 'Warning: unknown field "spec.replicsa"' || return 1
		refused 'spec.selector: Invalid value: {"matchLabels":{"app":"other"}}: field is immutable' \
			k apply -f - <<<"$(talk bad | sed 's/matchLabels: {app: bad}/matchLabels: {app: other}/; s/metadata: {labels: {app: bad}}/metadata: {labels: {app: other}}/')" || return 1
		k delete deploy bad
	}
	every t
}

@test "two who write at once: the second is told, and nothing is lost" {
	k create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"shared"},"data":{"n":"0"}}'
	old=$(k get cm shared -o json)
	k patch cm shared -p '{"data":{"n":"1"}}'
	run k replace -f - <<<"$old"
	[ "$status" != 0 ]
	has 'Operation cannot be fulfilled on configmaps "shared": the object has been modified'
	[ "$(k get cm shared -o 'jsonpath={.data.n}')" = 1 ]
	local pids=()
	for i in $(seq 20); do
		k patch cm shared --type=merge -p "{\"data\":{\"k$i\":\"v\"}}" >/dev/null 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	[ "$(k get cm shared -o json | jq '.data | length')" = 21 ]
	k delete cm shared
}

@test "a dry run answers as if, and does nothing" {
	t() {
		run k create --dry-run=server -o name -f - <<<"$(talk never)"
		[ "$output" = deployment.apps/never ] || return 1
		gone deploy never || return 1
		talk real | k create -f - || return 1
		run k patch deploy real --dry-run=server -p '{"spec":{"replicas":7}}' -o 'jsonpath={.spec.replicas} {.metadata.generation}'
		[ "$output" = "7 2" ] || return 1
		k delete deploy real --dry-run=server || return 1
		[ "$(k get deploy real -o 'jsonpath={.spec.replicas}')" = 1 ] || return 1
		k delete deploy real
	}
	every t
}

@test "an address and a node port rest over a restart of kedged, too" {
	svc() { k create -f - <<<'{"apiVersion":"v1","kind":"Service","metadata":{"name":"'"$1"'"},"spec":{"type":"NodePort","ports":[{"port":80}]}}'; }
	to() { k create -f - <<<'{"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"'"$1"'"},"subsets":[{"addresses":[{"ip":"192.0.2.9"}],"ports":[{"port":80}]}]}'; }
	has() { k get svc "$1" -o 'jsonpath={.spec.clusterIP} {.spec.ports[0].nodePort}'; }
	svc first
	to first
	was=$(has first)
	[[ $was =~ ^10\.43\.[0-9.]+\ 3[0-9]{4}$ ]]
	wait_for 10 "it is in the rules" sh -c 'iptables-save -t nat | grep -q "default/first"'
	k delete svc first
	wait_for 10 "its rules go" sh -c '! iptables-save -t nat | grep -q "default/first"'
	restart
	svc second
	is=$(has second)
	[ "${is% *}" != "${was% *}" ]
	[ "${is#* }" != "${was#* }" ]
	k delete svc second
}

@test "what was made over the API is there after kedged's end, and no commit takes it away" {
	talk mine 2 | k apply -f -
	k create -f - <<<'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"mine"},"stringData":{"p":"hidden"}}'
	wait_for 10 "two" has_ready app=mine 2
	uid=$(k get deploy mine -o 'jsonpath={.metadata.uid}')
	pods=$(kedge get pods -l app=mine -o json | jq -r '.items[].metadata.uid' | sort)
	talk gits | put gits
	wait_for 10 "Git's is there" has_ready app=gits 1
	restart
	wait_for 10 "two" has_ready app=mine 2
	[ "$(k get deploy mine -o 'jsonpath={.metadata.uid}')" = "$uid" ]
	[ "$(kedge get pods -l app=mine -o json | jq -r '.items[].metadata.uid' | sort)" = "$pods" ]
	[ "$(k get secret mine -o 'jsonpath={.data.p}' | base64 -d)" = hidden ]
	talk gits2 | put gits2
	drop gits
	wait_for 10 "Git's own goes" gone deploy gits
	[ "$(k get deploy mine -o 'jsonpath={.metadata.uid}')" = "$uid" ]
	drop gits2
	k delete deploy/mine secret/mine
	wait_for 10 "nothing is left" left
}

@test "Git owns what it states, and what it leaves out is free" {
	talk web | grep -v replicas: | put web
	wait_for 10 "one" has_ready app=web 1
	t() {
		local who="at $(head_of) (source deploy)"
		refused "spec.template.spec.containers[box].image is owned by Git: web.yaml:11 $who; change it there and commit" k set image deploy web box=box:2 || return 1
		refused "metadata.labels[app] is owned by Git: web.yaml:3 $who" k label deploy web app=other --overwrite || return 1
		refused "is owned by Git: web.yaml:1 $who" k delete deploy web || return 1
		# whom an owner that is gone would take along
		refused "metadata.ownerReferences is owned by Git: web.yaml:3 $who" k patch deploy web --type=merge -p '{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x","controller":true}]}}' || return 1
		[ "$(k get deploy web -o 'jsonpath={..image}')" = box:1 ] || return 1
		k scale deploy web --replicas=2 || return 1
		k label deploy web team=blue || return 1
		sleep 1.1 # kubectl refuses two within a second
		k rollout restart deploy web || return 1
		k rollout status deploy web --timeout=20s
	}
	every t
	at=$(k get deploy web -o json | jq -r '.spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]')
	[ -n "$at" ]
	rs=$(k get rs -l app=web -o name)
	restart
	wait_for 10 "two" has_ready app=web 2
	talk other | put other
	wait_for 10 "a commit went through" has_ready app=other 1
	[ "$(k get deploy web -o json | jq -r '.spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]')" = "$at" ]
	[ "$(k get deploy web -o 'jsonpath={.spec.replicas} {.metadata.labels.team}')" = "2 blue" ]
	[ "$(k get rs -l app=web -o name)" = "$rs" ]
	pod=$(k get pods -l app=web -o name | head -n 1)
	k delete "$pod"
	wait_for 10 "two again" has_ready app=web 2
	drop other
	drop web
	wait_for 10 "nothing is left" left
}

@test "each write is a line in the log: who, with what, and which fields, but no value" {
	k create -f - <<<'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"p":"hidden"}}'
	k patch secret s -p '{"stringData":{"q":"covert"}}'
	k delete secret s
	grep -q 'plan: + create secret default/s  # asked for by uid 0 with kubectl-create' "$W/kedged.log"
	grep -q 'plan: ~ update secret default/s  # asked for by uid 0 with kubectl-patch: data' "$W/kedged.log"
	grep -q 'plan: - delete secret default/s  # asked for by uid 0 with kubectl' "$W/kedged.log"
	run grep -E 'hidden|covert|aGlkZGVu' "$W/kedged.log"
	[ "$status" = 1 ]
}

@test "bodies that make no sense are refused, and a large one is not read" {
	run api POST /api/v1/namespaces/default/configmaps <<<'{"metadata":'
	has '"code":400'
	run api POST /api/v1/namespaces/default/configmaps text/plain <<<'x'
	has '"code":415'
	run api PATCH /api/v1/namespaces/default/configmaps/none application/merge-patch+json <<<'{}'
	has '"code":404'
	run api POST /api/v1/namespaces/default/configmaps <<<'{"kind":"Pod","metadata":{"name":"x"}}'
	has '"code":400'
	run api POST /api/v1/namespaces/default/configmaps <<<'{"metadata":{"name":"x","namespace":"other"}}'
	has 'does not match the namespace sent on the request'
	run api POST /api/v1/namespaces/default/configmaps <<<'{"metadata":{"name":"x"},"data":{"a":1}}'
	has '"code":400'
	head -c 3200000 /dev/zero | tr '\0' a >"$W/big"
	run api POST /api/v1/namespaces/default/configmaps <"$W/big"
	has '"code":413'
	{
		printf '{"metadata":{"name":"x"},"data":{"a":","'
		seq -f ',"k%g":""' 10000 | tr -d '\n'
		echo '}}'
	} >"$W/big"
	run api POST /api/v1/namespaces/default/configmaps <"$W/big"
	has 'the object has too many values: no more than 10000 are taken at once'
	rm "$W/big"
}

@test "what kubectl makes itself comes as protobuf or as JSON, by its age" {
	t() {
		k create ns made || return 1
		k -n made create deployment d --image=box:1 --replicas=2 --port=80 -- talk wait || return 1
		k -n made create configmap c --from-literal=a=b --from-file=bin=<(printf 'x\xff') || return 1
		k -n made create secret generic s --from-literal=p=hidden || return 1
		k -n made create service nodeport n --tcp=80:http || return 1
		k -n made rollout status deploy d --timeout=20s || return 1
		[ "$(k -n made get deploy d -o 'jsonpath={.spec.replicas} {..containerPort} {..command} {..imagePullPolicy}')" = '2 80 ["talk","wait"] IfNotPresent' ] || return 1
		[ "$(k -n made get cm c -o json | jq -c '[.data, .binaryData]')" = '[{"a":"b"},{"bin":"eP8="}]' ] || return 1
		[ "$(k -n made get secret s -o 'jsonpath={.data.p}' | base64 -d)" = hidden ] || return 1
		[ "$(k -n made get svc n -o 'jsonpath={.spec.type} {.spec.ports[0].targetPort}')" = "NodePort http" ] || return 1
		refused 'already exists' k create ns made || return 1
		refused 'is invalid: metadata.name: Invalid value: "Made"' k create ns Made || return 1
		k delete ns made --timeout=20s || return 1
		gone ns made
	}
	every t
}

@test "a namespace that is deleted ends what is in it, takes nothing new, and goes" {
	k create ns short
	talk in | k -n short apply -f -
	k -n short create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"held","finalizers":["example.com/hold"]}}'
	wait_for 10 "it runs" sh -c '[ "$(kedge get pods -n short -o json | jq ".items | length")" = 1 ]'
	k delete ns short --wait=false
	wait_for 10 "pods are gone" sh -c '[ "$(kedge get pods -n short -o json | jq ".items | length")" = 0 ]'
	[ "$(k get ns short -o 'jsonpath={.status.phase}')" = Terminating ]
	refused "because it is being terminated" k -n short create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"late"}}'
	restart
	[ "$(k get ns short -o 'jsonpath={.status.phase}')" = Terminating ]
	k -n short patch cm held --type=merge -p '{"metadata":{"finalizers":null}}'
	wait_for 10 "it is gone" gone ns short
	refused "may not be deleted" k delete ns default
}

@test "a namespace that leaves Git takes nothing along that Git never had" {
	put space <<<'{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"space"}}'
	wait_for 10 "it is there" k get ns space
	refused 'is owned by Git: space.yaml:1' k delete ns space
	k -n space create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"mine"}}'
	drop space
	wait_for 10 "Git has let go" sh -c '! kedge get ns space -o json | jq -e ".metadata.labels[\"kedge.dev/source\"]"'
	[ "$(k -n space get cm mine -o name)" = configmap/mine ]
	k delete ns space --timeout=20s
}

@test "what owns itself, and a ring of owners, can be deleted in the foreground" {
	local uid
	owner() { # owner OF NAME: NAME owns it
		uid=$(k get cm "$2" -o 'jsonpath={.metadata.uid}')
		k patch cm "$1" --type=merge -p '{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"'"$2"'","uid":"'"$uid"'","blockOwnerDeletion":true}]}}'
	}
	k create cm self
	owner self self
	k create cm one
	k create cm two
	owner one two
	owner two one
	k delete cm self one two --ignore-not-found --cascade=foreground --timeout=20s
	wait_for 10 "they are gone" left_none cm self one two
}

# What has lost its owner went since: what is there still was left by the same pass.
swept() {
	k create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"orphan","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"nobody","uid":"nobody"}]}}'
	wait_for 10 "what nobody owns is taken away" left_none cm orphan
}

@test "deletion in the background, in the foreground, and leaving the dependents" {
	t() {
		talk p | k apply -f - || return 1
		wait_for 10 "it runs" has_ready app=p 1 || return 1
		k delete deploy p --cascade=foreground --timeout=20s || return 1
		# pods went first, then their ReplicaSet: there is nothing to wait for any more
		left || return 1
		talk p | k apply -f - || return 1
		wait_for 10 "it runs" has_ready app=p 1 || return 1
		pod=$(k get pods -l app=p -o name)
		k delete deploy p --cascade=orphan || return 1
		k delete rs -l app=p --cascade=orphan || return 1
		swept
		[ "$(k get pods -l app=p -o name)" = "$pod" ] || return 1
		[ -z "$(k get "$pod" -o 'jsonpath={.metadata.ownerReferences}')" ] || return 1
		talk p | k apply -f - || return 1
		k rollout status deploy p --timeout=20s || return 1
		[ "$(k get pods -l app=p -o name)" = "$pod" ] || { k get pods; return 1; }
		k delete deploy p || return 1
		wait_for 10 "nothing is left" left
	}
	every t
	for i in 1 2 3; do k create -f - <<<"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c$i\",\"labels\":{\"n\":\"$((i % 2))\"}}}"; done
	run curl_ -X DELETE "http://localhost/api/v1/namespaces/default/configmaps?labelSelector=n%3D1"
	[ "$(jq '.items | length' <<<"$output")" = 2 ]
	[ "$(k get cm -o name | grep -v kube-root-ca)" = configmap/c2 ]
	k delete cm --all
	run api DELETE /api/v1/namespaces/default/configmaps/c9 <<<'{"preconditions":{"uid":"x"}}'
	has '"code":404'
	k create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c9"}}'
	run api DELETE /api/v1/namespaces/default/configmaps/c9 <<<'{"preconditions":{"uid":"x"}}'
	has 'Operation cannot be fulfilled on ConfigMap \"c9\": the UID in the precondition (x) does not match the UID in record ('
	run api DELETE /api/v1/namespaces/default/configmaps/c9 <<<'{"preconditions":{"resourceVersion":"1"}}'
	has 'the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ('
	run api DELETE /api/v1/namespaces/default/configmaps/c9 <<<'{"propagationPolicy":"Sideways"}'
	has 'DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\"'
	has '"code":422'
	k delete cm c9
}

@test "explain knows the kinds, and the documents are JSON" {
	t() {
		run k explain deployment
		matches 'KIND: +Deployment' || return 1
		matches '^ *spec.*<DeploymentSpec>' || return 1
		run k explain deploy.spec.template.spec.containers
		matches 'restartPolicy' || return 1
		matches 'imagePullPolicy' || return 1
		run k explain pod.spec.restartPolicy
		# which kubectl wraps
		[[ $(tr -s '[:space:]' ' ' <<<"$output") == *"When containers that end are started again. One of Always, Never, OnFailure. Default: Always."* ]] || return 1
		run k explain revision.spec
		has "The commit before it is not its ancestor" || return 1
		k explain pods --recursive | grep -q terminationMessagePath
	}
	every t
	for path in v2 v3 v3/api/v1 v3/apis/apps/v1 v3/apis/kedge.dev/v1 v3/apis/discovery.k8s.io/v1 v3/apis/storage.k8s.io/v1; do
		curl_ "http://localhost/openapi/$path" | jq -e type >/dev/null
	done
	# every kind and every field says what it is for
	run jq -r 'if .components.schemas == {} then "nothing" else empty end, .components.schemas | to_entries[] | .key as $k | .value
		| (select(has("x-kubernetes-group-version-kind") and (.description | not)) | $k),
		  (.properties | to_entries[] | select(.value.description | not) | "\($k).\(.key)")' < <(
		for path in api/v1 apis/apps/v1 apis/kedge.dev/v1 apis/discovery.k8s.io/v1 apis/networking.k8s.io/v1 apis/policy/v1 apis/rbac.authorization.k8s.io/v1 apis/storage.k8s.io/v1; do
			curl_ "http://localhost/openapi/v3/$path"
		done
	)
	[ "$status $output" = "0 " ]
	# every reference leads somewhere
	[ "$(curl_ http://localhost/openapi/v3/apis/apps/v1 | jq -r '(.components.schemas | keys) as $k | [.. | objects | ."$ref"? // empty | sub("#/components/schemas/"; "")] - $k | length')" = 0 ]
	run curl_ http://localhost/openapi/v3/apis/none/v1
	has '"code":404'
}

# owners KIND NAME: manager:operation of its managed fields
owners() { k get "$1" "$2" --show-managed-fields -o json | jq -r '.metadata.managedFields[] | "\(.manager):\(.operation)"' | sort | xargs; }
ssa() { k apply --server-side "$@" -f -; }

@test "server-side apply: owners, conflicts, force, sharing, and what is no longer stated" {
	t() {
		talk s 1 | ssa || return 1
		[ "$(owners deploy s)" = "kubectl:Apply" ] || return 1
		rv=$(k get deploy s -o 'jsonpath={.metadata.generation}')
		talk s 1 | ssa || return 1
		[ "$(k get deploy s -o 'jsonpath={.metadata.generation}')" = "$rv" ] || return 1
		k scale deploy s --replicas=2 || return 1
		run ssa <<<"$(talk s 3)"
		[ "$status" != 0 ] || return 1
		matches 'Apply failed with 1 conflict: conflict with "kubectl(\.1\.[0-9]+)?" with subresource "scale" using apps/v1 at .*: \.spec\.replicas' || return 1
		[ "$(k get deploy s -o 'jsonpath={.spec.replicas}')" = 2 ] || return 1
		talk s 3 | ssa --force-conflicts || return 1
		[ "$(k get deploy s -o 'jsonpath={.spec.replicas}')" = 3 ] || return 1
		# another manager shares what it states alike, and owns what is its own
		talk s 3 | sed 's/labels: {app: s}}$/labels: {app: s}, annotations: {team: blue}}/' | ssa --field-manager=other || return 1
		[ "$(owners deploy s)" = "kubectl:Apply other:Apply" ] || return 1
		[ "$(k get deploy s -o 'jsonpath={.spec.template.metadata.annotations.team}')" = blue ] || return 1
		run ssa <<<"$(talk s 1)"
		has 'conflict with "other": .spec.replicas' || return 1
		# kubectl states replicas no longer: other's stay
		talk s 3 | grep -v replicas: | ssa || return 1
		[ "$(k get deploy s -o 'jsonpath={.spec.replicas}')" = 3 ] || return 1
		# other states its annotation no longer: it goes
		talk s 3 | ssa --field-manager=other || return 1
		[ -z "$(k get deploy s -o 'jsonpath={.spec.template.metadata.annotations}')" ] || return 1
		# an item of a list comes and goes by its key
		talk s 3 | sed 's/command: \[talk, wait\]}/command: [talk, wait], env: [{name: A, value: "1"}, {name: B, value: "2"}]}/' | ssa --field-manager=third || return 1
		[ "$(k get deploy s -o 'jsonpath={..env[*].name}')" = "A B" ] || return 1
		talk s 3 | sed 's/command: \[talk, wait\]}/command: [talk, wait], env: [{name: B, value: "2"}]}/' | ssa --field-manager=third || return 1
		[ "$(k get deploy s -o 'jsonpath={..env[*].name}')" = "B" ] || return 1
		k delete deploy s
		wait_for 10 "nothing is left" left
	}
	every t
}

@test "from client side apply to server-side apply and back" {
	t() {
		talk m 1 | k apply -f - || return 1
		talk m 2 | ssa || return 1
		[ "$(k get deploy m -o 'jsonpath={.spec.replicas}')" = 2 ] || return 1
		talk m 0 | k apply -f - || return 1
		[ "$(k get deploy m -o 'jsonpath={.spec.replicas}')" = 0 ] || return 1
		k delete deploy m
		wait_for 10 "nothing is left" left
	}
	every t
	put owned <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owned"},"data":{"a":"1"}}'
	wait_for 10 "it is there" k get cm owned
	run ssa <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owned"},"data":{"a":"2"}}'
	has 'data[a] is owned by Git: owned.yaml:1'
	ssa <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owned"},"data":{"b":"2"}}'
	talk stir 0 | put stir
	wait_for 10 "a commit went through" k get deploy stir
	[ "$(k get cm owned -o json | jq -c .data)" = '{"a":"1","b":"2"}' ]
	drop stir
	drop owned
	wait_for 10 "it is gone" gone cm owned
	run api PATCH /api/v1/namespaces/default/configmaps/x application/apply-patch+yaml <<<'metadata: {name: x}'
	has "is required for apply patch"
}

@test "kedge status tells what is not from Git" {
	talk web | grep -v replicas: | put web
	wait_for 10 "it is there" has_ready app=web 1
	run kedge status
	hasnt "not from Git"
	k create -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"tried"}}'
	k scale deploy web --replicas=2
	run kedge status
	matches '^not from Git$'
	matches '^  configmap default/tried  made [0-9]+s ago with kubectl-create$'
	matches '^  deployment default/web  spec.replicas \(kubectl\)$'
	restart
	run kedge status
	matches '^  configmap default/tried '
	k delete cm tried
	drop web
	wait_for 10 "nothing is left" left
	run kedge status
	hasnt "over the API"
}
