//! The life of a test as the driver in Perl had it. What that driver did at the end of a script, the script's client
//! does.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use driver_core::event::{ConsoleRules, Event, FORMAT, Level, Outcome, RunStarted};
use driver_core::{
    Backend, Boot, Deadline, Driver, DriverConfig, DriverError, Image, Journal, MachineConfig, Reporter,
    VlanConfig,
};
use report::{ClassicTerminal, LogHtml, LogXml};
use script::{Language, Script};
use serde_json::json;
use tokio::time::sleep;
use vlan::Switches;

use super::plan::Plan;
use crate::nixos::outcome::Ended;
use crate::result_dir::ResultDir;
use crate::signals::Signals;
use crate::{engines, nixos};

/// How long the script may take to end after it has been told to. It kills its interpreter sooner.
const GRACE: Duration = Duration::from_secs(4);
/// What the script is called.
const SCRIPT: &str = "tests";
/// How long a child of a command may hold the command's output: it was not waited for.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// Runs the test, and returns the exit status.
pub(super) fn run(plan: Plan) -> anyhow::Result<u8> {
    crate::log_if_asked();
    let report_dir = plan.report.as_deref().map(ResultDir::create).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let signals = Signals::listen().context("signals cannot be listened to")?;
        let reporters = reporters(&plan, report_dir.as_ref().map(ResultDir::path))?;
        let journal = match &report_dir {
            Some(dir) => Journal::create(&dir.path().join(report::EVENTS), reporters)?,
            None => Journal::in_memory(reporters),
        };
        Ok(conduct(&plan, journal, signals).await)
    });
    // A thread that hangs in a system call must not keep the program.
    runtime.shutdown_background();
    status
}

fn reporters(plan: &Plan, report: Option<&Path>) -> Result<Vec<Box<dyn Reporter>>, DriverError> {
    let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
    if let Some(path) = &plan.xml {
        reporters.push(Box::new(LogXml::of_2019(path)?));
    }
    if plan.html {
        reporters.push(Box::new(LogHtml::of_2019(&plan.out_dir)));
    }
    if let Some(dir) = report {
        reporters.extend(report::file_views(dir)?);
    }
    reporters.push(Box::new(ClassicTerminal::of_2019()));
    Ok(reporters)
}

/// Everything between the first event and the last.
async fn conduct(plan: &Plan, journal: Journal, mut signals: Signals) -> u8 {
    journal.emit(None, run_started(plan));
    for vlan in &plan.vlans {
        journal.log(Level::Info, None, format!("starting VDE switch for network {vlan}"));
    }
    let ended = match set_up(plan, journal.clone()) {
        Ok(driver) => {
            let began = Instant::now();
            let ended = supervise(&driver, plan, &mut signals).await;
            if ended.outcome == Outcome::Passed {
                let text = format!("test script finished in {:.2}s", began.elapsed().as_secs_f64());
                journal.log(Level::Info, None, text);
            }
            tokio::select! {
                () = driver.shut_down() => {}
                // A second signal: the guard ends what is left.
                _ = signals.next() => {}
            }
            ended
        }
        Err(error) => failed(&journal, error.chain()),
    };
    ended.conclude(&journal)
}

fn failed(journal: &Journal, problem: String) -> Ended {
    journal.log(Level::Error, None, format!("error: {problem}"));
    Ended::failed(Outcome::MachineFailed, problem)
}

/// The code as a script; without any, one that has a person type it.
fn script_of(plan: &Plan) -> Script {
    let at_prompt = plan.tests.is_none();
    let setup = json!({ "generation": "2019", "at_prompt": at_prompt });
    let script = Script::of_text(SCRIPT, plan.tests.clone().unwrap_or_default(), Language::Perl);
    let script = script.with_setup(setup).without_step();
    if at_prompt { script.with_terminal() } else { script }
}

fn set_up(plan: &Plan, journal: Journal) -> Result<Arc<Driver>, DriverError> {
    let qemu: Arc<dyn Backend> = Arc::<backend_qemu::Qemu>::default();
    let machine = |vm: &nixos::plan::Vm| {
        let boot = Boot::StartScript { command: vm.command.clone() };
        MachineConfig {
            // The script knows which of them it plugs its cards into.
            vlans: plan.vlans.clone(),
            options: plan.options.clone(),
            ..MachineConfig::new(vm.name.clone(), Arc::clone(&qemu), Image { boot, memory_mib: None })
        }
    };
    Driver::new(DriverConfig {
        deadline: Deadline::far(),
        machines: plan.vms.iter().map(machine).collect(),
        agent: if plan.agent { agent_binary::AGENT } else { None },
        grace: Some(OUTPUT_GRACE),
        switches: Some(Arc::new(Switches)),
        vlans: plan.vlans.iter().copied().map(VlanConfig::new).collect(),
        state: Some(plan.state.clone()),
        start_scripts: Some((qemu, plan.options.clone())),
        // Fonts that cannot be read are no reason to refuse a test that looks at no screen.
        ocr: ocr::open(ocr::DEFAULT, &engines::settings()).and_then(Result::ok),
        ..DriverConfig::new(&plan.out_dir, journal)
    })
}

/// Runs the test until it is over, or somebody stops it.
async fn supervise(driver: &Arc<Driver>, plan: &Plan, signals: &mut Signals) -> Ended {
    let mut test = pin!(async {
        if let Err(error) = driver.check().await {
            return failed(driver.journal(), error.chain());
        }
        match script::run(driver, &script_of(plan)).await {
            Err(error) => failed(driver.journal(), format!("{:#}", anyhow::Error::from(error))),
            ended => Ended::of_script(ended),
        }
    });
    let signal = tokio::select! {
        ended = &mut test => return ended,
        signal = signals.next() => signal,
    };
    let ended = Ended::by_signal(signal);
    driver.cancel(ended.message.as_deref().unwrap_or_default());
    tokio::select! {
        _ = &mut test => {}
        () = sleep(GRACE) => {}
        _ = signals.next() => {}
    }
    ended
}

fn run_started(plan: &Plan) -> Event {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Event::RunStarted(RunStarted {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        test: nixos::NAME.to_owned(),
        machines: plan.vms.iter().map(|vm| vm.name.clone()).collect(),
        script: SCRIPT.to_owned(),
        timeout_s: Deadline::far().limit().as_secs_f64(),
        started_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        console: ConsoleRules::default(),
    })
}
