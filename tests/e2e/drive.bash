# drive.bash -- scenarios of the *_drive.c: the runtime alone, pods without a daemon.
B=${B:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build}

# drive NAME SCENARIO: of NAME_drive.c, in a folder of its own
drive() {
	run timeout 200 "$B/tests/e2e/$1_drive" "$2"
	echo "$output"
	[ "$status" -eq 0 ]
}
setup() {
	export KEDGE_TEST_DIR=$(mktemp -d /tmp/kedge-drive.XXXXXX)
	export KEDGE_GOLDEN_FILE=$BATS_TEST_DIRNAME/../golden/container/seen.txt
}
teardown() {
	rm -rf "$KEDGE_TEST_DIR"
}
