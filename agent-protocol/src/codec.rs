//! Messages as bytes and back.

use serde::{Serialize, de::DeserializeOwned};

use crate::message::{ToGuest, ToHost};

/// A message of this protocol: [`ToGuest`] or [`ToHost`].
pub trait Message: Serialize + DeserializeOwned {}

impl Message for ToGuest {}
impl Message for ToHost {}

/// Why a message could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodecError {
    /// The bytes are no message of this version, or the message cannot be put into bytes.
    Malformed(postcard::Error),
    /// A message, and then this many bytes more.
    Trailing(usize),
}

impl std::fmt::Display for CodecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CodecError::Malformed(e) => write!(f, "not a message of this protocol: {e}"),
            CodecError::Trailing(n) => write!(f, "{n} bytes after the end of a message"),
        }
    }
}

impl std::error::Error for CodecError {}

/// A message as bytes, for [`Link::send`](crate::Link::send).
///
/// # Errors
///
/// None of the messages that there are today can fail.
pub fn to_bytes<M: Message>(message: &M) -> Result<Vec<u8>, CodecError> {
    postcard::to_allocvec(message).map_err(CodecError::Malformed)
}

/// What [`Link::message`](crate::Link::message) gave, as a message.
///
/// Lengths in the bytes are not believed: what is allocated before the bytes are there is at most 1 MiB.
///
/// # Errors
///
/// When the bytes are not exactly one message.
pub fn from_bytes<M: Message>(bytes: &[u8]) -> Result<M, CodecError> {
    let (message, rest) = postcard::take_from_bytes(bytes).map_err(CodecError::Malformed)?;
    if rest.is_empty() { Ok(message) } else { Err(CodecError::Trailing(rest.len())) }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::message::{Card, Command, End, Holder, Notice, Stream, UnitState, Watch};

    fn requests() -> Vec<ToGuest> {
        let command =
            Command { script: b"true".to_vec(), timeout_ms: Some(900_000), stdin: true, grace_ms: None };
        let addresses = vec![(Ipv4Addr::LOCALHOST.into(), 8), (Ipv6Addr::LOCALHOST.into(), 128)];
        let card = Card { mac: [0x52, 0x54, 0, 0x12, 1, 2], name: "eth1".to_owned(), addresses };
        vec![
            ToGuest::Hello { version: 1 },
            ToGuest::Run { id: 7, command },
            ToGuest::Input { id: 7, bytes: vec![0, 255] },
            ToGuest::Grant { id: 7, bytes: 1 << 20 },
            ToGuest::Cancel { id: u32::MAX },
            ToGuest::Leave,
            ToGuest::Watch { id: 7, watch: Watch::Unit { name: "a.service".to_owned(), user: None } },
            ToGuest::Lane { token: u64::MAX },
            ToGuest::Card { id: 7, card },
        ]
    }

    fn answers() -> Vec<ToHost> {
        let held_by = vec![Holder { pid: 42, command: "sleep inf".to_owned() }];
        vec![
            ToHost::Hello { version: 1 },
            ToHost::Output { id: 7, stream: Stream::Stderr, bytes: b"text".to_vec() },
            ToHost::Taken { id: 7, bytes: 2 },
            ToHost::Ended { id: 7, end: End::Exited { status: -1, held_by } },
            ToHost::Ended { id: 8, end: End::Failed { reason: "no bash".to_owned() } },
            ToHost::Noticed { id: 9, notice: Notice::Terminal(vec![0, 255]) },
            ToHost::Noticed { id: 9, notice: Notice::Unit(UnitState::default()) },
            ToHost::Lane { problem: Some("no port".to_owned()) },
        ]
    }

    #[test]
    fn messages_survive_and_are_small() {
        for message in requests() {
            let bytes = to_bytes(&message).unwrap();
            assert!(bytes.len() < 20 || matches!(message, ToGuest::Card { .. }), "{message:?}");
            assert_eq!(from_bytes(&bytes), Ok(message));
        }
        for message in answers() {
            assert_eq!(from_bytes(&to_bytes(&message).unwrap()), Ok(message));
        }
    }

    #[test]
    fn what_is_cut_or_too_long_is_refused() {
        let mut bytes = to_bytes(&answers()[3]).unwrap();
        bytes.push(0);
        assert_eq!(from_bytes::<ToHost>(&bytes), Err(CodecError::Trailing(1)));
        for len in 0..bytes.len() - 1 {
            assert!(matches!(from_bytes::<ToHost>(&bytes[..len]), Err(CodecError::Malformed(_))));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_a_message_or_an_error(
            kind in 0..8u8, rest: Vec<u8>,
        ) {
            let bytes = [&[kind], &rest[..]].concat();
            let _ = from_bytes::<ToGuest>(&bytes);
            let _ = from_bytes::<ToHost>(&bytes);
        }
    }
}
