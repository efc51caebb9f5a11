//! The program under the name `nixos-test-driver`, by the sections of the NixOS driver's manual of facts: every global
//! name, method, attribute, flag, environment variable, exit status and message, on machines that a stand-in plays.
//! docs/compatibility.md is the table that comes of it: `UPDATE_GOLDEN=1` writes it anew.

mod command_line;
mod formats;
mod life;
mod perl;
mod python;
mod stage;
mod table;

use stage::Row;
pub(crate) use stage::has;

/// Checks a section.
type Rows = fn() -> Vec<Row>;

/// All sections of the table, in order.
fn sections() -> Vec<(&'static str, Vec<Row>)> {
    let rest: [(&str, Rows); 3] = [
        ("2. Command line, configuration, environment, files, exit statuses", command_line::rows),
        ("3 and 4. Start scripts, life of a test, failures, signals", life::rows),
        ("5 to 7. Log, XML, JUnit, page; what Nix asks for", formats::rows),
    ];
    let rest = rest.map(|(heading, rows)| (heading, std::thread::spawn(rows)));
    let mut all = python::rows();
    let last = all.pop();
    all.extend(rest.map(|(heading, rows)| (heading, rows.join().expect("the rows"))));
    all.extend(last);
    all
}

#[test]
fn all_is_as_the_table_says() {
    if has("python3") {
        let sections = sections();
        all_hold(&sections);
        table::check("compatibility.md", &sections);
    }
}

/// The driver in Perl has a page of its own.
#[test]
fn all_of_2019_is_as_its_table_says() {
    if has("python3") && stage::has("perl") {
        let sections = perl::rows();
        all_hold(&sections);
        table::check("compatibility-perl.md", &sections);
    }
}

fn all_hold(sections: &[(&'static str, Vec<Row>)]) {
    let problems: Vec<String> = sections
        .iter()
        .flat_map(|(section, rows)| rows.iter().map(move |row| (section, row)))
        .filter_map(|(section, row)| Some(format!("{section}: {}\n{}", row.name, row.problem.as_deref()?)))
        .collect();
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
}
