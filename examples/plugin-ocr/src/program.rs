//! The program: its command, its picture, its words.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plugin_sdk::Value;
use plugin_sdk::driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading, TextLine, Word};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};

/// What stands for the picture's path in a command.
const PICTURE: &str = "{}";
/// Where the program finds the picture: its standard input is a file without a name, of which nothing is left when
/// innkeeper is killed.
const PLACE: &str = "/dev/stdin";
/// Bytes that anybody reads of what a program prints.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// An engine that asks a program.
#[derive(Debug)]
pub(crate) struct Program {
    command: Vec<String>,
}

impl Program {
    /// Reads the command from the plugin's settings.
    pub(crate) fn open(settings: Value) -> Result<Self, String> {
        let default = ["tesseract", PICTURE, "-"].map(str::to_owned).to_vec();
        let command = match &settings["command"] {
            Value::Null => default,
            Value::Array(words) => words
                .iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .ok_or("`command` is a list of texts")?,
            _ => {
                return Err("`command` is a list of texts, such as [\"tesseract\", \"{}\", \"-\"]".to_owned());
            }
        };
        match command.as_slice() {
            [] => Err("`command` names no program".to_owned()),
            words if !words.iter().any(|word| word.contains(PICTURE)) => {
                Err(format!("`command` does not say where the picture's path goes: put {PICTURE} there"))
            }
            _ => Ok(Self { command }),
        }
    }

    fn failed(&self, problem: String, way_out: &str) -> OcrError {
        OcrError { engine: self.name().to_owned(), problem, way_out: way_out.to_owned() }
    }

    fn ask(&self, picture: File, within: Deadline) -> Result<String, OcrError> {
        let mut words = self.command.iter().map(|word| word.replace(PICTURE, PLACE));
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(&program);
        command.args(words).stdin(picture).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        die_with_us(&mut command);
        let child = command.spawn().map_err(|error| {
            self.failed(
                format!("`{program}` cannot be started: {error}"),
                "install it, or name another `command`",
            )
        })?;
        let said =
            collect(child, within).map_err(|error| self.failed(format!("`{program}`: {error}"), ""))?;
        match said {
            None => {
                let problem = format!("`{program}` takes longer than {:?}", within.limit());
                Err(self.failed(problem, "name a quicker `command`"))
            }
            Some((true, output, _)) => Ok(output),
            Some((false, _, words)) => Err(self.failed(format!("`{program}` failed: {}", words.trim()), "")),
        }
    }
}

impl OcrEngine for Program {
    fn name(&self) -> &'static str {
        "program"
    }

    fn read(&self, frame: &Frame, within: Deadline) -> Result<Reading, OcrError> {
        let picture = tempfile::tempfile().and_then(|file| write(frame, &file).map(|()| file));
        let picture =
            picture.map_err(|error| self.failed(format!("the picture cannot be written: {error}"), ""))?;
        let text = self.ask(picture, within)?;
        let line = |text: &str| TextLine { words: text.split_whitespace().map(word).collect() };
        let lines = text.lines().filter(|text| !text.trim().is_empty()).map(line).collect();
        Ok(Reading { engine: self.name().to_owned(), lines })
    }
}

fn word(text: &str) -> Word {
    Word { text: text.to_owned(), rect: None, confidence: None }
}

/// Writes a picture in the simplest format that every such program reads, and goes back to its beginning.
fn write(frame: &Frame, file: &File) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    write!(file, "P6\n{} {}\n255\n", frame.width(), frame.height())?;
    file.write_all(frame.rgb())?;
    file.rewind()
}

/// Has the kernel kill the program when innkeeper ends. More exactly, when the thread that starts it does: that one
/// waits for the program in [`collect`].
#[expect(unsafe_code, reason = "what runs between fork and exec has no safe interface")]
fn die_with_us(command: &mut Command) {
    let bind = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from);
    // SAFETY: it makes one system call, and neither allocates nor takes a lock.
    unsafe { command.pre_exec(bind) };
}

/// Whether the program succeeded, and what it printed; `None` when it took too long. Its group ends with it.
fn collect(mut child: Child, within: Deadline) -> io::Result<Option<(bool, String, String)>> {
    let group = Pid::from_child(&child);
    let (output, errors) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
    let mut status = None;
    while status.is_none() && !within.is_over() {
        status = child.try_wait()?;
        if status.is_none() {
            std::thread::sleep(Duration::from_millis(5).min(within.remaining()));
        }
    }
    // Who it has left running would hold its output open.
    let _ = kill_process_group(group, Signal::KILL);
    child.wait()?;
    let said = (output.join().unwrap_or_default(), errors.join().unwrap_or_default());
    Ok(status.map(|status| (status.success(), said.0, said.1)))
}

fn read_all(stream: Option<impl io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is what there is.
        let _ = stream.map(|stream| stream.take(OUTPUT_LIMIT).read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
