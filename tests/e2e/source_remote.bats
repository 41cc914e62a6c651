#!/usr/bin/env bats
# Repositories elsewhere, over ssh and http, with everything they do wrong.

setup() {
	ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	B=${B:-$ROOT/build}
	W=$(mktemp -d /tmp/kt.XXXXXX)
	chmod 755 "$W"
	cd "$W" || return 1
	export HOME=$W GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.org
	export GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.org
	git init -q --bare -b main repo.git
	git -C repo.git config http.receivepack false
	git clone -q repo.git work 2>/dev/null
	config a 1
	push first
	PIDS=
}

teardown() {
	for p in $PIDS; do kill "$p" 2>/dev/null || true; done
	[ ! -e "$W/sshd.pid" ] || kill "$(cat "$W/sshd.pid")"
	rm -rf "$W"
}

config() { # NAME VALUE
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  value: "%s"\n' "$1" "$2" >"work/$1.yaml"
}
push() {
	git -C work add -A
	git -C work commit -qm "$1"
	git -C work push -q origin HEAD:main
}

# watch URL [ROW=VALUE]...: runs in the background, obeys "tell", says into ./said
watch() {
	rm -f in said
	mkfifo in
	"$B/tests/e2e/source_watch" git "$@" <in >said 2>err 3>&- &
	PIDS="$PIDS $!"
	exec 7>in
}
unwatch() { # and its worker with it
	exec 7>&-
	wait "${PIDS##* }" || true
	until ! pgrep -f "source_watch git" >/dev/null; do sleep 0.05; done
}
tell() { echo "$@" >&7; }
says() { # SECONDS PATTERN
	local n=0
	until grep -q -- "$2" said; do
		n=$((n + 1))
		[ $n -lt $(($1 * 20)) ] || { cat said err; return 1; }
		sleep 0.05
	done
}

http() {
	perl "$ROOT/tests/e2e/git_http.pl" 8080 "$W" "$@" 3>&- &
	PIDS="$PIDS $!"
	for _ in $(seq 100); do
		(exec 9<>/dev/tcp/127.0.0.1/8080) 2>/dev/null && return
		sleep 0.05
	done
	return 1
}

sshd() {
	ssh-keygen -q -t ed25519 -N '' -f host
	ssh-keygen -q -t ed25519 -N '' -f key
	cat >sshd_config <<-C
		Port 2222
		ListenAddress 127.0.0.1
		HostKey $W/host
		AuthorizedKeysFile $W/key.pub
		PermitRootLogin yes
		StrictModes no
		UsePAM no
		PidFile $W/sshd.pid
	C
	mkdir -p /run/sshd
	/usr/sbin/sshd -f sshd_config -E sshd.log 3>&-
	echo "[127.0.0.1]:2222 $(cat host.pub)" >known
}

@test "a repository is fetched over ssh, and a push is seen at the next look" {
	sshd
	watch "ssh://root@127.0.0.1:2222$W/repo.git" knownHosts="$W/known" sshKey="$W/key"
	says 10 "^moved $(git -C work rev-parse HEAD) 1 manifests"
	config b 1
	push second
	tell sync
	says 10 "^moved $(git -C work rev-parse HEAD) 2 manifests"
	says 10 '^answer $'
	git -C work commit -q --amend -m other
	git -C work push -q -f origin HEAD:main
	tell sync
	says 10 "^moved $(git -C work rev-parse HEAD) forced"
}

@test "an unknown or changed host key is refused" {
	sshd
	ssh-keygen -q -t ed25519 -N '' -f other
	echo "[127.0.0.1]:2222 $(cat other.pub)" >known
	watch "ssh://root@127.0.0.1:2222$W/repo.git" knownHosts="$W/known" sshKey="$W/key"
	says 10 "^error .*host key is not the one in known_hosts"
	echo "example.org $(cat host.pub)" >known
	tell sync
	says 10 "^answer .*host key"
	! grep -q ^moved said || false
	# When the right key is there, all is well without a restart.
	echo "[127.0.0.1]:2222 $(cat host.pub)" >known
	tell sync
	says 10 ^moved
}

@test "no known_hosts and no key say what to do" {
	watch "ssh://root@127.0.0.1:2222$W/repo.git" knownHosts="$W/none"
	says 10 "^error .*no host keys to check it against in $W/none"
	exec 7>&-
	sshd
	watch "ssh://root@127.0.0.1:2222$W/repo.git" knownHosts="$W/known" sshKey="$W/no-key"
	says 10 "^error .*name one as sshKey"
	exec 7>&-
	watch "ssh://root@127.0.0.1:2222$W/repo.git" knownHosts="$W/known" sshKey="$W/host"
	says 10 "^error .*the server refuses the key"
}

@test "http to this host works, and a branch that goes keeps the last head" {
	http
	watch "http://127.0.0.1:8080/repo.git" ref=main
	says 10 "^moved $(git -C work rev-parse HEAD) 1 manifests"
	git -C repo.git update-ref refs/heads/spare main
	git -C repo.git update-ref -d refs/heads/main
	tell sync
	says 10 '^error .*there is no branch, tag or commit "main"; the last revision stays'
	git -C repo.git update-ref refs/heads/main spare
	tell sync
	says 10 '^error $'
}

@test "a tag, a commit and the server's own branch can be watched" {
	http
	git -C work tag -a v1 -m one
	git -C work push -q origin v1
	first=$(git -C work rev-parse HEAD)
	config b 1
	push second
	watch "http://127.0.0.1:8080/repo.git" ref=v1
	says 10 "^moved $first"
	unwatch
	rm -rf mirror.git remotes
	watch "http://127.0.0.1:8080/repo.git" ref="$first"
	says 10 "^moved $first"
	unwatch
	rm -rf mirror.git remotes
	git -C repo.git branch -m main trunk
	watch "http://127.0.0.1:8080/repo.git"
	says 10 "^moved $(git -C work rev-parse HEAD) 2"
}

@test "a tag that takes the name of a branch that went is what is meant" {
	http
	git -C work push -q origin HEAD:v1
	watch "http://127.0.0.1:8080/repo.git" ref=v1
	says 10 "^moved $(git -C work rev-parse HEAD) 1 manifests"
	config b 1
	push second
	git -C repo.git update-ref -d refs/heads/v1
	git -C repo.git tag v1 main
	tell sync
	says 10 "^moved $(git -C work rev-parse HEAD) 2 manifests"
}

@test "a token is given when it is asked for, and never shown" {
	http s3cret
	watch "http://127.0.0.1:8080/repo.git"
	says 10 "^error .*put a token into a file and name that as tokenFile"
	exec 7>&-
	echo wrong >token
	watch "http://127.0.0.1:8080/repo.git" tokenFile="$W/token"
	says 10 "^error .*the server refuses the token"
	echo s3cret >token
	tell sync
	says 10 ^moved
	! grep -q s3cret said err
}

@test "a server that cuts the answer short is an error, and the next look goes well" {
	http
	mkdir cut
	watch "http://127.0.0.1:8080/cut/repo.git"
	says 40 "^error "
	! grep -q ^moved said || false
	tell quit
	sleep 0.2
	watch "http://127.0.0.1:8080/repo.git"
	says 10 ^moved
}

@test "a server that never answers is given up after its deadline" {
	http
	watch "http://127.0.0.1:8080/hang/repo.git"
	says 45 "^error .*does not answer in time"
}

@test "addresses that are not protected or say a password are refused" {
	watch http://192.0.2.1/repo.git
	says 5 "^error .*http is not protected"
	exec 7>&-
	watch https://me:hunter2@192.0.2.1/repo.git
	says 5 "^error .*has a password in it"
	! grep -q hunter2 said err || false
	exec 7>&-
	watch ftp://192.0.2.1/repo.git
	says 5 "^error .*only https://, ssh:// and local paths"
}

@test "a certificate that nobody vouches for is refused" {
	command -v openssl >/dev/null || skip "no openssl to serve with"
	openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out tls.crt -days 2 \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
	openssl s_server -quiet -accept 127.0.0.1:4433 -key tls.key -cert tls.crt -www >/dev/null 2>&1 3>&- &
	PIDS="$PIDS $!"
	sleep 0.5
	watch https://localhost:4433/repo.git
	says 10 "^error .*[Cc]ertificate"
	exec 7>&-
	# Trusted, the talk goes on (to a server that is no Git server).
	watch https://localhost:4433/repo.git caFile="$W/tls.crt"
	says 10 "^error "
	! grep -qi certificate said
}
