# Runs one test script with the functions of 2019 in scope, and tells the driver how it ended.
package Innkeeper::Script;

# First in the file: the script sees no lexical of ours.
sub evaluate { eval $_[0]; }

use strict;
use warnings;
use Innkeeper::Connection;
use Innkeeper::Create;
use Innkeeper::Error;
use Innkeeper::Log;
use Innkeeper::Needs;
use Innkeeper::Prompt;
use Innkeeper::Verbs;
use Innkeeper::Vlan;
use Machine;

# What is known of the script, and its lines by the names of its files.
my ($connection, $name, $text, %lines);
my ($subtests, @failed) = (0);
my $last_death = { text => "", frames => [] };
my $reported = 1;
# Whether it was started by the command line of 2019.
my $as_then = 0;
# Whether a person types what would be run.
my $at_prompt = 0;
our $compiled = 0;

sub run {
    my ($path) = @_;
    $| = 1;
    # A driver that has gone is noticed when its answer is missing.
    $SIG{PIPE} = "IGNORE";
    $connection = Innkeeper::Connection->new($ENV{INNKEEPER_SOCKET});
    my $hello = $connection->hello;
    Innkeeper::Verbs::define($connection, $hello->{verbs});
    $main::log = Innkeeper::Log->new($connection);
    ($Machine::CONNECTION, $Machine::LOG) = ($connection, $main::log);
    %main::vms = map { $_->{name} => Machine->of($_) } @{ $hello->{machines} };
    @main::vlans = map { Innkeeper::Vlan->new($_) } @{ $hello->{vlans} };
    my $setup = $hello->{setup} || {};
    ($as_then, $at_prompt) = (($setup->{generation} || "") eq "2019", $setup->{at_prompt});
    read_script($path);

    $reported = 0;
    $SIG{__DIE__} = sub {
        # An exception that is handed on keeps the place where it was raised.
        return if "$_[0]" eq $last_death->{text};
        $last_death = { text => "$_[0]", frames => [Innkeeper::Error::frames()] };
    };
    my ($line, $refusal) = Innkeeper::Needs::find($text, $hello->{machines});
    our $hopeless = $refusal;
    if (defined $line) { evaluate("package main;\n#line $line \"$name\"\nInnkeeper::Script::refuse();"); }
    elsif ($as_then) { eval { main::runTests() }; }
    else { evaluate_script(); }
    my $failure = $@ ? describe($@) : undef;
    $SIG{__DIE__} = "DEFAULT";
    finish($failure);
    exit($failure || @failed ? 1 : 0);
}

sub read_script {
    my ($path) = @_;
    open my $file, "<", $path or die "innkeeper: cannot read $path: $!\n";
    $text = do { local $/; <$file> };
    close $file;
    ($name = $path) =~ s/["\n]/_/g;
    $name =~ s/.*\/// if $as_then;
    $lines{$name} = [split /\n/, $text];
    if ($as_then && defined $ENV{testScript}) {
        # So that whoever evaluates it has its own lines in what goes wrong.
        $lines{testScript} = [split /\n/, $ENV{testScript}];
        $ENV{testScript} = "\n#line 1 \"testScript\"\n$ENV{testScript}";
    }
    %Innkeeper::Error::FILES = map { $_ => 1 } keys %lines;
}

sub evaluate_script { evaluate(context() . "\n#line 1 \"$name\"\n$text"); }

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
        my $level = @failed && $as_then ? "error" : "info";
        $connection->log($level, ($subtests - @failed) . " out of $subtests tests succeeded");
    }
    $failure ||= $failed[0];
    # The log of 2019 has told it already.
    $failure->{traceback} = [] if $failure && $as_then;
    eval { $connection->request("finished", { failure => $failure }) };
}

# `exit` in the script comes by here without going through `run`.
END {
    if (!$reported) {
        my $status = $?;
        finish($status && {
            kind => "exit", message => "the script exited with status $status", status => $status,
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
    my $files = join "|", map { quotemeta } keys %lines;
    if (!@frames && $message =~ /at ($files) line (\d+)/) {
        @frames = ({ file => $1, line => $2, in => "main" });
    }
    my $frame = $frames[0];
    return {
        kind => $kind,
        message => $message,
        line => $frame ? $frame->{line} + 0 : undef,
        source => source($frame),
        traceback => [
            @frames ? "Traceback (most recent call last):" : (),
            (map { ("  File \"$_->{file}\", line $_->{line}, in $_->{in}", "    " . (source($_) || "")) }
                reverse @frames),
            @frames ? "" : (),
            split(/\n/, $text),
        ],
    };
}

sub source {
    my ($frame) = @_;
    my $source = $frame && $lines{ $frame->{file} }[$frame->{line} - 1];
    return undef if !defined $source;
    $source =~ s/^\s+|\s+$//g;
    return $source;
}

sub log_error {
    my ($error) = @_;
    chomp(my $message = "$error");
    $connection->log("error", "error: $message");
}

# The end of a run in 2019: how long units took to start, what a kernel that counts its coverage has counted, and whole
# disks.
sub collect {
    my @up = grep { $_->isUp } map { $main::vms{$_} } sort keys %main::vms;
    my $counts = "/sys/kernel/debug/gcov";
    # So it was written.
    $main::log->nest("collecting systemd units exection time", sub { $_->systemdAnalyzeBlame for @up });
    $main::log->nest("collecting coverage data", sub {
        for my $vm (@up) {
            my ($status) = $vm->execute("test -e $counts");
            next if $status != 0;
            $vm->execute("cd $counts && find . -name '*.gcda' | while read -r file; do "
                . 'to=/tmp/xchg/coverage-data/$file; mkdir -p "${to%/*}"; cat "$file" >"$to"; done');
        }
    });
    $main::log->nest("syncing", sub { $_->execute("sync") for @up });
}

# The functions that scripts of 2019 find, besides those of the table.
package main;
use Cwd;
use POSIX qw(_exit dup2);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

# A failing subtest is logged, and the script goes on; the run fails in the end.
sub subtest {
    my ($name, $code) = @_;
    $subtests++;
    my $failed = sub {
        my ($error) = @_;
        die $error if ref $error && eval { $error->{kind} eq "cancelled" };
        my $failure = Innkeeper::Script::describe($error);
        push @failed, $failure;
        $connection->log("error", "error: $failure->{message}");
    };
    my $count = @failed;
    return if eval { $connection->in_scope("subtest", $name, undef, $code, $failed); 1 };
    die $@ if $count == @failed;
}

sub startAll {
    Innkeeper::Verbs::call($connection, "run", "start_all", undef, {});
    # Those that the script has made.
    $_->start for map { $main::vms{$_} } sort keys %main::vms;
}

sub joinAll {
    Innkeeper::Verbs::call($connection, "run", "join_all", undef, {});
    $_->waitForShutdown for map { $main::vms{$_} } sort keys %main::vms;
}

# Makes a machine; the next script that is evaluated has it as a variable.
sub createMachine {
    my ($args) = @_;
    my $vm = Machine->new($args);
    return $main::vms{ $vm->name } = $vm;
}

sub createDisk { Innkeeper::Create::disk(@_) }

# Runs the script: under the command line of 2019 that of the variable `testScript`.
sub testScript {
    my $script = $as_then ? "$ENV{testScript};\n" : "\n#line 1 \"$name\"\n$text";
    Innkeeper::Script::evaluate(Innkeeper::Script::context() . $script);
    warn $@ if $@;
}

# Runs all that the command line of 2019 wants to be run, or lets a person do so, and collects what there is to be
# collected.
sub runTests {
    my $work = sub {
        Innkeeper::Script::evaluate_script();
        die $@ if $@;
    };
    if ($at_prompt) { Innkeeper::Prompt::talk($connection) }
    else {
        $connection->in_scope("step", "running the VM test script", undef, $work, \&Innkeeper::Script::log_error);
    }
    Innkeeper::Script::collect();
}

1;
