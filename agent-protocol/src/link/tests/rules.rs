//! Single situations.

use super::{line::Random, *};
use crate::frame::HEADER;

/// Lets both ends talk over a good line until neither has anything due.
fn settle(host: &mut Link, guest: &mut Link, now: Duration) {
    loop {
        let (down, up) = (host.outgoing(now), guest.outgoing(now));
        if down.is_empty() && up.is_empty() {
            return;
        }
        guest.receive(&down, now);
        host.receive(&up, now);
    }
}

#[test]
fn a_tiny_request_and_its_answer_are_one_frame_each() {
    let (mut host, mut guest) = pair();
    host.send(b"request");
    let request = host.outgoing(ms(100));
    assert_eq!(request.len(), 7 + OVERHEAD);
    guest.receive(&request, ms(100));
    assert_eq!(guest.outgoing(ms(105)), []);
    guest.send(b"answer");
    let answer = guest.outgoing(ms(110));
    assert_eq!(answer.len(), 6 + OVERHEAD);
    host.receive(&answer, ms(110));
    assert_eq!((host.backlog(), host.outgoing(ms(111))), (0, vec![]));
    // The answer was not answered; alone after a while, or with the next request, it is.
    assert_eq!(host.wake_at(), Some(ms(130)));
    assert_eq!(host.outgoing(ms(130)).len(), OVERHEAD);
    assert_eq!(host.wake_at(), None);
}

#[test]
fn a_guest_that_is_not_heard_stays_below_what_a_socket_holds_and_loses_nothing() {
    let (mut host, mut guest) = pair();
    let message = Random(3).bytes(1 << 20);
    guest.send(&message);
    let (mut line, mut now) = (Vec::new(), ms(100));
    while now < ms(50_000) {
        line.extend(guest.outgoing(now));
        now = guest.wake_at().expect("it asks again").max(now + ms(1));
    }
    assert!(line.len() <= 64 << 10, "{} bytes", line.len());
    assert_eq!(guest.broken(), None);
    host.receive(&line, now);
    settle(&mut host, &mut guest, now);
    assert!(messages(&mut host) == [message]);
}

#[test]
fn silence_breaks_the_link_and_a_word_heals_it() {
    let (mut host, mut guest) = pair();
    host.send(b"are you there?");
    let (mut line, mut now) = (Vec::new(), ms(100));
    while host.broken().is_none() {
        line.extend(host.outgoing(now));
        now = host.wake_at().expect("it asks again").max(now);
    }
    assert!(matches!(host.broken(), Some(Broken::Silent(time)) if time >= Duration::from_secs(60)));
    assert!(now < Duration::from_secs(65));
    guest.receive(&line, now);
    host.receive(&guest.outgoing(now), now);
    assert_eq!(host.broken(), None);
}

#[test]
fn a_driver_that_was_stopped_itself_asks_before_it_judges() {
    let (mut host, _) = pair();
    host.send(b"are you there?");
    host.outgoing(ms(100));
    assert_eq!(host.outgoing(ms(500_000)).len(), OVERHEAD);
    assert_eq!(host.broken(), None);
}

#[test]
fn text_between_and_inside_of_frames_is_handed_out_and_costs_one_more_frame() {
    let (mut host, mut guest) = pair();
    guest.send(b"first");
    let mut line = b"[ 1.0] before\r\n".to_vec();
    let mut frame = guest.outgoing(ms(100));
    frame.splice(HEADER + 2..HEADER + 2, *b"[ 2.0] inside\r\n");
    line.extend(frame);
    line.extend(b"[ 3.0] after\r\n");
    host.receive(&line, ms(100));
    assert_eq!(host.message(), None);
    // The header was sound, so the loss is told at once.
    guest.receive(&host.outgoing(ms(100)), ms(100));
    let again = guest.outgoing(ms(100));
    assert_eq!(again.len(), 5 + OVERHEAD);
    host.receive(&again, ms(100));
    assert_eq!(messages(&mut host), [b"first"]);
    let stray = String::from_utf8_lossy(&host.stray()).into_owned();
    for text in ["[ 1.0] before\r\n", "[ 2.0] inside\r\n", "[ 3.0] after\r\n"] {
        assert!(stray.contains(text), "{stray:?}");
    }
    assert_eq!(host.stray(), []);
}

#[test]
fn a_frame_whose_end_was_lost_does_not_swallow_the_small_ones_after_it() {
    let (mut host, mut guest) = pair();
    guest.send(&[b'x'; 4000]);
    let mut line = guest.outgoing(ms(100));
    line.truncate(100);
    host.receive(&line, ms(100));
    guest.send(b"small");
    host.receive(&guest.outgoing(ms(100)), ms(100));
    // Nothing says yet that the rest will not come, until the guest asks.
    assert_eq!((host.outgoing(ms(100)), guest.wake_at()), (vec![], Some(ms(300))));
    settle(&mut host, &mut guest, ms(300));
    assert_eq!(messages(&mut host), [vec![b'x'; 4000], b"small".to_vec()]);
}

#[test]
fn frames_of_an_earlier_session_and_echoes_are_ignored() {
    let (mut old, mut guest) = pair();
    old.send(b"old request");
    let old = old.outgoing(ms(100));
    guest.send(b"old answer");
    let old_answer = guest.outgoing(ms(100));

    let (mut host, mut guest) = (Link::new(Role::Host, 77), Link::new(Role::Guest, 0));
    host.send(b"new");
    let echo = host.outgoing(ms(200));
    guest.receive(&[&old[..], &echo].concat(), ms(200));
    assert_eq!(messages(&mut guest), [b"new"]);
    host.receive(&[&old_answer[..], &echo].concat(), ms(200));
    settle(&mut host, &mut guest, ms(300));
    assert_eq!((host.message(), host.stray(), host.backlog()), (None, vec![], 0));
}

#[test]
fn a_new_driver_takes_over_an_agent_that_runs() {
    let (_, mut guest) = pair();
    let mut host = Link::new(Role::Host, 77);
    guest.send(b"for the old driver");
    host.send(b"hello again");
    guest.receive(&host.outgoing(ms(100)), ms(100));
    guest.send(b"for the old driver, too");
    assert_eq!(messages(&mut guest), [b"hello again"]);
    guest.send(b"for the new one");
    settle(&mut host, &mut guest, ms(100));
    assert_eq!(messages(&mut host), [b"for the new one"]);
}

#[test]
fn an_agent_that_has_started_anew_is_noticed() {
    let (mut host, _) = pair();
    let mut guest = Link::new(Role::Guest, 0);
    host.send(b"do you remember?");
    let mut now = ms(100);
    while host.broken().is_none() {
        settle(&mut host, &mut guest, now);
        now = host.wake_at().unwrap_or(now).max(now);
        assert!(now < ms(1000));
    }
    assert_eq!((host.broken(), guest.message()), (Some(Broken::Restarted), None));
}

#[test]
fn another_version_is_recognised() {
    let mut guest = Link::new(Role::Guest, 0);
    let header = Header {
        version: 2,
        flags: flag::DATA,
        session: SESSION,
        seq: 0,
        expected: 0,
        round: 0,
        seen_round: 0,
    };
    let mut frame = Vec::new();
    header.write(b"from the future", &mut frame);
    guest.receive(&frame, ms(0));
    assert_eq!((guest.broken(), guest.message()), (Some(Broken::Version(2)), None));
}

#[test]
fn messages_that_nobody_takes_are_not_piled_up() {
    let (mut host, mut guest) = pair();
    let chunk = vec![7; 16 << 10];
    for _ in 0..256 {
        guest.send(&chunk);
    }
    settle(&mut host, &mut guest, ms(100));
    assert!(host.receiver.held() < 2 << 20 && guest.backlog() > 2 << 20);
    let (mut taken, mut now) = (0, ms(100));
    while taken < 256 {
        taken += messages(&mut host).len();
        settle(&mut host, &mut guest, now);
        now += ms(1);
    }
    assert!(now < ms(200), "{now:?}");
}
