#!/usr/bin/perl
# An SCGI program on descriptor 0, with Debian's libscgi-perl. It knows nothing of scgid: spawn-fcgi
# and lighttpd (`bin-path`) run the same file.
#
#   apps:
#     hello: {run: [/srv/hello.pl], ready: {after: 1s}, listen: unix:/run/scgid/hello.sock}
use strict;
use warnings;
use IO::Socket;
use SCGI;

# A client that leaves early must not end the program.
$SIG{PIPE} = 'IGNORE';

my $listener = IO::Socket->new_from_fd(0, '+<') or die "descriptor 0 is no socket: $!";
my $scgi = SCGI->new($listener, blocking => 1);

while (my $request = $scgi->accept) {
    # What is no request, and who leaves in the middle of one.
    eval { answer($request); 1 } or warn $@;
    $request->close;
}

sub answer {
    my ($request) = @_;
    $request->read_env;
    my ($variables, $client) = ($request->env, $request->connection);
    my $length = $variables->{CONTENT_LENGTH};
    my $read = read $client, my ($body), $length;
    defined $read && $read == $length or die "the client left before its body was complete\n";
    my $path = $variables->{PATH_INFO} // '';
    print $client "Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n",
        "perl $$ $variables->{REQUEST_METHOD} $path $read $body\n";
}
