//! What the verbs return, raise and log: to the letter what a test may match.

use std::collections::BTreeSet;
use std::time::Duration;

use driver_core::event::{Event, ScopeKind};
use driver_core::fake::{FakeBackend, Play, Reply};
use driver_core::verbs::Subject;
use driver_core::{Capabilities, DriverError, ErrorKind, Frame, Key, RustPatterns};
use serde_json::{Value, json};

use crate::stage::{Stage, log_of};

fn message(result: Result<Value, DriverError>) -> String {
    result.expect_err("this verb fails").to_string()
}

#[tokio::test(start_paused = true)]
async fn commands_return_and_raise_what_nixos_does() {
    let play = Play::default()
        .answer("hostname", Reply::says("server\n"))
        .answer("id -un", Reply::says("root\n"))
        .answer("false", Reply::Says { status: 3, stdout: b"why\n".to_vec() })
        .answer("binary", Reply::says(b"a\xffb".to_vec()));
    let (stage, _) = Stage::playing(play);
    let both = stage.call("succeed", json!({"commands": ["hostname", "id -un"]})).await.unwrap();
    assert_eq!(both, "server\nroot\n");
    assert_eq!(
        message(stage.call("succeed", json!({"commands": ["hostname", "false", "id -un"]})).await),
        "command `false` failed (exit code 3)"
    );
    assert_eq!(stage.call("fail", json!({"commands": ["false"]})).await.unwrap(), "why\n");
    assert_eq!(
        message(stage.call("fail", json!({"commands": ["hostname"]})).await),
        "command `hostname` unexpectedly succeeded"
    );
    assert_eq!(stage.call("execute", json!({"command": "false"})).await.unwrap(), json!([3, "why\n"]));
    let unchecked = json!({"command": "hostname", "check_return": false});
    assert_eq!(stage.call("execute", unchecked).await.unwrap(), json!([-1, "server\n"]));
    let fired = json!({"command": "hostname", "check_output": false});
    assert_eq!(stage.call("execute", fired).await.unwrap(), json!([-2, ""]));

    assert_eq!(stage.call("execute", json!({"command": "binary"})).await.unwrap(), json!([0, "a\u{fffd}b"]));
    let strict = json!({"command": "binary", "check_return": false});
    let error = stage.call("execute", strict).await.unwrap_err();
    assert!(matches!(error, DriverError::Undecodable { at: 1, .. }), "{error:?}");

    let records = stage.end().await;
    let log = log_of(&records).join("\n");
    for part in [
        "server: must succeed: hostname\nserver: waiting for the VM to finish booting\nserver: starting vm\n",
        "server: must succeed: id -un\n",
        "server: must succeed: false\nserver: output: why\n\nserver: (failed: command `false` failed",
        "server: must fail: false\n",
    ] {
        assert!(log.contains(part), "{part} is not in\n{log}");
    }
    let opened = |event: &Event| matches!(event, Event::ScopeStarted { kind: ScopeKind::Step, .. });
    let closed = |event: &Event| matches!(event, Event::ScopeEnded { .. });
    let count = |is: fn(&Event) -> bool| records.iter().filter(|record| is(&record.event)).count();
    assert_eq!(count(opened), count(closed), "every scope that opens is closed");
}

#[tokio::test(start_paused = true)]
async fn calls_that_make_no_sense_say_what_is_wrong() {
    let (stage, _) = Stage::playing(Play::default());
    for (verb, params, complaint) in [
        ("fly", json!({}), "there is no verb `fly`"),
        ("start_all", json!({}), "there is no verb `start_all`"),
        ("execute", json!({}), "execute() missing required argument 'command'"),
        ("execute", json!({"cmd": "x"}), "execute() got an unexpected keyword argument 'cmd'"),
        ("execute", json!({"command": 1}), "execute(): invalid type: integer `1`, expected a string"),
        ("wait_for_open_port", json!({"port": 65536}), "65536 is not a TCP port (1 to 65535)"),
        (
            "screenshot",
            json!({"filename": "/nonexistent/x"}),
            "`/nonexistent` is no directory to put a screenshot into",
        ),
        (
            "screenshot",
            json!({"filename": "x"}),
            "machine `server` is off: it cannot be looked at (call start() first)",
        ),
    ] {
        let error = stage.call(verb, params).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (complaint, ErrorKind::Usage));
    }
    let nobody = stage
        .driver
        .call("start", Subject::Machine("client"), json!({}), std::sync::Arc::new(RustPatterns))
        .await;
    assert_eq!(message(nobody), "there is no machine `client`");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_lacks_is_said_with_the_way_out() {
    let backend =
        FakeBackend::new().with_capabilities(Capabilities::default()).with_play("server", Play::default());
    let stage = Stage::new(&backend);
    stage.server.start(None).await.unwrap();
    for (verb, params, way_out) in [
        ("get_screen_text", json!({}), "the console has text: wait_for_console_text()"),
        ("send_key", json!({"key": "ret"}), "type on the console with send_console()"),
        ("send_monitor_command", json!({"command": "info mice"}), "use a verb that does the same"),
        ("block", json!({}), "cut it off on its VLAN: `vlan1.partition([machine])`"),
        ("unblock", json!({}), "cut it off on its VLAN: `vlan1.partition([machine])`"),
        ("forward_port", json!({}), "connect to it from another machine there"),
    ] {
        let error = stage.call(verb, params).await.unwrap_err();
        assert!(matches!(error, DriverError::LacksFacet { .. }), "{verb}: {error:?}");
        let (start, needed) =
            ("backend `fake` has no ", format!(", which {verb}() of machine `server` needs ("));
        let text = error.to_string();
        assert!(
            text.starts_with(start) && text.contains(&needed) && text.contains(way_out),
            "{verb}: {text}"
        );
    }
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_fails_says_what_was_there_instead() {
    let play = Play::default().answer("test -e /tmp/x", Reply::fails(1)).answer("up", Reply::says("down\n"));
    let (stage, _) = Stage::playing(play);
    stage.server.connect().await.unwrap();
    assert_eq!(
        message(stage.call("wait_for_file", json!({"filename": "/tmp/x", "timeout": 5})).await),
        "action timed out after 5.00 seconds (timeout=5.0)\n\
         waited for file '/tmp/x' (`test -e /tmp/x`); last seen: it does not exist (exit code 1)"
    );
    assert_eq!(
        message(stage.call("wait_until_fails", json!({"command": "up", "timeout": 0.5})).await),
        "action timed out after 0.50 seconds (timeout=0.5)\n\
         waited for failure (`up`); last seen: exit code 0, output `down`"
    );
    stage.end().await;
}

/// A guest whose systemctl reads the unit's state from a file that the test writes.
fn guest_with_units(folder: &std::path::Path) -> Play {
    let program = folder.join("systemctl");
    let text = format!(
        "#!/bin/sh\ncase $* in\n*missing*) exit 4 ;;\n*list-jobs*) echo 'No jobs running.' ;;\n\
         *) echo Id=x; cat {0}/state ;;\nesac\n",
        folder.display()
    );
    let text = text.replace("echo Id=x; cat", "case $* in *--property*) ;; *) echo Id=x ;; esac; cat");
    std::fs::write(&program, text).expect("a program");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    Play::default().bash(Some(folder.to_owned()))
}

#[tokio::test]
async fn units_are_waited_for_and_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let state = |state: &str| {
        // Never to be seen half written.
        let (new, file) = (folder.path().join("new"), folder.path().join("state"));
        std::fs::write(&new, format!("ActiveState={state}\n")).and_then(|()| std::fs::rename(new, file))
    };
    let (stage, _) = Stage::playing(guest_with_units(folder.path()));
    state("failed").unwrap();
    assert_eq!(
        message(stage.call("wait_for_unit", json!({"unit": "nginx"})).await),
        "unit \"nginx\" reached state \"failed\""
    );
    assert_eq!(
        message(stage.call("require_unit_state", json!({"unit": "nginx"})).await),
        "Expected unit 'nginx' to to be in state 'active' but it is in state 'failed'"
    );
    state("inactive").unwrap();
    assert_eq!(
        message(stage.call("wait_for_unit", json!({"unit": "nginx", "grace": 0})).await),
        "unit \"nginx\" is inactive and there are no pending jobs"
    );
    assert_eq!(
        message(stage.call("get_unit_info", json!({"unit": "missing"})).await),
        "retrieving systemctl info for unit \"missing\" failed with exit code 4"
    );
    state("activating").unwrap();
    let info = stage.call("get_unit_info", json!({"unit": "nginx"})).await.unwrap();
    assert_eq!(info, json!({"Id": "x", "ActiveState": "activating"}));
    let timed_out = stage.call("wait_for_unit", json!({"unit": "nginx", "timeout": 0.1})).await;
    assert!(
        message(timed_out).ends_with("waited for unit `nginx` to be active; last seen: state `activating`")
    );
    let (waited, ()) = tokio::join!(stage.call("wait_for_unit", json!({"unit": "nginx"})), async {
        tokio::task::yield_now().await;
        state("active").unwrap();
    });
    assert_eq!(waited.unwrap(), Value::Null);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn console_text_is_waited_for_and_consumed() {
    let play = Play::new().print("login: ").greet().await_trigger("more").print("second").print("third");
    let (stage, backend) = Stage::playing(play);
    let wait = |regex: &str, timeout: f64| {
        stage.call("wait_for_console_text", json!({"regex": regex, "timeout": timeout}))
    };
    stage.server.connect().await.unwrap();
    wait("login:", 10.0).await.unwrap();
    // Consumed: the same text is not found again.
    let error = message(wait("login:", 0.1).await);
    assert!(error.starts_with("action timed out after 0.10 seconds (timeout=0.1)\n"), "{error}");
    assert!(error.contains("last line on the console: `login:`"), "{error}");
    backend.handle("server").trigger("more");
    wait("second", 10.0).await.unwrap();
    // What came with the match, but after it, is still there.
    wait("^third$", 10.0).await.unwrap();
    let log = stage.call("get_console_log", json!({})).await.unwrap();
    assert_eq!(log, "login:\nsecond\nthird");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn keys_text_and_pictures_reach_the_machine() {
    let (stage, backend) = Stage::playing(Play::default());
    stage.server.start(None).await.unwrap();
    stage.call("send_chars", json!({"chars": "Az\n"})).await.unwrap();
    stage.call("send_key", json!({"key": "ctrl-alt-delete"})).await.unwrap();
    stage.call("send_console", json!({"chars": "root\n"})).await.unwrap();
    stage.call("screenshot", json!({"filename": "login"})).await.unwrap();
    assert!(std::fs::read(stage.out_dir.path().join("login.png")).unwrap().starts_with(b"\x89PNG"));
    let record = backend.handle("server").recorded(|record| record.typed == b"root\n").await;
    let names = |keys: &[&str]| keys.iter().map(|key| Key::Name((*key).to_owned())).collect::<Vec<_>>();
    let expected: [&[&str]; 4] = [&["shift", "a"], &["z"], &["ret"], &["ctrl", "alt", "delete"]];
    assert_eq!(record.keys, expected.map(names));
    let records = stage.end().await;
    let log = log_of(&records).join("\n");
    for line in ["server: sending keys 'Az\\n'", "server: sending key 'ctrl-alt-delete'"] {
        assert!(log.lines().any(|logged| logged == line), "{line} is not in\n{log}");
    }
    assert!(
        records
            .iter()
            .any(|record| matches!(&record.event, Event::FileSaved { path, .. } if path == "login.png"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_picture_of_a_machine_without_a_screen_shows_its_console() {
    let play = Play::default().print_bytes("\x1b[31mred\x1b[0m and grey").greet();
    let backend = FakeBackend::new().with_capabilities(Capabilities::default()).with_play("server", play);
    let stage = Stage::new(&backend);
    stage.server.connect().await.unwrap();
    stage.call("wait_for_console_text", json!({"regex": "red", "timeout": 10.0})).await.unwrap();
    stage.call("screenshot", json!({"filename": "console"})).await.unwrap();
    let picture = Frame::from_png(&std::fs::read(stage.out_dir.path().join("console.png")).unwrap()).unwrap();
    let colours: BTreeSet<_> = picture.rgb().chunks(3).collect();
    assert_eq!(colours, BTreeSet::from([&[0; 3][..], &[0xaa, 0, 0], &[0xaa; 3]]));
    let log = log_of(&stage.end().await).join("\n");
    let said = "the picture shows its serial console: backend `fake` has no screen";
    assert!(log.contains(said), "{log}");
}

#[tokio::test]
async fn files_and_directories_travel_both_ways_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir_all(tree.join("inner")).unwrap();
    let big: Vec<u8> = (0..6_000_000_u32).flat_map(|number| number.to_le_bytes()).take(5_000_001).collect();
    std::fs::write(tree.join("inner/big"), &big).unwrap();
    std::fs::write(tree.join("run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(tree.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("run", tree.join("link")).unwrap();
    let guest = tempfile::tempdir().unwrap();
    let (stage, _) = Stage::playing(Play::default().bash(None));
    let target = guest.path().join("deep/tree it's");
    stage.server.copy_from_host(&tree, target.to_str().unwrap()).await.unwrap();
    assert_eq!(std::fs::read(target.join("inner/big")).unwrap(), big);
    assert_eq!(std::fs::read_link(target.join("link")).unwrap(), std::path::Path::new("run"));
    let single = guest.path().join("single");
    stage.server.copy_file_from_host(&tree.join("run"), single.to_str().unwrap()).await.unwrap();
    assert_eq!(std::fs::read(single).unwrap(), b"#!/bin/sh\n");

    stage.server.copy_from_machine(target.to_str().unwrap(), "back").await.unwrap();
    let back = stage.out_dir.path().join("back/tree it's");
    assert_eq!(std::fs::read(back.join("inner/big")).unwrap(), big);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(back.join("run")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o755);
    copy_by_relative_paths(&stage, folder.path()).await;
    let again = stage.server.copy_from_machine(target.to_str().unwrap(), "back").await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Usage);
    let unheard_of = stage.server.copy_from_host("/nonexistent".as_ref(), "/tmp/x").await.unwrap_err();
    assert_eq!(unheard_of.kind(), ErrorKind::Usage, "{unheard_of}");
    let missing = stage.server.copy_from_machine("/nonexistent", "").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Assertion, "{missing}");
    let scratch = stage.call("execute", json!({"command": "ls -d /tmp/innkeeper.????????"})).await.unwrap();
    assert_eq!(scratch[1], "", "the guest's scratch directories are gone");
    stage.end().await;
}

/// Relative paths in the guest are those of its commands. The file has a name that ours might have there.
async fn copy_by_relative_paths(stage: &Stage, folder: &std::path::Path) {
    let source = folder.join("archive");
    std::fs::write(&source, "some").expect("a file");
    stage.server.copy_from_host(&source, "near/archive").await.expect("a copy");
    assert_eq!(stage.server.succeed(&["cat near/archive"], None).await.expect("the file"), "some");
    stage.server.copy_from_machine("near/archive", "").await.expect("a copy");
    assert_eq!(std::fs::read(stage.out_dir.path().join("archive")).expect("the copy"), b"some");
}

#[tokio::test(start_paused = true)]
async fn the_guest_sleeps_on_its_own_time() {
    let (stage, backend) = Stage::playing(Play::default().answer("sleep 2.5", Reply::says("")));
    stage.server.sleep(Duration::from_millis(2500)).await.unwrap();
    assert_eq!(backend.handle("server").record().commands, ["sleep 2.5"]);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_prints_on_the_shells_port_is_in_the_log_and_not_in_an_output() {
    let (stage, backend) = Stage::playing(Play::default().answer("hostname", Reply::says("server\n")));
    stage.server.connect().await.unwrap();
    backend.handle("server").disturb_shell("[   42.0] usb 1-1: new device\n");
    assert_eq!(stage.server.succeed(&["hostname"], None).await.unwrap(), "server\n");
    let log = log_of(&stage.end().await).join("\n");
    assert!(log.contains(r"Guest shell says: b'[   42.0] usb 1-1: new device\n'"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_refused_before_anything_is_booted() {
    let lacking = Stage::new(&FakeBackend::new());
    let error = message(lacking.call("snapshot", json!({"name": "x"})).await);
    assert!(
        error.starts_with("backend `fake` has no snapshots, which snapshot() of machine `server` needs"),
        "{error}"
    );
    lacking.end().await;

    let having = Capabilities { snapshots: true, ..Capabilities::default() };
    let stage = Stage::new(&FakeBackend::new().with_capabilities(having));
    for name in ["", "../up", "a b", "ä", &"x".repeat(101)] {
        let error = stage.call("snapshot", json!({ "name": name })).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.to_string().contains("cannot be the name of a snapshot"), "{error}");
    }
    assert_eq!(
        message(stage.call("restore", json!({"name": "x.1-y_z"})).await),
        "machine `server` has no snapshot `x.1-y_z` (it has none)"
    );
    assert!(!stage.server.is_on());
    stage.end().await;
}
