# The fields of a machine, `$machine->{connected}` and the like. Scripts of 2019 read them, and assign some.
package Innkeeper::Fields;
use strict;
use warnings;
use File::Spec;
use IO::Socket::UNIX;
use JSON::PP ();
use Tie::Hash;

our @ISA = ("Tie::ExtraHash");

# What the driver knows at any time, and the script cannot change.
my %LIVE = (
    pid => sub { $_[0]{pid} || 0 },
    booted => sub { $_[0]{on} ? 1 : 0 },
    connected => sub { $_[0]{up} ? 1 : 0 },
);

# What the driver is told when the script assigns it.
my %TOLD = (
    # Only that it is lost: the next command waits for a new shell.
    connected => sub { $_[0] ? () : (connected => JSON::PP::false) },
    stateDir => sub { (state_dir => File::Spec->rel2abs($_[0])) },
    allowReboot => sub { (allow_reboot => $_[0] ? JSON::PP::true : JSON::PP::false) },
);

# A reference to a hash with these fields.
sub make {
    my ($connection, %values) = @_;
    tie my %fields, __PACKAGE__, $connection;
    $values{$_} = undef for keys %LIVE, "monitor";
    %{ (tied %fields)->[0] } = %values;
    return \%fields;
}

sub TIEHASH {
    my ($class, $connection) = @_;
    return bless [{}, $connection], $class;
}

sub FETCH {
    my ($self, $name) = @_;
    return $LIVE{$name}->($self->ask("machine")) if $LIVE{$name};
    return $self->monitor if $name eq "monitor";
    return $self->[0]{$name};
}

sub STORE {
    my ($self, $name, $value) = @_;
    my %told = $TOLD{$name} ? $TOLD{$name}->($value) : ();
    $self->ask("set_machine", %told) if %told;
    $self->[0]{$name} = $value;
}

sub ask {
    my ($self, $method, %params) = @_;
    my ($fields, $connection) = @$self;
    return $connection->request($method, { %params, machine => $fields->{key} });
}

# A connection with QEMU's command line, another one for each launch; undef when the machine is off.
sub monitor {
    my ($self) = @_;
    my ($fields) = @$self;
    my $pid = $self->FETCH("pid") or return undef;
    if (!$fields->{monitor} || $fields->{monitor_of} != $pid) {
        $fields->{monitor} = IO::Socket::UNIX->new(Peer => "$fields->{stateDir}/monitor");
        $fields->{monitor_of} = $pid;
    }
    return $fields->{monitor};
}

1;
