# Makes Perl functions of the driver's table of verbs, under the names of 2019.
package Innkeeper::Verbs;
use strict;
use warnings;
use File::Spec;
use JSON::PP ();
use Innkeeper::Connection;
use Innkeeper::Error;

# Names that were never, or not only, the Python name in camel case.
my %ALIASES = (
    succeed => ["mustSucceed"],
    fail => ["mustFail"],
    wait_for_unit => ["waitForJob"],
    require_unit_state => ["requireActiveUnit"],
    copy_from_host => ["copyFileFromHost"],
);

my %CONVERT = (
    text => \&Innkeeper::Connection::bytes,
    texts => sub { [map { Innkeeper::Connection::bytes($_) } @{ $_[0] }] },
    integer => sub { int $_[0] },
    bool => sub { $_[0] ? JSON::PP::true : JSON::PP::false },
    duration => sub { defined $_[0] ? $_[0] + 0 : undef },
    pattern => sub { my $valid = qr/$_[0]/; Innkeeper::Connection::bytes($_[0]) },
    path => sub { Innkeeper::Connection::bytes(File::Spec->rel2abs($_[0])) },
);

# All Perl names of a verb.
sub names {
    my ($name) = @_;
    my $camel = $name;
    $camel =~ s/_(\w)/\u$1/g;
    $camel =~ s/Tty/TTY/;
    return ($camel, @{ $ALIASES{$name} || [] });
}

# Defines the verbs: those of machines as methods of $class, those of the run as functions in main.
sub define {
    my ($connection, $table, $class) = @_;
    for my $verb (@$table) {
        my $code = function($connection, $verb);
        my $package = $verb->{target} eq "machine" ? $class : "main";
        no strict "refs";
        *{"${package}::$_"} = $code for names($verb->{name});
    }
}

# The code of one verb. Arguments come in the table's order; a hash reference after them names more:
# $server->succeed("make", { timeout => 60 }).
sub function {
    my ($connection, $verb) = @_;
    my ($name) = names($verb->{name});
    my %kinds = map { $_->{name} => $_->{kind} } @{ $verb->{params} };
    return sub {
        my $machine = $verb->{target} eq "machine" ? shift->name : undef;
        my %args = ref $_[-1] eq "HASH" ? %{ pop() } : ();
        for my $param (@{ $verb->{params} }) {
            last if !@_;
            $args{ $param->{name} } = $param->{kind} eq "texts" ? [splice @_] : shift;
        }
        usage("$name: too many arguments") if @_;
        for my $param (keys %args) {
            my $kind = $kinds{$param} or usage("$name: there is no parameter `$param`");
            $args{$param} = $CONVERT{$kind}->($args{$param});
        }
        my $result = $connection->request("call",
            { verb => $verb->{name}, machine => $machine, args => \%args, scope => $connection->{scope} });
        return wantarray ? @$result : $result->[-1] if $verb->{returns} eq "status_and_text";
        return wantarray ? @$result : $result if $verb->{returns} eq "texts";
        return $result ? 1 : 0 if $verb->{returns} eq "flag";
        return $result;
    };
}

sub usage { die Innkeeper::Error->new("usage", $_[0]); }

1;
