#!/usr/bin/env bats
# python.bats -- Kubernetes' client library for Python, outside with a kubeconfig and inside of
# a pod with what kedge gives it there.
load kit

PYTHON=/usr/bin/python3 # Debian's, which has the library

setup_file() {
	kedge_dirs
	repo_make
	kedge_start --source "deploy=$W/deploy.git" --secure-listen 0.0.0.0:6443
	echo "$KEDGED" >"$W/pid"
	box box:1 box:2
	kedge kubeconfig >"$W/admin.conf"
}
teardown_file() { file_end; }
setup() { file_test; }

python() { HOME=$W KUBECONFIG=$W/admin.conf timeout 120 "$PYTHON" "$BATS_TEST_DIRNAME/client.py" "$@"; }
did() { grep -qxF "ok $1" <<<"$output" || { echo "not said: $1, but: $output"; return 1; }; }

@test "the client library does all it can from outside" {
	run python outside
	did "objects are created, read, listed and replaced"
	did "patches of every kind"
	did "watches tell each change once, and end in time"
	did "logs, also as they come"
	did "exec, its input, errors and exit code"
	did "a terminal that changes its size, and pings"
	did "port-forward tells that nobody listens"
	did "and may ask what it may do"
	[ "$status" = 0 ]
}

# python_image: box with Python and the library as they are on this host
python_image() {
	local f
	cp -a "$B/images/box" "$W/python"
	python files | sort -u >"$W/files"
	# with their times, by which Python knows that what it compiled is still right
	tar -C / --hard-dereference -hcf - -T "$W/files" 2>/dev/null | tar -C "$W/python" -xf -
	f=$(grep -o '/[^ ]*/ld-linux[^ ]*' < <(ldd "$PYTHON"))
	cp -L --parents "$f" "$W/python"
	mkdir -p "$W/python/usr/bin"
	ln -sf "$(basename "$(readlink -f "$PYTHON")")" "$W/python/usr/bin/python3"
	ldconfig -r "$W/python"
	kedge image import "$W/python" python:1 --cmd '["/bin/talk","wait"]' >/dev/null
}

@test "in a pod it finds the API by itself, and may do what its role says and nothing else" {
	python_image
	cat <<-Y | curl -sS --fail-with-body --unix-socket "$KEDGE_SOCKET" -X POST -H 'Content-Type: application/yaml' --data-binary @- http://h/api/v1/namespaces/default/serviceaccounts
		apiVersion: v1
		kind: ServiceAccount
		metadata: {name: py}
	Y
	put role <<-Y
		apiVersion: rbac.authorization.k8s.io/v1
		kind: Role
		metadata: {name: py}
		rules:
		- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
		- {apiGroups: [""], resources: [configmaps], verbs: [create, patch, delete]}
		- {apiGroups: [""], resources: [events], verbs: [create, patch]}
		- {apiGroups: [""], resources: [pods/exec], verbs: [get]}
		---
		apiVersion: rbac.authorization.k8s.io/v1
		kind: RoleBinding
		metadata: {name: py}
		roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: py}
		subjects: [{kind: ServiceAccount, name: py, namespace: default}]
		---
		$(SPEC='serviceAccountName: py' pod inside python:1)
	Y
	up inside
	run in_ inside true
	[ "$status" = 0 ]
	run timeout 60 kedge exec -i inside -- python3 - inside <"$BATS_TEST_DIRNAME/client.py"
	did "reads pods as its role lets it"
	did "writes what its role lets it"
	did "and runs programs in pods"
	did "and nothing else"
	did "nor anything without its token"
	[ "$status" = 0 ]
}
