#!/usr/bin/env bats
# The first hour with kedge: what goes wrong then, and what is said about it.
load lib.bash

configmap() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {v: "%s"}\n' "$1" "$2"; }

setup() {
	kedge_dirs
}
teardown() {
	kedge_end
}

@test "sources that do not exist yet are named, and followed once they do" {
	kedge_start --source "deploy=$W/deploy.git" --source "dir=$W/manifests"
	brain=$(pgrep -P "$KEDGED" | head -1)
	wait_for 5 "trouble" bash -c "kedge status | grep -q 'trouble.*deploy.git is not there'"
	kedge status | grep -q 'trouble.*manifests is not there'
	[ "$(pgrep -P "$KEDGED" | head -1)" = "$brain" ] # nobody died of it
	run kedge sync deploy
	[ "$status" = 1 ]
	[[ $output =~ "source deploy cannot be read just now; kedge status says why" ]]
	repo_make
	configmap a one >"$W/clone/a.yaml"
	push first
	mkdir "$W/manifests"
	configmap b one >"$W/manifests/b.yaml"
	wait_for 40 "both" bash -c "kedge get cm a && kedge get cm b"
}

@test "a file of a directory that its owner may not read is named, and who has to" {
	mkdir "$W/manifests"
	configmap a one >"$W/manifests/a.yaml"
	configmap b one >"$W/manifests/b.yaml"
	chown -R 1234 "$W/manifests"
	chmod 0 "$W/manifests/b.yaml"
	kedge_start --source "dir=$W/manifests"
	wait_for 5 "trouble" bash -c "kedge status | grep -q 'trouble.*b.yaml: uid 1234, who owns the source, must be able to read it: Permission denied'"
	chmod 644 "$W/manifests/b.yaml"
	wait_for 40 "both" bash -c "kedge get cm a && kedge get cm b"
}

@test "a list in status that is long says how many it leaves out, and where they are" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	for i in $(seq 103); do
		printf -- '---\napiVersion: v1\nkind: Service\nmetadata: {name: s%d}\nspec: {selector: {app: none}, ports: [{port: 80}]}\n' "$i"
	done >"$W/clone/a.yaml"
	push many
	kedge wait
	kedge status >"$W/status"
	[ "$(grep -c 'no pod has the labels' "$W/status")" = 100 ]
	grep -qxF '  and 3 more: kedge status -o json lists all' "$W/status"
	[ "$(kedge status -o json | jq '.troubles | length')" = 103 ]
}

@test "what a rollback cannot do is said" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	configmap a one >"$W/clone/a.yaml"
	push first
	kedge wait
	run kedge rollback
	[ "$status" = 1 ]
	[ "$output" = "kedge: source deploy has no earlier revision that was healthy and differs from the newest; \`kedge history\` lists them, and \`kedge rollback N\` goes to one" ]
	run kedge rollback 99
	[ "$status" = 1 ]
	[ "$output" = "kedge: source deploy has no revision 99; kedge history lists them" ]
}

@test "a rollback of a commit that was refused goes to what runs, not to what was before that" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	for v in one two; do
		configmap a $v >"$W/clone/a.yaml"
		push_wait $v
	done
	echo 'kind: Nonsense' >"$W/clone/b.yaml"
	push broken
	run kedge wait --for "$(head_id)"
	[ "$status" = 1 ]
	run kedge rollback
	[[ $output =~ ^"source deploy rolled back to revision 2 (" ]]
	kedge wait
	[ "$(field cm a .data.v)" = two ]
	run kedge rollback # from there to another, not to where one is
	[[ $output =~ ^"source deploy rolled back to revision 1 (" ]]
	kedge wait
	[ "$(field cm a .data.v)" = one ]
}

@test "a rollback goes to what was healthy, past what never ran and what is the same elsewhere" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git,path=app"
	mkdir "$W/clone/app"
	configmap a one >"$W/clone/app/a.yaml"
	push_wait first
	cat >"$W/clone/app/web.yaml" <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: web}
		spec: {containers: [{name: web, image: "no.such.example/web:1"}]}
	Y
	push "an image that is nowhere"
	wait_for 60 "it is applied" kedge get pod web
	rm "$W/clone/app/web.yaml"
	configmap a two >"$W/clone/app/a.yaml"
	push_wait third
	echo elsewhere >"$W/clone/notes"
	push_wait "beside the path"
	[ "$(kedge history -o json | jq -c '[.items[] | [.spec.number, .status.outcome]]')" = '[[4,"Healthy"],[3,"Healthy"],[2,"Superseded"],[1,"Healthy"]]' ]
	run kedge rollback
	echo "$output"
	[[ $output =~ ^"source deploy rolled back to revision 1 (" ]]
	kedge wait
	[ "$(field cm a .data.v)" = one ]
}

@test "a rollback while suspended says that it waits for a resume" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	configmap a one >"$W/clone/a.yaml"
	push first
	kedge wait
	configmap a two >"$W/clone/a.yaml"
	push second
	kedge wait --for "$(head_id)"
	kedge suspend
	run kedge rollback
	[ "$status" = 0 ]
	[[ $output =~ ^"source deploy is suspended: the new commit that goes back to revision 1 "\(.*"is not applied until \`kedge resume deploy\`"$ ]]
}

# claim NAME: one that has its volume at once
claim() {
	cat <<-Y
		apiVersion: storage.k8s.io/v1
		kind: StorageClass
		metadata: {name: now}
		provisioner: kedge.dev/local
		volumeBindingMode: Immediate
		---
		apiVersion: v1
		kind: PersistentVolumeClaim
		metadata: {name: $1}
		spec: {storageClassName: now, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
	Y
}
# a source's first commit has a ConfigMap, its second a claim beside it
claim_made() {
	configmap a one >"$W/clone/a.yaml"
	push_wait first
	claim data >"$W/clone/data.yaml"
	push_wait second
	wait_for 10 "the volume" bash -c "kedge get pvc data -o json | jq -e '.status.phase == \"Bound\"'"
	volume=$(field pvc data .spec.volumeName)
}
# that a rollback to the first is refused, and what is said
refused_for_data() {
	run kedge rollback </dev/null
	echo "$output"
	[ "$status" = 1 ]
	[[ $output =~ "- delete persistentvolumeclaim default/data  # left source deploy; its data (1Gi in $volume) goes with it: reclaim policy Delete" ]]
	[[ ${lines[-1]} =~ ^"kedge: nothing was done: going back to revision 1 (".*") destroys the data of 1 claim: default/data (1Gi in $volume); say --yes if that is meant"$ ]]
	kedge get pvc data
	[ "$(kedge get source deploy -o json | jq -r .spec.pin)" = null ]
}

@test "a rollback that destroys a claim's data wants --yes, and makes no commit without" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	claim_made
	before=$(git -C "$W/deploy.git" rev-parse main)
	refused_for_data
	[ "$(git -C "$W/deploy.git" rev-parse main)" = "$before" ]
	run kedge rollback --yes
	echo "$output"
	[ "$status" = 0 ]
	[[ $output =~ "- delete persistentvolumeclaim default/data " ]] # it is still said
	kedge wait
	run kedge get pvc data
	[ "$status" != 0 ]
}

@test "a rollback that would pin wants --yes for a claim's data too, and says why it pins" {
	repo_make
	configmap a none >"$W/clone/a.yaml"
	g checkout -q -b main 2>/dev/null || true
	push zero
	kedge_start --source "deploy=$W/clone"
	kedge wait
	claim data >"$W/clone/data.yaml"
	push_wait second
	wait_for 10 "the volume" bash -c "kedge get pvc data -o json | jq -e '.status.phase == \"Bound\"'"
	volume=$(field pvc data .spec.volumeName)
	refused_for_data
	run kedge rollback --yes
	echo "$output"
	[ "$status" = 0 ]
	[[ ${lines[-1]} =~ ^"source deploy is pinned to revision 1 (".*"), because no commit can be made there: its branch is checked out in a working tree: follow a bare repository, or another branch; \`kedge resume\` ends it"$ ]]
	wait_for 10 "it is gone" bash -c "! kedge get pvc data"
	kedge status | grep -qF 'no commit can be made there: its branch is checked out in a working tree'
}

@test "a repository that gets another owner while kedged runs is looked at with his rights" {
	repo_make
	chmod 755 "$W"
	configmap a one >"$W/clone/a.yaml"
	push first
	chown 4242:4242 "$W/deploy.git" # what is in it is not his
	kedge_start --source "deploy=$W/deploy.git"
	kedge wait
	unwritable() { [ "$(kedge get source deploy -o json | jq -r .status.unwritable)" = "$1" ]; }
	wait_for 10 "he may not write" unwritable "the repository's owner may not write to it"
	his() { pgrep -u 4242 -P "$KEDGED"; }
	old=$(his)
	another() { now=$(his) && [ "$now" != "$old" ]; }
	chown -R 4242:4242 "$W/deploy.git"
	wait_for 8 "his next worker looks" another
	wait_for 8 "he may" unwritable null
	chown -R 0:0 "$W/deploy.git" # another, who may do all there
	wait_for 8 "it is his" grep -q 'belongs to another user now' "$W/kedged.log"
	configmap a two >"$W/clone/a.yaml"
	push_wait second
	run kedge rollback
	echo "$output"
	[[ $output =~ ^"source deploy rolled back to revision 1 (" ]]
}

@test "a rollback that the prune guard would hold up wants --yes" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	configmap a one >"$W/clone/a.yaml"
	push_wait first
	for i in 1 2 3 4 5; do configmap b$i one >"$W/clone/b$i.yaml"; done
	push_wait "five more"
	for i in 6 7 8; do configmap b$i one >"$W/clone/b$i.yaml"; done
	push_wait "and three"
	run kedge rollback 1 </dev/null
	echo "$output"
	[ "$status" = 1 ]
	[[ $output =~ "nothing was done: going back to revision 1 (".*") deletes 8 objects, which is more than half of the source's, or all of them; say --yes if that is meant" ]]
	kedge get cm b1
	run kedge rollback 2 </dev/null # three go: said, and done
	echo "$output"
	[ "$status" = 0 ]
	[ "$(grep -c '^- delete configmap default/b[678] ' <<<"$output")" = 3 ]
	kedge wait
	kedge rollback 1 --yes
	kedge wait
	[ "$(kedge get cm -o name | grep -c /b)" = 0 ]
}

@test "a wait says that a pinned source takes nothing in" {
	repo_make
	configmap a one >"$W/clone/a.yaml"
	push first
	kedge_start --source "deploy=$W/clone" # checked out: a rollback cannot be written
	kedge wait
	configmap a two >"$W/clone/a.yaml"
	push_wait second
	kedge rollback 1
	kedge wait --for "$(g rev-parse HEAD~1)"
	[ "$(field cm a .data.v)" = one ]
	run kedge wait
	echo "$output"
	[ "$status" = 2 ]
	[ "$output" = "kedge: source deploy is pinned to $(g rev-parse --short=7 HEAD~1): $(g rev-parse --short=7 HEAD) is not applied until \`kedge resume deploy\`" ]
	g update-ref refs/heads/main "$(g rev-parse HEAD~1)" # nothing newer is left
	wait_for 10 "it is seen" bash -c '[ "$(kedge get source deploy -o json | jq -r .status.next)" = null ]'
	run kedge wait
	[ "$status" = 0 ]
	[ "$output" = "kedge: source deploy is pinned to $(g rev-parse --short=7 HEAD): what comes is not applied until \`kedge resume\`" ]
	kedge resume
	run kedge wait
	[ "$status" = 0 ]
	[ -z "$output" ]
}

@test "wait says that a source cannot be read" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	run kedge wait --timeout 1s
	[ "$status" = 2 ]
	[[ $output =~ "its first commit (".*"has no commit: push one" ]]
	configmap a one >"$W/clone/a.yaml"
	push first
	kedge wait
	mv "$W/deploy.git" "$W/gone.git"
	wait_for 5 "trouble" bash -c "kedge status | grep -q 'trouble.*gone'"
	run kedge wait
	[ "$status" = 0 ] # what was read is healthy
	[[ $output =~ "source deploy cannot be read now, so a newer commit is not seen: ".*"the repository is gone" ]]
}

@test "a folder that cannot be read to its end makes no image" {
	kedge_start
	mkdir "$W/tree"
	head -c 300000 /dev/urandom >"$W/tree/a"
	perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($ARGV[0])) or die' "$W/tree/z"
	run kedge image import "$W/tree" half:1
	[ "$status" = 1 ]
	[[ $output =~ "no image was made" ]]
	run kedge image ls
	[[ ! $output =~ half ]]
}

@test "what get -o name prints is taken as a name" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	configmap a one >"$W/clone/a.yaml"
	push first
	kedge wait
	[ "$(kedge get cm -o name | grep -v kube-root-ca)" = configmap/a ]
	kedge describe cm configmap/a | grep -q '^Name: *a$'
	run kedge describe pod configmap/a
	[ "$output" = 'kedge: "configmap/a" is no name of a pod; KIND/NAME names its kind itself: kedge describe configmap/a' ]
	run kedge delete pods pod/nope
	[ "$output" = 'kedge: pods "nope" not found' ]
}

@test "a wait says that a suspended source takes nothing in" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	configmap a one >"$W/clone/a.yaml"
	push first
	kedge wait
	kedge suspend
	configmap a two >"$W/clone/a.yaml"
	run kedge wait
	[ "$status" = 0 ]
	[[ $output =~ "source deploy is suspended: what came since is not applied until \`kedge resume\`" ]]
	push second
	wait_for 10 "it is seen" bash -c "[ \"\$(kedge get source deploy -o json | jq -r .status.next)\" = $(head_id) ]"
	run kedge wait
	[ "$status" = 2 ]
	[ "$output" = "kedge: source deploy is suspended: $(g rev-parse --short=7 HEAD) is not applied until \`kedge resume deploy\`" ]
	run kedge wait --for "$(head_id)"
	[ "$status" = 2 ]
	[[ $output =~ "source deploy is suspended" ]]
	kedge resume
	kedge wait
	run kedge history nosuch
	[ "$status" = 1 ]
	[ "$output" = 'kedge: kedged has no source "nosuch"; there are: deploy' ]
}

@test "status says why a pod is not ready and why a Service leads nowhere, and nothing of what is well" {
	says() { kedge status | grep -A1 "^  $1\$" | grep -q -- "$2"; }
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	image web:1
	deployment web web:1 >"$W/clone/web.yaml"
	{ service web; echo ---; service wbe; } >"$W/clone/service.yaml"
	for s in "named htpp" "number 9999"; do
		printf -- '---\n' >>"$W/clone/service.yaml"
		service web | sed "s/name: web}/name: ${s% *}}/; s/targetPort: http/targetPort: ${s#* }/" >>"$W/clone/service.yaml"
	done
	push_wait first
	pod=$(kedge get pods -o name | cut -d/ -f2)
	wait_for 10 "the name" says "service default/named" "no container of pod $pod has a TCP port named \"htpp\" (it has 8080 (http))"
	wait_for 10 "the number" says "service default/number" "in pod $pod nobody listens at port 9999"
	wait_for 10 "the labels" says "service default/wbe" "no pod has the labels that it selects by: app=wbe"
	[ "$(kedge status | grep -c 'default/web')" = 0 ]
	kedge status -o json | jq -e '[.troubles[].name] == ["named", "number", "wbe"]'

	sed -i 's/port: http}/port: 8081}/' "$W/clone/web.yaml"
	push "a probe of the wrong port"
	wait_for 10 "the probe" bash -c "kedge status | grep -A1 '^  pod default/web-' | grep 'Readiness probe failed: Get .*:8081/healthz.*([0-9]* times in [0-9]*s)'"
	wait_for 10 "the wait, without what is told below" bash -c "kedge status | grep 'waiting for deployment default/web: ' | grep -v Readiness"
	kedge describe pod -l app=web | grep -q 'Warning *Unhealthy .*Readiness probe failed: Get'
	kedge events | grep -q 'Warning *Unhealthy *pod/web.*Readiness probe failed'
}

@test "a node that was cordoned and uncordoned is not said to be changed; describe tells old sets, then the new one" {
	unschedulable() {
		curl -sf --unix-socket "$KEDGE_SOCKET" -X PATCH -H 'Content-Type: application/merge-patch+json' \
			-d "{\"spec\":{\"unschedulable\":$1}}" "http://kedge/api/v1/$(kedge get nodes -o name | sed 's/^node/nodes/')" >/dev/null
	}
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	image web:1
	deployment web web:1 >"$W/clone/web.yaml"
	push_wait first
	unschedulable true
	kedge status | grep -A1 '^not from Git' | grep -q 'node .*spec.unschedulable'
	unschedulable null
	run kedge status
	[[ ! $output =~ "not from Git" ]]
	kedge describe deploy/web | grep -A1 '^OldReplicaSets: *<none>' | grep -q '^NewReplicaSet: *web-.* (1/1 replicas created)'
	kedge logs deploy/web | grep -q 'listens on port 8080'
	kedge logs "rs/$(kedge get rs -o name | cut -d/ -f2)" | grep -q 'listens on port 8080'
}

@test "status -w tells the age that news has when it comes" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	configmap a one >"$W/clone/a.yaml"
	push_wait first
	kedge status -w >"$W/watch" 3>&- &
	watch=$!
	wait_for 10 "the first" grep -q first "$W/watch"
	sleep 2.5 # what comes now is younger than the watch by as much
	configmap a two >"$W/clone/a.yaml"
	push second
	wait_for 10 "the second" grep -q 'second *(tester, [0-9]*s ago)' "$W/watch"
	kill "$watch"
	run grep invalid "$W/watch"
	[ "$status" = 1 ]
}

@test "a source that is taken out of kedge.yaml leaves its objects to anybody, and put back takes them over" {
	repo_make
	sources() { printf 'sources:\n' >"$W/kedge.yaml" && printf -- '- {name: %s, url: %s}\n' "$@" >>"$W/kedge.yaml"; }
	mkdir "$W/manifests"
	configmap other one >"$W/manifests/other.yaml"
	sources deploy "$W/deploy.git" dir "$W/manifests"
	kedge_start
	image web:1
	deployment web web:1 >"$W/clone/web.yaml"
	configmap a one >"$W/clone/a.yaml"
	configmap b one >"$W/clone/b.yaml"
	configmap c one >"$W/clone/c.yaml"
	push_wait first
	pod=$(kedge get pods -o name)
	kedge suspend deploy

	kedge_stop
	sources dir "$W/manifests"
	kedge_start
	kedge wait # not for a source that is none
	[ "$(kedge get sources -o name)" = source.kedge.dev/dir ]
	[ "$(kedge get pods -o name)" = "$pod" ]
	grep -q 'source deploy is no longer configured: its objects (4) stay as they are' "$W/kedged.log"
	grep -q 'its suspension is forgotten with it: put back, .* suspend: true' "$W/kedged.log"
	run kedge status
	[[ $output =~ 'not from Git any more: source deploy is no longer configured' ]]
	for o in 'deployment default/web' 'configmap default/a' 'configmap default/b'; do
		grep -qx "  $o" <<<"$output" || { echo "$output"; return 1; }
	done
	[ "$(grep -c 'configmap default/other' <<<"$output")" = 0 ]
	kedge history deploy | grep -q first # what was is still told
	run kedge delete configmap/other
	[ "$status" = 1 ]
	[[ $output =~ 'configmaps "other" is owned by Git: other.yaml:1' ]]
	kedge delete configmap/a
	kedge delete cm b
	run kedge get cm a b
	[ "$status" = 1 ]
	curl -sf --unix-socket "$KEDGE_SOCKET" -X PATCH -H 'Content-Type: application/merge-patch+json' \
		-d '{"data":{"v":"mine"}}' http://kedge/api/v1/namespaces/default/configmaps/c >/dev/null
	[ "$(field cm c .data.v)" = mine ]
	[ "$(kedge get pods -o name)" = "$pod" ]

	rm "$W/clone/b.yaml" # nothing of it is made again
	push second
	kedge_stop
	sources deploy "$W/deploy.git" dir "$W/manifests"
	kedge_start
	kedge wait --for "$(head_id)"
	[ "$(kedge history deploy | grep -c first)" = 1 ] # nor did it return in between
	kedge get cm a
	run kedge get cm b
	[ "$status" = 1 ]
	[ "$(field cm c .data.v)" = one ] # Git's again, and as Git has it
	[ "$(kedge get pods -o name)" = "$pod" ]
	run kedge status
	[[ ! $output =~ 'not from Git' ]]
	run kedge delete deploy/web
	[[ $output =~ 'is owned by Git: web.yaml:1' ]]
}

@test "an object that moves from one source to another in one commit is there in the end, in either order" {
	repo_make
	printf 'sources:\n- {name: one, url: %s, path: a}\n- {name: two, url: %s, path: b}\n' "$W/deploy.git" "$W/deploy.git" >"$W/kedge.yaml"
	mkdir "$W/clone/a" "$W/clone/b"
	configmap stays one >"$W/clone/a/stays.yaml"
	configmap waits one >"$W/clone/b/waits.yaml"
	configmap moves one >"$W/clone/a/moves.yaml"
	push first
	kedge_start
	kedge wait one --for "$(head_id)"
	kedge wait two --for "$(head_id)"
	moved_to() { [ "$(field cm moves '.metadata.labels["kedge.dev/source"]')" = "$1" ]; }

	kedge suspend one # so that the new one is read first
	mv "$W/clone/a/moves.yaml" "$W/clone/b/"
	push "there"
	wait_for 10 "it is refused" bash -c "kedge status two | grep -q 'moves already belongs to source one'"
	kedge resume one
	wait_for 10 "it is the other's" moved_to two
	kedge wait two --for "$(head_id)"
	kedge status two | grep -q 'health .*Healthy'

	kedge suspend one # and last
	mv "$W/clone/b/moves.yaml" "$W/clone/a/"
	push "and back"
	wait_for 10 "it is gone" bash -c "! kedge get cm moves"
	kedge resume one
	wait_for 10 "it is back" moved_to one
}

@test "the revision that is in force outlives the five hundred that failed after it" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	configmap a one >"$W/clone/a.yaml"
	push_wait first
	configmap Bad_Name one >"$W/clone/b.yaml"
	push second
	wait_for 10 "it fails" kedge get revision deploy-2
	kedge_stop
	"$B/tests/e2e/sql" "$W/state/state.db" \
		"UPDATE objects SET json = replace(json, '\"number\":2', '\"number\":500') WHERE name = 'deploy-2'"
	kedge_start --source "deploy=$W/deploy.git"
	configmap Bad_Name two >"$W/clone/b.yaml"
	push third
	wait_for 10 "it fails, too" kedge get revision deploy-501
	kedge get revision deploy-1
}

@test "no daemon and no rights are told apart" {
	kedge_start
	run setpriv --reuid 12345 --regid 12345 --clear-groups "$B/kedge" status
	[ "$status" = 1 ]
	[[ $output =~ "Permission denied); only root and the members of the group that owns it may ask" ]]
	KEDGE_SOCKET=$W/none run kedge status
	[[ $output =~ "No such file or directory); is kedged running?" ]]
}

@test "a program that is not in the image is named by an event, in order, and a probe by its port" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	image web:1
	deployment web web:1 >"$W/clone/web.yaml"
	sed -i 's/image: web:1/&\n        command: [\/bin\/nothere]/' "$W/clone/web.yaml"
	deployment probed web:1 | sed 's/port: http}/port: 8081}/' >"$W/clone/probed.yaml"
	push mistakes
	wait_for 10 "the event" bash -c "kedge events | grep 'Warning *Failed *pod/web.*exec: .*stat /bin/nothere: no such file or directory'"
	kedge describe pod -l app=web | sed -n '/^Events/,$p' | grep -o 'Scheduled\|Failed' | head -2 | xargs |
		grep -qx 'Scheduled Failed'
	wait_for 10 "the probe" bash -c "kedge events | grep 'Readiness probe failed: Get \"http://[0-9.]*:8081/healthz\"'"
}

@test "diff takes a revision's number, a short id and the branch, and says what it does not know" {
	repo_make
	kedge_start --source "deploy=$W/deploy.git#main"
	configmap a one >"$W/clone/a.yaml"
	push_wait first
	first=$(g rev-parse --short HEAD)
	configmap a two >"$W/clone/a.yaml"
	push_wait second
	for ref in 1 "$first"; do
		run kedge diff "$ref"
		[ "$status" = 1 ]
		[[ $output == "~ update configmap default/a"* ]]
	done
	for ref in main HEAD; do
		run kedge diff "$ref"
		[ "$status" = 0 ]
	done
	run kedge diff feature
	[ "$status" = 2 ]
	[[ $output == *'there is no branch, tag or commit "feature"' ]]
	run kedge diff 99
	[ "$status" = 2 ]
	[[ $output == *': there is no revision 99, nor a branch, tag or commit of that name' ]]
}

@test "validate in a hook says path:line:col as an editor takes it" {
	repo_make
	mkdir "$W/clone/web"
	deployment web web:1 >"$W/clone/web/d.yaml"
	printf '#!/bin/sh\nexec kedge validate\n' >"$W/clone/.git/hooks/pre-commit"
	chmod +x "$W/clone/.git/hooks/pre-commit"
	g add -A
	g commit -q -m good
	sed -i 's/replicas: 1/replicas: one/' "$W/clone/web/d.yaml"
	run g commit -aqm bad
	[ "$status" = 1 ]
	[ "${lines[0]}" = 'web/d.yaml:6:13: spec.replicas: must be a number, not the string "one"' ]
}

@test "validate says what a host's operator has to allow, and nothing of what is allowed" {
	deployment web web:1 >"$W/d.yaml"
	sed -i 's/image: web:1/&\n        securityContext: {capabilities: {add: [NET_ADMIN, CHOWN]}}/; s/      containers:/      hostNetwork: true\n      volumes: [{name: v, hostPath: {path: \/srv\/data}}]\n&/' "$W/d.yaml"
	printf -- '---\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}\n' >>"$W/d.yaml"
	run kedge validate "$W/d.yaml"
	[ "$status" = 0 ]
	for says in 'd.yaml:1:1: warning: hostNetwork: true is refused by a host whose kedge.yaml has no `allow: {hostNetwork: true}`' \
		'volume v: hostPath /srv/data is refused by a host whose kedge.yaml has no `allow: {hostPaths: [{pathPrefix: /srv/data}]}`' \
		'container web: capability NET_ADMIN is refused by a host whose kedge.yaml has no `allow: {capabilities: [NET_ADMIN]}`' \
		'container c: a privileged container is refused by a host whose kedge.yaml has no `allow: {privileged: true}`'; do
		[[ $output == *"$says"* ]] || { echo "no $says in $output"; return 1; }
	done
	[[ ! $output =~ CHOWN ]]
	echo 'allow: {hostNetwork: true, privileged: true, capabilities: [NET_ADMIN], hostPaths: [{pathPrefix: /srv}]}' >"$W/allow.yaml"
	run kedge validate --config "$W/allow.yaml" "$W/d.yaml"
	[ "$status" = 0 ]
	[[ ! $output =~ refused ]]
	printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: w}\nspec: {hostUsers: true, volumes: [{name: v, hostPath: {path: /srv/data}}],
  containers: [{name: c, image: i, securityContext: {privileged: true}, volumeMounts: [{name: v, mountPath: /v}]}]}\n' >"$W/w.yaml"
	run kedge validate --config "$W/allow.yaml" "$W/w.yaml" # who is privileged is not asked for its users
	[[ ! $output =~ refused ]]
	sed -i 's/{pathPrefix: \/srv}/{pathPrefix: \/srv, readOnly: true}/' "$W/allow.yaml"
	run kedge validate --config "$W/allow.yaml" "$W/w.yaml"
	[[ $output == *'volume v: hostPath /srv/data, mounted for writing, is refused by a host whose kedge.yaml has no `allow: {hostPaths: [{pathPrefix: /srv/data, readOnly: false}]}`'* ]]
	sed 's/mountPath: \/v/&, readOnly: true/' "$W/w.yaml" >"$W/r.yaml"
	run kedge validate --config "$W/allow.yaml" "$W/r.yaml"
	[[ ! $output =~ refused ]]
	sed 's/apps\/v1/app\/v1/' "$W/d.yaml" >"$W/typo.yaml"
	run kedge validate "$W/typo.yaml"
	[ "$status" = 1 ]
	[[ $output =~ 'no matches for kind "Deployment" in version "app/v1", did you mean "apps/v1"?' ]]
}

@test "memory in thousandths of a byte gets a warning" {
	deployment web web:1 >"$W/d.yaml"
	sed -i 's/image: web:1/&\n        resources: {limits: {memory: 64m}}/' "$W/d.yaml"
	run kedge validate "$W/d.yaml"
	[ "$status" = 0 ]
	[[ $output =~ 'limits[memory]: fractional byte value "64m" is invalid, must be an integer (m is a thousandth; Mi a mebibyte)' ]]
}
