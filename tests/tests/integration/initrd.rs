//! A guest whose shell answers in the initrd already, and in the real system again.

use integration_tests::{Setup, need_vm};

const SCRIPT: &str = r#"
def inside():
    return server.succeed("readlink /proc/$PPID/exe")

start_all()
server.succeed("test -e /modules/early; test ! -e /etc/debian_version")
print("in the initrd:", inside())
server.copy_from_host_via_shell(__file__, "/copy")
server.succeed(f"test -s /copy")
server.switch_root()
server.succeed("test -e /etc/debian_version; test ! -e /modules")
print("in the system:", inside())
server.wait_for_unit("multi-user.target")
"#;

fn run(arguments: &[&str]) -> Option<String> {
    let image = need_vm("base")?;
    let setup = Setup::new("[machines.server]\nimage = \"./early\"\n", SCRIPT);
    image.with_initrd_backdoor(&setup.dir().join("early"));
    let run = setup.args(arguments).run();
    run.assert_status(0);
    Some(run.said())
}

#[test]
fn the_agent_serves_in_the_initrd_and_after_it() {
    let Some(said) = run(&[]) else { return };
    // Not what the log shows of a command that takes long.
    let told = |line: &&str| line.starts_with("in the ") && line.ends_with(".innkeeper-agent (deleted)");
    assert_eq!(said.lines().filter(told).count(), 2, "{said}");
}

#[test]
fn the_plain_shell_serves_in_the_initrd_and_after_it() {
    let Some(said) = run(&["--no-agent"]) else { return };
    assert!(!said.contains(".innkeeper-agent"), "{said}");
}
