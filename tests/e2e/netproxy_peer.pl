#!/usr/bin/perl
# netproxy_peer.pl -- the other side of netproxy's tests.
#   serve NAME PORT                  TCP and UDP: answers "NAME ADDRESS-OF-CLIENT"
#   ask IP PORT COUNT [SRCPORT]      UDP: one line an answer, or "none", "refused"
#   hold IP PORT SECONDS             one TCP connection that stays
#   talk IP PORT                     one TCP connection: says what it is told, and what is answered
#   ports IP PORT FIRST COUNT [GO]   HTTP, a connection from each of COUNT ports; with GO all
#                                    ask together, when the file GO is there: how many answers
#   spoof FROM TO PORT               one UDP datagram with somebody else's address
#   arp                              ARP on all links: "who-has IP tell IP at MAC", "IP is at MAC"
use strict;
use warnings;
use Errno;
use IO::Select;
use IO::Socket::IP;
use Socket qw(:DEFAULT getnameinfo NI_NUMERICHOST NIx_NOSERV);
$| = 1;
$SIG{CHLD} = 'IGNORE';
my $mode = shift;

sub client {
	my (undef, $ip) = getnameinfo(shift, NI_NUMERICHOST, NIx_NOSERV);
	return $ip =~ s/^::ffff://r;
}

sub serve {
	my ($name, $port) = @_;
	# of both families, also where the namespace has addresses of one
	my @here = (LocalHost => '::', LocalPort => $port, V6Only => 0, GetAddrInfoFlags => 0);
	my $tcp = IO::Socket::IP->new(@here, Listen => 512, ReuseAddr => 1) or die "listen $port: $!";
	my $udp = IO::Socket::IP->new(@here, Proto => 'udp') or die "udp $port: $!";
	my $both = IO::Select->new($tcp, $udp);
	while (1) {
		for my $s ($both->can_read) {
			if ($s == $udp) {
				my $from = $udp->recv(my $text, 2048) or next;
				$udp->send("$name " . client($from) . "\n", 0, $from);
				next;
			}
			my $c = $tcp->accept or next;
			next if fork;
			sysread $c, my $ask, 4096;
			syswrite $c, "HTTP/1.0 200 OK\r\n\r\n$name " . client($c->peername) . "\n" if $ask && $ask =~ /^GET/;
			sysread $c, $ask, 1 unless $ask && $ask =~ /^GET/;
			exit 0;
		}
	}
}

sub ask {
	my ($ip, $port, $count, $from) = @_;
	my $s = IO::Socket::IP->new(Proto => 'udp', PeerAddr => $ip, PeerPort => $port,
		$from ? (LocalPort => $from, ReuseAddr => 1) : ()) or die "udp: $!";
	my $wait = IO::Select->new($s);
	for (1 .. $count) {
		$s->send('?') or do { print $!{ECONNREFUSED} ? "refused\n" : "$!\n"; next };
		if (!$wait->can_read(1)) { print "none\n"; next }
		my $got = $s->recv(my $text, 2048);
		print defined $got ? $text : $!{ECONNREFUSED} ? "refused\n" : "$!\n";
	}
}

sub hold {
	my ($ip, $port, $seconds) = @_;
	my $s = IO::Socket::IP->new(PeerAddr => $ip, PeerPort => $port) or die "connect: $!";
	print "held\n";
	sleep $seconds;
}

sub talk {
	my ($ip, $port) = @_;
	my $s = IO::Socket::IP->new(PeerAddr => $ip, PeerPort => $port) or die "connect: $!";
	print "connected\n";
	while (my $line = <STDIN>) {
		syswrite $s, $line or die "say: $!";
		print while <$s>;
	}
}

sub ports {
	my ($ip, $port, $first, $count, $go) = @_;
	my ($answers, @open) = (0);
	my $ask = sub {
		my ($s) = @_;
		print $s "GET / HTTP/1.0\r\n\r\n";
		$answers++ if (<$s> // '') =~ / 200 /;
		1 while <$s>;
		close $s;
	};
	for my $from ($first .. $first + $count - 1) {
		my $s = IO::Socket::IP->new(PeerAddr => $ip, PeerPort => $port, LocalPort => $from,
			ReuseAddr => 1) or die "connect from $from: $!";
		$s->setsockopt(SOL_SOCKET, SO_RCVTIMEO, pack 'l!l!', 3, 0);
		$s->autoflush;
		$go ? push @open, $s : $ask->($s);
	}
	if ($go) {
		print "open\n";
		select undef, undef, undef, 0.01 until -e $go;
	}
	$ask->($_) for @open;
	print "$answers\n";
}

sub spoof {
	my ($from, $to, $port) = @_;
	socket(my $raw, AF_INET, SOCK_RAW, 255) or die "raw: $!";
	my $udp = pack 'nnnna*', 4444, $port, 8 + 6, 0, 'forged';
	my $ip = pack 'CCnnnCCna4a4', 0x45, 0, 20 + length $udp, 1, 0, 64, 17, 0, inet_aton($from), inet_aton($to);
	send $raw, $ip . $udp, 0, sockaddr_in($port, inet_aton($to)) or die "send: $!";
}

sub arp {
	socket(my $raw, 17, SOCK_RAW, unpack 'S', pack 'n', 0x0806) or die "packets: $!"; # AF_PACKET
	print "listening\n";
	while (defined recv $raw, my $frame, 2048, 0) {
		my ($op, $mac, $from, $to) = unpack 'x14 x6 n H12 a4 x6 a4', $frame;
		$_ = inet_ntoa($_) for $from, $to;
		$mac = join ':', $mac =~ /../g;
		print $op == 1 ? "who-has $to tell $from at $mac\n" : "$from is at $mac\n";
	}
}

my %modes = (arp => \&arp, serve => \&serve, ask => \&ask, hold => \&hold, talk => \&talk, ports => \&ports,
	spoof => \&spoof);
$modes{$mode}->(@ARGV);
