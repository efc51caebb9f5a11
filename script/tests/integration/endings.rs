//! How scripts end, and that nothing of them is left.

use std::path::Path;
use std::time::Duration;

use driver_core::event::{Event, Record};
use script::{FailureKind, Language, Script, ScriptError};
use tokio::time::timeout;

use crate::support::{Bench, Ran, run};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn sys_exit_is_an_ending_with_a_status() {
    run("zero.py", "import sys\nsys.exit(0)\n").await.passed();
    run("none.py", "exit()\n").await.passed();
    let three = run("three.py", "import sys\nsys.exit(3)\n").await;
    assert_eq!(three.failure().kind, FailureKind::Exit);
    assert_eq!(three.failure().message, "the script exited with status 3");
    assert_eq!(three.failure().line, Some(2));
    let text = run("text.py", "import sys\nsys.exit('disk missing')\n").await;
    assert_eq!(text.failure().message, "disk missing");
    let perl = run("four.pl", "exit 4;\n").await;
    assert_eq!(perl.failure().message, "the script exited with status 4");
    run("zero.pl", "exit 0;\n").await.passed();
}

#[tokio::test]
async fn an_interpreter_that_dies_ends_the_script_and_its_calls() {
    let text = "import os, signal, threading\n\
        threading.Thread(target=lambda: server.succeed('sleep 600')).start()\n\
        with subtest('dies'):\n    log.info('now')\n    os.kill(os.getpid(), signal.SIGKILL)\n";
    let ran = timeout(SOON, run("dies.py", text)).await.expect("it does not hang");
    assert_eq!(ran.failure().kind, FailureKind::ScriptError);
    assert!(ran.failure().message.contains("signal: 9"), "{}", ran.failure().message);
    assert_eq!(ran.failure().line, None);
    let silent = run("silent.py", "os._exit(0)\n").await;
    assert_eq!(silent.failure().kind, FailureKind::ScriptError);
}

#[tokio::test]
async fn children_of_the_script_end_with_it() {
    let text = "import subprocess\n\
        child = subprocess.Popen(['sleep', '600'])\nprint(child.pid, flush=True)\n";
    let ran = timeout(SOON, run("children.py", text)).await.expect("it does not hang");
    ran.passed();
    let pid = ran.printed()[0];
    assert!(!alive(pid), "process {pid} is left");
}

fn alive(pid: &str) -> bool {
    // A zombie that nobody has waited for yet is as good as gone.
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    !(status.is_empty() || status.contains(") Z "))
}

async fn cancelled_when_ready(text: &'static str) -> Ran {
    let bench = Bench::new(&["server"]);
    let (driver, mut records) = (bench.driver.clone(), bench.records.clone());
    let run = tokio::spawn(bench.run("cancelled.py", text));
    let ready = |records: &Vec<Record>| {
        records.iter().any(|record| matches!(&record.event, Event::Log { text, .. } if text == "ready"))
    };
    timeout(SOON, records.wait_for(ready)).await.expect("the script gets going").expect("the run goes on");
    driver.cancel("Ctrl-C");
    timeout(SOON, run).await.expect("it ends soon").expect("it does not panic")
}

async fn is_cancelled(text: &'static str) -> Ran {
    let ran = cancelled_when_ready(text).await;
    match &ran.outcome {
        Err(ScriptError::Cancelled { reason }) => assert_eq!(reason, "Ctrl-C"),
        other => panic!("{other:?}"),
    }
    ran
}

#[tokio::test]
async fn a_cancelled_run_ends_scripts_that_wait_compute_or_do_not_want_to() {
    let tidy = "try:\n    log.info('ready')\n    server.succeed('sleep 600')\n\
        except Exception:\n    print('swallowed')\nfinally:\n    print('tidied up')\n";
    assert_eq!(is_cancelled(tidy).await.printed(), ["tidied up"]);
    is_cancelled("import time\nlog.info('ready')\ntime.sleep(600)\n").await;
    // What goes on printing does not keep the script from saying something.
    is_cancelled("import subprocess\n[subprocess.Popen('yes') for _ in range(8)]\nlog.info('ready')\nserver.succeed('sleep 600')\n").await;
    is_cancelled("log.info('ready')\nwhile True:\n    try:\n        server.succeed('true')\n    except BaseException:\n        pass\n")
        .await;
}

#[tokio::test]
async fn a_client_that_talks_nonsense_gets_an_error_and_hangs_nobody() {
    for nonsense in
        ["b'garbage\\n'", "b'[1, 2]\\n'", "b'\\xff\\xfe\\n'", "b'{\"id\": -1}\\n'", "b'x' * (65 << 20)"]
    {
        let text = format!("server._connection._socket.sendall({nonsense})\nserver.succeed('true')\n");
        let ran = timeout(SOON, run("nonsense.py", &text)).await.expect("it does not hang");
        let message = &ran.failure().message;
        assert!(
            message.contains("JSON-RPC") || message.contains("longer than 64 MiB"),
            "{nonsense}: {message}"
        );
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_and_the_script_goes_on() {
    let text = r#"
request = server._connection.request
def refused(method, params, words):
    try:
        request(method, params)
    except (ValueError, Exception) as error:
        assert words in str(error), error
    else:
        assert False, method
refused("dance", {}, "no method `dance`")
refused("call", {"verb": "dance", "machine": "server", "args": {}, "scope": 0}, "no verb `dance`")
refused("call", {"verb": "succeed", "machine": "nobody", "args": {}, "scope": 0}, "no machine `nobody`")
refused("call", {"verb": "succeed"}, "missing field `args`")
refused("open_scope", {"kind": "step", "text": "x", "machine": "nobody", "scope": 0}, "no machine `nobody`")
refused("close_scope", {"scope": 4711, "error": None}, "no open scope 4711")
refused("hello", {"protocol": 2}, "speaks protocol 1, not 2")
"#;
    run("refused.py", text).await.passed();
}

#[tokio::test]
async fn what_cannot_be_run_is_said_with_the_way_out() {
    let unknown = Script::new("test.rb", None).unwrap_err();
    assert!(unknown.to_string().contains(".py for Python, or in .pl for Perl"), "{unknown}");
    let missing = Script::new("missing.py", None).unwrap_err();
    assert!(matches!(missing, ScriptError::Unreadable { .. }), "{missing}");
    assert!(Script::new(file!().replace("script/", ""), Some(Language::Python)).is_ok());
}
