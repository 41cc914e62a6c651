#!/usr/bin/env bats
# What Git owns and what it does not; going back; several sources; and kedge's words for all of it.
load lib.bash

setup_file() {
	load lib.bash
	kedge_dirs
	repo_make
	mkdir "$W/dir"
	kedge_start --source "deploy=$W/deploy.git" --source "files=$W/dir"
	export KEDGED
	image web:1 --env VERSION=v1
	image web:2 --env VERSION=v2
}
setup() { [ ! -e "$W/pid" ] || KEDGED=$(cat "$W/pid"); } # of a test that started it anew
teardown_file() {
	load lib.bash
	setup
	kedge_end
}

config_map() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {k: "%s"}\n' "$1" "${2:-v}"; }
pod() { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: %s}}\nspec:\n  terminationGracePeriodSeconds: 2\n  containers: [{name: web, image: "%s"}]\n' "$1" "$1" "$2"; }

diff_says() {
	local rc=0
	kedge diff --source deploy || rc=$?
	[ $rc = "$1" ]
}

@test "wait before the first push says that it waits for a commit" {
	run timeout 20 script -qec "kedge wait deploy --timeout 1" /dev/null </dev/null
	[ "$status" = 2 ]
	[[ ${lines[0]} == "waiting for source deploy: its first commit"* ]]
}

@test "diff says nothing with 0, changes with 1, errors with 2" {
	deployment web web:1 2 >"$W/clone/web.yaml"
	config_map settings >"$W/clone/cm.yaml"
	push_wait first
	run kedge diff --source deploy
	[ "$status" = 0 ]
	[ -z "$output" ]
	kedge suspend deploy
	deployment web web:2 2 >"$W/clone/web.yaml"
	push second
	wait_for 5 "the commit is read" diff_says 1
	run kedge diff --source deploy
	[ "$status" = 1 ]
	[[ $output =~ "~ update deployment default/web  # spec.template.spec.containers[web].image web:1 -> web:2" ]]
	sed -i 's/replicas: 2/replicas: two/' "$W/clone/web.yaml"
	push third
	wait_for 5 "the commit is read" diff_says 2
	run kedge diff --source deploy
	[ "$status" = 2 ]
	[[ $output =~ web.yaml:[0-9]+:[0-9]+:.*replicas ]]
	g revert --no-edit HEAD HEAD~1 >/dev/null
	g push -q origin HEAD:main
	kedge resume deploy
	kedge wait deploy --for "$(head_id)" --timeout 20s
	[ "$(field deploy web '.spec.template.spec.containers[0].image')" = web:1 ]
}

@test "diff looks at a branch, a tag and a commit that were never read, and changes nothing" {
	config_map here >"$W/clone/here.yaml"
	push_wait "on main"
	main=$(head_id)
	g checkout -q -b feature
	config_map from-feature >"$W/clone/feature.yaml"
	g add -A
	g commit -qm "on a branch"
	g tag v9
	g push -q origin feature v9
	feature=$(head_id)
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n' >"$W/clone/bad.yaml"
	g add -A
	g commit -qm "broken"
	g push -q origin HEAD:broken
	g checkout -q main
	for ref in feature v9 "$feature" "${feature:0:8}"; do
		run kedge diff "$ref" --source deploy
		echo "$ref: $output"
		[ "$status" = 1 ]
		[[ $output == *"+ create configmap default/from-feature"* ]]
	done
	run kedge diff broken --source deploy
	[ "$status" = 2 ]
	[[ $output == *"bad.yaml:3:"*"Bad_Name"* ]]
	run kedge diff no-such-branch --source deploy
	[ "$status" = 2 ]
	[[ $output == *'there is no branch, tag or commit "no-such-branch"'* ]]
	run kedge diff "$main" --source deploy
	[ "$status" = 0 ]
	! kedge get cm from-feature 2>/dev/null || false
	[ "$(kedge get source deploy -o json | jq -r .status.commit)" = "$main" ]
	config_map here later >"$W/clone/here.yaml"
	push_wait "the head goes on"
	run kedge diff anything --source files
	[ "$status" = 2 ]
	[[ $output == *"is a directory"* ]]
}

@test "diff counts back from a branch of a local repository, and takes no pattern" {
	config_map counted one >"$W/clone/counted.yaml"
	push_wait one
	config_map counted two >"$W/clone/counted.yaml"
	push_wait two
	for ref in HEAD~1 main~1 "main^" "$(head_id)~1"; do
		run kedge diff "$ref" --source deploy
		echo "$ref: $output"
		[ "$status" = 1 ]
		[[ $output == *"~ update configmap default/counted  # data[k] two -> one"* ]]
	done
	for ref in HEAD~1000 "main^{/one}" ":/one" "HEAD@{1}" "main:counted.yaml"; do
		run kedge diff "$ref" --source deploy
		[ "$status" = 2 ]
		[[ $output == *"there is no branch, tag or commit"* ]]
	done
}

@test "a commit that fails supersedes nothing: the one before it becomes healthy" {
	deployment slow nowhere:3 1 >"$W/clone/slow.yaml"
	push "waits for its image"
	waits=$(head_id)
	wait_for 5 "it waits" sh -c "kedge status deploy | grep -q nowhere:3"
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n' >"$W/clone/bad.yaml"
	push "broken"
	run kedge wait deploy --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	outcome() { kedge get revisions -o json | jq -r --arg c "$1" '.items[] | select(.spec.commit == $c) | .status.outcome'; }
	[ "$(outcome "$waits")" = Applying ]
	kedge status deploy | grep -q "runs .*${waits:0:7}"
	image nowhere:3
	wait_for 20 "it is healthy" sh -c "kedge get revisions -o json | jq -e --arg c $waits '.items[] | select(.spec.commit == \$c and .status.outcome == \"Healthy\")'"
	[ "$(outcome "$(head_id)")" = Failed ]
	rm "$W/clone/bad.yaml" "$W/clone/slow.yaml"
	push_wait "without"
}

@test "status tells a reason once, in full where it says what does not work, and a warning's name once" {
	deployment slow nowhere:4 1 >"$W/clone/slow.yaml"
	echo 'a: b' >"$W/clone/values.yaml"
	push "waits for an image that nobody has"
	wait_for 20 "the pod's reason" sh -c "kedge status | sed -n '/^not working/,\$p' | grep -q nowhere:4"
	kedge status >"$W/status"
	cat "$W/status"
	[ "$(grep -c nowhere:4 "$W/status")" = 1 ]
	grep -q 'health .*Applying for .*, waiting for deployment default/slow: 0 of 1 [a-z ]*$' "$W/status"
	grep -q '^  warnings  values.yaml:1:1: skipped' "$W/status"
	# of one source alone there is no such list: there the reason stands with the health
	kedge status deploy | grep -q 'health .*waiting for deployment default/slow: .* (slow-.*nowhere:4'
	rm "$W/clone/slow.yaml" "$W/clone/values.yaml"
	push_wait "without it"
}

@test "status of a suspended source shows what runs and what would be next" {
	runs=$(head_id)
	kedge suspend deploy
	kedge status deploy | grep -q suspended
	! kedge status deploy | grep -q ' next ' || false
	config_map later >"$W/clone/later.yaml"
	push "for later"
	wait_for 5 "the next one" sh -c "kedge status deploy | grep -q 'next .*$(g rev-parse --short=7 HEAD).*for later.*not applied'"
	kedge status deploy
	kedge status deploy | grep -q "commit .*${runs:0:7}"
	kedge status deploy | grep -q "health .*Healthy"
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git" --source "files=$W/dir"
	echo "$KEDGED" >"$W/pid"
	wait_for 5 "the next one" sh -c "kedge status deploy | grep -q 'next .*for later'"
	kedge resume deploy
	kedge wait deploy --for "$(head_id)" --timeout 10s
	! kedge status deploy | grep -q ' next ' || false
	kedge get cm later
}

@test "a revision that is applied at a start counts what it makes" {
	kedge_stop
	config_map early >"$W/clone/early.yaml"
	push "while nobody looks"
	kedge_start --source "deploy=$W/deploy.git" --source "files=$W/dir"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "it is applied" kedge get cm early
	wait_for 10 "and counted" sh -c "kedge history | grep 'while nobody looks' | grep -qF '+1 ~0 -0'"
}

@test "a source that is pointed at another folder loses nothing without a word of consent" {
	mkdir "$W/clone/base"
	config_map in-base >"$W/clone/base/cm.yaml"
	for i in 1 2 3 4 5 6 7 8 9; do config_map p$i >"$W/clone/p$i.yaml"; done
	pod kept web:1 >"$W/clone/p0.yaml"
	push_wait "a folder of its own"
	kedge_stop
	printf 'sources:\n- {name: deploy, url: %s, path: base}\n- {name: files, url: %s}\n' "$W/deploy.git" "$W/dir" >"$W/kedge.yaml"
	kedge_start
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "it is refused" sh -c 'kedge status deploy | grep -q "would lose"'
	first=$(field pod kept .metadata.uid)
	kedge delete pod kept # what runs is what was applied, and is put back from there
	wait_for 10 "it is back" sh -c "[ \"\$(kedge get pod kept -o json | jq -r .metadata.uid)\" != $first ]"
	kedge get pod kept
	[ "$(kedge get cm -o name | grep -c '/p[0-9]$')" = 9 ]
	[ "$(field cm in-base '.metadata.annotations["kedge.dev/place"]')" = base/cm.yaml:1 ]
	kedge sync deploy --allow-prune
	kedge wait deploy --for "$(head_id)" --timeout 20s
	[ "$(kedge get cm -o name | grep -c '/p[0-9]$')" = 0 ]
	kedge get cm in-base
	kedge_stop
	: >"$W/kedge.yaml"
	kedge_start --source "deploy=$W/deploy.git" --source "files=$W/dir"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "the whole of it again" kedge get cm p9
	rm -r "$W/clone/base" "$W"/clone/p?.yaml
	push_wait "without

Kedge-Prune: yes"
}

@test "kedge wait returns when the last old pod is gone" {
	deployment roll web:1 2 >"$W/clone/roll.yaml"
	push_wait "two"
	old=$(kedge get pods -l app=roll -o json | jq -r '[.items[].metadata.name] | join("|")')
	for i in 1 2 3; do
		deployment roll "web:$((i % 2 + 1))" 2 >"$W/clone/roll.yaml"
		push_wait "again $i"
		now=$(kedge get pods -l app=roll -o json | jq -r '[.items[].metadata.name] | join("|")')
		echo "$old -> $now"
		[ "$(tr -cd '|' <<<"$now")" = '|' ]
		! grep -E "$old" <<<"$now" || false
		old=$now
	done
}

@test "a bare pod whose image changes in Git gets it, and one whose spec changes is replaced" {
	pod solo web:1 >"$W/clone/pod.yaml"
	push_wait "a pod"
	first=$(field pod solo .metadata.uid)
	pod solo web:2 >"$W/clone/pod.yaml"
	push_wait "another image" 30s
	[ "$(field pod solo .metadata.uid)" = "$first" ]
	[ "$(field pod solo '.status.containerStatuses[0] | "\(.image) \(.restartCount)"')" = 'web:2 1' ]
	pod solo web:2 | sed 's/^spec:/&\n  hostname: alone/' >"$W/clone/pod.yaml"
	push_wait "another" 30s
	[ "$(field pod solo .metadata.uid)" != "$first" ]
	[ "$(field pod solo .spec.hostname)" = alone ]
}

@test "a commit is on the disk a moment after it came, also while its pods do not come up" {
	on_disk() { [ "$(git -C "$W/state/repo.git" -c safe.directory='*' rev-parse refs/kedge/deploy/head)" = "$(head_id)" ]; }
	pod solo nowhere:1 >"$W/clone/pod.yaml"
	push "a pod without an image"
	wait_for 3 "the mirror has it" on_disk
	pod solo web:2 >"$W/clone/pod.yaml"
	push_wait "a pod that runs"
	on_disk # before the revision was told to be healthy
}

@test "a bare pod of Git that is deleted comes back" {
	first=$(field pod solo .metadata.uid)
	kedge delete pod solo
	wait_for 10 "it is back" sh -c "[ \"\$(kedge get pod solo -o json | jq -r .metadata.uid)\" != $first ]"
	wait_for 10 "and runs" sh -c '[ "$(kedge get pod solo -o json | jq -r .status.phase)" = Running ]'
}

@test "what leaves the source is pruned, and nothing else" {
	config_map one >"$W/clone/one.yaml"
	config_map two >"$W/clone/two.yaml"
	push_wait "two maps"
	rm "$W/clone/one.yaml"
	push_wait "one left"
	run kedge get cm one
	[ "$status" = 1 ]
	kedge get cm two settings
	kedge history deploy | sed -n 2p | grep -q -- '+0 ~0 -1'
}

no_namespace() { ! kedge get ns "$1"; }

@test "a namespace that a commit brought goes when it leaves" {
	printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n' >"$W/clone/shop.yaml"
	config_map till | sed 's/name: till/&, namespace: shop/' >"$W/clone/till.yaml"
	push_wait "a shop"
	kedge get cm kube-root-ca.crt till -n shop
	rm "$W/clone/shop.yaml" "$W/clone/till.yaml"
	push_wait "no shop"
	wait_for 10 "it is gone" no_namespace shop
}

@test "a pod of a commit is of the ServiceAccount that the commit brings" {
	printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot}\n' >"$W/clone/robot.yaml"
	pod acting web:1 | sed 's/^spec:/&\n  serviceAccountName: robot/' >"$W/clone/acting.yaml"
	push_wait "a robot"
	[ "$(field pod acting .spec.serviceAccountName)" = robot ]
	rm "$W/clone/robot.yaml" "$W/clone/acting.yaml"
	push_wait "no robot"
	run kedge get sa robot
	[ "$status" = 1 ]
}

@test "losing most of a source needs a word of consent" {
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do config_map m$i >"$W/clone/m$i.yaml"; done
	push_wait "many"
	rm "$W"/clone/m*.yaml "$W/clone/two.yaml"
	push "gone"
	run kedge wait deploy --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	[[ $output =~ "kedge sync deploy --allow-prune" ]]
	[[ $output =~ "would lose 13 of its " ]]
	[[ $output =~ "and 10 more; \`kedge diff\` shows all" ]]
	[[ $output =~ "Kedge-Prune: yes" ]]
	run kedge diff --source deploy
	[ "$status" = 2 ]
	[ "$(grep -c '^- delete configmap default/m[0-9]* ' <<<"$output")" = 12 ]
	[ "$(kedge get cm -o name | grep -c /m)" = 12 ]
	# consent that nobody could answer is none for whoever asks next
	pgrep -f -- --role=source | xargs kill -STOP
	kedge sync deploy --allow-prune >"$W/asked" 2>&1 &
	asked=$!
	sleep 0.5
	pgrep -f -- --role=source | xargs kill -9
	wait $asked && return 1
	grep -q "worker ended before it was done; try again" "$W/asked"
	wait_for 10 "another worker" kedge sync deploy
	[ "$(kedge get cm -o name | grep -c /m)" = 12 ]
	kedge sync deploy --allow-prune
	kedge wait deploy --for "$(head_id)" --timeout 10s
	[ "$(kedge get cm -o name | grep -c /m)" = 0 ]
	kedge get cm settings
}

@test "the trailer of a commit is consent too" {
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do config_map m$i >"$W/clone/m$i.yaml"; done
	push_wait "many"
	rm "$W"/clone/m*.yaml
	push_wait "gone

Kedge-Prune: yes"
	[ "$(kedge get cm -o name | grep -c /m)" = 0 ]
}

@test "of several sources one has to be named, in the command's own way" {
	run kedge rollback
	[ "$status" = 1 ]
	[ "$output" = "kedge: which source?  There are deploy, files: kedge rollback --source NAME" ]
	run kedge suspend
	[ "$status" = 1 ]
	[ "$output" = "kedge: which source?  There are deploy, files: kedge suspend NAME" ]
}

@test "two sources that claim one object: the second is an error that names both places" {
	config_map settings other >"$W/dir/mine.yaml"
	config_map theirs >>"$W/dir/theirs.yaml"
	wait_for 10 "the error" sh -c 'kedge status files | grep -q settings'
	run kedge wait # revisions have numbers of their own in each source
	[ "$status" = 1 ]
	[[ $output =~ ^"kedge: source files: revision "[0-9]+" (" ]]
	[ "$(kedge status files -o json | jq -r .source.metadata.name)" = files ]
	[ "$(kedge status -o json | jq -r '.sources[].source.metadata.name' | xargs)" = "deploy files" ]
	run kedge status files
	[[ $output =~ mine.yaml:1:1:.*"default/settings already belongs to source deploy (cm.yaml:1)" ]]
	run kedge get cm theirs
	[ "$status" = 1 ]
	rm "$W/dir/mine.yaml"
	wait_for 10 "the rest is applied" kedge get cm theirs
	[ "$(field cm settings .data.k)" = v ]
}

@test "a directory has history, diff and rollback too" {
	config_map theirs changed >"$W/dir/theirs.yaml"
	wait_for 10 "the change" sh -c '[ "$(kedge get cm theirs -o json | jq -r .data.k)" = changed ]'
	n=$(kedge history files -o json | jq '[.items[] | select(.status.outcome != "Failed")][1].spec.number')
	kedge rollback --source files "$n" | grep -qE "^source files is pinned to revision $n \([0-9a-f]{7} .+\), because no commit can be made there: it is a plain directory; \`kedge resume\` ends it$"
	wait_for 10 "the old one" sh -c '[ "$(kedge get cm theirs -o json | jq -r .data.k)" = v ]'
	kedge status files | grep -q pinned
	kedge resume files
	wait_for 10 "the new one" sh -c '[ "$(kedge get cm theirs -o json | jq -r .data.k)" = changed ]'
}

@test "rollback of a repository is a commit" {
	config_map settings new >"$W/clone/cm.yaml"
	push_wait "a new value"
	before=$(git -C "$W/deploy.git" rev-parse main)
	n=$(kedge history deploy -o json | jq '[.items[] | select(.status.outcome != "Failed")][1].spec.number')
	kedge rollback --source deploy | tee /dev/stderr |
		grep -qE "^source deploy rolled back to revision $n \([0-9a-f]{7} .+\) with a new commit; "
	wait_for 10 "the commit" sh -c "[ \$(git -C $W/deploy.git rev-parse main) != $before ]"
	[ "$(git -C "$W/deploy.git" rev-parse main~1)" = "$before" ]
	[ "$(git -C "$W/deploy.git" log -1 --format='%an <%ae>' main)" = 'root <root@kedge>' ]
	kedge wait deploy --timeout 10s
	[ "$(field cm settings .data.k)" = v ]
	g pull -q --ff-only origin main
}

@test "logs, exec and describe reach the pods" {
	kedge logs deploy/web 2>"$BATS_TEST_TMPDIR/said" | grep -q 'listens on port 8080'
	grep -qE '^Found [0-9]+ pods, using pod/web-' "$BATS_TEST_TMPDIR/said" # of two, one
	pod=$(kedge get pods -l app=web -o name | head -n 1)
	kedge logs "$pod" --timestamps --tail 1 | grep -qE '^20[0-9-]+T'
	run kedge exec "$pod" -- /web --nonsense-that-binds-8080
	[ "$status" = 1 ]
	run -127 kedge exec deploy/web -- /nowhere
	kedge describe "$pod" | grep -qE '^Node: +'
	kedge describe deploy web | grep -qE '^Events:'
}

@test "describe keeps the lines of a script below each other" {
	pod script web:1 | sed 's/image: "web:1"/&, args: ["one\\ntwo\\n"]/' >"$W/clone/script.yaml"
	push_wait "a script"
	kedge describe pod script | grep -A 2 '^    Args:' >"$BATS_TEST_TMPDIR/args"
	diff "$BATS_TEST_TMPDIR/args" - <<-T
		    Args:           one
		                    two
		    State:          Running
	T
	rm "$W/clone/script.yaml"
	push_wait "no script"
}

@test "images are listed, and removed when nothing runs them" {
	kedge image ls | grep -qE '^web:1 +[0-9a-f]{12}'
	image spare:1
	[ "$(kedge image ls -o json | jq '[.images[] | select(.name | endswith("spare:1"))] | length')" = 1 ]
	kedge image rm spare:1
	! kedge image ls | grep -q spare
}

@test "diff looks a branch up in every source, says whose plan it is, and complains once" {
	g checkout -q -b side
	config_map from-side >"$W/clone/side.yaml"
	g add -A
	g commit -qm "on a branch of its own"
	g push -q origin side
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n' >"$W/clone/wrong.yaml"
	g add -A
	g commit -qm "wrong"
	g push -q origin HEAD:wrong
	g checkout -q main
	config_map from-dir >"$W/dir/two.yaml"
	wait_for 10 "the directory is read" kedge get cm from-dir
	kedge suspend files
	config_map from-dir changed >"$W/dir/two.yaml"
	wait_for 10 "what would be next" sh -c 'kedge status files | grep -q "^  next "'
	run kedge diff
	echo "$output"
	[ "$status" = 1 ]
	[ "${lines[0]}" = "source files" ]
	[[ ${lines[1]} == "~ update configmap default/from-dir"* ]]
	[ "${#lines[@]}" = 2 ]
	run kedge diff side # of the repository, and of nobody else
	echo "$output"
	[ "$status" = 1 ]
	[ "${lines[0]}" = "source deploy" ]
	[[ $output == *"+ create configmap default/from-side"* ]]
	[[ $output != *"is a directory"* ]] || false
	[ "$(kedge diff side -o json | jq -r '.sources[].source')" = deploy ]
	run kedge diff no-such-branch
	[ "$status" = 2 ]
	[ "${#lines[@]}" = 1 ]
	[[ $output == 'kedge: none of the 2 sources has a revision, branch, tag or commit "no-such-branch"; with --source '* ]]
	run kedge diff wrong
	[ "$status" = 2 ]
	[[ $output == *"deploy: wrong.yaml:3:"* ]]
	kedge resume files
}

@test "an immutable field is refused with its place and Kubernetes' words" {
	sed -i 's/matchLabels: {app: web}/matchLabels: {app: www}/; s/labels: {app: web}/labels: {app: www}/' "$W/clone/web.yaml"
	push "selector"
	run kedge wait deploy --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	[[ $output =~ web.yaml:7:13:.*"spec.selector: Invalid value".*"field is immutable" ]]
	[ "$(pods_ready app=web)" = 2 ]
}
