//! What is gathered after a failure, and what a screen shows over time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use driver_core::event::{Event, FileKind, Level, Record};
use driver_core::fake::{FakeBackend, Play, Reply};
use driver_core::{EvidencePolicy, Frame, OcrEngine, OcrError, Reading, TextLine, Word};
use tokio::time::sleep;

use crate::stage::{Stage, log_of};

const LIMIT: Duration = EvidencePolicy::LIMIT;

/// The files that the events tell, in alphabetical order.
fn saved(records: &[Record]) -> Vec<&str> {
    let mut paths: Vec<&str> = Vec::new();
    for record in records {
        if let Event::FileSaved { kind: FileKind::Evidence | FileKind::Screenshot, path } = &record.event {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    paths
}

/// A picture of one pixel in this shade of grey.
fn picture(shade: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().expect("a header").write_image_data(&[shade]).expect("a pixel");
    bytes
}

/// Programs for a guest's bash, by name and script.
fn programs(scripts: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, script) in scripts {
        let file = dir.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a program");
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a program");
    }
    dir
}

/// A guest whose programs say this.
fn guest(scripts: &[(&str, &str)]) -> (FakeBackend, tempfile::TempDir) {
    let programs = programs(scripts);
    let play = Play::default().bash(Some(programs.path().to_owned()));
    (FakeBackend::new().with_play("server", play), programs)
}

const ALL: [(&str, &str); 4] = [
    ("journalctl", "echo the journal"),
    ("systemctl", "echo 'boom.service failed'"),
    ("dmesg", "yes 'a line of the kernel' | head -n 100000; echo the last line"),
    ("ps", "echo the processes"),
];

#[tokio::test]
async fn screen_guest_host_and_transcript_are_kept_and_told() {
    let (backend, _programs) = guest(&ALL);
    let stage = Stage::new(&backend);
    stage.server.connect().await.unwrap();
    stage.driver.gather_evidence(LIMIT).await;
    let folder = stage.out_dir.path().join("evidence");
    let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(text("host.txt").contains("# /proc/loadavg"));
    assert_eq!(text("server.journal.txt"), "the journal\n");
    assert!(text("server.units.txt").contains("boom.service failed"));
    assert!(text("server.processes.txt").starts_with("the processes\n"));
    assert_eq!(text("server.control.txt"), "fake: the last order\n");
    let kernel = text("server.dmesg.txt");
    assert!(
        kernel.len() <= 1 << 19 && kernel.ends_with("a line of the kernel\nthe last line\n"),
        "{}",
        kernel.len()
    );
    assert!(fs::read(folder.join("server.screen.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(!folder.join("server.memory.kdump").exists());
    let records = stage.end().await;
    assert_eq!(
        saved(&records),
        [
            "evidence/host.txt",
            "evidence/server.control.txt",
            "evidence/server.dmesg.txt",
            "evidence/server.journal.txt",
            "evidence/server.processes.txt",
            "evidence/server.screen.png",
            "evidence/server.units.txt",
        ]
    );
    assert!(log_of(&records).iter().any(|line| line.starts_with("the host: load ")));
}

#[tokio::test]
async fn a_guest_that_tells_too_much_or_nothing_holds_nobody_up() {
    // Each shell holds the next command up.
    let (backend, _programs) = guest(&[("journalctl", "exec sleep 600"), ("ps", "cat /dev/zero")]);
    let stage = Stage::new(&backend);
    stage.server.connect().await.unwrap();
    let began = std::time::Instant::now();
    stage.driver.gather_evidence(Duration::from_secs(1)).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(!stage.out_dir.path().join("evidence/server.journal.txt").exists());
    let log = log_of(&stage.end().await).join("\n");
    assert!(log.contains("server: its guest has not told all: "), "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_shell_that_is_held_is_not_asked() {
    let backend = FakeBackend::new().with_play("server", Play::default().answer("sleep 600", Reply::Never));
    let stage = Stage::new(&backend);
    let handle = backend.handle("server");
    let command = stage.server.execute("sleep 600", None);
    tokio::select! {
        _ = command => panic!("the command ended"),
        _ = handle.recorded(|record| record.commands == ["sleep 600"]) => {}
    }
    stage.driver.gather_evidence(LIMIT).await;
    let log = log_of(&stage.end().await).join("\n");
    assert!(log.contains("server: its guest cannot be asked: `sleep 600` holds its shell"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn the_screen_of_a_machine_that_died_is_the_last_that_was_seen() {
    let (stage, backend) = Stage::playing(Play::default().show(picture(1)));
    stage.server.start(None).await.unwrap();
    sleep(Duration::from_millis(2500)).await;
    backend.handle("server").panic();
    while stage.server.is_on() {
        sleep(Duration::from_millis(1)).await;
    }
    stage.driver.gather_evidence(LIMIT).await;
    let frame = fs::read(stage.out_dir.path().join("evidence/server.screen.png")).unwrap();
    assert_eq!(frame, picture(1));
    let log = log_of(&stage.end().await).join("\n");
    assert!(log.contains("server: its screen was last seen "), "{log}");
}

#[tokio::test(start_paused = true)]
async fn memory_is_kept_when_it_is_asked_for_and_nothing_when_that_is() {
    let files = async |policy| {
        let backend = FakeBackend::new().with_play("server", Play::default());
        let stage = Stage::configured(&backend, |config| config.evidence = policy);
        stage.server.connect().await.unwrap();
        stage.driver.gather_evidence(LIMIT).await;
        let folder = stage.out_dir.path().join("evidence");
        let kept = (folder.exists(), folder.join("server.memory.kdump").exists());
        stage.end().await;
        kept
    };
    assert_eq!(files(EvidencePolicy::None).await, (false, false));
    assert_eq!(files(EvidencePolicy::Failure).await, (true, false));
    assert_eq!(files(EvidencePolicy::Full).await, (true, true));
}

#[tokio::test(start_paused = true)]
async fn without_a_result_directory_the_log_says_that_there_is_no_evidence() {
    let (stage, _) = Stage::playing(Play::default());
    stage.server.connect().await.unwrap();
    fs::remove_dir_all(stage.out_dir.path()).unwrap();
    fs::write(stage.out_dir.path(), "in the way").unwrap();
    stage.driver.gather_evidence(LIMIT).await;
    fs::remove_file(stage.out_dir.path()).unwrap();
    let records = stage.end().await;
    assert!(records.iter().any(|record| matches!(
        &record.event,
        Event::Log { level: Level::Warning, text } if text.starts_with("no evidence can be kept: ")
    )));
}

/// Reads one word on every screen.
#[derive(Debug)]
struct Parrot;

impl OcrEngine for Parrot {
    fn name(&self) -> &'static str {
        "parrot"
    }

    fn read(&self, _frame: &Frame, _within: driver_core::Deadline) -> Result<Reading, OcrError> {
        let words = vec![Word { text: "login:".to_owned(), rect: None, confidence: None }];
        Ok(Reading { lines: vec![TextLine { words }], ..Reading::default() })
    }
}

#[tokio::test]
async fn the_text_on_the_last_screen_is_kept_if_the_run_can_read_it() {
    let backend = FakeBackend::new().with_play("server", Play::default());
    let stage = Stage::with_ocr(&backend, Some(std::sync::Arc::new(Parrot)));
    stage.server.start(None).await.unwrap();
    stage.driver.gather_evidence(LIMIT).await;
    let text = fs::read_to_string(stage.out_dir.path().join("evidence/server.screen.txt")).unwrap();
    assert_eq!(text.trim(), "login:");
    stage.end().await;
}

fn frames(records: &[Record]) -> Vec<&str> {
    let mut paths: Vec<&str> = Vec::new();
    for record in records {
        if let Event::Frame { path } = &record.event {
            paths.push(path);
        }
    }
    paths
}

#[tokio::test(start_paused = true)]
async fn a_video_has_a_frame_for_each_change_and_one_file_for_what_comes_again() {
    let backend = FakeBackend::new().with_play("server", Play::default().show(picture(1)));
    let stage = Stage::configured(&backend, |config| config.video = true);
    stage.server.start(None).await.unwrap();
    for shade in [1, 1, 2, 1, 1, 3] {
        backend.handle("server").show(picture(shade));
        sleep(Duration::from_secs(1)).await;
    }
    sleep(Duration::from_secs(3)).await;
    let kept: usize = fs::read_dir(stage.out_dir.path().join("frames")).unwrap().count();
    let out: &Path = stage.out_dir.path();
    let first = fs::read(out.join("frames/server.0001.png")).unwrap();
    let records = stage.end().await;
    let [one, two, three] = [1, 2, 3].map(|number| format!("frames/server.{number:04}.png"));
    assert_eq!(frames(&records), [one.as_str(), &two, &one, &three]);
    assert_eq!((kept, first), (3, picture(1)));
}

#[tokio::test(start_paused = true)]
async fn a_screen_that_never_rests_is_looked_at_less_and_less() {
    let backend = FakeBackend::new().with_play("server", Play::default());
    let stage = Stage::configured(&backend, |config| config.video = true);
    stage.server.start(None).await.unwrap();
    for second in 0..1500_u32 {
        backend.handle("server").show(picture(u8::try_from(second % 200).unwrap()));
        sleep(Duration::from_secs(1)).await;
    }
    let changes = frames(&stage.end().await).len();
    // 300 in as many seconds, 300 in twice, and 150 of four seconds each.
    assert!((700..=760).contains(&changes), "{changes}");
}
