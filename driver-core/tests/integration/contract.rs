//! The contract suite against the fake: the fake keeps it, and fakes that do not are found out.

use std::path::Path;
use std::time::Duration;

use driver_core::contract::{Findings, Verdict, check};
use driver_core::fake::{FakeBackend, Play};
use driver_core::{Boot, Capabilities, Disk, DiskFormat, MachineSpec};

const BOOT: Duration = Duration::from_secs(60);

fn spec(state_dir: &Path) -> MachineSpec {
    let disk = state_dir.join("disk.raw");
    std::fs::write(&disk, "").expect("a file");
    let boot = Boot::Firmware { disks: vec![Disk { path: disk, format: DiskFormat::Raw }] };
    MachineSpec::new("server", boot, 512, state_dir, state_dir)
}

async fn findings(backend: &FakeBackend, boot: Duration) -> Findings {
    let directory = tempfile::tempdir().expect("a directory");
    check(backend, &spec(directory.path()), boot).await
}

fn broken(findings: &Findings) -> Vec<&'static str> {
    let is_broken = |verdict: &Verdict| matches!(verdict, Verdict::Broken(_));
    findings.rules.iter().filter(|(_, verdict)| is_broken(verdict)).map(|(rule, _)| *rule).collect()
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    let play = Play::default().bash(None).process();
    let findings = findings(&FakeBackend::new().with_play("server", play), BOOT).await;
    findings.assert_kept();
    let skipped = findings.rules.iter().filter(|(_, verdict)| *verdict != Verdict::Kept).count();
    assert_eq!((findings.rules.len(), skipped), (26, 0), "{findings}");
}

#[tokio::test]
async fn a_backend_without_facets_keeps_it_too() {
    let backend = FakeBackend::new()
        .with_capabilities(Capabilities::default())
        .with_play("server", Play::default().bash(None));
    let findings = findings(&backend, BOOT).await;
    findings.assert_kept();
    assert!(findings.to_string().contains("skipped  the screen is written as a PNG: there is no screen"));
}

#[tokio::test]
async fn what_is_broken_is_named() {
    let play = Play::default().bash(None).show("no picture").monitor("info status", "what?");
    let found = findings(&FakeBackend::new().with_play("server", play), BOOT).await;
    let expected = ["the screen is written as a PNG", "the monitor answers `info status`"];
    assert!(expected.iter().all(|rule| broken(&found).contains(rule)), "{found}");

    let brief = Duration::from_millis(100);
    let found = findings(&FakeBackend::new().with_play("server", Play::new()), brief).await;
    assert_eq!(broken(&found), ["a machine can be launched, its ports opened, and its shell comes up"]);

    let found = findings(&FakeBackend::new().with_host_problem("no fakes here", "go elsewhere"), BOOT).await;
    assert_eq!(broken(&found), ["the host can run the backend"]);
    assert!(found.to_string().contains("no fakes here (go elsewhere)"), "{found}");
}
