# The VLANs of a script. Their verbs come from the driver's table.
package Innkeeper::Vlan;
use strict;
use warnings;

sub new {
    my ($class, $description) = @_;
    return bless {%$description}, $class;
}

sub nr { $_[0]{nr} }
sub socketDir { $_[0]{socket_dir} }
sub tapName { $_[0]{tap_name} }
sub pid { $_[0]{pid} }

1;
