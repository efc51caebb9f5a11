//! What the agent tells by itself.

use agent_protocol::ToGuest;
use agent_protocol::message::{End, Notice, Watch};

use crate::host::{Host, command};

#[test]
fn the_end_of_a_process_is_noticed() {
    let mut host = Host::new();
    let id = host.start(command("echo $$; exec sleep 600"));
    host.until("the command has started", |host| !host.so_far(id).stdout.is_empty());
    let pid = host.so_far(id).text().trim().parse().unwrap();
    let watch = host.watch(Watch::Process { pid });
    host.noticed(watch, &Notice::There(true));
    host.send(&ToGuest::Cancel { id });
    host.noticed(watch, &Notice::There(false));
    assert_eq!(host.so_far(watch).notices, [Notice::There(true), Notice::There(false)]);
    let again = host.watch(Watch::Process { pid });
    host.noticed(again, &Notice::There(false));
}

#[test]
fn what_cannot_be_watched_ends_at_once() {
    let mut host = Host::new();
    let watch = host.watch(Watch::Process { pid: 0 });
    let outcome = host.outcome(watch);
    assert!(matches!(outcome.end, Some(End::Failed { .. })) && outcome.notices.is_empty(), "{outcome:?}");
}
