//! Tests of both ends together, in virtual time.

mod hostile;
mod line;
mod lossy;
mod rules;
mod speed;

use std::time::Duration;

use super::*;

const SESSION: u32 = 0x1234_5678;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Takes all messages that have arrived.
fn messages(link: &mut Link) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| link.message()).collect()
}

/// Two ends that have exchanged a message each.
fn pair() -> (Link, Link) {
    let (mut host, mut guest) = (Link::new(Role::Host, SESSION), Link::new(Role::Guest, 0));
    host.send(b"hello");
    guest.receive(&host.outgoing(ms(0)), ms(0));
    guest.send(b"hello back");
    host.receive(&guest.outgoing(ms(0)), ms(0));
    guest.receive(&host.outgoing(ms(30)), ms(30));
    assert_eq!(messages(&mut guest), [b"hello"]);
    assert_eq!(messages(&mut host), [b"hello back"]);
    assert_eq!((host.backlog(), guest.backlog()), (0, 0));
    (host, guest)
}
