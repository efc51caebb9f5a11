//! The program as `nixos-test-driver` with real machines: start scripts in the manner of NixOS's, two machines on a
//! VLAN, under both command lines.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use integration_tests::{Member, need_vm, processes_with, program};
use serde_json::json;

use crate::multi_machine::need_vde;

const TWO: &[Member<'static>] = &[("client", &[1]), ("server-1", &[1])];

/// What start scripts are told by the environment, and what the driver does with their machines.
const SCRIPT: &str = r#"
start_all()
for machine in machines:
    machine.wait_for_unit("multi-user.target")
assert "told.by=environment" in server_1.succeed("cat /proc/cmdline")
assert server_1.succeed("uname -n") == "server-1\n"
with subtest("the network"):
    client.wait_until_succeeds("ping -c 1 -W 2 server-1", timeout=60)
    server_1.block()
    client.fail("ping -c 1 -W 2 192.168.1.2")
    server_1.unblock()
    client.wait_until_succeeds("ping -c 1 -W 2 192.168.1.2", timeout=60)
with subtest("QEMU itself"):
    assert server_1.qmp_client.send("query-status")["return"]["status"] == "running"
    assert "running" in server_1.send_monitor_command("info status")
    names = server_1.qmp_client.send("qom-list", {"path": "/machine/peripheral"})["return"]
    assert any(name["name"] == "from-the-environment" for name in names), names
with subtest("the same disk after a shutdown"):
    client.succeed("echo kept >/root/kept; sync")
    client.shutdown()
    assert (client.state_dir / "client.qcow2").exists()
    assert client.succeed("cat /root/kept") == "kept\n"
server_1.succeed("echo from the guest >/tmp/file")
server_1.copy_from_machine("/tmp/file")
server_1.screenshot("screen")
print("all done")
"#;

fn run(command_line: impl FnOnce(&mut Command)) -> Option<(tempfile::TempDir, Output)> {
    let image = need_vm("base")?;
    need_vde()?;
    let dir = tempfile::Builder::new().prefix("nix-").tempdir().expect("a directory");
    let path = dir.path();
    for folder in ["tmp", "out"] {
        fs::create_dir(path.join(folder)).expect("a directory");
    }
    for (me, (name, _)) in TWO.iter().enumerate() {
        image.write_start_script(&path.join(format!("run-{name}-vm")), TWO, me, 256);
    }
    symlink(program(), path.join("nixos-test-driver")).expect("a link");
    fs::write(path.join("script"), SCRIPT).expect("the script");
    let vm = |name: &str| json!({ "name": name, "start_script": path.join(format!("run-{name}-vm")) });
    let config = json!({
        "vms": { "client": vm("client"), "server-1": vm("server-1") },
        "vlans": [1],
        "global_timeout": 600,
        "test_script": path.join("script"),
    });
    fs::write(path.join("config.json"), config.to_string()).expect("the configuration");
    let mut command = Command::new(path.join("nixos-test-driver"));
    command
        .current_dir(path)
        .stdin(Stdio::null())
        .env_remove("XDG_RUNTIME_DIR")
        .env("TMPDIR", path.join("tmp"))
        .env("LOGFILE", path.join("log.xml"))
        .env("QEMU_KERNEL_PARAMS", "told.by=environment")
        .env("QEMU_OPTS", "-device virtio-balloon-pci,id=from-the-environment")
        .env("QEMU_NET_OPTS", "hostname=net-opts")
        .arg("-oout");
    command_line(&mut command);
    let output = command.output().expect("the program starts");
    let left = processes_with(&path.display().to_string());
    assert!(left.is_empty(), "left behind: {left:#?}");
    Some((dir, output))
}

fn check((dir, output): &(tempfile::TempDir, Output)) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
    let out = dir.path().join("out");
    assert_eq!(fs::read_to_string(out.join("file")).expect("the file"), "from the guest\n");
    assert!(out.join("screen.png").exists());
    let xml = fs::read_to_string(dir.path().join("log.xml")).expect("log.xml");
    assert!(xml.contains("<head>subtest: the network</head>") && xml.ends_with("</logfile>\n"));
    assert!(dir.path().join("tmp/vm-state-client/client.qcow2").exists());
}

#[test]
fn start_scripts_under_the_present_command_line() {
    if let Some(ran) = run(|command| {
        command.args(["--conf", "config.json"]);
    }) {
        check(&ran);
    }
}

#[test]
fn start_scripts_under_the_command_line_of_old() {
    let of_old = |command: &mut Command| {
        command
            .env("startScripts", "./run-client-vm ./run-server-1-vm")
            .env("testScript", "script")
            .env("vlans", "1")
            .env("globalTimeout", "600")
            .arg("--without-agent");
    };
    if let Some(ran) = run(of_old) {
        check(&ran);
    }
}
