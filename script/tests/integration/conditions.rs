//! Polling conditions, as the log tells of them.

use driver_core::event::{Event, Level};

use crate::support::{Ran, run};

/// A condition that runs a command and logs, under a subtest.
async fn watched(verb: &str) -> Ran {
    let script = format!(
        r#"
import innkeeper.connection
# As on a host so busy that the driver never asks in time.
innkeeper.connection._MEANWHILE_S = 0
start_all()
server.connect()
@polling_condition(interval=600)
def all_is_well():
    "all is well"
    log.info("from the condition")
    server.succeed("echo looked")
with subtest("the subtest"), all_is_well:
    server.{verb}("true")
"#
    );
    let ran = run("conditions.py", &script).await;
    ran.passed();
    ran
}

fn is_info(event: &Event, wanted: &str) -> bool {
    matches!(event, Event::Log { level: Level::Info, text } if text == wanted)
}

#[tokio::test]
async fn what_a_condition_does_is_told_inside_the_command_that_it_was_looked_at_in() {
    for (verb, step) in
        [("succeed", "must succeed: true"), ("wait_until_succeeds", "waiting for success: true")]
    {
        let ran = watched(verb).await;
        let check = "Checking polling condition 'all is well'";
        let around = ran.scopes_around(|event| is_info(event, "from the condition"));
        assert!(around.ends_with(&["the subtest", step, check]), "{around:?}");
        let is_command = |event: &Event| matches!(event, Event::ScopeStarted { text, .. } if text.ends_with("echo looked"));
        let around = ran.scopes_around(is_command);
        assert!(around.ends_with(&["the subtest", step, check]), "{around:?}");
        let count = ran.logged(Level::Info).iter().filter(|text| **text == "(not called yet)").count();
        assert_eq!(count, 1);
    }
}

#[tokio::test]
async fn an_exception_whose_text_cannot_be_sent_ends_the_command_and_is_the_scripts_own() {
    let script = r#"
start_all()
server.connect()
for text in ["\udc80", "x" * (1 << 26)]:
    def callback():
        raise LookupError(text)
    server.callbacks.append(callback)
    try:
        server.succeed("true")
        assert False, "it went on"
    except LookupError as error:
        assert str(error) == text
    server.callbacks.pop()
"#;
    let ran = run("unsendable.py", script).await;
    ran.passed();
    let ends = ran.records.iter().filter_map(|record| match &record.event {
        Event::ScopeEnded { error: Some(error), .. } => Some(error.as_str()),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), ["an exception whose text cannot be sent"; 2]);
}
