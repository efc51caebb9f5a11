use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use rustix::pipe::{PipeFlags, pipe_with};
use tempfile::TempDir;

use super::{BUFFER, Capture};

/// A frame of no known kind; all of its bytes are `byte` but for those that say so.
fn frame(len: usize, byte: u8) -> Vec<u8> {
    let mut frame = vec![byte; len];
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame
}

fn ports() -> [(usize, String); 2] {
    [(0, "client".to_owned()), (5, "server".to_owned())]
}

fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(1_000_000_000_000_000_000 + nanos)
}

/// A block of a file: its type, and what is between its two lengths.
fn blocks(file: &Path) -> Vec<(u32, Vec<u8>)> {
    let bytes = std::fs::read(file).unwrap();
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut blocks, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let len = word(at + 4) as usize;
        assert_eq!(word(at + len - 4) as usize, len, "a block says its length twice");
        assert_eq!(len % 4, 0);
        blocks.push((word(at), bytes[at + 8..at + len - 4].to_vec()));
        at += len;
    }
    blocks
}

fn kinds(file: &Path) -> Vec<u32> {
    blocks(file).into_iter().map(|(kind, _)| kind).collect()
}

/// What tshark shows of a file; `None`, said aloud, where there is no tshark.
fn tshark(file: &Path, fields: &[&str]) -> Option<Vec<String>> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(file).args(["-T", "fields", "-E", "separator=|"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let Ok(output) = tshark.output() else {
        return test_skip::skip_or_fail("REQUIRE_VM", "there is no tshark (install the package `tshark`)");
    };
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints: Vec<&str> =
        complaints.lines().filter(|line| !line.starts_with("Running as user \"root\"")).collect();
    assert!(output.status.success() && complaints.is_empty(), "tshark: {complaints:?}");
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn tshark_reads_names_times_and_comments() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("vlan1.pcapng");
    let mut capture = Capture::create(&file, u64::MAX, &ports()).unwrap();
    capture.frame(5, time(123_456_789), &frame(60, 1), None);
    capture.add_port(7, "late \u{e9}");
    capture.note("fault 1 is on: loss of 5 percent");
    capture.note("fault 2 is on: délai");
    capture.frame(7, time(200_000_000), &frame(61, 2), Some("lost by fault 1 on the way to client"));
    capture.frame(0, time(300_000_000), &frame(9014, 3), None);
    capture.note("all faults are off");
    let end = capture.end();
    assert_eq!((end.frames, end.left_out), (3, 0));
    assert_eq!(end.bytes, file.metadata().unwrap().len());

    let fields = ["frame.interface_name", "frame.time_epoch", "frame.len", "frame.packet_flags_direction"];
    let Some(lines) = tshark(&file, &[&fields[..], &["frame.comment"]].concat()) else { return };
    assert_eq!(
        lines,
        [
            "server|1000000000.123456789|60|0x00000001|",
            "late \u{e9}|1000000000.200000000|61|0x00000001|fault 1 is on: loss of 5 percent,\
             fault 2 is on: délai,lost by fault 1 on the way to client",
            "client|1000000000.300000000|9014|0x00000001|",
        ]
    );
}

#[test]
fn a_note_says_how_long_ago_it_was() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("capture");
    let mut capture = Capture::create(&file, u64::MAX, &ports()).unwrap();
    capture.note("partition");
    capture.frame(0, SystemTime::now() + Duration::from_secs(2), &frame(60, 1), None);
    capture.end();
    let written = blocks(&file).pop().unwrap().1;
    let text = String::from_utf8_lossy(&written);
    assert!(text.contains("2.00") && text.contains(" s before: partition"), "{text}");
}

#[test]
fn a_note_after_the_last_frame_is_kept() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("capture");
    let mut capture = Capture::create(&file, u64::MAX, &ports()).unwrap();
    capture.note("partition");
    capture.end();
    let (kind, written) = blocks(&file).pop().unwrap();
    assert_eq!(kind, 5);
    assert!(String::from_utf8_lossy(&written).contains("partition"));
    tshark(&file, &["frame.number"]);
}

#[test]
fn an_empty_capture_can_be_read() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("capture");
    Capture::create(&file, u64::MAX, &[]).unwrap().end();
    assert_eq!(kinds(&file), [0x0a0d_0d0a]);
    tshark(&file, &["frame.number"]);
}

#[test]
fn a_limit_keeps_the_beginning_whole() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("capture");
    let limit = 100_000;
    let mut capture = Capture::create(&file, limit, &ports()).unwrap();
    for n in 0..200_u8 {
        capture.frame(0, time(n.into()), &frame(1500, n), None);
    }
    // It would fit, but something before it is missing.
    capture.frame(0, time(200), &frame(14, 0), None);
    let end = capture.end();
    assert!(end.bytes <= limit && end.bytes > limit - 1600, "{end:?}");
    assert_eq!(end.frames + end.left_out, 201);
    assert_eq!(kinds(&file).iter().filter(|kind| **kind == 6).count() as u64, end.frames);
    assert_eq!(end.bytes, file.metadata().unwrap().len());
}

/// Waits for what the writer does on its own.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::yield_now();
    }
}

/// What a `kill -9` leaves is what has been written so far: blocks that are whole.
#[test]
fn what_is_flushed_can_be_read_while_it_is_written() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("capture");
    let size = || file.metadata().unwrap().len();
    let mut capture = Capture::create(&file, u64::MAX, &ports()).unwrap();
    until("the ports", || size() > 100);
    assert_eq!(kinds(&file), [0x0a0d_0d0a, 1, 1], "all ports are there from the start");
    let before = size();
    capture.frame(0, time(0), &frame(60, 1), None);
    capture.flush();
    until("a frame", || size() > before);
    assert_eq!(kinds(&file)[3..], [6]);
    let before = size();
    for _ in 0..BUFFER / 60 {
        capture.frame(0, time(0), &frame(60, 1), None);
    }
    assert!(capture.handed_over > before, "written when there is enough of it");
    // So much is not written in one go.
    until("what is enough", || size() == capture.handed_over);
    assert!(kinds(&file).len() > 500);
}

/// A disk that does as it is told: a pipe to write into, and its other end.
fn disk() -> (File, File) {
    // Or a tshark that another test starts meanwhile would be a reader too.
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (writer.into(), reader.into())
}

/// Why there is no capture into a file.
fn refusal(file: &Path) -> String {
    Capture::create(file, u64::MAX, &ports()).unwrap_err().to_string()
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RWXU).unwrap();
    let irregular = "it is no regular file (pipes are not written to)";
    assert_eq!(refusal(&pipe), irregular, "nobody reads it");
    let _reader = open(&pipe, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).unwrap();
    assert_eq!(refusal(&pipe), irregular, "somebody may stop reading it");
    assert_eq!(refusal(Path::new("/dev/full")), irregular);
}

#[test]
fn a_file_has_one_capture_at_a_time() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("capture");
    let mut first = Capture::create(&file, u64::MAX, &ports()).unwrap();
    first.frame(0, time(0), &frame(60, 1), None);
    assert_eq!(refusal(&file), "another capture writes to it (give it another name)");
    assert_eq!(first.end().frames, 1);
    assert_eq!(kinds(&file), [0x0a0d_0d0a, 1, 1, 6], "the first one is whole");
    Capture::create(&file, u64::MAX, &[]).unwrap().end();
    assert_eq!(kinds(&file), [0x0a0d_0d0a], "the next one begins anew");
}

#[test]
fn a_file_that_cannot_be_written_is_told_and_disturbs_nobody() {
    let full = File::create("/dev/full").unwrap();
    assert!(Capture::begin(full, u64::MAX, &ports()).is_err());

    let (disk, reader) = disk();
    let mut capture = Capture::begin(disk, u64::MAX, &ports()).unwrap();
    assert!(capture.take_error().is_none());
    drop(reader);
    capture.frame(0, time(0), &frame(60, 1), None);
    capture.flush();
    let mut error = None;
    until("the error", || {
        error = capture.take_error();
        error.is_some()
    });
    assert_eq!(error.unwrap().kind(), std::io::ErrorKind::BrokenPipe);
    for n in 0..10_000 {
        capture.frame(0, time(n), &frame(60, 1), None);
    }
    assert!(capture.take_error().is_none(), "told once");
    let end = capture.end();
    assert_eq!((end.frames, end.left_out), (0, 10_001));
}

#[test]
fn a_disk_that_stands_still_holds_up_nobody() {
    let (disk, mut reader) = disk();
    let mut capture = Capture::begin(disk, u64::MAX, &ports()).unwrap();
    // Far more than a pipe and the memory for it take.
    for n in 0..40_000 {
        capture.frame(0, time(n), &frame(1500, 1), None);
    }
    assert!(capture.skipped > 0);
    // The disk wakes up: the next frame tells what is missing.
    let copy = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    until("room", || {
        capture.frame(0, time(50_000), &frame(60, 2), None);
        capture.skipped == 0
    });
    let end = capture.end();
    assert!(end.left_out > 0);
    let bytes = copy.join().unwrap();
    assert_eq!(bytes.len() as u64, end.bytes);
    assert!(
        String::from_utf8_lossy(&bytes).contains("frames before this are left out: the disk is too slow")
    );
}
