//! The guest shell at its limits, in one boot: the script itself checks what comes back.

use integration_tests::{Setup, need_vm};

const SCRIPT: &str = r#"
import os

server.wait_for_unit("multi-user.target")

with subtest("output that is not UTF-8"):
    command = r"printf 'a\377b'"
    assert server.succeed(command) == "a\ufffdb"
    assert server.execute(command) == (0, "a\ufffdb")
    try:
        server.execute(command, check_return=False)
    except UnicodeDecodeError:
        pass
    else:
        raise AssertionError("check_return=False decodes strictly")

with subtest("a thousand commands leak nothing"):
    def resources():
        shell = server.succeed("systemctl show -P MainPID backdoor.service").strip()
        return {
            "the driver's files": len(os.listdir(f"/proc/{os.getppid()}/fd")),
            "the script's files": len(os.listdir("/proc/self/fd")),
            "the shell's files": int(server.succeed(f"ls /proc/{shell}/fd | wc -l")),
            "the shell's tasks": int(server.succeed("systemctl show -P TasksCurrent backdoor.service")),
        }

    server.succeed("true")
    before = resources()
    for _ in range(1000):
        server.succeed("true")
    after = resources()
    # The agent's bash for the next command may or may not be there when it is looked for.
    leaked = {what: count for what, count in after.items() if count > before[what] + 5}
    assert not leaked, f"{before} became {after}"

with subtest("100 MB come back whole"):
    output = server.succeed("head -c 100000000 /dev/zero | tr '\\0' x")
    assert len(output) == 100_000_000, len(output)
    assert output.count("x") == len(output)
"#;

fn run(arguments: &[&str]) {
    if need_vm("base").is_none() {
        return;
    }
    let run = Setup::new(&crate::machine("base"), SCRIPT).args(arguments).run();
    run.assert_status(0);
}

crate::both!(
    large_and_odd_outputs_and_many_commands,
    large_and_odd_outputs_and_many_commands_without_the_agent,
    run
);
