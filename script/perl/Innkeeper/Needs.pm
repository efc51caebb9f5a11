# Finds calls that no backend of theirs can do, before the script begins.
#
# Refused is only what is certain to be called: a statement of the script itself, also inside `subtest NAME, sub {...}`,
# without a condition. The scan knows little Perl, and stops at what it cannot read; calls say the same in their turn.
package Innkeeper::Needs;
use strict;
use warnings;
use Innkeeper::Verbs;
use Machine;

my $CONDITION = qr/\b(?:if|unless|while|until|for|foreach|and|or|xor|not|eval|do|sub)\b|&&|\|\||\?|\/\//;
# What may end the script, change what a name means, or quote in a way that is not read here.
my $DARK = qr/\A(?:exit|exec|goto|require|no|q|qq|qw|qr|qx|m|s|tr|y|~|`|\/|<<|\n=)\z/;

# The line and the message of the first call that cannot be done, or nothing.
sub find {
    my ($text, $machines) = @_;
    my %cannot = map { (Machine::variable($_->{name}) => $_->{cannot}) } @$machines;
    # A variable that the script gives a value is none of ours any more.
    delete $cannot{$_} for $text =~ /\$(\w+)\s*=(?![=~>])/g, map { /\$(\w+)/g } $text =~ /\bmy\s*\(([^)]*)\)/g;
    return if $text =~ /\*(?:main::|Machine::|\{)/ || !grep { %$_ } values %cannot;
    my ($line, $depth, $statement, $begun) = (1, 0, "", 1);
    $text =~ s/^__(?:END|DATA)__\b.*//ms;
    while ($text =~ /\G(?:(\n)|\#[^\n]*|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(\w+|->|\$\#|<<|\n=|.))/gs) {
        my ($end_of_line, $string, $token) = ($1, $2, $3);
        if (defined $end_of_line) { $line++; $statement .= " "; next; }
        if (defined $string) { $line += $string =~ tr/\n//; $statement .= '""'; next; }
        next if !defined $token;
        return if $token =~ $DARK;
        if ($token eq "{" || $token eq "}") {
            # Inside of a subtest is as good as outside.
            if (!$depth && $token eq "{" && $statement =~ /^\s*subtest\s*\(?\s*""\s*,\s*sub\s*$/) {
                $statement = "";
                next;
            }
            $depth += $token eq "{" ? 1 : -1;
            if ($depth < 0) { $depth = 0; $statement = ""; }
            $statement .= $token;
            # A block ends a statement, but for those that go on with a parenthesis or a condition.
            $statement = "" if !$depth && $token eq "}" && $statement =~ /^\s*(?:if|elsif|else|unless|while|until|for|foreach|sub|BEGIN)\b/;
            next;
        }
        if ($token ne ";" || $depth) {
            $begun = $line if $statement !~ /\S/;
            $statement .= $token;
            next;
        }
        my ($call, $name) = $statement =~ /^\s*(?:my\s*\$\w+\s*=\s*)?\$(\w+)\s*->\s*(\w+)/ ? ($1, $2) : ();
        if (defined $call && $cannot{$call} && $statement !~ $CONDITION) {
            for my $verb (sort keys %{ $cannot{$call} }) {
                return ($begun, $cannot{$call}{$verb}) if grep { $_ eq $name } Innkeeper::Verbs::names($verb);
            }
        }
        $statement = "";
    }
    return;
}

1;
