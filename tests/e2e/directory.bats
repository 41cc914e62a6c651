#!/usr/bin/env bats
# A watched directory: whatever hand or editor changes it, what applies is consistent.
load kit.bash

setup_file() {
	load kit.bash
	kedge_dirs
	mkdir "$W/dir"
	kedge_start --source "here=$W/dir"
	echo "$KEDGED" >"$W/pid"
	box box:1
}
setup() { KEDGED=$(cat "$W/pid"); }
teardown_file() {
	load kit.bash
	KEDGED=$(cat "$W/pid")
	kedge_end
}

cm() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {v: "%s"}\n' "$1" "$2"; }
v_is() { [ "$(kedge get cm "$1" -o json | jq -r .data.v)" = "$2" ]; }
gone() { run kedge get cm "$1"; [ "$status" != 0 ]; }
revisions() { kedge get revisions -o json | jq '[.items[]] | length'; }
newest() { kedge get revisions -o json | jq -r '.items | max_by(.spec.number)'"$1"; }

@test "a file that is put there is applied, and edited, and taken away" {
	cm a one >"$W/dir/a.yaml"
	cm keep x >"$W/dir/keep.yaml"
	wait_for 5 "it is there" v_is a one
	cm a two >"$W/dir/a.yaml"
	wait_for 5 "it changes" v_is a two
	run grep -c drifted "$W/kedged.log"
	[ "$output" = 0 ]
	rm "$W/dir/a.yaml"
	wait_for 5 "it goes" gone a
	kedge get cm keep
}

@test "editors' dances: written beside and renamed, backed up, swapped" {
	cm e 1 >"$W/dir/e.yaml"
	wait_for 5 "it is there" v_is e 1
	cm e 2 >"$W/dir/.e.yaml.swp" # vim
	mv "$W/dir/e.yaml" "$W/dir/e.yaml~"
	mv "$W/dir/.e.yaml.swp" "$W/dir/e.yaml"
	wait_for 5 "renamed over" v_is e 2
	cm e 3 >"$W/dir/e.yaml.tmp" # sed -i
	mv "$W/dir/e.yaml.tmp" "$W/dir/e.yaml"
	wait_for 5 "renamed" v_is e 3
	rm "$W/dir/e.yaml~"
	[ "$(kedge get cm -o json | jq '[.items[] | select(.metadata.name == "e")] | length')" = 1 ]
}

@test "a half-written file is not applied, what it becomes is" {
	n=$(revisions)
	uid=$(kedge get cm e -o json | jq -r .metadata.uid)
	(
		for part in 'apiVersion: v1
kind: ConfigMap
metadata: {name: e}
data:
' '  w: "1"
' '  x: "2"
' '  v: "4"
'; do
			printf '%s' "$part"
			sleep 0.05
		done
	) >"$W/dir/e.yaml"
	wait_for 5 "the whole is there" v_is e 4
	[ "$uid" = "$(kedge get cm e -o json | jq -r .metadata.uid)" ]
	[ "$(kedge get cm e -o json | jq -r .data.w)" = 1 ]
	[ "$(revisions)" -le $((n + 2)) ]
}

@test "folders below count, hidden ones and what .kedgeignore names do not" {
	mkdir -p "$W/dir/apps/deep" "$W/dir/.hidden"
	cm deep 1 >"$W/dir/apps/deep/d.yaml"
	cm hidden 1 >"$W/dir/.hidden/h.yaml"
	wait_for 5 "it is there" v_is deep 1
	gone hidden
	echo 'drafts/' >"$W/dir/.kedgeignore"
	mkdir "$W/dir/drafts"
	cm draft 1 >"$W/dir/drafts/x.yaml"
	cm deep 2 >"$W/dir/apps/deep/d.yaml"
	wait_for 5 "it changes" v_is deep 2
	gone draft
	mv "$W/dir/apps" "$W/dir/moved"
	cm moved 1 >"$W/dir/moved/m.yaml"
	wait_for 5 "a moved folder is watched too" v_is moved 1
	v_is deep 2
	rm -r "$W/dir/moved" "$W/dir/drafts"
	wait_for 5 "they go" gone deep
	wait_for 5 "they go" gone moved
}

@test "a bad file changes nothing, says its place, and is forgiven" {
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndatta: {}\n' >"$W/dir/bad.yaml"
	cm e 9 >"$W/dir/e.yaml"
	wait_for 5 "it is said" sh -c 'kedge status | grep -qE "bad.yaml:4:1: .*datta"'
	kedge status | grep -q 'did you mean "data"'
	v_is e 4
	gone bad
	rm "$W/dir/bad.yaml"
	wait_for 5 "the rest applies" v_is e 9
}

@test "a directory that is a link: all of it changes at one swap" {
	mkdir "$W/r1" "$W/r2"
	cm l1 1 >"$W/r1/x.yaml"
	cm l2 1 >"$W/r1/y.yaml"
	cm l1 2 >"$W/r2/x.yaml"
	cm l3 1 >"$W/r2/y.yaml"
	ln -s r1 "$W/link"
	kedge_stop
	kedge_start --source "here=$W/dir" --source "swap=$W/link"
	echo "$KEDGED" >"$W/pid"
	wait_for 5 "the first" v_is l1 1
	ln -s r2 "$W/link.new"
	mv -T "$W/link.new" "$W/link"
	wait_for 10 "the second" v_is l1 2
	v_is l3 1
	wait_for 3 "what was left out is gone" gone l2
}

@test "a link in the directory is an error that names it" {
	ln -s /etc/passwd "$W/dir/link.yaml"
	wait_for 5 "it is said" sh -c 'kedge status | grep -q "link.yaml.*symbolic link"'
	rm "$W/dir/link.yaml"
	wait_for 5 "and forgiven" sh -c '! kedge status here | grep -q "symbolic link"'
}

@test "an emptied directory deletes nothing" {
	for i in 1 2 3 4 5 6 7; do cm "m$i" 1 >"$W/dir/m$i.yaml"; done
	wait_for 5 "they are there" v_is m7 1
	mkdir "$W/away"
	mv "$W"/dir/*.yaml "$W/away/"
	wait_for 5 "it is said" sh -c 'kedge status here | grep -q -- --allow-prune'
	run kedge status here
	[[ $output =~ "kedge sync here --allow-prune" ]]
	[[ ! $output =~ "commit message" ]] # nobody writes one
	v_is m1 1
	v_is e 9
	mv "$W"/away/*.yaml "$W/dir/"
	wait_for 5 "all is well" sh -c '! kedge status here | grep -q -- --allow-prune'
}

@test "rollback pins an older snapshot until resumed" {
	cm e 10 >"$W/dir/e.yaml"
	wait_for 5 "ten" v_is e 10
	n=$(kedge get revisions -o json | jq '[.items[] | select(.spec.source == "here")] | max_by(.spec.number).spec.number')
	cm e 11 >"$W/dir/e.yaml"
	wait_for 5 "eleven" v_is e 11
	kedge rollback --source here "$n"
	wait_for 5 "back to ten" v_is e 10
	kedge status here | grep -qi pin
	cm e 12 >"$W/dir/e.yaml"
	sleep 1
	v_is e 10
	kedge resume here
	wait_for 5 "twelve" v_is e 12
	[ "$(cat "$W/dir/e.yaml")" = "$(cm e 12)" ]
}

@test "history and diff know the snapshots" {
	run kedge history here
	[ "$status" = 0 ]
	[ "${#lines[@]}" -gt 8 ]
	run kedge diff
	[ "$status" = 0 ]
}

@test "a directory that vanishes leaves what runs, and is found again" {
	mv "$W/dir" "$W/gone"
	wait_for 5 "it is said" sh -c "kedge status here | grep -qE 'No such file|not there|does not exist'"
	v_is e 12
	mv "$W/gone" "$W/dir"
	cm e 13 >"$W/dir/e.yaml"
	wait_for 40 "it is read again" v_is e 13
}
