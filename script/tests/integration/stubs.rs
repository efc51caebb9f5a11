//! Types for checkers: the stubs have every verb as the table has it, and mypy, where there is one, finds the mistakes
//! of a script with them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use driver_core::verbs::{self, Kind, Param, Returns, Target};
use test_skip::skip;

const MARK: &str = "# What follows is made by `UPDATE_GOLDEN=1 cargo test -p script stubs`.\nclass _Verbs:\n";

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python")
}

#[test]
fn the_stubs_have_every_verb() {
    for (target, file) in [(Target::Machine, "innkeeper/machine.pyi"), (Target::Vlan, "innkeeper/vlan.pyi")] {
        let path = package().join(file);
        let text = fs::read_to_string(&path).expect("the stub");
        let (before, _) = text.split_once(MARK).expect("the mark before what is made");
        let made = format!("{before}{MARK}{}", verbs_of(target));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &made).expect("the stub is written");
        } else {
            assert!(text == made, "{file} is out of date (UPDATE_GOLDEN=1 writes it anew)");
        }
    }
}

fn verbs_of(target: Target) -> String {
    let mut text = String::new();
    for verb in verbs::table().filter(|verb| verb.target == target) {
        let params: String = verb.params.iter().map(|param| format!(", {}", param_of(param))).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    def {}(self{params}) -> {}: ...", verb.name, result_of(verb.returns));
    }
    text
}

fn param_of(param: &Param) -> String {
    let kind = match param.kind {
        Kind::Text | Kind::Texts => "Text",
        Kind::MaybeText => "Text | None",
        Kind::Integer => "int",
        Kind::MaybeCount => "int | None",
        Kind::Number => "float",
        Kind::Bool => "bool",
        Kind::Duration => "Duration",
        Kind::MaybeDuration => "Duration | None",
        Kind::Pattern => "str",
        Kind::Path => "str | os.PathLike[str]",
        Kind::Region => "tuple[int, int, int, int] | None",
        Kind::Groups | Kind::Between | Kind::Handle => "Any",
    };
    let (star, default) = match (param.kind, param.default) {
        (Kind::Texts | Kind::Groups, _) => ("*", ""),
        (_, Some(_)) => ("", " = ..."),
        (_, None) => ("", ""),
    };
    format!("{star}{}: {kind}{default}", param.name)
}

fn result_of(returns: Returns) -> &'static str {
    match returns {
        Returns::Nothing => "None",
        Returns::Text => "str",
        Returns::StatusAndText => "tuple[int, str]",
        Returns::Map => "dict[str, str]",
        Returns::Flag => "bool",
        Returns::Texts => "list[str]",
        Returns::Json => "Any",
        Returns::Handle => "Handle",
        Returns::Packet => "Packet",
    }
}

/// What nixpkgs puts before a script, in short.
const BEFORE: &str = "\
from test_driver.debug import DebugAbstract
from test_driver.driver import Driver
from test_driver.logger import CompositeLogger
from test_driver.machine import BaseMachine, Machine, NspawnMachine, QemuMachine
from test_driver.vlan import VLan
from typing import Callable
start_all: Callable[[], None]
machines: list[QemuMachine]
driver: Driver
log: CompositeLogger
server: QemuMachine
vlan1: VLan
";

#[test]
fn mypy_checks_scripts() {
    let mypy = |arguments: &[&str]| {
        let mut command = Command::new("python3");
        command.args(["-m", "mypy"]).args(arguments).env("MYPYPATH", package());
        command.output().expect("python3 starts")
    };
    if !mypy(&["--version"]).status.success() {
        return skip("there is no mypy (`pip install mypy`)").unwrap_or(());
    }
    let folder = tempfile::tempdir().expect("a directory");
    let check = |script: &str| {
        let file = folder.path().join("script.py");
        fs::write(&file, format!("{BEFORE}{script}")).expect("the script");
        let cache = folder.path().join("cache").display().to_string();
        let file = file.display().to_string();
        let output = mypy(&["--no-implicit-optional", "--no-color-output", "--cache-dir", &cache, &file]);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let good = "\
def work(machine: Machine, any: BaseMachine) -> str:
    status, out = machine.execute('x', timeout=3)
    machine.connected = False
    machine.wait_for_unit('x.service', user='alice')
    return any.succeed('a', 'b', timeout=None) + out
with server.nested('x'), driver.subtest('y'):
    work(server, server)
(server.state_dir / 'x').touch()
server.last_lines.get(block=False)
driver.machines_qemu.append(driver.create_machine('x', name='y'))
vlan1.heal()
log.info('x')
";
    let (passed, said) = check(good);
    assert!(passed, "{said}");
    for (bad, word) in [
        ("server.suceed('x')", "suceed"),
        ("server.succeed(timeout='soon')", "timeout"),
        ("server.wait_for_open_port('http')", "wait_for_open_port"),
        ("x: int = server.succeed('x')", "Incompatible types"),
    ] {
        let (passed, said) = check(bad);
        assert!(!passed && said.contains(word), "{bad}: {said}");
    }
}
