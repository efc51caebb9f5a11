# Runs in the guest for `cargo xtask bench`: makes things happen after a pause, and tells the host at the
# moment they do, over a port that no driver knows of, with its own clock's time. The host's clock is the one that
# counts, and the way to it is the same for every driver.
use strict;
use warnings;
use IO::Handle;
use IO::Socket::INET;
use IO::Socket::UNIX;

open my $host, '>', '/dev/virtio-ports/bench' or die "the port to the host: $!";
open my $ports, '+<', '/dev/port' or die "the ports of the machine: $!";
open my $tty, '>', '/dev/tty2' or die "tty2: $!";
# Opened for both ways, so that it does not end when a writer leaves.
open my $orders, '+<', '/run/bench-orders' or die "the orders: $!";
$tty->autoflush(1);

# The number of clock_gettime on x86-64, and of CLOCK_MONOTONIC.
sub now { syscall(228, 1, my $time = "\0" x 16) == 0 or die "the clock: $!"; sprintf '%d.%09d', unpack 'qq', $time }

sub touch { open my $file, '>', $_[0] or die "$_[0]: $!" }

# Puts each byte into the first serial port itself: a write to its terminal ends long before the text is out.
sub print_out {
    for my $byte (split //, $_[0]) {
        sysseek $ports, 0x3f8, 0 or die "the serial port: $!";
        syswrite $ports, $byte;
    }
}

my @listeners;
my %happen = (
    unit => sub {
        open my $gate, '>', "/run/bench-gate-$_[0]" or die "the gate of $_[0]: $!";
        syswrite $gate, "go\n";
    },
    file => sub { touch("/tmp/bench-$_[0]") },
    until_succeeds => sub { touch("/tmp/bench-$_[0]") },
    port => sub {
        push @listeners, IO::Socket::INET->new(LocalPort => $_[1], Listen => 5, ReuseAddr => 1) || die "listen: $@";
    },
    socket => sub {
        push @listeners, IO::Socket::UNIX->new(Local => "/run/bench-$_[0].sock", Listen => 5) || die "listen: $!";
    },
    console => sub { print_out("bench console $_[0] over\r\n") },
    console_timeout => sub { print_out("bench console $_[0] over\r\n") },
    tty => sub { print $tty "bench tty $_[0] over\r\n" },
);

while (my $order = <$orders>) {
    my ($kind, $name, $pause, $detail) = split ' ', $order;
    select undef, undef, undef, $pause;
    $happen{$kind}->($name, $detail);
    syswrite $host, "$name " . now() . "\n";
}
