#!/usr/bin/perl
# dns_upstream.pl ADDRESS PORT LOG MARK [LACK]... -- another DNS server, over UDP and TCP: every
# name is 192.0.2.MARK, but for those that make it misbehave.  Each question is a line of LOG.
# LACK: "tcp", it listens at UDP alone; "case", it writes every question in small letters.
use strict;
use warnings;
use IO::Socket::IP;
use IO::Select;

my ($ip, $port, $log, $mark, @lack) = @ARGV;
my %lacks = map { $_ => 1 } @lack;
my %how = (LocalHost => $ip, LocalPort => $port, ReuseAddr => 1);
my $udp = IO::Socket::IP->new(%how, Proto => 'udp') or die "udp: $!";
my $tcp = $lacks{tcp} ? undef : IO::Socket::IP->new(%how, Proto => 'tcp', Listen => 16) // die "tcp: $!";
open(my $out, '>>', $log) or die;
$out->autoflush(1);

# (id, name as text, the question's bytes, type)
sub question {
	my ($m) = @_;
	my ($at, @labels) = (12);
	while ((my $n = ord substr($m, $at, 1)) > 0) {
		push @labels, substr($m, $at + 1, $n);
		$at += $n + 1;
	}
	return (unpack('n', $m), join('.', @labels), substr($m, 12, $at + 5 - 12), unpack('n', substr($m, $at + 1, 2)));
}
sub address { "\xc0\x0c" . pack('nnNn', 1, 1, 60, 4) . pack('C4', split /\./, $_[0]) }
sub message {
	my ($id, $flags, $question, $records, $authority) = @_;
	return pack('n6', $id, 0x8180 | $flags, 1, scalar @$records, $authority ? 1 : 0, 0) . $question . join('', @$records) . ($authority // '');
}

sub answers { # of a question, over tcp or not: the messages to send
	my ($m, $over_tcp) = @_;
	my ($id, $name, $q, $type) = question($m);
	$q = lc $q if $lacks{case};
	my $low = lc $name;
	print $out(($over_tcp ? 'tcp' : 'udp') . " $low $type\n");
	my $true = message($id, 0, $q, [address("192.0.2.$mark")]);
	my $bad = [address('6.6.6.6')];
	return () if $low =~ /^silent\./;
	return (message($id ^ 1, 0, $q, $bad), message($id, 0, lc($q), $bad), message($id, 0, uc($q), $bad),
		message($id, 0, "\x04evil\x00\x00\x01\x00\x01", $bad), substr($true, 0, 5), $true) if $low =~ /^forged\./ && !$over_tcp;
	return (message($id, 0, lc $q, [address("192.0.2.$mark")])) if $low =~ /^folded\./;
	return (message($id, 0x200, $q, [])) if $low =~ /^big\./ && !$over_tcp;
	return (message($id, 0, $q, [map { address("192.0.2.$_") } 1 .. 100])) if $low =~ /^big\./;
	return (message($id, 2, $q, [])) if $low =~ /^fail\./;
	return (message($id, 3, $q, [], "\xc0\x0c" . pack('nnNn', 6, 1, 60, 22) . "\0\0" . pack('N5', 1, 2, 3, 4, 60))) if $low =~ /^nx\./;
	return (message($id, 0, $q, [])) if $type != 1;
	return ($true);
}

my $all = IO::Select->new(grep { defined } $udp, $tcp);
while (my @ready = $all->can_read) {
	for my $s (@ready) {
		if ($s == $udp) {
			my $from = $udp->recv(my $m, 4096) or next;
			$udp->send($_, 0, $from) for answers($m, 0);
		} elsif ($tcp && $s == $tcp) {
			$all->add(scalar $tcp->accept);
		} else {
			my $n = $s->sysread(my $m, 4096);
			if (!$n) { $all->remove($s); $s->close; next; }
			$s->syswrite(pack('n', length) . $_) for answers(substr($m, 2), 1);
		}
	}
}
