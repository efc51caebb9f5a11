# The prompt of the command line of 2019: a person types Perl, a line at a time, with the machines as variables.
package Innkeeper::Prompt;
use strict;
use warnings;
use Term::ReadLine;
use Innkeeper::Connection;
use Innkeeper::Script;

# What lines are called in what goes wrong with them.
our $NAME = "prompt";
# Whether there is something that Ctrl-C could end.
our $is_busy = 0;

# Talks until the input ends. With Term::ReadLine::Gnu, where that is installed, lines can be edited.
sub talk {
    my ($connection) = @_;
    my $terminal = Term::ReadLine->new("nixos-test-driver", \*STDIN, \*STDOUT);
    $terminal->ornaments(0);
    # A prompt that is stopped would never be told to go on: a shell knows the driver alone.
    local $SIG{TSTP} = "IGNORE";
    local $SIG{INT} = sub { die "interrupted\n" if $is_busy };
    $connection->heed_interrupts;
    my $goes_on = 1;
    while ($goes_on) {
        next if eval { local $is_busy = 1; $goes_on = take_line($terminal); 1 };
        # The run is being ended, and so is this.
        die $@ if ref $@;
        print "\n";
    }
    print "\n";
}

# Asks for a line; undef is the end.
sub ask {
    my ($terminal) = @_;
    return $terminal->readline("> ") if !-t STDIN || $terminal->ReadLine ne "Term::ReadLine::Stub";
    print STDOUT "> ";
    Innkeeper::Connection::await_input(\*STDIN);
    return $terminal->readline("");
}

# Takes one line. Returns whether there was one; dies where the run is being ended, or at Ctrl-C.
sub take_line {
    my ($terminal) = @_;
    my $line = ask($terminal);
    return 0 if !defined $line;
    # What dies is at a line of its own, not of the input.
    $. = 0;
    # Variables need no `my`, which would not outlive the line.
    Innkeeper::Script::evaluate(
        Innkeeper::Script::context() . " no strict 'vars';\n#line 1 \"$NAME\"\n$line\n;");
    my $error = $@;
    die $error if ref $error && eval { $error->{kind} eq "cancelled" };
    print STDERR $error if $error;
    return 1;
}

1;
