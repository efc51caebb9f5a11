# What verbs die with. As a string it reads like any `die` of the script's own: "MESSAGE at FILE line N."
package Innkeeper::Error;
use strict;
use warnings;

use overload '""' => sub { $_[0]{text} }, fallback => 1;

# The wording of 2019, which scripts of that time match against.
my @REWORDED = (
    [qr/\Acommand `(.*)` failed (\(exit code \d+\))\z/s, sub { "command `$_[0]' did not succeed $_[1]" }],
    [qr/\Acommand `(.*)` unexpectedly succeeded\z/s, sub { "command `$_[0]' unexpectedly succeeded" }],
);

# The error of a JSON-RPC error object.
sub from_wire {
    my ($class, $error) = @_;
    my $message = $error->{message};
    for my $rule (@REWORDED) {
        my ($pattern, $reword) = @$rule;
        if (my @parts = $message =~ $pattern) { $message = $reword->(@parts); }
    }
    return $class->new($error->{data} ? $error->{data}{kind} : undef, $message);
}

sub new {
    my ($class, $kind, $message) = @_;
    my ($frame) = frames();
    my $where = $frame ? " at $frame->{file} line $frame->{line}" : "";
    return bless { kind => $kind || "machine", message => $message, text => "$message$where.\n" }, $class;
}

# The frames of the script that are being executed, innermost first.
our $SCRIPT = "";
sub frames {
    my @frames;
    for (my $depth = 0; my @caller = caller($depth); $depth++) {
        next if $caller[1] ne $SCRIPT;
        my @outer = caller($depth + 1);
        my $in = @outer && $outer[3] =~ /^main::(.*)/ ? $1 : "main";
        push @frames, { file => $caller[1], line => $caller[2], in => $in };
    }
    return @frames;
}

1;
