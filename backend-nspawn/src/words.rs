//! Command lines: what systemd-nspawn is told, and what a start script finds.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use driver_core::MachineSpec;

use crate::config::Options;

/// The arguments that are the same for every container.
const ALWAYS: [&str; 17] = [
    "--quiet",
    "--directory=root",
    "--boot",
    // No bus is asked for anything: there may be none.
    "--keep-unit",
    "--register=no",
    "--settings=no",
    "--link-journal=no",
    "--resolv-conf=off",
    "--timezone=off",
    "--private-users=no",
    "--network-namespace-path=/proc/self/ns/net",
    // The network is the container's own; without a word, this comes with networks that the program makes.
    "--capability=CAP_NET_ADMIN",
    "--console=read-only",
    "--notify-ready=yes",
    "--setenv=SYSTEMD_COLORS=0",
    // Power off, where the program's own choice is to halt.
    "--kill-signal=SIGRTMIN+4",
    "--machine=guest",
];

/// What systemd-nspawn is told. The test's own arguments come last, and win.
pub(crate) fn for_nspawn(spec: &MachineSpec, options: &Options, console: &Path) -> Vec<OsString> {
    let mut words = ALWAYS.map(OsString::from).to_vec();
    words.push(format!("--hostname={}", spec.name.replace('_', "-")).into());
    words.push(bind(console, "/dev/ttyS0"));
    words.push(bind(&spec.shared_dir, "/tmp/shared"));
    words.extend(spec.shares.iter().map(|share| bind(&share.path, &format!("/tmp/{}", share.tag))));
    words.extend(options.arguments.iter().map(OsString::from));
    words
}

/// A file or directory of the host, put into the container. A colon in its name is no separator.
fn bind(host: &Path, guest: &str) -> OsString {
    let mut word = b"--bind=".to_vec();
    for byte in host.as_os_str().as_bytes() {
        if matches!(byte, b':' | b'\\') {
            word.push(b'\\');
        }
        word.push(*byte);
    }
    word.push(b':');
    word.extend_from_slice(guest.as_bytes());
    OsString::from_vec(word)
}

/// The variables of a start script (compat.md 1.10), and its command.
pub(crate) fn for_script(spec: &MachineSpec, notices: &Path, script: &str) -> Vec<OsString> {
    let variable = |name: &str, value: &Path| {
        let mut word = OsString::from(name);
        word.push("=");
        word.push(value);
        word
    };
    vec![
        variable("RUN_NSPAWN_ROOT_DIR", &spec.state_dir),
        variable("RUN_NSPAWN_SHARED_DIR", &spec.shared_dir),
        variable("NOTIFY_SOCKET", notices),
        "/bin/sh".into(),
        "-c".into(),
        format!("exec {script}").into(),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use driver_core::{Boot, MachineSpec, Share};

    use super::{for_nspawn, for_script};
    use crate::config::Options;

    #[test]
    fn shares_are_bound_whatever_their_names_and_the_tests_own_arguments_come_last() {
        let boot = Boot::Firmware { disks: Vec::new() };
        let mut spec = MachineSpec::new("web_1", boot, 512, "/run/web", "/run/shared");
        spec.shares = vec![Share { tag: "data".to_owned(), path: "/a:b\\c".into() }];
        let options = Options { arguments: vec!["--capability=all".to_owned()], binary: None };
        let words = for_nspawn(&spec, &options, Path::new("/dev/pts/7"));
        let [.., name, console, shared, data, own] = words.as_slice() else { panic!("{words:?}") };
        assert_eq!(name, "--hostname=web-1");
        assert_eq!(console, "--bind=/dev/pts/7:/dev/ttyS0");
        assert_eq!(shared, "--bind=/run/shared:/tmp/shared");
        assert_eq!(data, "--bind=/a\\:b\\\\c:/tmp/data");
        assert_eq!(own, "--capability=all");
    }

    #[test]
    fn a_start_script_finds_three_variables() {
        let boot = Boot::StartScript { command: "./run-web-nspawn".to_owned() };
        let spec = MachineSpec::new("web", boot, 512, "/run/web", "/run/shared");
        assert_eq!(
            for_script(&spec, Path::new("/run/web/notify.sock"), "./run-web-nspawn"),
            [
                "RUN_NSPAWN_ROOT_DIR=/run/web",
                "RUN_NSPAWN_SHARED_DIR=/run/shared",
                "NOTIFY_SOCKET=/run/web/notify.sock",
                "/bin/sh",
                "-c",
                "exec ./run-web-nspawn",
            ]
        );
    }
}
