//! The names of 2019, and what verbs of the driver's own table do under them. The rest of that year is in the
//! conformance suite of the whole product.

use driver_core::event::{Event, Level};
use script::FailureKind;

use crate::support::{Bench, run};

/// The functions of compat.md 7.2 and the methods of 7.3, as its tables list them.
const FUNCTIONS: &str = "startAll joinAll testScript runTests subtest createMachine createDisk";
const METHODS: &str = "start shutdown crash block unblock sleep isUp connect waitForShutdown execute succeed mustSucceed \
    fail mustFail waitUntilSucceeds waitUntilFails waitForUnit waitForJob getUnitInfo systemctl requireActiveUnit \
    startJob stopJob systemdAnalyzeBlame waitForFile waitForOpenPort waitForClosedPort waitForX getWindowNames \
    waitForWindow screenshot getScreenText waitForText getTTYText waitUntilTTYMatches dumpTTYContents sendKeys \
    sendChars sendMonitorCommand waitForMonitorPrompt copyFileFromHost forwardPort log nest name stateDir execute_";

#[tokio::test]
async fn every_name_of_2019_is_there() {
    let script = format!(
        "defined &$_ or die \"no function $_\" for qw({FUNCTIONS});\n\
         $server->can($_) or die \"no method $_\" for qw({METHODS});\n\
         defined &Machine::retry && $log->can('log') && $log->can('nest') && $vms{{server}} == $server or die;\n"
    );
    run("names.pl", &script).await.passed();
}

#[tokio::test]
async fn commands_are_run_as_they_were() {
    run(
        "commands.pl",
        r#"
$server->succeed('false; test -z "$nothing"; false | true');
$server->fail('true | false');
die "waited" unless $server->succeed("sleep 1000 >&2 & sleep 1000 & echo begun") eq "begun\n";
$server->succeed("pkill -P 1 -f '^sleep 1000' || true");
my ($status, $out) = $server->execute("cat <<END; exit 6\na & b\nEND");
die "$status $out" unless $status == 6 && $out eq "a & b\n";
eval { $server->waitUntilSucceeds("false & wait \$!; echo seen; false", { timeout => 0.2 }) };
die $@ unless $@ =~ /^action timed out after .*waited for success \(`false & wait \$!; echo seen; false`\).*seen/s;
"#,
    )
    .await
    .passed();
}

#[tokio::test]
async fn steps_have_the_headings_of_2019() {
    let ran = run(
        "headings.pl",
        "$server->waitForFile('/');\n$server->nest('mine', sub { $server->succeed('true') });\n\
         use utf8; $server->waitUntilSucceeds('test ü');\n",
    )
    .await;
    ran.passed();
    let headings: Vec<&str> = ran
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::ScopeStarted { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    for heading in ["waiting for file ‘/’", "mine", "must succeed: true", "waiting for success: test ü"]
    {
        assert!(headings.contains(&heading), "{heading} in {headings:?}");
    }
    // A heading is for the verb's own step, not for those inside.
    assert!(headings.contains(&"waiting for the VM to finish booting"), "{headings:?}");
    assert!(ran.logged(Level::Info).contains(&"exit status 0"));
}

#[tokio::test]
async fn fields_are_what_the_driver_knows() {
    run(
        "fields.pl",
        "die if $server->{booted} || $server->{connected} || $server->{pid};\n$server->connect;\n\
         die unless $server->{booted} && $server->{connected} && $server->{name} eq 'server';\n\
         $server->{mark} = 5;\ndie unless $server->{mark} == 5 && exists $server->{pid} && !exists $server->{other};\n\
         $server->{connected} = 0;\ndie if $server->isUp || $server->{connected};\n",
    )
    .await
    .passed();
}

#[tokio::test]
async fn a_monitor_that_is_silent_is_not_waited_for_without_end() {
    run(
        "monitor.pl",
        r#"
use Socket;
socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die $!;
my $machine = bless { monitor => $ours }, "Machine";
syswrite $theirs, "VM status: running\r\n(qemu) ";
die if $machine->waitForMonitorPrompt ne "VM status: running\r\n";
eval { $machine->waitForMonitorPrompt({ timeout => 0.2 }) };
die $@ unless $@ =~ /^action timed out after 0\.2 seconds at /;
syswrite $theirs, "half";
close $theirs;
die if $machine->waitForMonitorPrompt ne "half";
"#,
    )
    .await
    .passed();
}

#[tokio::test]
async fn nobody_makes_machines_where_no_start_scripts_are_run() {
    let ran = run("create.pl", "createMachine({ startCommand => 'run-x-vm' });\n").await;
    let failure = ran.failure();
    assert_eq!((failure.kind, failure.line), (FailureKind::ScriptError, Some(1)));
    assert!(failure.message.contains("no machines can be made here"), "{}", failure.message);
}

#[tokio::test]
async fn what_is_dead_in_a_subtest_is_in_its_step() {
    let ran = Bench::new(&["server"]).run("subtest.pl", "subtest 'part', sub { die \"no\\n\" };\n").await;
    let wanted = |event: &Event| matches!(event, Event::Log { text, .. } if text == "error: no");
    assert_eq!(ran.scopes_around(wanted), ["run the VM test script", "part"]);
}
