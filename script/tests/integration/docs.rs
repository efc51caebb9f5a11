//! The examples of docs/writing-tests.md run as they stand, and the page names every verb.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use driver_core::verbs;

use crate::clients::camel;
use crate::support::Bench;

/// Programs of the guest that the page supposes.
const PROGRAMS: [(&str, &str); 3] = [
    ("systemctl", "#!/bin/sh\necho ActiveState=active\n"),
    ("nc", "#!/bin/sh\nexit 0\n"),
    ("curl", "#!/bin/sh\necho 'Thanks for your post!'\necho testpost\n"),
];

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/writing-tests.md");
    fs::read_to_string(path).expect("the page is there")
}

/// The code blocks of a language.
fn examples<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("\n```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[tokio::test]
async fn every_example_runs() {
    let programs = tempfile::tempdir().expect("a directory");
    for (name, text) in PROGRAMS {
        let file = programs.path().join(name);
        fs::write(&file, text).expect("a program is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it can be run");
    }
    let page = page();
    for (language, name) in [("python", "example.py"), ("perl", "example.pl")] {
        let examples = examples(&page, language);
        assert!(!examples.is_empty(), "the page has examples in {language}");
        for example in examples {
            let bench = Bench::with_programs(&["client", "server"], Some(programs.path().to_owned()));
            bench.run(name, example).await.passed();
        }
    }
}

#[test]
fn the_page_names_every_verb_in_both_languages() {
    let page = page();
    for verb in verbs::table() {
        for name in [verb.name.to_owned(), camel(verb.name)] {
            assert!(page.contains(&format!("`{name}")), "`{name}` is missing in docs/writing-tests.md");
        }
    }
}
