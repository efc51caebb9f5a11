check "`startAll`, without parentheses; `joinAll`", undef, sub {
    startAll;
    die "off" if grep { !$_->{booted} } values %vms;
    logged qr/<head>starting all VMs<\/head>/;
    $_->shutdown for values %vms;
    joinAll;
    logged qr/<head>waiting for all VMs to finish<\/head>/;
};

check "`startAll`", "all at once, and not one after the other", sub { };

check "`\$NAME` and `\$vms{NAME}` are the machines", undef, sub {
    is(join(" ", sort keys %vms), "client server");
    die "another one" if $server != $vms{server} || $client->name ne "client";
};

check "`subtest NAME, sub {...}`: what dies inside is logged, and the script goes on", undef, sub {
    subtest "good", sub { $server->succeed("true") };
    subtest "bad", sub { die "no luck\n" };
    logged qr/<head>subtest: good<\/head>/;
    logged qr/<line error="1">error: no luck<\/line>/;
};

check "`\$log->log`, `\$log->nest`", undef, sub {
    $log->log("a line");
    $log->log("a line of a machine", { machine => "server" });
    is($log->nest("a nest", sub { $log->log("inside"); "value" }), "value");
    logged qr/<line>a line<\/line>/;
    logged qr/<line machine="server">a line of a machine<\/line>/;
    logged qr/<nest><head>a nest<\/head><line>inside<\/line><line>\(\d\.\d\d seconds\)<\/line><\/nest>/;
    dies(qr/^from inside$/, sub { $log->nest("dying", sub { die "from inside\n" }) });
};

check "`createDisk NAME, MIB`", undef, sub {
    createDisk("disk.raw", 3);
    is(-s "disk.raw", 3 << 20);
};

check "`createMachine({ startCommand => ..., name => ... })`: it is in `%vms`, and `startAll` starts it", undef, sub {
    my $made = createMachine({ startCommand => $ENV{STAND_IN_VM}, name => "made" });
    die "another one" if $vms{made} != $made || $made->name ne "made";
    startAll;
    is($made->succeed("echo made"), "made\n");
    $made->crash;
    is(createMachine({ startCommand => "/x/run-other-vm" })->name, "other");
    is(createMachine({ startCommand => "/x/start" })->name, "machine");
    delete @vms{qw(other machine)};
};

check "`createMachine({ hda, hdaInterface, cdrom, usb, bios, qemuFlags })`", undef, sub {
    my $machine = createMachine({ name => "disk", hda => "disk.raw", hdaInterface => "scsi", cdrom => "cd.iso",
        usb => "usb.img", bios => "bios.bin", qemuFlags => "-snapshot", netFrontendArgs => "romfile=" });
    for my $part ("-m 384 ", '$QEMU_OPTS', "/disk.raw,werror=report,if=none -device scsi-hd,drive=hda", "-cdrom cd.iso",
        "file=usb.img,if=none", "-bios bios.bin", "-snapshot", "virtio-net-pci,netdev=net0,romfile=") {
        die "no `$part` in $machine->{startCommand}" if index($machine->{startCommand}, $part) < 0;
    }
    my $virtio = createMachine({ name => "virtio", hda => "disk.raw", hdaInterface => "virtio" });
    die $virtio->{startCommand} if $virtio->{startCommand} !~ m{-drive file=/.*/disk\.raw,if=virtio,werror=report$};
    delete @vms{qw(disk virtio)};
};

check "`createMachine`", "where no `qemu-kvm` is installed, it is QEMU for the host's processor, with KVM if there is one", sub { };

check "`createMachine({ allowReboot => 1 })`, `\$machine->{allowReboot}`: a reboot does not end it", undef, sub {
    my $machine = createMachine({ startCommand => $ENV{STAND_IN_VM}, name => "again", allowReboot => 1 });
    $machine->connect;
    $machine->sendKeys("ctrl-alt-delete");
    $machine->{connected} = 0;
    is($machine->succeed("echo again"), "again\n");
    $machine->shutdown;
    $machine->{allowReboot} = 0;
    $machine->connect;
    $machine->sendKeys("ctrl-alt-delete");
    $machine->waitForShutdown;
    die "up" if $machine->isUp;
    delete $vms{again};
};

check "`testScript`: the text of the variable `testScript`; what dies in it is a warning", undef, sub {
    my $warned = "";
    local $SIG{__WARN__} = sub { $warned .= $_[0] };
    local $ENV{testScript} = 'die "not here\n" if !$server->isUp; $vms{server}{mark} = "run"; die "in the script\n"';
    $server->connect;
    testScript;
    is($vms{server}{mark}, "run");
    is($warned, "in the script\n");
};

check "`runTests`, `createDisk`, `Machine::retry` can be called", undef, sub {
    defined &$_ or die $_ for qw(runTests testScript startAll joinAll subtest createMachine createDisk Machine::retry);
};

check "`Machine::retry sub {...}`: again until it is true; the last call gets a 0", undef, sub {
    my @left;
    Machine::retry sub { push @left, $_[0]; return @left == 3 };
    die "@left" if @left != 3 || $left[0] < 890;
    @left = ();
    dies(qr/^action timed out after 0\.3 seconds/, sub { Machine::retry(sub { push @left, $_[0]; 0 }, { timeout => 0.3 }) });
    is($left[-1], 0);
};

check "`Machine::retry`", "pauses are short at first and grow to a second; the message has the seconds, where it was -1", sub { };
