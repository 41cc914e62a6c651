#!/usr/bin/env bats
# Writes over the API that become commits, with the real kubectl and git.
load kit.bash

setup_file() {
	kedge_dirs
	repo_make
	cat >"$W/kedge.yaml" <<-Y
		sources:
		- {name: deploy, url: $W/deploy.git, ref: main, writeBack: true}
		audit: {path: $W/state/audit.log}
	Y
	kedge_start --listen "$API"
	echo "$KEDGED" >"$W/pid"
	box box:1 box:2
	KUBECTLS=$(kubectls)
	export KUBECTLS
	deployment_file 2 | put web
	wait_for 15 "two" has_ready app=web 2
}
setup() { file_test && kubectl_needs 27; }
teardown_file() { file_end; }

# deployment_file REPLICAS: with comments, and a writing of its own
deployment_file() {
	cat <<-Y
		# The web, as all know it.
		apiVersion: apps/v1
		kind: Deployment
		metadata:
		  name: web
		  labels: {app: web} # one is enough
		spec:
		  # as many as there are of us
		  replicas: $1   # not one
		  selector: {matchLabels: {app: web}}
		  template:
		    metadata:
		      labels:
		        app: web
		    spec:
		      terminationGracePeriodSeconds: 1
		      containers:
		      - name: box
		        image: "box:1"  # the first
		        command: [talk, wait]
	Y
}
pull() { g fetch -q origin && g reset -q --hard origin/main; }
tip() { git -C "$W/deploy.git" rev-parse main; }
# said [FORMAT]: of the newest commit
said() { git -C "$W/deploy.git" log -1 --format="${1:-%s}" main; }
file() { git -C "$W/deploy.git" show "main:${1:-web.yaml}"; }
# changed: the lines that the newest commit took away and put in
changed() { git -C "$W/deploy.git" show --format= -U0 main | grep -E '^[-+] '; }
in_force() { [ "$(kedge get revisions -o json | jq -r '[.items[] | select(.status.outcome != "Failed")] | max_by(.spec.number).spec.commit')" = "$(tip)" ]; }
back_to() { pull && deployment_file "$1" | put web && wait_for 15 "it is as it was" has_ready app=web "$1" && wait_for 5 "in force" in_force; }

@test "kubectl scale is a commit that changes one number" {
	t() {
		back_to 2
		local before
		before=$(tip)
		k scale deploy web --replicas=3 || return 1
		[ "$(git -C "$W/deploy.git" rev-parse main~)" = "$before" ] || return 1
		run changed
		[ "$output" = $'-  replicas: 2   # not one\n+  replicas: 3   # not one' ] || return 1
		run said '%s|%an|%cn|%ae'
		has 'deployment default/web: spec.replicas 2 -> 3|root|root|root@kedge' || return 1
		run said %b
		has 'Written by kedge, asked for by root with kubectl' || return 1
		has 'Manifest: web.yaml:2' || return 1
		[ "$(k get deploy web -o 'jsonpath={.spec.replicas}')" = 3 ] || return 1
		wait_for 10 "three" has_ready app=web 3
		in_force
	}
	every t
}

@test "kubectl set image and rollout undo are commits, and rollout status follows them" {
	t() {
		back_to 2
		k set image deploy web box=box:2 || return 1
		k rollout status deploy web --timeout=20s || return 1
		run changed
		[ "$output" = $'-        image: "box:1"  # the first\n+        image: "box:2"  # the first' ] || return 1
		[ "$(said)" = 'deployment default/web: spec.template.spec.containers[box].image box:1 -> box:2' ] || return 1
		kedge history | grep -q 'containers\[box\].image box:1 -> box:2$' || return 1 # whole, also there
		kedge status | grep -q 'containers\[box\].image box:1 -> box:2  (root, ' || return 1
		k rollout undo deploy web || return 1
		k rollout status deploy web --timeout=20s || return 1
		[ "$(said)" = 'deployment default/web: spec.template.spec.containers[box].image box:2 -> box:1' ] || return 1
		[ "$(file)" = "$(deployment_file 2)" ] || return 1
		[ "$(k get pods -l app=web -o 'jsonpath={..containers[0].image}')" = "box:1 box:1" ]
	}
	every t
}

@test "kubectl label, annotate, edit, apply and patch: what Git states is a commit, the rest is not" {
	printf '#!/bin/sh\nexec sed -i "s/replicas: 2/replicas: 1/; s/value: two/value: three/" "$1"\n' >"$W/editor"
	chmod +x "$W/editor"
	t() {
		back_to 2
		local before
		before=$(tip)
		k label deploy web tier=front --overwrite || return 1
		[ "$(tip)" = "$before" ] || return 1
		k label deploy web app=site --overwrite || return 1
		run changed
		[ "$output" = $'-  labels: {app: web} # one is enough\n+  labels: {app: site} # one is enough' ] || return 1
		EDITOR=$W/editor k edit deploy web || return 1
		[ "$(said)" = 'deployment default/web: spec.replicas 2 -> 1' ] || return 1
		# both at once: one in Git, one beside
		k patch deploy web --type=merge -p '{"metadata":{"labels":{"app":"web","tier":"back"}}}' || return 1
		[ "$(said)" = 'deployment default/web: metadata.labels[app] site -> web' ] || return 1
		[ "$(k get deploy web -o 'jsonpath={.metadata.labels.tier}')" = back ] || return 1
		# a patch of positions is made once
		k patch deploy web --type=json -p '[{"op":"test","path":"/spec/replicas","value":1},{"op":"replace","path":"/spec/replicas","value":2},{"op":"add","path":"/spec/template/spec/containers/0/command/-","value":"x"}]' || return 1
		run changed
		has '+        command: [talk, wait, x]' || return 1
		deployment_file 3 | k apply -f - || return 1
		[ "$(file)" = "$(deployment_file 3)" ] || return 1
		deployment_file 1 | k apply --server-side --force-conflicts -f - || return 1
		[ "$(file)" = "$(deployment_file 1)" ] || return 1
		k get deploy web -o yaml | sed 's/replicas: 1$/replicas: 2/' | k replace -f - || return 1
		[ "$(file)" = "$(deployment_file 2)" ] || return 1
		in_force
	}
	every t
}

@test "dry runs make no commit, and say whether one could be made" {
	t() {
		back_to 2
		local before
		before=$(tip)
		k scale deploy web --replicas=4 --dry-run=server || return 1
		[ "$(k patch deploy web --dry-run=server --type=merge -p '{"spec":{"replicas":5}}' -o 'jsonpath={.spec.replicas}')" = 5 ] || return 1
		[ "$(tip)" = "$before" ] || return 1
		[ "$(k get deploy web -o 'jsonpath={.spec.replicas}')" = 2 ]
	}
	every t
}

@test "kubectl delete of what Git states takes its document out; the last one takes the file" {
	t() {
		pull
		printf '# one\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: one}\n---\n# two\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: two}\n' | put pair
		wait_for 5 "both" k get cm one two
		k delete cm two --timeout=10s || return 1
		[ "$(file pair.yaml)" = $'# one\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: one}' ] || return 1
		[ "$(said)" = 'configmap default/two: deleted' ] || return 1
		k delete cm one --timeout=10s || return 1
		refused "exists on disk, but not in" file pair.yaml || refused "does not exist" file pair.yaml || return 1
		refused 'NotFound' k get cm one || return 1
		in_force
	}
	every t
}

@test "many at once: kubectl delete -l is a commit for each, a collection is refused whole" {
	t() {
		pull
		for n in one two; do printf 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: %s, labels: {set: pair}}\n---\n' $n; done | put pair
		wait_for 5 "both" k get cm one two
		k create configmap mine --from-literal=a=b && k label configmap mine set=pair || return 1
		before=$(tip)
		run curl -sS --max-time 10 --unix-socket "$W/run/api.sock" -X DELETE 'http://localhost/api/v1/namespaces/default/configmaps?labelSelector=set%3Dpair'
		has '"code":409'
		has 'is owned by Git: pair.yaml:' || return 1
		[ "$(k get cm -l set=pair -o name | xargs)" = "configmap/mine configmap/one configmap/two" ] || return 1
		[ "$(tip)" = "$before" ] || return 1
		k delete cm -l set=pair --timeout=20s || return 1
		[ -z "$(k get cm -l set=pair -o name)" ] || return 1
		[ "$(git -C "$W/deploy.git" log --format=%s "$before..main" | sort | xargs -d '\n' printf '%s;')" = 'configmap default/one: deleted;configmap default/two: deleted;' ] || return 1
		in_force
	}
	every t
}

@test "a Secret's and a ConfigMap's values are in no message" {
	pull
	printf 'kind: Secret\napiVersion: v1\nmetadata: {name: s}\ndata:\n  p: b2xk # the old one\n' | put secret
	wait_for 5 "it is there" k get secret s
	k patch secret s -p '{"data":{"p":"aGlkZGVu"}}'
	[ "$(said)" = 'secret default/s: data[p]' ]
	run said %B
	hasnt aGlkZGVu
	run changed
	[ "$output" = $'-  p: b2xk # the old one\n+  p: aGlkZGVu # the old one' ]
	pull
	printf 'kind: Secret\napiVersion: v1\nmetadata: {name: t}\nstringData: {p: old}\n' | put text
	wait_for 5 "it is there" k get secret t
	refused 'text.yaml:1, and cannot be changed there by kedge, for what changes is stated in a way of its own there' k patch secret t -p '{"data":{"p":"aGlkZGVu"}}'
	run grep -c aGlkZGVu "$W/kedged.log"
	[ "$output" = 0 ]
}

@test "who may not write makes no commit; who may is its author, and the audit log has both" {
	k create role scaler --verb=get,patch,update --resource=deployments,deployments/scale
	k create rolebinding scaler --role=scaler --user=ann
	k create rolebinding looker --clusterrole=view --user=eve
	back_to 2
	before=$(tip)
	refused 'cannot patch resource "deployments' k scale deploy web --replicas=3 --as=eve
	refused 'User "eve" cannot patch resource "deployments" in API group "apps"' k set image deploy web box=box:2 --as=eve
	[ "$(tip)" = "$before" ]
	k scale deploy web --replicas=3 --as=ann
	run said '%an <%ae> %cn'
	[ "$output" = 'ann <ann@kedge> ann' ]
	run said %b
	matches 'asked for by uid 0 as ann with kubectl'
	run jq -r 'select(.objectRef.name == "web" and .verb == "patch") | "\(.impersonatedUser.username) \(.responseStatus.code)"' "$W/state/audit.log"
	has 'eve 403'
	has 'ann 200'
	run kedge history
	matches 'ann'
	[ "$(kedge get revisions -o json | jq -r '[.items[].spec] | max_by(.number).author')" = 'ann <ann@kedge>' ]
	k delete rolebinding/scaler rolebinding/looker role/scaler
}

@test "pushes that come meanwhile are kept, and so is every write" {
	back_to 1
	pull
	(
		for i in 1 2 3 4 5 6 7 8; do
			until pull && echo "# $i" >>"$W/clone/notes.txt" && push "note $i"; do :; done
		done
	) >/dev/null 2>&1 3>&- &
	for n in 2 1 2 1 2; do k patch deploy web --type=merge -p "{\"spec\":{\"replicas\":$n}}"; done
	wait $!
	[ "$(git -C "$W/deploy.git" log --format=%s main | grep -c '^note')" = 8 ]
	[ "$(git -C "$W/deploy.git" log -5 --format=%s --author=root main | sort | uniq -c | xargs)" = "3 deployment default/web: spec.replicas 1 -> 2 2 deployment default/web: spec.replicas 2 -> 1" ]
	[ "$(file)" = "$(deployment_file 2)" ]
	wait_for 10 "the newest is in force" in_force
	wait_for 10 "two" has_ready app=web 2
}

@test "what cannot be changed in the text is refused with the place, and nothing is committed" {
	back_to 2
	cat <<-'Y' | put odd
		apiVersion: v1
		kind: ConfigMap
		metadata: {name: odd}
		data:
		  a: &a one
		  b: *a
	Y
	wait_for 5 "it is there" k get cm odd
	before=$(tip)
	refused 'configmap default/odd is owned by Git: odd.yaml:5, and cannot be changed there by kedge, for it has an anchor; change it there and commit' \
		k patch cm odd -p '{"data":{"a":"two"}}'
	refused 'for it is an alias' k patch cm odd -p '{"data":{"b":"two"}}'
	refused 'odd.yaml:5' k patch cm odd -p '{"data":{"a":"two"}}' --dry-run=server
	refused 'is invalid' k patch deploy web --type=merge -p '{"spec":{"replicas":-1}}'
	[ "$(tip)" = "$before" ]
	kedge suspend
	refused 'is not written back, for source deploy is suspended (kedge resume deploy)' k scale deploy web --replicas=3
	[ "$(tip)" = "$before" ]
	kedge resume
	k scale deploy web --replicas=1
	[ "$(said)" = 'deployment default/web: spec.replicas 2 -> 1' ]
}

@test "the last file below the source's path stays, empty, when its object is deleted" {
	back_to 1
	kedge_stop
	git -C "$W/deploy.git" branch -f only main
	sed -i 's/ref: main/ref: only, path: sub/' "$W/kedge.yaml"
	pull
	mkdir -p "$W/clone/sub/deep"
	printf 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: last}\n' >"$W/clone/sub/deep/last.yaml"
	g add -A
	g commit -q -m 'Only one'$'\n\nKedge-Prune: yes'
	g push -q origin HEAD:only
	kedge_start --listen "$API"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "it is there" k get cm last
	wait_for 10 "it writes back" sh -c "kedge status | grep -q 'become commits'"
	k delete cm last --timeout=10s
	[ -z "$(git -C "$W/deploy.git" show only:sub/deep/last.yaml)" ]
	refused NotFound k get cm last
	run kedge status
	hasnt errors
	kedge_stop
	sed -i 's/ref: only, path: sub/ref: main/' "$W/kedge.yaml"
	pull
	push 'All of it'$'\n\nKedge-Prune: yes'
	kedge_start --listen "$API"
	echo "$KEDGED" >"$W/pid"
	wait_for 15 "it is as it was" has_ready app=web 1
}

@test "writes to one file at once are all made" {
	local i all=()
	back_to 2
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		printf 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: m%s, labels: {n: "0"}}\n---\n' $i
	done | put many
	wait_for 10 "they are there" k get cm m12
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		k label cm m$i n=1 --overwrite 3>&- &
		all+=($!)
	done
	for i in "${all[@]}"; do wait "$i"; done
	[ "$(file many.yaml | grep -c 'n: "1"')" = 12 ]
	pull
	drop many
}

@test "a branch that is locked stays as it is, and who wrote is told of the lock" {
	local lock=$W/deploy.git/refs/heads/main.lock
	back_to 2
	before=$(tip)
	: >"$lock"
	refused "refs/heads/main is locked by another program, or one that ended has left $lock behind" k patch deploy web --type=merge -p '{"spec":{"replicas":1}}'
	[ "$(tip)" = "$before" ]
	rm "$lock"
	k patch deploy web --type=merge -p '{"spec":{"replicas":1}}'
	[ "$(said)" = 'deployment default/web: spec.replicas 2 -> 1' ]
}

@test "kedge status says who writes back, and why not" {
	run kedge status
	matches '^  writeBack changes over the API become commits$'
	kedge_stop
	sed -i 's/ref: main/ref: v1/' "$W/kedge.yaml"
	pull
	g tag v1
	g push -q origin v1
	kedge_start --listen "$API"
	echo "$KEDGED" >"$W/pid"
	why() { kedge status | grep -q 'writeBack not possible: it follows a tag, no branch$'; }
	wait_for 10 "it is said" why
	refused 'is not written back, for it follows a tag, no branch' k scale deploy web --replicas=3
	kedge_stop
	sed -i 's/ref: v1/ref: main/' "$W/kedge.yaml"
	kedge_start --listen "$API"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "it writes back" sh -c "kedge status | grep -q 'become commits'"
}

@test "killed between the commit and its being applied, it is applied at the next start" {
	back_to 1
	worker=$(pgrep -P "$KEDGED" -f -- --role=source)
	kill -STOP "$worker"
	before=$(tip)
	n=$(grep -c 'to be committed: deployment default/web: spec.replicas 1 -> 2' "$W/kedged.log") || true
	k scale deploy web --replicas=2 >/dev/null 2>&1 3>&- &
	client=$!
	# the brain's frame waits in the socket of the worker, who goes on when nobody listens
	asked() { [ "$(grep -c 'to be committed: deployment default/web: spec.replicas 1 -> 2' "$W/kedged.log")" -gt "$n" ]; }
	wait_for 10 "the worker is asked" asked
	kill -9 "$KEDGED" "$(pgrep -P "$KEDGED" -f -- --role=brain)"
	wait_for 10 "kedged ends" not_running "$KEDGED"
	kill -CONT "$worker"
	committed() { [ "$(tip)" != "$before" ]; }
	wait_for 10 "the commit" committed
	wait $client || true
	kedge_start --listen "$API"
	echo "$KEDGED" >"$W/pid"
	wait_for 15 "two" has_ready app=web 2
	[ "$(said)" = 'deployment default/web: spec.replicas 1 -> 2' ]
	[ "$(k get deploy web -o 'jsonpath={.spec.replicas}')" = 2 ]
	wait_for 10 "in force" in_force
}

@test "an image that does not come: the write is answered, and the next one takes it back" {
	back_to 1
	KTIME=90 k set image deploy web box=127.0.0.1:1/none:1
	[ "$(said)" = 'deployment default/web: spec.template.spec.containers[box].image box:1 -> 127.0.0.1:1/none:1' ]
	KTIME=90 k set image deploy web box=box:2
	[ "$(file | grep -c 'image: "box:2"  # the first')" = 1 ]
	k rollout status deploy web --timeout=30s
	k rollout undo deploy web --to-revision=1 || k rollout undo deploy web
	wait_for 10 "in force" in_force
}

@test "somebody who pushes a manifest that does not read is told why nothing is written back" {
	back_to 1
	echo 'kind: Nonsense' | put broken
	wait_for 5 "it failed" sh -c "kedge status | grep -q 'broken.yaml:1'"
	before=$(tip)
	refused 'is not written back, for the newest commit' k scale deploy web --replicas=2
	[ "$(tip)" = "$before" ]
	drop broken
	wait_for 5 "in force" in_force
	k scale deploy web --replicas=2
	[ "$(said)" = 'deployment default/web: spec.replicas 1 -> 2' ]
}

@test "an Event of the Revision names who wrote it" {
	back_to 1
	k scale deploy web --replicas=2
	wait_for 5 "it is told" sh -c "kedge events | grep -q 'Applied commit $(git -C "$W/deploy.git" rev-parse --short=7 main) by root: 0 created, 1 changed, 0 pruned'"
}
