//! docs/plugins.md, followed as a new user would: the package of the page is built, loaded and at work.

use std::fs;
use std::path::{Path, PathBuf};

use driver_core::{Exit, MachineSpec, Reading};
use integration_tests::{Setup, build_package, plugin};

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn page(name: &str) -> String {
    fs::read_to_string(repository().join(name)).expect("the page is there")
}

/// The blocks of a language.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("\n```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// Builds the package that a page shows first: its `Cargo.toml`, its `src/lib.rs`.
pub(crate) fn build_page(name: &str, place: &Path, package: &str, library: &str) -> PathBuf {
    let page = page(name);
    let package = place.join(package);
    fs::create_dir_all(package.join("src")).expect("a package");
    let root = repository().canonicalize().expect("the repository is there");
    let manifest = blocks(&page, "toml")[0].replace("../innkeeper", &root.display().to_string());
    fs::write(package.join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(package.join("src/lib.rs"), blocks(&page, "rust")[0]).expect("a source");
    // The versions that are here already: the test needs no network.
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).expect("the versions");
    build_package(&package, library)
}

#[test]
fn the_plugin_of_the_page_is_built_and_works() {
    let place = tempfile::tempdir().unwrap();
    let library = build_page("docs/plugins.md", place.path(), "slowest", "slowest");

    let manifest = format!(
        "plugins = [{:?}, {{ path = {library:?}, settings = {{ at_most = 2 }} }}]\n\
         [machines.server]\nbackend = \"local\"\n",
        plugin("plugin-local")
    );
    let run = Setup::new(&manifest, "server.succeed('sleep 1.1')\nserver.succeed('true')\n").run();
    run.assert_status(0);
    let slowest = run.text("slowest.txt");
    let lines: Vec<_> = slowest.lines().collect();
    assert_eq!(lines.len(), 2, "{slowest}");
    assert!(lines[0].ends_with(" s  run the VM test script"), "{slowest}");
    assert!(lines[1].contains(" s  must succeed: sleep 1.1"), "{slowest}");
}

#[test]
fn the_json_of_the_page_is_what_is_read() {
    let page = page("docs/plugins.md");
    let json = blocks(&page, "json");
    let spec: MachineSpec = serde_json::from_str(json[0]).unwrap();
    assert_eq!((spec.name.as_str(), spec.boot.disks().len()), ("server", 1));
    let written = serde_json::to_value(&spec).unwrap();
    let shown: serde_json::Value = serde_json::from_str(json[0]).unwrap();
    for key in written.as_object().unwrap().keys() {
        assert!(shown.get(key).is_some(), "`{key}` is missing in docs/plugins.md");
    }
    let reading: Reading = serde_json::from_str(json[1]).unwrap();
    assert_eq!(reading.text(), "login:\n");
    let exit = page.split('`').find(|words| words.starts_with("{\"reason\": {")).unwrap();
    serde_json::from_str::<Exit>(exit).unwrap();
}
