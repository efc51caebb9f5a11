//! What the program itself says on its standard output and error. A reader that has gone away (`| head`)
//! is no reason to fail.

use std::io::{self, IsTerminal, Write as _};

use report::Look;

use crate::args::When;

/// Writes `text` and an end of line to standard output.
pub(crate) fn out(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes `text` and an end of line to standard error.
pub(crate) fn err(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

impl When {
    /// What `stream` can show, and is wanted to.
    pub(crate) fn look(self, stream: &impl IsTerminal) -> Look {
        let detected = Look::detect(stream.is_terminal(), |name| std::env::var(name).ok());
        let colours = match self {
            Self::Auto => detected.colours,
            Self::Always => true,
            Self::Never => false,
        };
        Look { colours, ..detected }
    }
}
