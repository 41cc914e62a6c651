#!/usr/bin/perl
# kubeproxy.pl N full|change|nft ENDPOINT... -- the rules of N services as kube-proxy lays them out,
# for iptables-restore --noflush; with nft for `nft -f`: a verdict map of services, and then the
# last service has only the first endpoint.  `full` is all of them; `change` what kube-proxy (1.28 and
# later) writes when the last service loses an endpoint: its own chains, and the chains that
# dispatch, whole.  The comments are left out, and all of them come in many transactions, where
# kube-proxy has one: both in its favour.
use strict;
use warnings;
my ($n, $what, @ends) = @ARGV;
my (@chains, @dispatch, @rules);
sub vip { my $i = shift; join '.', 10, 44, 16 + ($i >> 8), $i & 255 }
my $change = $what eq 'change';
if ($what eq 'nft') {
	print "table ip kp {\n map addresses { type ipv4_addr . inet_proto . inet_service : verdict\n elements = {",
		join(",\n", map { vip($_) . " . tcp . 80 : goto svc-$_" } 0 .. $n - 1), "} }\n chain masq { meta mark set meta mark or 0x4000; }\n";
	for my $i (0 .. $n - 1) {
		my @now = $i < $n - 1 ? @ends : $ends[0];
		for my $k (0 .. $#now) {
			my ($ip) = split /:/, $now[$k];
			print " chain ep-$i-$k { ip saddr $ip jump masq; meta l4proto tcp dnat to $now[$k]; }\n";
		}
		printf " chain svc-$i { ip daddr %s tcp dport 80 ip saddr != 10.42.0.0/16 jump masq; numgen random mod %d vmap { %s }; }\n",
			vip($i), scalar @now, join ', ', map { "$_ : goto ep-$i-$_" } 0 .. $#now;
	}
	print " chain services { ip daddr . meta l4proto . th dport vmap \@addresses; }\n",
		" chain out { type nat hook output priority -100; jump services; }\n chain pre { type nat hook prerouting priority -100; jump services; }\n",
		" chain post { type nat hook postrouting priority 100; meta mark & 0x4000 == 0 return; meta mark set meta mark xor 0x4000; masquerade fully-random; }\n}\n";
	exit;
}
for my $i (0 .. $n - 1) {
	if (@chains > 1000) {
		print "*nat\n", map({":$_ - [0:0]\n"} @chains, 'KUBE-MARK-MASQ'), map({"$_\n"} @rules), "COMMIT\n";
		@chains = @rules = ();
	}
	my ($vip, $svc, $k) = (vip($i), sprintf('KUBE-SVC-%013d', $i), 0);
	push @dispatch, "-A KUBE-SERVICES -d $vip/32 -p tcp -m tcp --dport 80 -j $svc";
	next if $change && $i < $n - 1;
	my @now = $change ? @ends[0 .. $#ends - 1] : @ends;
	push @chains, $svc;
	push @rules, "-A $svc ! -s 10.42.0.0/16 -d $vip/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ";
	for my $end (@now) {
		my $sep = sprintf 'KUBE-SEP-%012d%d', $i, $k;
		my $left = @now - $k++;
		my ($ip) = split /:/, $end;
		push @chains, $sep;
		push @rules, "-A $svc" . ($left > 1 ? sprintf(' -m statistic --mode random --probability %.10f', 1 / $left) : '') . " -j $sep",
			"-A $sep -s $ip/32 -j KUBE-MARK-MASQ", "-A $sep -p tcp -m tcp -j DNAT --to-destination $end";
	}
}
print "*nat\n", map({":$_ - [0:0]\n"} 'KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-MARK-MASQ', 'KUBE-POSTROUTING', @chains);
print "-I OUTPUT 1 -j KUBE-SERVICES\n" unless $change;
print map({"$_\n"} '-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000',
	'-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
	'-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000', '-A KUBE-POSTROUTING -j MASQUERADE --random-fully',
	@rules, @dispatch, '-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'), "COMMIT\n";
