#!/usr/bin/perl
# git_http.pl PORT FOLDER [TOKEN] -- git's own http-backend behind the least of a web
# server, on 127.0.0.1.  With TOKEN it is asked for as a password.  A path that begins
# with /hang/ is accepted and never answered, /cut/ ends in the middle of the answer.
use strict;
use IO::Socket::INET;
use MIME::Base64;

my ($port, $root, $token) = @ARGV;
my $server = IO::Socket::INET->new(
	LocalAddr => "127.0.0.1:$port", Listen => 16, ReuseAddr => 1) or die "listen: $!";
$SIG{CHLD} = 'IGNORE';
while (1) {
	my $c = $server->accept or next;
	next if fork;
	my ($line, %h) = (scalar <$c>);
	while (defined(my $l = <$c>)) {
		last if $l =~ /^\r?\n$/;
		$h{lc $1} = $2 if $l =~ /^([^:]+):\s*(.*?)\r?\n$/;
	}
	my ($method, $path, $query) = $line =~ m{^(\S+) ([^? ]+)\??(\S*)} or exit;
	sleep 600 if $path =~ m{^/hang/};
	my $cut = $path =~ s{^/cut/}{/};
	if (defined $token && ($h{authorization} // '') ne 'Basic ' . encode_base64("kedge:$token", '')) {
		print $c "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"t\"\r\n",
		    "Content-Length: 0\r\nConnection: close\r\n\r\n";
		exit;
	}
	my $body = '';
	if (($h{'transfer-encoding'} // '') eq 'chunked') {
		while (my $n = hex(scalar <$c>)) { read $c, my $part, $n; $body .= $part; <$c>; }
	} elsif ($h{'content-length'}) {
		read $c, $body, $h{'content-length'};
	}
	open my $f, '>', "$root/body.$$"; print $f $body; close $f;
	$ENV{GIT_PROJECT_ROOT} = $root; $ENV{GIT_HTTP_EXPORT_ALL} = 1;
	$ENV{REQUEST_METHOD} = $method; $ENV{PATH_INFO} = $path; $ENV{QUERY_STRING} = $query;
	$ENV{CONTENT_TYPE} = $h{'content-type'} // ''; $ENV{CONTENT_LENGTH} = length $body;
	my $out = `git http-backend <$root/body.$$`;
	unlink "$root/body.$$";
	my ($head, $text) = split /\r\n\r\n/, $out, 2;
	my $status = $head =~ s/^Status: (.*?)\r\n//m ? $1 : '200 OK';
	my $length = length $text;
	$text = substr $text, 0, $length / 2 if $cut && $method eq 'POST';
	print $c "HTTP/1.1 $status\r\n$head\r\nContent-Length: $length\r\nConnection: close\r\n\r\n$text";
	exit;
}
