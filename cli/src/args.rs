//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use driver_core::EvidencePolicy;

use crate::manifest::parse_duration;
use crate::needle::NeedleArgs;

/// Boots virtual machines, runs a test script against them, and leaves a result directory behind.
#[derive(Debug, Parser)]
#[command(
    name = "innkeeper",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Start with `innkeeper doctor`: it says what this host can do, and how to get what is missing."
)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to use colours: `auto` means on a terminal that can show them, unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a test.
    Run(RunArgs),
    /// Put this terminal at a guest's shell or console: what a run that is paused tells.
    Attach(AttachArgs),
    /// Say what this host can do, and how to get what is missing.
    Doctor(DoctorArgs),
    /// Make the reports of a result directory again from its events.jsonl; compare two; merge many.
    Report(ReportArgs),
    /// Read the text in a picture, as tests read screens; learn the fonts of consoles.
    Ocr(OcrArgs),
    /// Cut a needle from a screenshot: what a script then waits for with assert_screen.
    Needle(NeedleArgs),
    /// List the plugins that were found, and what they offer.
    Plugins(PluginsArgs),
    /// Be the NixOS test driver: its command line, log, files and exit statuses. So is this program when it is called
    /// by that name.
    #[command(disable_help_flag = true)]
    NixosTestDriver {
        /// The words of that program's command line; `--help` tells them.
        #[arg(value_name = "WORDS", trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

/// `innkeeper run`.
#[derive(Debug, clap::Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// The manifest: a TOML file that names the script and the machines.
    #[arg(value_name = "TEST.toml")]
    pub(crate) manifest: PathBuf,

    /// Where the result goes [default: innkeeper-results/NAME]. A result that is there already is kept in
    /// DIR/attempts.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Copy the result to this directory, too, if the test does not pass: for builders such as Nix, which throw the
    /// output of a failed build away.
    #[arg(long, value_name = "DIR")]
    pub(crate) result_on_failure: Option<PathBuf>,

    /// What to gather after a failure, instead of what the manifest says: none; failure, which is screens, journals
    /// and the like; full, which is that and images of the guests' memory [default: failure].
    #[arg(long, value_name = "WHAT", value_parser = evidence)]
    pub(crate) evidence: Option<EvidencePolicy>,

    /// Keep what screens show, at most once a second, and make a video of each.
    #[arg(long)]
    pub(crate) video: bool,

    /// Open a Python prompt with the test's machines instead of running its script. There is no time limit then unless
    /// --timeout says one.
    #[arg(short = 'I', long)]
    pub(crate) interactive: bool,

    /// When the test fails, leave its machines up, say how to reach each, and go on when Enter is pressed.
    #[arg(long, conflicts_with_all = ["interactive", "quiet"])]
    pub(crate) pause_on_failure: bool,

    /// Offer the screens of QEMU machines to VNC viewers, on sockets that nobody else can open.
    #[arg(long)]
    pub(crate) vnc: bool,

    /// Run this script on the manifest's machines instead of the manifest's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,

    /// How long the run may take, instead of what the manifest says: 90s, 10m, 1h, or seconds.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Run commands through the guests' plain shell, without innkeeper's agent.
    #[arg(long)]
    pub(crate) no_agent: bool,

    /// Record all that passes on any VLAN, in files vlanN.pcapng of the result.
    #[arg(long)]
    pub(crate) capture: bool,

    /// Where the randomness of networks starts (losses, jitter): that of an earlier run loses the same again. The
    /// log tells it.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// How long a child of a command may hold the command's standard output after the command itself has
    /// ended; then the call returns, with a warning that names the child. 0 waits for ever, as NixOS's driver
    /// does.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub(crate) output_grace: Duration,

    /// Load this plugin: a shared library that adds a hypervisor, an OCR engine or a reporter. Can be given
    /// several times.
    #[arg(long = "plugin", value_name = "LIB")]
    pub(crate) plugins: Vec<PathBuf>,

    /// Run machines on this backend, except those for which the manifest names one: qemu, cloud-hypervisor, nspawn,
    /// or a plugin's.
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,

    /// Read text on screens with this OCR engine, instead of the one that the manifest names: auto, console,
    /// screen, tesseract (with languages: tesseract:deu+eng), or a plugin's.
    #[arg(long, value_name = "NAME")]
    pub(crate) ocr: Option<String>,

    /// Show only what went wrong.
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Show more: what the driver does, too.
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub(crate) verbose: bool,
}

/// `innkeeper ocr`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = OCR_EXAMPLES)]
pub(crate) struct OcrArgs {
    /// What else can be done.
    #[command(subcommand)]
    pub(crate) command: Option<OcrCommand>,

    /// The picture, a PNG.
    #[arg(value_name = "IMAGE.png", required = true)]
    pub(crate) image: Option<PathBuf>,

    /// The engine that reads it: auto, console, screen, tesseract (with languages: tesseract:deu+eng), or a plugin's.
    #[arg(long, value_name = "NAME", default_value = ocr::DEFAULT)]
    pub(crate) engine: String,

    /// Load this plugin, too. Can be given several times.
    #[arg(long = "plugin", value_name = "LIB")]
    pub(crate) plugins: Vec<PathBuf>,

    /// Print one JSON object: the lines with their words, where each stands, and how sure the engine is.
    #[arg(long)]
    pub(crate) json: bool,

    /// Write the picture with a box around each word to this file.
    #[arg(long, value_name = "OUT.png")]
    pub(crate) boxes: Option<PathBuf>,

    /// How long the engine may take.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2m")]
    pub(crate) timeout: Duration,
}

/// The subcommands of `innkeeper ocr`.
#[derive(Debug, Subcommand)]
pub(crate) enum OcrCommand {
    /// Learn the font of a guest's console, or fonts in files, and write them to a glyph pack.
    Learn(LearnArgs),
}

/// `innkeeper ocr learn`.
#[derive(Debug, clap::Args)]
#[command(after_help = LEARN_EXAMPLES)]
pub(crate) struct LearnArgs {
    /// A manifest, whose machine is booted and made to show all characters that it has; or PSF files.
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<PathBuf>,

    /// The pack.
    #[arg(short, long, value_name = "FILE.glyphs")]
    pub(crate) output: PathBuf,

    /// What the font is called [default: the pack's name].
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// The machine of the manifest that is asked [default: its first].
    #[arg(long, value_name = "NAME")]
    pub(crate) machine: Option<String>,

    /// A command for the guest's shell before that, to load a font or a driver. Can be given several times.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) before: Vec<String>,
}

/// `innkeeper attach`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Ctrl-] leaves; a shell that was left ends with all that runs in it.")]
pub(crate) struct AttachArgs {
    /// The socket, as the run has told it.
    #[arg(value_name = "SOCKET")]
    pub(crate) socket: PathBuf,
}

/// `innkeeper doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 when tests can run here, 3 when something that they need is missing.")]
pub(crate) struct DoctorArgs {
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `innkeeper plugins`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 when all can be used, 2 when one cannot."
)]
pub(crate) struct PluginsArgs {
    /// Load this plugin, too. Can be given several times.
    #[arg(long = "plugin", value_name = "LIB")]
    pub(crate) plugins: Vec<PathBuf>,

    /// What to do instead.
    #[command(subcommand)]
    pub(crate) command: Option<PluginsCommand>,
}

/// What else can be done with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginsCommand {
    /// Check one plugin: whether it can be loaded, and whether its backend keeps the rules that all keep.
    Check(CheckArgs),
}

/// `innkeeper plugins check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 when all rules are kept, 1 when one is broken, 2 when it cannot be loaded."
)]
pub(crate) struct CheckArgs {
    /// The plugin.
    #[arg(value_name = "LIB")]
    pub(crate) plugin: PathBuf,

    /// What its machines boot: the name of an image that `cargo xtask guests` has built [default: nothing].
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,

    /// Its settings, in JSON.
    #[arg(long, value_name = "JSON")]
    pub(crate) settings: Option<String>,

    /// How long a machine may take to boot.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub(crate) boot: Duration,
}

/// `innkeeper report`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = REPORT_EXAMPLES)]
pub(crate) struct ReportArgs {
    /// Another thing to do with results.
    #[command(subcommand)]
    pub(crate) command: Option<ReportCommand>,

    /// A result directory, or what is left of one after a crash. Of two, the second is compared with the first.
    #[arg(value_name = "DIR", required = true, num_args = 1..=2)]
    pub(crate) dirs: Vec<PathBuf>,

    /// Open the page in a browser.
    #[arg(long)]
    pub(crate) open: bool,
}

/// The subcommands of `innkeeper report`.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Make one page for the results of many tests.
    Merge(MergeArgs),
}

/// `innkeeper report merge`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: the highest of the runs' own.")]
pub(crate) struct MergeArgs {
    /// Result directories.
    #[arg(value_name = "DIR", required = true)]
    pub(crate) dirs: Vec<PathBuf>,

    /// The page; it links to the pages of the runs.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub(crate) output: PathBuf,

    /// Open the page in a browser.
    #[arg(long)]
    pub(crate) open: bool,
}

impl RunArgs {
    /// Those of a run that says only what went wrong.
    pub(crate) fn quietly(manifest: PathBuf, script: PathBuf, output: PathBuf) -> Self {
        Self {
            manifest,
            output: Some(output),
            result_on_failure: None,
            evidence: None,
            video: false,
            interactive: false,
            pause_on_failure: false,
            vnc: false,
            script: Some(script),
            timeout: None,
            no_agent: false,
            capture: false,
            seed: None,
            output_grace: Duration::from_secs(10),
            plugins: Vec::new(),
            backend: None,
            ocr: None,
            quiet: true,
            verbose: false,
        }
    }
}

/// When to do something that a terminal can show.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

const RUN_EXAMPLES: &str = "\
Examples:
  innkeeper run guestbook.toml
      Run the test; the result goes to innkeeper-results/guestbook.
  innkeeper run guestbook.toml -o /tmp/result --timeout 5m
      Put the result elsewhere, and give up after five minutes.
  innkeeper run guestbook.toml --script guestbook.pl
      Run another script on the same machines.
  innkeeper run guestbook.toml -I
      Type what a script would say, and see what comes of it.

A manifest:
  name = \"guestbook\"
  script = \"guestbook.py\"          # .py is Python, .pl is Perl
  timeout = \"10m\"

  [machines.server]
  image = \"guestbook\"              # built by `cargo xtask guests guestbook`
  memory = \"1G\"

Exit status:
  0 the test passed             1 the test failed            2 wrong usage or manifest
  3 the machines could not run  5 the host could not run it  70 a bug of innkeeper's
  128+N ended by signal N";

const OCR_EXAMPLES: &str = "\
Examples:
  innkeeper ocr innkeeper-results/guestbook/login.png
      Print the text in a picture, in the order in which a person reads it.
  innkeeper ocr screen.png --engine console --json --boxes words.png
      Read a console exactly, and show where the words are.
  innkeeper ocr learn guest.toml -o mine.glyphs
      Learn the font of a guest's console.

The directories in INNKEEPER_FONTS, with colons between them, are searched for fonts of consoles: PSF files and glyph
packs (FILE.glyphs).";

const LEARN_EXAMPLES: &str = "\
Examples:
  innkeeper ocr learn guest.toml -o ~/fonts/guest.glyphs --before 'setfont Lat2-Terminus16'
      Boot the guest, load a font there, and learn how it looks.
  innkeeper ocr learn /usr/share/consolefonts/Lat15-*.psf.gz -o ~/fonts/lat15.glyphs
      Make a pack of font files.
  INNKEEPER_FONTS=~/fonts innkeeper run test.toml
      Use the packs in a directory.";

const REPORT_EXAMPLES: &str = "\
Examples:
  innkeeper report results --open
      Make the reports of a result directory again, and look at its page.
  innkeeper report yesterday today
      Say what differs: outcomes, times, and lines on the consoles.
  innkeeper report merge innkeeper-results/* -o index.html
      Make one page for many tests.

Exit status: the run's own; 3 for a run that was cut off before its end. Of two: 0 when they ended in the same way,
1 when they did not. (A directory of the name `merge` is written `./merge`.)";

fn evidence(text: &str) -> Result<EvidencePolicy, String> {
    let known = EvidencePolicy::NAMES.iter().find(|(name, _)| *name == text);
    known.map(|(_, policy)| *policy).ok_or_else(|| "expected none, failure or full".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a time such as 90s, 10m, 1h or 600 (seconds)".to_owned())
}
