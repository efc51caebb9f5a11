//! The manifests and images that the pages show are understood, and the pages name every key.

use std::fs;
use std::path::Path;

use crate::Place;

const HEAD: &str = "name = \"test\"\nscript = \"test.py\"\n";

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name))
        .expect("the page is there")
}

/// The blocks of TOML in a page.
fn examples(page: &str) -> Vec<&str> {
    page.split("\n```toml\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// A manifest is understood when all that is wrong with it is that the files that it names are not here.
fn assert_understood(manifest: &str, place: &Place) {
    let manifest =
        if manifest.contains("script = ") { manifest.to_owned() } else { format!("{HEAD}{manifest}") };
    fs::write(place.path().join("example.toml"), &manifest).expect("a manifest is written");
    let said = place.run(&["run", "example.toml", "--script", "test.py"]);
    assert_eq!(said.status, Some(3), "{said:?}\n{manifest}");
    assert!(!said.stderr.contains("cannot be used"), "{said:?}\n{manifest}");
}

#[test]
fn every_manifest_and_image_in_the_pages_is_understood() {
    for name in ["README.md", "docs/manifest.md", "docs/failures.md"] {
        let page = page(name);
        let examples = examples(&page);
        assert!(!examples.is_empty(), "{name} has examples");
        for example in examples {
            let place = Place::with(&[("test.py", ""), ("image.toml", example)]);
            if example.contains("[machines.") {
                assert_understood(example, &place);
            } else {
                assert_understood("[machines.server]\nimage = \"./\"\n", &place);
            }
        }
    }
}

#[test]
fn the_manifest_in_the_help_is_understood() {
    let place = Place::with(&[("test.py", "")]);
    let help = place.run(&["run", "--help"]).stdout;
    let (_, manifest) = help.split_once("A manifest:\n").expect("the help shows a manifest");
    let manifest: Vec<_> =
        manifest.lines().take_while(|line| *line != "Exit status:").map(str::trim).collect();
    assert_understood(&manifest.join("\n"), &place);
}

#[test]
fn the_page_on_manifests_names_every_key() {
    let page = page("docs/manifest.md");
    for (table, at_least) in [
        ("", 5),
        ("[console]\n", 3),
        ("[machines.a]\n", 10),
        ("[machines.a.qemu]\n", 8),
        ("[machines.a]\nbackend = \"cloud-hypervisor\"\n[machines.a.cloud-hypervisor]\n", 4),
        ("[machines.a]\nbackend = \"nspawn\"\n[machines.a.nspawn]\n", 2),
        ("[vlans.1]\n", 5),
    ] {
        let place = Place::with(&[("test.toml", &format!("{table}no_such_key = 1\n"))]);
        let said = place.run(&["run", "test.toml"]);
        let (_, known) = said.stderr.split_once("help: known keys: ").expect("the known keys are told");
        let known: Vec<_> = known.lines().next().unwrap_or_default().split(", ").collect();
        assert!(known.len() >= at_least, "{known:?}");
        for key in known {
            let word = key.trim_matches('`');
            let shown = [
                format!("`{word}`"),
                format!("`{word} = "),
                format!("`[{word}]`"),
                format!("machines.NAME.{word}]"),
                format!("[{word}."),
            ];
            assert!(
                shown.iter().any(|shown| page.contains(shown)),
                "`{word}` is missing in docs/manifest.md"
            );
        }
    }
}
