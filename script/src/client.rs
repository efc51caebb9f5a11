//! The languages that scripts are written in, and the client package of each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::outcome::ScriptError;
use crate::prompt::Prompt;

/// A test script.
#[derive(Debug, Clone)]
pub struct Script {
    path: PathBuf,
    /// What is in the file, if there is none yet.
    text: Option<String>,
    language: Language,
    setup: serde_json::Value,
    prompt: Option<Prompt>,
    has_terminal: bool,
    heading: Option<&'static str>,
}

/// What the step that a script runs in is called.
const HEADING: &str = "run the VM test script";
/// The same, with somebody at a prompt instead.
const AT_A_PROMPT: &str = "interactive session";

impl Script {
    /// A script in `language`; without one, the suffix of the file decides.
    ///
    /// # Errors
    /// [`ScriptError::Language`] when the suffix says nothing, [`ScriptError::Unreadable`] when there is no
    /// such file.
    pub fn new(path: impl Into<PathBuf>, language: Option<Language>) -> Result<Self, ScriptError> {
        let path = path.into();
        let Some(language) = language.or_else(|| Language::of(&path)) else {
            return Err(ScriptError::Language { path });
        };
        match fs::File::open(&path) {
            Ok(_) => Ok(Self::plain(path, None, language)),
            Err(source) => Err(ScriptError::Unreadable { path, source }),
        }
    }

    /// A script that is in no file, called `name`.
    #[must_use]
    pub fn of_text(name: &str, text: String, language: Language) -> Self {
        Self::plain(name.into(), Some(text), language)
    }

    fn plain(path: PathBuf, text: Option<String>, language: Language) -> Self {
        let setup = serde_json::Value::Null;
        Self { path, text, language, setup, prompt: None, has_terminal: false, heading: Some(HEADING) }
    }

    /// The file for the interpreter to read, made in `directory` if there is none.
    pub(crate) fn file_in(&self, directory: &Path) -> io::Result<PathBuf> {
        let Some(text) = &self.text else { return Ok(self.path.clone()) };
        let file = directory.join(&self.path);
        fs::write(&file, text)?;
        Ok(file)
    }

    /// With more for the client to know: under the name of the NixOS driver, what that driver's scripts see of its
    /// configuration.
    #[must_use]
    pub fn with_setup(self, setup: serde_json::Value) -> Self {
        Self { setup, ..self }
    }

    /// Not to be run, but offered at a prompt on standard input.
    ///
    /// # Errors
    /// [`ScriptError::NoPrompt`] for a language whose client has none.
    pub fn with_prompt(self, prompt: Prompt) -> Result<Self, ScriptError> {
        if self.language != Language::Python {
            return Err(ScriptError::NoPrompt { path: self.path });
        }
        let script = self.with_terminal();
        Ok(Self { prompt: Some(prompt), heading: Some(AT_A_PROMPT), ..script })
    }

    /// With standard input, output and error for the client itself: one that asks a person, and leaves the log to
    /// whoever shows it.
    #[must_use]
    pub fn with_terminal(self) -> Self {
        Self { has_terminal: true, ..self }
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    pub(crate) fn prompt(&self) -> Option<&Prompt> {
        self.prompt.as_ref()
    }

    /// Without a step around it: its client takes the steps itself.
    #[must_use]
    pub fn without_step(self) -> Self {
        Self { heading: None, ..self }
    }

    pub(crate) fn heading(&self) -> Option<&'static str> {
        self.heading
    }

    pub(crate) fn setup(&self) -> &serde_json::Value {
        &self.setup
    }

    /// The file, as it was given; tracebacks show it like that.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The language that it is written in.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }
}

/// A language that scripts are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python 3.9 or later.
    Python,
    /// Perl, as tests were written until 2019.
    Perl,
}

impl Language {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "py" => Some(Self::Python),
            "pl" => Some(Self::Perl),
            _ => None,
        }
    }

    /// The interpreter, found in `PATH`.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::Perl => "perl",
        }
    }

    pub(crate) fn way_out(self) -> &'static str {
        match self {
            Self::Python => "install Python 3.9 or later: `apt install python3`",
            Self::Perl => "install Perl with its core modules: `apt install perl`",
        }
    }

    /// What the interpreter is told to run, in the directory of the client package.
    pub(crate) fn entry(self) -> &'static str {
        match self {
            Self::Python => ".",
            Self::Perl => "run.pl",
        }
    }

    /// The files of the client package.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        macro_rules! files {
            ($folder:literal: $($name:literal),* $(,)?) => {
                &[$(($name, include_str!(concat!("../", $folder, "/", $name)))),*]
            };
        }
        match self {
            Self::Python => files!("python":
                "__main__.py",
                "innkeeper/__init__.py",
                "innkeeper/caution.py",
                "innkeeper/connection.py",
                "innkeeper/debug.py",
                "innkeeper/driver.py",
                "innkeeper/durations.py",
                "innkeeper/efi.py",
                "innkeeper/errors.py",
                "innkeeper/failure.py",
                "innkeeper/interact.py",
                "innkeeper/legacy.py",
                "innkeeper/log.py",
                "innkeeper/machine.py",
                "innkeeper/needs.py",
                "innkeeper/objects.py",
                "innkeeper/parts.py",
                "innkeeper/polling.py",
                "innkeeper/prompt.py",
                "innkeeper/qmp.py",
                "innkeeper/retrying.py",
                "innkeeper/runner.py",
                "innkeeper/screen.py",
                "innkeeper/symbols.py",
                "innkeeper/verbs.py",
                "innkeeper/vlan.py",
                "test_driver/__init__.py",
                "test_driver/debug.py",
                "test_driver/driver.py",
                "test_driver/efi.py",
                "test_driver/errors.py",
                "test_driver/logger.py",
                "test_driver/machine/__init__.py",
                "test_driver/machine/qmp.py",
                "test_driver/polling_condition.py",
                "test_driver/vlan.py",
            ),
            Self::Perl => files!("perl":
                "run.pl",
                "Machine.pm",
                "Innkeeper/Connection.pm",
                "Innkeeper/Error.pm",
                "Innkeeper/Command.pm",
                "Innkeeper/Create.pm",
                "Innkeeper/Fields.pm",
                "Innkeeper/Log.pm",
                "Innkeeper/Needs.pm",
                "Innkeeper/Prompt.pm",
                "Innkeeper/Script.pm",
                "Innkeeper/Verbs.pm",
                "Innkeeper/Vlan.pm",
            ),
        }
    }

    /// Writes the client package into `directory`.
    pub(crate) fn install(self, directory: &Path) -> io::Result<()> {
        for (name, text) in self.files() {
            let file = directory.join(name);
            fs::create_dir_all(file.parent().unwrap_or(directory))?;
            fs::write(file, text)?;
        }
        Ok(())
    }
}
