#!/usr/bin/env bats
# writes.bats -- writing as client libraries do it, request by request: what kubectl never sends.
load kit.bash

setup_file() {
	CONFIG='node: {name: n1}' file_begin --listen "$API"
	KUBECTLS=$(kubectls)
	K=$(tail -n 1 <<<"$KUBECTLS")
	export KUBECTLS K
}
setup() { file_test && kubectl_needs 27; }
teardown_file() { file_end; }

# send METHOD PATH BODY [TYPE]: the answer's code in $code, the answer in $output
send() {
	output=$(curl -sSm 10 -X "$1" -H "Content-Type: ${4:-application/json}" -o - -w '\n%{http_code}' --data-binary "$3" "http://$API$2")
	code=${output##*$'\n'}
	output=${output%$'\n'*}
}
of() { jq -r "$1" <<<"$output"; } # of JQ: in the last answer
answered() { # answered CODE [TEXT]
	[ "$code" = "$1" ] || { echo "$code, not $1: $output"; return 1; }
	[ -z "${2:-}" ] || has "$2"
}
APPLY=application/apply-patch+yaml MERGE=application/merge-patch+json
STRATEGIC=application/strategic-merge-patch+json JSON_PATCH=application/json-patch+json
NS=/api/v1/namespaces/default

@test "a Node is made by nothing that is sent, and one that is there can be applied to" {
	send PATCH '/api/v1/nodes/ghost?fieldManager=me' '{"apiVersion":"v1","kind":"Node","metadata":{"name":"ghost"}}' $APPLY
	answered 405 "nodes are kedge's own"
	send POST /api/v1/nodes '{"apiVersion":"v1","kind":"Node","metadata":{"name":"ghost"}}'
	answered 405
	send PUT /api/v1/nodes/ghost '{"apiVersion":"v1","kind":"Node","metadata":{"name":"ghost"}}'
	answered 404
	[ "$(k get nodes -o name)" = node/n1 ]
	send PATCH '/api/v1/nodes/n1?fieldManager=me' '{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","labels":{"disk":"fast"}}}' $APPLY
	answered 200
	[ "$(k get nodes -l disk=fast -o name)" = node/n1 ]
}

@test "a readiness gate is opened through the pod's status, and what kedge sees of it stays" {
	k apply -f - <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: gate, labels: {app: gate}}
		spec:
		  terminationGracePeriodSeconds: 1
		  readinessGates: [{conditionType: example.com/open}]
		  containers: [{name: c, image: "box:1"}]
	Y
	said() { is gate "[.status.conditions[] | select(.type == \"$1\")][0].status" "$2"; }
	wait_for 15 "its container is ready" said ContainersReady True
	said Ready False
	send PATCH $NS/pods/gate/status '{"metadata":{"labels":{"seen":"yes"},"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"y"}]},"spec":{"nodeName":"n9"},"status":{"podIP":"9.9.9.9","phase":"Failed","conditions":[{"type":"example.com/open","status":"True"},{"type":"PodScheduled","status":"False"}]}}' $STRATEGIC
	answered 200
	[ "$(of '"\(.spec.nodeName) \(.status.phase) \(.metadata.labels.seen) \(.metadata.ownerReferences)"')" = "n1 Running yes null" ]
	[ "$(of '.metadata.managedFields[] | select(.subresource == "status").fieldsV1["f:status"]["f:conditions"] | keys[0]')" = 'k:{"type":"example.com/open"}' ]
	wait_for 5 "it is ready" said Ready True
	said PodScheduled True
	[ "$(field pod gate .status.podIP)" != 9.9.9.9 ]
	k delete pod gate --force --grace-period=0
	# what is given back as it was read changes nothing; what is no condition is refused
	k create deployment d --image=box:1 --replicas=0
	wait_for 10 "it is told of" sh -c "kedge get deploy d -o json | jq -e '.status.conditions | length == 2'"
	send GET /apis/apps/v1/namespaces/default/deployments/d/status ''
	was=$output
	send PUT /apis/apps/v1/namespaces/default/deployments/d/status "$(jq '.metadata.labels.a = "b" | .spec.replicas = 7 | .status.replicas = 7' <<<"$was")"
	answered 200
	[ "$(of '"\(.spec.replicas) \(.status.replicas) \(.metadata.labels.a) \(.metadata.generation)"')" = "0 null null $(jq .metadata.generation <<<"$was")" ]
	[ "$(of .metadata.resourceVersion)" = "$(jq -r .metadata.resourceVersion <<<"$was")" ]
	send PUT /apis/apps/v1/namespaces/default/deployments/d/status "$(jq '.metadata.resourceVersion = "1"' <<<"$was")"
	answered 409 "the object has been modified"
	send PATCH /apis/apps/v1/namespaces/default/deployments/d/status '{"status":{"conditions":[{"status":"True"}]}}' $MERGE
	answered 422 'status.conditions[0].type: Required value'
	send PATCH /apis/apps/v1/namespaces/default/deployments/none/status '{"status":{}}' $MERGE
	answered 404
	send DELETE /apis/apps/v1/namespaces/default/deployments/d/status ''
	answered 405
	# that of a kind of which nothing is taken, and which has none yet
	k create quota q --hard=pods=3
	send GET $NS/resourcequotas/q/status ''
	was=$output
	send PUT $NS/resourcequotas/q/status "$(jq 'del(.metadata.resourceVersion) | .status.used.pods = "99"' <<<"$was")"
	answered 200
	[ "$(of .status.used.pods)" != 99 ]
	k delete quota q
	# by apply: what is not stated any more goes
	apply() { send PATCH '/apis/apps/v1/namespaces/default/deployments/d/status?fieldManager=me' '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"replicas":9},"status":{"conditions":['"$1"']}}' $APPLY; }
	apply '{"type":"Seen","status":"True"},{"type":"Known","status":"False"}'
	answered 200
	[ "$(of '[.spec.replicas, (.status.conditions[] | select(.type == "Seen" or .type == "Known").type)] | join(" ")')" = "0 Seen Known" ]
	apply '{"type":"Known","status":"True"}'
	[ "$(of '[.status.conditions[].type] | sort | join(" ")')" = "Available Known Progressing" ]
	k delete deploy d
}

@test "a Service of another load balancer's class has the address that its controller tells" {
	k apply -f - <<-Y
		apiVersion: v1
		kind: Service
		metadata: {name: theirs}
		spec: {type: LoadBalancer, loadBalancerClass: example.com/x, ports: [{port: 80}], selector: {app: none}}
	Y
	status() { send PATCH "$NS/services/$1/status" '{"status":{"loadBalancer":{"ingress":['"$2"']}}}' $MERGE; }
	status theirs '{"ip":"203.0.113.7"}'
	answered 200
	[ "$(of '.status.loadBalancer.ingress[0] | "\(.ip) \(.ipMode)"')" = "203.0.113.7 VIP" ]
	run k get svc theirs
	has 203.0.113.7
	status theirs '{"ip":"web.example.com"}'
	answered 422 'status.loadBalancer.ingress[0].ip: Invalid value: \"web.example.com\": must be a valid IP address'
	status theirs '{"hostname":"web.example.com"}'
	answered 200
	k create svc clusterip inside --tcp=80
	status inside '{"ip":"203.0.113.7"}'
	answered 422 'may only be used when `spec.type` is \"LoadBalancer\"'
	k delete svc theirs inside
}

@test "a pod that ends slowly ends sooner when it is asked again" {
	slow() {
		k apply -f - <<-Y
			apiVersion: v1
			kind: Pod
			metadata: {name: $1}
			spec:
			  terminationGracePeriodSeconds: 600
			  containers: [{name: c, image: "box:1", command: [/bin/sh, -c, "trap : TERM; while :; do sleep 1; done"]}]
		Y
		up "$1"
		k delete pod "$1" --wait=false
		wait_for 15 "it was asked to end" sh -c "kedge describe pod $1 | grep -q Killing"
		is "$1" .metadata.deletionGracePeriodSeconds 600
	}
	gone() { [ -z "$(k get pod "$1" -o name --ignore-not-found)" ]; }
	slow a
	# longer than it has is nothing new
	send DELETE "$NS/pods/a?gracePeriodSeconds=700" ''
	[ "$(of .metadata.deletionGracePeriodSeconds)" = 600 ]
	began=$(of .metadata.deletionTimestamp)
	send DELETE "$NS/pods/a?gracePeriodSeconds=300" ''
	answered 200
	[ "$(of .metadata.deletionGracePeriodSeconds)" = 300 ]
	[ $(($(date -d "$began" +%s) - $(date -d "$(of .metadata.deletionTimestamp)" +%s))) = 300 ]
	k delete pod a --grace-period=1 --timeout=15s
	gone a
	slow b
	k delete pod b --force --grace-period=0
	wait_for 15 "it is gone" gone b
}

@test "a dry run of what is there already is refused as the real one" {
	k create cm twice
	refused 'configmaps "twice" already exists' k create cm twice --dry-run=server
	send POST "$NS/configmaps?dryRun=All" '{"metadata":{"name":"twice"}}'
	answered 409 '"reason":"AlreadyExists"'
	send POST "$NS/configmaps?dryRun=All" '{"metadata":{"name":"thrice"}}'
	answered 201
	k delete cm twice
}

@test "ephemeral containers are read, put and patched in every way, and none is changed" {
	k apply -f - <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: eph}
		spec:
		  terminationGracePeriodSeconds: 1
		  containers: [{name: main, image: "box:1"}]
	Y
	up eph
	at=$NS/pods/eph/ephemeralcontainers
	names() { of '[.spec.ephemeralContainers[]?.name] | join(" ")'; }
	one() { echo '{"name":"'"$1"'","image":"box:1","command":["/bin/true"]}'; }
	send GET $at ''
	answered 200
	[ "$(of '"\(.kind) \(.metadata.name)"')" = "Pod eph" ]
	send PUT $at "$(jq ".metadata.labels.a = \"b\" | .spec.nodeName = \"x\" | .spec.ephemeralContainers = [$(one a)]" <<<"$output")"
	answered 200
	[ "$(names) $(of '.metadata.labels, .spec.nodeName' | xargs)" = "a null n1" ]
	[ "$(of '.metadata.managedFields[] | select(.subresource == "ephemeralcontainers").operation')" = Update ]
	was=$output
	send PATCH $at '{"spec":{"ephemeralContainers":['"$(one b)"']}}' $STRATEGIC
	[ "$(names)" = "b a" ] # as Kubernetes: where nothing is said of the order
	send PUT $at "$was"
	answered 409 "the object has been modified"
	send PATCH $at '[{"op":"add","path":"/spec/ephemeralContainers/-","value":'"$(one c)"'}]' $JSON_PATCH
	[ "$(names)" = "b a c" ]
	send PATCH $at '{"spec":{"ephemeralContainers":['"$(one c),$(one b),$(one a),$(one d)"']}}' $MERGE
	[ "$(names)" = "c b a d" ]
	send PATCH $at '[{"op":"remove","path":"/spec/ephemeralContainers/0"}]' $JSON_PATCH
	answered 422 'spec.ephemeralContainers: Forbidden: existing ephemeral containers \"c\" may not be removed'
	send PATCH $at '{"spec":{"ephemeralContainers":[{"name":"b","image":"box:2"}]}}' $STRATEGIC
	answered 422 'existing ephemeral containers \"b\" may not be changed'
	send PATCH $at '[{"op":"add","path":"/spec/ephemeralContainers/-","value":'"$(one c)"'}]' $JSON_PATCH
	answered 422 'spec.ephemeralContainers[4].name: Duplicate value: \"c\"'
	send PATCH $at '[{"op":"add","path":"/spec/ephemeralContainers/-","value":{"name":"e"}}]' $JSON_PATCH
	answered 422 'spec.ephemeralContainers[4].image: Required value'
	[ "$(of '.details.causes[0] | "\(.reason) \(.field)"')" = "FieldValueRequired spec.ephemeralContainers[4].image" ]
	send PATCH "$at?fieldManager=me" '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"eph"},"spec":{"nodeName":"x","ephemeralContainers":['"$(one f)"']}}' $APPLY
	answered 200
	[ "$(names)" = "c b a d f" ]
	[ "$(of '.metadata.managedFields[] | select(.manager == "me") | "\(.operation) \(.subresource) \(.fieldsV1["f:spec"] | keys[0])"')" = "Apply ephemeralcontainers f:ephemeralContainers" ]
	send PATCH "$at?fieldManager=me" '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"eph"},"spec":{"ephemeralContainers":[]}}' $APPLY
	answered 422 'existing ephemeral containers \"f\" may not be removed'
	send PUT $NS/pods/none/ephemeralcontainers "$was"
	answered 404 'pods \"none\" not found'
	k delete pod eph
}

@test "what is said twice is taken, warned of or refused, as fieldValidation asks" {
	twice() { send POST "$NS/configmaps?fieldValidation=$1" '{"metadata":{"name":"'"$2"'"},"data":{"a":"1","a":"2"}}'; }
	twice Ignore ignored
	answered 201
	[ "$(of .data.a)" = 2 ]
	twice Strict strict
	answered 400 'strict decoding error: duplicate field \"data.a\"'
	run curl -sSim 10 -H 'Content-Type: application/json' "http://$API$NS/configmaps?fieldValidation=Warn" -d '{"metadata":{"name":"warned"},"data":{"a":"1","a":"2"}}'
	has 'Warning: 299 - "duplicate field \"data.a\""'
	has '201 Created'
	send PATCH "$NS/configmaps/ignored?fieldValidation=Ignore" '{"data":{"b":"1","b":"2"},"nonsense":1}' $MERGE
	[ "$code $(of .data.b)" = "200 2" ]
	k delete cm ignored warned
}

@test "an empty entry alone takes all owners of fields away, and an empty list none" {
	fields() { k get cm owned --show-managed-fields -o json | jq -r '[.metadata.managedFields[] | .fieldsV1 | keys[]] | join(" ")'; }
	k create cm owned --from-literal=a=1
	[ "$(fields)" = f:data ]
	send PATCH $NS/configmaps/owned '{"metadata":{"managedFields":[]}}' $MERGE
	answered 200
	[ "$(fields)" = f:data ]
	send PATCH $NS/configmaps/owned '{"metadata":{"managedFields":[{}]}}' $MERGE
	answered 200
	[ -z "$(fields)" ]
	k delete cm owned
}

@test "options that make no sense are 422, with the field and in Kubernetes' words" {
	options() { # options KIND FIELD TEXT: the last answer was such a refusal
		answered 422 "$1.meta.k8s.io \\\"\\\" is invalid: $2: $3"
		[ "$(of '"\(.details.group) \(.details.kind) \(.details.causes[0].field)"')" = "meta.k8s.io $1 $2" ]
	}
	k create cm o
	send POST "$NS/configmaps?dryRun=Some" '{"metadata":{"name":"o2"}}'
	options CreateOptions dryRun 'Unsupported value'
	send POST "$NS/configmaps?fieldValidation=Much" '{"metadata":{"name":"o2"}}'
	options CreateOptions fieldValidation 'Unsupported value: \"Much\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"'
	send PUT "$NS/configmaps/o?fieldManager=$(printf 'x%.0s' {1..129})" '{"metadata":{"name":"o"}}'
	options UpdateOptions fieldManager 'Too long: may not be more than 128 bytes'
	send PATCH $NS/configmaps/o '{}' $APPLY
	options PatchOptions fieldManager 'Required value: is required for apply patch'
	send PATCH "$NS/configmaps/o?force=true" '{}' $MERGE
	options PatchOptions force 'Forbidden: may not be specified for non-apply patch'
	send DELETE "$NS/configmaps/o?propagationPolicy=Orphan" '{"orphanDependents":true}'
	options DeleteOptions propagationPolicy 'Invalid value: \"Orphan\": orphanDependents and deletionPropagation cannot be both set'
	k delete cm o
	k create deployment o --image=box:1 --replicas=0
	send PUT /apis/apps/v1/namespaces/default/deployments/o/scale '{"metadata":{"name":"o"},"spec":{"replicas":-1}}'
	answered 422 'Scale.autoscaling \"o\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
	k delete deploy o
	send DELETE /api/v1/namespaces ''
	answered 405
}

@test "an object has one controller among its owners" {
	two='[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"1","controller":true},{"apiVersion":"v1","kind":"ConfigMap","name":"b","uid":"2","controller":true}]'
	send POST $NS/configmaps '{"metadata":{"name":"owned","ownerReferences":'"$two"'}}'
	answered 422 'Only one reference can have Controller set to true. Found \"true\" in references for a and b'
	[ "$(of .details.causes[0].field)" = metadata.ownerReferences ]
	send POST "$NS/configmaps?dryRun=All" '{"metadata":{"name":"owned","ownerReferences":'"$(jq -c 'del(.[1].controller)' <<<"$two")"'}}'
	answered 201
}

@test "of a log no number of lines, bytes or seconds is asked for that there cannot be" {
	pod logged box:1 '["/bin/sh", "-c", "echo hello; sleep 1000"]' | k create -f -
	up logged
	said() { send GET "$NS/pods/logged/log?$1" ''; answered 422 "PodLogOptions \\\"logged\\\" is invalid: $2"; }
	said tailLines=-5 'tailLines: Invalid value: -5: must be greater than or equal to 0'
	said limitBytes=0 'limitBytes: Invalid value: 0: must be greater than 0'
	said sinceSeconds=0 'sinceSeconds: Invalid value: 0: must be greater than 0'
	said 'sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z' ': Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified'
	send GET "$NS/pods/logged/log?tailLines=1&sinceSeconds=3600&limitBytes=3" ''
	[ "$code $output" = "200 hel" ]
	k delete pod logged --grace-period=1
}

@test "what a slice's addresses are, what a quota counts and how a class makes volumes is not changed" {
	send POST /apis/discovery.k8s.io/v1/namespaces/default/endpointslices '{"metadata":{"name":"mine"},"addressType":"IPv4","endpoints":[{"addresses":["192.0.2.1"]}]}'
	answered 201
	send PATCH /apis/discovery.k8s.io/v1/namespaces/default/endpointslices/mine '{"addressType":"IPv6","endpoints":[{"addresses":["2001:db8::1"]}]}' $MERGE
	answered 422 'addressType: Invalid value: \"IPv6\": field is immutable'
	send PATCH /apis/discovery.k8s.io/v1/namespaces/default/endpointslices/mine '{"endpoints":[{"addresses":["192.0.2.2"]}]}' $MERGE
	answered 200
	k create quota mine --hard=pods=5 --scopes=BestEffort
	send PATCH $NS/resourcequotas/mine '{"spec":{"scopes":["NotBestEffort"]}}' $MERGE
	answered 422 'spec.scopes: Invalid value: [\"NotBestEffort\"]: field is immutable'
	send PATCH $NS/resourcequotas/mine '{"spec":{"hard":{"pods":"6"}}}' $MERGE
	answered 200
	k create -f - <<<'{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"mine"},"provisioner":"kedge.dev/local"}'
	send PATCH /apis/storage.k8s.io/v1/storageclasses/mine '{"reclaimPolicy":"Retain","volumeBindingMode":"WaitForFirstConsumer","parameters":{"a":"b"}}' $MERGE
	answered 422 'volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable'
	[ "$(of '[.details.causes[].field] | join(" ")')" = "reclaimPolicy volumeBindingMode parameters" ]
	send PATCH /apis/storage.k8s.io/v1/storageclasses/mine '{"allowVolumeExpansion":true}' $MERGE
	answered 200
	k delete endpointslice/mine quota/mine sc/mine
}

@test "a controller tells by Events what it did, and counts what comes again" {
	about='"involvedObject":{"kind":"ConfigMap","apiVersion":"v1","namespace":"default","name":"told","uid":"u1"}'
	send POST $NS/events '{"metadata":{"generateName":"told."},'"$about"',"reason":"Synced","message":"it is as it shall be","type":"Normal","source":{"component":"my-controller"},"firstTimestamp":"'"$(date -u +%FT%TZ)"'","lastTimestamp":"'"$(date -u +%FT%TZ)"'","count":1}'
	answered 201
	name=$(of .metadata.name)
	send PATCH $NS/events/$name '{"count":2,"message":"it is so again"}' $STRATEGIC
	answered 200
	run k events --for configmap/told
	[[ $output == *"(x2"*Normal*Synced*ConfigMap/told*"it is so again"* ]]
	run k get events --field-selector source=my-controller
	has "it is so again"
	run kedge events
	has "it is so again"
	send PUT $NS/events/$name "$(jq 'del(.metadata.managedFields) | .count = 3' <<<"$(k get event $name -o json)")"
	[ "$code $(of .count)" = "200 3" ]
	send PUT $NS/events/told.put '{"metadata":{"name":"told.put"},'"$about"',"reason":"Synced"}'
	answered 201
	send PATCH "$NS/events/told.applied?fieldManager=me" '{"apiVersion":"v1","kind":"Event","metadata":{"name":"told.applied"},'"$about"',"reason":"Synced"}' $APPLY
	answered 201
	[[ $(k get --raw /api/v1 | jq -c '.resources[] | select(.name == "events").verbs') == *'"create"'*'"patch","update"'* ]]
	k delete event $name told.applied told.put
}

@test "an Event says of what it is, where that is, and who saw it" {
	send POST $NS/events '{"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","namespace":"kube-system","name":"p"}}'
	answered 422 'involvedObject.namespace: Invalid value: \"kube-system\": does not match event.namespace'
	send POST /api/v1/namespaces/kube-system/events '{"metadata":{"name":"e"},"involvedObject":{"kind":"Node","name":"n1"}}'
	answered 422 'does not match event.namespace'
	new='"metadata":{"name":"e"},"involvedObject":{"kind":"Node","name":"n1"},"eventTime":"2026-01-01T00:00:00.000000Z"'
	send POST /api/v1/namespaces/kube-system/events "{$new"',"reportingComponent":"no name"}'
	answered 422
	[ "$(of '[.details.causes[].field] | join(" ")')" = "reportingComponent reportingInstance action reason" ]
	send POST /api/v1/namespaces/kube-system/events "{$new"',"reportingComponent":"example.com/me","reportingInstance":"me-0","action":"Look","reason":"'"$(printf 'x%.0s' {1..129})"'"}'
	answered 422 'reason: Invalid value: \"\": can have at most 128 characters'
	send POST "/api/v1/namespaces/kube-system/events?dryRun=All" "{$new"',"reportingComponent":"example.com/me","reportingInstance":"me-0","action":"Look","reason":"Seen"}'
	answered 201
	send POST /api/v1/namespaces/none/events '{"metadata":{"name":"e"}}'
	answered 404 'namespaces \"none\" not found'
	# which takes memory for some time only, and so much at most
	send POST $NS/events '{"metadata":{"name":"e","finalizers":["example.com/stay"]},"message":"'"$(head -c 40000 /dev/zero | tr '\0' x)"'"}'
	answered 422
	[ "$(of '[.details.causes[].field] | join(" ")')" = "metadata.finalizers " ]
}

@test "a line feed in the name of an image breaks no line: the other container runs" {
	send POST $NS/pods '{"metadata":{"name":"feed"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"a","image":"a\nb"},{"name":"b","image":"box:1"}]}}'
	answered 201
	other_runs() { [ -n "$(k get pod feed -o jsonpath='{.status.containerStatuses[?(@.name=="b")].state.running.startedAt}')" ]; }
	wait_for 15 "it runs" other_runs
	k delete pod feed
}

@test "what kedge saw is said by nobody else" {
	k create -f - <<<'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"seen"},"spec":{"terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"box:1","readinessProbe":{"periodSeconds":1,"exec":{"command":["false"]}}}]}}'
	own() { k get events --field-selector involvedObject.name=seen,reason=Unhealthy,reportingComponent=kedge -o jsonpath='{.items[*].metadata.name}'; }
	told() { [ -n "$(own)" ]; }
	wait_for 15 "its probe fails" told
	ev=$(own)
	send PATCH $NS/events/$ev '{"message":"all is well"}' $MERGE
	answered 422 'reportingComponent: Forbidden: what kedge itself saw is not written over the API'
	k annotate event $ev looked=at
	about='"involvedObject":{"kind":"Pod","namespace":"default","name":"seen"}'
	send POST $NS/events '{"metadata":{"name":"made-up"},'"$about"',"reason":"Unhealthy","reportingComponent":"kedge"}'
	answered 422 'what kedge itself saw'
	send POST $NS/events '{"metadata":{"name":"made-up"},'"$about"',"reason":"Unhealthy","source":{"component":"kedge"}}'
	answered 422 'what kedge itself saw'
	# of one that somebody deleted another of that name is not counted on
	k delete event $ev
	send POST $NS/events '{"metadata":{"name":"'"$ev"'"},'"$about"',"reason":"Unhealthy"}'
	answered 201
	wait_for 10 "it is told anew" told
	[ "$(k get event $ev -o jsonpath='{.count}')" = "" ]
	k delete pod seen --grace-period=1
	# and a terminal shows what is written, not what it would do
	send POST $NS/events '{"metadata":{"name":"loud"},'"$about"',"reason":"A\u001b[2JB","message":"one\ntwo\u009bA\u001b[8m"}'
	answered 201
	run kedge events
	has 'A?[2JB'
	has 'one two??A'$'\033[8m\033[0m'
	k delete event loud $ev
}

@test "a PUT makes what it makes in Kubernetes, but not what was another object" {
	svc='"metadata":{"name":"put"},"spec":{"clusterIP":"None","ports":[{"port":80}]}'
	send PUT $NS/services/put "{${svc/\"name\":\"put\"/\"name\":\"put\",\"uid\":\"u1\"}}"
	answered 409 'Precondition failed: UID in precondition: u1'
	send PUT $NS/services/put "{$svc}"
	answered 201
	send PUT $NS/configmaps/put '{"metadata":{"name":"put"}}'
	answered 404
	k delete svc put
}
