//! The life of a test under the NixOS driver's name (compat.md 4).

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use driver_core::event::{ConsoleRules, Event, FORMAT, Level, Outcome, RunStarted, ScopeKind};
use driver_core::{
    Backend, Boot, Deadline, Driver, DriverConfig, DriverError, Image, Journal, MachineConfig, Reporter,
    VlanConfig,
};
use report::{ClassicTerminal, JunitXml, LogHtml, LogXml};
use script::{Language, PromptLog, Script, ScriptError};
use tokio::process::Child;
use tokio::time::{sleep, sleep_until};
use vlan::Switches;

use super::outcome::Ended;
use super::plan::{Manner, Plan, Source};
use crate::result_dir::ResultDir;
use crate::signals::Signals;
use crate::{engines, interactive};

/// How long the script may take to end after it has been told to. It kills its interpreter sooner.
const GRACE: Duration = Duration::from_secs(4);
/// Where the lines that were typed at the prompt are kept, as the NixOS driver has it.
const HISTORY: &str = ".nixos-test-history";
/// How long `sync` may take in a guest at the end.
const SYNC: Duration = Duration::from_secs(60);

/// Runs the test, and returns the exit status.
pub(super) fn run(plan: Plan) -> anyhow::Result<u8> {
    crate::log_if_asked();
    let mut script = match &plan.script {
        Source::File(path) => Script::new(path, Some(Language::Python))?,
        Source::Text(text) => Script::of_text("testScript", text.clone(), Language::Python),
    }
    .with_setup(plan.setup.clone());
    let mut log = None;
    if plan.interactive {
        let prompt = interactive::prompt_with(std::path::absolute(HISTORY)?)?;
        log = Some(prompt.log.clone());
        script = script.with_prompt(prompt)?;
    }
    let report_dir = plan.report.as_deref().map(ResultDir::create).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let signals = Signals::listen().context("signals cannot be listened to")?;
        let reporters = reporters(&plan, report_dir.as_ref().map(ResultDir::path), log)?;
        let journal = match &report_dir {
            Some(dir) => Journal::create(&dir.path().join(report::EVENTS), reporters)?,
            None => Journal::in_memory(reporters),
        };
        Ok(conduct(&plan, &script, journal, signals).await)
    });
    // A thread that hangs in a system call must not keep the program.
    runtime.shutdown_background();
    status
}

fn reporters(
    plan: &Plan,
    report: Option<&Path>,
    log: Option<PromptLog>,
) -> Result<Vec<Box<dyn Reporter>>, DriverError> {
    let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
    if let Some(path) = &plan.xml {
        reporters.push(Box::new(LogXml::create(path)?));
    }
    if let Some(path) = &plan.junit {
        reporters.push(Box::new(JunitXml::at(path)));
    }
    if plan.html {
        reporters.push(Box::new(LogHtml::new(&plan.out_dir)));
    }
    if let Some(dir) = report {
        reporters.extend(report::file_views(dir)?);
    }
    reporters.push(Box::new(match log {
        Some(log) => ClassicTerminal::new(Box::new(log.clone()), Box::new(log), plan.shows_debug),
        None => ClassicTerminal::stdio(plan.shows_debug),
    }));
    Ok(reporters)
}

/// Everything between the first event and the last.
async fn conduct(plan: &Plan, script: &Script, journal: Journal, mut signals: Signals) -> u8 {
    let deadline = plan.timeout.map_or_else(Deadline::far, Deadline::after);
    journal.emit(None, run_started(plan, script, deadline));
    let say = |text: String| journal.log(Level::Info, None, text);
    if !plan.state.keep {
        let flag = if plan.manner == Manner::Old { "--keep-vm-state" } else { "--keep-machine-state" };
        say(format!("Machine state will be reset. To keep it, pass {flag}"));
    }
    if plan.vlans.is_empty() {
        let scope = journal.open_scope(0, None, ScopeKind::Step, "start all VLans", None);
        journal.close_scope(&scope, None);
    }
    let ended = match prepare(plan, journal.clone(), deadline).await {
        // What is held until all machines are gone is the way into them.
        Ok((driver, _backdoor)) => {
            plan.told.iter().cloned().for_each(say);
            if let Some(limit) = plan.timeout {
                // Python's text of a float, or of a whole number.
                let seconds = match plan.manner {
                    Manner::Present => format!("{:?}", limit.as_secs_f64()),
                    Manner::Old => limit.as_secs().to_string(),
                };
                say(format!("Test will time out and terminate in {seconds} seconds"));
            }
            let began = Instant::now();
            let ended = supervise(&driver, plan, script, deadline, &mut signals).await;
            if ended.outcome == Outcome::Passed && !plan.interactive {
                say(format!("test script finished in {:.2}s", began.elapsed().as_secs_f64()));
            }
            tokio::select! {
                () = driver.shut_down() => {}
                // A second signal: the guard ends what is left.
                _ = signals.next() => {}
            }
            ended
        }
        Err(error) => {
            journal.log(Level::Error, None, error.chain());
            Ended::of_error(&error)
        }
    };
    ended.conclude(&journal)
}

/// The run with all that its machines need, none of which is started yet.
async fn prepare(
    plan: &Plan,
    journal: Journal,
    deadline: Deadline,
) -> Result<(Arc<Driver>, Option<Child>), DriverError> {
    let driver = set_up(plan, journal, deadline)?;
    let Some(backdoor) = &plan.backdoor else { return Ok((driver, None)) };
    match backdoor.start(&driver).await {
        Ok(process) => Ok((driver, Some(process))),
        Err(error) => {
            driver.shut_down().await;
            Err(error)
        }
    }
}

fn set_up(plan: &Plan, journal: Journal, deadline: Deadline) -> Result<Arc<Driver>, DriverError> {
    let qemu: Arc<dyn Backend> = Arc::<backend_qemu::Qemu>::default();
    let machine = |vm: &super::plan::Vm| {
        let boot = Boot::StartScript { command: vm.command.clone() };
        MachineConfig {
            // The script knows which of them it plugs its cards into.
            vlans: plan.vlans.clone(),
            options: options(plan, &vm.name),
            ..MachineConfig::new(vm.name.clone(), Arc::clone(&qemu), Image { boot, memory_mib: None })
        }
    };
    let nspawn: Arc<dyn Backend> = Arc::<backend_nspawn::Nspawn>::default();
    let container = |container: &super::plan::Vm| {
        // The script makes its network cards, and plugs them into the bridges of the taps.
        let boot = Boot::StartScript { command: container.command.clone() };
        MachineConfig::new(container.name.clone(), Arc::clone(&nspawn), Image { boot, memory_mib: None })
    };
    // By these names the wrappers of containers find the VLANs (compat.md 3.6).
    let vlan = |&number: &u32| VlanConfig {
        tap: (!plan.containers.is_empty()).then(|| format!("vde-tap{number}")),
        ..VlanConfig::new(number)
    };
    Driver::new(DriverConfig {
        deadline,
        machines: plan.vms.iter().map(machine).chain(plan.containers.iter().map(container)).collect(),
        agent: if plan.agent { agent_binary::AGENT } else { None },
        // As the NixOS driver: whoever holds the output of a command is waited for.
        grace: None,
        switches: Some(Arc::new(Switches)),
        vlans: plan.vlans.iter().map(vlan).collect(),
        state: Some(plan.state.clone()),
        start_scripts: Some((qemu, plan.options.clone())),
        // Fonts that cannot be read are no reason to refuse a test that looks at no screen.
        ocr: ocr::open(ocr::DEFAULT, &engines::settings()).and_then(Result::ok),
        ..DriverConfig::new(&plan.out_dir, journal)
    })
}

/// The settings of QEMU for a machine.
fn options(plan: &Plan, machine: &str) -> serde_json::Value {
    let mut options = plan.options.clone();
    if let Some(backdoor) = &plan.backdoor {
        if options.is_null() {
            options = serde_json::json!({});
        }
        options["extra_args"] = backdoor.arguments(machine).into();
    }
    options
}

/// Runs the test until it is over, or its time is, or somebody stops it.
async fn supervise(
    driver: &Arc<Driver>,
    plan: &Plan,
    script: &Script,
    deadline: Deadline,
    signals: &mut Signals,
) -> Ended {
    let mut test = pin!(async {
        let ready = async {
            if driver.nodes().iter().any(|node| node.backend() == backend_nspawn::NAME) {
                backend_nspawn::prepare_sandbox().await?;
            }
            driver.check().await
        };
        if let Err(error) = ready.await {
            driver.journal().log(Level::Error, None, error.chain());
            return Ended::of_error(&error);
        }
        let ran = script::run(driver, script).await;
        let has_begun = matches!(ran, Ok(_) | Err(ScriptError::Cancelled { .. }));
        let ended = Ended::of_script(ran);
        if let Some(message) = ended.message.as_deref().filter(|_| !has_begun) {
            // Nothing else has told it.
            driver.journal().log(Level::Error, None, message);
        }
        if ended.outcome == Outcome::Passed && !plan.interactive {
            sync(driver).await;
        }
        ended
    });
    let ended = tokio::select! {
        ended = &mut test => return ended,
        signal = signals.next() => Ended::by_signal(signal),
        () = sleep_until(deadline.instant()) => Ended::timed_out(),
    };
    let scope = (ended.outcome == Outcome::TimedOut).then(|| {
        let heading = "timeout reached; test terminating...";
        driver.journal().open_scope(0, None, ScopeKind::Step, heading, None)
    });
    driver.cancel(ended.message.as_deref().unwrap_or_default());
    tokio::select! {
        _ = &mut test => {}
        () = sleep(GRACE) => {}
        _ = signals.next() => {}
    }
    if let Some(scope) = scope {
        driver.journal().close_scope(&scope, None);
    }
    ended
}

/// Has every guest that is up write its disks, as the NixOS driver does, without a word.
async fn sync(driver: &Driver) {
    for node in driver.nodes().iter().filter(|node| node.is_up()) {
        if let Err(error) = node.execute("sync", Some(SYNC)).await {
            tracing::debug!(machine = node.name(), %error, "not synced");
        }
    }
}

fn run_started(plan: &Plan, script: &Script, deadline: Deadline) -> Event {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Event::RunStarted(RunStarted {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        test: super::NAME.to_owned(),
        machines: plan.vms.iter().chain(&plan.containers).map(|vm| vm.name.clone()).collect(),
        script: script.path().display().to_string(),
        timeout_s: deadline.limit().as_secs_f64(),
        started_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        console: ConsoleRules::default(),
    })
}
