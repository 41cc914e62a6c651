#!/usr/bin/env bats
# kedge, the command: what needs no daemon, and what it makes of the API's answers.
load lib.bash

setup_file() {
	load lib.bash
	kedge_dirs
	mkdir -p "$W/run" "$W/logs/default_web-9b459b4c5-cst47_u/web"
	mkfifo "$W/orders"
	"$B/tests/e2e/api_server" "$KEDGE_SOCKET" 127.0.0.1:18001 "$W/logs" \
		"$BATS_TEST_DIRNAME/api_world.yaml" <"$W/orders" >"$W/server" 2>&1 3>&- &
	echo $! >"$W/pid"
	sleep 1000 >"$W/orders" 3>&- & # holds it open
	echo $! >"$W/holder"
	wait_for 5 "the server" grep -q ready "$W/server"
}
teardown_file() {
	kill "$(cat "$W/pid")" "$(cat "$W/holder")"
	rm -rf "$W"
}

@test "help lists every command, and every command has help" {
	kedge help >"$W/help"
	for c in status history diff sync suspend resume rollback wait validate get describe events logs exec \
		delete "image import" "image load" "image ls" "image rm" down version completion; do
		grep -q "^  $c " "$W/help"
		kedge help $c | grep -q "^usage: kedge $c"
		kedge $c --help | grep -q "^usage: kedge $c"
	done
	# what an option of several commands means to each, and nothing of the others
	kedge help kubeconfig | grep -q -- '--user USER  *whose it is$'
	kedge help image import | grep -q -- '--user USER  *as whom: '
	kedge help debug | grep -q -- '--container NAME  *the name of the new one$'
	kedge help cp | grep -q -- '--container NAME  *which container of the pod$'
	kedge help get | grep -q -- '--output FORMAT  *json, yaml, name or wide$'
	for c in history diff status validate trace "image ls"; do
		kedge help $c | grep -q -- '--output FORMAT  *json or yaml$' || { echo "$c"; false; }
	done
	kedge help --man | grep -q '^json, yaml, name or wide$'
}

@test "no line of help is wider than a terminal of 80 columns" {
	kedge help >"$W/wide"
	while read -r c; do kedge help $c >>"$W/wide"; done < <(kedge help | sed -nE 's/^  ([a-z]+(-[a-z]+)?( (pods|nodes|import|load|pull|prune|inspect|save|verify|ls|rm))?) .*/\1/p')
	[ "$(grep -c '^usage: kedge ' "$W/wide")" -gt 35 ]
	run awk 'length > 80' "$W/wide"
	[ "$output" = "" ]
}

@test "a mistyped command or option gets a suggestion and exit status 2" {
	run kedge statsu
	[ "$status" = 2 ]
	[ "$output" = 'kedge: kedge has no command "statsu"; did you mean "status"?' ]
	run kedge get pods --namspace x
	[ "$status" = 2 ]
	[[ $output =~ "did you mean --namespace?" ]]
	for command in status history "diff 1" "trace host web:80" "image ls" validate version; do
		run kedge $command -o yml # words, not text for a reader who wants YAML
		[ "$status" = 2 ]
		[ "$output" = 'kedge: -o takes json or yaml, not "yml"' ]
	done
	run kedge history --limit few
	[ "$status" = 1 ]
	[ "$output" = 'kedge: --limit takes a number of revisions, not "few"' ]
}

@test "down asks at a terminal, and after a no says that nothing was done" {
	for answer in n ''; do
		run timeout 20 script -qec "kedge down" /dev/null <<<"$answer"
		[ "$status" = 1 ]
		[[ $output == *"[y/N] "*"nothing was done"* ]]
	done
	kedge get pods
}

@test "down without a terminal does nothing unless it is told --yes" {
	for words in "down" "down --keep"; do
		run kedge $words </dev/null
		[ "$status" = 1 ]
		[[ $output == *"nothing was done"*"--yes"* ]]
	done
	kedge get pods
}

@test "down without a running kedged says to start it first, and asks nothing" {
	for words in "down --yes" "down --keep --yes"; do
		run kedge --socket /nowhere/api.sock $words
		[ "$status" = 1 ]
		[[ $output == "kedge: nothing was done: it is kedged that removes what it made; start it first (systemctl start kedged,"*"no answer at /nowhere/api.sock"* ]]
	done
	run timeout 20 script -qec "kedge --socket /nowhere/api.sock down" /dev/null </dev/null
	[ "$status" = 1 ]
	[[ $output == *"start it first"* ]]
	[[ $output != *"[y/N]"* ]] || false
}

@test "cp does not read or write a stream, and says what does" {
	for words in "web-9b459b4c5-cst47:/etc/hosts -" "- web-9b459b4c5-cst47:/tmp/x"; do
		run timeout 10 kedge cp $words </dev/null
		[ "$status" = 1 ]
		[[ $output == 'kedge: - is not supported: kedge cp copies files and folders; `kedge exec POD -- cat PATH` prints a file'* ]]
	done
}

@test "port-forward without a port is not understood" {
	run timeout 10 kedge port-forward web-9b459b4c5-cst47
	[ "$status" = 2 ]
	[[ $output =~ "kedge port-forward needs POD|KIND/NAME [LOCAL:]PORT..." ]]
}

@test "completion knows commands, options, kinds and the names that live" {
	[ "$(kedge __complete hist)" = history ]
	[ "$(kedge __complete image l | sort | xargs)" = "load ls" ]
	[ "$(kedge __complete get --all)" = --all-namespaces ]
	[ "$(kedge __complete get deploym)" = deployments ]
	[ "$(kedge __complete logs web-9b459b4c5-c)" = web-9b459b4c5-cst47 ]
	[ "$(kedge __complete get pods -n ot)" = other ]
	[ "$(kedge __complete logs -n other "")" = twins ]
	[ "$(kedge __complete logs deploy/w)" = deploy/web ]
	[ "$(kedge __complete describe svc/w)" = svc/web ]
	[ "$(kedge __complete get -o wide svc w)" = web ]
	[ "$(kedge __complete status si)" = site ]
	[ "$(kedge __complete rollback --source si)" = site ]
	[ "$(kedge __complete rollback "" | sort | xargs)" = "1 2" ]
	[ "$(kedge __complete completion z)" = zsh ]
	[ "$(kedge __complete exec web-9b459b4c5-cst47 -- we)" = "" ]
	bash -n <(kedge completion bash)
	source <(kedge completion bash)
	completed() { # LINE WHAT...: bash would offer
		COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
		shift
		_kedge
		[ "${COMPREPLY[*]}" = "$*" ] || { echo "${COMPREPLY[*]}"; false; }
	}
	completed "kedge sta" status
	completed "kedge image l" load ls
	completed "kedge logs -n other " twins
	# what stands before a colon is a word of its own to bash
	kedge() { echo docker.io/web:1; }
	completed "kedge image rm docker.io/web:" 1
	completed "kedge image rm docker.io/w" docker.io/web:1
}

@test "without its name nothing is deleted, and a name leads nowhere else" {
	local pods
	pods=$(kedge get pods -o name)
	for name in "" pod/ "deploy/"; do
		[ -z "$name" ] && set -- pod "" || set -- "$name"
		run timeout 10 kedge delete "$@"
		[ "$status" = 1 ]
		[[ $output =~ "the name of a pod may not be empty"|"must be KIND/NAME" ]]
	done
	for name in . .. ../pods "a b" 'a%2f..' 'web?x=1' '#'; do
		run timeout 10 kedge delete pod "$name"
		[ "$status" = 1 ]
		[[ $output =~ "not found"|"is no name of a pod" ]] || { echo "$output"; false; }
	done
	for verb in logs exec; do
		run timeout 10 kedge $verb "" true
		[[ $output =~ "the name of a pod may not be empty" ]]
	done
	[ "$(kedge get pods -o name)" = "$pods" ]
	[ "$(kedge get pods -n "" -o name)" = "$pods" ]
}

@test "where text is for people, who asks for JSON is told so" {
	run kedge status -w -o json
	[ "$status" = 1 ]
	[[ $output =~ "kedge get sources -w -o json" ]]
}

@test "the manual pages are well-formed and name every command" {
	kedge help --man >"$W/kedge.1"
	kedge help --man kedge.yaml >"$W/kedge.yaml.5"
	grep -q 'kedge image import' "$W/kedge.1"
	grep -q 'network.podCIDR' "$W/kedge.yaml.5"
	if command -v groff >/dev/null; then
		for f in "$W/kedge.1" "$W/kedge.yaml.5" "$ROOT/daemon/man/kedged.8"; do
			[ -z "$(groff -man -ww -z "$f" 2>&1)" ]
		done
	fi
}

@test "validate reads a folder as the daemon does, and says every error with its place" {
	mkdir -p "$W/v/sub" "$W/v/.hidden" "$W/v/images"
	echo 'images/' >"$W/v/.kedgeignore"
	deployment web web:1 >"$W/v/web.yaml"
	service web >"$W/v/sub/svc.yml"
	echo 'broken: [' >"$W/v/images/x.yaml"
	echo 'broken: [' >"$W/v/.hidden/x.yaml"
	echo 'no manifest' >"$W/v/notes.txt"
	run kedge validate "$W/v"
	[ "$status" = 0 ]
	[[ $output =~ "2 objects in 2 files: fine" ]]
	sed -i 's/containers:/containres:/' "$W/v/web.yaml"
	sed -i 's/port: 80/port: 80000/' "$W/v/sub/svc.yml"
	run kedge validate "$W/v"
	[ "$status" = 1 ]
	[[ $output =~ v/web.yaml:[0-9]+:[0-9]+:\ .*containres.*containers ]]
	[[ $output =~ v/sub/svc.yml:[0-9]+:[0-9]+:\ .*80000 ]]
	[ "$(kedge validate -o json "$W/v" | jq '.errors | length')" -ge 2 ]
}

@test "validate names the limit of folders within folders, and what to do" {
	deep=$W/deep$(printf '/d%.0s' $(seq 70))
	mkdir -p "$deep"
	deployment web web:1 >"$deep/web.yaml"
	run kedge validate "$W/deep"
	[ "$status" = 1 ]
	[[ $output =~ "64 folders within each other are the most: move it up, or name it in .kedgeignore" ]]
}

@test "validate refuses a link in a repository and follows it elsewhere" {
	mkdir -p "$W/l" "$W/elsewhere"
	service web >"$W/elsewhere/svc.yaml"
	ln -s ../elsewhere/svc.yaml "$W/l/svc.yaml"
	run kedge validate "$W/l"
	[ "$status" = 0 ]
	[[ $output =~ "1 object in 1 file: fine" ]]
	git init -q "$W/l"
	run kedge validate "$W/l"
	[ "$status" = 1 ]
	[[ $output =~ "l/svc.yaml: is a symbolic link" ]]
}

@test "validate finds a node port that two services want, and names both" {
	mkdir "$W/np"
	for s in one two; do
		service $s NodePort | sed 's/port: 80,/port: 80, nodePort: 30080,/' >"$W/np/$s.yaml"
	done
	run kedge validate "$W/np"
	[ "$status" = 1 ]
	[[ $output =~ np/two.yaml:7:32:.*30080.*"provided port is already allocated".*np/one.yaml:7:32 ]]
}

@test "validate that finds no manifest says where it looked, and is no success" {
	mkdir "$W/empty"
	run kedge validate "$W/empty"
	[ "$status" = 2 ]
	[[ $output == *"0 objects in 0 files: nothing was checked"*"no manifest in $W/empty: files are read that end in .yaml"* ]]
	[[ $output != *fine* ]] || false
	(cd "$W/empty" && ! kedge validate >/dev/null 2>&1) || false
	run --separate-stderr kedge validate -o json "$W/empty"
	[ "$status" = 2 ]
	[ "$(jq .objects <<<"$output")" = 0 ]
	echo 'a: b' >"$W/empty/values.yaml"
	run kedge validate "$W/empty"
	[ "$status" = 2 ]
	[[ $output == *"0 objects in 1 file: nothing was checked"*"no manifest in $W/empty: what is read there has no apiVersion"* ]]
}

@test "validate without a configuration holds node ports against the default range" {
	service low NodePort | sed 's/port: 80,/port: 80, nodePort: 80,/' >"$W/low.yaml"
	run kedge validate "$W/low.yaml"
	[ "$status" = 1 ]
	[[ $output == *"spec.ports[0].nodePort: Invalid value: 80:"*"30000-32767"* ]]
	printf 'network: {nodePortRange: 80-90}\n' >"$W/low.kedge"
	kedge validate --config "$W/low.kedge" "$W/low.yaml"
}

@test "validate --config checks the configuration" {
	kedge validate --config "$ROOT/daemon/systemd/kedge.yaml"
	printf 'listen: 127.0.0.1:8001\nlissten: x\n' >"$W/bad.yaml"
	run kedge validate --config "$W/bad.yaml"
	[ "$status" = 1 ]
	[[ $output =~ bad.yaml:2:1:.*lissten ]]
}

@test "without a daemon the message says what to do" {
	run kedge --socket /nowhere/api.sock get pods
	[ "$status" = 1 ]
	[[ $output =~ "/nowhere/api.sock".*"No such file or directory".*"is kedged running" ]]
}

@test "get prints what kubectl prints" {
	for a in "pods" "pods -A" "pods -o wide" "svc,deploy" "rs --show-labels" "nodes -o wide" "pods -l app=web" \
		"deploy/web svc/web" "pods -o name" "pod nope" "pods -n nowhere" "all -A"; do
		kedge get $a >"$W/ours" 2>&1 || true
		kubectl --server=http://127.0.0.1:18001 get $a >"$W/theirs" 2>&1 || true
		sed -i 's/^kedge: //' "$W/ours"
		sed -i 's/^Error from server (.*): //' "$W/theirs"
		# ages may differ by the second that lies between
		diff -b <(sed -E 's/[0-9]+(s|m[0-9]*s?)\b/AGE/g; s/ +/ /g' "$W/ours") \
			<(sed -E 's/[0-9]+(s|m[0-9]*s?)\b/AGE/g; s/ +/ /g' "$W/theirs")
	done
}

@test "get of several names aligns all their rows, and has a line for each that is not there" {
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata: {a: b}\n' >"$W/short.yaml"
	echo "apply $W/short.yaml" >"$W/orders"
	wait_for 5 "it is there" kedge get cm a
	for a in "cm a settings" "cm/a cm/settings" "cm settings a"; do
		kedge get $a >"$W/rows"
		[ "$(wc -l <"$W/rows")" = 3 ]
		[ "$(awk '{ print match($0, / [0-9D]/) }' "$W/rows" | sort -u | wc -l)" = 1 ]
	done
	run kedge get cm a nope settings
	[ "$status" = 1 ]
	[[ $output == "NAME"*$'\n'"a "*$'\n'"settings "*$'\n''kedge: configmaps "nope" not found' ]]
	run kedge get cm/nope cm/neither svc/web
	[ "$status" = 1 ]
	[[ $output == *"service/web "*$'\n''kedge: configmaps "nope" not found'$'\n''kedge: configmaps "neither" not found' ]]
	run --separate-stderr kedge get cm nope a -o json
	[ "$status" = 1 ]
	[ "$(jq -r '.items[].metadata.name' <<<"$output")" = a ]
	[ "$stderr" = 'kedge: configmaps "nope" not found' ]
	echo "delete configmaps default a" >"$W/orders"
}

@test "get shows who set which field only when asked, as kubectl does" {
	kubectl --server=http://127.0.0.1:18001 label cm settings seen=yes
	[ "$(kedge get cm settings -o json | jq .metadata.managedFields)" = null ]
	[ "$(kedge get cm -o json | jq '.items[].metadata.managedFields' | sort -u)" = null ]
	[ "$(kedge get cm settings -o yaml | grep -c managedFields)" = 0 ]
	[ "$(kedge get cm settings -o json --show-managed-fields | jq -r '.metadata.managedFields[].manager')" = kubectl-label ]
}

@test "get -o json and -o yaml say the same, and kubectl reads the YAML" {
	kedge get deploy web -o json | jq -S . >"$W/a"
	kedge get deploy web -o yaml >"$W/web.yaml"
	kubectl --server=http://127.0.0.1:18001 create --dry-run=client --validate=false -o json -f "$W/web.yaml" | jq -S . >"$W/b"
	diff <(jq '.spec' "$W/a") <(jq '.spec' "$W/b")
	diff <(jq '.status' "$W/a") <(jq '.status' "$W/b")
}

@test "get -w shows what changes" {
	kedge get cm -w >"$W/watch" 3>&- &
	watcher=$!
	wait_for 5 "the first rows" grep -q settings "$W/watch"
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh, namespace: default}\ndata: {a: b}\n' >"$W/fresh.yaml"
	echo "apply $W/fresh.yaml" >"$W/orders"
	wait_for 5 "the new row" grep -q '^fresh' "$W/watch"
	for i in c d; do # its headings come with the first event alone
		sed "s/^data: .*/data: {a: b, $i: e, f$i: g}/" "$W/fresh.yaml" >"$W/fresh2.yaml"
		echo "apply $W/fresh2.yaml" >"$W/orders"
		sleep 0.3
	done
	wait_for 5 "each change" sh -c "[ \$(grep -c '^fresh' $W/watch) = 3 ]"
	[ "$(grep -c '^NAME' "$W/watch")" = 1 ]
	kill $watcher
}

@test "status, history, events and describe speak of what lives" {
	kedge status | grep -q '^site  /srv/site.git#main'
	kedge status | grep -q 'health .*revision 2, Healthy'
	kedge status -o json >/dev/null
	kedge history | grep -qE '^1 +site +aaaaaaa +Superseded'
	[ "$(kedge history --limit 1 -o json | jq '.items | length')" = 1 ]
	kedge events -A | grep -q 'Scaled up replica set'
	kedge describe deploy web | grep -qE '^Replicas: +2 desired'
	kedge describe svc web | grep -qE '^Endpoints: +10.42.0.5:8080,10.42.0.6:8080'
	kedge describe secret password | grep -q 'word:  6 bytes'
	! kedge describe secret password | grep -q c2VzYW1l
}

@test "status -w on a pipe is a line only when something is new" {
	timeout 1.5 kedge status -w >"$W/watch" || true
	[ "$(grep -c '^site' "$W/watch")" = 1 ]
}

@test "wait tells healthy, failed and late apart" {
	kedge wait --timeout 5s
	run kedge wait --for aaaaaaa --timeout 1s
	[ "$status" = 1 ]
	run kedge wait --for ffff0000 --timeout 300ms
	[ "$status" != 0 ]
	run kedge wait --for ffff0000 --timeout 1
	[ "$status" = 2 ]
	[ "$output" = "kedge: after 1s still waiting for commit ffff0000 to be read" ]
	for more in "" "--for ffff0000"; do
		run kedge wait nowhere $more --timeout 30s
		[ "$status" = 3 ]
		[ "$output" = 'kedge: kedged has no source "nowhere"; there are: site' ]
	done
	for wrong in "--timeout soon" "--for no-commit" "--four 12345678"; do # no answer about a commit
		run kedge wait $wrong
		[ "$status" = 3 ]
	done
	for command in "status nowhere" "status nowhere -o json" "history nowhere"; do
		run kedge $command
		[ "$status" = 1 ]
		[ "$output" = 'kedge: kedged has no source "nowhere"; there are: site' ]
	done
	run kedge --socket /nowhere/api.sock wait --timeout 1
	[ "$status" = 2 ]
	[[ $output == "kedge: gave up after 1s: no answer at /nowhere/api.sock ("*"is kedged running?"* ]]
}

@test "wait says at once on a terminal what it waits for, and after a while elsewhere" {
	run timeout 20 script -qec "kedge --socket /nowhere/api.sock wait --timeout 1 >$W/out" /dev/null </dev/null
	[[ $output == "waiting for kedged: no answer at /nowhere/api.sock"* ]]
	[ "$(grep -o "waiting for" <<<"$output" | wc -l)" = 1 ]
	[ ! -s "$W/out" ]
	kedge --socket /nowhere/api.sock wait --timeout 1 2>"$W/err" || true
	[ "$(grep -c "waiting for" "$W/err")" = 0 ]
	kedge --socket /nowhere/api.sock wait --timeout 7 >"$W/out" 2>"$W/err" || true
	[ "$(grep -c "^waiting for kedged: no answer at /nowhere/api.sock" "$W/err")" = 1 ]
	[ ! -s "$W/out" ]
}

@test "exec passes words, input, both outputs and the exit status" {
	[ "$(kedge exec web-9b459b4c5-cst47 -- echo 'a b' '$c')" = 'a b $c' ]
	run kedge exec deploy/web -- sh -c 'echo out; echo err >&2; exit 7'
	[ "$status" = 7 ]
	[ "$(echo in | kedge exec -i svc/web -- tr a-z A-Z)" = IN ]
	[ "$(head -c 3000000 /dev/zero | kedge exec -i web-9b459b4c5-cst47 -- wc -c)" = 3000000 ]
	[ "$(kedge exec web-9b459b4c5-cst47 -- head -c 3000000 /dev/zero | wc -c)" = 3000000 ]
	run kedge exec nobody -- true
	[ "$output" = 'kedge: pods "nobody" not found' ]
}

@test "exec -t gives a terminal of the right size" {
	script -qec "stty rows 33 cols 77; kedge exec -it web-9b459b4c5-cst47 -- sh -c 'tty; sleep 0.3; stty size'" /dev/null \
		< <(sleep 2) >"$W/tty"
	cat -v "$W/tty"
	grep -q '^/dev/' "$W/tty"
	grep -q '33 77' "$W/tty"
}

@test "an import that cannot be meant is refused before anything is sent" {
	mkdir -p "$W/root"
	run kedge image import "$W/root" a:1 --entrypoint /x
	[ "$status" = 1 ]
	[[ $output =~ "JSON list of words" ]]
	run kedge image import "$W/root" a:1 --env A
	[[ $output =~ "NAME=VALUE" ]]
	run kedge image import "$W/root" a:1 --port 99999
	[[ $output =~ "1..65535" ]]
	run kedge image import /nowhere a:1
	[[ $output =~ "/nowhere: No such file or directory" ]]
}

@test "of several containers the first is taken, which is said, or the one that the pod says" {
	run kedge logs -n other twins
	[ "$status" = 1 ]
	[[ $output == 'Defaulted container "one" out of: one, two'*'container "one" in pod "twins" is waiting'* ]]
	run kedge logs -n other twins two
	[[ $output != *Defaulted* ]]
	kedge get pod twins -n other -o json |
		jq '.metadata.annotations["kubectl.kubernetes.io/default-container"] = "two"' >"$W/twins.yaml"
	echo "apply $W/twins.yaml" >"$W/orders"
	wait_for 5 "it says so" sh -c 'kedge get pod twins -n other -o json | grep -q default-container'
	for verb in logs exec attach; do
		more=
		[ $verb != exec ] || more="-- true"
		run timeout 10 kedge $verb -n other twins $more
		[[ $output != *Defaulted* ]]
	done
	run kedge logs -n other twins
	[[ $output == *'container "two" in pod "twins"'* ]]
}

@test "delete pod returns when it is gone" {
	kedge delete pod/web-9b459b4c5-q8w2x --grace-period 0
	run kedge get pod web-9b459b4c5-q8w2x
	[ "$status" = 1 ]
}
