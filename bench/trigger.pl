# Runs in the guest for `cargo xtask bench`: makes things happen after a pause, and tells the host over a port that no
# driver knows of when it was by the guest's clock, and what that shows now. The way is the same for every driver.
use strict;
use warnings;
use IO::Socket::INET;
use IO::Socket::UNIX;

open my $host, '>', '/dev/virtio-ports/bench' or die "the port to the host: $!";
open my $ports, '+<', '/dev/port' or die "the ports of the machine: $!";
open my $tty, '>', '/dev/tty2' or die "tty2: $!";
# Opened for both ways, so that it does not end when a writer leaves.
open my $orders, '+<', '/run/bench-orders' or die "the orders: $!";

# The number of clock_gettime on x86-64, and of CLOCK_MONOTONIC.
sub now { syscall(228, 1, my $time = "\0" x 16) == 0 or die "the clock: $!"; sprintf '%d.%09d', unpack 'qq', $time }

# Puts each byte into the first serial port itself: a write to its terminal ends long before the text is out.
sub print_out {
    for my $byte (split //, $_[0]) {
        sysseek $ports, 0x3f8, 0 or die "the serial port: $!";
        syswrite $ports, $byte;
    }
}

sub touch { my $at = now(); open my $file, '>', $_[0] or die "$_[0]: $!"; return $at }

my @listeners;
sub take_calls {
    my ($socket) = @_;
    push @listeners, $socket;
    my $at = now();
    $socket->listen(5) or die "listen: $!";
    return $at;
}

# Each makes its thing happen and returns the moment just before the call that does it: a driver may hear of it, and take
# the processor, before that call has returned. That of a text on the console is when all of it is out.
my %happen = (
    unit => sub {
        open my $gate, '>', "/run/bench-gate-$_[0]" or die "the gate of $_[0]: $!";
        my $at = now();
        syswrite $gate, "go\n";
        return $at;
    },
    file => sub { touch("/tmp/bench-$_[0]") },
    until_succeeds => sub { touch("/tmp/bench-$_[0]") },
    port => sub {
        take_calls(IO::Socket::INET->new(LocalPort => $_[1], Proto => 'tcp', ReuseAddr => 1) || die "bind: $@");
    },
    socket => sub { take_calls(IO::Socket::UNIX->new(Local => "/run/bench-$_[0].sock") || die "bind: $@") },
    console => sub { print_out("bench console $_[0] over\r\n"); return now() },
    console_timeout => sub { print_out("bench console $_[0] over\r\n"); return now() },
    tty => sub { my $at = now(); syswrite $tty, "bench tty $_[0] over\r\n"; return $at },
);

while (my $order = <$orders>) {
    my ($kind, $name, $pause, $detail) = split ' ', $order;
    select undef, undef, undef, $pause;
    my $at = $happen{$kind}->($name, $detail);
    syswrite $host, "$name $at " . now() . "\n";
}
