# Comes before the script of section 7. A check has the name of what it checks; `differs` says what is not as in the driver
# in Perl, and why.
sub check {
    my ($name, $differs, $code) = @_;
    my $problem = eval { $code->(); 1 } ? undef : "$@";
    open my $rows, ">>", $ENV{CONFORMANCE_ROWS} or die $!;
    print $rows JSON::PP->new->canonical->encode({ name => $name, differs => $differs, missing => undef, problem => $problem }), "\n";
    close $rows or die $!;
}

sub is {
    my ($is, $wanted) = @_;
    die "it is `" . ($is // "undef") . "`, not `$wanted`" if !defined $is || $is ne $wanted;
}

sub dies {
    my ($pattern, $code) = @_;
    die "nothing dies with /$pattern/" if eval { $code->(); 1 };
    die "/$pattern/ is not in: $@" if $@ !~ /$pattern/s;
}

sub logged {
    my ($pattern) = @_;
    my $log = "";
    for (1 .. 500) {
        open my $file, "<", $ENV{LOGFILE} or die $!;
        $log = do { local $/; <$file> };
        return if $log =~ /$pattern/;
        select undef, undef, undef, 0.02;
    }
    die "/$pattern/ is not in the log";
}
