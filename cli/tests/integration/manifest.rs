//! What the program says of a manifest that is wrong: the place, what is expected, what was meant.

use crate::Place;

/// The error text for a manifest, which must end the program with status 2 and leave no result.
fn error_of(manifest: &str) -> String {
    let place = Place::with(&[("test.toml", manifest), ("test.py", "")]);
    let said = place.run(&["run", "test.toml"]);
    assert_eq!(said.status, Some(2), "{said:?}");
    assert!(!place.path().join("innkeeper-results").exists(), "a result of nothing");
    said.stderr
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
    let error = error_of(
        "name = \"test\"\nscript = \"test.py\"\n\n[machines.server]\nimage = \"base\"\nmemroy = \"1G\"\n",
    );
    assert_eq!(
        error,
        "\
error: unknown key `memroy` in machine `server`
 --> test.toml:6:1
  |
6 | memroy = \"1G\"
  | ^^^^^^ did you mean `memory`?
  |
  = help: known keys: `backend`, `qemu`, `cloud-hypervisor`, `nspawn`, `image`, `start_script`, `kernel`, `initrd`, `cmdline`, `disks`, `memory`, `cores`, `vlans`, `boot_timeout`, `allow_reboot`, `needs`, `shares`
"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let error = error_of(
        "name = 5\nscript = \"test.py\"\ntimeout = \"soon\"\n[machines.server]\nimage = \"base\"\ncores = 0\n",
    );
    let titles: Vec<&str> = error.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(
        titles,
        [
            "error: `name` in the manifest cannot be the number 5",
            "error: `timeout` in the manifest cannot be the text \"soon\"",
            "error: `cores` in machine `server` cannot be the number 0",
        ]
    );
    assert!(error.contains("test.toml:3:11"), "{error}");
    assert!(error.contains("expected a time such as \"90s\", \"10m\""), "{error}");
}

#[test]
fn what_is_missing_is_named_with_where_it_belongs() {
    let error = error_of("[machines.server]\nmemory = \"1G\"\n");
    for text in [
        "the manifest has no `name`",
        "`script` is missing: a path in quotes",
        "machine `server` has nothing to boot",
        "test.toml:1:11",
    ] {
        assert!(error.contains(text), "{text:?} is missing in:\n{error}");
    }
}

#[test]
fn two_ways_to_boot_are_one_too_many() {
    let head = "name = \"test\"\nscript = \"test.py\"\n[machines.server]\n";
    for (boot, text) in [
        ("image = \"base\"\nkernel = \"vmlinuz\"", "has both `image` and `kernel`"),
        (
            "start_script = \"run\"\n[[machines.server.disks]]\npath = \"x\"",
            "has both `start_script` and `disks`",
        ),
        ("image = \"base\"\ncmdline = \"quiet\"", "has `cmdline`, but no `kernel`"),
    ] {
        let error = error_of(&format!("{head}{boot}\n"));
        assert!(error.contains(text), "{text:?} is missing in:\n{error}");
    }
}

#[test]
fn machines_must_differ_in_scripts_too() {
    let machine = |name: &str| format!("[machines.{name}]\nimage = \"base\"\n");
    let head = "name = \"test\"\nscript = \"test.py\"\n";
    let error = error_of(&format!("{head}{}{}", machine("web-1"), machine("web_1")));
    assert!(error.contains("have the same name in scripts"), "{error}");
    let error = error_of(&format!("{head}{}", machine("\"../x\"")));
    assert!(error.contains("\"../x\" cannot be a machine's name"), "{error}");
}

#[test]
fn a_syntax_error_shows_its_line() {
    let error = error_of("name = \"test\"\nscript = test.py\n");
    assert!(error.starts_with("error: this is not valid TOML\n --> test.toml:2:10"), "{error}");
}

#[test]
fn an_unknown_backend_is_told_with_the_known_ones() {
    let error = error_of(
        "name = \"test\"\nscript = \"test.py\"\n[machines.a]\nbackend = \"xen\"\nimage = \"base\"\n[machines.a.qemu]\n",
    );
    assert!(error.contains("machine `a` wants the unknown backend \"xen\""), "{error}");
    assert!(error.contains("expected \"qemu\""), "{error}");
    assert_eq!(error.matches("error:").count(), 1, "{error}");
}

#[test]
fn the_usual_backend_is_chosen_on_the_command_line_and_not_for_machines_that_name_theirs() {
    let head = "name = \"test\"\nscript = \"test.py\"\n[machines.a]\nimage = \"base\"\n";
    let both =
        "[machines.a.qemu]\naccel = \"tcg\"\n[machines.a.cloud-hypervisor]\nbinary = \"/nowhere/ch\"\n";
    let named = "[machines.a]\nbackend = \"qemu\"\n[machines.a.cloud-hypervisor]\n";
    let place = Place::with(&[
        ("test.toml", &format!("{head}{both}")),
        ("named.toml", &format!("name = \"test\"\nscript = \"test.py\"\n{named}")),
        ("test.py", ""),
    ]);
    let said = place.run(&["run", "test.toml", "--backend", "xen"]);
    assert_eq!(said.status, Some(2), "{said:?}");
    assert!(
        said.stderr.contains("there is no backend `xen` (there are `qemu`, `cloud-hypervisor`"),
        "{said:?}"
    );
    let said = place.run(&["run", "named.toml", "--backend", "cloud-hypervisor"]);
    assert!(said.stderr.contains("unknown key `cloud-hypervisor`"), "{said:?}");
    let said = place.run(&["run", "test.toml", "--backend", "cloud-hypervisor", "-o", "out"]);
    assert!(!said.stderr.contains("unknown key"), "{said:?}");
    assert!(said.stderr.contains("cloud-hypervisor") || said.stderr.contains("image"), "{said:?}");
}

#[test]
fn colours_are_there_when_they_are_asked_for() {
    let place = Place::with(&[("test.toml", "nmae = 1")]);
    assert!(!place.run(&["run", "test.toml"]).stderr.contains('\x1b'));
    assert!(place.run(&["run", "test.toml", "--color=always"]).stderr.contains('\x1b'));
}

#[test]
fn a_backends_own_settings_are_checked_in_their_place_too() {
    let head = "name = \"test\"\nscript = \"test.py\"\n[machines.a]\nimage = \"base\"\n[machines.a.qemu]\n";
    let error = error_of(&format!("{head}acel = \"kvm\"\n"));
    assert!(error.contains("unknown key `acel` in `qemu` of machine `a`\n --> test.toml:6:1"), "{error}");
    assert!(error.contains("did you mean `accel`?") && error.contains("`extra_args`"), "{error}");
    let error = error_of(&format!("{head}accel = \"xen\"\n"));
    assert!(
        error.contains("a setting in `qemu` of machine `a` makes no sense\n --> test.toml:6:9"),
        "{error}"
    );
    assert!(error.contains("unknown variant `xen`, expected one of `auto`, `kvm`, `tcg`"), "{error}");
    let error = error_of(&format!("{head}extra_args = \"-snapshot\"\n"));
    assert!(error.contains("test.toml:6:14"), "{error}");
}

#[test]
fn vlans_are_numbers_that_addresses_have_room_for() {
    let head = "name = \"test\"\nscript = \"test.py\"\n[machines.a]\nimage = \"base\"\n";
    for (rest, title, label) in [
        ("vlans = [0]", "an entry of `vlans` in machine `a` cannot be the number 0", "1 to 255"),
        ("vlans = [2, 2]", "machine `a` is on VLAN 2 twice", "one network card on a VLAN"),
        ("[vlans.256]", "\"256\" cannot be a VLAN", "1 to 255"),
        ("[vlans.1]\nseed = -1", "`seed` in VLAN 1 cannot be the number -1", "a whole number"),
        ("[vlans.1]\ntap = \"a/b\"", "`tap` in VLAN 1 cannot be the text \"a/b\"", "up to 15 letters"),
    ] {
        let error = error_of(&format!("{head}{rest}\n"));
        assert!(error.contains(title) && error.contains(label), "{rest}: {error}");
    }
}

#[test]
fn a_rule_for_consoles_that_does_not_exist_is_told_with_those_that_do() {
    let place = Place::with(&[
        ("test.toml", "name = \"test\"\nscript = \"test.py\"\n[console]\nfail = [\"oopss\"]\n"),
        ("test.py", ""),
    ]);
    let said = place.run(&["run", "test.toml"]);
    assert_eq!(said.status, Some(2), "{said:?}");
    for text in ["\"oopss\" is no rule for consoles", "oops, kernel-bug", "fail = [\"oopss\"]"] {
        assert!(said.stderr.contains(text), "{text:?} is missing in {said:?}");
    }
}
