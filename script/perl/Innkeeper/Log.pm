# The log of the run, as `$log`.
package Innkeeper::Log;
use strict;
use warnings;

sub new { return bless { connection => $_[1] }, $_[0] }

sub log {
    my ($self, $text, $attributes) = @_;
    my ($machine, $error) = @{ $attributes || {} }{qw(machine error)};
    chomp $text;
    $self->{connection}->log($error ? "error" : "info", $text, $machine);
}

sub nest {
    my ($self, $text, $work, $attributes) = @_;
    return $self->{connection}->in_scope("step", $text, $attributes && $attributes->{machine}, $work);
}

# The driver closes it.
sub close { }

1;
