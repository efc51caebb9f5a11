# Makes Perl functions of the driver's table of verbs, under the names of 2019.
package Innkeeper::Verbs;
use strict;
use warnings;
use File::Spec;
use JSON::PP ();
use Innkeeper::Command;
use Innkeeper::Connection;
use Innkeeper::Error;

# Names that were never, or not only, the Python name in camel case.
my %ALIASES = (
    succeed => ["mustSucceed"],
    fail => ["mustFail"],
    wait_for_unit => ["waitForJob"],
    copy_from_host => ["copyFileFromHost"],
);

# What steps were called in 2019, where that is not what the driver calls them. They are given converted arguments.
my %HEADINGS = (
    start_all => sub { "starting all VMs" },
    join_all => sub { "waiting for all VMs to finish" },
    wait_for_unit => sub { "waiting for unit ‘$_[0]{unit}’" . (defined $_[0]{user} ? " with user $_[0]{user}" : "") },
    wait_for_file => sub { "waiting for file ‘$_[0]{filename}’" },
    wait_for_open_port => sub { "waiting for TCP port $_[0]{port}" . on($_[0]{addr}) },
    wait_for_closed_port => sub { "waiting for TCP port $_[0]{port} to be closed" . on($_[0]{addr}) },
    wait_until_succeeds => sub { "waiting for success: $_[0]{command}" },
    wait_until_fails => sub { "waiting for failure: $_[0]{command}" },
    wait_for_text => sub { "waiting for $_[0]{regex} to appear on the screen" },
    send_chars => sub { "sending keys ‘$_[0]{chars}’" },
);

sub on { return defined $_[0] ? " on $_[0]" : "" }

my %CONVERT = (
    text => \&Innkeeper::Connection::bytes,
    texts => sub { [map { Innkeeper::Connection::bytes($_) } @{ $_[0] }] },
    integer => sub { defined $_[0] ? int $_[0] : undef },
    number => sub { $_[0] + 0 },
    bool => sub { $_[0] ? JSON::PP::true : JSON::PP::false },
    duration => sub { defined $_[0] ? $_[0] + 0 : undef },
    pattern => sub { my $valid = qr/$_[0]/; Innkeeper::Connection::bytes($_[0]) },
    path => sub { Innkeeper::Connection::bytes(File::Spec->rel2abs($_[0])) },
    groups => sub { [map { group($_) } @{ $_[0] }] },
    between => sub {
        my ($sides) = @_;
        return undef if !defined $sides;
        return [map { group($_) } ref $sides eq "ARRAY" ? @$sides : $sides];
    },
    region => sub {
        my ($region) = @_;
        return undef if !defined $region;
        my @names = qw(x y width height);
        my @parts = ref $region eq "HASH" ? @$region{@names} : ref $region eq "ARRAY" ? @$region : ();
        usage("expected a region [x, y, width, height]") if 4 != grep { defined } @parts;
        return { map { $names[$_] => int $parts[$_] } 0 .. 3 };
    },
    handle => sub { ref $_[0] ? $_[0]{id} : $_[0] + 0 },
);

# Kinds of parameters that take all arguments that are left.
my %REPEATED = (texts => 1, groups => 1);

# The packages of what verbs are called on, and how a call names the object.
my %PACKAGES = (machine => "Machine", vlan => "Innkeeper::Vlan", run => "main");
my %SUBJECT = (
    machine => sub { (machine => $_[0]{key}) },
    vlan => sub { (machine => undef, vlan => $_[0]{nr}) },
    run => sub { (machine => undef) },
);

# The names of machines, of one machine or of an array of them; each may be given by its name.
sub group {
    my ($machines) = @_;
    return [map { ref $_ ? $_->name : Innkeeper::Connection::bytes($_) }
        ref $machines eq "ARRAY" ? @$machines : $machines];
}

# All Perl names of a verb.
sub names {
    my ($name) = @_;
    my $camel = $name;
    $camel =~ s/_(\w)/\u$1/g;
    $camel =~ s/Tty/TTY/;
    return ($camel, @{ $ALIASES{$name} || [] });
}

my %TABLE;

# Defines the verbs: those of machines and of VLANs as methods, those of the run as functions in main. What is there
# already knows better what it did in 2019.
sub define {
    my ($connection, $table) = @_;
    for my $verb (@$table) {
        my $package = $PACKAGES{ $verb->{target} } or next;
        $TABLE{ $verb->{target} }{ $verb->{name} } = $verb;
        my $code = function($connection, $verb);
        no strict "refs";
        for my $name (map { "${package}::$_" } names($verb->{name})) {
            *$name = $code if !defined &$name;
        }
    }
}

# The code of one verb. Arguments come in the table's order; a hash reference after them names more:
# $server->succeed("make", { timeout => 60 }). A verb that begins something takes a block of code after that,
# and ends it with the block: $vlan1->delay(200, { between => [$client, $server] }, sub { ... }).
sub function {
    my ($connection, $verb) = @_;
    my ($name) = names($verb->{name});
    return sub {
        my $subject = $verb->{target} eq "run" ? undef : shift;
        my $work = $verb->{returns} eq "handle" && ref $_[-1] eq "CODE" ? pop : undef;
        my %args = ref $_[-1] eq "HASH" ? %{ pop() } : ();
        for my $param (@{ $verb->{params} }) {
            last if !@_;
            $args{ $param->{name} } = $REPEATED{ $param->{kind} } ? [splice @_] : shift;
        }
        usage("$name: too many arguments") if @_;
        return call($connection, $verb->{target}, $verb->{name}, $subject, \%args, undef, $work);
    };
}

# Calls a verb with arguments by name; its step has a heading of its own, unless one is given.
sub call {
    my ($connection, $target, $verb_name, $subject, $given, $heading, $work) = @_;
    my $verb = $TABLE{$target}{$verb_name} or usage("there is no verb `$verb_name`");
    my ($name) = names($verb_name);
    my %kinds = map { $_->{name} => $_->{kind} } @{ $verb->{params} };
    my %args = %$given;
    for my $param (keys %args) {
        my $kind = $kinds{$param} or usage("$name: there is no parameter `$param`");
        usage("$name: `$param` belongs to another VLAN")
            if $kind eq "handle" && ref $args{$param} && $args{$param}{subject} != $subject;
        # All verbs that take one end it.
        $args{$param}{ended} = 1 if $kind eq "handle" && ref $args{$param};
        $args{$param} = $CONVERT{$kind}->($args{$param});
    }
    $heading = $HEADINGS{$verb_name}->(\%args) if !defined $heading && $HEADINGS{$verb_name};
    $args{command} = Innkeeper::Command::for_driver($args{command})
        if defined $args{command} && $verb_name =~ /\A(?:execute|wait_until_succeeds|wait_until_fails)\z/;
    my $result = $connection->request("call",
        { $SUBJECT{$target}->($subject), verb => $verb_name, args => \%args, heading => $heading,
            scope => $connection->{scope} });
    return wantarray ? @$result : $result->[-1] if $verb->{returns} eq "status_and_text";
    return wantarray ? @$result : $result if $verb->{returns} eq "texts";
    return $result ? 1 : 0 if $verb->{returns} eq "flag";
    return packet($result) if $verb->{returns} eq "packet";
    return $result if $verb->{returns} ne "handle";
    my $handle = Innkeeper::Handle->new($subject, $result);
    return $work ? $handle->around($work) : $handle;
}

# A packet that passed: its summary, port, length, after_s and first bytes.
sub packet { return { %{ $_[0] }, bytes => pack "H*", $_[0]{bytes} } }

sub usage { die Innkeeper::Error->new("usage", $_[0]); }

# Something that goes on until it is ended.
package Innkeeper::Handle;

sub new {
    my ($class, $subject, $answer) = @_;
    my %verbs = map { $_ => (Innkeeper::Verbs::names($answer->{$_}))[0] } qw(end cancel);
    return bless { %{ $answer->{fields} }, id => $answer->{id}, subject => $subject, verbs => \%verbs }, $class;
}

# Ends it, and returns what the verb for that returns.
sub end {
    my ($self, $how) = @_;
    my $verb = $self->{verbs}{ $how || "end" };
    return $self->{subject}->$verb($self);
}

# The word for faults.
sub lift { return $_[0]->end }

# Ends it when $work is over, unless $work has. Returns what the end has brought, a packet say, or else what $work
# returned.
sub around {
    my ($self, $work) = @_;
    my $result = eval { [scalar $work->($self)] };
    if (!$result) {
        my $error = $@;
        eval { $self->end("cancel") } if !$self->{ended};
        die $error;
    }
    return $result->[0] if $self->{ended};
    my $ended = $self->end;
    return ref $ended ? $ended : $result->[0];
}

1;
