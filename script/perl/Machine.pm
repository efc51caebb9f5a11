# The machines of a script, with the methods, messages and steps of 2019 (compat.md 7.3). What is not here comes from the
# driver's table of verbs.
package Machine;
use strict;
use warnings;
use File::Basename ();
use IO::Select ();
use JSON::PP ();
use Time::HiRes ();
use Innkeeper::Connection;
use Innkeeper::Create;
use Innkeeper::Error;
use Innkeeper::Fields;
use Innkeeper::Verbs;

our ($CONNECTION, $LOG);
my $RETRY_SECONDS = 900;

# Makes a machine of a start command, or of disks: createMachine().
sub new {
    my ($class, $args) = @_;
    my $command = Innkeeper::Create::start_command($args);
    # As then, it finds the disks that a machine of its name has left.
    my $made = $CONNECTION->request("create_machine", {
        name => bytes(Innkeeper::Create::name($args)), command => bytes($command), keep => JSON::PP::true });
    my $self = $class->of($made, startCommand => $command);
    $self->{allowReboot} = $args->{allowReboot} if defined $args->{allowReboot};
    return $self;
}

# The machine that the driver describes so.
sub of {
    my ($class, $description, %fields) = @_;
    my %all = (
        connection => $CONNECTION, key => $description->{key}, name => $description->{name},
        stateDir => $description->{state_dir}, allowReboot => 0, redirectSerial => 1, log => $LOG, %fields,
    );
    return bless Innkeeper::Fields::make($CONNECTION, %all), $class;
}

# The variable of the machine of that name: what no identifier may hold becomes `_`.
sub variable {
    (my $variable = $_[0]) =~ s/^[^A-Za-z_]|[^A-Za-z0-9_]/_/g;
    return $variable;
}

sub bytes { return Innkeeper::Connection::bytes($_[0]) }

sub name { return $_[0]{name} }
sub stateDir { return $_[0]{stateDir} }

# Runs $work; the log shows what it does under $text.
sub nest {
    my ($self, $text, $work) = @_;
    return $CONNECTION->in_scope("step", $text, $self->name, $work);
}

# Calls a verb of the driver's table.
sub verb {
    my ($self, $name, $args, $heading) = @_;
    return Innkeeper::Verbs::call($CONNECTION, "machine", $name, $self, $args || {}, $heading);
}

# Commands. After the command a hash reference may name a timeout in seconds; there was none in 2019.

sub execute_ {
    my ($self, $command, $more) = @_;
    my ($status, $out) = $self->verb(execute => { timeout => undef, %{ $more || {} }, command => $command });
    $self->log("exit status $status");
    return ($status, $out);
}

sub execute {
    my ($self, $command, $more) = @_;
    return $self->nest("running command: " . bytes($command), sub { $self->execute_($command, $more) });
}

sub succeed {
    my ($self, @commands) = @_;
    my $more = ref $commands[-1] eq "HASH" ? pop @commands : {};
    my $outputs = "";
    for my $command (map { bytes($_) } @commands) {
        $self->nest("must succeed: $command", sub {
            my ($status, $out) = $self->execute_($command, $more);
            $outputs .= $out;
            return if $status == 0;
            $self->log("output: $out");
            die Innkeeper::Error->new("assertion", "command `$command' did not succeed (exit code $status)");
        });
    }
    return $outputs;
}

sub fail {
    my ($self, @commands) = @_;
    my $more = ref $commands[-1] eq "HASH" ? pop @commands : {};
    my $outputs = "";
    for my $command (map { bytes($_) } @commands) {
        $self->nest("must fail: $command", sub {
            my ($status, $out) = $self->execute_($command, $more);
            $outputs .= $out;
            die Innkeeper::Error->new("assertion", "command `$command' unexpectedly succeeded") if $status == 0;
        });
    }
    return $outputs;
}

sub mustSucceed { my $self = shift; return $self->succeed(@_) }
sub mustFail { my $self = shift; return $self->fail(@_) }

# The guest's time, not the host's.
sub sleep {
    my ($self, $seconds) = @_;
    $self->succeed("sleep $seconds");
    return;
}

# How long a wait may take, in seconds.
sub limit {
    my ($more) = @_;
    return $more && defined $more->{timeout} ? $more->{timeout} : $RETRY_SECONDS;
}

# Calls $code with the seconds that are left until it returns something true; the last call gets a zero.
sub retry {
    my ($code, $more) = @_;
    my $limit = limit($more);
    my ($ends, $pause) = (Time::HiRes::time() + $limit, 0.02);
    while ((my $left = $ends - Time::HiRes::time()) > 0) {
        return if $code->(int($left) || 1);
        Time::HiRes::sleep($pause < $left ? $pause : $left);
        $pause = $pause * 1.5 > 1 ? 1 : $pause * 1.5;
    }
    die Innkeeper::Error->new("assertion", "action timed out after $limit seconds")
        if !$code->(0);
}

# Units

sub systemctl {
    my ($self, $query, $user) = @_;
    $query = bytes($query);
    return $self->execute("systemctl $query") if !$user;
    $query =~ s/'/\\'/g;
    return $self->execute("su -l $user -c \$'XDG_RUNTIME_DIR=/run/user/`id -u` systemctl --user $query'");
}

# The properties of a unit by name; undef when systemctl cannot tell.
sub getUnitInfo {
    my ($self, $unit, $user) = @_;
    my ($status, $text) = $self->systemctl("--no-pager show \"" . bytes($unit) . "\"", $user);
    return undef if $status != 0;
    return { map { /\A([^=]+)=(.*)\z/ ? ($1, $2) : () } split /\n/, $text };
}

sub requireActiveUnit {
    my ($self, $unit) = @_;
    $unit = bytes($unit);
    $self->nest("checking if unit ‘$unit’ has reached state 'active'", sub {
        my $info = $self->getUnitInfo($unit);
        my $state = $info && defined $info->{ActiveState} ? $info->{ActiveState} : "";
        # The double "to" is NixOS's.
        die Innkeeper::Error->new("assertion",
            "Expected unit ‘$unit’ to to be in state 'active' but it is in state ‘$state’") if $state ne "active";
    });
}

sub startJob { my ($self, $job, $user) = @_; return $self->systemctl("start $job", $user) }
sub stopJob { my ($self, $job, $user) = @_; return $self->systemctl("stop $job", $user) }

# How long each unit took to start, as systemd tells it.
sub systemdAnalyzeBlame {
    my ($self) = @_;
    my ($status, $out) = $self->execute("systemd-analyze blame");
    return $out;
}

# Screen, keys and terminals

sub screenshot {
    my ($self, $file) = @_;
    my $name = bytes(File::Basename::basename($file));
    $name .= ".png" if $name !~ /\./;
    $self->verb(screenshot => { filename => $file }, "making screenshot ‘$name’");
    return;
}

sub getScreenText {
    my ($self) = @_;
    return $self->nest("performing optical character recognition", sub { $self->verb("get_screen_text") });
}

# Presses several keys or chords, one after the other.
sub sendKeys {
    my ($self, @keys) = @_;
    $self->verb(send_key => { key => $_ }, "sending monitor command: sendkey " . bytes($_)) for @keys;
}

sub getTTYText {
    my ($self, $tty) = @_;
    my ($status, $out) =
        $self->execute("fold -w\$(stty -F /dev/tty$tty size | awk '{print \$2}') /dev/vcs$tty");
    return $out;
}

sub dumpTTYContents {
    my ($self, $tty) = @_;
    $self->execute("fold -w 80 /dev/vcs$tty | systemd-cat");
    return;
}

sub waitForX {
    my ($self, $more) = @_;
    $self->nest("waiting for the X11 server", sub {
        retry(sub {
            my ($status) = $self->execute(
                'journalctl -b SYSLOG_IDENTIFIER=systemd | grep "Reached target Current graphical"');
            return 0 if $status != 0;
            ($status) = $self->execute("[ -e /tmp/.X11-unix/X0 ]");
            return $status == 0;
        }, $more);
    });
}

sub getWindowNames {
    my ($self) = @_;
    my $text = $self->succeed(
        q{xwininfo -root -tree | sed 's/.*0x[0-9a-f]* \"\([^\"]*\)\".*/\1/; t; d'});
    return split /\n/, $text;
}

sub waitForWindow {
    my ($self, $pattern, $more) = @_;
    $self->nest("waiting for a window to appear", sub {
        retry(sub {
            my ($left) = @_;
            my @names = $self->getWindowNames;
            if ($left == 0) {
                $self->log("Last chance to match /$pattern/ on the window list, which currently contains:");
                $self->log(join ", ", @names);
            }
            return scalar grep { /$pattern/ } @names;
        }, $more);
    });
}

# The monitor

# What QEMU's command line says to a command, without the prompt after it.
sub sendMonitorCommand {
    my ($self, $command) = @_;
    $self->log("sending monitor command: " . bytes($command));
    my $answer = $self->verb(send_monitor_command => { command => $command });
    $answer =~ s/\(qemu\) \z//;
    return $answer;
}

# Reads from $machine->{monitor} until it prompts, or has gone.
sub waitForMonitorPrompt {
    my ($self, $more) = @_;
    my $monitor = $self->{monitor} or return "";
    my $limit = limit($more);
    my ($ends, $text) = (Time::HiRes::time() + $limit, "");
    while ($text !~ s/\(qemu\) \z//) {
        my $left = $ends - Time::HiRes::time();
        die Innkeeper::Error->new("assertion", "action timed out after $limit seconds")
            if $left <= 0 || !IO::Select->new($monitor)->can_read($left);
        sysread($monitor, $text, 4096, length $text) or last;
    }
    return $text;
}

1;
