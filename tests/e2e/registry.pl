#!/usr/bin/perl
# registry.pl PORT LAYOUT [KEY FILE CERT FILE] -- a registry that lies, stalls or asks for
# tokens as LAYOUT/behave says, a word a line, read anew for each request:
#
#   token=REALM      blobs and manifests need the bearer token "let-me-in"; /token gives it to
#                    user:secret (and to nobody else)
#   once-STATUS=N    the first N requests of a blob are answered with that status
#   retry-after=S    and this header
#   break=N          the first answer of a blob breaks off after N bytes
#   no-range         ranges are not understood
#   slow=N           N bytes a second
#   stall            a blob's body begins and never goes on
#   endless          a blob goes on without end after what it should be
#   long             a blob has some bytes more
#   corrupt          a blob's middle byte is another one
#   hold            a layer's bytes come once LAYOUT/go is there; each request of one adds to
#                   LAYOUT/together how many were being answered then
#   mute=N          the first N questions for a manifest get no answer, ever
#   mute-token=N    the same of tokens
#   dribble=N       a manifest comes in pieces of N bytes a tenth of a second
#   type=T           a manifest's Content-Type
#   lie              a manifest by digest is another document
#   redirect=URL     blobs are at URL/DIGEST
#
# Each request is a line of LAYOUT/requests: METHOD PATH authorization=... range=...
use strict;
use warnings;
use IO::Socket::INET;
use MIME::Base64;
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
my ($port, $dir) = @ARGV;
my $server = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1)
	or die "listen: $!";

sub slurp { my $f = shift; local $/; open(my $h, '<:raw', $f) or return undef; my $x = <$h>; $x }
sub behave { map { /^([^=]+)=?(.*)$/ ? ($1, $2) : () } split /\n/, (slurp("$dir/behave") // '') }
# how often this was asked before
sub before {
	my $what = shift;
	$what =~ s/\W/_/g;
	open(my $h, '+>>', "$dir/count.$what"); seek($h, 0, 0);
	my $n = () = <$h>;
	print $h "x\n";
	$n;
}
# mute(FROM, N): are we among the first N who ask here?  Then nothing is heard of us.
sub mute { my ($what, $n) = @_; sleep 600 if defined $n && before("mute $what") < $n }
# hold(): one more is being answered, until LAYOUT/go is there
sub hold {
	mkdir "$dir/now";
	open(my $mine, '>', "$dir/now/$$");
	open(my $h, '>>', "$dir/together");
	flock $h, 2;
	my $n = () = glob "$dir/now/*";
	syswrite $h, "$n\n";
	close $h;
	select(undef, undef, undef, 0.02) until -e "$dir/go";
}
sub answer {
	my ($c, $status, $type, $body, @more) = @_;
	print $c "HTTP/1.1 $status X\r\nContent-Type: $type\r\nContent-Length: ", length($body),
		"\r\n", (map { "$_\r\n" } @more), "Connection: close\r\n\r\n", $body;
}
sub refuse { answer($_[0], $_[1], 'application/json', qq({"errors":[{"code":"$_[2]","message":"$_[3]"}]}), @_[4 .. $#_]) }

sub serve {
	my ($c, $method, $path, $h) = @_;
	my %b = behave();
	if ($path =~ m{^/token}) {
		mute('token', $b{'mute-token'});
		my $want = 'Basic ' . encode_base64('user:secret', '');
		return refuse($c, 401, 'UNAUTHORIZED', 'wrong user or password') if ($h->{authorization} // '') ne $want;
		return answer($c, 200, 'application/json', '{"token": "let-me-in", "expires_in": 60}');
	}
	if (defined $b{token} && ($h->{authorization} // '') ne 'Bearer let-me-in') {
		return refuse($c, 401, 'UNAUTHORIZED', 'authentication required',
			qq(WWW-Authenticate: Bearer realm="$b{token}",service="here",scope="repository:x:pull"));
	}
	if ($path =~ m{/manifests/(.+)$}) {
		my $ref = $1;
		mute('manifest', $b{mute});
		if ($ref !~ /^sha256:/) {
			my ($d) = (slurp("$dir/index.json") // '') =~ /"digest":"(sha256:[0-9a-f]+)"/;
			return refuse($c, 404, 'MANIFEST_UNKNOWN', 'manifest unknown') unless -e "$dir/tag.$ref" || $ref eq 'latest';
			$ref = $d;
			$ref = slurp("$dir/tag.$1") if $path =~ m{/manifests/(.+)$} && -e "$dir/tag.$1";
			chomp $ref;
		}
		(my $hex = $ref) =~ s/^sha256://;
		my $doc = slurp("$dir/blobs/sha256/$hex") // return refuse($c, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
		my ($type) = $doc =~ /"mediaType":\s*"([^"]+)"/;
		$type = $b{type} if defined $b{type};
		$doc .= ' ' if exists $b{lie} && $path =~ /sha256:/;
		return answer($c, 200, $type, $doc) unless defined $b{dribble};
		print $c "HTTP/1.1 200 X\r\nContent-Type: $type\r\nContent-Length: ", length($doc), "\r\nConnection: close\r\n\r\n";
		for (my $at = 0; $at < length($doc); $at += $b{dribble}) {
			print $c substr($doc, $at, $b{dribble}) or return;
			$c->flush;
			select(undef, undef, undef, 0.1);
		}
		return;
	}
	if ($path =~ m{/blobs/(sha256:([0-9a-f]+))$} || $path =~ m{^/elsewhere/(sha256:([0-9a-f]+))$}) {
		my ($digest, $hex) = ($1, $2);
		my $blob = slurp("$dir/blobs/sha256/$hex") // return refuse($c, 404, 'BLOB_UNKNOWN', 'blob unknown to registry');
		my $is_config = $blob =~ /^\{/;
		my $n = before($digest);
		for (grep { /^once-/ } keys %b) {
			my ($status) = /(\d+)/;
			my @more = defined $b{'retry-after'} ? ("Retry-After: $b{'retry-after'}") : ();
			return refuse($c, $status, 'TOOMANYREQUESTS', 'slow down', @more) if $n < $b{$_};
		}
		return answer($c, 307, 'text/plain', '', "Location: $b{redirect}/$digest") if defined $b{redirect} && $path =~ m{/blobs/};
		return answer($c, 200, 'application/octet-stream', $blob) if $is_config;
		hold() if exists $b{hold};
		my ($from, $status, @more) = (0, 200);
		if (($h->{range} // '') =~ /bytes=(\d+)-/ && !exists $b{'no-range'}) {
			$from = $1;
			$status = 206;
			@more = ('Content-Range: bytes ' . $from . '-' . (length($blob) - 1) . '/' . length($blob));
		}
		my $len = length($blob);
		substr($blob, $len / 2, 1) ^= "\x01" if exists $b{corrupt};
		$blob .= 'x' x 100000 if exists $b{long};
		my $say = length($blob) - $from;
		print $c "HTTP/1.1 $status X\r\nContent-Type: application/octet-stream\r\n",
			exists $b{endless} ? '' : "Content-Length: $say\r\n", (map { "$_\r\n" } @more), "Connection: close\r\n\r\n";
		if (exists $b{stall}) { syswrite $c, substr($blob, $from, 10); sleep 600 }
		if (exists $b{endless}) { print $c substr($blob, $from); 1 while print $c 'x' x 65536; return }
		my $end = defined $b{break} && $n == 0 ? $b{break} : length($blob);
		while ($from < $end) {
			my $piece = defined $b{slow} ? int($b{slow} / 10) + 1 : 65536;
			$piece = $end - $from if $piece > $end - $from;
			print $c substr($blob, $from, $piece) or return;
			$c->flush;
			$from += $piece;
			select(undef, undef, undef, 0.1) if defined $b{slow};
		}
		unlink "$dir/now/$$";
		return;
	}
	answer($c, 200, 'application/json', '{}') if $path eq '/v2/';
	refuse($c, 404, 'NAME_UNKNOWN', 'repository name not known to registry');
}

while (my $c = $server->accept) {
	next if fork;
	my $first = <$c> // exit;
	my ($method, $path) = split / /, $first;
	my %h;
	while (my $l = <$c>) {
		$l =~ s/\r?\n$//;
		last if $l eq '';
		$h{lc $1} = $2 if $l =~ /^([^:]+):\s*(.*)$/;
	}
	open(my $log, '>>', "$dir/requests");
	syswrite $log, "$method $path authorization=" . ($h{authorization} // '') . " range=" . ($h{range} // '') . "\n";
	serve($c, $method, $path, \%h);
	exit;
}
