# The machines of a script. Their verbs come from the driver's table; here is what Perl has on top of it.
package Machine;
use strict;
use warnings;
use Time::HiRes ();
use Innkeeper::Error;

my $RETRY_SECONDS = 900;

sub new {
    my ($class, $connection, $description) = @_;
    return bless { connection => $connection, %$description }, $class;
}

# The variable of the machine of that name: what no identifier may hold becomes `_`.
sub variable {
    (my $variable = $_[0]) =~ s/^[^A-Za-z_]|[^A-Za-z0-9_]/_/g;
    return $variable;
}

sub name { $_[0]{name} }
sub stateDir { $_[0]{state_dir} }

# Runs $work; the log shows what it does under $text.
sub nest {
    my ($self, $text, $work) = @_;
    return $self->{connection}->in_scope("step", $text, $self->name, $work);
}

# Presses several keys or chords, one after the other.
sub sendKeys {
    my ($self, @keys) = @_;
    $self->sendKey($_) for @keys;
}

# Calls $code with the seconds that are left until it returns something true; the last call gets a zero.
sub retry {
    my ($code) = @_;
    my ($ends, $pause) = (Time::HiRes::time() + $RETRY_SECONDS, 0.02);
    while ((my $left = $ends - Time::HiRes::time()) > 0) {
        return if $code->(int($left) || 1);
        Time::HiRes::sleep($pause < $left ? $pause : $left);
        $pause = $pause * 1.5 > 1 ? 1 : $pause * 1.5;
    }
    die Innkeeper::Error->new("assertion", "action timed out after $RETRY_SECONDS seconds")
        if !$code->(0);
}

# Where verbs of 2019 returned something else than those of the table: undef for a unit without information,
# and no prompt after what the monitor says.
sub adapt {
    my ($class) = @_;
    no strict "refs";
    no warnings "redefine";
    my $get_unit_info = \&{"${class}::getUnitInfo"};
    *{"${class}::getUnitInfo"} = sub {
        my $info = eval { $get_unit_info->(@_) };
        die $@ if ref $@ && $@->{kind} ne "assertion";
        return $info;
    };
    my $monitor = \&{"${class}::sendMonitorCommand"};
    *{"${class}::sendMonitorCommand"} = sub {
        my $answer = $monitor->(@_);
        $answer =~ s/\(qemu\) \z//;
        return $answer;
    };
}

1;
