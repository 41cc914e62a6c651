#!/usr/bin/perl
# tokens.pl PORT KEY CERT LOG -- a token server for docker-registry's `auth: token`.
#
# GET /token?service=S&scope=repository:NAME:ACTIONS, with user:secret as basic
# authentication or (to pull what is below "open/") without any: a JSON web token by RS256,
# whose x5c is CERT, for 60 s.  Each request is a line of LOG: SCOPE USER.
use strict;
use warnings;
use IO::Socket::INET;
use IPC::Open2;
use MIME::Base64 qw(encode_base64 encode_base64url decode_base64);
my ($port, $key, $cert, $log) = @ARGV;
my $server = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1)
	or die "listen: $!";
open(my $pem, '<', $cert) or die "$cert: $!";
my $der = join '', grep { !/-----/ } <$pem>;
$der =~ s/\s//g;

sub signed {
	my $text = shift;
	my $pid = open2(my $out, my $in, 'openssl', 'dgst', '-sha256', '-sign', $key);
	binmode $out;
	print $in $text;
	close $in;
	local $/;
	my $mac = <$out>;
	waitpid $pid, 0;
	encode_base64url($mac);
}
sub token {
	my ($service, $user, @access) = @_;
	my $now = time;
	my $access = join ',', map { my ($type, $name, $do) = split /:/; sprintf '{"type":"%s","name":"%s","actions":[%s]}',
		$type, $name, join ',', map { qq("$_") } split /,/, $do } @access;
	my $text = encode_base64url(qq({"typ":"JWT","alg":"RS256","x5c":["$der"]})) . '.' .
		encode_base64url(sprintf '{"iss":"kedge-test","sub":"%s","aud":"%s","exp":%d,"nbf":%d,"iat":%d,"jti":"1","access":[%s]}',
			$user, $service, $now + 60, $now - 60, $now, $access);
	"$text." . signed($text);
}
while (my $c = $server->accept) {
	my ($path) = (<$c> // '') =~ /^GET (\S+)/;
	my $user = '';
	while (defined(my $line = <$c>)) {
		last if $line =~ /^\s*$/;
		$user = decode_base64($1) if $line =~ /^authorization: basic (\S+)/i;
	}
	my %q = map { s/%([0-9a-f]{2})/chr hex $1/gier =~ /^([^=]+)=(.*)$/ ? ($1, $2) : () } split /&/, (($path // '') =~ s/^[^?]*\??//r);
	my $scope = $q{scope} // '';
	open(my $l, '>>', $log);
	print $l "$scope ", $user =~ s/:.*//r, "\n";
	close $l;
	my $may = $user eq 'user:secret' || ($user eq '' && $scope =~ m{^repository:open/[^:]+:pull$});
	my $body = $may ? sprintf '{"token":"%s","expires_in":60}', token($q{service} // '', $user =~ s/:.*//r, $scope || ())
		: '{"errors":[{"code":"UNAUTHORIZED","message":"wrong user or password"}]}';
	print $c "HTTP/1.1 ", ($may ? '200 OK' : '401 Unauthorized'), "\r\nContent-Type: application/json\r\nContent-Length: ",
		length($body), "\r\nConnection: close\r\n\r\n", $body;
	close $c;
}
