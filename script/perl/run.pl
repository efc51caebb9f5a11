# Started by innkeeper as `perl run.pl SCRIPT`. Needs Perl 5.14 and its core modules.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Innkeeper::Script;

Innkeeper::Script::run($ARGV[0]);
