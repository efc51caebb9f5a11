//! What the agent tells by itself.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv6Addr, TcpListener};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use agent_protocol::ToGuest;
use agent_protocol::message::{End, Notice, RequestId, Watch};

use crate::host::{AGENT, Host, command};

const THERE: Notice = Notice::There(true);
const AWAY: Notice = Notice::There(false);

#[test]
fn the_end_of_a_process_is_noticed() {
    let mut host = Host::new();
    let id = host.start(command("echo $$; exec sleep 600"));
    host.until("the command has started", |host| !host.so_far(id).stdout.is_empty());
    let pid = host.so_far(id).text().trim().parse().unwrap();
    let watch = host.watch(Watch::Process { pid });
    host.noticed(watch, &THERE);
    host.send(&ToGuest::Cancel { id });
    host.noticed(watch, &AWAY);
    assert_eq!(host.so_far(watch).notices, [THERE, AWAY]);
    let again = host.watch(Watch::Process { pid });
    host.noticed(again, &AWAY);
}

#[test]
fn the_agent_goes_before_others_while_it_only_watches_and_commands_do_not() {
    let (mut host, _) = Host::on_terminal();
    let watch = host.watch(file(&host.folder.path().join("file")));
    host.noticed(watch, &AWAY);
    // In a container, whose kernel is the host's, it does not.
    let is_allowed = fs::read_link("/proc/self/ns/pid").unwrap() == Path::new("pid:[4026531836]")
        && rustix::process::geteuid().is_root()
        && rustix::process::getpriority_process(None) == Ok(0)
        && Command::new("chrt").args(["--rr", "1", "true"]).status().is_ok_and(|status| status.success());
    host.until("the agent goes before others", |host| !is_allowed || host.agent_policy() != "0");
    // The policy of its scheduling, and its priority: 0 are those of everybody.
    for shell in ["", "true && "] {
        let id = host.start(command(format!("{shell}cut -d' ' -f40-41 /proc/self/stat")));
        assert_eq!(host.outcome(id).text(), "0 0\n");
    }
    host.send(&ToGuest::Leave);
    host.until("the shell greets", |host| host.stray.ends_with(b"Spawning backdoor root shell...\n"));
    assert_eq!(host.agent_policy(), "0");
    (&host.line).write_all(AGENT.as_bytes()).unwrap();
}

#[test]
fn what_cannot_be_watched_ends_at_once() {
    let mut host = Host::new();
    let watch = host.watch(Watch::Process { pid: 0 });
    let outcome = host.outcome(watch);
    assert!(matches!(outcome.end, Some(End::Failed { .. })) && outcome.notices.is_empty(), "{outcome:?}");
}

fn file(path: &Path) -> Watch {
    Watch::File { path: path.as_os_str().as_bytes().to_vec() }
}

/// Waits for the next notice, which must come too soon for a look once a second.
fn soon(host: &mut Host, id: RequestId, notice: &Notice) {
    let began = Instant::now();
    host.noticed(id, notice);
    assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
}

#[test]
fn a_file_is_noticed_with_the_folders_on_its_way() {
    let mut host = Host::new();
    let root = fs::canonicalize(host.folder.path()).unwrap();
    let path = root.join("a/b/../c/file");
    let watch = host.watch(file(&path));
    host.noticed(watch, &AWAY);
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::create_dir_all(root.join("a/c")).unwrap();
    fs::write(root.join("a/c/other"), "").unwrap();
    fs::write(root.join("a/c/file"), "").unwrap();
    soon(&mut host, watch, &THERE);
    fs::rename(root.join("a/c/file"), root.join("a/c/away")).unwrap();
    soon(&mut host, watch, &AWAY);
    fs::remove_dir_all(root.join("a")).unwrap();
    fs::create_dir_all(root.join("new/c")).unwrap();
    fs::create_dir_all(root.join("new/b")).unwrap();
    fs::write(root.join("new/c/file"), "").unwrap();
    fs::rename(root.join("new"), root.join("a")).unwrap();
    soon(&mut host, watch, &THERE);
    // The folder that has it is not touched by this, so it may take a second.
    fs::rename(root.join("a"), root.join("gone")).unwrap();
    host.noticed(watch, &AWAY);
}

#[test]
fn who_is_busy_in_a_watched_folder_is_left_alone() {
    let mut host = Host::new();
    let root = fs::canonicalize(host.folder.path()).unwrap();
    let watch = host.watch(file(&root.join("file")));
    host.noticed(watch, &AWAY);
    let (wakes, began) = (host.agent_wakes(), Instant::now());
    for _ in 0..20_000 {
        fs::write(root.join("other"), "").unwrap();
        fs::remove_file(root.join("other")).unwrap();
    }
    // One wake in five milliseconds is meant; there are some for other reasons.
    let (woken, limit) = (host.agent_wakes() - wakes, 100 + began.elapsed().as_millis() / 3);
    assert!(woken < limit, "{woken} wakes in {:?}", began.elapsed());
    // And the rests come to an end.
    let (wakes, quiet) = (host.agent_wakes(), Instant::now());
    host.until("half a second is over", |_| quiet.elapsed() > Duration::from_millis(500));
    let woken = host.agent_wakes() - wakes;
    assert!(woken < 50, "{woken} wakes in {:?}", quiet.elapsed());
    fs::write(root.join("file"), "").unwrap();
    soon(&mut host, watch, &THERE);
}

#[test]
fn a_file_is_noticed_behind_links() {
    let mut host = Host::new();
    let root = fs::canonicalize(host.folder.path()).unwrap();
    fs::create_dir_all(root.join("real/deep")).unwrap();
    symlink(root.join("real"), root.join("absolute")).unwrap();
    symlink("../../real/last", root.join("real/deep/relative")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let watch = host.watch(file(&root.join("absolute/deep/relative")));
    let endless = host.watch(file(&root.join("loop")));
    host.noticed(watch, &AWAY);
    host.noticed(endless, &AWAY);
    symlink("target", root.join("real/last")).unwrap();
    fs::write(root.join("real/target"), "").unwrap();
    soon(&mut host, watch, &THERE);
    fs::remove_file(root.join("real/target")).unwrap();
    soon(&mut host, watch, &AWAY);
    let outcome = host.so_far(endless);
    assert!(outcome.notices == [AWAY] && outcome.end.is_none());
}

#[test]
fn a_file_is_where_the_kernel_says_nothing_of_it() {
    let mut host = Host::new();
    let id = host.start(command("echo $$; exec sleep 600"));
    host.until("the command has started", |host| !host.so_far(id).stdout.is_empty());
    let pid = host.so_far(id).text().trim().to_owned();
    let watch = host.watch(file(&Path::new("/proc").join(pid)));
    host.noticed(watch, &THERE);
    host.send(&ToGuest::Cancel { id });
    soon(&mut host, watch, &AWAY);
}

#[test]
fn a_path_has_to_be_absolute() {
    let mut host = Host::new();
    let watch = host.watch(file(Path::new("file")));
    assert!(matches!(host.outcome(watch).end, Some(End::Failed { .. })));
}

#[test]
fn a_port_is_noticed_on_each_way_to_it() {
    let mut host = Host::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut watch = |address: &str| {
        let watch = host.watch(Watch::Port { address: address.to_owned(), port });
        host.noticed(watch, &AWAY);
        watch
    };
    let (by_name, by_address, elsewhere) = (watch("localhost"), watch("127.0.0.1"), watch("127.0.0.2"));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    soon(&mut host, by_name, &THERE);
    soon(&mut host, by_address, &THERE);
    assert_eq!(host.so_far(elsewhere).notices, [AWAY], "nobody listens on that address");
    drop(listener);
    soon(&mut host, by_name, &AWAY);
    soon(&mut host, by_address, &AWAY);
    let all = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
    for watch in [by_name, by_address, elsewhere] {
        soon(&mut host, watch, &THERE);
    }
    drop(all);
    for watch in [by_name, by_address, elsewhere] {
        soon(&mut host, watch, &AWAY);
    }
}

#[test]
fn a_listener_is_not_bothered_while_its_end_is_awaited() {
    let mut host = Host::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let watch = host.watch(Watch::Port { address: "127.0.0.1".to_owned(), port });
    host.noticed(watch, &THERE);
    // Time for many looks: another watch takes some.
    let clock = host.run("sleep 2");
    assert_eq!(clock.status(), 0);
    listener.set_nonblocking(true).unwrap();
    let connections = std::iter::from_fn(|| listener.accept().ok()).count();
    assert_eq!(connections, 1);
    drop(listener);
    soon(&mut host, watch, &AWAY);
}

#[test]
fn a_name_that_would_have_to_be_asked_for_is_not_watched() {
    let mut host = Host::new();
    let watch = host.watch(Watch::Port { address: "nobody.invalid".to_owned(), port: 1 });
    assert!(matches!(host.outcome(watch).end, Some(End::Failed { .. })));
}

#[test]
fn a_unix_socket_is_noticed_when_somebody_listens() {
    let mut host = Host::new();
    let root = host.folder.path().to_owned();
    let mut watch = |name: &str, datagram| {
        let path = root.join(name).as_os_str().as_bytes().to_vec();
        let watch = host.watch(Watch::UnixSocket { path, datagram });
        host.noticed(watch, &AWAY);
        watch
    };
    let (stream, datagram) = (watch("stream", false), watch("datagram", true));
    let wrong = watch("datagram", false);
    let _listener = UnixListener::bind(root.join("stream")).unwrap();
    let _receiver = UnixDatagram::bind(root.join("datagram")).unwrap();
    soon(&mut host, stream, &THERE);
    soon(&mut host, datagram, &THERE);
    assert_eq!(host.so_far(wrong).notices, [AWAY], "datagrams are no stream");
}

#[test]
fn a_watch_ends_when_it_is_cancelled() {
    let mut host = Host::new();
    let path = fs::canonicalize(host.folder.path()).unwrap().join("file");
    let (watch, other) = (host.watch(file(&path)), host.watch(file(&path)));
    host.noticed(watch, &AWAY);
    host.noticed(other, &AWAY);
    host.send(&ToGuest::Cancel { id: watch });
    // What is answered later was asked later.
    host.run("true");
    fs::write(&path, "").unwrap();
    host.noticed(other, &THERE);
    assert_eq!(host.so_far(watch).notices, [AWAY]);
}
