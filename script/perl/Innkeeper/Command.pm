# Commands for the guest's shell, as it took them in 2019.
package Innkeeper::Command;
use strict;
use warnings;

# That a part of a command fails, or a variable is not set, does not end it.
my $LENIENT = "set +euo pipefail; ";
# What it leaves running in the background was not waited for, so that must not hold the output.
my ($BEFORE, $AFTER) = (
    "innkeeper_out=\$(mktemp) || exit; (\n",
    "\n) >\$innkeeper_out; innkeeper_status=\$?; cat \$innkeeper_out; rm \$innkeeper_out; exit \$innkeeper_status",
);

# The command for a shell of today.
sub for_driver {
    my ($command) = @_;
    my $may_leave_some = $command =~ /(?<![&<>|\\])&(?![&>])/;
    return $LENIENT . ($may_leave_some ? "$BEFORE$command$AFTER" : $command);
}

# A text of the driver's, with commands as the script gave them.
sub for_reader {
    my ($text) = @_;
    $text =~ s/\Q$_\E//g for $LENIENT, $BEFORE, $AFTER;
    return $text;
}

1;
