#!/usr/bin/env bats
# Everything a source can do wrong: a clear error with its place, nothing of the
# revision applied, and what ran before runs on.
load lib.bash

setup_file() {
	load lib.bash
	kedge_dirs
	repo_make
	mkdir "$W/dir"
	kedge_start --source "deploy=$W/deploy.git" --source "files=$W/dir"
	export KEDGED
	image web:1 --env VERSION=v1
	deployment web web:1 1 >"$W/clone/web.yaml"
	service web >"$W/clone/svc.yaml"
	push_wait "the good one"
	uid=$(field deploy web .metadata.uid)
	pods=$(pods_now)
	export uid pods
}
teardown_file() {
	load lib.bash
	kedge_end
}

pods_now() { kedge get pods -o json | jq -c '[.items[] | {uid: .metadata.uid, n: .status.containerStatuses[0].restartCount}] | sort'; }
config_map() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {k: "%s"}\n' "$1" "${2:-v}"; }

# refused PATTERN...: what the clone holds now is refused, each pattern is in a line
# of the message and of the status, nothing changed; then the clone is as before.
refused() {
	config_map beside >"$W/clone/beside.yaml"
	push "bad"
	refused_commit "$@"
}
refused_commit() {
	local status rc=0 good
	good=$(g rev-parse HEAD~1)
	kedge wait deploy --for "$(head_id)" --timeout 20s >"$W/said" 2>&1 && rc=0 || rc=$?
	kedge status deploy >"$W/status"
	status=$(unchanged && echo same)
	g reset -q --hard "$good"
	g push -q -f origin HEAD:main
	cat "$W/said"
	[ "$rc" = 1 ] && [ "$status" = same ] || return 1
	for p in "$@"; do
		grep -qE "$p" "$W/said" && grep -qE "$p" "$W/status" || { echo "no: $p"; cat "$W/status"; return 1; }
	done
	kedge wait deploy --for "$good" --timeout 20s && unchanged
}
unchanged() {
	[ "$(field deploy web .metadata.uid)" = "$uid" ] && [ "$(pods_now)" = "$pods" ] &&
		! kedge get cm beside 2>/dev/null
}

@test "malformed YAML is refused where it breaks" {
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a\ndata: {}\n' >"$W/clone/a.yaml"
	refused 'a\.yaml:4:[0-9]+: '
}

@test "a Secret that is wrong is refused without a word of what it holds" {
	printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  pin: 4711473\n  on: true\n' >"$W/clone/s.yaml"
	printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: t}\nstringData: hunter2hunter\n' >"$W/clone/t.yaml"
	printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: u}\ndata: {k: opensesame!}\n' >"$W/clone/u.yaml"
	printf '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "v"},\n "stringData": {"k": "shibboleth" "x"}}' >"$W/clone/v.json"
	printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: w}\nstringData: {k: swordfish1\n' >"$W/clone/w.yaml"
	local n=0 value
	for value in '*hunter2' '!hunter2' '!!hunter2' '!hunter2 x' '!h!hunter2' '&hunter2 [*hunter2]' '{password:hunter2}' '@hunter2' '%hunter2' '`hunter2'; do
		n=$((n + 1))
		printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: x%s}\nstringData:\n  k: %s\n' $n "$value" >"$W/clone/x$n.yaml"
	done
	printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: y}\nstringData: {password:hunter2}\n' >"$W/clone/y.yaml"
	refused 's\.yaml:5:8: .*stringData\[pin\]: must be a string, not a number: put it in quotes$' \
		's\.yaml:6:7: .*must be a string, not a boolean: put it in quotes$' \
		't\.yaml:4:13: .*must be an object \(key: value\), not a string$' \
		'u\.yaml:4:11: .*illegal base64 data' 'v\.json:2:[0-9]+: ' 'w\.yaml:[0-9]+:' \
		'x1\.yaml:5:6: this alias has no anchor before it; a value that begins with \* needs quotes$' \
		'x2\.yaml:5:6: this tag is not supported; a value that begins with ! needs quotes$' \
		'x3\.yaml:5:6: this tag' 'x4\.yaml:5:6: this tag' 'x5\.yaml:5:[0-9]+: ' \
		'x6\.yaml:5:16: this alias is within its own anchor$' 'x7\.yaml:5:6: .*must be a string' 'x8\.yaml:5:6: ' 'x9\.yaml:5:6: ' \
		'y\.yaml:4:14: .*stringData: Invalid key: .*; is a space missing after a ":"\?$'
	kedge get revisions -o yaml >"$W/told"
	kedge events -A >>"$W/told"
	kedge history >>"$W/told"
	cat "$W/kedged.log" "$W/said" "$W/status" >>"$W/told"
	run grep -E '4711473|hunter2|opensesame|shibboleth|swordfish' "$W/told"
	echo "$output"
	[ "$status" = 1 ]
}

@test "a tab where none may be, an unclosed string, a stray bracket are refused with their place" {
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: a\n' >"$W/clone/a.yaml"
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "b}\n' >"$W/clone/b.yaml"
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}]\n' >"$W/clone/c.yaml"
	refused 'a\.yaml:4:1: ' 'b\.yaml:[0-9]+:[0-9]+: ' 'c\.yaml:3:[0-9]+: '
}

@test "malformed JSON is refused where it breaks" {
	printf '{"apiVersion": "v1",\n "kind": "ConfigMap",\n "metadata": {"name": "a"},,}\n' >"$W/clone/a.json"
	refused 'a\.json:3:[0-9]+: '
}

@test "all errors of a commit are told together" {
	sed -e 's/containers:/containres:/' -e 's/replicas: 1/replicas: one/' -i "$W/clone/web.yaml"
	sed -e 's/port: 80,/port: 80000,/' -i "$W/clone/svc.yaml"
	refused 'web\.yaml:[0-9]+:[0-9]+:.*containres.*did you mean.*containers' \
		'web\.yaml:6:[0-9]+:.*replicas' 'svc\.yaml:[0-9]+:[0-9]+:.*80000'
}

@test "wrong types are refused with what was expected" {
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: [1, 2]\n' >"$W/clone/a.yaml"
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: {k: 1}\n' >"$W/clone/b.yaml"
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: b\n' >"$W/clone/c.yaml"
	refused 'a\.yaml:4:[0-9]+:.*data' 'b\.yaml:4:[0-9]+:.*string.*"1"' 'c\.yaml:3:[0-9]+:.*metadata'
}

@test "an error behind more warnings than are kept is refused all the same" {
	{
		for n in $(seq 1100); do printf 'note: %s\n---\n' "$n"; done
		printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: 1}\n'
	} >"$W/clone/a.yaml"
	refused 'a\.yaml:2204:[0-9]+:.*string.*"1"'
}

@test "a field twice is refused, and both places are named" {
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: a\n  j: b\n  k: c\n' >"$W/clone/a.yaml"
	refused 'a\.yaml:7:3:.*"k".*line 5'
}

@test "an object twice in one revision is refused, and both places are named" {
	config_map a >"$W/clone/a.yaml"
	config_map a other >"$W/clone/b.yaml"
	refused 'b\.yaml:1:1:.*a\.yaml:1'
}

@test "a kind that kedge does not know is refused with those it knows" {
	printf 'apiVersion: batch/v9\nkind: Jobb\nmetadata: {name: a}\n' >"$W/clone/a.yaml"
	refused 'a\.yaml:[0-9]+:[0-9]+:.*Jobb.*Deployment'
}

@test "a YAML bomb costs no time and no memory" {
	{
		echo 'apiVersion: v1'
		echo 'kind: ConfigMap'
		echo 'metadata: {name: a}'
		echo 'a: &a [x,x,x,x,x,x,x,x,x]'
		p=a
		for n in b c d e f g h i j; do
			echo "$n: &$n [*$p,*$p,*$p,*$p,*$p,*$p,*$p,*$p,*$p]"
			p=$n
		done
	} >"$W/clone/a.yaml"
	at=$(date +%s)
	refused 'a\.yaml:[0-9]+:[0-9]+:.*aliases'
	[ $(($(date +%s) - at)) -lt 10 ]
	[ "$(awk '/VmHWM/ {print $2}' /proc/$(pgrep -P "$KEDGED" -f -- --role=brain)/status)" -lt 200000 ]
}

@test "a hundred thousand brackets deep is refused" {
	{
		printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: '
		head -c 100000 /dev/zero | tr '\0' '['
	} >"$W/clone/a.yaml"
	refused 'a\.yaml:4:[0-9]+:.*levels deep'
}

@test "a document of 10 MB is refused with its size and the limit" {
	{
		printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: "'
		head -c 10485760 /dev/zero | tr '\0' x
		echo '"'
	} >"$W/clone/a.yaml"
	refused 'a\.yaml:1:1:.*10\.0 MiB.*more than 3 MiB'
}

@test "what is not UTF-8 is refused where it is" {
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: "\xff\xfe"}\n' >"$W/clone/a.yaml"
	refused 'a\.yaml:4:[0-9]+:.*UTF-8'
}

@test "a file whose name is not UTF-8, or holds control characters, is refused and blinds nobody" {
	config_map a >"$W/clone/"$'a\xff.yaml'
	config_map b >"$W/clone/"$'b\033[31m\n.yaml'
	refused 'a\?\.yaml: .*not UTF-8' 'b\?\[31m\?\.yaml: .*control character'
	config_map c >"$W/clone/"$'c\xff.txt' # no manifest: nobody minds
	push_wait "a text"
	kedge history -o json | jq -e '.items | length > 1'
	kedge events >/dev/null
	run kedge diff $'\xff' --source deploy
	[ "$status" = 2 ]
	[[ $output == *"no branch, tag or commit"* ]]
	rm "$W/clone/"c*.txt
	push_wait "none"
}

@test "a symbolic link in a commit is refused by its path" {
	ln -s web.yaml "$W/clone/link.yaml"
	refused 'link\.yaml.*symbolic link'
}

@test "a submodule in a commit is refused by its path" {
	config_map beside >"$W/clone/beside.yaml"
	g add beside.yaml
	g update-index --add --cacheinfo "160000,$(head_id),sub"
	g commit -qm "bad"
	g push -q origin HEAD:main
	refused_commit 'sub.*submodule'
}

@test "two containers of a pod with one port are refused in Kubernetes' words" {
	printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: a, image: "web:1", ports: [{containerPort: 8080}]}\n  - {name: b, image: "web:1", ports: [{containerPort: 8080}]}\n' >"$W/clone/p.yaml"
	refused 'p\.yaml:7:[0-9]+:.*8080'
}

@test "two containers of a pod with one name are refused" {
	printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: a, image: "web:1"}\n  - {name: a, image: "web:1"}\n' >"$W/clone/p.yaml"
	refused 'p\.yaml:7:[0-9]+:.*Duplicate value: "a"'
}

@test "a node port that two services of a revision want is refused, and both are named" {
	for s in one two; do
		service $s NodePort | sed 's/port: 80,/port: 80, nodePort: 30080,/' >"$W/clone/$s.yaml"
	done
	refused 'two\.yaml:7:32: spec\.ports\[0\]\.nodePort: Invalid value: 30080: provided port is already allocated, by service default/one \(one\.yaml:7:32\)'
}

@test "a cluster IP that two services want is refused, and both are named" {
	for s in one two; do
		service $s | sed 's/  type: ClusterIP/  clusterIP: 10.43.0.77/' >"$W/clone/$s.yaml"
	done
	refused 'two\.yaml:5:14: spec\.clusterIP: .*10\.43\.0\.77.*one\.yaml:5:14'
}

@test "a node port that another source has is refused, and both places are named" {
	service held NodePort | sed 's/port: 80,/port: 80, nodePort: 30090,/' >"$W/dir/held.yaml"
	wait_for 10 "the other source's service" kedge get svc held
	service mine NodePort | sed 's/port: 80,/port: 80, nodePort: 30090,/' >"$W/clone/mine.yaml"
	refused 'mine\.yaml:7:32:.*30090.*held\.yaml:1'
	rm "$W/dir/held.yaml"
}

@test "an object that another source has is refused, and both places are named" {
	config_map theirs >"$W/dir/theirs.yaml"
	wait_for 10 "the other source's map" kedge get cm theirs
	config_map theirs >"$W/clone/a.yaml"
	refused 'a\.yaml:1:1:.*default/theirs.*files.*theirs\.yaml:1'
}

@test "a selector that does not match its template is refused in Kubernetes' words" {
	sed -e 's/matchLabels: {app: web}/matchLabels: {app: www}/' -e 's/name: web$/name: other/' "$W/clone/web.yaml" >"$W/clone/other.yaml"
	refused 'other\.yaml:[0-9]+:[0-9]+:.*`selector` does not match template `labels`'
}

@test "names that Kubernetes would not take are refused" {
	config_map 'No_Such-' >"$W/clone/a.yaml"
	refused 'a\.yaml:3:[0-9]+:.*No_Such-.*RFC 1123'
}

@test "a branch that goes keeps the last revision, and comes back" {
	good=$(head_id)
	git -C "$W/deploy.git" update-ref refs/heads/spare "$good"
	git -C "$W/deploy.git" update-ref -d refs/heads/main
	wait_for 10 "the message" sh -c "kedge status deploy | grep -q 'has no commit'"
	kedge status deploy
	kedge status deploy | grep -q "$W/deploy.git"
	unchanged
	config_map after >"$W/clone/after.yaml"
	push_wait "it is back"
	kedge get cm after
	! kedge status deploy | grep -q 'has no commit' || false
	unchanged
}

@test "a force-push is applied, and said" {
	config_map forced >"$W/clone/forced.yaml"
	rm "$W/clone/after.yaml"
	g add -A
	g commit -q --amend -m "rewritten"
	g push -q -f origin HEAD:main
	kedge wait deploy --for "$(head_id)" --timeout 20s
	kedge get cm forced
	! kedge get cm after 2>/dev/null || false
	kedge events -A | grep -q "Commit $(g rev-parse --short=7 HEAD).*force-pushed"
	unchanged
}

@test "a repository that vanishes keeps what runs, and comes back" {
	mv "$W/deploy.git" "$W/away.git"
	kedge sync deploy || true
	wait_for 10 "the message" sh -c "kedge status deploy | grep -q '$W/deploy.git'"
	wait_for 10 "the message" sh -c "kedge status deploy | grep -qi 'no such file\|not found\|gone\|is not there'"
	kedge status deploy
	unchanged
	mv "$W/away.git" "$W/deploy.git"
	config_map again >"$W/clone/again.yaml"
	push "here again"
	kedge wait deploy --for "$(head_id)" --timeout 30s
	kedge get cm again
	unchanged
}

@test "a missing image is told with what to do, and the old pods serve on" {
	sed -i 's/image: web:1/image: nowhere:7/' "$W/clone/web.yaml"
	push "no such image"
	wait_for 10 "the reason" sh -c "kedge get pods | grep -qE 'ErrImagePull|ImagePullBackOff'"
	kedge describe pods -l app=web | grep -q 'nowhere:7.*kedge image'
	wait_for 5 "the status" sh -c "kedge status deploy | grep -q 'waiting for.*nowhere:7.*kedge image'"
	ip=$(field svc web .spec.clusterIP)
	curl -sfm 2 "http://$ip/"
	image nowhere:7 --env VERSION=v7
	kedge wait deploy --for "$(head_id)" --timeout 20s
	wait_for 5 "the new one answers" sh -c "curl -sfm 2 http://$ip/ | grep -q v7"
}

@test "a million replicas by mistake: the API answers, the rest runs, and a revert is read" {
	local ran
	ran=$(kedge get pods -o name | sort)
	deployment many web:1 1000000 >"$W/clone/many.yaml"
	push "a slip of the finger"
	some() { [ "$(timeout 10 kedge get pods -l app=many -o json | jq '.items | length')" -ge 20 ]; }
	wait_for 20 "some of them are made" some
	[ "$(comm -23 - <(kedge get pods -o name | sort) <<<"$ran")" = "" ]
	g revert --no-edit HEAD >/dev/null
	g push -q
	none() { [ "$(timeout 10 kedge get pods -l app=many -o json | jq '.items | length')" = 0 ]; }
	wait_for 30 "the revert is applied" none
}

@test "a few lines that ask for gigabytes: the pods say what is too much, all else goes on" {
	local brain most=200000
	brain=$(pgrep -P "$KEDGED" -f -- --role=brain)
	echo 5 >"/proc/$brain/clear_refs" # its peak is from now on
	perl -e '
		print "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: large}\ndata: {k: ", "x" x 900000, "}\n---\n";
		print "apiVersion: v1\nkind: Pod\nmetadata: {name: words}\nspec:\n  containers:\n  - name: main\n    image: web:1\n    env:\n";
		print "    - {name: A, value: \"", "x" x 1000, "\"}\n    - {name: B, value: \"", "\$(A)" x 1000, "\"}\n";
		print "    - {name: C, value: \"", "\$(B)" x 100, "\"}\n    - {name: D, value: \"", "\$(C)" x 600, "\"}\n---\n";
		print "apiVersion: v1\nkind: Pod\nmetadata: {name: files}\nspec:\n  containers: [{name: main, image: \"web:1\"}]\n  volumes:\n";
		print "  - name: v\n    projected:\n      sources:\n      - configMap:\n          name: large\n          items:\n";
		print "          - {key: k, path: f$_}\n" for 1 .. 1000' >"$W/clone/gigabytes.yaml"
	push "gigabytes"
	words_say() { field pod words '.status.containerStatuses[0].state.waiting | .reason + ": " + .message' | grep -qF "$1"; }
	wait_for 20 "the variable is named" words_say \
		'CreateContainerConfigError: container main: variable B is longer than the 128 KiB that Linux takes of one argument or variable'
	wait_for 10 "the file is named" sh -c \
		"kedge events | grep -qF 'MountVolume.SetUp failed for volume \"v\" : with the file f19 the contents of the pod'\\''s volumes are larger than 16 MiB'"
	config_map beside >"$W/clone/beside.yaml"
	push "it goes on"
	wait_for 10 "another object is made" kedge get cm beside
	[ "$(pgrep -P "$KEDGED" -f -- --role=brain)" = "$brain" ]
	grep VmHWM "/proc/$brain/status"
	# the address sanitizer keeps 256 MB of what was freed, and shadows all there is
	if grep -q __asan_init "$B/kedged"; then most=800000; fi
	[ "$(awk '/VmHWM/ {print $2}' "/proc/$brain/status")" -lt $most ]
	rm "$W/clone/gigabytes.yaml" "$W/clone/beside.yaml"
	push "never mind"
	gone() { ! kedge get pod files && ! kedge get pod words; }
	wait_for 15 "they are gone" gone
}
