//! `innkeeper run`: the life of a test, from the manifest to the verdict.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, io};

use anyhow::Context as _;
use driver_core::event::{Event, FORMAT, Level, Outcome, RunEnded, RunStarted};
use driver_core::{Capabilities, Deadline, Driver, DriverConfig, DriverError, Journal, OcrEngine, Reporter};
use report::{Examination, JobSummary, Terminal, Verbosity};
use script::{PromptLog, Script};
use tokio::time::{sleep, sleep_until};
use vlan::Switches;

use crate::args::{RunArgs, When};
use crate::backends::{Backends, Opened};
use crate::manifest::Manifest;
use crate::plan::{self, TestPlan};
use crate::plugins::Plugins;
use crate::rescue::Rescue;
use crate::result_dir::ResultDir;
use crate::signals::Signals;
use crate::verdict::Verdict;
use crate::{bug, console, engines, exit, interactive, pause};

/// Where results go if the user does not say.
const RESULTS: &str = "innkeeper-results";

/// How long the script may take to end after it has been told to. It kills its interpreter sooner.
const GRACE: Duration = Duration::from_secs(4);

/// How long the verdict waits for a reporter that has fallen behind, such as a terminal that is held.
const SETTLE: Duration = Duration::from_secs(10);

/// Who takes part in a run.
struct Cast {
    backends: Opened,
    choice: Vec<(String, Capabilities)>,
    ocr: Arc<dyn OcrEngine>,
}

/// Runs the test and returns the exit status. An error is one of usage: nothing has been started then.
pub(crate) fn run(args: &RunArgs, color: When) -> anyhow::Result<u8> {
    let mut plugins = Plugins::of_user(&args.plugins)?;
    let manifest = Manifest::read(&args.manifest, &mut plugins, args.backend.as_deref())?;
    let plan = TestPlan::new(manifest, args);
    let wanted = plan.wanted.iter().map(|machine| machine.backend.as_str());
    let known = Backends::new(&plugins);
    let (backends, choice) = (known.open(wanted)?, known.choice());
    let ocr = engines::open(&plugins, &plan.ocr)?;
    let cast = Cast { backends, choice, ocr };
    if plan.pauses {
        pause::check()?;
    }
    let mut script = Script::new(&plan.script, None)?;
    let prompt = args.interactive.then(interactive::prompt).transpose()?;
    if let Some(prompt) = &prompt {
        script = script.with_prompt(prompt.clone())?;
    }
    let results = args.output.clone().unwrap_or_else(|| Path::new(RESULTS).join(&plan.name));
    let dir = ResultDir::create(&results)?;
    let rescue = args.result_on_failure.as_deref();
    let rescue = rescue.map(|copy| Rescue::prepare(copy, dir.path())).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let signals = Signals::listen().context("signals cannot be listened to")?;
        let examination = Examination::default();
        let log = prompt.map(|prompt| prompt.log);
        let terminal = terminal(args, color, &results, log);
        let reporters = reporters(&dir, &plugins, &examination, terminal)?;
        let journal = Journal::create(&dir.path().join(report::EVENTS), reporters)?;
        Ok(conduct(plan, cast, &script, &dir, journal, &examination, signals).await)
    });
    // A thread that hangs in a system call must not keep the program.
    runtime.shutdown_background();
    if let (Some(rescue), Ok(1..)) = (rescue, &status) {
        rescue.copy(dir.path());
    }
    status
}

/// The run on the terminal; with a prompt there, above that.
fn terminal(args: &RunArgs, color: When, results: &Path, log: Option<PromptLog>) -> Terminal {
    let verbosity = match (args.quiet, args.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let look = color.look(&io::stderr());
    match log {
        Some(log) => Terminal::new(Box::new(log.clone()), Box::new(log), look.colours, verbosity, results),
        None => Terminal::stdio_with(look, verbosity, results),
    }
}

fn reporters(
    dir: &ResultDir,
    plugins: &Plugins,
    examination: &Examination,
    terminal: Terminal,
) -> anyhow::Result<Vec<Box<dyn Reporter>>> {
    let mut reporters: Vec<Box<dyn Reporter>> = vec![Box::new(examination.clone())];
    reporters.extend(report::file_views(dir.path())?);
    reporters.extend(plugins.open_reporters(dir.path())?);
    if let Some(file) = env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) {
        reporters.push(Box::new(JobSummary::new(Path::new(&file), dir.path())));
    }
    reporters.push(Box::new(terminal));
    Ok(reporters)
}

/// Everything between the first event and the last.
async fn conduct(
    plan: TestPlan,
    cast: Cast,
    script: &Script,
    dir: &ResultDir,
    journal: Journal,
    examination: &Examination,
    mut signals: Signals,
) -> u8 {
    let (deadline, pauses) = (Deadline::after(plan.timeout), plan.pauses);
    journal.emit(None, run_started(&plan));
    if let Some(aside) = dir.moved_aside() {
        journal.log(Level::Info, None, format!("the earlier result is in {} now", aside.display()));
    }

    let mut verdict = match plan.unmet(&cast.backends, &cast.choice) {
        Some(unmet) => Verdict::new(Outcome::Skipped, Some(unmet.to_string())),
        None => match set_up(plan, cast, dir.path().to_owned(), journal.clone(), deadline) {
            Ok(driver) => {
                let verdict = supervise(&driver, script, deadline, &mut signals).await;
                journal.settle(SETTLE);
                let is_failure = bug::seen() || !verdict.clone().examined(examination).passed();
                if is_failure && let Some(limit) = verdict.patience() {
                    tokio::select! {
                        () = driver.gather_evidence(limit) => {}
                        // Who does not want to wait for it still wants all to be ended.
                        _ = signals.next() => {}
                    }
                    if pauses && !verdict.is_by_signal() {
                        pause::pause(&driver, &mut signals).await;
                    }
                }
                tokio::select! {
                    () = driver.shut_down() => {}
                    // A second signal: the guard ends what is left.
                    _ = signals.next() => {}
                }
                verdict
            }
            Err(error) => Verdict::of_error(&error),
        },
    };

    if bug::seen() {
        verdict =
            Verdict::new(Outcome::Bug, Some("innkeeper has a bug; standard error tells more".to_owned()));
    }
    journal.settle(SETTLE);
    let verdict = verdict.examined(examination);
    journal.emit(None, run_ended(&verdict, &journal));
    end(&journal, &verdict, Some(dir.path()))
}

/// Waits for the reports in `dir`, and returns the exit status.
fn end(journal: &Journal, verdict: &Verdict, dir: Option<&Path>) -> u8 {
    let mut errors: Vec<String> =
        journal.close().err().unwrap_or_default().iter().map(DriverError::chain).collect();
    // Files that are removed while they are open can be written to the end.
    if let Some(events) = dir.map(|dir| dir.join(report::EVENTS)).filter(|events| !events.exists()) {
        errors.push(format!("`{}` was removed while the test ran", events.display()));
    }
    for error in &errors {
        console::err(&format!("error: {error}"));
    }
    // A reporter may have panicked at the very end.
    if bug::seen() {
        return exit::BUG;
    }
    // A result that was not written whole is no pass.
    if verdict.outcome == Outcome::Passed && !errors.is_empty() { exit::HOST } else { verdict.exit_status() }
}

fn set_up(
    plan: TestPlan,
    cast: Cast,
    out_dir: PathBuf,
    journal: Journal,
    deadline: Deadline,
) -> Result<Arc<Driver>, DriverError> {
    let machines = plan::machines(plan.wanted, &cast.backends)?;
    Driver::new(DriverConfig {
        deadline,
        machines,
        agent: plan.agent,
        grace: plan.grace,
        switches: Some(Arc::new(Switches)),
        vlans: plan.vlans,
        seed: plan.seed,
        ocr: Some(cast.ocr),
        needles: plan.needles,
        start_scripts: Some((Arc::<backend_qemu::Qemu>::default(), serde_json::Value::Null)),
        choice: cast.choice,
        evidence: plan.evidence,
        video: plan.video,
        ..DriverConfig::new(out_dir, journal)
    })
}

/// Runs the test until it is over, or its time is, or somebody stops it.
async fn supervise(
    driver: &Arc<Driver>,
    script: &Script,
    deadline: Deadline,
    signals: &mut Signals,
) -> Verdict {
    let mut test = pin!(async {
        match driver.check().await {
            Ok(()) => Verdict::of_script(script, script::run(driver, script).await),
            Err(error) => Verdict::of_error(&error),
        }
    });
    let verdict = tokio::select! {
        verdict = &mut test => return verdict,
        signal = signals.next() => Verdict::interrupted(signal),
        () = sleep_until(deadline.instant()) => Verdict::new(
            Outcome::TimedOut,
            Some(format!(
                "the test took longer than the {} that it may take (`timeout` in the manifest, or --timeout)",
                humantime::format_duration(deadline.limit())
            )),
        ),
    };
    driver.cancel(verdict.message.as_deref().unwrap_or_default());
    tokio::select! {
        _ = &mut test => {}
        () = sleep(GRACE) => {}
        _ = signals.next() => {}
    }
    verdict
}

fn run_started(plan: &TestPlan) -> Event {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Event::RunStarted(RunStarted {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        test: plan.name.clone(),
        machines: plan.wanted.iter().map(|machine| machine.name.clone()).collect(),
        script: plan.script.display().to_string(),
        timeout_s: plan.timeout.as_secs_f64(),
        started_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        console: plan.console.clone(),
    })
}

fn run_ended(verdict: &Verdict, journal: &Journal) -> Event {
    Event::RunEnded(RunEnded {
        outcome: verdict.outcome,
        kind: verdict.kind.map(|kind| kind.name().to_owned()),
        message: verdict.message.clone(),
        duration_us: journal.elapsed_us(),
        exit_status: verdict.exit_status(),
    })
}

#[cfg(test)]
mod tests {
    use driver_core::event::{Outcome, Record};
    use driver_core::{DriverError, Journal, Reporter};

    use super::{Verdict, bug, end, exit};

    struct Broken;

    impl Reporter for Broken {
        fn record(&mut self, _: &Record) -> Result<(), DriverError> {
            Ok(())
        }

        fn finish(&mut self) -> Result<(), DriverError> {
            panic!("a bug at the very end")
        }
    }

    #[test]
    fn a_reporter_that_panics_at_the_end_is_a_bug_and_no_pass() {
        bug::watch();
        let journal = Journal::in_memory(vec![Box::new(Broken)]);
        assert_eq!(end(&journal, &Verdict::new(Outcome::Passed, None), None), exit::BUG);
    }
}
