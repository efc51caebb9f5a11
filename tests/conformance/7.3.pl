$server->{allowReboot} = 1;

check "`start`, `connect`, `isUp`, `shutdown`, `waitForShutdown`, `crash`", undef, sub {
    die "up" if $server->isUp;
    $server->start;
    $server->start;
    $server->connect;
    die "not up" if !$server->isUp;
    logged qr/<line machine="server">starting vm<\/line>/;
    logged qr/<line machine="server">QEMU running \(pid \d+\)<\/line>/;
    logged qr/<head machine="server">waiting for the VM to finish booting<\/head>/;
    logged qr/<line machine="server">connected to guest root shell<\/line><line machine="server">\(connecting took \d+\.\d\d seconds\)<\/line>/;
    $server->shutdown;
    $server->shutdown;
    die "up" if $server->isUp;
    $server->connect;
    $server->crash;
    logged qr/<line machine="server">forced crash<\/line>/;
    $server->connect;
    $server->execute("(sleep 0.3; poweroff) &");
    $server->waitForShutdown;
    logged qr/<head machine="server">waiting for the VM to power off<\/head>/;
};

check "`connect`: `the VM quit before connecting`", undef, sub {
    my $machine = createMachine({ startCommand => "STAND_IN_QUITS=1 $ENV{STAND_IN_VM}", name => "gone" });
    dies(qr/^the VM quit before connecting/, sub { $machine->connect });
    delete $vms{gone};
};

check "`connect`: `timed out waiting for the VM to connect`", "the message goes on, and says how far the boot came", sub { };

check "`start`: `QEMU died prematurely`", undef, sub {
    my $machine = createMachine({ startCommand => "exit 3;", name => "broken" });
    dies(qr/^QEMU died prematurely/, sub { $machine->start });
    delete $vms{broken};
};

check "`execute`: a list of status and output; in the log `running command: ...` and `exit status N`", undef, sub {
    $server->connect;
    my ($status, $out) = $server->execute("echo out; exit 3");
    is($status, 3);
    is($out, "out\n");
    logged qr/<head machine="server">running command: echo out; exit 3<\/head><line machine="server">exit status 3<\/line>/;
    ($status, $out) = $server->execute_("echo plain");
    is("$status $out", "0 plain\n");
};

check "`execute` where one value is wanted", "it is the output", sub {
    is(scalar $server->execute("echo one; exit 1"), "one\n");
};

check "commands: neither `errexit` nor `nounset` nor `pipefail` is set", undef, sub {
    is($server->succeed('false; echo "[$nothing]"; false | true'), "[]\n");
    dies(qr/exit code 1/, sub { $server->succeed("true | false") });
};

check "commands: what they leave in the background is not waited for", undef, sub {
    my $began = time;
    is($server->succeed("sleep 100 & echo begun"), "begun\n");
    is($server->succeed("echo 'a & b'"), "a & b\n");
    my ($status) = $server->execute("sleep 100 & exit 4");
    is($status, 4);
    die "it took " . (time - $began) . " s" if time - $began > 60;
    $server->succeed("kill -9 \$(pgrep -P 1 -f '^sleep 100\$') 2>/dev/null || true");
};

check "commands: there is no time limit", "unless one follows in a hash: `\$machine->execute(\"make\", { timeout => 60 })`", sub {
    my ($status) = $server->execute("sleep 100", { timeout => 0.2 });
    is($status, 124);
};

check "`succeed`, `mustSucceed`: outputs of all commands; ``command `...' did not succeed (exit code N)``", undef, sub {
    is($server->succeed("echo 1", "echo 2"), "1\n2\n");
    is($server->mustSucceed("echo 3"), "3\n");
    dies(qr/^command `echo no; exit 7' did not succeed \(exit code 7\)/, sub { $server->succeed("echo no; exit 7") });
    logged qr/<head machine="server">must succeed: echo 1<\/head><line machine="server">exit status 0<\/line>/;
    logged qr/<line machine="server">exit status 7<\/line><line machine="server">output: no\n?<\/line>/;
};

check "what verbs die with", "` at FILE line N.` follows, as with any `die` in Perl", sub { };

check "`fail`, `mustFail`: ``command `...' unexpectedly succeeded``", undef, sub {
    $server->fail("exit 2");
    $server->mustFail("false");
    dies(qr/^command `true' unexpectedly succeeded/, sub { $server->fail("true") });
    logged qr/<head machine="server">must fail: true<\/head>/;
};

check "`fail`", "it takes several commands, and returns their outputs", sub {
    is($server->fail("echo a; exit 1", "echo b; exit 1"), "a\nb\n");
};

check "`waitUntilSucceeds`, `waitUntilFails`", undef, sub {
    $server->waitUntilSucceeds('test -e tries || { touch tries; false; }');
    $server->waitUntilFails('test -e tries && rm tries');
    logged qr/<head machine="server">waiting for success: test -e tries/;
    logged qr/<head machine="server">waiting for failure: test -e tries/;
    dies(qr/^action timed out after/, sub { $server->waitUntilSucceeds("false", { timeout => 0.3 }) });
    my $problem = $@;
    die "our own words in $problem" if $problem =~ /pipefail/;
};

check "waits", "the driver looks more often than once a second, and after 900 seconds says what was there instead", sub { };

check "`waitForUnit(UNIT[, USER])`, `waitForJob`", undef, sub {
    $server->waitForUnit("good.service");
    $server->waitForUnit("good.service", "alice");
    $server->waitForJob("good");
    logged qr/<head machine="server">waiting for unit ‘good.service’<\/head>/;
    dies(qr/^unit ‘bad.service’ reached state ‘failed’/, sub { $server->waitForUnit("bad.service") });
    dies(qr/^unit ‘idle.service’ is inactive and there are no pending jobs/,
        sub { $server->waitForUnit("idle.service", undef, { grace => 0.1 }) });
};

check "`waitForUnit`", "a service that has done its work and is inactive again counts as active; one without a job is given 5 seconds", sub { };

check "`getUnitInfo(UNIT[, USER])`: a reference to a hash, undef when systemctl fails", undef, sub {
    is($server->getUnitInfo("good.service")->{ActiveState}, "active");
    is($server->getUnitInfo("good.service", "alice")->{Description}, "a=b");
    die "defined" if defined $server->getUnitInfo("missing");
};

check "`systemctl(QUERY[, USER])`, `startJob`, `stopJob`: lists of status and output", undef, sub {
    my ($status, $out) = $server->systemctl("start x");
    is("$status $out", "0 start x\n");
    is(join(" ", $server->startJob("y")), "0 start y\n");
    is(join(" ", $server->stopJob("y", "alice")), "0 stop y\n");
    logged qr/<head machine="server">running command: systemctl start x<\/head>/;
    logged qr/<head machine="server">running command: su -l alice -c \$'XDG_RUNTIME_DIR=\/run\/user\/`id -u` systemctl --user stop y'<\/head>/;
};

check "`requireActiveUnit(UNIT)`", undef, sub {
    $server->requireActiveUnit("good.service");
    dies(qr/^Expected unit ‘bad.service’ to to be in state 'active' but it is in state ‘failed’/,
        sub { $server->requireActiveUnit("bad.service") });
};

check "`systemdAnalyzeBlame`: the output of `systemd-analyze blame`", undef, sub {
    logged qr/running command: systemd-analyze blame/ if defined $server->systemdAnalyzeBlame;
};

check "`waitForFile`, `waitForOpenPort`, `waitForClosedPort`", undef, sub {
    $server->waitForFile("/");
    $server->waitForOpenPort(80);
    $server->waitForClosedPort(81);
    logged qr/<head machine="server">waiting for file ‘\/’<\/head>/;
    logged qr/<head machine="server">waiting for TCP port 80<\/head>/;
};

check "`waitForClosedPort`", "its wait is a step of the log", sub { };

check "`waitForX`, `getWindowNames`, `waitForWindow(REGEX)`", undef, sub {
    is(join("|", $server->getWindowNames), "A terminal|A clock");
    $server->waitForWindow(qr/CLOCK$/i);
    dies(qr/^action timed out/, sub { $server->waitForWindow("none", { timeout => 0.1 }) });
    logged qr/<line machine="server">A terminal, A clock<\/line>/;
    eval { $server->waitForX({ timeout => 0.1 }) };
    die $@ if $@ && $@ !~ /^action timed out/;
    logged qr/<head machine="server">waiting for the X11 server<\/head>/;
};

check "`screenshot(NAME)`: `NAME.png` in the output directory; the step has the attribute `image`", undef, sub {
    $server->screenshot("shot");
    die "no file" if !-s "$ENV{out}/shot.png";
    logged qr/<head machine="server" image="shot.png">making screenshot ‘shot.png’<\/head>/;
};

check "`screenshot`", "names that are no word are put into the output directory, too, and get `.png`", sub {
    $server->screenshot("two-words");
    die "no file" if !-s "$ENV{out}/two-words.png";
};

check "`getScreenText`, `waitForText(REGEX)`", "the engine is one of innkeeper's", sub {
    die "no text" if !defined $server->getScreenText;
    logged qr/<head machine="server">performing optical character recognition<\/head>/;
    $server->waitForText(qr/|x/);
    dies(qr/^action timed out/, sub { $server->waitForText("no such text", { timeout => 0.3 }) });
    logged qr/waiting for no such text to appear on the screen/;
};

check "`getTTYText(N)`, `waitUntilTTYMatches(N, REGEX)`, `dumpTTYContents(N)`", undef, sub {
    is($server->getTTYText(1), "login: \nwelcome\n");
    $server->waitUntilTTYMatches(1, qr/^WELCOME/im);
    $server->dumpTTYContents(1);
    logged qr/to appear on tty 1<\/head>/;
    logged qr/running command: fold -w 80 \/dev\/vcs1 \| systemd-cat/;
};

check "`sendKeys(KEY, ...)`, `sendChars(TEXT)`", undef, sub {
    $server->sendKeys("a", "shift-b", "ret", "\n", "A");
    $server->sendChars("it's 1\n");
    logged qr/sending monitor command: sendkey shift-b/;
    logged qr/<head machine="server">sending keys ‘it's 1\n?’<\/head>/;
};

check "`sendMonitorCommand(LINE)`: its answer without the prompt; `{monitor}`, `waitForMonitorPrompt`", undef, sub {
    my $answer = $server->sendMonitorCommand("info status");
    die $answer if $answer !~ /running/ || $answer =~ /\(qemu\)/;
    logged qr/<line machine="server">sending monitor command: info status<\/line>/;
    $server->waitForMonitorPrompt;
    syswrite $server->{monitor}, "info status\n";
    $answer = $server->waitForMonitorPrompt;
    die $answer if $answer !~ /running/ || $answer =~ /\(qemu\)/;
};

check "`block`, `unblock`, `forwardPort(HOST, GUEST)`", undef, sub {
    $server->block;
    $server->unblock;
    $server->forwardPort;
    $server->forwardPort(8081, 81);
};

check "`copyFileFromHost(FROM, TO)`", "it copies any file and directory, as it is; then a line end was added to the text", sub {
    open my $file, ">", "from" or die $!;
    print $file "it's \$HOME\n";
    close $file or die $!;
    $server->copyFileFromHost("from", "$ENV{out}/to");
    is($server->succeed("cat '$ENV{out}/to'; rm '$ENV{out}/to'"), "it's \$HOME\n");
};

check "`sleep(SECONDS)`: in the guest", undef, sub {
    $server->sleep(0.1);
    logged qr/<head machine="server">must succeed: sleep 0.1<\/head>/;
};

check "`log`, `nest`, `name`, `stateDir`", undef, sub {
    is($server->name, "server");
    is($server->stateDir, "$ENV{TMPDIR}/vm-state-server");
    is($server->nest("outer", sub { $server->log("deep"); 5 }), 5);
    logged qr/<head machine="server">outer<\/head><line machine="server">deep<\/line>/;
};

check "fields that scripts read: `{name}`, `{pid}`, `{booted}`, `{connected}`, `{stateDir}`, `{startCommand}`, `{log}`", undef, sub {
    is($server->{name}, "server");
    is($server->{booted} + $server->{connected}, 2);
    die "no process" if !kill 0, $server->{pid};
    is($server->{stateDir}, $server->stateDir);
    $server->{log}->log("by the field");
    logged qr/<line>by the field<\/line>/;
    $server->crash;
    is($server->{pid} + $server->{booted} + $server->{connected}, 0);
};

check "fields that scripts assign: `{connected} = 0`, `{stateDir}`, `{allowReboot}`, any of their own", undef, sub {
    $server->connect;
    $server->execute("(sleep 0.3; reboot) &");
    $server->{connected} = 0;
    is($server->succeed("echo back"), "back\n");
    $server->{mine} = 7;
    is($server->{mine}, 7);
    $server->shutdown;
    my $old = $server->{stateDir};
    mkdir "$ENV{TMPDIR}/moved";
    $server->{stateDir} = "$ENV{TMPDIR}/moved";
    $server->start;
    is(readlink "/proc/$server->{pid}/cwd", "$ENV{TMPDIR}/moved");
    $server->crash;
    $server->{stateDir} = $old;
};

check "`{socket}`, `{redirectSerial}`", "the shell belongs to the driver; consoles are always in the log", sub { };

check "all other verbs of today are there, in camel case", "they are innkeeper's", sub {
    $server->can($_) or die $_ for qw(waitForConsoleText copyFromMachine snapshot getConsoleLog);
};
