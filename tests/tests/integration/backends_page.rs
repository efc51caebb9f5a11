//! docs/backends.md: its table is what the backends say of themselves, and its backend is built, checked and at work.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use driver_core::{Backend, Facet, verbs};
use integration_tests::{Setup, program};

use crate::plugins_page::{blocks, build_page, page, repository};

const PAGE: &str = "docs/backends.md";
const BEGIN: &str = "writes from here -->\n";
const END: &str = "<!-- to here -->";

/// The facets of innkeeper's own backends, with the verbs that need them.
fn table() -> String {
    let backends: [Box<dyn Backend>; 3] = [
        Box::<backend_qemu::Qemu>::default(),
        Box::<backend_cloud_hypervisor::CloudHypervisor>::default(),
        Box::<backend_nspawn::Nspawn>::default(),
    ];
    let mut table = "\n| facet | verbs that need it |".to_owned();
    for backend in &backends {
        let _ = write!(table, " `{}` |", backend.name());
    }
    table.push_str("\n|---|---|---|---|---|\n");
    for facet in Facet::ALL {
        let needing = verbs::table().filter(|verb| verb.needs == Some(facet));
        let needing: Vec<String> = needing.map(|verb| format!("`{}`", verb.name)).collect();
        let needing = match facet {
            // Machines and tests need it, and no verb.
            Facet::Nics => "`vlans` of a machine".to_owned(),
            _ if needing.is_empty() => "none".to_owned(),
            _ => needing.join(", "),
        };
        let _ = write!(table, "| `{}` | {needing} |", facet.word());
        for backend in &backends {
            table.push_str(if backend.capabilities().has(facet) { " yes |" } else { " no |" });
        }
        table.push('\n');
    }
    table + "\n"
}

#[test]
fn the_table_is_what_the_backends_say() {
    let page = page(PAGE);
    let (before, rest) = page.split_once(BEGIN).expect("the table has a beginning");
    let (kept, after) = rest.split_once(END).expect("the table has an end");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(repository().join(PAGE), format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    assert_eq!(kept, table(), "docs/backends.md is out of date (UPDATE_GOLDEN=1 writes it anew)");
}

#[test]
fn the_files_that_the_page_names_are_there() {
    let page = page(PAGE);
    let (_, steps) = page.split_once("| step |").expect("a table of steps");
    let (steps, _) = steps.split_once("\n\n").expect("its end");
    let files: Vec<&str> = steps.split('`').filter(|word| word.ends_with(".rs")).collect();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        for backend in ["backend-cloud-hypervisor/src", "backend-qemu/src"] {
            let path = repository().join(backend).join(file);
            // What a backend's hypervisor has no use for is its own affair.
            assert!(path.exists() || backend.ends_with("qemu/src"), "{}", path.display());
        }
    }
}

#[test]
fn the_backend_of_the_page_is_built_keeps_the_contract_and_works() {
    let place = tempfile::tempdir().unwrap();
    let library: PathBuf = build_page(PAGE, place.path(), "bash-backend", "bash_backend");

    let checked = Command::new(program()).args(["plugins", "check"]).arg(&library).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

    let page = page(PAGE);
    let manifest = blocks(&page, "toml")[1];
    let machines = manifest.split_once("\n\n").expect("the machines come last").1;
    let script = "assert server.succeed('echo hello') == 'hello\\n'\nserver.shutdown()\n";
    let run = Setup::new(machines, script).args(&["--plugin", &library.display().to_string()]).run();
    run.assert_status(0);
}
