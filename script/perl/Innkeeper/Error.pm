# What verbs die with. As a string it reads like any `die` of the script's own: "MESSAGE at FILE line N."
package Innkeeper::Error;
use strict;
use warnings;
use Innkeeper::Command;

use overload '""' => sub { $_[0]{text} }, fallback => 1;

# The wording of 2019, which scripts of that time match against.
my @REWORDED = (
    [qr/\Aunit "(.*?)" reached state "(.*?)"/s, sub { "unit ‘$_[0]’ reached state ‘$_[1]’" }],
    [qr/\Aunit "(.*?)" is inactive/s, sub { "unit ‘$_[0]’ is inactive" }],
    [qr/\A(?=machine `[^`]*`: no root shell appeared)/, sub { "timed out waiting for the VM to connect: " }],
    [qr/\A(?=machine `[^`]*`: .* \(while waiting for its shell\))/s, sub { "the VM quit before connecting: " }],
    [qr/\A(?=machine `[^`]*`: .* \(while starting\))/s, sub { "QEMU died prematurely: " }],
);

# The error of a JSON-RPC error object.
sub from_wire {
    my ($class, $error) = @_;
    my $message = Innkeeper::Command::for_reader($error->{message});
    for my $rule (@REWORDED) {
        my ($pattern, $reword) = @$rule;
        $message =~ s/$pattern/$reword->($1, $2)/e and last;
    }
    return $class->new($error->{data} ? $error->{data}{kind} : undef, $message);
}

sub new {
    my ($class, $kind, $message) = @_;
    my ($frame) = frames();
    my $where = $frame ? " at $frame->{file} line $frame->{line}" : "";
    return bless { kind => $kind || "machine", message => $message, text => "$message$where.\n" }, $class;
}

# The frames of the script that are being executed, innermost first. Its files are known by their names.
our %FILES;
sub frames {
    my @frames;
    for (my $depth = 0; my @caller = caller($depth); $depth++) {
        next if !$FILES{ $caller[1] };
        my @outer = caller($depth + 1);
        my $in = @outer && $outer[3] =~ /^main::(.*)/ ? $1 : "main";
        push @frames, { file => $caller[1], line => $caller[2], in => $in };
    }
    return @frames;
}

1;
