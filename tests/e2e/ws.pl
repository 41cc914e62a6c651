# ws.pl SOCKET PATH -- a WebSocket client with no manners: prints each message as
# "CHANNEL TEXT", a goodbye as "goodbye CODE" without answering it, and "hung up"
# at the end.
use strict;
use warnings;
use IO::Socket::UNIX;
$| = 1;
$SIG{ALRM} = sub { print "still open\n"; exit 1 };
alarm 20;

my ($socket, $path) = @ARGV;
my $s = IO::Socket::UNIX->new(Peer => $socket) or die "$socket: $!";
print $s "GET $path HTTP/1.1\r\nHost: kedge\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2VkZ2UtdGVzdHMtMDAwMA==\r\n",
	"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n";
$s->flush;

sub take {
	my ($want, $got) = (shift, '');
	while (length $got < $want) {
		my $n = sysread $s, $got, $want - length $got, length $got;
		if (!$n) { print "hung up\n"; exit 0 }
	}
	return $got;
}

my $head = '';
$head .= take(1) until $head =~ /\r\n\r\n$/;
if ($head !~ m{^HTTP/1.1 101 }) { print $head; exit 1 }
while (1) {
	my ($op, $n) = unpack 'CC', take(2);
	$n = unpack 'n', take(2) if $n == 126;
	$n = unpack 'Q>', take(8) if $n == 127;
	my $bytes = take($n);
	if (($op & 15) == 8) { printf "goodbye %d\n", unpack 'n', $bytes }
	elsif (($op & 15) == 2) { printf "%d %s\n", ord $bytes, substr($bytes, 1) =~ s/\n$//r }
}
