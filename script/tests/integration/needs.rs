//! Calls that no backend of theirs can do end a script before it begins, if they are certain.

use script::{FailureKind, ScriptFailure};

use crate::support::{Bench, Ran};

/// What a script prints first if it begins.
const BEGUN: &str = "it has begun";

async fn run(name: &str, script: &str) -> Ran {
    Bench::without_facets(&["client", "web-server"]).run(name, script).await
}

async fn refused(name: &str, script: &str) -> ScriptFailure {
    let ran = run(name, script).await;
    assert!(!ran.printed().contains(&BEGUN), "{script}");
    ran.failure().clone()
}

async fn begins(name: &str, script: &str) {
    let ran = run(name, script).await;
    assert!(ran.printed().contains(&BEGUN), "{script}: {:?}", ran.outcome);
}

#[tokio::test]
async fn a_certain_call_is_refused_before_the_script_begins() {
    let python = refused(
        "x.py",
        "print('it has begun')\nwith subtest('look'):\n    web_server.succeed('true')\n    \
         text = 'a' + web_server.get_screen_text().strip()\n",
    );
    let perl = refused(
        "x.pl",
        "print 'it has begun';\n\nsubtest 'look', sub {\n  $web_server->waitForText('x');\n};\n",
    );
    for (failure, verb) in [(python.await, "get_screen_text"), (perl.await, "wait_for_text")] {
        assert_eq!(failure.kind, FailureKind::Machine);
        assert_eq!(
            failure.message,
            format!(
                "backend `fake` has no screen, which {verb}() of machine `web-server` needs (the console has text: \
                 wait_for_console_text(), get_console_log())"
            )
        );
        assert_eq!(failure.line, Some(4));
        assert!(
            failure.source.is_some_and(|source| source.contains("web_server")),
            "{:?}",
            failure.traceback
        );
    }
}

#[tokio::test]
async fn the_call_itself_is_refused_in_the_same_words() {
    let ran = run("x.py", "def look(m):\n    m.wait_for_text('x')\nlook(client)\n").await;
    assert!(
        ran.failure()
            .message
            .starts_with("backend `fake` has no screen, which wait_for_text() of machine `client` needs")
    );
}

#[tokio::test]
async fn what_may_never_be_called_is_left_alone() {
    for guarded in [
        "if False:\n    client.wait_for_text('x')",
        "try:\n    client.wait_for_text('x')\nexcept Exception:\n    pass",
        "import contextlib\nwith contextlib.suppress(Exception):\n    client.wait_for_text('x')",
        "import sys\nif machines:\n    sys.exit(0)\nclient.wait_for_text('x')",
        "def end():\n    raise SystemExit\nend()\nclient.wait_for_text('x')",
        "False and client.wait_for_text('x')",
        "1 if True else client.wait_for_text('x')",
        "f = lambda: client.wait_for_text('x')",
        "class Camera:\n    def wait_for_text(self, regex): pass\nclient = Camera()\nclient.wait_for_text('x')",
        "Machine.wait_for_text = lambda self, regex: None\nclient.wait_for_text('x')",
        "setattr(Machine, 'wait_for_text', lambda self, regex: None)\nclient.wait_for_text('x')",
    ] {
        begins("x.py", &format!("print('{BEGUN}')\n{guarded}\n")).await;
    }
    for guarded in [
        "$client->waitForText('x') if 0;",
        "if (0) { $client->waitForText('x'); }",
        "eval { $client->waitForText('x'); };",
        "0 and $client->waitForText('x');",
        "sub look { $client->waitForText('x'); }",
        "exit 0 if 1;\n$client->waitForText('x');",
        "my $text = q{\n;$client->waitForText('x');};",
        "my $text = <<END;\n;$client->waitForText('x');\nEND\n",
        "# ; $client->waitForText('x');",
    ] {
        begins("x.pl", &format!("print \"{BEGUN}\\n\";\n{guarded}\n")).await;
    }
}
