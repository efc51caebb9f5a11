//! What is for Nix (docs/nix.md), evaluated by the real Nix with stand-ins for nixpkgs.

use std::process::Command;

use serde_json::Value;
use test_skip::skip;

use crate::plugins_page::repository;

/// Evaluates `nix/check.nix`. `None` where there is no Nix.
fn evaluated() -> Option<Value> {
    let home = tempfile::tempdir().expect("a directory");
    let ran = Command::new("nix-instantiate")
        // Neither a store nor a home is needed for this, and none is touched.
        .args(["--eval", "--strict", "--json", "--store", "dummy://"])
        .arg(repository().join("nix/check.nix"))
        .env("HOME", home.path())
        .output();
    let Ok(output) = ran else {
        return skip("there is no Nix (install the package `nix-bin`)");
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn the_package_is_made_of_files_that_are_there_and_takes_the_drivers_place() {
    let Some(all) = evaluated() else { return };
    let package = &all["package"];
    assert_eq!(text(&package["version"]), env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&package["source"]), repository().canonicalize().unwrap().to_str().unwrap());
    assert!(std::path::Path::new(text(&package["lock"])).is_file());
    let install = text(&package["postInstall"]);
    for word in install.split_whitespace().filter(|word| word.starts_with("script/")) {
        assert!(repository().join(word).join("py.typed").is_file(), "{word} is no typed package");
    }
    for program in ["nixos-test-driver", "generate-driver-symbols"] {
        assert!(install.contains(&format!("$out/bin/{program} ")), "{install}");
    }
    assert_eq!(all["replaces"], "innkeeper");
    let overridden = text(&all["overridden"]);
    for part in ["python3-with-numpy/bin", "stand-in-systemd/bin"] {
        assert!(overridden.contains(part) && !install.contains(part), "{part}: {overridden}");
    }
}

#[test]
fn the_module_wraps_the_driver_as_nixos_does_today_and_did_before() {
    let Some(all) = evaluated() else { return };
    let present = text(&all["present"]);
    for part in ["'--config /nix/store/stand-in-config.json'", "'--log-level info'", "'--with-log-html'"] {
        assert!(present.contains(&format!("'--add-flags' {part}")), "{part}: {present}");
    }
    assert!(!present.contains("startScripts"), "{present}");
    let old = text(&all["old"]);
    for part in
        ["'--set' 'vlans' '1 3'", "'--set' 'globalTimeout' '3600'", "--set testScript $out/test-script"]
    {
        assert!(old.contains(part), "{part}: {old}");
    }
    assert!(old.contains("--set startScripts") && old.contains("/bin/run-*-vm"), "{old}");
}

#[test]
fn the_flake_and_default_nix_lead_to_the_same_things() {
    let Some(all) = evaluated() else { return };
    let flake = &all["flake"];
    assert_eq!(flake["default"], all["legacy"]["pname"]);
    for there in [&flake["overlay"], &flake["module"], &flake["test"], &all["legacy"]["module"]] {
        assert_eq!(there, true, "{all}");
    }
}
