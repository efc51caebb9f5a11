//! The one message that is not left to `vhost`: SET_VRING_ENABLE.
//!
//! QEMU sends it when it makes the card, before any features are agreed on, and waits for the answer
//! (`virtio_net_set_queue_pairs`). `vhost` takes that for an error, and does not answer.

use std::io;

use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use vhost::vhost_user::VhostUserBackendReqHandlerMut as _;

use super::card::Card;

/// The message's code.
const SET_VRING_ENABLE: u32 = 18;
/// Three words of header and two of body.
const WORDS: usize = 5;
/// The version of the protocol, which is in the flags.
const VERSION: u32 = 1;
const IS_REPLY: u32 = 4;
const WANTS_REPLY: u32 = 8;

/// Answers the next message if it is that one; all others stay where they are. `true` if nothing is there to be
/// read any more: `vhost` would wait for it.
pub(super) fn answer(socket: &UnixStream, card: &Mutex<Card>) -> bool {
    let mut bytes = [0; 4 * WORDS];
    let look = recv(socket, &mut bytes, RecvFlags::PEEK | RecvFlags::DONTWAIT);
    if look.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
        return true;
    }
    let mut words = [0_u32; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_ne_bytes(*bytes);
    }
    let [code, flags, length, index, enable] = words;
    let is_whole = look.is_ok_and(|(_, length)| length == bytes.len());
    if !is_whole || code != SET_VRING_ENABLE || flags & !WANTS_REPLY != VERSION || length != 8 || enable > 1 {
        return false;
    }
    let mut card = card.lock().unwrap_or_else(PoisonError::into_inner);
    if card.set_vring_enable(index, enable == 1).is_err() {
        return false;
    }
    // What was there to look at is there to be taken.
    let _ = recv(socket, &mut bytes, RecvFlags::DONTWAIT);
    if flags & WANTS_REPLY != 0 {
        let reply = [SET_VRING_ENABLE, VERSION | IS_REPLY, 8, 0, 0].map(u32::to_ne_bytes);
        // Who does not take the answer does not get it: its socket would be full of others that it has not taken.
        let _ = send(socket, reply.as_flattened(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }
    true
}
