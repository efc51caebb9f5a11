//! What scripts see: sections 1 and 8, by scripts of the folder `conformance`.

use std::fs;

use super::stage::{Row, Stage, check};

const PRELUDE: &str = include_str!("../../../conformance/prelude.py");

/// Each script's rows under its heading.
pub(super) fn rows() -> Vec<(&'static str, Vec<Row>)> {
    let scripts = [
        ("1.1 How the script is executed", include_str!("../../../conformance/1.1.py")),
        ("1.2 Global names", include_str!("../../../conformance/1.2.py")),
        ("1.3 The object `driver`", include_str!("../../../conformance/1.3.py")),
        ("1.4 Methods of all machines", include_str!("../../../conformance/1.4.py")),
        ("1.5 What virtual machines have besides", include_str!("../../../conformance/1.5.py")),
        ("1.6 to 1.12 Keys, waits, conditions, exceptions", include_str!("../../../conformance/1.6-1.13.py")),
        ("8. What drop-ins break on", include_str!("../../../conformance/8.py")),
    ];
    let run = |(heading, script)| std::thread::spawn(move || (heading, rows_of(heading, script)));
    let running: Vec<_> = scripts.into_iter().map(run).collect();
    running.into_iter().map(|thread| thread.join().expect("a section is checked")).collect()
}

fn rows_of(heading: &str, script: &str) -> Vec<Row> {
    let stage = Stage::new(&format!("{PRELUDE}{script}"));
    let finished = stage.run(&[]);
    let rows = fs::read_to_string(stage.path().join("rows")).unwrap_or_default();
    let mut rows: Vec<Row> = rows.lines().map(|row| serde_json::from_str(row).expect("a row")).collect();
    rows.push(check(&format!("{heading}: the script ends"), || {
        assert_eq!(finished.status, Some(0), "{}\n{}", finished.stdout, finished.stderr);
    }));
    rows
}
