# The connection to the driver: JSON-RPC 2.0, one message a line.
#
# Strings are bytes in scripts of 2019, so they are bytes here: UTF-8, neither decoded nor encoded on the
# way. Strings that a script with `use utf8` made are encoded first.
package Innkeeper::Connection;
use strict;
use warnings;
use IO::Socket::UNIX;
use JSON::PP;
use Innkeeper::Error;

my $JSON = JSON::PP->new->canonical;

sub new {
    my ($class, $path) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => $path) or die "innkeeper: cannot connect to $path: $!\n";
    return bless { socket => $socket, received => "", last_id => 0, scope => 0, max_message => undef }, $class;
}

# Introduces the script, and returns what the driver says about the run.
sub hello {
    my ($self) = @_;
    my $answer = $self->request("hello", { protocol => 1, language => "perl" });
    $self->{scope} = $answer->{scope};
    $self->{max_message} = $answer->{max_message};
    return $answer;
}

# Runs $work inside a scope and hands its exception on; $failed is told of it first, inside the scope.
sub in_scope {
    my ($self, $kind, $heading, $machine, $work, $failed) = @_;
    my $scope = $self->request("open_scope",
        { kind => $kind, text => bytes($heading), machine => $machine, scope => $self->{scope} });
    my @result;
    my $list = wantarray;
    my $error;
    {
        local $self->{scope} = $scope;
        local $@;
        eval { @result = $list ? $work->() : scalar $work->(); 1 } or $error = $@;
        $failed->($error) if defined $error && $failed;
    }
    chomp(my $text = defined $error ? bytes("$error") : "");
    $self->notify("close_scope", { scope => $scope, error => defined $error ? $text : undef });
    die $error if defined $error;
    return $list ? @result : $result[0];
}

sub log {
    my ($self, $level, $text, $machine) = @_;
    $self->notify("log",
        { level => $level, text => bytes($text), machine => $machine, scope => $self->{scope} });
}

# From now on SIGINT ends the call that is being waited for.
sub heed_interrupts { $_[0]{heeds_interrupts} = 1 }

# Sends a request, and returns its id.
sub ask {
    my ($self, $method, $params) = @_;
    my $id = ++$self->{last_id};
    $self->send({ id => $id, method => $method, params => $params });
    return $id;
}

# Sends a request and waits for its answer; meanwhile searches for the driver.
sub request {
    my ($self, $method, $params) = @_;
    # A call that is given up gets no answer, but the giving up does. To die here would lose half a message, and so
    # would a message in the middle of the request.
    my ($id, $is_interrupted, $giving_up) = (undef, 0, 0);
    my $interrupt = sub {
        $is_interrupted = 1;
        $giving_up ||= $self->ask("cancel", { call => $id }) if defined $id;
    };
    local $SIG{INT} = $interrupt if $self->{heeds_interrupts};
    $id = $self->ask($method, $params);
    $interrupt->() if $is_interrupted;
    while (defined(my $line = $self->receive)) {
        my $message = $JSON->decode($line);
        if ($message->{method}) {
            $self->search($message);
        }
        elsif ($giving_up && ($message->{id} || 0) == $giving_up) {
            die "interrupted\n";
        }
        elsif (!defined $message->{id} || $message->{id} == $id) {
            die Innkeeper::Error->from_wire($message->{error}) if $message->{error};
            return $message->{result};
        }
    }
    die Innkeeper::Error->new("cancelled", "the driver closed the connection");
}

# The driver's next message, or undef when it has closed the connection.
sub receive {
    my ($self) = @_;
    my ($end, $from) = (-1, 0);
    while (($end = index $self->{received}, "\n", $from) < 0) {
        $from = length $self->{received};
        await_input($self->{socket}) if $self->{heeds_interrupts};
        my $read = sysread $self->{socket}, $self->{received}, 1 << 16, $from;
        return undef if !$read && (defined $read || !$!{EINTR});
    }
    return substr $self->{received}, 0, $end + 1, "";
}

# Waits until a read would not have to. Perl hears a signal that came just before a wait after it only: none is for long.
sub await_input {
    my ($file) = @_;
    vec(my $files = "", fileno $file, 1) = 1;
    1 while select(my $ready = $files, undef, undef, 0.1) <= 0;
}

# Sends what needs no answer.
sub notify {
    my ($self, $method, $params) = @_;
    $self->send({ method => $method, params => $params });
}

sub search {
    my ($self, $message) = @_;
    my ($pattern, $text) = @{ $message->{params} }{qw(pattern text)};
    my %answer = (id => $message->{id});
    my $found = eval {
        !$message->{params}{all} ? ($text =~ /$pattern/ ? JSON::PP::true : JSON::PP::false) : spans($pattern, $text);
    };
    if (defined $found) { $answer{result} = $found; }
    else { $answer{error} = { code => -32000, message => "pattern `$pattern`: $@" }; }
    $self->send(\%answer);
}

# Where a pattern is found, counted in characters; the text is bytes.
sub spans {
    my ($pattern, $text) = @_;
    my $characters = sub { utf8::decode(my $before = substr $text, 0, $_[0]); length $before };
    my @spans;
    push @spans, [$characters->($-[0]), $characters->($+[0])] while $text =~ /$pattern/g;
    return \@spans;
}

sub send {
    my ($self, $message) = @_;
    my $line = $JSON->encode({ %$message, jsonrpc => "2.0" }) . "\n";
    if (!utf8::decode(my $copy = $line)) {
        die Innkeeper::Error->new("usage", "a string given to a verb is not UTF-8");
    }
    if ($self->{max_message} && length $line > $self->{max_message}) {
        die Innkeeper::Error->new("usage", "a call of " . length($line)
            . " bytes is more than the driver takes ($self->{max_message}; copy large files)");
    }
    # A driver that has gone is told to the script when it waits for an answer.
    print { $self->{socket} } $line;
    $self->{socket}->flush;
}

# A string as the bytes that go over the wire; numbers and undef as they are.
sub bytes {
    my ($text) = @_;
    return $text if !defined $text;
    $text = "$text";
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}

1;
