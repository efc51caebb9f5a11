//! A machine that has no kernel of its own: what boots it is its firmware's affair.

use driver_core::{Backend as _, Boot, Disk, DiskFormat, ExitReason, GuestPort, MachineSpec};
use serde_json::json;

use crate::stand_in;
use crate::support::{Guest, Place, program_and_image, soon, within_limit};

/// Where the firmware below lies in the guest's memory, and where its code is in its file.
const BASE: u32 = 0x10_0000;
const CODE: usize = 0x100;

/// Prints the bytes behind it on the serial port, waits for a byte there, and powers off.
const PROGRAM: [u8; 40] = [
    0xbe, 0x28, 0x01, 0x10, 0x00, // mov esi, BASE + CODE + PROGRAM.len()
    0x66, 0xba, 0xf8, 0x03, // mov dx, 0x3f8
    0xac, // lodsb
    0x84, 0xc0, // test al, al
    0x74, 0x03, // jz, over the next two
    0xee, // out dx, al
    0xeb, 0xf8, // jmp, to lodsb
    0x66, 0xba, 0xfd, 0x03, // mov dx, 0x3fd
    0xec, // in al, dx
    0xa8, 0x01, // test al, 1
    0x74, 0xfb, // jz, to in
    0x66, 0xba, 0x00, 0x06, // mov dx, 0x600: the program's port for the power
    0xb0, 0x34, // mov al, 0x34
    0xee, // out dx, al
    0xf4, // hlt
    0xeb, 0xfd, // jmp, to hlt
    0x90, 0x90, 0x90, 0x90, // nop
];

/// An ELF file with an entry for hypervisors (PVH), as rust-hypervisor-firmware is one.
fn firmware() -> Vec<u8> {
    let mut file = Vec::new();
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    put(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2_u16, 62] {
        put(&half.to_le_bytes()); // a program, for x86-64
    }
    put(&1_u32.to_le_bytes());
    for word in [u64::from(BASE) + 0x100, 64, 0] {
        put(&word.to_le_bytes()); // entry, program headers, no sections
    }
    put(&0_u32.to_le_bytes());
    for half in [64_u16, 56, 2, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    for (kind, flags, at, length) in [(1_u32, 7_u32, 0_u64, 0x200_u64), (4, 4, 0xb0, 20)] {
        put(&kind.to_le_bytes());
        put(&flags.to_le_bytes());
        let place = u64::from(BASE) + at;
        for word in [at, place, place, length, length, 4] {
            put(&word.to_le_bytes());
        }
    }
    for word in [4_u32, 4, 18] {
        put(&word.to_le_bytes()); // the note: Xen's, of an entry in 32 bits
    }
    put(b"Xen\0");
    put(&(BASE + 0x100).to_le_bytes());
    file.resize(CODE, 0);
    file.extend_from_slice(&PROGRAM);
    file.extend_from_slice(b"the firmware speaks\r\n\0");
    file.resize(0x200, 0);
    file
}

fn spec(place: &Place, firmware: Option<&[u8]>) -> MachineSpec {
    let file = |name: &str, content: &[u8]| {
        let path = place.shared_dir().join(name);
        std::fs::write(&path, content).expect("a file of ours");
        path
    };
    let disk = Disk { path: file("disk", &[0; 1 << 20]), format: DiskFormat::Raw };
    let options = firmware.map_or(json!({}), |it| json!({ "firmware": file("firmware", it) }));
    MachineSpec { options, ..place.spec(Boot::Firmware { disks: vec![disk] }) }
}

#[tokio::test]
async fn a_machine_boots_by_the_firmware_that_it_is_given() {
    within_limit(async {
        let Some((backend, _)) = program_and_image().await else { return };
        let place = Place::new();
        let spec = spec(&place, Some(&firmware()));
        backend.check(&spec).await.unwrap();
        let machine = place.launch(&backend, &spec).await.unwrap();
        let mut console = Guest::on(machine.as_ref(), GuestPort::Console).await;
        console.wait_for("the firmware speaks", soon()).await;
        console.say("!").await;
        assert_eq!(machine.wait_exit(soon()).await.unwrap().reason, ExitReason::GuestShutdown);
        place.assert_nothing_left();
    })
    .await;
}

#[tokio::test]
async fn a_machine_that_needs_a_firmware_is_told_so_before_a_launch() {
    let place = Place::new();
    let error = stand_in::backend().check(&spec(&place, None)).await.unwrap_err().to_string();
    assert!(error.contains("set `firmware` in its table `cloud-hypervisor`"), "{error}");
    let error = stand_in::backend().check(&spec(&place, Some(b""))).await.unwrap_err().to_string();
    assert!(error.contains("its firmware `") && error.contains("is empty"), "{error}");
}
