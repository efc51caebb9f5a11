//! What a test author sees in Python.

use driver_core::event::{Event, Level, ScopeKind};
use script::FailureKind;

use crate::support::{Bench, run};

#[tokio::test]
async fn the_verbs_do_what_they_say_and_look_like_functions() {
    let ran = run(
        "verbs.py",
        r#"
import datetime, inspect, re
start_all()
assert server.succeed("echo one", "echo two") == "one\ntwo\n"
status, output = server.execute("echo out; exit 3", timeout=datetime.timedelta(seconds=5))
assert (status, output) == (3, "out\n")
assert server.fail("echo no; false", timeout=1.5) == "no\n"
server.wait_until_succeeds("true", 5)
assert machine is server and machines == [server] and repr(server) == "<QemuMachine 'server'>"
assert server.booted and server.connected and server.state_dir.is_dir() and {server: 1}[machine] == 1
signature = inspect.signature(server.wait_for_unit)
assert list(signature.parameters) == ["unit", "user", "timeout", "grace"], signature
assert signature.parameters["timeout"].default == 900
assert "must succeed" in inspect.getdoc(server.succeed)
def annotated(m: Machine, q: QemuMachine, b: BaseMachine) -> None: ...
assert os.path.isabs(__file__)
for call, message in [
    (lambda: server.wait_for_unit(), "wait_for_unit() missing a required argument: 'unit'"),
    (lambda: server.wait_for_unit("a", colour=1), "wait_for_unit() got an unexpected keyword argument 'colour'"),
    (lambda: server.execute("true", timeout=True),
     "expected a duration, got bool: True (argument `timeout` of execute())"),
    (lambda: server.succeed(["true"]),
     "expected a string, got list: ['true'] (argument `commands` of succeed())"),
    (lambda: server.wait_for_open_port("http"),
     "expected a whole number, got str: 'http' (argument `port` of wait_for_open_port())"),
    (lambda: server.is_up(1), "is_up() too many positional arguments"),
]:
    with t.assertRaises(TypeError) as caught:
        call()
    t.assertEqual(str(caught.exception), message)
with t.assertRaises(ValueError):
    server.wait_for_open_port(70000)
with t.assertRaises(AttributeError):
    server.no_such_verb
try:
    server.succeed("exit 7")
except Exception as error:
    assert isinstance(error, AssertionError), type(error)
    assert str(error) == "command `exit 7` failed (exit code 7)", str(error)
"#,
    )
    .await;
    ran.passed();
}

#[tokio::test]
async fn retry_takes_all_its_forms_and_polls_quickly() {
    let ran = run(
        "retry.py",
        r#"
import time
from datetime import timedelta
calls = []
def third(last):
    calls.append(last)
    return len(calls) == 3
started = time.monotonic()
retry(third)
assert calls == [False] * 3 and time.monotonic() - started < 1
for arguments, named in [((), {"timeout": 0.1}), ((0.1,), {}), ((), {"timeout_seconds": 0.1}),
                         ((), {"timeout": timedelta(seconds=0.1)})]:
    seen = []
    with t.assertRaisesRegex(AssertionError, r"^action timed out after 0\.\d\d seconds \(timeout=0\.1\)$"):
        retry(lambda last: seen.append(last), *arguments, **named)
    assert seen[0] is False and seen[-1] is True and seen.count(True) == 1
with t.assertRaisesRegex(TypeError, "got both 'timeout' and 'timeout_seconds'"):
    retry(third, 1, timeout=1)
"#,
    )
    .await;
    ran.passed();
}

#[tokio::test]
async fn threads_drive_several_machines_and_the_same_one() {
    let ran = Bench::new(&["left", "right-1"])
        .run(
            "threads.py",
            r#"
import threading
assert [m.name for m in machines] == ["left", "right-1"] and "machine" not in globals()
results = {}
def work(m, n):
    results[m, n] = m.succeed(f"echo {m.name} {n}")
with subtest("outer"):
    threads = [threading.Thread(target=work, args=(m, n)) for m in (left, right_1) for n in range(20)]
    for each in threads: each.start()
    for each in threads: each.join()
assert results == {(m, n): f"{m.name} {n}\n" for m in machines for n in range(20)}, results
threading.Thread(target=lambda: left.succeed("sleep 600")).start()
threading.Thread(target=lambda: right_1.succeed("sleep 600"), daemon=True).start()
"#,
        )
        .await;
    ran.passed();
    let from_threads =
        |event: &Event| matches!(event, Event::ScopeStarted { text, .. } if text.contains("echo left 7"));
    assert_eq!(ran.scopes_around(from_threads), ["run the VM test script"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_nest_and_prints_stay_where_they_were_made() {
    let ran = run(
        "scopes.py",
        r#"
print("before")
with subtest("first"):
    print("inside")
    with server.nested("deeper"):
        server.log("deep")
        with log.nested("deepest"):
            server.succeed("echo hello >&2")
            log.info("done")
def leave():
    with subtest("second"):
        return 1
leave()
print("after")
log.warning("odd")
"#,
    )
    .await;
    ran.passed();
    let around = |wanted: &'static str| {
        ran.scopes_around(move |event| match event {
            Event::ScriptOutput { line: text, .. } | Event::Log { text, .. } => text == wanted,
            _ => false,
        })
    };
    let script = "run the VM test script";
    assert_eq!(around("before"), [script]);
    assert_eq!(around("inside"), [script, "first"]);
    assert_eq!(around("deep"), [script, "first", "deeper"]);
    assert_eq!(around("done"), [script, "first", "deeper", "deepest"]);
    assert_eq!(ran.logged(Level::Warning), ["odd"]);
    let order: Vec<&str> = ran
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::ScopeStarted { kind: ScopeKind::Subtest, text, .. } => Some(text.as_str()),
            Event::ScriptOutput { line, .. } => Some(line.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["before", "first", "inside", "second", "after"]);
}

#[tokio::test]
async fn a_failing_assertion_shows_the_scripts_own_lines_and_nothing_else() {
    let ran = run(
        "guestbook.py",
        r#"def check(text):
    server.succeed(f"echo {text} | grep nothing")

with subtest("the post is shown"):
    check("testpost")
"#,
    )
    .await;
    let message = "command `echo testpost | grep nothing` failed (exit code 1)";
    assert_eq!(
        ran.traceback(),
        format!(
            r#"Traceback (most recent call last):
  File "guestbook.py", line 5, in <module>
    check("testpost")
  File "guestbook.py", line 2, in check
    server.succeed(f"echo {{text}} | grep nothing")

RequestedAssertionFailed: {message}"#
        )
    );
    let failure = ran.failure();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Assertion, message));
    assert_eq!(failure.line, Some(2));
    assert_eq!(failure.source.as_deref(), Some(r#"server.succeed(f"echo {text} | grep nothing")"#));
    let errors = ran.logged(Level::Error);
    assert_eq!(errors[0], format!("Test \"the post is shown\" failed with error: \"{message}\""));
    assert_eq!(errors[1], failure.traceback.join("\n"));
}

#[tokio::test]
async fn a_bare_assert_says_what_was_there() {
    let ran = run("bare.py", "count = 2\nassert count == 3\n").await;
    assert_eq!(ran.failure().kind, FailureKind::Assertion);
    assert_eq!(ran.failure().message, "assert count == 3\n  count = 2");
    let last = "AssertionError: assert count == 3\n  count = 2";
    assert!(ran.traceback().ends_with(last), "{}", ran.traceback());
    assert_eq!(ran.failure().line, Some(2));
}

#[tokio::test]
async fn a_bare_assert_in_a_subtest_says_so_there_too() {
    let text = "count = 2\nwith subtest(\"counting\"):\n    with server.nested(\"inside\"):\n        assert count == 3\n";
    let ran = run("bare.py", text).await;
    let message = "assert count == 3\n  count = 2";
    assert_eq!(ran.failure().message, message);
    assert_eq!(ran.logged(Level::Error)[0], format!("Test \"counting\" failed with error: \"{message}\""));
    let ended: Vec<_> = ran
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::ScopeEnded { error: Some(error), .. } => Some(error.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [message; 3]);
}

#[tokio::test]
async fn what_is_misspelt_is_told_with_what_was_meant() {
    for (text, message) in [
        (
            "server.succed('true')\n",
            "AttributeError: 'QemuMachine' object has no attribute 'succed' (did you mean 'succeed'?)",
        ),
        ("sever.succeed('true')\n", "NameError: name 'sever' is not defined (did you mean 'server'?)"),
        ("nothing_like_it()\n", "NameError: name 'nothing_like_it' is not defined"),
        ("raise ValueError\n", "ValueError"),
    ] {
        let ran = run("misspelt.py", text).await;
        assert_eq!(ran.failure().message, message);
    }
}

#[tokio::test]
async fn a_script_that_is_not_text_is_told_by_name() {
    let ran = Bench::new(&["server"]).run_bytes("latin.py", b"print('\xe9')\n").await;
    let message = &ran.failure().message;
    let wanted = "latin.py` is not in UTF-8 (save it so, or say what it is in: `# -*- coding: latin-1 -*-`)";
    assert!(message.starts_with("SyntaxError: `") && message.ends_with(wanted), "{message}");
    assert!(!ran.traceback().contains("During handling"), "{}", ran.traceback());
}

#[tokio::test]
async fn the_test_cases_assertions_are_the_tests() {
    let ran = run("t.py", "t.assertEqual(1, 2)\n").await;
    assert_eq!(ran.failure().kind, FailureKind::Assertion);
    assert!(!ran.traceback().contains("unittest"), "{}", ran.traceback());
    assert!(ran.traceback().ends_with("RequestedAssertionFailed: 1 != 2"), "{}", ran.traceback());
}

#[tokio::test]
async fn other_exceptions_keep_their_causes_and_lose_foreign_frames() {
    let ran = run(
        "cause.py",
        "import json\ntry:\n    json.loads('nonsense')\nexcept ValueError as error:\n    raise RuntimeError('no') from error\n",
    )
    .await;
    assert_eq!(ran.failure().kind, FailureKind::ScriptError);
    assert_eq!(ran.failure().line, Some(5));
    let traceback = ran.traceback();
    assert!(traceback.contains("File \"cause.py\", line 3"), "{traceback}");
    assert!(traceback.contains("The above exception was the direct cause"), "{traceback}");
    assert!(!traceback.contains("decoder.py"), "{traceback}");
}

#[tokio::test]
async fn a_syntax_error_is_shown_as_python_shows_it() {
    let ran = run("syntax.py", "start_all()\nif True\n    pass\n").await;
    let failure = ran.failure();
    assert_eq!((failure.kind, failure.line), (FailureKind::ScriptError, Some(2)));
    assert_eq!(failure.source.as_deref(), Some("if True"));
    let traceback = ran.traceback();
    assert!(traceback.starts_with("  File \"syntax.py\", line 2\n    if True\n"), "{traceback}");
    assert!(!traceback.contains("Traceback"), "{traceback}");
}

#[tokio::test]
async fn patterns_are_pythons_and_bad_ones_fail_before_anything_is_sent() {
    let ran = run(
        "patterns.py",
        r#"
import re, unittest.mock
server.succeed("echo 'login: root pts/7' >&2")
server.wait_for_console_text(r"(?<=login: )(?P<user>\w+)(?! tty)", timeout=20)
server.succeed("echo HELLO >&2")
server.wait_for_console_text(re.compile("hello", re.IGNORECASE), timeout=20)
# Nothing in this makes a pattern of it, so nobody has to be asked.
import innkeeper.connection
with unittest.mock.patch.object(innkeeper.connection.Connection, "_search", None):
    server.succeed("echo HELLO you >&2")
    server.wait_for_console_text("HELLO you", timeout=20)
    server.succeed("echo HELLO you >&2")
    try:
        server.wait_for_console_text("hello you", timeout=1)
        print("found in other letters")
    except Exception as error:
        print(str(error).splitlines()[0])
try:
    server.wait_for_console_text("(", timeout=1)
except re.error as error:
    print("bad pattern:", error)
"#,
    )
    .await;
    ran.passed();
    assert!(ran.printed()[0].ends_with("seconds (timeout=1.0)"), "{:?}", ran.printed());
    assert!(ran.printed()[1].starts_with("bad pattern:"));
}

#[tokio::test]
async fn outputs_of_any_size_and_kind_arrive() {
    let ran = run(
        "large.py",
        r#"
output = server.succeed("head -c 100000000 /dev/zero | tr '\\0' x")
assert len(output) == 100_000_000 and set(output[:1000]) == {"x"}
assert server.succeed("printf 'gr\\303\\274\\303\\237e \\377|'") == "grüße \ufffd|"
assert server.succeed("cat <<'E'\n" + "y" * 1_000_000 + "\nE").count("y") == 1_000_000
try:
    server.execute("printf 'ab\\377'", check_return=False)
except UnicodeDecodeError as error:
    assert (error.object, error.start) == (b"ab\xff", 2), error
else:
    raise AssertionError("bytes that are no text")
try:
    server.succeed("echo \udc80")
except UnicodeEncodeError:
    print("said at once")
try:
    server.succeed("x" * (70 << 20))
except ValueError as error:
    print(error)
assert server.succeed("echo still here") == "still here\n"
"#,
    )
    .await;
    ran.passed();
    assert_eq!(ran.printed()[0], "said at once");
    assert!(ran.printed()[1].contains("copy_from_host"), "{:?}", ran.printed());
}

#[tokio::test]
async fn log_error_ends_the_script_as_upstream_does() {
    let ran = run("log.py", "log.error('so not')\nprint('never')\n").await;
    assert_eq!(ran.failure().kind, FailureKind::Exit);
    assert_eq!(ran.logged(Level::Error)[0], "so not");
    assert!(ran.printed().is_empty());
}

#[tokio::test]
async fn what_a_machine_does_wrong_is_a_machine_error() {
    let ran = run("panic.py", "start_all()\nserver.succeed('panic')\n").await;
    assert_eq!((ran.failure().kind, ran.failure().line), (FailureKind::Machine, Some(2)));
    assert!(ran.traceback().contains("\n\nMachineError: machine `server`: "), "{}", ran.traceback());
}

#[tokio::test]
async fn a_wait_that_takes_too_long_is_pythons_own_timeout() {
    let text = "import subprocess\nserver.start()\n\
        try:\n    server.wait_for_shutdown(timeout=0.1)\n\
        except subprocess.TimeoutExpired as error:\n    assert error.timeout == 0.1, error.timeout\n    raise\n";
    let ran = run("timeout.py", text).await;
    assert_eq!(ran.failure().kind, FailureKind::Assertion);
    assert!(ran.failure().message.contains("within 100ms"), "{}", ran.failure().message);
}

#[tokio::test]
async fn a_thread_that_fails_is_told_and_does_not_fail_the_test() {
    let text = "import threading\n\
        thread = threading.Thread(target=lambda: server.succeed('exit 9'), name='worker')\n\
        thread.start()\nthread.join()\n";
    let ran = run("thread.py", text).await;
    ran.passed();
    let printed = ran.printed();
    assert_eq!(printed[0], "Exception in thread worker:");
    assert_eq!(printed[printed.len() - 1], "RequestedAssertionFailed: command `exit 9` failed (exit code 9)");
}
