#!/usr/bin/env bats
# Names and namespaces: hosts, resolv.conf, host names, shared processes, and what is the host's.
load kit.bash

setup_file() {
	CONFIG=$'network: {clusterDNS: 10.43.0.10}\nallow: {hostNetwork: true, hostPID: true}' file_begin
}
setup() { file_test; }
teardown_file() { file_end; }

too_long() {
	kedge get events -o json | jq -r '.items[] | select(.involvedObject.name == "long") | .reason + " " + .message' |
		grep -E '^FailedCreatePodSandBox failed to construct FQDN from pod hostname and cluster domain, FQDN long\.a{34}\.default\.svc\.cluster\.local is too long \(64 characters is the max, 65 characters requested\)$'
}

@test "hosts and resolv.conf are as Kubernetes writes them" {
	{
		SPEC='hostname: me
subdomain: club
setHostnameAsFQDN: true
hostAliases: [{ip: 192.0.2.9, hostnames: [nine]}, {ip: 192.0.2.7, hostnames: [seven, seven.example]}, {ip: "2001:db8::8", hostnames: [eight]}]' pod fqdn box:1
		SPEC='dnsPolicy: None
dnsConfig: {nameservers: [192.0.2.53], searches: [my.example], options: [{name: ndots, value: "2"}, {name: edns0}]}' pod none box:1
		SPEC='dnsPolicy: Default' pod hosts box:1
		SPEC="setHostnameAsFQDN: true
subdomain: $(printf 'a%.0s' $(seq 34))" pod long box:1
		SPEC="setHostnameAsFQDN: true
subdomain: $(printf 'a%.0s' $(seq 34))" pod fit box:1
	} | put names
	up fqdn
	up none
	up hosts
	up fit
	[ "$(in_ fit hostname)" = "fit.$(printf 'a%.0s' $(seq 34)).default.svc.cluster.local" ] # 64, all that the kernel takes
	[ "$(in_ fit sh -c 'echo $HOSTNAME')" = "$(in_ fit cat /etc/hostname)" ]
	[ "$(in_ fqdn hostname)" = me.club.default.svc.cluster.local ]
	ip=$(field pod fqdn .status.podIP)
	wait_for 10 "too long a name" too_long
	diff <(in_ fqdn cat /etc/hosts) - <<-Y
		# Kubernetes-managed hosts file.
		127.0.0.1	localhost
		::1	localhost ip6-localhost ip6-loopback
		fe00::0	ip6-localnet
		fe00::0	ip6-mcastprefix
		fe00::1	ip6-allnodes
		fe00::2	ip6-allrouters
		$ip	me.club.default.svc.cluster.local	me

		# Entries added by HostAliases.
		192.0.2.9	nine
		192.0.2.7	seven	seven.example
		2001:db8::8	eight
	Y
	in_ fqdn cat /etc/resolv.conf | grep -qE '^search default.svc.cluster.local svc.cluster.local cluster.local'
	in_ fqdn cat /etc/resolv.conf | grep -qx 'nameserver 10.43.0.10'
	in_ fqdn cat /etc/resolv.conf | grep -qx 'options ndots:5'
	[ "$(in_ none cat /etc/resolv.conf)" = $'search my.example\nnameserver 192.0.2.53\noptions ndots:2 edns0' ]
	[ "$(in_ hosts grep nameserver /etc/resolv.conf)" = "$(grep -m3 ^nameserver /etc/resolv.conf)" ]
	drop names
}

@test "with shareProcessNamespace containers see and signal each other, and leave nothing behind" {
	SPEC='shareProcessNamespace: true
restartPolicy: OnFailure' pod both box:1 '["/bin/sh", "-c", "sleep 7001 & exec sleep 7002"]' | sed '$d' >"$W/both.yaml"
	cat >>"$W/both.yaml" <<-'Y'
		  - name: other
		    image: box:1
		    command: [/bin/sleep, "7003"]
	Y
	put both <"$W/both.yaml"
	up both
	kedge exec both -c other -- /bin/busybox ps | grep -q 'sleep 7002'
	kedge exec both -c other -- /bin/sh -c 'kill $(ps | grep "[s]leep 7002" | sed "s/^ *//; s/ .*//")'
	wait_for 10 "it is restarted" st_is both .restartCount 1
	up both
	[ "$(kedge exec both -c other -- /bin/busybox ps | grep -c 'sleep 7001')" = 1 ]
	drop both
	nothing_runs() { ! pgrep -f '^sleep 700' >/dev/null; }
	wait_for 10 "all of it is gone" nothing_runs
}

@test "hostNetwork and hostPID are the host's; what is not allowed names its row" {
	{
		SPEC='hostNetwork: true' pod net box:1 '["/bin/talk", "tcp", "7070"]'
		SPEC=$'hostNetwork: true\ndnsPolicy: ClusterFirstWithHostNet' pod netdns box:1
		SPEC='hostPID: true' pod pids box:1 '["/bin/sleep", "7004"]'
		SPEC='hostIPC: true' pod ipc box:1
	} | put host
	up net
	up pids
	[ "$(in_ net hostname)" = "$(hostname)" ]
	[ "$(field pod net .status.podIP)" = "$(field pod net .status.hostIP)" ]
	[ "$(readlink /proc/self/ns/net)" = "$(in_ net readlink /proc/self/ns/net)" ]
	nc 127.0.0.1 7070 </dev/null | grep -q 7070
	in_ net head -1 /etc/hosts | grep -qx '# Kubernetes-managed hosts file (host network).'
	in_ net grep -q localhost /etc/hosts
	# whose resolvers are the host's, whatever dnsPolicy it has by default
	[ "$(in_ net grep nameserver /etc/resolv.conf)" = "$(grep -m3 ^nameserver /etc/resolv.conf)" ]
	run in_ net grep -E 'cluster.local|ndots' /etc/resolv.conf
	[ "$output" = "" ]
	up netdns
	in_ netdns grep -qx 'nameserver 10.43.0.10' /etc/resolv.conf
	in_ netdns grep -qE '^search default.svc.cluster.local svc.cluster.local cluster.local' /etc/resolv.conf
	in_ netdns grep -qx 'options ndots:5' /etc/resolv.conf
	in_ pids /bin/busybox ps | grep -qE "^ *$KEDGED .*kedged"
	wait_for 10 "the row is named" sh -c 'kedge describe pod ipc | tr -s " \n" " " | grep -q "hostIPC: true is not allowed: the operator has to set allow.hostIPC: true in kedge.yaml"'
	drop host
	nothing_runs() { ! pgrep -f '^/bin/sleep 7004' >/dev/null && ! pgrep -f '^/bin/talk tcp 7070' >/dev/null; }
	wait_for 10 "all of it is gone" nothing_runs
	wait_for 10 "the store has forgotten" sh -c '! kedge get pod pids net netdns 2>/dev/null | grep -q .'
}
