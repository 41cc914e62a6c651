# registry.bash -- registries for tests: Debian's docker-registry on the test host's loopback.

registry_have() { command -v docker-registry >/dev/null && command -v skopeo >/dev/null; }

# free_port: one that nobody listens at
free_port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }

# registry_start PORT [YAML]: data below $W/reg-PORT; one more line of its configuration, of http
# when it is indented
registry_start() {
	local port=$1 more=${2:-}
	mkdir -p "$W/reg-$port"
	cat >"$W/reg-$port.yml" <<-Y
		version: 0.1
		log: {level: warn, accesslog: {disabled: false}}
		storage: {filesystem: {rootdirectory: $W/reg-$port}, delete: {enabled: true}}
		http:
		  addr: 127.0.0.1:$port
		$more
	Y
	docker-registry serve "$W/reg-$port.yml" >"$W/reg-$port.log" 2>&1 3>&- &
	echo $! >"$W/reg-$port.pid"
	wait_for 10 "the registry listens" bash -c "exec 4<>/dev/tcp/127.0.0.1/$port"
}
registry_stop() { kill "$(cat "$W/reg-$1.pid")" 2>/dev/null; }

# oci_layer LAYOUT FILE.tar [gzip|zstd|none]: adds the blob, prints "digest diffid size type"
oci_layer() {
	local dir=$1 tar=$2 how=${3:-gzip} out=$W/blob.$$ type
	mkdir -p "$dir/blobs/sha256"
	case $how in
	gzip) gzip -nc "$tar" >"$out"; type=application/vnd.oci.image.layer.v1.tar+gzip ;;
	zstd) zstd -qc "$tar" >"$out"; type=application/vnd.oci.image.layer.v1.tar+zstd ;;
	none) cp "$tar" "$out"; type=application/vnd.oci.image.layer.v1.tar ;;
	esac
	local d size
	d=$(sha256sum <"$out" | cut -d' ' -f1)
	size=$(stat -c %s "$out")
	mv "$out" "$dir/blobs/sha256/$d"
	echo "$d $(sha256sum <"$tar" | cut -d' ' -f1) $size $type"
}

# oci_image LAYOUT CONFIG-JSON LAYER-LINES...: config and manifest of the layers that oci_layer
# printed; prints the manifest's digest and makes it the layout's image, tag "latest"
oci_image() {
	local dir=$1 config=$2 arch c m
	shift 2
	arch=$(dpkg --print-architecture)
	c=$(printf '%s\n' "$@" | jq -cRn --argjson config "$config" --arg arch "$arch" '
		[inputs | split(" ")] | {architecture: $arch, os: "linux", config: $config,
			rootfs: {type: "layers", diff_ids: map("sha256:" + .[1])}}')
	c=$(oci_blob "$dir" "$c")
	m=$(printf '%s\n' "$@" | jq -cRn --arg c "$c" --argjson size "$(stat -c %s "$dir/blobs/sha256/$c")" '
		[inputs | split(" ")] | {schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
			config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: ("sha256:" + $c), size: $size},
			layers: map({mediaType: .[3], digest: ("sha256:" + .[0]), size: (.[2] | tonumber)})}')
	m=$(oci_blob "$dir" "$m")
	echo '{"imageLayoutVersion": "1.0.0"}' >"$dir/oci-layout"
	jq -cn --arg m "$m" --argjson size "$(stat -c %s "$dir/blobs/sha256/$m")" '{schemaVersion: 2,
		manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: ("sha256:" + $m), size: $size,
			annotations: {"org.opencontainers.image.ref.name": "latest"}}]}' >"$dir/index.json"
	echo "sha256:$m"
}
# oci_blob LAYOUT TEXT: prints the hex
oci_blob() {
	mkdir -p "$1/blobs/sha256"
	local d
	d=$(printf %s "$2" | sha256sum | cut -d' ' -f1)
	printf %s "$2" >"$1/blobs/sha256/$d"
	echo "$d"
}

# web_layout LAYOUT VERSION: the example's web server in two layers
web_layout() {
	make -s -C "$ROOT/repo-example/images" O="$B/images"
	rm -rf "$1" "$W/tree"
	mkdir -p "$W/tree/etc"
	echo "$2" >"$W/tree/etc/version"
	tar -C "$B/images/web" --owner=0 --group=0 -cf "$W/web.tar" .
	tar -C "$W/tree" --owner=0 --group=0 -cf "$W/version.tar" etc
	oci_image "$1" "{\"Entrypoint\": [\"/web\"], \"Env\": [\"VERSION=$2\"], \"ExposedPorts\": {\"8080/tcp\": {}}}" \
		"$(oci_layer "$1" "$W/web.tar")" "$(oci_layer "$1" "$W/version.tar")"
}

# push_image LAYOUT NAME [skopeo's options]: into a registry that speaks plain http
push_image() {
	local from=$1 to=$2
	shift 2
	skopeo copy -q --insecure-policy --dest-tls-verify=false "$@" "oci:$from:latest" "docker://$to"
}

# odd_start PORT LAYOUT: a registry that behaves as LAYOUT/behave says (registry.pl)
odd_start() {
	perl "$ROOT/tests/e2e/registry.pl" "$1" "$2" 3>&- &
	echo $! >>"$W/odd.pids"
	wait_for 10 "it listens" bash -c "exec 4<>/dev/tcp/127.0.0.1/$1"
	: >"$2/requests"
}
odd_stop() { [ ! -e "$W/odd.pids" ] || kill $(cat "$W/odd.pids") 2>/dev/null || true; }
# behave LAYOUT WORD...: how it behaves from now on
behave() {
	local dir=$1
	shift
	rm -f "$dir"/count.*
	printf '%s\n' "$@" >"$dir/behave"
	: >"$dir/requests"
}
