//! Real programs at our sockets: QEMU, with a hub in place of a guest, and VDE's own client.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use driver_core::vlan::Plug;
use test_skip::skip_or_fail;

use crate::support::{ALL, Bed, LONG, Machine, Stream, frame, mac};

/// A program that ends with the test.
struct Program(Child);

impl Program {
    /// Starts it; `None` when it is not there, which is said.
    fn start(command: &mut Command) -> Option<Self> {
        let name = command.get_program().to_owned();
        match command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn() {
            Ok(child) => Some(Self(child)),
            Err(error) => skip_or_fail("REQUIRE_VM", format!("{}: {error}", name.display())),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// QEMU without a machine, whose hub joins a port of one switch, taken by `netdev`, to a port of another.
fn joined_by_qemu(kind: &str, netdev: impl FnOnce(&Plug) -> String) {
    let (near, far) = (Bed::new(), Bed::new());
    let (mut a, mut b) = (near.stream("a"), far.stream("b"));
    let (near_plug, far_plug) = (
        near.switch.plug("qemu").expect("the host plays along"),
        far.switch.plug("qemu").expect("the host plays along"),
    );
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-machine", "none", "-nodefaults", "-display", "none", "-monitor", "none"]);
    let far_netdev =
        format!("stream,id=far,server=off,addr.type=unix,addr.path={}", far_plug.stream.display());
    let near_netdev = format!("{},id=near", netdev(&near_plug));
    for netdev in [&near_netdev, &far_netdev] {
        command.args(["-netdev", netdev]);
    }
    for end in ["near", "far"] {
        command.args(["-netdev", &format!("hubport,id=hub-{end},hubid=0,netdev={end}")]);
    }
    let Some(qemu) = Program::start(&mut command) else { return };
    near.until("qemu", |port| port.kind.as_deref() == Some(kind));
    far.until("qemu", |port| port.kind.is_some());

    // QEMU plugs in before it has made its hub: what comes meanwhile is lost.
    let question = "is anybody there?";
    let asked = |a: &Stream| a.send(&frame(ALL, mac(1), question));
    asked(&a);
    while b.next_within(Duration::from_millis(100)).is_none() {
        asked(&a);
    }
    for turn in 0..200 {
        b.send(&frame(mac(1), mac(2), &format!("answer {turn}")));
        assert_eq!(a.text(), format!("answer {turn}"));
    }
    let long = "x".repeat(9000);
    a.send(&frame(mac(2), mac(1), &long));
    let heard = std::iter::repeat_with(|| b.text()).find(|text| text != question);
    assert_eq!(heard, Some(long));

    drop(qemu);
    if kind != "dgram" {
        near.until("qemu", |port| port.kind.is_none());
    }
}

#[test]
fn qemu_plugs_in_by_a_stream() {
    joined_by_qemu("stream", |plug| {
        format!("stream,server=off,addr.type=unix,addr.path={}", plug.stream.display())
    });
}

#[test]
fn qemu_plugs_in_by_datagrams() {
    joined_by_qemu("dgram", |plug| {
        let (local, remote) = (plug.dgram_peer.display(), plug.dgram.display());
        format!("dgram,local.type=unix,local.path={local},remote.type=unix,remote.path={remote}")
    });
}

#[test]
fn qemu_plugs_in_by_vde() {
    joined_by_qemu("vde", |plug| format!("vde,sock={}", plug.vde.display()));
}

#[test]
fn vde_plug_plugs_in() {
    let bed = Bed::new();
    let mut a = bed.stream("a");
    let Some(mut plug) = Program::start(Command::new("vde_plug").arg(bed.switch.vde_dir())) else { return };
    bed.until("host", |port| port.kind.is_some());
    // Its own framing: two bytes of length before each frame.
    let question = frame(ALL, mac(9), "from vde_plug");
    let length = u16::try_from(question.len()).unwrap().to_be_bytes();
    plug.0.stdin.as_mut().unwrap().write_all(&[&length[..], &question].concat()).unwrap();
    assert_eq!(a.text(), "from vde_plug");
    let answer = frame(mac(9), mac(1), "to vde_plug");
    a.send(&answer);
    let mut received = vec![0; 2 + answer.len()];
    plug.0.stdout.as_mut().unwrap().read_exact(&mut received).unwrap();
    assert_eq!(received[2..], answer);

    drop(plug);
    bed.until("host", |port| port.kind.is_none());
    let start = Instant::now();
    let is_ours = |name: std::ffi::OsString| name.to_string_lossy().starts_with("data");
    while fs::read_dir(bed.switch.vde_dir()).unwrap().flatten().any(|entry| is_ours(entry.file_name())) {
        assert!(start.elapsed() < LONG, "our socket is left");
    }
}
