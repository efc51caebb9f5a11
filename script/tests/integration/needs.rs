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
        "print 'it has begun';\n\nsubtest 'look', sub {\n  $web_server->screenshot('x');\n};\n",
    );
    for (failure, verb) in [(python.await, "get_screen_text"), (perl.await, "screenshot")] {
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
    let ran = run("x.py", "def look(m):\n    m.screenshot('x')\nlook(client)\n").await;
    assert!(
        ran.failure()
            .message
            .starts_with("backend `fake` has no screen, which screenshot() of machine `client` needs")
    );
}

#[tokio::test]
async fn what_may_never_be_called_is_left_alone() {
    for guarded in [
        "if False:\n    client.screenshot('x')",
        "try:\n    client.screenshot('x')\nexcept Exception:\n    pass",
        "import contextlib\nwith contextlib.suppress(Exception):\n    client.screenshot('x')",
        "import sys\nif machines:\n    sys.exit(0)\nclient.screenshot('x')",
        "def end():\n    raise SystemExit\nend()\nclient.screenshot('x')",
        "False and client.screenshot('x')",
        "1 if True else client.screenshot('x')",
        "f = lambda: client.screenshot('x')",
        "class Camera:\n    def screenshot(self, name): pass\nclient = Camera()\nclient.screenshot('x')",
        "Machine.screenshot = lambda self, name: None\nclient.screenshot('x')",
        "setattr(Machine, 'screenshot', lambda self, name: None)\nclient.screenshot('x')",
    ] {
        begins("x.py", &format!("print('{BEGUN}')\n{guarded}\n")).await;
    }
    for guarded in [
        "$client->screenshot('x') if 0;",
        "if (0) { $client->screenshot('x'); }",
        "eval { $client->screenshot('x'); };",
        "0 and $client->screenshot('x');",
        "sub look { $client->screenshot('x'); }",
        "exit 0 if 1;\n$client->screenshot('x');",
        "my $text = q{\n;$client->screenshot('x');};",
        "my $text = <<END;\n;$client->screenshot('x');\nEND\n",
        "# ; $client->screenshot('x');",
    ] {
        begins("x.pl", &format!("print \"{BEGUN}\\n\";\n{guarded}\n")).await;
    }
}
