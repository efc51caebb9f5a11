//! Waits for systemd units, each with the agent and by looking with systemctl.

use integration_tests::{Setup, need_vm};

/// What all scripts begin with: `unit` writes one, `later` runs a command after some seconds, `error` is
/// what a call raises.
const HELPERS: &str = r#"
server.wait_for_unit("multi-user.target")

def unit(name, text, folder="/run/systemd/system"):
    server.succeed(f"mkdir -p {folder}; cat >'{folder}/{name}' <<'END'\n{text}\nEND")

def later(seconds, command):
    server.succeed(f"setsid sh -c 'sleep {seconds}; {command}' >/dev/null 2>&1 </dev/null &")

def error(call):
    try:
        call()
    except Exception as error:
        return str(error)
    return None

STAYS = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart="
ONCE = "[Service]\nType=oneshot\nExecStart="
"#;

const STATES: &str = r#"
unit("late.service", STAYS + "/bin/true")
unit("slow.service", STAYS + "/bin/sleep 2")
unit("broken.service", ONCE + "/bin/false")
unit("tpl@.service", STAYS + "/bin/test %I = a-b")
unit("with\\x2ddash.service", STAYS + "/bin/true")
server.succeed("ln -s late.service /run/systemd/system/other-name.service")
server.succeed("systemctl daemon-reload")

with subtest("a unit that is inactive for a moment before it is queued"):
    later(2, "systemctl start late")
    server.wait_for_unit("late")
    server.require_unit_state("late")
    server.wait_for_unit("other-name.service")

with subtest("a unit that nobody queues"):
    for name in ["slow", "there-is-no-such.service"]:
        idle = f'unit "{name}" is inactive and there are no pending jobs'
        assert error(lambda: server.wait_for_unit(name, grace=0.5)) == idle
        assert error(lambda: server.wait_for_unit(name, timeout=0.5)) == idle

with subtest("a unit that takes its time"):
    server.succeed("systemctl start --no-block slow")
    server.wait_for_unit("slow.service")
    assert server.get_unit_property("slow", "ActiveState") == "active"

with subtest("a unit that fails while it is waited for, and one that has failed"):
    later(1, "systemctl start broken")
    for _ in range(2):
        assert error(lambda: server.wait_for_unit("broken")) == 'unit "broken" reached state "failed"'

with subtest("names that are escaped, instances, and what only systemctl can make a name of"):
    for name in ["tpl@a\\x2db.service", "with\\x2ddash.service"]:
        server.succeed(f"systemctl start --no-block '{name}'")
        server.wait_for_unit(name)
    server.wait_for_unit("/")

with subtest("a template is no unit"):
    problem = error(lambda: server.wait_for_unit("tpl@.service", grace=0.5))
    expected = 'retrieving systemctl property "ActiveState" for unit "tpl@.service" failed with exit code'
    assert problem.startswith(expected), problem
"#;

const ONESHOTS: &str = r#"
unit("runs.service", ONCE + "/bin/sleep 1")
unit("wanted.service", ONCE + "/bin/true")
unit("holder.target", "[Unit]\nWants=wanted.service")
unit("skipped.service", "[Unit]\nConditionPathExists=/no/such\n" + ONCE + "/bin/true")
unit("never.service", ONCE + "/bin/true")
unit("simple.service", "[Service]\nExecStart=/bin/sleep 1")
server.succeed("systemctl daemon-reload")

def idle(name):
    problem = error(lambda: server.wait_for_unit(name, grace=0.5))
    assert problem == f'unit "{name}" is inactive and there are no pending jobs', problem

with subtest("one that never ran, or whose start was skipped"):
    idle("never.service")
    server.succeed("systemctl start skipped.service")
    idle("skipped.service")

with subtest("one that runs while it is waited for"):
    server.succeed("systemctl start --no-block runs.service")
    server.wait_for_unit("runs.service")
    assert server.get_unit_property("runs.service", "ActiveState") == "inactive"

with subtest("one that has run, and that systemd has forgotten"):
    server.wait_for_unit("runs.service")

with subtest("one that has run, and that systemd remembers"):
    server.succeed("systemctl start holder.target")
    server.wait_for_unit("wanted.service")

with subtest("one that has run, and failed the next time"):
    unit("runs.service", ONCE + "/bin/false")
    server.succeed("systemctl daemon-reload; ! systemctl start runs.service")
    assert error(lambda: server.wait_for_unit("runs.service")) == 'unit "runs.service" reached state "failed"'
    server.succeed("systemctl reset-failed runs.service")
    idle("runs.service")

with subtest("one that failed, whose failure was reset, and that systemd remembers"):
    unit("wanted.service", ONCE + "/bin/false")
    server.succeed("systemctl daemon-reload; ! systemctl start wanted.service")
    server.succeed("systemctl reset-failed wanted.service")
    idle("wanted.service")

with subtest("a service that has ended is not active, whatever it did"):
    server.succeed("systemctl start simple.service")
    server.wait_until_fails("systemctl is-active --quiet simple.service")
    idle("simple.service")
"#;

/// Nothing is left of the units that were there, nor of what systemd knows of them.
const AFRESH: &str = r#"
server.succeed("systemctl stop late slow tpl@* 'with*dash.service' holder.target || true")
server.succeed("rm -rf /run/systemd/system/*; systemctl daemon-reload; systemctl reset-failed")
"#;

const MANAGERS: &str = r#"
unit("slow.service", STAYS + "/bin/sleep 4")
server.succeed("systemctl daemon-reload")

for command in ["daemon-reexec", "daemon-reload"]:
    with subtest(f"{command} in the middle"):
        server.succeed("systemctl start --no-block slow")
        later(1, f"systemctl {command}")
        server.wait_for_unit("slow")
        assert server.get_unit_property("slow", "ActiveState") == "active"
        server.succeed("systemctl stop slow")

with subtest("the manager of a user"):
    unit("mine.service", STAYS + "/bin/sleep 2", "/etc/systemd/user")
    problem = error(lambda: server.wait_for_unit("mine", "games", grace=0.5))
    expected = 'retrieving systemctl property "ActiveState" for unit "mine" under user "games" failed with exit code'
    assert problem.startswith(expected), problem
    # What pam_systemd does where it is installed.
    server.succeed("printf 'account required pam_permit.so\nsession required pam_permit.so\n' >/etc/pam.d/systemd-user")
    unit("dir.conf", "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i", "/run/systemd/system/user@.service.d")
    server.succeed("systemctl daemon-reload")
    server.succeed("systemctl start user@$(id -u games).service")
    assert server.systemctl("start --no-block mine", "games")[0] == 0
    server.wait_for_unit("mine", "games")
    assert error(lambda: server.wait_for_unit("mine", "nobody-of-that-name", grace=0.5)) is not None
    idle = 'unit "not-mine" is inactive and there are no pending jobs'
    assert error(lambda: server.wait_for_unit("not-mine", "games", grace=0.5)) == idle
"#;

/// One guest for all: a boot takes longer than most of it.
fn run(arguments: &[&str]) {
    if need_vm("base").is_none() {
        return;
    }
    let script = format!("{HELPERS}{STATES}{AFRESH}{ONESHOTS}{AFRESH}{MANAGERS}");
    Setup::new(&crate::machine("base"), &script).args(arguments).run().assert_status(0);
}

crate::both!(
    units_oneshots_and_managers_are_waited_for,
    units_oneshots_and_managers_are_waited_for_without_the_agent,
    run
);
