# Runs in the guest for `cargo xtask bench`: makes things happen after a pause, and tells the host at the
# moment they do, over a port that no driver knows of. The host's clock is the only one that is read, and the
# way to it is the same for every driver.
use strict;
use warnings;
use IO::Handle;
use IO::Socket::INET;
use IO::Socket::UNIX;

open my $host, '>', '/dev/virtio-ports/bench' or die "the port to the host: $!";
open my $console, '>', '/dev/ttyS0' or die "ttyS0: $!";
open my $tty, '>', '/dev/tty2' or die "tty2: $!";
# Opened for both ways, so that it does not end when a writer leaves.
open my $orders, '+<', '/run/bench-orders' or die "the orders: $!";
$_->autoflush(1) for $console, $tty;

sub touch { open my $file, '>', $_[0] or die "$_[0]: $!" }

my $port = 20000;
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
    console => sub { print $console "bench console $_[0] over\n" },
    console_timeout => sub { print $console "bench console $_[0] over\n" },
    tty => sub { print $tty "bench tty $_[0] over\r\n" },
);

while (my $order = <$orders>) {
    my ($kind, $name, $pause, $detail) = split ' ', $order;
    select undef, undef, undef, $pause;
    # A text is on its way while it is being written: it counts from its first letter on.
    my $is_text = $kind =~ /^(?:console|tty)/;
    syswrite $host, "$name\n" if $is_text;
    $happen{$kind}->($name, $detail);
    syswrite $host, "$name\n" if !$is_text;
}
