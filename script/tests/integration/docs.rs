//! The scripts that the pages show run as they stand, and docs/writing-tests.md names every verb.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use driver_core::verbs;

use crate::clients::camel;
use crate::support::Bench;

/// The pages with scripts, the languages that each has, and the machines that they are about.
const PAGES: [(&str, &[&str], &[&str]); 3] = [
    ("docs/writing-tests.md", &["python", "perl"], &["client", "server"]),
    ("docs/networks.md", &["python", "perl"], &["client", "web1", "web2"]),
    ("README.md", &["python"], &["client", "server"]),
];

/// Programs of the guest that the pages suppose. The guestbook keeps its post beside itself. A ping that is to fail
/// says how long it waits.
const PROGRAMS: [(&str, &str); 4] = [
    ("ping", "#!/bin/sh\ncase \"$*\" in *-W*) exit 1 ;; esac\n"),
    ("systemctl", "#!/bin/sh\necho ActiveState=active\n"),
    ("nc", "#!/bin/sh\nexit 0\n"),
    (
        "curl",
        "#!/bin/sh\ncase \"$*\" in\n*text=*) touch \"$0.posted\"; echo 'Thanks for your post!' ;;\n\
         *) test ! -e \"$0.posted\" || echo testpost ;;\nesac\n",
    ),
];

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).expect("the page is there")
}

/// The code blocks of a language.
fn examples<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("\n```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

fn guest_programs() -> tempfile::TempDir {
    let programs = tempfile::tempdir().expect("a directory");
    for (name, text) in PROGRAMS {
        let file = programs.path().join(name);
        fs::write(&file, text).expect("a program is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it can be run");
    }
    programs
}

/// Whether the lines of a block are those of a test in examples/, which has them run on real machines; it may leave
/// some out.
fn is_excerpt(block: &str) -> bool {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let files = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    files(&examples).iter().flat_map(|folder| files(folder)).any(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        block.lines().map(str::trim).all(|wanted| lines.any(|line| line == wanted))
    })
}

#[tokio::test]
async fn every_example_runs() {
    for (name, languages, machines) in PAGES {
        let page = page(name);
        for language in languages {
            let examples = examples(&page, language);
            assert!(!examples.is_empty(), "{name} has examples in {language}");
            let file = if *language == "perl" { "example.pl" } else { "example.py" };
            for example in examples.into_iter().filter(|example| !is_excerpt(example)) {
                let programs = guest_programs();
                let bench = Bench::with_programs(machines, Some(programs.path().to_owned()));
                bench.switches.switch(1).expect("the machines are on a VLAN").let_all_fit();
                bench.run(file, example).await.passed();
            }
        }
    }
}

#[test]
fn the_messages_in_the_page_on_the_protocol_are_json() {
    let page = page("docs/script-protocol.md");
    let examples = examples(&page, "json");
    assert!(!examples.is_empty(), "the page has examples");
    for line in examples.iter().flat_map(|example| example.lines()) {
        let message: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
    }
}

#[test]
fn the_pages_name_every_verb_in_both_languages() {
    for verb in verbs::table() {
        let (name, opening) = match verb.target {
            verbs::Target::Vlan => ("docs/networks.md", ["(", "`"]),
            verbs::Target::Machine | verbs::Target::Run => ("docs/writing-tests.md", ["`", "("]),
        };
        let page = page(name);
        for verb in [verb.name.to_owned(), camel(verb.name)] {
            let is_named = opening.iter().any(|end| page.contains(&format!("`{verb}{end}")));
            assert!(is_named, "`{verb}` is missing in {name}");
        }
    }
}
