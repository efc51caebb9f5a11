//! Waits on a real machine: with the agent, which tells what happens, and with the plain shell, which has to
//! be asked. Both do the same.

use integration_tests::{Setup, need_vm};

/// `later()` has the guest do something after a second.
const SCRIPT: &str = r#"
import re

server.start(allow_reboot=True)
server.wait_for_unit("multi-user.target")
listen = ("use IO::Socket::INET; use IO::Socket::UNIX; my $s = IO::Socket::{}->new({}, Listen => 5) or die; "
          "sleep {};")

def later(command):
    server.succeed(f"(sleep 1; {command}) >/dev/null 2>&1 &")

def fails(work, message):
    try:
        work()
    except Exception as error:
        assert re.search(message, str(error), re.DOTALL), str(error)
    else:
        raise AssertionError(f"no error like {message}")

with subtest("files"):
    later("mkdir -p /tmp/a/b; ln -s b /tmp/a/c; touch /tmp/a/b/file")
    server.wait_for_file("/tmp/a/c/file", timeout=60)
    later("mount -t tmpfs none /mnt; touch /mnt/file")
    server.wait_for_file("/mnt/file", timeout=60)
    later("touch /root/odd")
    server.wait_for_file("~/od[d]", timeout=60)
    fails(lambda: server.wait_for_file("/tmp/never", timeout=2),
          r"action timed out after \d\.\d\d seconds \(timeout=2.0\)\n"
          r"waited for file '/tmp/never' \(`test -e /tmp/never`\); last seen: it does not exist \(exit code 1\)")

with subtest("ports"):
    server.wait_for_closed_port(4711, timeout=60)
    later("exec perl -e '" + listen.format("INET", 'LocalAddr => "127.0.0.2", LocalPort => 4711', 600) + "'")
    server.wait_for_open_port(4711, "127.0.0.2", timeout=60)
    fails(lambda: server.wait_for_open_port(4711, timeout=2),
          r"last seen: nobody listens \(exit code 1\)")
    later("pkill perl")
    server.wait_for_closed_port(4711, "127.0.0.2", timeout=60)
    fails(lambda: server.wait_for_open_port(4711, "no-such-host.invalid", timeout=2), "nobody listens")

with subtest("Unix sockets"):
    later("exec perl -e '" + listen.format("UNIX", 'Local => "/run/listens"', 600) + "'")
    server.wait_for_open_unix_socket("/run/listens", timeout=60)
    fails(lambda: server.wait_for_open_unix_socket("/run/listens", is_datagram=True, timeout=2), "nobody listens")

with subtest("processes"):
    pid = int(server.succeed("sleep 600 >/dev/null 2>&1 & echo $!"))
    fails(lambda: server.wait_for_process_exit(pid, timeout=2), r"it runs \(exit code 0\)")
    later(f"kill {pid}")
    server.wait_for_process_exit(pid, timeout=60)
    server.wait_for_process_exit(pid, timeout=60)

with subtest("the journal"):
    later("logger -t herald nothing; logger -t herald 'the [king] arrives'")
    server.wait_for_journal(r"^the \[king\] arrives$", timeout=60)
    server.wait_for_journal("king", timeout=60)
    fails(lambda: server.wait_for_journal("king", unit="no-such.service", timeout=2), "action timed out")
"#;

/// What was asked before a reboot is asked again after it.
const REBOOT: &str = r#"
with subtest("a wait goes on over a reboot"):
    server.succeed("echo 'f /run/of-the-next-boot' >/etc/tmpfiles.d/next.conf")
    later("systemctl reboot")
    server.wait_for_file("/run/of-the-next-boot", timeout=300)
"#;

#[test]
fn the_agent_tells_what_happens() {
    if need_vm("base").is_none() {
        return;
    }
    let run = Setup::new(&crate::machine("base"), &format!("{SCRIPT}{REBOOT}")).run();
    run.assert_status(0);
}

#[test]
fn the_plain_shell_is_asked_again_and_again() {
    if need_vm("base").is_none() {
        return;
    }
    let run = Setup::new(&crate::machine("base"), SCRIPT).arg("--no-agent").run();
    run.assert_status(0);
}
