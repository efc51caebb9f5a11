//! docs/compatibility.md and docs/compatibility-perl.md: a table by section.

use std::fmt::Write as _;
use std::fs;

use super::stage::Row;

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/");
const BEGINNING: &str =
    "<!-- the table: made by `UPDATE_GOLDEN=1 cargo test -p integration-tests conformance` -->\n";

/// The table of the page of that name is that of these rows.
pub(super) fn check(name: &str, sections: &[(&str, Vec<Row>)]) {
    let file = format!("{PAGES}{name}");
    let page = fs::read_to_string(&file).expect("the page is there");
    let (before, _) = page.split_once(BEGINNING).expect("the mark before the table");
    let made = format!("{before}{BEGINNING}{}", table(sections));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &made).expect("the page is written");
    } else {
        assert!(page == made, "docs/{name} is out of date (UPDATE_GOLDEN=1 writes it anew)");
    }
}

fn table(sections: &[(&str, Vec<Row>)]) -> String {
    let rows = || sections.iter().flat_map(|(_, rows)| rows);
    let (differing, missing) = (
        rows().filter(|row| row.differs.is_some()).count(),
        rows().filter(|row| row.missing.is_some()).count(),
    );
    let same = rows().count() - differing - missing;
    let mut text = format!("\n{same} are the same, {differing} differ on purpose, {missing} are missing.\n");
    for (heading, rows) in sections {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n## {heading}\n\n| what | status | why |\n| --- | --- | --- |\n");
        for row in rows {
            let (status, reason) = match (&row.differs, &row.missing) {
                (Some(reason), _) => ("differs", reason.as_str()),
                (None, Some(reason)) => ("missing", reason.as_str()),
                (None, None) => ("same", ""),
            };
            let _ = writeln!(
                text,
                "| {} | {status} | {} |",
                row.name.replace('|', "\\|"),
                reason.replace('|', "\\|")
            );
        }
    }
    text
}
