//! What a test author of 2019 sees in Perl.

use driver_core::event::{Event, Level};
use script::FailureKind;

use crate::support::{Bench, run};

#[tokio::test]
async fn a_script_of_2019_runs_as_it_stands() {
    let ran = Bench::new(&["client-1", "server"])
        .run(
            "guestbook.pl",
            r#"
startAll;
$server->succeed("[ -z \"\$(printf '')\" ]");
$server->mustSucceed("echo 'hello from perl' | grep hello", "true") eq "hello from perl\n" or die "joined";
my ($status, $out) = $server->execute("echo out; exit 3");
die "status $status" unless $status == 3 && $out eq "out\n";
$client_1->fail("false");
$server->waitUntilSucceeds("true");
die "not up" unless $server->isUp && $vms{"client-1"}->name eq "client-1";
eval { $server->succeed("exit 7") };
die "got $@" unless $@ =~ /^command `exit 7' did not succeed \(exit code 7\) at .*guestbook.pl line 10\.$/;
eval { $server->mustFail("true") };
die "got $@" unless $@ =~ /^command `true' unexpectedly succeeded/;
$server->succeed("printf 'grüße'") eq "grüße" or die "bytes";
my $n = 0;
Machine::retry sub { return ++$n == 3; };
$log->nest("outer", sub { $server->nest("inner", sub { $server->log("deep"); }); });
$server->succeed("echo 'login: root pts/7' >&2");
$server->waitForConsoleText(qr/(?<=LOGIN: )(?<user>\w+)(?! tty)/i, 20);
$server->execute("echo late", { timeout => 5 });
print "done\n";
"#,
        )
        .await;
    ran.passed();
    assert_eq!(ran.printed(), ["done"]);
    let deep = ran.scopes_around(|event| matches!(event, Event::Log { text, .. } if text == "deep"));
    assert_eq!(deep, ["run the VM test script", "outer", "inner"]);
}

#[tokio::test]
async fn a_failure_names_its_line_as_in_python() {
    let ran = run("fails.pl", "sub check {\n    $server->succeed(\"exit 5\");\n}\n\ncheck();\n").await;
    let failure = ran.failure();
    assert_eq!((failure.kind, failure.line), (FailureKind::Assertion, Some(2)));
    assert_eq!(failure.message, "command `exit 5' did not succeed (exit code 5)");
    assert_eq!(failure.source.as_deref(), Some("$server->succeed(\"exit 5\");"));
    assert_eq!(
        ran.traceback(),
        r#"Traceback (most recent call last):
  File "fails.pl", line 5, in main
    check();
  File "fails.pl", line 2, in check
    $server->succeed("exit 5");

command `exit 5' did not succeed (exit code 5) at fails.pl line 2."#
    );
}

#[tokio::test]
async fn dying_is_an_assertion_and_perls_own_complaints_are_not() {
    let died = run("died.pl", "my $x = 1;\ndie \"unexpected $x\" if $x;\n").await;
    assert_eq!((died.failure().kind, died.failure().line), (FailureKind::Assertion, Some(2)));
    let method = run("method.pl", "\n$server->noSuchVerb;\n").await;
    assert_eq!((method.failure().kind, method.failure().line), (FailureKind::ScriptError, Some(2)));
    let syntax = run("syntax.pl", "startAll;\nif (1 {\n}\n").await;
    assert_eq!((syntax.failure().kind, syntax.failure().line), (FailureKind::ScriptError, Some(2)));
    let typo = run("typo.pl", "$sever->start;\n").await;
    assert_eq!(typo.failure().kind, FailureKind::ScriptError);
}

#[tokio::test]
async fn a_failing_subtest_lets_the_script_go_on_and_fails_the_run() {
    let ran = run(
        "subtests.pl",
        "subtest \"one\", sub { $server->succeed(\"true\"); };\n\
         subtest \"two\", sub {\n    $server->succeed(\"false\");\n};\n\
         print \"still here\\n\";\n",
    )
    .await;
    assert_eq!(ran.printed(), ["still here"]);
    assert_eq!((ran.failure().kind, ran.failure().line), (FailureKind::Assertion, Some(3)));
    let message = "command `false' did not succeed (exit code 1)";
    assert_eq!(ran.logged(Level::Error)[0], format!("error: {message}"));
    assert!(ran.logged(Level::Info).contains(&"1 out of 2 tests succeeded"), "{:?}", ran.logged(Level::Info));
}
