#!/usr/bin/env bats
# Images from registries: the real docker-registry on this test host's loopback.
load lib.bash
load registry.bash

setup() {
	registry_have || skip "docker-registry and skopeo are not installed"
	kedge_dirs
	R=127.0.0.1:$(free_port)
	registry_start "${R#*:}"
	printf 'registries:\n- {host: "%s", http: true}\n' "$R" >"$W/kedge.yaml"
}
teardown() {
	registry_stop "${R#*:}"
	kedge_end
}

@test "an image is pulled, and says what it is" {
	web_layout "$W/web" v1
	push_image "$W/web" "$R/team/web:1"
	kedge_start
	run kedge image pull "$R/team/web:1"
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == "pulled $R/team/web:1 ("* ]]
	kedge image ls | grep -q "^$R/team/web:1 .* 2 "
	# nothing is left of the way
	[ -z "$(ls "$W/state/images/ingest")" ]
}

@test "a pushed commit's image comes from the registry, and the pod runs" {
	web_layout "$W/web" v1
	push_image "$W/web" "$R/team/web:1"
	repo_make
	deployment web "$R/team/web:1" 2 >"$W/clone/web.yaml"
	kedge_start --source "$W/deploy.git"
	push_wait "web"
	[ "$(pods_ready app=web)" = 2 ]
	kedge get events | grep -q "Pulled"
	local pod
	pod=$(kedge get pods -o json | jq -r '.items[0].metadata.name')
	kedge get pod "$pod" -o json | jq -e '.status.containerStatuses[0].imageID | contains("sha256:")'
}

@test "a tag that is not there is ErrImagePull in the registry's words, then backs off, then comes" {
	web_layout "$W/web" v1
	push_image "$W/web" "$R/team/web:1"
	repo_make
	deployment web "$R/team/web:2" >"$W/clone/web.yaml"
	kedge_start --source "$W/deploy.git"
	push "web"
	wait_for 10 "it fails" sh -c 'kedge get pods | grep -q ErrImagePull'
	wait_for 10 "it backs off" sh -c 'kedge get pods | grep -q ImagePullBackOff'
	kedge get pods -o json >"$W/pods.json"
	jq -r '.items[0].status.containerStatuses[0].state.waiting.message' "$W/pods.json" | tee /dev/stderr |
		grep -q "^Back-off pulling image \"$R/team/web:2\": ErrImagePull: .*manifest unknown"
	kedge events | tee /dev/stderr >"$W/events"
	grep -q "Pulling .*Pulling image \"$R/team/web:2\"" "$W/events"
	grep -q "Failed .*Failed to pull image \"$R/team/web:2\": .*404 Not Found: manifest unknown" "$W/events"
	grep -q 'Failed .*Error: ErrImagePull' "$W/events"
	grep -q "BackOff .*Back-off pulling image \"$R/team/web:2\"" "$W/events"
	grep -q 'Failed .*Error: ImagePullBackOff' "$W/events"
	push_image "$W/web" "$R/team/web:2"
	wait_for 15 "the next try succeeds" has_ready app=web 1
}

@test "TLS: only with the certificates the operator named" {
	local port
	port=$(free_port)
	mkdir "$W/tls"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
		-keyout "$W/tls/key.pem" -out "$W/tls/cert.pem" 2>/dev/null
	registry_start "$port" "  tls: {certificate: $W/tls/cert.pem, key: $W/tls/key.pem}"
	web_layout "$W/web" v1
	skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$W/web:latest" "docker://127.0.0.1:$port/web:1"
	printf 'registries:\n- {host: "127.0.0.1:%s"}\n' "$port" >"$W/kedge.yaml"
	kedge_start
	run kedge image pull "127.0.0.1:$port/web:1"
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"certificate"* ]]
	kedge_stop
	printf 'registries:\n- {host: "127.0.0.1:%s", caFile: %s}\n' "$port" "$W/tls/cert.pem" >"$W/kedge.yaml"
	kedge_start
	kedge image pull "127.0.0.1:$port/web:1"
	# plain http is for those that are listed with it
	kedge_stop
	printf 'registries:\n- {host: "%s"}\n' "$R" >"$W/kedge.yaml"
	kedge_start
	run kedge image pull "$R/web:1"
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"https://$R/v2/web/manifests/1: "* ]]
	registry_stop "$port"
}

@test "htpasswd: with the right name and password, and not without" {
	local port
	port=$(free_port)
	printf 'user:%s\n' "$(perl -e 'print crypt("secret", q{$2y$05$abcdefghijklmnopqrstuu})')" >"$W/htpasswd"
	registry_start "$port" "auth: {htpasswd: {realm: kedge, path: $W/htpasswd}}"
	web_layout "$W/web" v1
	push_image "$W/web" "127.0.0.1:$port/web:1" --dest-creds user:secret
	echo 'user:secret' >"$W/cred"
	printf 'registries:\n- {host: "127.0.0.1:%s", http: true, credentialsFile: %s}\n' "$port" "$W/cred" >"$W/kedge.yaml"
	kedge_start
	kedge image pull "127.0.0.1:$port/web:1"
	kedge image rm "127.0.0.1:$port/web:1"
	echo 'user:wrong' >"$W/cred"
	run kedge image pull "127.0.0.1:$port/web:1"
	echo "$output"
	[[ $output == *"401 Unauthorized: authentication required"* ]]
	echo 'nonsense' >"$W/cred"
	! kedge image pull "127.0.0.1:$port/web:1" || false
	registry_stop "$port"
}

@test "tokens: what a token server signs opens docker-registry, each repository by itself, some to anybody" {
	local port tokens r
	port=$(free_port)
	r=127.0.0.1:$port
	tokens=$(free_port)
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=kedge-test -keyout "$W/key.pem" -out "$W/cert.pem" 2>/dev/null
	perl "$BATS_TEST_DIRNAME/tokens.pl" "$tokens" "$W/key.pem" "$W/cert.pem" "$W/asked" 3>&- &
	echo $! >"$W/tokens.pid"
	wait_for 10 "it listens" bash -c "exec 4<>/dev/tcp/127.0.0.1/$tokens"
	registry_start "$port" "auth: {token: {realm: 'http://127.0.0.1:$tokens/token', service: kedge, issuer: kedge-test, rootcertbundle: $W/cert.pem}}"
	web_layout "$W/web" v1
	push_image "$W/web" "$r/closed/web:1" --dest-creds user:secret
	push_image "$W/web" "$r/open/web:1" --dest-creds user:secret
	mkdir "$W/home" "$W/home/.docker"
	printf 'registries:\n- {host: "%s", http: true}\n- {host: "127.0.0.1:%s", http: true}\n' "$r" "$tokens" >"$W/kedge.yaml"
	kedge_start
	: >"$W/asked"
	run kedge image pull "$r/closed/web:1"
	[ "$status" != 0 ]
	[[ $output == *"wrong user or password"* ]]
	kedge image pull "$r/open/web:1"
	grep -qx 'repository:open/web:pull ' "$W/asked"
	# the caller's own, from the file below HOME
	printf '{"auths": {"%s": {"auth": "%s"}}}' "$r" "$(printf user:secret | base64)" >"$W/home/.docker/config.json"
	HOME=$W/home kedge image pull "$r/closed/web:1"
	grep -qx 'repository:closed/web:pull user' "$W/asked"
	! grep -q 'user:secret\|eyJ' "$W/kedged.log" || false
	kill "$(cat "$W/tokens.pid")"
	registry_stop "$port"
}

@test "media types: docker's and OCI's, gzip, zstd and uncompressed layers" {
	web_layout "$W/web" v1
	push_image "$W/web" "$R/oci:1"
	push_image "$W/web" "$R/docker:1" --format v2s2
	push_image "$W/web" "$R/zstd:1" --dest-compress-format zstd
	rm -rf "$W/plain"
	web_layout "$W/plain" v2 >/dev/null
	rm -rf "$W/plain"
	oci_image "$W/plain" '{"Entrypoint": ["/web"]}' "$(oci_layer "$W/plain" "$W/web.tar" none)" >/dev/null
	push_image "$W/plain" "$R/plain:1" --preserve-digests
	kedge_start
	local i
	for i in oci docker zstd plain; do
		kedge image pull "$R/$i:1"
		kedge image rm "$R/$i:1"
	done
}

@test "what umoci writes is pulled" {
	kedge_start
	umoci init --layout "$W/u"
	umoci new --image "$W/u:latest"
	umoci unpack --image "$W/u:latest" "$W/bundle"
	mkdir -p "$W/bundle/rootfs/data/dir"
	echo one >"$W/bundle/rootfs/data/dir/file"
	echo two >"$W/bundle/rootfs/data/gone"
	ln "$W/bundle/rootfs/data/dir/file" "$W/bundle/rootfs/data/hard"
	umoci repack --image "$W/u:latest" "$W/bundle"
	umoci unpack --image "$W/u:latest" "$W/bundle2"
	rm "$W/bundle2/rootfs/data/gone"
	umoci repack --image "$W/u:latest" "$W/bundle2"
	push_image "$W/u" "$R/umoci:1"
	kedge image pull "$R/umoci:1"
	[ "$(find "$W/state/images/layers" -name hard -links 2 | wc -l)" = 1 ]
	[ "$(find "$W/state/images/layers" -name gone -type c | wc -l)" = 1 ]
}

b() { buildah --root "$W/b" --runroot "$W/br" --storage-driver vfs "$@"; }
# baked: an image of buildah's, made:1: the web server in one layer, files that come and go in two
baked() {
	local c
	make -s -C "$ROOT/repo-example/images" O="$B/images"
	mkdir -p "$W/files/dir"
	echo lower >"$W/files/kept"
	echo lower >"$W/files/dir/gone"
	ln "$W/files/kept" "$W/files/hard"
	chmod 4755 "$W/files/kept"
	c=$(b from scratch)
	b copy -q "$c" "$B/images/web" / >/dev/null
	b copy -q "$c" "$W/files" /data >/dev/null
	b config --entrypoint '["/web"]' --env VERSION=baked --port 8080 --user 1000:1000 --workingdir /data "$c"
	b commit -q "$c" base:1 >/dev/null
	c=$(b from --pull-never base:1)
	rm "$(b mount "$c")/data/dir/gone"
	b umount "$c" >/dev/null
	b config --label over=yes "$c"
	b commit -q "$c" made:1 >/dev/null
}

@test "what buildah writes is pulled, loaded from its archives, and runs" {
	repo_make
	kedge_start --source "$W/deploy.git"
	baked
	b push -q --tls-verify=false made:1 "docker://$R/made:oci"
	b push -q --tls-verify=false --format v2s2 made:1 "docker://$R/made:docker"
	b push -q made:1 "docker-archive:$W/made.tar:made:docker"
	b push -q made:1 "oci-archive:$W/made.oci:made:oci"
	kedge image pull "$R/made:oci"
	kedge image pull "$R/made:docker"
	kedge image load "$W/made.tar" made:docker
	kedge image load "$W/made.oci" made:oci
	# whichever way it came, its layers are the same
	[ "$(kedge image ls -o json | jq '[.images[].layers] | unique | length')" = 1 ]
	[ "$(for i in "$R/made:oci" "$R/made:docker" made:docker made:oci; do
		kedge image inspect "$i" | jq -c '[.rootfs.diff_ids, .config.Env, .config.User, .config.WorkingDir, .config.Entrypoint]'
	done | sort -u | wc -l)" = 1 ]
	kedge image verify
	deployment web made:oci >"$W/clone/web.yaml"
	push_wait web
	local pod top p
	pod=$(kedge get pods -o json | jq -r '.items[0].metadata.name')
	curl -s "http://$(kedge get pod "$pod" -o json | jq -r .status.podIP):8080/" | grep -q baked
	for p in $(pgrep -f '^/web'); do # ours among those of other tests
		if grep -q "$(basename "$W")" "/proc/$p/cgroup"; then top=/proc/$p/root; fi
	done
	[ "$(cat "$top/data/hard")" = lower ]
	[ "$(stat -c %a "$top/data/kept")" = 4755 ]
	[ ! -e "$top/data/dir/gone" ]
}

@test "what was saved is read back by buildah and umoci" {
	kedge_start
	baked
	b push -q --tls-verify=false made:1 "docker://$R/made:1"
	kedge image pull "$R/made:1"
	kedge image save "$R/made:1" "$W/saved.tar"
	local c m
	c=$(b from "docker-archive:$W/saved.tar")
	m=$(b mount "$c")
	[ "$(cat "$m/data/hard")" = lower ]
	[ "$(stat -c '%a %h' "$m/data/kept")" = '4755 2' ]
	[ ! -e "$m/data/dir/gone" ]
	cmp "$m/web" "$B/images/web/web"
	b inspect "$c" | jq -e '.OCIv1.config | .Entrypoint == ["/web"] and .User == "1000:1000" and .WorkingDir == "/data" and .Labels.over == "yes"'
	b umount "$c"
	skopeo copy -q --insecure-policy "docker-archive:$W/saved.tar" "oci:$W/back:latest"
	umoci unpack --image "$W/back:latest" "$W/unpacked"
	[ "$(cat "$W/unpacked/rootfs/data/hard")" = lower ]
	[ ! -e "$W/unpacked/rootfs/data/dir/gone" ]
	jq -e '.process.args == ["/web"] and .process.cwd == "/data" and .process.user.uid == 1000' "$W/unpacked/config.json"
}

@test "images that nobody needs are pruned; those of pods, revisions and by hand stay" {
	repo_make
	local v
	for v in 1 2 3; do
		web_layout "$W/web" v$v >/dev/null
		push_image "$W/web" "$R/web:$v"
	done
	sed -i '1i images: {keepRevisions: 2}' "$W/kedge.yaml"
	kedge_start --source "$W/deploy.git"
	image local:1
	for v in 1 2 3; do
		deployment web "$R/web:$v" | sed 's/replicas: 1/replicas: 1\n  revisionHistoryLimit: 0/' >"$W/clone/web.yaml"
		push_wait $v
	done
	run kedge image prune
	echo "$output"
	[ "${lines[0]}" = "image \"$R/web:1\" removed" ]
	[[ ${lines[1]} =~ ^'removed 1 image, '[0-9.]+[KM]?B$ ]]
	[[ $(kedge image prune) =~ ^'removed 0 images, 0B'$ ]]
	wait_for 5 "it is gone" sh -c "! kedge image ls | grep -q 'web:1 '"
	kedge image ls | grep -q "^$R/web:2 "
	kedge image ls | grep -q "^$R/web:3 "
	kedge image ls | grep -q '^local:1 '
	# a rollback finds what it needs
	registry_stop "${R#*:}"
	kedge rollback
	wait_for 10 "the former version runs" sh -c "kedge get pods -o json | jq -e '[.items[] | select(.spec.containers[0].image == \"$R/web:2\" and .status.phase == \"Running\")] | length == 1'"
	kedge image prune --all
	wait_for 5 "what came by hand goes when asked" sh -c "! kedge image ls | grep -q local"
}

# data_layout LAYOUT TEXT: an image that is one file, /word
data_layout() {
	rm -rf "$1" "$W/word"
	mkdir "$W/word"
	echo "$2" >"$W/word/word"
	tar -C "$W/word" --owner=0 --group=0 -cf "$W/word.tar" word
	oci_image "$1" '{}' "$(oci_layer "$1" "$W/word.tar")" >/dev/null
}
# reader IMAGE: a Deployment that mounts it
reader() {
	deployment web web:1 | sed 's/^  replicas: 1/  replicas: 1\n  revisionHistoryLimit: 0/'
	cat <<-Y
		        volumeMounts: [{name: data, mountPath: /data}]
		      volumes: [{name: data, image: {reference: "$1", pullPolicy: IfNotPresent}}]
	Y
}

@test "an image volume's image comes ahead of the rollout, and stays for a rollback" {
	repo_make
	kedge_start --source "$W/deploy.git"
	image web:1
	local v
	for v in 1 2; do
		data_layout "$W/data" "word $v"
		push_image "$W/data" "$R/data:$v"
		reader "$R/data:$v" >"$W/clone/web.yaml"
		push_wait "$v"
		grep -q "+ fetch image $R/data:$v  # default/web" "$W/kedged.log"
	done
	run kedge image prune
	echo "$output"
	[[ $output != *"/data:"* ]]
	run kedge image rm "$R/data:1"
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"unable to remove image \"$R/data:1\" (must force: --force): used by revision deploy-1"* ]]
	kedge get revisions -o json | jq -e --arg i "$R/data:1" '[.items[].status.images[]?] | index($i)'
	reader "$R/data:3" >"$W/clone/web.yaml"
	push "3"
	wait_for 20 "the registry's word is told" sh -c 'kedge get pods | grep -q "ErrImagePull\|ImagePullBackOff"'
	[ "$(pods_ready app=web)" = 1 ]
	kedge events | grep -q "Failed to pull image \"$R/data:3\": .*manifest unknown"
	registry_stop "${R#*:}"
	kedge rollback 1
	wait_for 10 "the first is back" sh -c "kedge get pods -o json | jq -e '[.items[] | select(.spec.volumes[0].image.reference == \"$R/data:1\" and .status.phase == \"Running\")] | length == 1'"
}

@test "kedge debug pulls the image that it lacks" {
	repo_make
	kedge_start --source "$W/deploy.git"
	image web:1
	deployment web web:1 >"$W/clone/web.yaml"
	push_wait web
	local pod
	pod=$(kedge get pods -o json | jq -r '.items[0].metadata.name')
	web_layout "$W/tools" v7 >/dev/null
	push_image "$W/tools" "$R/tools:1"
	kedge debug "$pod" --image "$R/tools:1" -c look -- /web
	kedge image ls | grep -q "^$R/tools:1 "
	kedge events | grep -q "Successfully pulled image \"$R/tools:1\""
	run kedge debug "$pod" --image "$R/tools:2" -c none -- /web
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"container none: ErrImagePull: "*"manifest unknown"* ]]
	[ "$(pods_ready app=web)" = 1 ]
}

@test "an image that nobody needed for long goes even from an empty disk, where the operator says so" {
	web_layout "$W/web" v1 >/dev/null
	push_image "$W/web" "$R/web:1"
	sed -i '1i images: {gcSeconds: 1, gcMaxAgeSeconds: 3, gcMinAgeSeconds: 0}' "$W/kedge.yaml"
	kedge_start
	image local:1
	kedge image pull "$R/web:1"
	kedge image ls | grep -q 'web:1 '
	wait_for 20 "it goes" sh -c "! kedge image ls | grep -q web:1"
	grep "remove $R/web:1 " "$W/kedged.log"
	kedge image ls | grep -q '^local:1 ' # what came by hand stays
}

@test "a disk that fills up loses the images that nobody needs" {
	web_layout "$W/web" v1 >/dev/null
	push_image "$W/web" "$R/web:1"
	sed -i '1i images: {gcSeconds: 1, gcHighPercent: 1, gcLowPercent: 1, gcMinAgeSeconds: 0}' "$W/kedge.yaml"
	kedge_start
	image local:1
	kedge image pull "$R/web:1"
	wait_for 10 "it goes" sh -c "! kedge image ls | grep -q web:1"
	kedge image ls | grep -q '^local:1 '
	grep -q "remove $R/web:1  # nobody needs it, and the disk is [0-9]*% full" "$W/kedged.log"
	wait_for 5 "the node says so" sh -c "kedge events | grep -q 'FreeDiskSpaceFailed.*Failed to garbage collect required amount of images'"
}

@test "an image that was saved is read back by skopeo, podman and kedge itself" {
	mkdir -p "$W/l1/data/opq" "$W/l2/data/opq"
	echo lower >"$W/l1/data/gone"
	echo lower >"$W/l1/data/opq/lower"
	echo kept >"$W/l1/data/kept"
	ln "$W/l1/data/kept" "$W/l1/data/hard"
	ln -s kept "$W/l1/data/link"
	chmod 4755 "$W/l1/data/kept"
	: >"$W/l2/data/.wh.gone"
	: >"$W/l2/data/opq/.wh..wh..opq"
	echo upper >"$W/l2/data/opq/upper"
	tar -C "$W/l1" --owner=7 --group=8 -cf "$W/l1.tar" .
	tar -C "$W/l2" --owner=7 --group=8 -cf "$W/l2.tar" .
	oci_image "$W/img" '{"Cmd": ["/x"], "Env": ["A=b"]}' "$(oci_layer "$W/img" "$W/l1.tar")" "$(oci_layer "$W/img" "$W/l2.tar" zstd)" >/dev/null
	push_image "$W/img" "$R/layers:1"
	kedge_start
	kedge image pull "$R/layers:1"
	kedge image inspect "$R/layers:1" | jq -e '.config.Env == ["A=b"] and (.rootfs.diff_ids | length) == 2'
	kedge image save "$R/layers:1" "$W/saved.tar"
	skopeo inspect "docker-archive:$W/saved.tar" | jq -e '.Env == ["A=b"] and (.Layers | length) == 2'
	skopeo copy -q --insecure-policy "docker-archive:$W/saved.tar" "oci:$W/back:latest"
	local m
	m=$(jq -r '.manifests[0].digest' "$W/back/index.json")
	local top low
	low=$(jq -r '.layers[0].digest' "$W/back/blobs/sha256/${m#sha256:}")
	top=$(jq -r '.layers[1].digest' "$W/back/blobs/sha256/${m#sha256:}")
	tar -tvf "$W/back/blobs/sha256/${top#sha256:}" >"$W/top"
	tar -tvf "$W/back/blobs/sha256/${low#sha256:}" >"$W/low"
	cat "$W/top" "$W/low"
	grep -q ' data/.wh.gone$' "$W/top"
	grep -q ' data/opq/.wh..wh..opq$' "$W/top"
	grep -q '^-rwsr-xr-x 7/8 .* data/\(kept\|hard\)$' "$W/low"
	grep -q '^h.* link to data/hard$' "$W/low"
	grep -q '^l.* data/link -> kept$' "$W/low"
	if command -v podman >/dev/null; then
		podman --root "$W/p" --runroot "$W/pr" --storage-driver vfs load -q -i "$W/saved.tar" | grep -q layers:1
	fi
	kedge image save "$R/layers:1" - | cmp - "$W/saved.tar"
	kedge image load "$W/saved.tar" again:1
	kedge image ls | grep -q '^again:1 '
	run kedge image save nothing:1 "$W/none.tar"
	[ "$status" -ne 0 ]
	[[ $output == *"image nothing:1 is not here"* ]]
	[ ! -e "$W/none.tar" ]
}

@test "what is damaged on disk is found, and fetched again" {
	web_layout "$W/web" v1 >/dev/null
	push_image "$W/web" "$R/web:1"
	kedge_start
	kedge image pull "$R/web:1"
	image local:1
	kedge image verify | tee "$W/out"
	[ "$(grep -c '^ok ' "$W/out")" = 2 ]
	local f
	f=$(echo "$W"/state/images/layers/sha256/*/etc/version)
	local t
	t=$(stat -c %y "$f")
	echo vX >"$f"
	touch -d "$t" "$f"
	run kedge image verify
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"damaged  $R/web:1: layer sha256:"*"its files are not those that were unpacked"* ]]
	kedge image verify --repair
	[ "$(cat "$W"/state/images/layers/sha256/*/etc/version)" = v1 ]
	kedge image verify
	rm "$W"/state/images/layers/sha256/*/web
	run kedge image verify --repair
	echo "$output"
	[ "$status" -ne 0 ]
	[[ $output == *"damaged  "*"local:1: "*"it came by hand: load or import it again"* ]]
}
