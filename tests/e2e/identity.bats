#!/usr/bin/env bats
# identity.bats -- the API over TLS: who is let in, as whom, and who is not.
load kit
KILLS=yes

setup_file() {
	export KUBECTLS
	KUBECTLS=$(kubectls)
	kedge_dirs
	repo_make
	echo 'certificateSeconds: 15' >"$W/kedge.yaml"
	install -m 755 "$B/images/sign.so" "$W/"
	KEDGE_TEST_UNSIGNED=$W/state/unsigned PRELOAD=$W/sign.so clocked kedge_start --source "deploy=$W/deploy.git" --secure-listen 0.0.0.0:6443
	echo "$KEDGED" >"$W/pid"
	box box:1
	export CA=$W/state/pki/ca.crt URL=https://127.0.0.1:6443
	kedge kubeconfig >"$W/admin.conf"
	kedge kubeconfig --user alice --group dev --group ops >"$W/alice.conf"
}
teardown_file() { file_end; }
setup() { file_test; }

# as FILE CMD...: $K with that kubeconfig
as() {
	local conf=$1
	shift
	HOME=$W timeout 20 "${K:-kubectl}" --kubeconfig "$W/$conf.conf" --cache-dir="$W/cache.$(basename "${K:-kubectl}")" "$@"
}
ask() { curl -sS --max-time 10 --cacert "$CA" "$@"; }
token() { head -n 1 "$W/state/pki/tokens.csv" | cut -d, -f1; }
code() { ask -o "$W/body" -w '%{http_code}' "$@"; }
# the certificate that the API shows: its serial number
serial() { openssl s_client -connect 127.0.0.1:6443 -CAfile "$CA" </dev/null 2>/dev/null | openssl x509 -noout -serial; }

reads_and_writes() {
	run as admin get nodes
	[ "$status" = 0 ] || return 1
	as admin create configmap tls --from-literal=a=b &&
		[ "$(as admin get configmap tls -o 'jsonpath={.data.a}')" = b ] &&
		as admin delete configmap tls
}
@test "kubectl old and new reads and writes with what kedge kubeconfig prints" {
	every reads_and_writes
}

@test "exec works over TLS, both ways" {
	pod talker box:1 | as admin apply -f -
	up talker
	[ "$(as admin exec talker -- echo ahoy)" = ahoy ]
	[ "$(echo over there | as admin exec -i talker -- cat)" = "over there" ]
	run as admin exec talker -- sh -c 'exit 7'
	[ "$status" = 7 ]
	# through the older protocol, and more than any buffer
	for K in $KUBECTLS; do
		[ "$(head -c 3000000 /dev/zero | as admin exec -i talker -- wc -c)" = 3000000 ]
	done
}

@test "each is who the certificate says, and no more" {
	kubectl_needs 27
	for K in $KUBECTLS; do
		run as alice auth whoami -o json
		[ "$status" = 0 ]
		[ "$(jq -r '.status.userInfo | [.username] + .groups | join(" ")' <<<"$output")" = "alice dev ops system:authenticated" ]
	done
	run as alice get pods
	[ "$status" != 0 ]
	has 'User "alice"'
	[ "$(jq -r '.status.userInfo.username' <<<"$(as admin auth whoami -o json)")" = kedge-admin ]
}

@test "a static token is as good; a wrong one is 401, whatever is asked for" {
	[ "$(code -H "Authorization: Bearer $(token)" "$URL/api/v1/nodes")" = 200 ]
	for bad in nonsense "$(token)x" a.b.c "$(head -c 7000 /dev/zero | tr '\0' x)"; do
		[ "$(code -H "Authorization: Bearer $bad" "$URL/healthz")" = 401 ]
		[ "$(jq -c 'del(.metadata)' "$W/body")" = '{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}' ]
	done
	[ "$(code -u admin:secret "$URL/healthz")" = 401 ]
	! grep -F "$(token)" "$W/kedged.log"
}

@test "nobody in particular sees that it lives, and nothing else" {
	[ "$(code "$URL/healthz")" = 200 ]
	[ "$(code "$URL/api/v1/secrets")" = 403 ]
	grep -q 'system:anonymous' "$W/body"
	[ "$(code -X POST "$URL/kedge/certificates?user=x&group=system:masters")" = 403 ]
}

@test "a certificate of another authority is 401, whatever it says of itself" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /O=system:masters/CN=eve \
		-keyout "$W/eve.key" -out "$W/eve.crt" 2>/dev/null
	[ "$(code --cert "$W/eve.crt" --key "$W/eve.key" "$URL/api/v1/nodes")" = 401 ]
}

@test "who does not trust the authority does not talk to it" {
	run curl -sS --max-time 10 "$URL/healthz"
	[ "$status" = 60 ]
	run ask --connect-to example.com:443:127.0.0.1:6443 https://example.com/healthz
	[ "$status" = 60 ]
}

@test "the certificate is for the names that clients use" {
	for name in localhost kubernetes kubernetes.default kubernetes.default.svc kubernetes.default.svc.cluster.local 10.43.0.1 10.42.0.1; do
		ask --connect-to "$name:443:127.0.0.1:6443" "https://$name/healthz"
	done
}

@test "plain http is told so, garbage and silence hold nobody up" {
	[ "$(curl -s --max-time 10 -o "$W/body" -w '%{http_code}' http://127.0.0.1:6443/api)" = 400 ]
	[ "$(cat "$W/body")" = "Client sent an HTTP request to an HTTPS server." ]
	mkfifo "$W/quiet"
	exec 8<>"$W/quiet" # who reads it never sees an end
	for _ in {1..50}; do
		"$B/images/box/bin/busybox" nc 127.0.0.1 6443 <&8 >/dev/null 2>&1 3>&- &
		silent+=($!)
		head -c 500 /dev/urandom | timeout 5 "$B/images/box/bin/busybox" nc 127.0.0.1 6443 >/dev/null 2>&1 || true
	done
	[ "$(code "$URL/healthz")" = 200 ]
	kill "${silent[@]}"
	# more silent ones than are waited for
	perl -MIO::Socket::INET -e 'my @s = map { IO::Socket::INET->new("127.0.0.1:6443") } 1 .. 300; $| = 1; print "there\n"; sleep 60' >"$W/many" 3>&- &
	many=$!
	wait_for 5 "they are there" grep -q there "$W/many"
	[ "$(code "$URL/healthz")" = 200 ]
	kill "$many"
}

another() { [ -n "$(serial)" ] && [ "$(serial)" != "$1" ]; }
@test "the certificate is another one before it ends, and a watch goes on" {
	was=$(serial)
	[ -n "$was" ]
	as admin get configmaps -w --output-watch-events -o name >"$W/watched" 3>&- &
	watch=$!
	wait_for 20 "another certificate" another "$was"
	as admin create configmap after-it
	wait_for 10 "the watch tells" grep -q after-it "$W/watched"
	kill "$watch"
	[ "$(code "$URL/healthz")" = 200 ]
	as admin get nodes
}

@test "keys are for the brain alone, and survive kedged's end" {
	[ "$(find "$W/state/pki" -type f ! -perm 600)" = "" ]
	[ "$(stat -c %a "$W/state/pki")" = 700 ]
	sum=$(cat "$W/state/pki/ca.pem" "$W/state/pki/tokens.key" | sha256sum)
	kill -9 "$(pgrep -P "$KEDGED" -f -- '--role=brain')"
	wait_for 10 "the API is back" as admin get nodes
	[ "$(cat "$W/state/pki/ca.pem" "$W/state/pki/tokens.key" | sha256sum)" = "$sum" ]
}

account_there() { as admin get serviceaccount default -n "$1"; }
@test "each namespace has the account default, also when it was deleted" {
	as admin create namespace shop
	wait_for 10 "the account" account_there shop
	as admin delete serviceaccount default -n shop
	wait_for 10 "the account again" account_there shop
	as admin delete namespace shop
	run as admin get serviceaccount default -n shop
	[ "$status" != 0 ]
}

# sa_token JSON-OF-SPEC: of shopkeeper
sa_token() {
	ask -H "Authorization: Bearer $(token)" -H 'Content-Type: application/json' -d "{\"spec\":$1}" \
		"$URL/api/v1/namespaces/default/serviceaccounts/shopkeeper/token" | jq -r .status.token
}
whoami() { code -H "Authorization: Bearer $1" -H 'Content-Type: application/json' -d '{}' "$URL/apis/authentication.k8s.io/v1/selfsubjectreviews"; }
@test "a token of an account is that account, until what it is bound to is gone" {
	cat >"$W/sa.yaml" <<-Y
		apiVersion: v1
		kind: ServiceAccount
		metadata: {name: shopkeeper}
	Y
	as admin apply -f "$W/sa.yaml"
	SPEC='serviceAccountName: shopkeeper' pod bound box:1 | as admin apply -f -
	up bound
	plain=$(sa_token '{}')
	bound=$(sa_token '{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"bound"}}')
	vault=$(sa_token '{"audiences":["vault"]}')
	[ "$(whoami "$plain")" = 201 ]
	[ "$(jq -r '.status.userInfo | [.username] + .groups | join(" ")' "$W/body")" = "system:serviceaccount:default:shopkeeper system:serviceaccounts system:serviceaccounts:default system:authenticated" ]
	[ "$(whoami "$bound")" = 201 ]
	[ "$(whoami "$vault")" = 401 ]
	[ "$(whoami "${plain%?}")" = 401 ]
	[ "$(code -H "Authorization: Bearer $plain" "$URL/api/v1/secrets")" = 403 ]
	as admin delete pod bound
	[ "$(whoami "$bound")" = 401 ]
	[ "$(whoami "$plain")" = 201 ]
	as admin delete serviceaccount shopkeeper
	as admin apply -f "$W/sa.yaml"
	[ "$(whoami "$plain")" = 401 ]
}

@test "a Secret of type service-account-token gets a token, which is good while both are there" {
	local long
	secret() { as admin get secret keys -o json 2>/dev/null | jq -e '.data.token // "" != ""'; }
	cat >"$W/keys.yaml" <<-Y
		apiVersion: v1
		kind: Secret
		metadata: {name: keys, annotations: {kubernetes.io/service-account.name: shopkeeper}}
		type: kubernetes.io/service-account-token
	Y
	sed '/annotations/s/, annotations.*/}/' "$W/keys.yaml" >"$W/nobody.yaml"
	run as admin apply -f "$W/nobody.yaml"
	[[ "$output" == *'metadata.annotations[kubernetes.io/service-account.name]: Required value'* ]]
	as admin delete serviceaccount shopkeeper --ignore-not-found
	as admin apply -f "$W/keys.yaml"
	as admin apply -f "$W/sa.yaml" # it waited for its account
	wait_for 10 "the token" secret
	as admin get secret keys -o json >"$W/keys.json"
	[ "$(jq -r '.data.namespace | @base64d' "$W/keys.json")" = default ]
	jq -j '.data["ca.crt"] | @base64d' "$W/keys.json" | cmp - "$CA"
	[ "$(jq -r '.metadata.annotations["kubernetes.io/service-account.uid"]' "$W/keys.json")" = "$(as admin get serviceaccount shopkeeper -o jsonpath='{.metadata.uid}')" ]
	long=$(jq -r '.data.token | @base64d' "$W/keys.json")
	[ "$(whoami "$long")" = 201 ]
	[ "$(jq -r .status.userInfo.username "$W/body")" = system:serviceaccount:default:shopkeeper ]
	as admin apply -f "$W/keys.yaml" # what it holds is not the manifest's
	[ "$(as admin get secret keys -o jsonpath='{.data.token}' | base64 -d)" = "$long" ]
	! grep -F "$long" "$W/kedged.log" || false
	as admin patch secret keys --type=json -p '[{"op":"remove","path":"/data/token"}]'
	wait_for 10 "another token" secret
	as admin delete secret keys
	[ "$(whoami "$long")" = 401 ]
	as admin apply -f "$W/keys.yaml"
	wait_for 10 "the token" secret
	as admin delete serviceaccount shopkeeper
	gone() { ! as admin get secret keys; }
	wait_for 10 "the Secret goes with its account" gone
}

@test "a token that cannot be is refused in Kubernetes' words" {
	run sa_token '{"expirationSeconds":10}'
	auth=(-H "Authorization: Bearer $(token)" -H 'Content-Type: application/json')
	post=("${auth[@]}" -d '{"spec":{"expirationSeconds":10}}')
	[ "$(code "${post[@]}" "$URL/api/v1/namespaces/default/serviceaccounts/default/token")" = 422 ]
	grep -q 'may not specify a duration less than 10 minutes' "$W/body"
	[ "$(code "${auth[@]}" -d '{}' "$URL/api/v1/namespaces/default/serviceaccounts/nobody/token")" = 404 ]
	[ "$(code "${auth[@]}" -d '{"spec":{"boundObjectRef":{"kind":"Pod","name":"talker"}}}' "$URL/api/v1/namespaces/kube-system/serviceaccounts/default/token")" = 404 ]
	as admin create serviceaccount another
	[ "$(code "${auth[@]}" -d '{"spec":{"boundObjectRef":{"kind":"Pod","name":"talker"}}}' "$URL/api/v1/namespaces/default/serviceaccounts/another/token")" = 400 ]
	grep -q 'cannot bind token for serviceaccount \\"another\\" to pod running with different serviceaccount name' "$W/body"
	as admin delete serviceaccount another
	[ "$(code "${auth[@]}" -d '{"spec":{"boundObjectRef":{"kind":"Pod","name":"no"}}}' "$URL/api/v1/namespaces/default/serviceaccounts/default/token")" = 404 ]
}

# reviewed TOKEN: what a TokenReview says of it
reviewed() {
	ask -H "Authorization: Bearer $(token)" -H 'Content-Type: application/json' -d "{\"spec\":{\"token\":\"$1\"}}" \
		-o "$W/review" "$URL/apis/authentication.k8s.io/v1/tokenreviews"
}
makes_tokens() {
	local token
	as admin create serviceaccount teller
	token=$(as admin create token teller --duration=20m) || return 1
	reviewed "$token" || return 1
	[ "$(jq -r '.status | "\(.authenticated) \(.user.username) \(.audiences[0])"' "$W/review")" = "true system:serviceaccount:default:teller https://kubernetes.default.svc.cluster.local" ] || return 1
	as admin delete serviceaccount teller
	reviewed "$token" || return 1
	[ "$(jq -c '.status | [.authenticated, .user]' "$W/review")" = "[null,{}]" ]
}
@test "kubectl create token, old and new, and whose it is" {
	kubectl_needs 27
	every makes_tokens
}

@test "a pod of an account that is not there is refused in Kubernetes' words" {
	SPEC='serviceAccountName: nobody' pod lost box:1 >"$W/lost.yaml"
	refused 'pods "lost" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found' \
		as admin create -f "$W/lost.yaml"
}

# client_image: box and the newest kubectl with what it needs
client_image() {
	local bin=${KUBECTLS##*$'\n'} lib
	cp -a "$B/images/box" "$W/client"
	cp -L "$bin" "$W/client/bin/kubectl"
	for lib in $(ldd "$bin" 2>/dev/null | grep -o '/[^ ]*'); do cp -L --parents "$lib" "$W/client"; done
	kedge image import "$W/client" client:1 --cmd '["/bin/talk","wait"]' >/dev/null
}
inside() { as admin exec client -- "$@"; }
API_DIR=/var/run/secrets/kubernetes.io/serviceaccount
@test "a client library in a pod finds the API, and may do what a role lets its account do" {
	client_image
	as admin create serviceaccount reader
	SPEC='serviceAccountName: reader' pod client client:1 | as admin apply -f -
	up client
	[ "$(inside cat $API_DIR/namespace)" = default ]
	[ "$(inside cat $API_DIR/ca.crt)" = "$(cat "$CA")" ]
	[ "$(inside sh -c 'echo $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT')" = "10.43.0.1 443" ]
	run inside kubectl get pods
	[ "$status" != 0 ]
	has 'pods is forbidden: User "system:serviceaccount:default:reader" cannot list resource "pods" in API group "" in the namespace "default"'
	as admin create role reader --verb=get,list,watch --resource=pods
	as admin create rolebinding reader --role=reader --serviceaccount=default:reader
	[ "$(inside kubectl get pod client -o name)" = pod/client ]
	refused 'cannot list resource "secrets"' inside kubectl get secrets
	refused 'in the namespace "kube-system"' inside kubectl get pods -n kube-system
}

@test "a pod's client asks who it is" {
	kubectl_needs 27
	[ "$(inside kubectl auth whoami -o 'jsonpath={.status.userInfo.username}')" = system:serviceaccount:default:reader ]
}

@test "a pod of another namespace finds it, too, and trusts it" {
	as admin create namespace shop
	SPEC='enableServiceLinks: false' pod far client:1 | sed 's/{name: far,/{name: far, namespace: shop,/' | as admin apply -f -
	wait_for 10 "it runs" as admin exec far -n shop -- true
	refused 'User "system:serviceaccount:shop:default" cannot list resource "pods" in API group "" in the namespace "shop"' \
		as admin exec far -n shop -- kubectl get pods
	as admin delete namespace shop
}

@test "the Service in front of the API answers nobody in particular, and its token ends with the pod" {
	[ "$(code https://10.43.0.1/healthz)" = 200 ]
	[ "$(code https://10.43.0.1/api/v1/pods)" = 403 ]
	[ "$(as admin get service,endpoints kubernetes -o 'jsonpath={.items[0].spec.clusterIP} {.items[1].subsets[0].addresses[0].ip}')" = "10.43.0.1 10.42.0.1" ]
	token=$(inside cat $API_DIR/token)
	[ "$(whoami "$token")" = 201 ]
	as admin delete pod client
	[ "$(whoami "$token")" = 401 ]
}

of_keeper() { kedge exec keeper -- cat $API_DIR/token; }
changed() { [ -n "$(of_keeper)" ] && [ "$(of_keeper)" != "$1" ]; }
# after a jump: a change of anything, for timers do not know of jumps
renewed() {
	look_around
	changed "$1"
}
look_around() {
	curl -sS --unix-socket "$W/run/api.sock" -H 'Content-Type: application/json' \
		-d '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"x-"}}' http://h/api/v1/namespaces/default/configmaps >/dev/null
}
# good TOKEN: is it anybody's, by the clock that kedged has
good() {
	curl -sS --unix-socket "$W/run/api.sock" -H 'Content-Type: application/json' -d "{\"spec\":{\"token\":\"$1\"}}" \
		http://h/apis/authentication.k8s.io/v1/tokenreviews | jq -e '.status.authenticated' >/dev/null
}
@test "a pod's token is made anew before it ends, and when its account is another one" {
	pod keeper box:1 | as admin apply -f -
	up keeper
	first=$(of_keeper)
	good "$first"
	jump 3000 # of 3607 seconds; four fifths are over
	wait_for 10 "another token" renewed "$first"
	second=$(of_keeper)
	good "$second"
	good "$first" # whoever read it a moment ago
	jump 3700
	run good "$first"
	[ "$status" != 0 ]
	good "$second"
	jump 0
	wait_for 10 "the API's certificate is of now" as admin get nodes
	second=$(of_keeper)
	as admin delete serviceaccount default
	wait_for 10 "a token of the new account" changed "$second"
	run good "$second"
	[ "$status" != 0 ]
	good "$(of_keeper)"
}

# half MANY: begins as many handshakes and tells in $W/half how many stand; ends with the last
half() {
	perl -MIO::Socket::INET -MIO::Select -e '
		my $s = IO::Select->new;
		for (1 .. $ARGV[0]) {
			my $c = IO::Socket::INET->new("127.0.0.1:6443") or next;
			syswrite $c, "\x16\x03\x01\x02\x00";
			$s->add($c);
		}
		for (;;) {
			open(my $f, ">", $ARGV[1]) or die;
			print $f $s->count, "\n";
			close $f;
			last unless $s->count;
			for my $c ($s->can_read) { sysread($c, my $b, 64) or $s->remove($c); }
		}' "$1" "$W/half"
}
stand() { [ -s "$W/half" ] && [ "$(cat "$W/half")" -le "$1" ]; }
@test "who only begins with TLS shuts nobody out, and is not waited for" {
	as admin create configmap sign --from-literal=a=b
	ask -N -H "Authorization: Bearer $(token)" -o "$W/seen" --max-time 60 \
		"https://127.0.0.1:6443/api/v1/namespaces/default/configmaps?watch=1&fieldSelector=metadata.name=sign" &
	watcher=$!
	wait_for 10 "a watch" test -s "$W/seen"
	half 700 &
	crowd=$!
	wait_for 30 "few of them are kept" stand 32
	reads_and_writes
	wait_for 30 "none is waited for" stand 0
	wait $crowd
	as admin delete configmap sign
	wait_for 10 "the watch stands" grep -q '"DELETED"' "$W/seen"
	kill $watcher
}

failing() { events_of unsigned | grep -q 'failed to fetch token'; }
running() { kedge get pod unsigned -o json | jq -r '.status.containerStatuses[0].started'; }
@test "without a signature there is no token, and no container that would read an empty one" {
	touch "$W/state/unsigned" # handshakes are signed, too: nothing goes over TLS meanwhile
	pod unsigned box:1 | put unsigned
	wait_for 10 "it says why" failing
	[ "$(running)" != true ]
	rm "$W/state/unsigned"
	up unsigned 40
	[ -n "$(kedge exec unsigned -- cat $API_DIR/token)" ]
	drop unsigned
}

# METHOD PATH that somebody without a role tries
tries() {
	cat <<-T
		GET api/v1/namespaces/default/pods
		GET api/v1/namespaces/default/pods/victim
		GET api/v1/namespaces/default/pods/victim/log
		GET api/v1/namespaces/default/secrets
		GET api/v1/pods?watch=1
		GET api/v1/namespaces/default/pods/victim/exec?command=id&stdout=1
		POST api/v1/namespaces/default/pods/victim/exec?command=id&stdout=1
		POST api/v1/namespaces/default/pods/victim/attach?stdout=1
		POST api/v1/namespaces/default/pods/victim/portforward?ports=80
		POST api/v1/namespaces/default/pods/victim/eviction
		POST api/v1/namespaces/default/pods/victim/binding
		POST api/v1/namespaces/default/bindings
		PATCH api/v1/namespaces/default/pods/victim/ephemeralcontainers
		PATCH api/v1/namespaces/default/pods/victim/resize
		PUT api/v1/namespaces/default/pods/victim/status
		PATCH api/v1/namespaces/default/pods/victim
		DELETE api/v1/namespaces/default/pods/victim
		DELETE api/v1/namespaces/default/pods
		POST api/v1/namespaces/default/serviceaccounts/default/token
		POST api/v1/namespaces/kube-system/serviceaccounts/default/token
		POST apis/policy/v1/namespaces/default/poddisruptionbudgets
		POST apis/rbac.authorization.k8s.io/v1/clusterrolebindings
		POST apis/authentication.k8s.io/v1/tokenreviews
		POST apis/authorization.k8s.io/v1/subjectaccessreviews
		PATCH apis/apps/v1/namespaces/default/deployments/web/scale
		PATCH api/v1/nodes/vm
	T
}
@test "a token whose time has come and that nobody signs is asked for again, soon" {
	first=$(of_keeper)
	touch "$W/state/unsigned"
	jump 3000
	look_around
	wait_for 10 "it is told" grep -q 'keeper: failed to fetch token' "$W/kedged.log"
	[ "$(of_keeper)" = "$first" ]
	rm "$W/state/unsigned"
	wait_for 30 "another token" changed "$first" # of itself: nothing else happens
	good "$(of_keeper)"
	jump 0
	wait_for 10 "the API's certificate is of now" as admin get nodes
}

@test "a pod's token without a role may nothing, by no verb and no subresource" {
	pod victim box:1 | as admin apply -f -
	up victim
	mine=$(kedge exec victim -- cat $API_DIR/token)
	while read -r verb path; do
		got=$(code -X "$verb" -H "Authorization: Bearer $mine" -H 'Content-Type: application/json' \
			-d '{}' "https://127.0.0.1:6443/$path")
		echo "$verb $path: $got $(head -c 200 "$W/body")"
		[ "$got" = 403 ]
	done < <(tries)
	as admin get pod victim
}

# hostile KIND VERSION: bodies in protobuf that are not what they say, one a file of $W/hostile
hostile() {
	mkdir -p "$W/hostile"
	perl -e '
		my ($kind, $version, $dir) = @ARGV;
		sub field { my ($n, $b) = @_; my $l = length $b; my $v = "";
			do { $v .= chr(($l & 127) | ($l > 127 ? 128 : 0)); $l >>= 7 } while $l;
			chr($n << 3 | 2) . $v . $b }
		my $type = field(1, field(1, $version) . field(2, $kind));
		my $deep = ""; $deep = field(1, $deep) for 1 .. 20000;
		my $good = "k8s\0" . $type . field(2, field(1, field(1, "victim")));
		my %body = (
			cut => substr($good, 0, -3), magic => "k8s", none => "k8s\0", plain => $good,
			huge => "k8s\0" . $type . "\x12\xff\xff\xff\xff\x0f" . "x",
			longer => "k8s\0" . $type . "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
			endless => "k8s\0" . $type . "\x12" . "\xff" x 64,
			deep => "k8s\0" . $type . field(2, $deep),
			groups => "k8s\0" . $type . field(2, "\x0b" x 100000),
			zero => "k8s\0" . $type . field(2, "\x00" x 1000),
			many => "k8s\0" . $type . field(2, field(2, "\x0a\x00" x 100000)),
		);
		for (keys %body) { open(my $f, ">", "$dir/$_") or die; print $f $body{$_} }' "$1" "$2" "$W/hostile"
}
# attacked KIND VERSION PATH
attacked() {
	hostile "$1" "$2"
	for f in "$W"/hostile/*; do
		got=$(code -H "Authorization: Bearer $(token)" -H 'Content-Type: application/vnd.kubernetes.protobuf' \
			-H 'Accept: application/json' --data-binary "@$f" "https://127.0.0.1:6443/$3?dryRun=All")
		echo "$1 ${f##*/}: $got $(head -c 300 "$W/body")"
		case $got in 2?? | 4??) ;; *) return 1 ;; esac
	done
}
@test "a protobuf body that is not what it says is refused, and nothing comes of it" {
	attacked PodDisruptionBudget policy/v1 apis/policy/v1/namespaces/default/poddisruptionbudgets
	attacked Eviction policy/v1 api/v1/namespaces/default/pods/victim/eviction
	attacked Binding v1 api/v1/namespaces/default/pods/victim/binding
	attacked Pod v1 api/v1/namespaces/default/pods
	[ "$(code https://127.0.0.1:6443/healthz)" = 200 ]
	as admin get pod victim
}

@test "who stops reading over TLS holds nobody up" {
	head -c 900000 /dev/zero | tr '\0' x >"$W/big"
	for i in 1 2 3; do as admin create configmap "big-$i" --from-file="$W/big"; done
	mkfifo "$W/unread"
	exec 7<>"$W/unread" # open, and read by nobody
	deaf=
	for _ in {1..20}; do
		curl -sS -N --cacert "$CA" -H "Authorization: Bearer $(token)" https://127.0.0.1:6443/api/v1/configmaps >"$W/unread" 7>&- 3>&- &
		deaf="$deaf $!"
	done
	reads_and_writes
	[ "$(as admin get configmap big-3 -o 'jsonpath={.data.big}' | wc -c)" = 900000 ]
	# shellcheck disable=SC2086
	kill $deaf
	exec 7>&-
	as admin delete configmap big-1 big-2 big-3
}
