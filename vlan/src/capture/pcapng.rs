//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng), as far as we write them.

use std::time::{SystemTime, UNIX_EPOCH};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

/// Nanoseconds: ten to the minus ninth.
const RESOLUTION: u8 = 9;
/// The frame came in; ours are written where they enter the switch.
const INBOUND: u32 = 1;
/// An option's length is told in 16 bits; nobody reads comments so long.
const LONGEST_TEXT: usize = 1000;

/// What a file begins with.
pub(super) fn section(out: &mut Vec<u8>) {
    block(out, SECTION_HEADER, |out| {
        out.extend(BYTE_ORDER.to_ne_bytes());
        out.extend(1_u16.to_ne_bytes());
        out.extend(0_u16.to_ne_bytes());
        // How long the section is: not known.
        out.extend((-1_i64).to_ne_bytes());
        text(out, SHB_USERAPPL, concat!("innkeeper ", env!("CARGO_PKG_VERSION")));
        option(out, OPT_END, &[]);
    });
}

/// What makes a port known; packets tell it by its number in the file.
pub(super) fn interface(out: &mut Vec<u8>, name: &str) {
    block(out, INTERFACE, |out| {
        out.extend(ETHERNET.to_ne_bytes());
        out.extend(0_u16.to_ne_bytes());
        // Frames are never cut off.
        out.extend(0_u32.to_ne_bytes());
        text(out, IF_NAME, name);
        option(out, IF_TSRESOL, &[RESOLUTION]);
        option(out, OPT_END, &[]);
    });
}

/// A frame.
pub(super) fn packet(
    out: &mut Vec<u8>,
    interface: u32,
    time: SystemTime,
    frame: &[u8],
    comments: impl Iterator<Item = String>,
) {
    let len = (frame.len() as u32).to_ne_bytes();
    block(out, ENHANCED_PACKET, |out| {
        out.extend(interface.to_ne_bytes());
        out.extend(timestamp(time));
        out.extend(len);
        out.extend(len);
        out.extend(frame);
        pad(out);
        option(out, EPB_FLAGS, &INBOUND.to_ne_bytes());
        comments.for_each(|comment| text(out, OPT_COMMENT, &comment));
        option(out, OPT_END, &[]);
    });
}

/// What is known of an interface at the end; here it is what happened after the last frame.
pub(super) fn statistics(
    out: &mut Vec<u8>,
    interface: u32,
    time: SystemTime,
    comments: impl Iterator<Item = String>,
) {
    block(out, STATISTICS, |out| {
        out.extend(interface.to_ne_bytes());
        out.extend(timestamp(time));
        comments.for_each(|comment| text(out, OPT_COMMENT, &comment));
        option(out, OPT_END, &[]);
    });
}

/// In nanoseconds, the higher half first.
fn timestamp(time: SystemTime) -> impl Iterator<Item = u8> {
    let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let [high, low] = [nanos >> 32, nanos & u64::from(u32::MAX)].map(|half| (half as u32).to_ne_bytes());
    high.into_iter().chain(low)
}

/// A block: its type, its length, what `body` writes, and its length again.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_ne_bytes());
    out.extend([0; 4]);
    body(out);
    let len = ((out.len() - start + 4) as u32).to_ne_bytes();
    out.extend(len);
    out[start + 4..start + 8].copy_from_slice(&len);
}

fn text(out: &mut Vec<u8>, code: u16, text: &str) {
    option(out, code, text.chars().take(LONGEST_TEXT).collect::<String>().as_bytes());
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_ne_bytes());
    out.extend((value.len() as u16).to_ne_bytes());
    out.extend(value);
    pad(out);
}

/// Up to a multiple of four bytes; all that comes before in the file is one.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
