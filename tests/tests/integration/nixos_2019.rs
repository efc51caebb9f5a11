//! The program in the manner of the driver in Perl, with real machines: a start script as an argument, all else in the
//! environment.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use integration_tests::{Image, Member, need_vm, processes_with, program};

const ONE: &[Member<'static>] = &[("server", &[])];

/// The test that the guestbook had then.
const GUESTBOOK: &str = include_str!("../../../examples/guestbook/guestbook.pl");

/// What such tests did besides; one part of it fails.
const REST: &str = r#"
$server->{allowReboot} = 1;
startAll;
subtest "the screen", sub {
    $server->waitForText(qr/login:/);
    $server->screenshot("login");
};
subtest "keys", sub {
    $server->succeed("systemctl stop getty\@tty1; stty -F /dev/tty1 sane; dmesg -n 1; printf '\\033c' >/dev/tty1");
    $server->execute("setsid -c cat </dev/tty1 >/tmp/typed &");
    $server->sendKeys("h", "i", "shift-1", "ret");
    $server->sendChars("Grapes and co.\n");
    $server->waitUntilSucceeds("grep -qx 'Grapes and co.' /tmp/typed");
    $server->succeed("grep -qx 'hi!' /tmp/typed");
    $server->waitForText(qr/Grapes/);
};
subtest "a file that is not there", sub {
    $server->succeed("test -e /nowhere");
};
subtest "what runs in the background", sub {
    die "waited" if $server->succeed("sleep 1000 & echo begun") ne "begun\n";
};
subtest "a reboot", sub {
    my $id = "cat /proc/sys/kernel/random/boot_id";
    my $before = $server->succeed($id);
    $server->sendKeys("ctrl-alt-delete");
    $server->{connected} = 0;
    $server->waitForUnit("sysinit.target");
    die "the same boot" if $server->succeed($id) eq $before;
};
"#;

/// Runs a script in `dir`; returns the exit status and the log.
fn run(image: &Image, dir: &Path, script: &str) -> (Option<i32>, String) {
    for folder in ["tmp", "out"] {
        fs::create_dir(dir.join(folder)).expect("a directory");
    }
    image.write_start_script(&dir.join("run-server-vm"), ONE, 0, 512);
    symlink(program(), dir.join("nixos-test-driver")).expect("a link");
    let output = Command::new(dir.join("nixos-test-driver"))
        .arg(dir.join("run-server-vm"))
        .current_dir(dir)
        .stdin(Stdio::null())
        .env("INNKEEPER_TEST", dir)
        .env("TMPDIR", dir.join("tmp"))
        .env("out", dir.join("out"))
        .env("LOGFILE", dir.join("out/log.xml"))
        .env("VLANS", "")
        .env("testScript", script)
        .env("tests", "eval $ENV{testScript}; die $@ if $@;")
        .output()
        .expect("the program starts");
    let left = processes_with(&format!("INNKEEPER_TEST={}", dir.display()));
    assert!(left.is_empty(), "left behind: {left:#?}");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_tests_of_2019_run_by_its_command_line() {
    let (Some(guestbook), Some(base)) = (need_vm("guestbook"), need_vm("base")) else { return };
    let dir = tempfile::Builder::new().prefix("perl-").tempdir().expect("a directory");
    let (status, log) = run(&guestbook, dir.path(), GUESTBOOK);
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("server: waiting for unit ‘nginx.service’\n"), "{log}");
    assert!(log.contains("test script finished in "), "{log}");

    let dir = tempfile::Builder::new().prefix("perl-").tempdir().expect("a directory");
    let (status, log) = run(&base, dir.path(), REST);
    assert_eq!(status, Some(1), "{log}");
    let failed = "error: command `test -e /nowhere' did not succeed (exit code 1)\n";
    assert!(log.contains(failed), "{log}");
    assert!(log.contains("\n4 out of 5 tests succeeded\n"), "{log}");
    assert!(dir.path().join("out/login.png").exists());
    let xml = fs::read_to_string(dir.path().join("out/log.xml")).expect("log.xml");
    assert!(xml.starts_with("<logfile>") && xml.ends_with("</logfile>\n"), "{xml}");
}
