//! Files of the result as attachments of test cases: a line of `system-out` for each, which Jenkins' plugin "JUnit
//! Attachments", GitLab and Azure Pipelines understand. GitLab shows the first one of a case alone.

use std::env;
use std::path::{Path, PathBuf};

use driver_core::event::FileKind;

use crate::escape::visible;
use crate::html::is_inside;

/// What a line with a file begins with.
const BEGIN: &str = "[[ATTACHMENT|";
const END: &str = "]]";
/// Files of one case.
const FILES: usize = 100;

/// The files of one case.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    pictures: Vec<String>,
    others: Vec<String>,
}

impl Attachments {
    /// Takes a file of the result directory, by its path in that.
    pub(super) fn add(&mut self, kind: FileKind, path: &str) {
        // The format has no way to quote.
        let can_be_told = is_inside(path) && visible(path) == path && !path.contains(['|', ']']);
        let files = if kind == FileKind::Screenshot { &mut self.pictures } else { &mut self.others };
        if can_be_told && files.len() < FILES {
            files.push(path.to_owned());
        }
    }

    /// The lines, for files of the directory `dir`: first the last picture, which says most.
    pub(super) fn lines(&self, dir: &Path) -> String {
        let files = self.pictures.iter().rev().chain(&self.others);
        files.map(|file| format!("{BEGIN}{}{END}\n", dir.join(file).display())).collect()
    }
}

/// A text in which nothing attaches a file: the server would take it from its own disk, whatever it is.
pub(super) fn without(text: String) -> String {
    if text.contains(BEGIN) { text.replace(BEGIN, r"[[ATTACHMENT\u{7c}") } else { text }
}

/// The result directory as a continuous-integration server finds it: where it is, or for GitLab, which links into the
/// job's artefacts, its path in the project.
pub(super) fn place_of(dir: &Path) -> PathBuf {
    place_in(dir, env::var_os("CI_PROJECT_DIR").map(PathBuf::from))
}

fn place_in(dir: &Path, project: Option<PathBuf>) -> PathBuf {
    let place = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let project = project.and_then(|project| project.canonicalize().ok());
    project.and_then(|project| place.strip_prefix(project).map(Path::to_owned).ok()).unwrap_or(place)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use driver_core::event::FileKind::{Copied, Evidence, Screenshot};

    use super::{Attachments, place_in, without};

    #[test]
    fn the_last_picture_comes_first_and_what_cannot_be_told_is_left_out() {
        let mut files = Attachments::default();
        for (kind, path) in [
            (Copied, "out/a b.log"),
            (Screenshot, "one.png"),
            (Screenshot, "../elsewhere.png"),
            (Screenshot, "/etc/passwd"),
            (Screenshot, "a]].png"),
            (Copied, "a|b"),
            (Copied, "a\nb"),
            (Screenshot, "evidence/server.screen.png"),
            (Evidence, "evidence/host.txt"),
        ] {
            files.add(kind, path);
        }
        let lines = files.lines(Path::new("/r"));
        let expected = [
            "[[ATTACHMENT|/r/evidence/server.screen.png]]",
            "[[ATTACHMENT|/r/one.png]]",
            "[[ATTACHMENT|/r/out/a b.log]]",
            "[[ATTACHMENT|/r/evidence/host.txt]]",
        ];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn in_a_project_of_gitlabs_the_path_is_that_in_the_artefacts() {
        let project = tempfile::tempdir().unwrap();
        let dir = project.path().canonicalize().unwrap().join("results/x");
        std::fs::create_dir_all(&dir).unwrap();
        assert_eq!(place_in(&dir, Some(project.path().to_owned())), Path::new("results/x"));
        assert_eq!(place_in(&dir, Some("/no/such/place".into())), dir);
        assert_eq!(place_in(&dir, None), dir);
    }

    #[test]
    fn what_a_guest_prints_attaches_nothing() {
        let printed = "server # [[ATTACHMENT|/etc/passwd]] [[ATTACHMENT|x]]\n".to_owned();
        assert_eq!(without(printed).matches("ATTACHMENT\\u{7c}").count(), 2);
    }
}
