//! What is wrong with a file that a person wrote, shown as a compiler would: place, excerpt, way out.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// One thing that is wrong.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Where, in bytes from the start of the file.
    pub(crate) span: Range<usize>,
    /// What, in one line.
    pub(crate) title: String,
    /// What to write under the excerpt.
    pub(crate) label: String,
    /// More that helps, in a line of its own.
    pub(crate) help: Option<String>,
}

/// Collects problems, so that a person sees all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(crate) fn add(&self, span: Range<usize>, title: impl Into<String>, label: impl Into<String>) {
        self.add_with_help(span, title, label, None);
    }

    pub(crate) fn add_with_help(
        &self,
        span: Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.0.borrow_mut().push(Problem { span, title: title.into(), label: label.into(), help });
    }

    /// The outcome of reading a file: what was read if nothing was wrong with it.
    pub(crate) fn conclude<T>(self, path: &Path, source: &str, read: Option<T>) -> Result<T, FileError> {
        let mut problems = self.0.into_inner();
        match read {
            Some(value) if problems.is_empty() => Ok(value),
            _ => {
                problems.sort_by_key(|problem| problem.span.start);
                Err(FileError { path: path.to_owned(), source: source.to_owned(), problems })
            }
        }
    }
}

/// A file that cannot be used, with everything that is wrong with it.
#[derive(Debug)]
pub(crate) struct FileError {
    path: PathBuf,
    source: String,
    problems: Vec<Problem>,
}

impl FileError {
    /// The text for a person, with or without colours.
    pub(crate) fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let path = self.path.display().to_string();
        let render = |problem| renderer.render(&[self.group(problem, &path)]);
        self.problems.iter().map(render).collect::<Vec<_>>().join("\n\n")
    }

    fn group<'a>(&'a self, problem: &'a Problem, path: &'a str) -> Group<'a> {
        let annotation = AnnotationKind::Primary.span(problem.span.clone()).label(problem.label.as_str());
        let snippet = Snippet::source(self.source.as_str()).path(path).annotation(annotation);
        let group = Level::ERROR.primary_title(problem.title.as_str()).element(snippet);
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for FileError {}
