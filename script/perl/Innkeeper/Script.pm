# Runs one test script with the functions of 2019 in scope, and tells the driver how it ended.
package Innkeeper::Script;

# First in the file: the script sees no lexical of ours.
sub evaluate { eval $_[0]; }

use strict;
use warnings;
use Innkeeper::Connection;
use Innkeeper::Error;
use Innkeeper::Needs;
use Innkeeper::Verbs;
use Innkeeper::Vlan;
use Machine;

my ($connection, @lines);
my ($subtests, @failed) = (0);
my $last_death = { text => "", frames => [] };
my $reported = 1;
our $compiled = 0;

sub run {
    my ($path) = @_;
    $| = 1;
    # A driver that has gone is noticed when its answer is missing.
    $SIG{PIPE} = "IGNORE";
    $connection = Innkeeper::Connection->new($ENV{INNKEEPER_SOCKET});
    my $hello = $connection->hello;
    Innkeeper::Verbs::define($connection, $hello->{verbs});
    Machine->adapt;
    %main::vms = map { $_->{name} => Machine->new($connection, $_) } @{ $hello->{machines} };
    @main::vlans = map { Innkeeper::Vlan->new($_) } @{ $hello->{vlans} };
    $main::log = Innkeeper::Log->new($connection);

    open my $file, "<", $path or die "innkeeper: cannot read $path: $!\n";
    my $text = do { local $/; <$file> };
    close $file;
    @lines = split /\n/, $text;
    ($Innkeeper::Error::SCRIPT = $path) =~ s/["\n]/_/g;

    $reported = 0;
    $SIG{__DIE__} = sub {
        # An exception that is handed on keeps the place where it was raised.
        return if "$_[0]" eq $last_death->{text};
        $last_death = { text => "$_[0]", frames => [Innkeeper::Error::frames()] };
    };
    my ($line, $refusal) = Innkeeper::Needs::find($text, $hello->{machines});
    our $hopeless = $refusal;
    evaluate(defined $line
        ? "package main;\n#line $line \"$Innkeeper::Error::SCRIPT\"\nInnkeeper::Script::refuse();"
        : context() . "\n#line 1 \"$Innkeeper::Error::SCRIPT\"\n$text");
    my $failure = $@ ? describe($@) : undef;
    $SIG{__DIE__} = "DEFAULT";
    finish($failure);
    exit($failure || @failed ? 1 : 0);
}

# Ends a script that has not begun, at a line that it would not have come past.
sub refuse { die Innkeeper::Error->new("machine", our $hopeless) }

# What stands before the script, on a line that does not count.
sub context {
    my $machines = join "", map { "my \$" . Machine::variable($_) . " = \$vms{'$_'}; " } sort keys %main::vms;
    my $vlans = join "", map { "my \$vlan$main::vlans[$_]{nr} = \$vlans[$_]; " } 0 .. $#main::vlans;
    return "package main; use strict; use warnings; our (%vms, \@vlans, \$log); $vlans$machines"
        . "\$Innkeeper::Script::compiled = 1;";
}

sub finish {
    my ($failure) = @_;
    $reported = 1;
    if ($subtests) {
        $connection->log("info", ($subtests - @failed) . " out of $subtests tests succeeded");
    }
    $failure ||= $failed[0];
    eval { $connection->request("finished", { failure => $failure }) };
}

# `exit` in the script comes by here without going through `run`.
END {
    if (!$reported) {
        my $status = $?;
        finish($status && {
            kind => "exit", message => "the script exited with status $status",
            line => undef, source => undef, traceback => ["exit $status"],
        } || undef);
        $? = 1 if @failed && !$status;
    }
}

# What the driver is told about an exception.
sub describe {
    my ($error) = @_;
    my ($kind, $message, $text) = ("assertion", "$error", "$error");
    chomp $text;
    if (ref $error && eval { $error->isa("Innkeeper::Error") }) {
        ($kind, $message) = @{$error}{qw(kind message)};
        $kind = "script_error" if $kind eq "usage" || $kind eq "undecodable";
        $kind = "assertion" if $kind eq "timeout";
    }
    # `die` is how Perl tests assert; these are Perl's own complaints.
    elsif (!$compiled || $message =~ /\A(?:Can't |Undefined |Not an? |Global symbol |syntax error)/) {
        $kind = "script_error";
    }
    chomp $message;
    my @frames = "$error" eq $last_death->{text} ? @{ $last_death->{frames} } : ();
    if (!@frames && $message =~ /at \Q$Innkeeper::Error::SCRIPT\E line (\d+)/) {
        @frames = ({ file => $Innkeeper::Error::SCRIPT, line => $1, in => "main" });
    }
    my $line = @frames ? $frames[0]{line} : undef;
    return {
        kind => $kind,
        message => $message,
        line => defined $line ? $line + 0 : undef,
        source => source($line),
        traceback => [
            @frames ? "Traceback (most recent call last):" : (),
            (map { ("  File \"$_->{file}\", line $_->{line}, in $_->{in}", "    " . (source($_->{line}) || "")) }
                reverse @frames),
            @frames ? "" : (),
            split(/\n/, $text),
        ],
    };
}

sub source {
    my ($line) = @_;
    return undef if !defined $line || !defined $lines[$line - 1];
    (my $source = $lines[$line - 1]) =~ s/^\s+|\s+$//g;
    return $source;
}

# A failing subtest is logged, and the script goes on; the run fails in the end.
sub main::subtest {
    my ($name, $code) = @_;
    $subtests++;
    return if eval { $connection->in_scope("subtest", $name, undef, $code); 1 };
    my $error = $@;
    die $error if ref $error && eval { $error->{kind} eq "cancelled" };
    my $failure = describe($error);
    push @failed, $failure;
    $connection->log("error", "error: $failure->{message}");
}

# The log of the run, as `$log`.
package Innkeeper::Log;

sub new { bless { connection => $_[1] }, $_[0] }

sub log {
    my ($self, $text, $attributes) = @_;
    $self->{connection}->log("info", $text, $attributes && $attributes->{machine});
}

sub nest {
    my ($self, $text, $work, $attributes) = @_;
    return $self->{connection}->in_scope("step", $text, $attributes && $attributes->{machine}, $work);
}

1;
