#!/usr/bin/env bats
# What introductions to Kubernetes have their readers type, typed with the real kubectl, oldest
# to newest; their manifests lie in tutorials/ and are given to it as they are.
load kit.bash

setup_file() {
	load kit.bash
	kedge_dirs
	echo 'node: {name: k8s-node1}' >"$W/kedge.yaml"
	kedge_start --listen "$API"
	echo "$KEDGED" >"$W/pid"
	KUBECTLS=$(kubectls)
	KTIME=60
	export KUBECTLS KTIME
	make -s -C "$ROOT/repo-example/images" O="$B/images"
	box kubetm/init alicek106/ubuntu:curl
	# a web server with a shell beside it
	cp -a "$B/images/box" "$W/server"
	cp "$B/images/web/web" "$W/server/bin/web"
	web nginx:latest 80
	web nginx:1.11 80
	web kubetm/p8000 8000
	web kubetm/p8080 8080
	web kubetm/app 8080
	web alicek106/rr-test:echo-hostname 80
	kedge image import "$B/images/box" mysql --cmd '["/bin/sh", "-c", "test -n \"$MYSQL_ROOT_PASSWORD\" && exec talk wait; echo database is uninitialized and password option is not specified >&2; exit 1"]' >/dev/null
	cd "$ROOT/tests/e2e/tutorials" || return 1
}
setup() {
	KEDGED=$(cat "$W/pid")
	kubectl_needs 27
	cd "$ROOT/tests/e2e/tutorials" || return 1
}
# what a test that failed left is not the next one's
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] && return
	k get all -o wide
	tail -n 20 "$W/kedged.log"
	k delete deploy,rs,pods,svc --all --grace-period=1
	k label node k8s-node1 hostname-
	return 0
}
teardown_file() {
	load kit.bash
	KEDGED=$(cat "$W/pid")
	kedge_end
}

web() { kedge image import "$W/server" "$1" --cmd '["/bin/web"]' --env "PORT=$2" --env "VERSION=$1" >/dev/null; }
pods_gone() { [ "$(k get pods 2>&1)" = "No resources found in default namespace." ]; }
# empty: nothing is left of the row
empty() { wait_for 15 "nothing is left" pods_gone; }
node_ip() { k get node k8s-node1 -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'; }
get() { k get "$1" "$2" -o "jsonpath={$3}"; }
# ready POD...
ready() { k wait --for=condition=Ready --timeout=40s "${@/#/pod/}"; }
# answers URL: does it, soon?
answers() { wait_for 5 "$1 answers" curl -sfm 2 "http://$1/"; }
silent() { ! curl -sfm 1 "http://$1/" >/dev/null; }
# who URL [TIMES]: the names of those that answer
who() { for _ in $(seq "${2:-30}"); do curl -sm 2 "http://$1/"; done | awk '{print $1}' | sort -u; }
says() { # says STATUS TEXT CMD...: ends so, and says that
	local rc=$1 text=$2
	shift 2
	run "$@"
	[ "$status" = "$rc" ] || { echo "$* ended with $status: $output"; return 1; }
	has "$text"
}

@test "two containers in a pod" {
	t() {
		says 0 "pod/pod-1 created" k create -f pod-1-two-containers.yaml || return 1
		says 0 "pod/pod-2 created" k create -f pod-2-labels.yaml || return 1
		ready pod-1 pod-2 || return 1
		run k get pods
		matches '^NAME +READY +STATUS +RESTARTS +AGE$' || return 1
		matches '^pod-1 +2/2 +Running +0 +[0-9]+s$' || return 1
		ip=$(get pod pod-1 .status.podIP)
		for port in 8000 8080; do
			answers "$ip:$port" || return 1
			curl -sfm 2 "http://$ip:$port/" | grep -q "^pod-1 kubetm/p$port" || return 1
			k exec pod-2 -- wget -qO- "http://$ip:$port/" | grep -q "^pod-1 kubetm/p$port" || return 1
		done
		k exec pod-1 -c container1 -- wget -qO- http://localhost:8080/ | grep -q "^pod-1 kubetm/p8080" || return 1
		for c in container1 container2; do
			k exec pod-1 -c "$c" -- ip addr | grep -q "inet $ip/" || return 1
		done
		says 0 'pod "pod-1" deleted' k delete -f pod-1-two-containers.yaml || return 1
		says 0 'pod "pod-2" deleted' k delete pod pod-2 || return 1
		says 0 "No resources found in default namespace." k get pods
	}
	every t
}

@test "the same port twice: the second container cannot bind, and its status says so" {
	t() {
		k create -f - <<-Y || return 1
			apiVersion: v1
			kind: Pod
			metadata: {name: twice}
			spec:
			  containers:
			  - {name: container1, image: kubetm/p8080}
			  - {name: container2, image: kubetm/p8080}
		Y
		wait_for 10 "the second one fails" sh -c 'kedge get pod twice | grep -qE "1/2 +(CrashLoopBackOff|Error)"' || return 1
		k logs twice -c container2 --previous | grep -qi "address already in use" ||
			k logs twice -c container1 --previous | grep -qi "address already in use" || return 1
		k delete pod twice --grace-period=1 || return 1
		empty
	}
	every t
}

@test "labels, a Service by selector, and a label that is changed" {
	t() {
		k create -f pod-2-labels.yaml && k create -f pod-1-two-containers.yaml || return 1
		[ "$(k get pods -l type=web -o name)" = pod/pod-2 ] || return 1
		[ "$(k get pods -l 'lo in (dev,prod)' -o name)" = pod/pod-2 ] || return 1
		[ "$(k get pods -l lo=prod 2>&1)" = "No resources found in default namespace." ] || return 1
		says 0 "service/svc-1 created" k create -f svc-1-selector.yaml || return 1
		ready pod-2 || return 1
		wait_for 5 "it is behind it" sh -c "kedge get endpoints svc-1 | grep -q $(get pod pod-2 .status.podIP):8080" || return 1
		says 1 "already has a value (dev), and --overwrite is false" k label pod pod-2 lo=prod || return 1
		says 0 "pod/pod-2 labeled" k label pod pod-2 lo=prod --overwrite || return 1
		[ "$(k get pods -l lo=prod -o name)" = pod/pod-2 ] || return 1
		k label pod pod-2 type=db --overwrite || return 1
		wait_for 5 "it is behind it no longer" sh -c 'kedge get endpoints svc-1 | grep -q "<none>"' || return 1
		run k get pods --show-labels
		matches '^pod-2 .*lo=prod,type=db$' || return 1
		k delete -f svc-1-selector.yaml && k delete pod pod-1 pod-2 || return 1
		empty
	}
	every t
}

@test "a node is chosen by its labels" {
	t() {
		run k get nodes --show-labels
		matches '^k8s-node1 +Ready .*kubernetes.io/hostname=k8s-node1' || return 1
		says 0 "pod/pod-2 created" k create -f pod-node-selector.yaml || return 1
		ready pod-1 || return 1
		[ "$(get pod pod-1 .spec.nodeName)" = k8s-node1 ] || return 1
		run k get pod pod-2
		matches '^pod-2 +0/1 +Pending' || return 1
		says 0 "node(s) didn't match Pod's node affinity/selector" k describe pod pod-2 || return 1
		k delete -f pod-node-selector.yaml || return 1
		k apply -f pooh-db-nginx-pod.yaml || return 1
		wait_for 5 "it waits" sh -c 'kedge describe pod pooh-db-nginx-pod | grep -q "0/1 nodes are available"' || return 1
		says 0 "node/k8s-node1 labeled" k label nodes k8s-node1 hostname=worker-node2 || return 1
		ready pooh-db-nginx-pod || return 1
		says 0 "hostname=worker-node2" k get nodes --show-labels || return 1
		says 0 "node/k8s-node1 unlabeled" k label nodes k8s-node1 hostname- || return 1
		[ -z "$(get node k8s-node1 .metadata.labels.hostname)" ] || return 1
		run k get pods # it stays
		matches '^pooh-db-nginx-pod +2/2 +Running' || return 1
		k delete -f pooh-db-nginx-pod.yaml || return 1
		empty
	}
	every t
}

@test "ClusterIP: the address stays when the pod behind it goes" {
	t() {
		sed '/^---$/,$d' pod-node-selector.yaml >"$W/pod-1.yaml"
		k create -f "$W/pod-1.yaml" && k create -f svc-1-clusterip.yaml || return 1
		run k get svc
		matches '^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE$' || return 1
		matches '^svc-1 +ClusterIP +10\.43\.[0-9.]+ +<none> +9000/TCP' || return 1
		ready pod-1 || return 1
		ip=$(get svc svc-1 .spec.clusterIP)
		answers "$ip:9000" || return 1
		was=$(get pod pod-1 .status.podIP)
		k delete pod pod-1 && k create -f "$W/pod-1.yaml" && ready pod-1 || return 1
		[ "$(get svc svc-1 .spec.clusterIP)" = "$ip" ] || return 1
		[ "$(get pod pod-1 .status.podIP)" != "$was" ] || return 1
		answers "$ip:9000" || return 1
		k delete -f svc-1-clusterip.yaml && k delete -f "$W/pod-1.yaml" || return 1
		empty
	}
	every t
}

@test "NodePort with externalTrafficPolicy Local, and a LoadBalancer without a provider" {
	t() {
		sed '/^---$/,$d' pod-node-selector.yaml >"$W/pod-1.yaml"
		k create -f "$W/pod-1.yaml" && ready pod-1 || return 1
		k create -f svc-2-nodeport-local.yaml && k create -f svc-3-loadbalancer.yaml || return 1
		run k get service
		matches '^svc-2 +NodePort +10\.43\.[0-9.]+ +<none> +9000:30000/TCP' || return 1
		says 0 "svc-3" k get service svc-3 || return 1
		matches '^svc-3 +LoadBalancer +10\.43\.[0-9.]+ +<pending> +9000:3[0-9]{4}/TCP' || return 1
		answers "$(node_ip):30000" || return 1
		says 1 'provided port is already allocated' k create service nodeport third --tcp=80:80 --node-port=30000 || return 1
		k delete pod pod-1 || return 1
		wait_for 5 "a node without one does not answer" silent "$(node_ip):30000" || return 1
		k delete svc svc-2 svc-3 || return 1
		empty
	}
	every t
}

@test "a pod is exposed" {
	t() {
		k label node k8s-node1 hostname=worker-node2 || return 1
		k apply -f pooh-db-nginx-pod.yaml || return 1
		ready pooh-db-nginx-pod || return 1
		says 0 "service/pooh-pod-service exposed" k expose pods pooh-db-nginx-pod --name=pooh-pod-service --type=NodePort || return 1
		run k get svc -o wide
		matches '^pooh-pod-service +NodePort +10\.43\.[0-9.]+ +<none> +3306:3[0-9]{4}/TCP,80:3[0-9]{4}/TCP +[0-9]+s +app=pooh-db-nginx-app$' || return 1
		answers "$(node_ip):$(get svc pooh-pod-service '.spec.ports[?(@.port==80)].nodePort')" || return 1
		says 0 'service "pooh-pod-service" deleted' k delete service pooh-pod-service || return 1
		says 1 'services "pooh-pod-service" not found' k get svc pooh-pod-service || return 1
		# the answer to the write has the address
		run k expose pod pooh-db-nginx-pod --name=second --port=80 -o 'jsonpath={.spec.clusterIP} {.spec.clusterIPs[0]} {.spec.ipFamilies[0]} {.spec.ipFamilyPolicy}'
		matches '^10\.43\.[0-9.]+ 10\.43\.[0-9.]+ IPv4 SingleStack$' || return 1
		[ "$(get svc second .spec.clusterIP)" = "${output%% *}" ] || return 1
		k delete svc second && k delete -f pooh-db-nginx-pod.yaml && k label node k8s-node1 hostname- || return 1
		empty
	}
	every t
}

@test "looking at a pod: get -o wide, describe, logs, exec in a terminal" {
	t() {
		says 0 "pod/my-nginx-pod created" k apply -f nginx-pod.yaml || return 1
		ready my-nginx-pod || return 1
		run k get pods -o wide
		matches '^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES$' || return 1
		matches '^my-nginx-pod +1/1 +Running +0 +[0-9]+s +10\.42\.[0-9.]+ +k8s-node1 +<none> +<none>$' || return 1
		run k describe pods my-nginx-pod
		for line in 'Name: +my-nginx-pod' 'Namespace: +default' 'Node: +k8s-node1/' 'Status: +Running' 'IP: +10.42' \
			'  my-nginx-container:' '    Image: +nginx:latest' '    Port: +80/TCP' '      Started: ' 'Conditions:' \
			'QoS Class: +BestEffort' 'Annotations: +<none>' 'Events:' 'Created container'; do
			matches "$line" || return 1
		done
		k logs my-nginx-pod || return 1
		run script -qec "HOME=$W KUBECONFIG=/dev/null timeout --foreground 20 $K --server=http://$API exec -it my-nginx-pod -c my-nginx-container -- sh -c 'test -t 0 && echo a terminal; hostname; exit 3'" /dev/null
		[ "$status" = 3 ] || return 1
		has "a terminal" && has my-nginx-pod || return 1
		says 0 "pod/my-nginx-pod unchanged" k apply -f nginx-pod.yaml || return 1
		says 0 'pod "my-nginx-pod" deleted' k delete -f nginx-pod.yaml || return 1
		says 1 'Error from server (NotFound)' k delete -f nginx-pod.yaml || return 1
		says 0 "No resources found in default namespace." k get pods
	}
	every t
}

@test "a database without its password crashes, counts up, and says why" {
	t() {
		k run forgetful --image=mysql || return 1
		wait_for 15 "it crashed" sh -c 'kedge get pod forgetful | grep -q "CrashLoopBackOff *[1-9]"' || return 1
		run k get pod forgetful
		matches '^forgetful +0/1 +CrashLoopBackOff +[1-9]' || return 1
		says 0 "database is uninitialized" k logs --previous forgetful || return 1
		k delete pod forgetful || return 1
		empty
	}
	every t
}

@test "ReplicaSet: what is deleted is replaced, what loses its label is let go" {
	t() {
		says 0 "replicaset.apps/replicaset-nginx created" k apply -f replicaset-nginx.yaml || return 1
		k wait --for=condition=Ready pod -l app=my-nginx-pods-label --timeout=30s || return 1
		wait_for 10 "three" has_ready app=my-nginx-pods-label 3 || return 1
		run k get rs
		matches '^NAME +DESIRED +CURRENT +READY +AGE$' || return 1
		matches '^replicaset-nginx +3 +3 +3 +[0-9]+s$' || return 1
		one=$(k get pods -o name | head -n 1)
		k delete "$one" || return 1
		wait_for 10 "three again" has_ready app=my-nginx-pods-label 3 || return 1
		free=$(k get pods -o name | head -n 1)
		says 0 "unlabeled" k label "$free" app- || return 1
		wait_for 10 "three beside it" sh -c '[ "$(kedge get pods -o json | jq ".items | length")" = 4 ]' || return 1
		wait_for 10 "three ready" has_ready app=my-nginx-pods-label 3 || return 1
		[ -z "$(k get "$free" -o 'jsonpath={.metadata.ownerReferences}')" ] || return 1
		says 0 "replicaset.apps/replicaset-nginx scaled" k scale rs replicaset-nginx --replicas=1 || return 1
		wait_for 10 "one" has_ready app=my-nginx-pods-label 1 || return 1
		says 0 "Controlled By:  ReplicaSet/replicaset-nginx" k describe pod -l app=my-nginx-pods-label || return 1
		says 0 "SuccessfulCreate" k describe rs replicaset-nginx || return 1
		k delete -f replicaset-nginx.yaml || return 1
		wait_for 10 "the free one alone is left" sh -c '[ "$(kedge get pods -o json | jq ".items | length")" = 1 ]' || return 1
		[ "$(k get pods -o name)" = "$free" ] || return 1
		k delete "$free" || return 1
		empty
	}
	every t
}

@test "Deployment: recorded updates, a broken image, history, undo, restart" {
	t() {
		k apply -f deployment-nginx.yaml --record || return 1
		says 0 'deployment "my-nginx-deployment" successfully rolled out' k rollout status deployment my-nginx-deployment || return 1
		run k get deployment,replicaset,pods
		matches '^deployment.apps/my-nginx-deployment +3/3 +3 +3' || return 1
		matches '^replicaset.apps/my-nginx-deployment-[a-z0-9]+ +3 +3 +3' || return 1
		matches '^pod/my-nginx-deployment-[a-z0-9]+-[a-z0-9]{5} +1/1 +Running' || return 1
		first=$(k get rs -o name)
		says 0 "deployment.apps/my-nginx-deployment image updated" k set image deployment my-nginx-deployment nginx=nginx:1.11 --record || return 1
		k rollout status deployment my-nginx-deployment || return 1
		[ "$(get deploy my-nginx-deployment '..image')" = nginx:1.11 ] || return 1
		k set image deployment my-nginx-deployment nginx=nginx:nothing --record || return 1
		wait_for 15 "the new ones wait" sh -c 'kedge get pods | grep -qE "ErrImagePull|ImagePullBackOff"' || return 1
		[ "$(pods_ready app=my-nginx)" = 3 ] || return 1
		says 1 "timed out waiting" k rollout status deployment my-nginx-deployment --timeout=1s || return 1
		run k rollout history deployment my-nginx-deployment
		matches '^REVISION +CHANGE-CAUSE$' || return 1
		matches '^1 +kubectl.* apply .*--filename=deployment-nginx.yaml --record=true$' || return 1
		matches '^2 +kubectl.* set image deployment my-nginx-deployment nginx=nginx:1.11 ' || return 1
		matches '^3 +kubectl.* set image deployment my-nginx-deployment nginx=nginx:nothing ' || return 1
		says 0 "nginx:1.11" k rollout history deployment my-nginx-deployment --revision=2 || return 1
		says 0 "rolled back" k rollout undo deployment my-nginx-deployment --to-revision=1 || return 1
		k rollout status deployment my-nginx-deployment || return 1
		[ "$(k get "$first" -o 'jsonpath={.status.readyReplicas}')" = 3 ] || return 1
		[ "$(k get rs -o json | jq -c '[.items[].spec.replicas] | sort')" = '[0,0,3]' ] || return 1
		run k rollout history deployment my-nginx-deployment
		matches '^4 +kubectl' || return 1
		if grep -qE '^1 ' <<<"$output"; then return 1; fi
		says 1 "unable to find" k rollout undo deployment my-nginx-deployment --to-revision=1 || return 1
		says 0 "deployment.apps/my-nginx-deployment restarted" k rollout restart deployment my-nginx-deployment || return 1
		k rollout status deployment my-nginx-deployment || return 1
		says 0 "deployment.apps/my-nginx-deployment scaled" k scale deployment my-nginx-deployment --replicas=1 || return 1
		k rollout status deployment my-nginx-deployment || return 1
		says 0 "ScalingReplicaSet" k describe deployment my-nginx-deployment || return 1
		matches '^Replicas: +1 desired \| 1 updated \| 1 total \| 1 available \| 0 unavailable$' || return 1
		matches '^Annotations: +deployment.kubernetes.io/revision: 5' || return 1
		says 0 'deployment.apps "my-nginx-deployment" deleted' k delete -f deployment-nginx.yaml || return 1
		empty
	}
	every t
}

@test "three that say who they are, by ClusterIP, NodePort, and from a pod that is gone after" {
	t() {
		k apply -f hostname-deployment.yaml && k apply -f hostname-svc-clusterip.yaml -f hostname-svc-nodeport.yaml || return 1
		k rollout status deployment hostname-deployment || return 1
		k get pods -l app=webserver -o name | sed 's|pod/||' | sort >"$W/names"
		ip=$(get svc hostname-svc-clusterip .spec.clusterIP)
		answers "$ip:8080" || return 1
		who "$ip:8080" 40 | diff - "$W/names" || return 1
		run k get svc hostname-svc-nodeport
		matches '^hostname-svc-nodeport +NodePort +[0-9.]+ +<none> +8080:3[0-9]{4}/TCP' || return 1
		who "$(node_ip):$(get svc hostname-svc-nodeport '.spec.ports[0].nodePort')" 40 | diff - "$W/names" || return 1
		run k get endpoints hostname-svc-clusterip
		matches '^hostname-svc-clusterip +10\.42\.[0-9.]+:80,10\.42\.[0-9.]+:80,10\.42\.[0-9.]+:80 ' || return 1
		run k get endpointslices
		matches '^hostname-svc-clusterip-[a-z0-9]{5} +IPv4 +80 ' || return 1
		for at in "$ip" hostname-svc-clusterip; do
			run k run -i --rm debug --image=alicek106/ubuntu:curl --restart=Never -- sh <<<"for i in \$(seq 30); do wget -qO- http://$at:8080/; done | cut -d' ' -f1 | sort -u"
			[ "$status" = 0 ] || return 1
			for name in $(cat "$W/names"); do has "$name" || return 1; done
			has 'pod "debug" deleted' || return 1
			says 1 'pods "debug" not found' k get pod debug || return 1
		done
		k delete -f hostname-deployment.yaml -f hostname-svc-clusterip.yaml -f hostname-svc-nodeport.yaml || return 1
		empty
	}
	every t
}

@test "kubectl run -it --rm in a terminal, with the exit code of the shell" {
	t() {
		: >"$W/typed"
		sees() { wait_for 10 "$1" grep -q "$1" "$W/typed"; }
		typed() {
			(
				sees "command prompt"
				echo 'tty; hostname'
				sees /dev/pts/
				echo 'exit 3'
				sees 'terminated (Error)' # until then the input stays open
			) |
				script -qec "HOME=$W KUBECONFIG=/dev/null timeout --foreground 40 $K --server=http://$API run -i --tty --rm debug --image=alicek106/ubuntu:curl --restart=Never -- sh" /dev/null | tee "$W/typed"
			return "${PIPESTATUS[1]}"
		}
		run typed
		has /dev/pts/ || return 1
		has 'pod "debug" deleted' || return 1
		has 'pod default/debug terminated (Error)' || return 1
		[ "$status" = 3 ] || { echo "ended with $status"; return 1; }
		says 1 'pods "debug" not found' k get pod debug || return 1
		says 4 'terminated (Error)' k run -i --rm quick --image=kubetm/init --restart=Never -- sh -c 'exit 4' || return 1
		empty
	}
	every t
}

@test "one client always meets the same pod" {
	t() {
		k apply -f hostname-deployment.yaml && k rollout status deployment hostname-deployment || return 1
		k expose deployment hostname-deployment --name=sticky --port=8080 --target-port=80 --session-affinity=ClientIP || return 1
		ip=$(get svc sticky .spec.clusterIP)
		answers "$ip:8080" || return 1
		[ "$(who "$ip:8080" 20 | wc -l)" = 1 ] || return 1
		k patch svc sticky -p '{"spec":{"sessionAffinity":"None"}}' || return 1
		wait_for 10 "all answer" sh -c "[ \"\$(for i in \$(seq 20); do curl -sm 2 http://$ip:8080/; done | cut -d' ' -f1 | sort -u | wc -l)\" = 3 ]" || return 1
		k delete svc sticky && k delete -f hostname-deployment.yaml || return 1
		empty
	}
	every t
}

@test "ExternalName and headless, by their names in a pod" {
	t() {
		k apply -f externalname-svc.yaml -f hostname-deployment.yaml || return 1
		run k get svc externalname-svc
		matches '^externalname-svc +ExternalName +<none> +my.database.com +<none>' || return 1
		k create service clusterip webserver --clusterip=None || return 1
		[ "$(get svc webserver .spec.clusterIP)" = None ] || return 1
		k set selector svc webserver app=webserver || return 1
		k rollout status deployment hostname-deployment || return 1
		k run look --image=kubetm/init && ready look || return 1
		run k exec look -- nslookup -type=cname externalname-svc.default.svc.cluster.local
		has my.database.com || return 1
		run k exec look -- nslookup webserver.default.svc.cluster.local
		for ip in $(k get pods -l app=webserver -o 'jsonpath={.items[*].status.podIP}'); do has "$ip" || return 1; done
		k delete pod look --grace-period=1 && k delete svc webserver || return 1
		k delete -f externalname-svc.yaml -f hostname-deployment.yaml || return 1
		empty
	}
	every t
}

@test "blue and green: a Service's label is switched" {
	t() {
		k create deployment blue --image=nginx:1.11 --replicas=2 && k create deployment green --image=nginx:latest || return 1
		k rollout status deployment blue && k rollout status deployment green || return 1
		says 0 "service/front exposed" k expose deployment blue --name=front --port=80 || return 1
		ip=$(get svc front .spec.clusterIP)
		answers "$ip" || return 1
		who "$ip" 20 | grep -q '^blue-' || return 1
		says 0 "service/front patched" k patch service front -p '{"spec":{"selector":{"app":"green"}}}' || return 1
		wait_for 5 "green answers" sh -c "curl -sfm 1 http://$ip/ | grep -q ^green-" || return 1
		[ "$(who "$ip" 20 | grep -vc '^green-')" = 0 ] || return 1
		says 0 front k describe svc front || return 1
		matches '^Selector: +app=green$' || return 1
		k delete svc front && k delete deployment blue green || return 1
		empty
	}
	every t
}

@test "a log collector beside a program, with a volume that both have" {
	t() {
		k apply -f - <<-Y || return 1
			apiVersion: v1
			kind: Pod
			metadata: {name: collected}
			spec:
			  terminationGracePeriodSeconds: 1
			  volumes: [{name: log, emptyDir: {}}]
			  containers:
			  - name: program
			    image: kubetm/init
			    command: [sh, -c, "echo a line of the program > /var/log/out; exec talk wait"]
			    volumeMounts: [{name: log, mountPath: /var/log}]
			  - name: collector
			    image: kubetm/init
			    command: [sh, -c, "exec tail -F /in/out"]
			    volumeMounts: [{name: log, mountPath: /in, readOnly: true}]
		Y
		ready collected || return 1
		wait_for 5 "it is collected" sh -c 'kedge logs collected -c collector | grep -q "a line of the program"' || return 1
		says 0 "a line of the program" k logs collected -c collector || return 1
		says 0 "emptyDir" k get pod collected -o yaml || return 1
		says 1 "Read-only file system" k exec collected -c collector -- touch /in/x || return 1
		k delete pod collected || return 1
		empty
	}
	every t
}
