//! Containers of systemd-nspawn, from manifests and from start scripts in the manner of NixOS's.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use driver_core::Backend as _;
use driver_core::event::Event;
use integration_tests::{Leaks, Setup, need_vm, processes_with, program};
use rustix::process::Signal;
use serde_json::json;
use test_skip::skip_or_fail;

use crate::SOON;

/// Whether this host can have containers; says so when it cannot. `REQUIRE_CONTAINERS=1` makes that a failure.
fn need_containers() -> Option<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let backend = backend_nspawn::Nspawn;
    let has_program = Command::new("systemd-nspawn").arg("--version").stdout(Stdio::null()).status();
    let problem = match runtime.block_on(backend.probe()) {
        Ok(()) if has_program.is_ok_and(|status| status.success()) => return Some(()),
        Ok(()) => "there is no systemd-nspawn (install the package `systemd-container`)".to_owned(),
        Err(error) => error.chain(),
    };
    skip_or_fail("REQUIRE_CONTAINERS", problem)
}

/// What is on the host of containers of the process `pid`, and of networks.
fn traces(pid: u32) -> Vec<String> {
    let mark = format!("innkeeper-{pid}-");
    let trees = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let groups = trees.iter().filter_map(|tree| fs::read_dir(tree).ok()).flatten().flatten();
    let groups = groups.map(|entry| entry.path().display().to_string()).filter(|path| path.contains(&mark));
    let cards = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let cards = cards.map(|card| card.file_name().to_string_lossy().into_owned());
    groups.chain(cards.filter(|card| card.starts_with("vde-tap") || card.starts_with("ve-"))).collect()
}

/// A container and a virtual machine meet on a VLAN; the container is rebooted, powered off and started again.
const MIXED: &str = r#"
start_all()
box.wait_for_unit("multi-user.target")
assert box.succeed("systemd-detect-virt --container") == "systemd-nspawn\n"
assert box.succeed("uname -n") == "box\n"
box.succeed("echo kept >/root/kept")
box.copy_from_host(__import__("os").environ["HOSTS_FILE"], "/root/copied")
assert box.succeed("cat /root/copied") == "of the host\n"
with subtest("a service is reached from the virtual machine, by name"):
    box.succeed("systemd-run --unit=web busybox httpd -f -p 80 -h /root")
    box.wait_for_open_port(80)
    server.succeed("ping -c 1 -W 10 box")
    assert server.succeed("curl --fail --silent http://box/kept") == "kept\n"
    box.succeed("ping -4 -c 1 -W 10 server")
with subtest("a cut that is healed"):
    vlan1.partition([server], [box])
    box.fail("ping -4 -c 1 -W 1 server")
    vlan1.heal()
    box.wait_until_succeeds("ping -4 -c 1 -W 1 server", timeout=30)
with subtest("off, and on again with what was written"):
    box.shutdown()
    assert box.succeed("cat /root/kept") == "kept\n"
    box.succeed("ping -4 -c 1 -W 10 server")
with subtest("what a container has not"):
    try:
        box.wait_for_text("login:")
    except Exception as error:
        assert "screen" in str(error), error
    else:
        raise AssertionError("a container has a screen")
"#;

#[test]
fn a_container_and_a_virtual_machine_share_a_network() {
    let (Some(image), Some(())) = (need_vm("base"), need_containers()) else { return };
    let image = image.dir().display().to_string();
    let manifest = format!(
        "[machines.box]\nbackend = \"nspawn\"\nimage = \"{image}\"\nvlans = [1]\n\
         [machines.server]\nimage = \"{image}\"\nmemory = 256\nvlans = [1]\n"
    );
    let setup = Setup::new(&manifest, MIXED).machines(2);
    let file = setup.dir().join("file");
    fs::write(&file, "of the host\n").unwrap();
    let run = setup.env("HOSTS_FILE", &file.display().to_string()).run();
    run.assert_status(0);
}

#[test]
fn nothing_is_left_of_a_container_when_innkeeper_is_killed() {
    let (Some(image), Some(())) = (need_vm("base"), need_containers()) else { return };
    let manifest =
        format!("[machines.box]\nbackend = \"nspawn\"\nimage = \"{}\"\nvlans = [1]\n", image.dir().display());
    let run =
        Setup::new(&manifest, "print(os.getppid())\nbox.succeed('true')\nprint('up')\nbox.sleep(600)\n")
            .start();
    run.wait_for_script("up");
    let told =
        run.wait_for("the driver's number", |record| matches!(record.event, Event::ScriptOutput { .. }));
    let Event::ScriptOutput { line, .. } = told.event else { unreachable!("it was looked for") };
    let pid: u32 = line.trim().parse().expect("the number of the driver's process");
    assert!(!traces(pid).is_empty(), "a container has a control group");
    let processes = Leaks::of(run.mark());
    run.signal(Signal::KILL);
    let left = processes.gone_within(SOON);
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(traces(pid), [""; 0]);
    run.finish_within(SOON).assert_status(137);
}

/// A container's wrapper in the manner of NixOS's: it finds three variables, and makes the container's root by itself.
const WRAPPER: &str = r#"#!/bin/sh
set -eu
[ "$(env | grep -c -v -E '^(PWD|SHLVL|_|RUN_NSPAWN_ROOT_DIR|RUN_NSPAWN_SHARED_DIR|NOTIFY_SOCKET)=')" = 0 ]
PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ "$PWD" = "$RUN_NSPAWN_ROOT_DIR" ]
mkdir -p .lower .upper .work root var/log/journal
mount -o ro,loop @IMAGE@ .lower
mount -t overlay -o lowerdir=.lower,upperdir=.upper,workdir=.work overlay root
export SYSTEMD_NSPAWN_TMPFS_TMP=0
systemd-nspawn --quiet --directory=root --boot --keep-unit --register=no --private-network --notify-ready=yes \
    --bind="$PWD/var/log/journal:/var/log/journal" --bind="$RUN_NSPAWN_SHARED_DIR:/tmp/shared" </dev/null &
echo "systemd-nspawn's PID is $!"
trap 'kill $!; wait $!; echo tidied up >"$RUN_NSPAWN_ROOT_DIR/ending"; exit' TERM
wait $!
"#;

/// What NixOS's scripts do with containers.
const OF_NIXOS: &str = r#"
import subprocess
subprocess.run(["ip", "link", "show", "vde-tap1"], check=True)
assert machines_nspawn == [web_1] and machines_qemu == [] and driver.machines_nspawn is machines_nspawn
assert repr(web_1) == "<NspawnMachine 'web-1'>" and isinstance(web_1, NspawnMachine)
assert not web_1.is_up()
start_all()
web_1.wait_for_unit("multi-user.target")
assert web_1.is_up() and web_1.pid
assert web_1.execute("echo $USER $HOME $DISPLAY; exit 3") == (3, "root /root :0.0\n")
web_1.succeed("echo of the guest >/root/file")
web_1.copy_from_machine("/root/file")
web_1.copy_from_host("script", "/root/script")
web_1.succeed("grep -q isinstance /root/script")
for name in "connect", "crash", "reboot", "block", "send_monitor_command", "get_tty_text", "qmp_client":
    assert not hasattr(web_1, name), name
web_1.shutdown()
assert not web_1.is_up() and web_1.pid is None
web_1.start()
web_1.succeed("cat /root/file")
print("all done")
"#;

#[test]
fn containers_of_nixos_tests_run_under_the_name_of_its_driver() {
    let (Some(image), Some(())) = (need_vm("base"), need_containers()) else { return };
    let dir = tempfile::Builder::new().prefix("nix-").tempdir().expect("a directory");
    let path = dir.path();
    for folder in ["tmp", "out"] {
        fs::create_dir(path.join(folder)).expect("a directory");
    }
    let disk = image.dir().join("disk.ext4");
    let wrapper = path.join("run-web-1-nspawn");
    fs::write(&wrapper, WRAPPER.replace("@IMAGE@", &disk.display().to_string())).expect("the wrapper");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("the wrapper's mode");
    fs::write(path.join("script"), OF_NIXOS).expect("the script");
    symlink(program(), path.join("nixos-test-driver")).expect("a link");
    let config = json!({
        "vms": {},
        "containers": { "web-1": { "name": "web-1", "start_script": wrapper } },
        "vlans": [1],
        "global_timeout": 600,
        "test_script": path.join("script"),
    });
    fs::write(path.join("config.json"), config.to_string()).expect("the configuration");
    // Its tap devices have names that are the same for everybody.
    let output = Command::new("unshare")
        .args(["--net", "./nixos-test-driver", "-c", "config.json", "-oout"])
        .current_dir(path)
        .stdin(Stdio::null())
        .env_remove("XDG_RUNTIME_DIR")
        .env("TMPDIR", path.join("tmp"))
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(fs::read_to_string(path.join("out/file")).expect("the file"), "of the guest\n");
    assert!(said.contains("systemd-nspawn's PID is"), "{said}");
    let ending = fs::read_to_string(path.join("tmp/vm-state-web-1/ending"));
    assert_eq!(ending.expect("what the wrapper does at its end"), "tidied up\n");
    assert_eq!(processes_with(&format!("TMPDIR={}", path.join("tmp").display())), [0; 0]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    assert!(!mounts.contains(path.to_str().expect("a path in UTF-8")), "mounts are left: {mounts}");
}
