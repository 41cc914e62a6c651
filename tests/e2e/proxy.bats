#!/usr/bin/env bats
# proxy.bats -- pods, Services and the node through the API: pods/proxy, services/proxy and nodes/proxy.
load kit.bash

setup_file() {
	CONFIG='allow: {hostNetwork: true}
node: {name: n1}' file_begin --listen "$API" --secure-listen 0.0.0.0:6443
	KUBECTLS=$(kubectls)
	export KUBECTLS
	kedge kubeconfig >"$W/admin.conf"
	{
		for p in web-a web-b; do
			MORE='ports: [{containerPort: 8080, name: http}]' pod $p box:1 '["/bin/web","8080"]' | sed "s/labels: {app: $p}/labels: {app: web}/"
		done
		pod slow box:1 '["/bin/web","80"]'
		cat <<-Y
			apiVersion: v1
			kind: Service
			metadata: {name: web}
			spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
			---
			apiVersion: v1
			kind: Service
			metadata: {name: named}
			spec: {selector: {app: web}, ports: [{name: front, port: 80, targetPort: 8080}, {name: back, port: 81, targetPort: 8080}]}
			---
			apiVersion: v1
			kind: Service
			metadata: {name: empty}
			spec: {selector: {app: nobody}, ports: [{port: 80}]}
		Y
	} | kedge_apply
	for p in web-a web-b slow; do up $p; done
	wait_for 10 "both are endpoints" endpoints_are 2
}
setup() {
	file_test
	kubectl_needs 27
	rm -f "$W/got" "$W/sent"
}
teardown_file() { file_end; }

kedge_apply() { K=kubectl k apply -f - >/dev/null; }
endpoints_are() { [ "$(kedge get endpoints web -o json | jq '[.subsets[]?.addresses[]?] | length')" = "$1" ]; }
NS=/api/v1/namespaces/default
POD=$NS/pods/web-a/proxy
curl_() { curl -sS --path-as-is --max-time 20 "$@"; }
ask() { # ask PATH [curl's options]
	local path=$1
	shift
	curl_ "$@" "http://$API$path"
}
code() { ask "$@" -o "$W/got" -w '%{http_code}'; }
# says CODE REASON TEXT PATH...: a Status
says() {
	local code=$1 reason=$2 text=$3
	shift 3
	run ask "$@"
	[ "$(jq -r '"\(.kind) \(.code) \(.reason)"' <<<"$output")" = "Status $code $reason" ] || { echo "$output"; return 1; }
	[[ $(jq -r .message <<<"$output") == *"$text"* ]] || { echo "no \"$text\" in $output"; return 1; }
}
go() { kedge exec "$1" -- touch /tmp/go; }
stay() { kedge exec "$1" -- rm -f /tmp/go; }

@test "kubectl get --raw reaches a pod, a Service by each way to name its port, and the node" {
	t() {
		run k get --raw "$NS/services/web/proxy/echo"
		has 'GET /echo HTTP/1.1' || return 1
		has "X-Forwarded-Uri: $NS/services/web/proxy/echo" || return 1
		for s in web:80 web: http:web: http:web:80 named:front named:81 http:named:back; do
			run k get --raw "$NS/services/$s/proxy/echo?x=1"
			has "GET /echo?x=1 HTTP/1.1" || return 1
		done
		for p in web-a web-a: web-a:8080 http:web-b: http:web-b:8080 slow; do
			run k get --raw "$NS/pods/$p/proxy/echo"
			has 'GET /echo HTTP/1.1' || return 1
		done
		[ "$(k get --raw /api/v1/nodes/n1/proxy/healthz)" = ok ] || return 1
		# kubectl follows where the slash is missing
		run k get --raw "$NS/services/web/proxy"
		has 'GET / HTTP/1.1' || return 1
		refused 'Error from server (NotFound): pods "nobody" not found' k get --raw "$NS/pods/nobody/proxy/" || return 1
		refused 'Error from server (ServiceUnavailable): no endpoints available for service "empty"' k get --raw "$NS/services/empty/proxy/"
	}
	every t
}

@test "kubectl sends bodies and deletes through it, and discovery names it" {
	local what
	K=kubectl
	run k create --raw "$NS/services/web/proxy/count" -f - <<<'{"a":1}'
	has '8 '
	run k delete --raw "$NS/services/web/proxy/echo"
	has 'DELETE /echo HTTP/1.1'
	for what in pods services nodes; do
		[ "$(ask /api/v1 | jq -c --arg n $what/proxy '.resources[] | select(.name == $n) | [.kind, .verbs]')" = \
			"[\"$(sed 's/s$//; s/./\U&/' <<<$what)ProxyOptions\",[\"create\",\"delete\",\"get\",\"patch\",\"update\"]]" ]
		[ "$(ask /api -H 'Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' |
			jq -r --arg n $what '.items[].versions[].resources[] | select(.resource == $n) | .subresources[] | select(.subresource == "proxy") | .verbs | join(" ")')" = "create delete get patch update" ]
	done
}

@test "path and query arrive as they were escaped" {
	local path
	for path in '/echo/a%2Fb%20c//d/../e?x=%26&y=a+b&watch=true' '/echo/%C3%BC/?' '/echo/;a=b,c:d@e' '//echo'; do
		run ask "$POD$path"
		has "GET $path HTTP/1.1"
	done
	run ask "$NS/pods/web%2da%3A8080/proxy/echo%3f"
	has 'GET /echo%3f HTTP/1.1'
	says 400 BadRequest 'invalid pod request' "$NS/pods/a:b:c:d/proxy/"
	says 400 BadRequest 'invalid pod request' "$NS/pods/ftp:web-a:80/proxy/"
	says 400 BadRequest 'invalid service request' "$NS/services/https::80/proxy/"
	printf 'GET %s/a b HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$POD" "$API" | socat -t 5 - "TCP:$API" >"$W/got"
	grep -qE '^HTTP/1.1 400' "$W/got"
}

@test "every method goes on, others are refused" {
	local m
	for m in GET POST PUT PATCH DELETE OPTIONS; do
		run ask "$POD/echo" -X $m
		has "$m /echo HTTP/1.1"
	done
	run ask "$POD/echo" -I
	matches '^HTTP/1.1 200'
	matches '^Content-Length: [0-9]'
	says 405 MethodNotAllowed 'does not allow this method' "$POD/echo" -X BREW
}

@test "who asks is not told on, headers of the connection stay behind, X-Forwarded-* are set" {
	run curl_ --cacert "$W/state/pki/ca.crt" -H "Authorization: Bearer $(cut -d, -f1 "$W/state/pki/tokens.csv" | head -n 1)" \
		-H 'Impersonate-User: ann' -H 'Impersonate-Group: system:masters' -H 'X-Remote-User: root' -H 'Connection: X-Hop' -H 'X-Hop: 1' -H 'Connection: X-Too' -H 'X-Too: 1' -H 'TE: trailers' \
		-H 'X-Kept: yes' -H 'Cookie: a=b' -H 'X-Forwarded-For: 192.0.2.1' -H 'X-Forwarded-Uri: /lie' -H 'Accept:' -A me \
		"https://127.0.0.1:6443$POD/echo?q"
	has 'X-Kept: yes'
	has 'Cookie: a=b'
	has 'User-Agent: me'
	has 'Host: 127.0.0.1:6443'
	has 'X-Forwarded-For: 192.0.2.1, 127.0.0.1'
	has "X-Forwarded-Uri: $POD/echo"
	hasnt Bearer
	hasnt Impersonate
	hasnt X-Remote
	hasnt X-Hop
	hasnt X-Too
	hasnt TE:
	hasnt /lie
	hasnt Accept
	# over the unix socket there is no address to name
	run curl_ --unix-socket "$KEDGE_SOCKET" "http://kedge$POD/echo"
	has 'Host: kedge'
	hasnt X-Forwarded-For
}

@test "a pod's answer comes as it is: status, headers, length" {
	run ask "$POD/headers" -i
	matches '^HTTP/1.1 200'
	matches '^Content-Type: text/x-odd'
	matches '^Set-Cookie: a=1'
	matches '^set-cookie: b=2'
	matches '^X-Kept: spaced'
	matches '^Content-Length: 3'
	hasnt X-Hop
	hasnt Access-Control
	hasnt nosniff
	for n in 404 500 418 503; do
		[ "$(code "$POD/status?$n")" = "$n" ]
		[ "$(cat "$W/got")" = "so be it" ]
	done
	[ "$(code "$POD/status?204")" = 204 ]
	[ "$(ask "$POD/fat" -o "$W/got" -w '%header{x-fat}' | wc -c)" = 8000 ]
	[ "$(cat "$W/got")" = ok ]
	says 503 ServiceUnavailable 'its headers and those of the request are too large together' "$POD/fat" -H "Cookie: a=$(printf %03000d 0)"
}

@test "redirects lead through the proxy, to other hosts as they say" {
	local to
	loc() { ask "$POD/redirect?$1" -o /dev/null -w '%header{location}'; }
	[ "$(code "$POD?a=b")" = 301 ]
	[ "$(ask "$POD?a=b" -o /dev/null -w '%header{location}')" = "$POD/?a=b" ]
	[ "$(code "$POD/redirect?/login")" = 302 ]
	[ "$(loc /login?x=1)" = "$POD/login?x=1" ]
	[ "$(loc "http://$(field pod web-a .status.podIP):8080/x")" = "$POD/x" ]
	[ "$(loc "http://$API/x")" = "$POD/x" ]
	for to in next http://example.com/x http://10.42.0.1/x; do [ "$(loc $to)" = $to ]; done
}

@test "bodies of any size stream both ways, with a length and chunked" {
	head -c 5000000 /dev/zero >"$W/sent"
	[ "$(ask "$POD/count" --data-binary "@$W/sent")" = "5000000 length" ]
	[ "$(ask "$POD/count" -T "$W/sent" -X PUT -H 'Transfer-Encoding: chunked')" = "5000000 chunked" ]
	[ "$(ask "$POD/count" -X POST)" = "0 none" ]
	[ "$(ask "$POD/count" -d '')" = "0 length" ]
	[ "$(ask "$POD/count" --data-binary "@$W/sent" -H 'Expect: 100-continue')" = "5000000 length" ]
	[ "$(ask "$POD/big?30000000" | wc -c)" = 30000000 ]
	run ask "$POD/echo" -d 'the body'
	[ "${lines[-1]}" = "the body" ]
	# what is not read is not collected either
	[ "$(code "$POD/early" --data-binary "@$W/sent")" = 413 ]
}

@test "each piece comes when it is there, and an answer that breaks off is seen to" {
	stay web-a
	curl_ -N "http://$API$POD/two" >"$W/got" &
	wait_for 10 "the first piece is here" grep -q one "$W/got"
	run cat "$W/got"
	hasnt two
	go web-a
	wait $!
	[ "$(cat "$W/got")" = $'one\ntwo' ]
	run ask "$POD/cut" -o "$W/got"
	[ "$status" = 18 ]
	[ "$(cat "$W/got")" = 0123456789 ]
}

@test "a slow pod and a slow client hold up nobody else, and cost no memory" {
	local brain before pids=()
	brain=$(pgrep -P "$KEDGED" -f role=brain)
	kb() { awk '/^VmRSS/ {print $2}' "/proc/$brain/status"; }
	stay slow
	before=$(kb)
	head -c 50000000 /dev/zero >"$W/sent"
	for _ in 1 2 3; do
		curl_ --max-time 60 --data-binary "@$W/sent" "http://$API$NS/pods/slow/proxy/late" >>"$W/got" &
		pids+=($!)
		curl_ --max-time 60 --limit-rate 1k "http://$API$POD/big?50000000" >/dev/null 2>&1 &
		pids+=($!)
		curl_ --max-time 60 "http://$API$POD/never" >/dev/null 2>&1 &
		pids+=($!)
	done
	[ "$(ask "$NS/services/web/proxy/count")" = "0 none" ]
	kedge get nodes
	[ $(($(kb) - before)) -lt 20000 ]
	go slow
	counted() { [ "$(grep -c '50000000 length' "$W/got")" = 3 ]; }
	wait_for 30 "all of it arrived" counted
	kill "${pids[@]}" 2>/dev/null || true
}

@test "answers that come before their requests' ends take no more together than they may" {
	local brain before fds=() fd
	brain=$(pgrep -P "$KEDGED" -f role=brain)
	grown() { echo $(($(awk '/^VmRSS/ {print $2}' "/proc/$brain/status") - before)); }
	before=0 before=$(grown)
	for _ in $(seq 80); do
		exec {fd}<>"/dev/tcp/${API%:*}/${API#*:}"
		printf 'POST %s/big?900000 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n' "$POD" >&"$fd"
		fds+=("$fd")
	done
	many() { [ "$(grown)" -gt 12000 ]; }
	wait_for 10 "they are kept" many
	[ "$(ask "$NS/services/web/proxy/count")" = "0 none" ]
	sleep 0.5
	# the address sanitizer keeps what was freed
	grep -q __asan_init "$B/kedged" || [ "$(grown)" -lt 40000 ]
	for fd in "${fds[@]}"; do exec {fd}>&-; done
	[ "$(ask "$NS/services/web/proxy/count")" = "0 none" ]
}

@test "a client that leaves takes its request along" {
	talks() { kedge exec web-b -- netstat -tn | grep -q ':8080 .*ESTABLISHED'; }
	quiet() { kedge exec web-b -- netstat -tn >"$W/got" && [ "$(grep -c ':8080 .*ESTABLISHED' "$W/got")" = 0 ]; }
	wait_for 10 "nobody talks with it" quiet
	curl_ "http://$API$NS/pods/web-b/proxy/never" &
	wait_for 10 "it is with the pod" talks
	kill $!
	wait_for 10 "its connection is gone" quiet
}

@test "what does not answer is a 503 that says why" {
	says 503 ServiceUnavailable "error trying to reach service: dial tcp $(field pod web-a .status.podIP):9: connect: connection refused" "$NS/pods/web-a:9/proxy/"
	says 503 ServiceUnavailable 'error trying to reach service: EOF' "$POD/silent"
	says 503 ServiceUnavailable 'error trying to reach service: ' "$POD/rude"
	says 503 ServiceUnavailable 'server response headers exceeded' "$POD/long"
	says 503 ServiceUnavailable 'lookup tcp/http: unknown port' "$NS/pods/web-a:http/proxy/"
	says 503 ServiceUnavailable 'address 99999: invalid port' "$NS/pods/web-a:99999/proxy/"
	says 503 ServiceUnavailable 'no endpoints available for service "empty"' "$NS/services/empty/proxy/"
	says 503 ServiceUnavailable 'no service port 99 found for service "web"' "$NS/services/web:99/proxy/"
	says 503 ServiceUnavailable 'no endpoints available for service "named"' "$NS/services/named/proxy/"
	says 404 NotFound 'services "nobody" not found' "$NS/services/nobody:80/proxy/"
	says 404 NotFound 'endpoints "nobody" not found' "$NS/services/nobody/proxy/"
	says 404 NotFound 'nodes "n2" not found' /api/v1/nodes/n2/proxy/healthz
	says 404 NotFound 'kedge has no "/stats/summary" of a node' /api/v1/nodes/n1/proxy/stats/summary
}

@test "nothing but pods is reached: not the host, not loopback, not what objects claim" {
	K=kubectl
	cat <<-Y | kedge_apply
		apiVersion: v1
		kind: Pod
		metadata: {name: host}
		spec: {hostNetwork: true, hostUsers: true, containers: [{name: c, image: "box:1"}]}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: claims}
		spec: {ports: [{port: 8001}]}
		---
		apiVersion: v1
		kind: Endpoints
		metadata: {name: claims}
		subsets:
		- addresses:
		  - {ip: 10.42.0.1}
		  - {ip: 10.42.0.1, targetRef: {kind: Pod, namespace: default, name: web-a}}
		  - {ip: $(field pod web-b .status.podIP)}
		  - {ip: $(field pod web-b .status.podIP), targetRef: {kind: Pod, namespace: default, name: web-a}}
		  ports: [{port: 8001}]
	Y
	wait_for 20 "it runs" phase_is host Running
	says 400 BadRequest 'address not allowed' "$NS/pods/host:8001/proxy/version"
	says 503 ServiceUnavailable 'no endpoints available' "$NS/services/claims/proxy/version"
	says 400 BadRequest 'address not allowed' /api/v1/nodes/n1:8001/proxy/version
	says 503 ServiceUnavailable 'no endpoints available' "$NS/services/kubernetes/proxy/version"
	K=kubectl k delete pod host --grace-period=1
	K=kubectl k delete svc claims
}

@test "RBAC: pods/proxy, services/proxy and nodes/proxy, by verb and by name" {
	K=kubectl
	as() { # as USER METHOD PATH: the code
		curl_ -o /dev/null -w '%{http_code}' -H "Impersonate-User: $1" -X "$2" "http://$API$3"
	}
	k create role reads --verb=get --resource=pods/proxy
	k create rolebinding reads --role=reads --user=ann
	k create rolebinding edits --clusterrole=edit --user=ed
	k create rolebinding views --clusterrole=view --user=vi
	[ "$(as ann GET "$POD/echo")" = 200 ]
	[ "$(as ann POST "$POD/echo")" = 403 ]
	[ "$(as ann GET "$NS/services/web/proxy/echo")" = 403 ]
	[ "$(as ann GET /api/v1/nodes/n1/proxy/healthz)" = 403 ]
	[ "$(as vi GET "$POD/echo")" = 403 ]
	for m in GET POST PUT PATCH DELETE; do [ "$(as ed $m "$NS/services/web/proxy/echo")" = 200 ]; done
	[ "$(as ed GET /api/v1/nodes/n1/proxy/healthz)" = 403 ]
	[ "$(as ed GET /api/v1/namespaces/kube-system/pods/web-a/proxy/)" = 403 ]
	run ask "$POD/echo" -X DELETE -H 'Impersonate-User: ann'
	has 'pods \"web-a\" is forbidden: User \"ann\" cannot delete resource \"pods/proxy\"'
	k delete role reads
	k delete rolebinding reads edits views
}

@test "https:NAME: speaks TLS with the pod" {
	local lib
	mkdir -p "$W/tls/bin" "$W/tls/tmp"
	cp "$(command -v openssl)" "$W/tls/bin/"
	for lib in $(ldd "$(command -v openssl)" | grep -o '/[^ ]*'); do install -D "$lib" "$W/tls$lib"; done
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=nobody -keyout "$W/tls/key" -out "$W/tls/crt" 2>/dev/null
	chmod 644 "$W/tls/key"
	kedge image import "$W/tls" tls:1
	MORE='ports: [{containerPort: 4430}]' pod tls tls:1 '["/bin/openssl","s_server","-quiet","-accept","4430","-cert","/crt","-key","/key","-www"]' | kedge_apply
	up tls
	run ask "$NS/pods/https:tls:/proxy/"
	has 's_server -quiet'
	says 503 ServiceUnavailable 'error trying to reach service: ' "$NS/pods/tls/proxy/"
	says 503 ServiceUnavailable 'error trying to reach service: ' "$NS/pods/https:web-a:/proxy/"
	K=kubectl k delete pod tls --grace-period=1
}

# over PATH [perl's statements before the end]: goes over to "echo" and sends 300 kB
over() {
	perl -MIO::Socket::INET -e '
		my ($to, $path, $n) = @ARGV;
		alarm 30;
		my $s = IO::Socket::INET->new($to) or die;
		$s->autoflush(1);
		print $s "GET $path HTTP/1.1\r\nHost: $to\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\nX-Mine: 1\r\n\r\n";
		my $head = "";
		while ($head !~ /\r\n\r\n/) { sysread $s, $head, 1, length $head or last }
		print $head;
		exit if $head !~ / 101 /;
		print scalar <$s>;
		if (!fork) { print $s "x" x 4095, "\n" for 1 .. $n; exit }
		my $got = 0;
		for (1 .. $n) { my $l = <$s>; $got += length $l }
		print "$got\n"' "$API" "$@"
}
@test "an upgrade to another protocol passes, both ways, and a refused one is an answer" {
	run over "$POD/switch" 500
	matches '^HTTP/1.1 101 Switching Protocols'
	matches '^Upgrade: echo'
	matches '^X-Over: yes'
	matches '^ahoy$'
	matches '^2048000$'
	# over TLS, too
	: >"$W/got"
	{
		printf 'GET %s HTTP/1.1\r\nHost: kedge\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n' \
			"$POD/switch" "$(cut -d, -f1 "$W/state/pki/tokens.csv" | head -n 1)"
		wait_for 10 "it went over" grep -q ahoy "$W/got" >/dev/null
		echo "there and back"
		wait_for 10 "it came back" grep -q 'there and back' "$W/got" >/dev/null
	} | timeout 60 openssl s_client -quiet -no_ign_eof -connect 127.0.0.1:6443 >"$W/got" 2>/dev/null
	grep -q '^there and back' "$W/got"
	# one that brings a body is no upgrade, so that this is no second request
	run ask "$POD/echo" -H 'Connection: Upgrade' -H 'Upgrade: echo' --data-binary $'DELETE /echo HTTP/1.1\r\n\r\n'
	matches '^Content-Length: 25'
	hasnt Upgrade
	run over "$NS/services/web/proxy/status?403" 1
	matches '^HTTP/1.1 403'
	run over "$POD/echo" 1
	matches '^HTTP/1.1 200'
	[ "$(code "$POD/switch")" = 426 ]
}

@test "a HEAD that brings a body, of any size, has its answer" {
	local n
	for n in 1 4000000; do
		perl -MIO::Socket::INET -e '
				my ($to, $path, $n) = @ARGV;
				alarm 20;
				my $s = IO::Socket::INET->new($to) or die;
				print $s "HEAD $path HTTP/1.1\r\nHost: $to\r\nConnection: close\r\nContent-Length: $n\r\n\r\n", "x" x $n;
				$s->flush;
				exit(<$s> =~ / 200 / ? 0 : 1)' "$API" "$POD/echo" $n
	done
}

@test "nothing is put into another protocol's bytes while the pod does not listen" {
	stay slow
	over "$NS/pods/slow/proxy/switch?wait" 5000 >"$W/got" 3>&- &
	wait_for 10 "it went over" grep -q ahoy "$W/got"
	sleep 4 # kedge would ask a client of its own after two
	go slow
	wait $!
	[ "$(tail -n 1 "$W/got")" = 20480000 ]
}

@test "what a client of another protocol said before it left, the pod gets still" {
	local n=20000000
	counted() { kedge exec slow -- cat /tmp/count >"$W/sent"; }
	stay slow
	kedge exec slow -- rm -f /tmp/count
	perl -MIO::Socket::INET -e '
		my ($to, $path, $n) = @ARGV;
		alarm 60;
		my $s = IO::Socket::INET->new($to) or die;
		print $s "GET $path HTTP/1.1\r\nHost: $to\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
		$s->flush;
		while (<$s>) { last if /^ahoy/ }
		syswrite STDOUT, "over\n";
		print $s "x" x $n' "$API" "$NS/pods/slow/proxy/swallow" $n >"$W/got" 3>&- &
	wait_for 10 "it went over" grep -q over "$W/got"
	go slow
	wait $!
	wait_for 20 "it is counted" counted
	[ "$(cat "$W/sent")" = $n ]
}
