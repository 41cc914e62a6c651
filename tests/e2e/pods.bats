#!/usr/bin/env bats
# Pods: what their manifests say is what runs, and how they come and go.
load kit.bash
KILLS=yes

setup_file() {
	CONFIG='allow: {capabilities: [NET_ADMIN]}' file_begin
	slow_ones
}
setup() { file_test; }
teardown_file() { file_end; }

# What needs its time is begun first and looked at last.
slow_ones() {
	{
		pod crash box:1 '["/bin/sh", "-c", "echo run; echo bad >&2; exit 3"]'
		pod done-over box:1 '["/bin/true"]'
		MORE='livenessProbe: {exec: {command: [/bin/test, -e, /tmp/well]}, periodSeconds: 1, failureThreshold: 2}' \
			pod sick box:1 '["/bin/sh", "-c", "touch /tmp/well; sleep 3; rm /tmp/well; sleep 1000"]'
		SPEC='restartPolicy: OnFailure' pod once-more box:1 \
			'["/bin/sh", "-c", "test -e /keep/was && exit 0; touch /keep/was; exit 1"]' |
			sed 's|^---$|    volumeMounts: [{name: keep, mountPath: /keep}]\n  volumes: [{name: keep, emptyDir: {}}]\n---|'
		pod late nowhere/late:1 '["/bin/sleep", "1000"]'
	} | put slow
}

@test "command, args, env and working directory are the container's" {
	MORE='args: ["$(WHO) $(NOBODY) $$(WHO)", two words]
workingDir: /tmp
env:
- {name: WHO, value: me}
- {name: TWICE, value: "$(WHO)-$(WHO)"}
- {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
- {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['"'app'"']"}}}
- {name: CPUS, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
- {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
resources: {limits: {cpu: 1500m, memory: 64Mi}}' \
		pod words box:1 '["/bin/sh", "-c", "pwd; echo \"$0|$1\"; env; exec sleep 1000"]' | put words
	up words
	wait_for 5 "it spoke" sh -c 'kedge logs words | grep -q CPUS='
	run kedge logs words
	[ "${lines[0]}" = /tmp ]
	[ "${lines[1]}" = 'me $(NOBODY) $(WHO)|two words' ]
	has TWICE=me-me
	has "NODE=$(field pod words .spec.nodeName)"
	has POD=words
	has "IP=$(field pod words .status.podIP)"
	has APP=words
	has CPUS=2
	has MEMORY=64
	has HOSTNAME=words
	[ "$(in_ words hostname)" = words ]
	in_ words cat /etc/hosts | grep -qE "^$(field pod words .status.podIP)[[:space:]]+words"
	drop words
}

@test "env from ConfigMaps and Secrets, whole and by key" {
	{
		cat <<-'Y'
			{apiVersion: v1, kind: ConfigMap, metadata: {name: cm}, data: {COLOUR: red, SIZE: "10"}}
			---
			{apiVersion: v1, kind: Secret, metadata: {name: sec}, stringData: {PASSWORD: s3cret}, data: {PIN: MTIz}}
			---
		Y
		MORE='envFrom:
- {configMapRef: {name: cm}, prefix: C_}
- {secretRef: {name: sec}}
- {configMapRef: {name: nothing, optional: true}}
env:
- {name: ONE, valueFrom: {configMapKeyRef: {name: cm, key: COLOUR}}}
- {name: TWO, valueFrom: {secretKeyRef: {name: sec, key: PIN}}}
- {name: THREE, valueFrom: {secretKeyRef: {name: sec, key: none, optional: true}}}
- {name: FOUR, value: "$(C_SIZE)-$(ONE)"}' pod envs box:1
	} | put envs
	up envs
	run in_ envs env
	has C_COLOUR=red
	has C_SIZE=10
	has PASSWORD=s3cret
	has PIN=123
	has ONE=red
	has TWO=123
	hasnt THREE
	has FOUR=10-red
	drop envs
}

@test "the variables of Services are there, unless the pod wants none" {
	echo '{apiVersion: v1, kind: Service, metadata: {name: my-db}, spec: {clusterIP: 10.43.7.7, selector: {app: nobody}, ports: [{name: sql, port: 5432}]}}' | put my-db
	{
		pod linked box:1
		SPEC='enableServiceLinks: false' pod unlinked box:1
	} | put links
	up linked
	up unlinked
	[ "$(in_ linked sh -c 'echo $MY_DB_SERVICE_HOST $MY_DB_SERVICE_PORT_SQL $MY_DB_PORT')" = '10.43.7.7 5432 tcp://10.43.7.7:5432' ]
	run in_ unlinked env
	hasnt MY_DB
	rm "$W/clone/my-db.yaml"
	drop links
}

@test "a namespace's Pod Security labels: a commit is refused, warned of, or neither, in Kubernetes' words" {
	echo '{apiVersion: v1, kind: Namespace, metadata: {name: guarded, labels: {pod-security.kubernetes.io/enforce: baseline, pod-security.kubernetes.io/warn: restricted}}}' | put guarded
	wait_for 10 "it is there" kedge get ns guarded
	SPEC='hostNetwork: true' pod rogue box:1 | sed 's/name: rogue,/name: rogue, namespace: guarded,/' | put rogue
	wait_for 10 "the commit is refused" sh -c 'kedge status | grep -q "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"'
	! kedge -n guarded get pod rogue 2>/dev/null || false
	pod rogue box:1 | sed 's/name: rogue,/name: rogue, namespace: guarded,/' | put rogue
	wait_for 10 "it runs" sh -c 'kedge -n guarded get pod rogue | grep -q Running'
	kedge status | grep -q 'would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false'
	rm "$W/clone/guarded.yaml"
	drop rogue
}

@test "ConfigMaps and Secrets are files, follow a change, and are read-only" {
	local m='volumeMounts:
- {name: cm, mountPath: /cm}
- {name: cm, mountPath: /one/file, subPath: a}
- {name: sec, mountPath: /sec, readOnly: true}'
	v='volumes:
- {name: cm, configMap: {name: files, items: [{key: a, path: a}, {key: b, path: deep/er/b, mode: 0400}]}}
- {name: sec, secret: {secretName: hidden, defaultMode: 0400}}'
	files() {
		cat <<-Y
			{apiVersion: v1, kind: ConfigMap, metadata: {name: files}, data: {a: "$1", b: bee}}
			---
			{apiVersion: v1, kind: Secret, metadata: {name: hidden}, stringData: {key: "$2"}}
			---
		Y
		SPEC=$v MORE=$m pod files box:1
	}
	files one k1 | put files
	up files
	[ "$(in_ files cat /cm/a)" = one ]
	[ "$(in_ files cat /cm/deep/er/b)" = bee ]
	[ "$(in_ files stat -Lc %a /cm/deep/er/b)" = 400 ]
	[ "$(in_ files cat /one/file)" = one ]
	[ "$(in_ files cat /sec/key)" = k1 ]
	[ "$(in_ files stat -Lc %a /sec/key)" = 400 ]
	[ "$(in_ files ls /cm)" = $'a\ndeep' ]
	run in_ files sh -c 'echo x >/cm/a'
	[ "$status" != 0 ]
	has "Read-only file system"
	uid=$(field pod files .metadata.uid)
	files two k2 | put files
	wait_for 10 "the file changes" sh -c '[ "$(kedge exec files -- cat /cm/a)" = two ]'
	[ "$(in_ files cat /sec/key)" = k2 ]
	[ "$(in_ files cat /cm/deep/er/b)" = bee ]
	[ "$(in_ files cat /one/file)" = one ] # a subPath does not follow, as in Kubernetes
	[ "$uid" = "$(field pod files .metadata.uid)" ]
	[ "$(st files .restartCount)" = 0 ]
	drop files
}

@test "two containers share the pod's address, hostname and volumes, not their processes" {
	cat <<-'Y' | put two
		apiVersion: v1
		kind: Pod
		metadata: {name: two}
		spec:
		  terminationGracePeriodSeconds: 1
		  volumes: [{name: both, emptyDir: {}}, {name: fast, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
		  containers:
		  - name: a
		    image: box:1
		    command: [/bin/talk, tcp, "8000"]
		    volumeMounts: [{name: both, mountPath: /shared}]
		  - name: b
		    image: box:1
		    command: [/bin/talk, tcp, "8080"]
		    volumeMounts: [{name: both, mountPath: /other, readOnly: true}, {name: fast, mountPath: /fast}]
	Y
	up two
	run kedge get pod two
	matches 'two +2/2 +Running +0'
	ip=$(field pod two .status.podIP)
	[ "$(nc -w 2 "$ip" 8000 </dev/null | cut -d' ' -f1,3)" = "two 8000" ]
	[ "$(nc -w 2 "$ip" 8080 </dev/null | cut -d' ' -f1,3)" = "two 8080" ]
	[ "$(kedge exec two -c a -- nc -w 2 127.0.0.1 8080 </dev/null | cut -d' ' -f1,3)" = "two 8080" ]
	for c in a b; do
		kedge exec two -c $c -- ip -4 -o addr show dev eth0 | grep -q "inet $ip/"
		[ "$(kedge exec two -c $c -- cat /proc/1/comm)" = talk ]
		[ "$(kedge exec two -c $c -- pidof talk)" = 1 ]
	done
	run kedge exec two -- ls -d /shared
	[ "$output" = $'Defaulted container "a" out of: a, b\n/shared' ]
	kedge exec two -c a -- sh -c 'echo hello >/shared/x'
	[ "$(kedge exec two -c b -- cat /other/x)" = hello ]
	run kedge exec two -c b -- sh -c 'echo no >/other/x'
	[ "$status" != 0 ]
	run kedge exec two -c a -- ls /fast
	[ "$status" != 0 ]
	run kedge exec two -c b -- dd if=/dev/zero of=/fast/x bs=1024 count=2000
	[ "$status" != 0 ]
	has "No space left"
	drop two
}

@test "the same port twice in a pod is refused with its place" {
	cat <<-'Y' | put twice
		apiVersion: v1
		kind: Pod
		metadata: {name: twice}
		spec:
		  containers:
		  - {name: a, image: box:1, ports: [{containerPort: 8080}]}
		  - {name: b, image: box:1, ports: [{containerPort: 8080}]}
	Y
	run kedge wait --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	run kedge status
	matches 'twice.yaml:7:[0-9]+: .*8080'
	run kedge get pod twice
	[ "$status" = 1 ]
	drop twice
}

@test "restartPolicy Never and OnFailure end as Succeeded or Failed" {
	{
		SPEC='restartPolicy: Never' pod never-good box:1 '["/bin/true"]'
		SPEC='restartPolicy: Never' pod never-bad box:1 '["/bin/sh", "-c", "echo last word >/dev/termination-log; exit 7"]'
		SPEC='restartPolicy: OnFailure' pod fail-good box:1 '["/bin/true"]'
	} | put ends
	wait_for 10 "it succeeds" phase_is never-good Succeeded
	wait_for 10 "it fails" phase_is never-bad Failed
	wait_for 10 "it succeeds" phase_is fail-good Succeeded
	[ "$(st never-good .state.terminated.reason)" = Completed ]
	[ "$(st never-bad .state.terminated.reason)" = Error ]
	[ "$(st never-bad .state.terminated.exitCode)" = 7 ]
	[ "$(st never-bad .state.terminated.message)" = "last word" ]
	[ "$(st never-bad .restartCount)" = 0 ]
	run kedge get pods
	matches 'never-good +0/1 +Completed +0'
	matches 'never-bad +0/1 +Error +0'
	drop ends
}

@test "a container that takes too much memory is OOMKilled, and its limits are the kernel's" {
	{
		SPEC='restartPolicy: Never' MORE='resources: {limits: {memory: 24Mi}}' pod hungry box:1 '["/bin/talk", "eat", "100"]'
		MORE='resources: {limits: {memory: 24Mi, cpu: 250m}, requests: {cpu: 100m}}' pod modest box:1 '["/bin/talk", "eat", "4"]'
	} | put memory
	wait_for 10 "it is killed" phase_is hungry Failed
	[ "$(st hungry .state.terminated.reason)" = OOMKilled ]
	[ "$(st hungry .state.terminated.exitCode)" = 137 ]
	kedge get pod hungry | grep -q OOMKilled
	up modest
	{ group modest memory.limit_in_bytes || group modest memory.max; } | grep -qx 25165824
	{ group modest cpu.cfs_quota_us || group modest cpu.max; } | grep -qE '^25000( 100000)?$'
	[ "$(field pod modest .status.qosClass)" = Burstable ]
	drop memory
}

@test "readiness by HTTP, TCP and a command decides who is in service" {
	image web:1 >/dev/null
	{
		MORE='readinessProbe: {exec: {command: [/bin/test, -e, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}
ports: [{containerPort: 80}]' pod by-exec box:1
		MORE='readinessProbe: {tcpSocket: {port: 81}, periodSeconds: 1}' pod by-tcp box:1 '["/bin/talk", "tcp", "81"]'
		MORE='readinessProbe: {tcpSocket: {port: 82}, periodSeconds: 1}' pod by-tcp-not box:1 '["/bin/talk", "tcp", "81"]'
		MORE='readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}' pod by-http web:1
		MORE='env: [{name: UNREADY, value: "1"}]
readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}' pod by-http-not web:1
		echo '{apiVersion: v1, kind: Service, metadata: {name: by-exec}, spec: {selector: {app: by-exec}, ports: [{port: 80}]}}'
	} | put ready
	up by-tcp
	up by-http
	wait_for 10 "it runs" phase_is by-exec Running
	sleep 1.5
	for p in by-exec by-tcp-not by-http-not; do
		run kedge get pod $p
		matches "$p +0/1 +Running"
	done
	kedge describe pod by-http-not | grep -q 'Readiness probe failed: HTTP probe failed with statuscode: 503'
	kedge describe pod by-tcp-not | grep -qE 'Readiness probe failed: dial tcp [0-9.]+:82: connect: connection refused'
	eps() { kedge get endpoints by-exec -o json | jq -r '[.subsets[]?.addresses[]?.ip] | length'; }
	[ "$(eps)" = 0 ]
	in_ by-exec touch /tmp/ready
	up by-exec 5
	wait_for 3 "it is an endpoint" sh -c '[ "$(kedge get endpoints by-exec -o json | jq -r "[.subsets[]?.addresses[]?.ip] | length")" = 1 ]'
	in_ by-exec rm /tmp/ready
	wait_for 5 "it leaves" sh -c '[ "$(kedge get endpoints by-exec -o json | jq -r "[.subsets[]?.addresses[]?.ip] | length")" = 0 ]'
	drop ready
}

@test "a startup probe holds the others back until it succeeds" {
	MORE='startupProbe: {exec: {command: [/bin/test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 30}
livenessProbe: {exec: {command: [/bin/test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 1}' \
		pod starts box:1 '["/bin/sh", "-c", "sleep 3; touch /tmp/up; sleep 1000"]' | put starts
	wait_for 10 "it runs" phase_is starts Running
	[ "$(st starts .started)" = false ]
	up starts
	[ "$(st starts .restartCount)" = 0 ]
	[ "$(st starts .started)" = true ]
	drop starts
}

@test "SIGTERM comes first, SIGKILL when the grace is over" {
	{
		SPEC= pod polite box:1 '["/bin/talk", "polite"]'
		SPEC= pod stubborn box:1 '["/bin/talk", "deaf"]' | sed 's/terminationGracePeriodSeconds: 1/terminationGracePeriodSeconds: 2/'
	} | put grace
	up polite
	up stubborn
	t0=$(date +%s%N)
	drop grace
	kedge exec stubborn -- /bin/true # its container runs until it is killed
	wait_for 5 "the polite one goes" sh -c '! kedge get pod polite'
	polite=$((($(date +%s%N) - t0) / 1000000))
	kedge get pod stubborn | grep -q Terminating
	wait_for 5 "the stubborn one goes" sh -c '! kedge get pod stubborn'
	stubborn=$((($(date +%s%N) - t0) / 1000000))
	echo "polite $polite ms, stubborn $stubborn ms"
	[ $polite -lt 1500 ]
	[ $stubborn -ge 2000 ]
	[ $stubborn -lt 4500 ]
}

@test "a missing ConfigMap is named, and its coming is enough" {
	MORE='env: [{name: X, valueFrom: {configMapKeyRef: {name: later, key: x}}}]' pod waits box:1 | put waits
	wait_for 10 "it waits" sh -c 'kedge get pod waits | grep -q CreateContainerConfigError'
	[ "$(st waits .state.waiting.message)" = 'configmap "later" not found' ]
	kedge events | grep -q 'Error: configmap "later" not found'
	echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: later}, data: {y: z}}' | put later
	wait_for 5 "the key is missed" st_is waits .state.waiting.message "couldn't find key x in ConfigMap default/later"
	echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: later}, data: {x: z}}' | put later
	up waits 5
	[ "$(in_ waits sh -c 'echo $X')" = z ]
	rm "$W/clone/later.yaml"
	drop waits
}

@test "a container whose Secret is missing waits alone, also over kedged's end, and starts when it comes" {
	{
		pod pair box:1 | sed '$d'
		cat <<-'Y'
			  - name: needs
			    image: box:1
			    command: [/bin/sh, -c, 'echo got $X; exec /bin/sleep 1000']
			    env: [{name: X, valueFrom: {secretKeyRef: {name: hush, key: x}}}]
			    volumeMounts: [{name: v, mountPath: /v, subPathExpr: $(X)}]
			  volumes: [{name: v, emptyDir: {}}]
		Y
	} | put pair
	needs() { field pod pair ".status.containerStatuses[] | select(.name == \"needs\") | $1"; }
	needs_is() { [ "$(needs "$1")" = "$2" ]; }
	wait_for 10 "it waits" needs_is .state.waiting.reason CreateContainerConfigError
	needs_is .state.waiting.message 'secret "hush" not found'
	wait_for 10 "the other runs" st_is pair .ready true
	is pair .status.phase Pending
	kedge get pod pair --no-headers | grep -qE '^pair +1/2 +CreateContainerConfigError +0'
	[ "$(kedge exec pair -c main -- hostname)" = pair ]
	id=$(st pair .containerID)
	[ "$(kedge events | grep -c 'Error: secret "hush" not found')" = 1 ]
	kill -9 "$KEDGED"
	wait_for 5 "it is dead" not_running "$KEDGED"
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "it is known" needs_is .state.waiting.message 'secret "hush" not found'
	echo '{apiVersion: v1, kind: Secret, metadata: {name: hush}, stringData: {x: secret}}' | put hush
	up pair 10
	kedge logs pair needs | grep -qx 'got secret'
	[ "$(st pair .containerID)" = "$id" ]
	needs_is .restartCount 0
	is pair .status.phase Running
	rm "$W/clone/hush.yaml"
	drop pair
}

@test "a container that starts again gets the environment of now, and waits when there is none" {
	conf() { echo "{apiVersion: v1, kind: ConfigMap, metadata: {name: mood}, data: {x: $1}}" | put mood; }
	runs() { [ "$(kedge logs again | sed -n '$p')" = "$*" ]; }
	ends() { in_ again sh -c "touch /v/end; while [ -e /v/end ]; do /bin/sleep 0.1; done" || true; }
	conf one
	SPEC='volumes: [{name: v, emptyDir: {}}]' \
		MORE='envFrom: [{configMapRef: {name: mood}}]
args: [$(x)]
volumeMounts: [{name: v, mountPath: /v}]' \
		pod again box:1 '[/bin/sh, -c, "echo $x $0; trap : TERM; while ! [ -e /v/end ]; do /bin/sleep 0.1; done; rm /v/end; sleep 0.3; exit 3"]' | put again
	up again
	runs one one
	conf two
	wait_for 5 "it is told" grep -q 'renew pod default/again' "$W/kedged.log"
	[ "$(in_ again sh -c 'echo $x')" = one ] # as what runs there has it
	ends
	wait_for 10 "it runs again" runs two two
	rm "$W/clone/mood.yaml"
	push $'no mood\n\nKedge-Prune: yes'
	wait_for 5 "it is told" grep -q 'renew pod default/again.*configmap "mood" not found' "$W/kedged.log"
	st_is again .ready true
	ends
	wait_for 5 "it waits" st_is again .state.waiting.reason CreateContainerConfigError
	st_is again .state.waiting.message 'configmap "mood" not found'
	st_is again .lastState.terminated.exitCode 3
	st_is again .restartCount 1
	kill -9 "$KEDGED"
	wait_for 5 "it is dead" not_running "$KEDGED"
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	wait_for 5 "it waits still" st_is again .state.waiting.message 'configmap "mood" not found'
	conf three
	wait_for 15 "it runs again" runs three three
	up again 15
	st_is again .restartCount 2
	drop again
	rm "$W/clone/mood.yaml"
}

@test "a container that is to have another image gets it, also when kedged is killed meanwhile" {
	slowly() { pod turned "$1" '["/bin/sh", "-c", "trap : TERM; while :; do /bin/sleep 0.2; done"]' | sed 's/PeriodSeconds: 1/PeriodSeconds: 4/' | put turned; }
	box box:2
	slowly box:1
	up turned
	slowly box:2
	wait_for 5 "the hand is told" grep -q 'renew pod default/turned.*its image changed to box:2' "$W/kedged.log"
	kill -9 "$KEDGED"
	wait_for 5 "it is dead" not_running "$KEDGED"
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	wait_for 15 "it began anew" st_is turned '| "\(.restartCount) \(.image) \(.ready)"' '1 box:2 true'
	is turned '[.status.conditions[] | select(.type == "kedge.dev/ImagePending")] | length' 0
	drop turned
}

@test "while kedged is dead a container starts again with what was known last, also of what was deleted" {
	echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: known}, data: {x: "yes"}}' | put known
	SPEC='volumes: [{name: v, emptyDir: {}}]' MORE='envFrom: [{configMapRef: {name: known}}]
volumeMounts: [{name: v, mountPath: /v}]' \
		pod orphan box:1 '[/bin/sh, -c, "echo is $x; while ! [ -e /v/end ]; do /bin/sleep 0.1; done; rm /v/end"]' | put orphan
	up orphan
	uid=$(field pod orphan .metadata.uid)
	rm "$W/clone/known.yaml"
	push $'not known\n\nKedge-Prune: yes'
	wait_for 5 "it is told" grep -q 'renew pod default/orphan.*configmap "known" not found' "$W/kedged.log"
	st_is orphan .ready true
	kill -9 "$KEDGED"
	wait_for 5 "it is dead" not_running "$KEDGED"
	touch "$W/state/pods/$uid/.volumes/v/end"
	wait_for 10 "it runs again" grep -q 'is yes' "$W/logs/default_orphan_$uid/main/1.log"
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	up orphan
	st_is orphan .restartCount 1
	drop orphan
}

@test "a container whose image is missing waits alone, and begins when it comes" {
	{
		pod alone box:1 | sed '$d'
		echo '  - {name: lacks, image: "absent:1", imagePullPolicy: IfNotPresent}'
	} | put alone
	lacks() { field pod alone ".status.containerStatuses[] | select(.name == \"lacks\") | $1"; }
	lacks_is() { [ "$(lacks "$1")" = "$2" ]; }
	wait_for 10 "the other runs" st_is alone .ready true
	wait_for 20 "it backs off" lacks_is .state.waiting.reason ImagePullBackOff
	is alone .status.phase Pending
	id=$(st alone .containerID)
	box absent:1
	up alone 20
	st_is alone .containerID "$id"
	lacks_is .restartCount 0
	drop alone
}

@test "a command that is not there is said as Kubernetes says it" {
	{
		SPEC='restartPolicy: Never' pod no-command box:1 '["/bin/nothing"]'
		SPEC='restartPolicy: Never' pod no-name box:1 '["nothing", "at", "all"]'
		SPEC='restartPolicy: Never' pod no-right box:1 '["/etc/hosts"]'
		SPEC='restartPolicy: Never' MORE='workingDir: /etc/passwd' pod no-dir box:1 '["/bin/true"]'
	} | put bad
	wait_for 10 "it fails" phase_is no-command Failed
	[ "$(st no-command .state.terminated.reason)" = ContainerCannotRun ]
	[ "$(st no-command .state.terminated.exitCode)" = 127 ]
	[[ $(st no-command .state.terminated.message) == *'exec: "/bin/nothing": stat /bin/nothing: no such file or directory' ]]
	wait_for 10 "it fails" phase_is no-name Failed
	[ "$(st no-name .state.terminated.exitCode)" = 127 ]
	[[ $(st no-name .state.terminated.message) == *'exec: "nothing": executable file not found in $PATH' ]]
	wait_for 10 "it fails" phase_is no-right Failed
	[ "$(st no-right .state.terminated.reason)" = ContainerCannotRun ]
	[ "$(st no-right .state.terminated.exitCode)" = 126 ]
	[[ $(st no-right .state.terminated.message) == *'exec: "/etc/hosts": permission denied' ]]
	wait_for 10 "it fails" phase_is no-dir Failed
	[[ $(st no-dir .state.terminated.message) == *"/etc/passwd"* ]]
	drop bad
}

@test "exec of what is not there says so in runc's words, with 127 and 126" {
	pod bare box:1 | put bare
	up bare
	run -127 in_ bare nothing
	has 'exec: "nothing": executable file not found in $PATH'
	run -127 in_ bare /bin/nothing
	has 'exec: "/bin/nothing": stat /bin/nothing: no such file or directory'
	run -126 in_ bare /etc/hosts
	has 'exec: "/etc/hosts": permission denied'
	drop bare
}

@test "exec passes exit codes, input, and a terminal" {
	pod shell box:1 | put shell
	up shell
	run kedge exec shell -- sh -c 'exit 42'
	[ "$status" = 42 ]
	run kedge exec shell -- sh -c 'kill -9 $$'
	[ "$status" = 137 ]
	run -127 kedge exec shell -- /bin/nothing
	has "no such file or directory"
	[ "$(echo through | kedge exec -i shell -- cat)" = through ]
	[ "$(head -c 3000000 /dev/zero | kedge exec -i shell -- wc -c)" = 3000000 ]
	# the program runs before it hears of the terminal's size
	run script -qec 'stty rows 33 cols 77; kedge exec -it shell -- sh -c "until stty size 2>/dev/null | grep . ; do sleep 0.1; done; test -t 0 && test -t 1 && echo a terminal; exit 5"' /dev/null
	[ "$status" = 5 ]
	has "33 77"
	has "a terminal"
	run kedge exec shell -c nothing -- true
	[ "$status" != 0 ]
	has nothing
	drop shell
}

@test "exec without a terminal to be had says so, and later has one" {
	pod dumb box:1 | put dumb
	up dumb
	prlimit --pid "$KEDGED" --nofile=3:
	run timeout 60 script -qec 'kedge exec -it dumb -- /bin/true' /dev/null
	prlimit --pid "$KEDGED" --nofile=1024:
	has "open a terminal: Too many open files"
	run timeout 60 script -qec 'kedge exec -it dumb -- /bin/echo here' /dev/null
	has here
	drop dumb
}

@test "logs: all, tail, since, timestamps and following" {
	pod loud box:1 '["/bin/sh", "-c", "i=0; while [ $i -lt 5 ]; do i=$((i+1)); echo line $i; done; echo err >&2; while ! test -e /tmp/go; do sleep 0.1; done; echo late; sleep 1000"]' | put loud
	up loud
	wait_for 5 "it spoke" sh -c 'kedge logs loud | grep -q err'
	[ "$(kedge logs loud | grep -c line)" = 5 ]
	[ "$(kedge logs loud --tail 2 | wc -l)" = 2 ]
	kedge logs loud --timestamps | grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+) line 1$'
	timeout 10 kedge logs -f loud >"$W/follow" 3>&- &
	follower=$!
	wait_for 5 "it follows" grep -q 'line 5' "$W/follow"
	in_ loud touch /tmp/go
	wait_for 5 "it goes on" grep -q late "$W/follow"
	drop loud
	wait_for 10 "it ends with the pod" not_running $follower
}

@test "a pod without its first process is replaced" {
	deployment solid box:1 1 | sed '/readinessProbe/d' >"$W/clone/solid.yaml"
	push solid
	wait_for 10 "it is ready" has_ready app=solid 1
	old=$(kedge get pods -l app=solid -o json | jq -r '.items[0].metadata.name')
	before=$(kedge get pod "$old" -o json | jq -r '.status.containerStatuses[0].containerID')
	kill -9 "$(pgrep -f "^kedge-init pod $old")"
	wait_for 10 "another runs" sh -c "kedge get pods -l app=solid -o json | jq -e --arg b '$before' '.items[] | select(.status.containerStatuses[0].containerID != \$b and .status.containerStatuses[0].ready)'"
	drop solid
}

# refuses_root POD WHY: the kubelet's words, to the last of them
refuses_root() {
	wait_for 5 "$1 is refused" st_is "$1" .state.waiting.reason CreateContainerConfigError
	[ "$(st "$1" .state.waiting.message)" = "container has runAsNonRoot and $2 (pod: \"$1_default($(field pod "$1" .metadata.uid))\", container: main)" ]
}

@test "what a pod may do: user, capabilities, a read-only root" {
	kedge image import "$B/images/box" user-number:1 --cmd '["/bin/talk","wait"]' --user 1234:99
	kedge image import "$B/images/box" user-name:1 --cmd '["/bin/talk","wait"]' --user nobody
	kedge image import "$B/images/box" user-root:1 --cmd '["/bin/talk","wait"]' --user root
	{
		SPEC='securityContext: {runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000, supplementalGroups: [4000], supplementalGroupsPolicy: Strict}
volumes: [{name: v, emptyDir: {}}]' MORE='volumeMounts: [{name: v, mountPath: /v}]
securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}' pod bare box:1
		MORE='securityContext: {capabilities: {add: [NET_ADMIN], drop: [CHOWN]}}' pod armed box:1
		SPEC='securityContext: {runAsNonRoot: true}' pod not-root box:1
		SPEC='securityContext: {runAsNonRoot: true, runAsUser: 1000}' pod not-root-well box:1
		SPEC='securityContext: {runAsNonRoot: true}' pod numbered user-number:1
		SPEC='securityContext: {runAsNonRoot: true}' pod named user-name:1
		SPEC='securityContext: {runAsNonRoot: true}' pod by-name user-root:1
		MORE='securityContext: {allowPrivilegeEscalation: true}' pod grows box:1
	} | put rights
	up bare
	[ "$(in_ bare id -u)" = 1000 ]
	[ "$(in_ bare id -g)" = 2000 ]
	[ "$(in_ bare id -G | tr ' ' '\n' | sort | tr '\n' ' ')" = '2000 3000 4000 ' ]
	[ "$(st bare '.user|tojson')" = '{"linux":{"uid":1000,"gid":2000,"supplementalGroups":[2000,3000,4000]}}' ]
	in_ bare sh -c 'echo x >/v/file'
	[ "$(in_ bare stat -c %g /v/file)" = 3000 ]
	run in_ bare touch /x
	has "Read-only file system"
	in_ bare grep -q '^CapEff:.0000000000000000$' /proc/self/status
	in_ bare grep -qE '^NoNewPrivs:.1$' /proc/self/status
	up armed
	in_ armed ip link set lo mtu 1000
	run in_ armed chown 1 /tmp
	[ "$status" != 0 ]
	up not-root-well
	wait_for 5 "root is refused" sh -c 'kedge get pod not-root | grep -q CreateContainerConfigError'
	refuses_root not-root "image will run as root"
	up numbered
	[ "$(in_ numbered id -u):$(in_ numbered id -g)" = 1234:99 ]
	[ "$(st numbered '.user|tojson')" = '{"linux":{"uid":1234,"gid":99,"supplementalGroups":[99]}}' ]
	[ "$(st armed '.user|tojson')" = '{"linux":{"uid":0,"gid":0,"supplementalGroups":[0]}}' ]
	[ "$(st armed .stopSignal)" = SIGTERM ]
	refuses_root named "image has non-numeric user (nobody), cannot verify user is non-root"
	refuses_root by-name "image has non-numeric user (root), cannot verify user is non-root"
	up grows
	in_ grows grep -qE '^NoNewPrivs:.0$' /proc/self/status
	drop rights
}

@test "of replicas that must be apart one runs, and who wants to be near it comes after it" {
	local term='requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLabels: {app: apart}}, topologyKey: kubernetes.io/hostname}]'
	SPEC="affinity: {podAffinity: {$term}}" pod near box:1 | put near
	wait_for 10 "it waits" was_told near "0/1 nodes are available: 1 node(s) didn't match pod affinity rules."
	cat <<-Y | put apart
		apiVersion: apps/v1
		kind: ReplicaSet
		metadata: {name: apart}
		spec:
		  replicas: 2
		  selector: {matchLabels: {app: apart}}
		  template:
		    metadata: {labels: {app: apart}}
		    spec:
		      terminationGracePeriodSeconds: 0
		      containers: [{name: c, image: "box:1", command: [/bin/sleep, "1000"]}]
		      affinity: {podAntiAffinity: {$term}}
	Y
	up near
	wait_for 10 "one is ready" has_ready app=apart 1
	one=$(kedge get pods -l app=apart -o json | jq -r '.items[] | select(.status.phase == "Running").metadata.name')
	other=$(kedge get pods -l app=apart -o json | jq -r '.items[] | select(.status.phase == "Pending").metadata.name')
	wait_for 10 "the other waits" was_told "$other" "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."
	kedge delete pod "$one"
	wait_for 10 "it is gone" sh -c "! kedge get pod $one"
	wait_for 10 "one of the others has its place" has_ready app=apart 1
	rm "$W/clone/near.yaml"
	drop apart
}

@test "what is known but not acted upon is said" {
	SPEC='priorityClassName: someone
tolerations: [{operator: Exists}]
hostAliases: [{ip: 10.9.8.7, hostnames: [elsewhere]}]
dnsConfig: {nameservers: [10.1.1.1], searches: [here.example]}' pod inert box:1 | put inert
	up inert
	wait_for 5 "status says so" sh -c 'kedge status | grep -q priorityClassName'
	echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: more}}' | put more # it is still said then
	wait_for 5 "the next commit is there" kedge get cm more
	run kedge status
	matches 'inert.yaml:[0-9]+:[0-9]+: .*priorityClassName'
	hasnt tolerations
	hasnt hostAliases
	hasnt dnsConfig
	in_ inert grep -q '10.9.8.7.elsewhere' /etc/hosts
	in_ inert grep -q 'nameserver 10.1.1.1' /etc/resolv.conf
	rm "$W/clone/more.yaml"
	drop inert
}

@test "what crashes while kedged is away is started again, and its exit code is known" {
	pod phoenix box:1 '["/bin/sh", "-c", "while ! test -e /tmp/die; do sleep 0.1; done; exit 9"]' | put phoenix
	up phoenix
	id=$(st phoenix .containerID)
	in_ phoenix touch /tmp/die
	kedge_stop 2>/dev/null
	sleep 1
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "it runs again" up phoenix 1
	[ "$(st phoenix .restartCount)" = 1 ]
	[ "$(st phoenix .lastState.terminated.exitCode)" = 9 ]
	[ "$(st phoenix .lastState.terminated.reason)" = Error ]
	[ "$id" != "$(st phoenix .containerID)" ]
	drop phoenix
}

@test "a restart of kedged repeats no event, and counts no restart" {
	SPEC='volumes: [{name: v, emptyDir: {}}]' MORE='volumeMounts: [{name: v, mountPath: /v}]' \
		pod loop box:1 '["/bin/sh", "-c", "echo run >>/v/runs; sleep 0.2; exit 3"]' | put loop
	pod calm box:1 | put calm
	up calm
	wait_for 10 "it backs off" st_is loop .state.waiting.reason CrashLoopBackOff
	runs=$W/state/pods/$(field pod loop .metadata.uid)/.volumes/v/runs
	events_of() { kedge get events -o json | jq -c --arg n "$1" '[.items[] | select(.involvedObject.name == $n) | [.reason, .message, .count]] | sort'; }
	# (it may have run again meanwhile: each run is counted, and told of, once)
	each_once() {
		local n
		n=$(wc -l <"$runs")
		[ "$(st loop .restartCount)" = $((n - 1)) ] || return 1
		[ "$(events_of loop | jq -c '[.[] | select(.[0] == "Created" or .[0] == "Started") | .[2]]')" = "[$n,$n]" ]
	}
	before=$(events_of calm)
	for how in TERM KILL brain; do
		brain=$(pgrep -P "$KEDGED" -f -- --role=brain)
		case $how in
		TERM) kedge_stop ;;
		KILL) kill -9 "$KEDGED" "$brain"; wait_for 5 "it is gone" not_running "$KEDGED" ;;
		brain) kill -9 "$brain"; wait_for 5 "another brain" sh -c "pgrep -P $KEDGED -f -- --role=brain | grep -vx $brain" ;;
		esac
		[ $how = brain ] || kedge_start --source "deploy=$W/deploy.git"
		echo "$KEDGED" >"$W/pid"
		wait_for 5 "it serves" kedge get pods
		sleep 0.3
		echo "after $how: $(wc -l <"$runs") $(st loop .restartCount) $(events_of loop) $(events_of calm)"
		wait_for 3 "each run is told of once" each_once
		[ "$(st calm .restartCount)" = 0 ]
		[ "$(events_of calm)" = "$before" ]
	done
	wait_for 15 "it starts again and is counted on" sh -c "kedge get events -o json | jq -e '[.items[] | select(.involvedObject.name == \"loop\" and .reason == \"BackOff\") | .count] | add >= 2'"
	drop loop
	drop calm
}

@test "a missing image is waited for and runs as soon as it is imported" {
	wait_for 20 "it backs off" sh -c 'kedge get pod late | grep -q ImagePullBackOff'
	run kedge describe pod late
	has 'Back-off pulling image "nowhere/late:1"'
	t0=$(date +%s%N)
	box nowhere/late:1
	up late 5
	[ $((($(date +%s%N) - t0) / 1000000)) -lt 3000 ]
}

@test "a crash loop: reasons, counts and the logs of the run before" {
	wait_for 15 "it crashed often" sh -c '[ "$(kedge get pod crash -o json | jq .status.containerStatuses[0].restartCount)" -ge 2 ]'
	wait_for 12 "it waits" st_is crash .state.waiting.reason CrashLoopBackOff
	[[ $(st crash .state.waiting.message) =~ ^back-off\ [0-9ms]+\ restarting\ failed\ container=main\ pod=crash_default\( ]]
	[ "$(st crash .lastState.terminated.exitCode)" = 3 ]
	[ "$(st crash .lastState.terminated.reason)" = Error ]
	[ "$(st done-over .lastState.terminated.reason)" = Completed ]
	run kedge get pods
	matches 'crash +0/1 +CrashLoopBackOff +[0-9]+ \([0-9]+s ago\)'
	run kedge logs --previous crash
	[ "$status" = 0 ]
	has run
	has bad
	phase_is crash Running
	kedge events | grep -q 'Back-off restarting failed container main in pod crash_default('
}

@test "a failed liveness probe restarts the container, with its words in the events" {
	wait_for 20 "it was restarted" sh -c '[ "$(kedge get pod sick -o json | jq .status.containerStatuses[0].restartCount)" -ge 1 ]'
	run kedge describe pod sick
	has "Liveness probe failed"
	has "Container main failed liveness probe, will be restarted"
	[ "$(st sick .lastState.terminated.exitCode)" = 137 ] || [ "$(st sick .lastState.terminated.exitCode)" = 143 ]
}

@test "OnFailure starts again what failed, and not what succeeded" {
	wait_for 15 "it succeeds at last" phase_is once-more Succeeded
	[ "$(st once-more .restartCount)" = 1 ]
	[ "$(st once-more .lastState.terminated.exitCode)" = 1 ]
}
