//! Results that cannot be written whole, and results that have to outlive their directory: the verdict never changes
//! silently.

use std::fs;
use std::process::Command;

use test_skip::skip;

use crate::{Place, Said};

const MANIFEST: &str = "name = \"test\"\nscript = \"test.py\"\n";

fn place(script: &str) -> Place {
    Place::with(&[("test.toml", MANIFEST), ("test.py", script)])
}

#[test]
fn a_result_directory_that_goes_away_in_the_middle_is_told_and_no_pass() {
    let removes = "import shutil\nshutil.rmtree('out')\n";
    let place = place(removes);
    let said = place.run(&["run", "test.toml", "-o", "out"]);
    assert_eq!(said.status, Some(5), "{said:?}");
    for error in
        ["error: failed to write `report.html`: No such file", "/out/events.jsonl` was removed while"]
    {
        assert!(said.stderr.contains(error), "{said:?}");
    }

    fs::write(place.path().join("test.py"), format!("{removes}assert False, 'no'\n")).unwrap();
    let said = place.run(&["run", "test.toml", "-o", "out"]);
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(
        said.stderr.contains("Kind assertion") && said.stderr.contains("error: failed to write"),
        "{said:?}"
    );
}

/// Runs a test whose result goes to a disk of so many KiB; `None` where disks cannot be made.
fn on_a_disk_of(kib: u32, script: &str) -> Option<Said> {
    let place = place(script);
    fs::create_dir(place.path().join("disk")).expect("a directory");
    let program = place.program();
    let command = format!(
        "mount -t tmpfs -o size={kib}k tmpfs disk || exit 99\n\
         exec \"$0\" run test.toml -o disk/out --result-on-failure copy"
    );
    let mut shell = Command::new("unshare");
    // Root needs no namespace of users for it, and in a chroot there can be none.
    let flags = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    shell.args([flags, "sh", "-c", &command]).arg(program.get_program()).current_dir(place.path());
    let said = Said::of(shell.output().ok()?);
    if said.status == Some(99) || said.stderr.contains("unshare") {
        return skip(format!("no disk can be made here: {}", said.stderr));
    }
    Some(said)
}

#[test]
fn a_disk_that_becomes_full_is_told_and_no_pass() {
    let fills = "for number in range(3000):\n    print('a line that takes room', number)\n";
    let Some(said) = on_a_disk_of(64, fills) else { return };
    assert_eq!(said.status, Some(5), "{}", said.stderr);
    for file in ["events.jsonl", "log.txt", "report.html"] {
        let told = said.stderr.lines().any(|line| line.starts_with("error: ") && line.contains(file));
        assert!(told, "{file}: {}", said.stderr);
    }
    assert!(said.stderr.contains("No space left on device"), "{}", said.stderr);

    let said = on_a_disk_of(64, &format!("{fills}assert False, 'no'\n")).expect("a disk");
    assert_eq!(said.status, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("Kind assertion"), "{}", said.stderr);
}

#[test]
fn a_result_of_a_failed_test_is_copied_and_an_earlier_copy_kept() {
    let place = place("assert False, 'no'\n");
    let run = || place.run(&["run", "test.toml", "-o", "out", "--result-on-failure", "deep/copy"]);
    assert_eq!(place.run(&["run", "test.toml", "-o", "out"]).status, Some(1));
    assert_eq!(run().status, Some(1));
    let copy = place.path().join("deep/copy");
    assert!(place.path().join("out/attempts/1").exists() && !copy.join("attempts").exists());
    for file in ["events.jsonl", "report.html", "junit.xml"] {
        assert_eq!(
            fs::read(copy.join(file)).unwrap(),
            fs::read(place.path().join("out").join(file)).unwrap()
        );
    }
    assert_eq!(run().status, Some(1));
    let attempts: Vec<_> = fs::read_dir(copy.join("attempts")).unwrap().collect();
    assert_eq!(attempts.len(), 1);
    assert!(copy.join("attempts/1/report.html").exists());
    let again = Command::new(env!("CARGO_BIN_EXE_innkeeper")).arg("report").arg(&copy).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
}

#[test]
fn the_result_of_a_test_that_passed_is_not_copied() {
    let place = place("");
    let said = place.run(&["run", "test.toml", "-o", "out", "--result-on-failure", "copy"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    assert!(!place.path().join("copy").exists());
}

#[test]
fn a_place_for_the_copy_that_cannot_be_is_refused_before_anything_starts() {
    let place = place("print('the script ran')\nassert False\n");
    fs::write(place.path().join("file"), "").unwrap();
    for bad in ["file", "out/inside", "."] {
        let said = place.run(&["run", "test.toml", "-o", "out", "--result-on-failure", bad]);
        assert_eq!(said.status, Some(2), "{bad}: {said:?}");
        assert!(said.stderr.contains("of --result-on-failure cannot be written to"), "{said:?}");
        assert!(!said.stdout.contains("ran"), "{said:?}");
    }
}

#[test]
fn an_attempt_keeps_its_number_and_a_result_half_moved_is_still_one() {
    let place = place("");
    let run = || place.run(&["run", "test.toml", "-o", "out"]).status;
    assert_eq!((run(), run(), run()), (Some(0), Some(0), Some(0)));
    let out = place.path().join("out");
    fs::remove_dir_all(out.join("attempts/1")).unwrap();
    // As if the driver had been killed while it moved a result: the events go last.
    fs::create_dir(out.join("attempts/3")).unwrap();
    fs::rename(out.join("report.html"), out.join("attempts/3/report.html")).unwrap();
    assert_eq!(run(), Some(0));
    let mut names: Vec<_> =
        fs::read_dir(out.join("attempts")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["2", "3", "4"]);
    assert!(out.join("attempts/4/events.jsonl").exists() && out.join("report.html").exists());
    let said = place.run(&["run", "test.toml", "-o", "out", "-v"]);
    assert!(said.stderr.contains("out/attempts/5 now"), "{said:?}");
}
