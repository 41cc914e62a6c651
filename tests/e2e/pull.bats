#!/usr/bin/env bats
# Pulling from a registry that breaks off, lies, stalls, asks for tokens and leads astray.
load lib.bash
KILLS=yes
load registry.bash

setup() {
	kedge_dirs
	P=$(free_port)
	R=127.0.0.1:$P
	web_layout "$W/reg" v1 >/dev/null
	odd_start "$P" "$W/reg"
	config "- {host: \"$R\", http: true}"
}
teardown() {
	odd_stop
	kedge_end
}
# config REGISTRY-LINES...: and a short patience
config() {
	{
		echo 'images: {stallSeconds: 2}'
		echo 'registries:'
		printf '%s\n' "$@"
	} >"$W/kedge.yaml"
}
# big LAYOUT BYTES: the image has one layer that does not compress
big() {
	mkdir -p "$W/big"
	head -c "$2" /dev/urandom >"$W/big/file"
	tar -C "$W/big" -cf "$W/big.tar" file
	cp "$B/images/web/web" "$W/big/web" 2>/dev/null || true
	tar -C "$W/big" -cf "$W/big.tar" .
	oci_image "$1" '{"Entrypoint": ["/web"]}' "$(oci_layer "$1" "$W/big.tar" "${3:-none}")"
}
asked() { grep -c "$1" "$W/reg/requests"; }
nothing_left() {
	[ -z "$(ls "$W/state/images/ingest")" ] && [ -z "$(ls "$W/state/images/layers/sha256")" ] &&
		[ -z "$(ls "$W/state/images/names")" ] && [ -z "$(ls "$W/state/images/configs/sha256")" ]
}
# refused WORDS: the pull fails with these words and leaves nothing
refused() {
	run kedge image pull "$R/x:latest"
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"failed to pull and unpack image \"$R/x:latest\": "*"$1"* ]]
	wait_for 5 "nothing is left" nothing_left
}

@test "a layer that breaks off goes on from where it broke" {
	big "$W/reg" 3000000
	kedge_start
	behave "$W/reg" break=1000000
	kedge image pull "$R/x"
	[ "$(asked 'blobs.*range=bytes=1000000-')" = 1 ]
	[ "$(stat -c %s "$W"/state/images/layers/sha256/*/file)" = 3000000 ]
	cmp "$W/big/file" "$W"/state/images/layers/sha256/*/file
}

@test "a server without ranges begins anew, and what is there already is dropped" {
	big "$W/reg" 3000000
	kedge_start
	behave "$W/reg" break=1000000 no-range
	kedge image pull "$R/x"
	cmp "$W/big/file" "$W"/state/images/layers/sha256/*/file
}

@test "429 and 503 are waited for as long as the server says" {
	kedge_start
	behave "$W/reg" once-429=1 retry-after=2
	local began=$SECONDS
	kedge image pull "$R/x"
	[ $((SECONDS - began)) -ge 2 ]
	kedge image rm "$R/x"
	behave "$W/reg" once-503=2
	kedge image pull "$R/x"
}

@test "a registry that lies about bytes, sizes, digests or types is found out, and nothing is left" {
	kedge_start
	behave "$W/reg" corrupt
	refused "sha256:"
	behave "$W/reg" long
	refused "is larger than"
	behave "$W/reg" endless
	refused "is larger than"
	behave "$W/reg" type=application/vnd.oci.image.index.v1+json
	refused "calls itself application/vnd.oci.image.manifest.v1+json"
	behave "$W/reg" type=text/html
	refused "calls itself"
	behave "$W/reg" stall
	refused "next to nothing for 2 seconds"
	behave "$W/reg" once-404=9
	refused "404 Not Found: slow down"
	behave "$W/reg"
	kedge image pull "$R/x"
}

@test "layers of one image come side by side, three at a time" {
	local i lines=()
	mkdir -p "$W/many"
	for i in 1 2 3 4 5 6 7; do
		head -c $((i * 10000)) /dev/urandom >"$W/many/file$i"
		tar -C "$W/many" -cf "$W/many.tar" "file$i"
		lines+=("$(oci_layer "$W/reg" "$W/many.tar" none)")
	done
	oci_image "$W/reg" '{"Entrypoint": ["/web"]}' "${lines[@]}"
	kedge_start
	behave "$W/reg" hold
	kedge image pull "$R/x" >"$W/out" 2>&1 &
	local pull=$!
	wait_for 20 "three are asked for at once" sh -c '[ "$(ls "$W/reg/now" | wc -l)" = 3 ]'
	sleep 1 # whoever asks for more has time to
	[ "$(ls "$W/reg/now" | wc -l)" = 3 ]
	touch "$W/reg/go"
	wait $pull
	cat "$W/reg/together"
	[ "$(wc -l <"$W/reg/together")" = 7 ]
	[ "$(sort -n "$W/reg/together" | tail -n 1)" = 3 ]
	[ "$(asked 'GET .*/blobs/')" = 8 ] # the config, too: each once
	for i in 1 2 3 4 5 6 7; do cmp "$W/many/file$i" "$W"/state/images/layers/sha256/*/"file$i"; done
}

@test "a registry that takes the question for a manifest and never answers is asked once more, then told of" {
	sed -i 's/stallSeconds: 2/stallSeconds: 60, answerSeconds: 2/' "$W/kedge.yaml"
	kedge_start
	behave "$W/reg" mute=99
	refused "/v2/x/manifests/latest: the server took the question and gave no answer for 2 seconds"
	[ "$(asked 'GET .*/manifests/')" = 2 ]
	behave "$W/reg" mute=1
	kedge image pull "$R/x"
	[ "$(grep -c 'GET .*/manifests/latest' "$W/reg/requests")" = 2 ]
	kedge image rm "$R/x"
	behave "$W/reg" dribble=20
	refused "the answer was not whole after 2 seconds (images.answerSeconds in kedge.yaml)"
}

@test "a mirror that never answers is left for the registry, a server of tokens that never answers is told of" {
	local m
	m=$(free_port)
	cp -r "$W/reg" "$W/mirror"
	odd_start "$m" "$W/mirror"
	config "- {host: \"$R\", http: true, mirrors: [\"127.0.0.1:$m\"]}" "- {host: \"127.0.0.1:$m\", http: true}"
	sed -i 's/stallSeconds: 2/stallSeconds: 60, answerSeconds: 2/' "$W/kedge.yaml"
	kedge_start
	behave "$W/mirror" mute=99
	kedge image pull "$R/x"
	[ "$(grep -c '/manifests/' "$W/mirror/requests")" -ge 2 ]
	kedge image rm "$R/x"
	behave "$W/reg" "token=http://$R/token" mute-token=99
	refused "/token?service=here&scope=repository%3Ax%3Apull: the server took the question and gave no answer for 2 seconds"
}

@test "a digest is what it says, or nothing" {
	local d
	d=$(web_layout "$W/reg" v2)
	kedge_start
	kedge image pull "$R/x@$d"
	kedge image ls | grep -q "^$R/x@$d "
	kedge image rm "$R/x@$d"
	behave "$W/reg" lie
	run kedge image pull "$R/x@$d"
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"the registry sent something else, of digest sha256:"* ]]
	wait_for 5 "nothing is left" nothing_left
}

# manifest_as JQ: the image has its manifest as JQ makes it
manifest_as() {
	local m
	m=$(jq -r '.manifests[0].digest' "$W/reg/index.json")
	echo "sha256:$(oci_blob "$W/reg" "$(jq -c "$1" "$W/reg/blobs/sha256/${m#sha256:}")")" >"$W/reg/tag.latest"
}

@test "a digest by sha512 is refused as one, in a name, a manifest and an index" {
	local long wide
	long=sha512:$(printf %0128d 0) wide='digests by sha512 are not known here, only those by sha256'
	kedge_start
	run kedge image pull "$R/x@$long"
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"image name \"$R/x@$long\": $wide; its tag or its sha256 digest name it, too"* ]]
	manifest_as ".config.digest = \"$long\""
	refused "config: \"$long\": $wide"
	manifest_as ".layers[1].digest = \"$long\""
	refused "layer 1: \"$long\": $wide"
	manifest_as "{schemaVersion, mediaType: \"application/vnd.oci.image.index.v1+json\", manifests: [{mediaType, digest: \"$long\", size: 5}]}"
	refused "latest: \"$long\": $wide"
}

@test "a document that is an index to one reader and an image to another is neither" {
	local m both
	m=$(jq -r '.manifests[0].digest' "$W/reg/index.json")
	both=$(jq -c '. + {manifests: []}' "$W/reg/blobs/sha256/${m#sha256:}")
	echo "sha256:$(oci_blob "$W/reg" "$both")" >"$W/reg/tag.latest"
	kedge_start
	refused "does not look like it"
}

# index ARCH: one of which that architecture's is the image of the layout; its digest
index() {
	local m size
	m=$(jq -r '.manifests[0].digest' "$W/reg/index.json")
	size=$(jq -r '.manifests[0].size' "$W/reg/index.json")
	echo "sha256:$(oci_blob "$W/reg" "$(jq -cn --arg m "$m" --argjson s "$size" --arg a "$1" '
		{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [
			{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: ("sha256:" + ("0" * 64)),
			 size: 5, platform: {os: "windows", architecture: $a}},
			{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $m, size: $s,
			 platform: {os: "linux", architecture: $a}}]}')")"
}

@test "of an index this host's platform is taken, or the ones there are named" {
	local arch
	arch=$(dpkg --print-architecture)
	index sparc64 >"$W/reg/tag.latest"
	kedge_start
	refused "no matching manifest for linux/$arch in the manifest list entries; there is one for windows/sparc64, linux/sparc64"
	index "$arch" >"$W/reg/tag.latest"
	kedge image pull "$R/x"
	kedge image ls | grep -q "^$R/x:latest"
}

@test "what was pulled by its index' digest runs by its manifest's, too, and nobody is asked" {
	local whole one
	whole=$(index "$(dpkg --print-architecture)")
	one=$(jq -r '.manifests[0].digest' "$W/reg/index.json")
	repo_make
	kedge_start --source "$W/deploy.git"
	kedge image pull "$R/x@$whole"
	: >"$W/reg/requests"
	printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {containers: [{name: c, image: "%s"}]}\n---\n' \
		whole "$R/x@$whole" one "$R/x@$one" >"$W/clone/both.yaml"
	push both
	wait_for 15 "both run" sh -c '[ "$(kedge get pods | grep -c "1/1 *Running")" = 2 ]'
	[ ! -s "$W/reg/requests" ]
}

@test "layers that are here already are not fetched again" {
	kedge_start
	kedge image pull "$R/x"
	local before
	before=$(asked blobs)
	web_layout "$W/reg" v2 >/dev/null
	: >"$W/reg/requests"
	kedge image pull "$R/x"
	[ "$before" = 3 ]
	[ "$(asked blobs)" = 2 ] # the config, and the layer with the version
}

@test "tokens: credentials of kedge.yaml, and the registry's words when they are wrong" {
	echo 'user:secret' >"$W/cred"
	config "- {host: \"$R\", http: true, credentialsFile: $W/cred}"
	kedge_start
	behave "$W/reg" "token=http://$R/token"
	kedge image pull "$R/x"
	kedge image rm "$R/x"
	echo 'user:wrong' >"$W/cred" # read at each pull
	run kedge image pull "$R/x"
	echo "$output"
	[[ $output == *"401 Unauthorized: wrong user or password"* ]]
	# nobody but the worker has seen it
	! grep -rq 'user:secret\|dXNlcjpzZWNyZXQ\|let-me-in' "$W/kedged.log" || false
	! kedge get events -A -o json | grep -q 'let-me-in\|dXNlcjpzZWNyZXQ' || false
}

@test "tokens: the caller's own docker config" {
	mkdir "$W/docker"
	jq -n --arg r "$R" '{auths: {"https://other.example": {auth: "eDp5"}, ($r): {auth: ("user:secret" | @base64)}}}' >"$W/docker/config.json"
	kedge_start
	behave "$W/reg" "token=http://$R/token"
	run kedge image pull "$R/x"
	[ "$status" -ne 0 ]
	[[ $output == *"401 Unauthorized"* ]]
	DOCKER_CONFIG=$W/docker kedge image pull "$R/x"
}

@test "tokens: imagePullSecrets of the pod" {
	repo_make
	kedge_start --source "$W/deploy.git"
	behave "$W/reg" "token=http://$R/token"
	cat >"$W/clone/pod.yaml" <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: web}
		spec:
		  imagePullSecrets: [{name: reg}]
		  containers: [{name: web, image: "$R/x:1"}]
	Y
	jq -r '.manifests[0].digest' "$W/reg/index.json" >"$W/reg/tag.1"
	push web
	wait_for 10 "it may not" sh -c 'kedge get pods | grep -q ErrImagePull'
	kedge events | grep -q 'FailedToRetrieveImagePullSecret.*Unable to retrieve some image pull secrets (reg)'
	kedge describe pod web | grep -q '401 Unauthorized'
	cat >"$W/clone/secret.yaml" <<-Y
		apiVersion: v1
		kind: Secret
		metadata: {name: reg}
		type: kubernetes.io/dockerconfigjson
		stringData:
		  .dockerconfigjson: '{"auths": {"$R": {"username": "user", "password": "secret"}}}'
	Y
	push secret
	wait_for 20 "it runs" sh -c 'kedge get pods | grep -q Running'
	! grep -q 'let-me-in\|dXNlcjpzZWNyZXQ' "$W/kedged.log" || false
}

@test "a redirect to another host does not carry the credentials" {
	local other
	other=$(free_port)
	cp -r "$W/reg" "$W/other"
	odd_start "$other" "$W/other"
	echo 'user:secret' >"$W/cred"
	config "- {host: \"$R\", http: true, credentialsFile: $W/cred}" "- {host: \"127.0.0.1:$other\", http: true}"
	kedge_start
	behave "$W/reg" "token=http://$R/token" "redirect=http://127.0.0.1:$other/elsewhere"
	kedge image pull "$R/x"
	[ "$(grep -c '^GET /elsewhere/.* authorization= ' "$W/other/requests")" -ge 3 ]
	! grep -q 'authorization=.*[^ ] range' "$W/other/requests" || false
	grep -q 'authorization=Bearer let-me-in' "$W/reg/requests"
}

@test "where a manifest says that a layer may be, too, nobody is asked, nor given credentials (CVE-2020-15157)" {
	local other m doc layer
	other=$(free_port)
	cp -r "$W/reg" "$W/other"
	odd_start "$other" "$W/other"
	echo 'user:secret' >"$W/cred"
	config "- {host: \"$R\", http: true, credentialsFile: $W/cred}" "- {host: \"127.0.0.1:$other\", http: true}"
	m=$(jq -r '.manifests[0].digest' "$W/reg/index.json")
	doc=$W/reg/blobs/sha256/${m#sha256:}
	layer=$(jq -r '.layers[0].digest' "$doc")
	echo "sha256:$(oci_blob "$W/reg" "$(jq -c --arg u "http://127.0.0.1:$other/elsewhere/$layer" '.layers[0].urls = [$u]' "$doc")")" >"$W/reg/tag.latest"
	behave "$W/reg" "token=http://$R/token"
	kedge_start
	mv "$W/reg/blobs/sha256/${layer#sha256:}" "$W/layer"
	refused "blob unknown to registry"
	mv "$W/layer" "$W/reg/blobs/sha256/${layer#sha256:}"
	kedge image pull "$R/x"
	[ ! -s "$W/other/requests" ]
}

@test "addresses of this host are asked only where the operator listed them" {
	local other
	other=$(free_port)
	cp -r "$W/reg" "$W/other"
	odd_start "$other" "$W/other"
	kedge_start
	run kedge image pull "127.0.0.1:$other/x"
	echo "$output"
	[[ $output == *"leads to 127.0.0.1 port $other, which is this host's own: list it under registries"* ]]
	behave "$W/reg" "redirect=http://127.0.0.1:$other/elsewhere"
	refused "which is this host's own"
	[ ! -s "$W/other/requests" ]
	behave "$W/reg" "redirect=http://127.0.0.2:$P/elsewhere" # a listed port elsewhere
	refused "leads to 127.0.0.2 port $P, which is this host's own"
	# the bridge's address, where a server for pods may be
	behave "$W/reg" "redirect=http://10.42.0.1:$other/elsewhere"
	refused "leads to 10.42.0.1 port $other, which is this host's own"
	behave "$W/reg" "token=https://10.43.0.1:$other/token"
	refused "leads to 10.43.0.1 port $other, which is this host's own"
	behave "$W/reg" "token=http://127.0.0.1:$other/token"
	refused "is asked by https only, unless it is listed"
	[ ! -s "$W/other/requests" ]
}

@test "a mirror is asked first, and the registry itself when it fails" {
	local m
	m=$(free_port)
	mkdir "$W/mirror"
	cp -r "$W/reg/." "$W/mirror"
	odd_start "$m" "$W/mirror"
	config "- {host: \"$R\", http: true, mirrors: [\"127.0.0.1:$m/copies\"]}" "- {host: \"127.0.0.1:$m\", http: true}"
	kedge_start
	kedge image pull "$R/x"
	grep -q '^GET /v2/copies/x/manifests/latest' "$W/mirror/requests"
	[ ! -s "$W/reg/requests" ]
	kedge image rm "$R/x"
	behave "$W/mirror" once-404=9
	kedge image pull "$R/x"
	grep -q '^GET /v2/x/blobs' "$W/reg/requests"
}

@test "a registry that vanishes while it sends is told, and nothing is left" {
	big "$W/reg" 3000000
	kedge_start
	behave "$W/reg" slow=500000
	kedge image pull "$R/x" >"$W/out" 2>&1 &
	local pull=$!
	wait_for 10 "it is under way" grep -q blobs "$W/reg/requests"
	odd_stop
	for p in $(pgrep -f "registry.pl $P"); do kill -9 "$p"; done
	! wait $pull || false
	cat "$W/out"
	grep -q "Connection refused\|Could not connect\|Failed to connect" "$W/out"
	wait_for 5 "nothing is left" nothing_left
}

@test "killed while it pulls, kedged leaves nothing, and the next one pulls" {
	big "$W/reg" 2000000
	repo_make
	kedge_start --source "$W/deploy.git"
	behave "$W/reg" slow=600000
	deployment web "$R/x:latest" >"$W/clone/web.yaml"
	sed -i '/readinessProbe/d' "$W/clone/web.yaml"
	push web
	wait_for 10 "it is under way" grep -q blobs "$W/reg/requests"
	wait_for 10 "it writes" sh -c 'ls "$W/state/images/ingest" | tee "$W/begun" | grep -q .'
	kill -9 $(pgrep -P "$KEDGED" -f -- --role=brain)
	# The next brain begins at once, too soon to see an empty store.
	wait_for 10 "what it had begun goes" sh -c '! ls "$W/state/images/ingest" | grep -qxFf "$W/begun"'
	wait_for 10 "the next brain pulls" grep -q blobs "$W/reg/requests"
	kill -9 "$KEDGED"
	wait_for 10 "it is gone" not_running "$KEDGED"
	behave "$W/reg"
	kedge_start --source "$W/deploy.git"
	wait_for 20 "it runs" has_ready app=web 1
	[ "$(ls "$W/state/images/ingest" | wc -l)" = 0 ]
}

@test "in a terminal a pull draws how far each layer is" {
	big "$W/reg" 3000000 >/dev/null
	behave "$W/reg" slow=1500000
	kedge_start
	run timeout 60 script -qec "kedge image pull $R/x:latest" /dev/null
	echo "$output"
	[ "$status" = 0 ]
	grep -qE '^.*[0-9a-f]{12}  \[#+-+\] [0-9.]+(KB|MB) / 3\.[0-9]MB' <<<"$output"
	grep -qE "pulled $R/x:latest \(3\.[0-9]MB in [0-9.]+s\)" <<<"$output"
}

@test "a pull ends when it takes longer than the operator allows, however little it stands still" {
	sed -i 's/stallSeconds: 2/stallSeconds: 5, pullSeconds: 10/' "$W/kedge.yaml"
	big "$W/reg" 4000000 >/dev/null
	behave "$W/reg" slow=100000
	kedge_start
	refused "took longer than 10 s"
}

# x:1 and a large x:2 can be had, and x:1 is deployed.
first_of_two() {
	jq -r '.manifests[0].digest' "$W/reg/index.json" >"$W/reg/tag.1"
	big "$W/reg" 4000000 >/dev/null
	jq -r '.manifests[0].digest' "$W/reg/index.json" >"$W/reg/tag.2"
	repo_make
	deployment web "$R/x:1" >"$W/clone/web.yaml"
	kedge_start --source "$W/deploy.git"
	push_wait one
}

@test "a commit waits for its images while the old pods serve, and status says how far it is" {
	first_of_two
	local old
	old=$(kedge get pods -o json | jq -r '.items[0].metadata.name')
	behave "$W/reg" slow=1500000
	deployment web "$R/x:2" >"$W/clone/web.yaml"
	push two
	wait_for 10 "it says how far" sh -c "kedge status | grep -qE 'pulling +$R/x:2 [1-9][0-9]?%, for commit'"
	# nothing of it is applied
	[ "$(kedge get pods -o json | jq -r '[.items[].metadata.name] | join(" ")')" = "$old" ]
	kedge get deploy web -o json | jq -e --arg i "$R/x:1" '.spec.template.spec.containers[0].image == $i'
	kedge wait --for "$(head_id)" --timeout 30s
	[ "$(kedge get pods -o json | jq -r '[.items[].metadata.name] | join(" ")')" != "$old" ]
	! kedge status | grep -q pulling || false
}

@test "a branch that is put back, or a source that is suspended, waits for no image any more" {
	sed -i 's/stallSeconds: 2/stallSeconds: 60/' "$W/kedge.yaml"
	first_of_two
	behave "$W/reg" hold
	deployment web "$R/x:2" >"$W/clone/web.yaml"
	push two
	wait_for 10 "it pulls" sh -c 'kedge status | grep -q pulling'
	g push -qf origin HEAD~1:main
	wait_for 10 "it says no more that it pulls" sh -c '! kedge status | grep -q pulling'
	g push -q origin HEAD:main
	wait_for 10 "it pulls again" sh -c 'kedge status | grep -q pulling'
	kedge suspend
	! kedge status | grep -q pulling || false
	touch "$W/reg/go"
	kedge resume
	kedge wait --for "$(head_id)" --timeout 30s
}

@test "a commit whose image does not come is applied, and the old pods serve on" {
	jq -r '.manifests[0].digest' "$W/reg/index.json" >"$W/reg/tag.1"
	repo_make
	deployment web "$R/x:1" >"$W/clone/web.yaml"
	kedge_start --source "$W/deploy.git"
	push_wait one
	deployment web "$R/x:none" >"$W/clone/web.yaml"
	push two
	wait_for 10 "the new one waits" sh -c 'kedge get pods | grep -qE "ErrImagePull|ImagePullBackOff"'
	[ "$(pods_ready app=web)" = 1 ]
}

@test "pull policies: Never, Always, IfNotPresent, and what came by hand" {
	jq -r '.manifests[0].digest' "$W/reg/index.json" >"$W/reg/tag.1"
	repo_make
	kedge_start --source "$W/deploy.git"
	pod() { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {containers: [{name: c, image: "%s", imagePullPolicy: %s}]}\n' "$@"; }
	pod never "$R/x:1" Never >"$W/clone/never.yaml"
	pod bad "UPPER/case" IfNotPresent >"$W/clone/bad.yaml"
	push one
	wait_for 10 "never" sh -c 'kedge get pods | grep -q "never .*ErrImageNeverPull"'
	wait_for 10 "bad" sh -c 'kedge get pods | grep -q "bad .*InvalidImageName"'
	kedge describe pod never | grep -q "Container image \"$R/x:1\" is not present with pull policy of Never"
	[ ! -s "$W/reg/requests" ]
	pod always "$R/x:1" Always >"$W/clone/always.yaml"
	push two
	wait_for 15 "always" sh -c 'kedge get pods | grep -q "always .*Running"'
	wait_for 15 "and never, since it is here" sh -c 'kedge get pods | grep -q "never .*Running"'
	: >"$W/reg/requests"
	pod present "$R/x:1" IfNotPresent >"$W/clone/present.yaml"
	image "$R/mine:latest"
	pod mine "$R/mine:latest" Always >"$W/clone/mine.yaml"
	push three
	wait_for 15 "both" sh -c '[ "$(kedge get pods | grep -cE "(present|mine) .*Running")" = 2 ]'
	[ ! -s "$W/reg/requests" ]
}
