#!/usr/bin/perl
# watcher.pl ADDRESS:PORT PATH STOP -- a client's cache: lists what is at PATH once, then watches
# from there on, again and again, over whatever happens to the server, until the file STOP is
# there and nothing more comes.  Lists anew only when it is told that its version is gone.
#
# Ends with 1 where an event cannot be: an ADDED of what is there, a MODIFIED or DELETED of
# what is not, a version that does not grow.  Prints "NAME VERSION" of each, sorted; then
# "lists N events N watches N".
use strict;
use warnings;
use IO::Socket::INET;
use JSON::PP;
my ($server, $path, $stop) = @ARGV;
my (%there, $version, %n);
$n{$_} = 0 for qw(lists events watches);

# ask(QUERY, EACH): EACH gets each line of a stream; without it the whole body.  Status, or
# undef when there is nobody, or not to the end.
sub ask {
	my ($query, $each) = @_;
	my $c = IO::Socket::INET->new(PeerAddr => $server, Timeout => 2) or return (undef, '');
	print $c "GET $path$query HTTP/1.1\r\nHost: $server\r\nConnection: close\r\nAccept: application/json\r\n\r\n";
	my ($status) = (<$c> // '') =~ /^HTTP\S+ (\d+)/ or return (undef, '');
	my ($chunked, $length);
	while (defined(my $line = <$c>)) {
		last if $line eq "\r\n";
		$chunked = 1 if $line =~ /^transfer-encoding: chunked/i;
		$length = $1 if $line =~ /^content-length: (\d+)/i;
	}
	my ($body, $whole) = ('', 0);
	while ($chunked) {
		my ($size) = (<$c> // '') =~ /^([0-9a-f]+)/i or last;
		if (hex $size == 0) { $whole = 1; last }
		(read($c, my $part, hex $size) // 0) == hex $size or last;
		<$c>;
		$body .= $part;
		while ($each && $body =~ s/^(.*)\n//) { $each->($1) }
	}
	if (!$chunked) {
		read($c, $body, $length // 1 << 30);
		$whole = !defined $length || length $body == $length;
		if ($each) { $each->($_) for split /\n/, $body }
	}
	return ($whole || $each ? $status : undef, $body);
}
sub impossible { print STDERR "impossible: @_\n"; exit 1 }
sub event {
	my $e = decode_json($_[0]);
	my ($type, $o) = @$e{qw(type object)};
	if ($type eq 'ERROR') {
		impossible("an error: $_[0]") if $o->{code} != 410;
		$version = undef;
		return;
	}
	my ($name, $v) = @{$o->{metadata}}{qw(name resourceVersion)};
	impossible("$type of $name at $v, which is not after $version") if $type eq 'BOOKMARK' ? $v < $version : $v <= $version;
	$version = $v;
	return if $type eq 'BOOKMARK';
	$n{events}++;
	impossible("ADDED of $name at $v, which is there") if $type eq 'ADDED' && exists $there{$name};
	impossible("$type of $name at $v, which is not there") if $type ne 'ADDED' && !exists $there{$name};
	if ($type eq 'DELETED') { delete $there{$name} } else { $there{$name} = $v }
}
for (;;) {
	my $last = -e $stop;
	if (!defined $version) {
		my ($status, $body) = ask('');
		impossible("a list is answered $status") if ($status // 503) =~ /^4/;
		if (($status // 0) != 200) { select undef, undef, undef, 0.05; next }
		my $list = decode_json($body);
		%there = map { @{$_->{metadata}}{qw(name resourceVersion)} } @{$list->{items}};
		$version = $list->{metadata}{resourceVersion};
		$n{lists}++;
	}
	my $before = $n{events};
	my ($status) = ask("?watch=1&resourceVersion=$version&allowWatchBookmarks=true&timeoutSeconds=" . ($last ? 1 : 3), \&event);
	$n{watches}++ if defined $status;
	$version = undef if ($status // 0) == 410;
	select undef, undef, undef, 0.05 if !defined $status;
	last if $last && defined $version && ($status // 0) == 200 && $n{events} == $before;
}
print "$_ $there{$_}\n" for sort keys %there;
print "lists $n{lists} events $n{events} watches $n{watches}\n";
