//! Reads TOML tables key by key and keeps account of what was asked for: what nobody asked for is an
//! unknown key, and the keys that were asked for are the ones that it could have been.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{FileError, Problems};
use super::values::{Shape, describe};

type Located<'i> = Spanned<DeValue<'i>>;

/// Reads a whole file with `read`, which gets its top table. What `read` returns counts only if no
/// problem came up.
pub(crate) fn read_file<T>(
    path: &Path,
    source: &str,
    what: &str,
    read: impl FnOnce(&mut Section<'_, '_>) -> Option<T>,
) -> Result<T, FileError> {
    let problems = Problems::default();
    let value = match DeTable::parse(source) {
        Ok(table) => {
            // Where something is missing from the whole file, its first line is the place to show.
            let first_line = 0..source.find('\n').unwrap_or(source.len());
            let mut section = Section::new(what.to_owned(), first_line, table.into_inner(), &problems);
            let value = read(&mut section);
            section.finish();
            value
        }
        Err(error) => {
            problems.add(error.span().unwrap_or(0..0), "this is not valid TOML", error.message());
            None
        }
    };
    problems.conclude(path, source, value)
}

/// A table that is being read.
pub(crate) struct Section<'i, 'p> {
    what: String,
    place: Range<usize>,
    entries: Vec<(Spanned<String>, Located<'i>)>,
    known: Vec<String>,
    problems: &'p Problems,
}

impl<'i, 'p> Section<'i, 'p> {
    fn new(what: String, place: Range<usize>, table: DeTable<'i>, problems: &'p Problems) -> Self {
        let entries = table
            .into_iter()
            .map(|(key, value)| (Spanned::new(key.span(), key.into_inner().into_owned()), value))
            .collect();
        Self { what, place, entries, known: Vec::new(), problems }
    }

    /// What the table describes, in the words of messages: "machine `server`".
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The table's heading in the file.
    pub(crate) fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// Where problems go.
    pub(crate) fn problems(&self) -> &'p Problems {
        self.problems
    }

    /// Whether there is a value that has not been taken out.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name.get_ref() == key)
    }

    /// Takes a value out, whatever it is.
    pub(crate) fn take(&mut self, key: &str) -> Option<Located<'i>> {
        self.known.push(key.to_owned());
        let at = self.entries.iter().position(|(name, _)| name.get_ref() == key)?;
        Some(self.entries.remove(at).1)
    }

    /// A value that may be missing, with its place.
    pub(crate) fn located<T: Shape>(&mut self, key: &str) -> Option<Spanned<T>> {
        let value = self.take(key)?;
        self.read(&format!("`{key}`"), &value).map(|read| Spanned::new(value.span(), read))
    }

    /// A value that may be missing.
    pub(crate) fn optional<T: Shape>(&mut self, key: &str) -> Option<T> {
        self.located(key).map(Spanned::into_inner)
    }

    /// A value that must be there.
    pub(crate) fn required<T: Shape>(&mut self, key: &str) -> Option<Spanned<T>> {
        if !self.has(key) {
            self.problems.add(
                self.place(),
                format!("{} has no `{key}`", self.what),
                format!("`{key}` is missing: {}", T::EXPECTED),
            );
        }
        self.located(key)
    }

    /// A list of values; missing is empty.
    pub(crate) fn list<T: Shape>(&mut self, key: &'static str) -> Vec<T> {
        self.located_list(key).into_iter().map(Spanned::into_inner).collect()
    }

    /// A list of values, each with its place; missing is empty.
    pub(crate) fn located_list<T: Shape>(&mut self, key: &'static str) -> Vec<Spanned<T>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let entry = |item: &Located<'i>| {
            let read = self.read(&format!("an entry of `{key}`"), item)?;
            Some(Spanned::new(item.span(), read))
        };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(entry).collect(),
            other => {
                self.mismatch(&format!("`{key}`"), "a list in brackets", other, value.span());
                Vec::new()
            }
        }
    }

    /// A table whose keys are names of the author's choice, each with a value; missing is empty.
    pub(crate) fn named<T: Shape>(&mut self, key: &str) -> Vec<(Spanned<String>, T)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(entries) = self.entries_of(key, value) else { return Vec::new() };
        entries
            .into_iter()
            .filter_map(|(name, value)| {
                let read = self.read(&format!("`{key}.{}`", name.get_ref()), &value)?;
                Some((name, read))
            })
            .collect()
    }

    /// A table with keys of its own; `None` when it is missing, or no table, which has been said.
    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'i, 'p>> {
        let value = self.take(key)?;
        self.section_of(format!("`[{key}]`"), value.span(), value)
    }

    /// A table of tables with names of the author's choice, such as `[machines.NAME]`; missing is empty.
    pub(crate) fn sections(
        &mut self,
        key: &str,
        what: impl Fn(&str) -> String,
    ) -> Vec<(Spanned<String>, Section<'i, 'p>)> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(entries) = self.entries_of(key, value) else { return Vec::new() };
        entries
            .into_iter()
            .filter_map(|(name, value)| {
                let section = self.section_of(what(name.get_ref()), name.span(), value)?;
                Some((name, section))
            })
            .collect()
    }

    /// A list of tables, such as `[[disks]]`; missing is empty.
    pub(crate) fn tables(&mut self, key: &str, what: &str) -> Vec<Section<'i, 'p>> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(items) => items
                .into_iter()
                .filter_map(|item| {
                    let span = item.span();
                    self.section_of(format!("{what} of {}", self.what), span, item)
                })
                .collect(),
            other => {
                self.mismatch(&format!("`{key}`"), &format!("a list of tables, `[[{key}]]`"), &other, span);
                Vec::new()
            }
        }
    }

    /// A table whose values somebody else reads: only its keys are looked at here. `None` when it is missing
    /// or something is wrong with it, which has been said.
    pub(crate) fn foreign(&mut self, key: &str, known: &[&str]) -> Option<Located<'i>> {
        let value = self.take(key)?;
        let mut section = self.section_of(format!("`{key}`"), value.span(), value.clone())?;
        section.what = format!("`{key}` of {}", self.what);
        section.known.extend(known.iter().map(|&key| key.to_owned()));
        section.entries.retain(|(name, _)| !known.contains(&name.get_ref().as_str()));
        let all_known = section.entries.is_empty();
        section.finish();
        all_known.then_some(value)
    }

    /// A table of which nothing is looked at here; missing, or no table, is `None`.
    pub(crate) fn unread(&mut self, key: &str) -> Option<Located<'i>> {
        let value = self.take(key)?;
        self.section_of(format!("`{key}` of {}", self.what), value.span(), value.clone())?;
        Some(value)
    }

    /// Complains about all that nobody has asked for.
    pub(crate) fn finish(self) {
        for (key, _) in &self.entries {
            let nearest = self
                .known
                .iter()
                .map(|known| (strsim::damerau_levenshtein(key.get_ref(), known), known))
                .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
                .min();
            let label = match nearest {
                Some((_, known)) => format!("did you mean `{known}`?"),
                None => "not known here".to_owned(),
            };
            let known = self.known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
            self.problems.add_with_help(
                key.span(),
                format!("unknown key `{}` in {}", key.get_ref(), self.what),
                label,
                Some(format!("known keys: {known}")),
            );
        }
    }

    fn entries_of(&self, key: &str, value: Located<'i>) -> Option<Vec<(Spanned<String>, Located<'i>)>> {
        self.section_of(format!("`{key}`"), value.span(), value).map(|section| section.entries)
    }

    fn section_of(&self, what: String, place: Range<usize>, value: Located<'i>) -> Option<Section<'i, 'p>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(Section::new(what, place, table, self.problems)),
            other => {
                self.mismatch(&what, "a table", &other, span);
                None
            }
        }
    }

    fn read<T: Shape>(&self, what: &str, value: &Located<'i>) -> Option<T> {
        let read = T::read(value.get_ref());
        if read.is_none() {
            self.mismatch(what, T::EXPECTED, value.get_ref(), value.span());
        }
        read
    }

    fn mismatch(&self, what: &str, expected: &str, found: &DeValue<'_>, span: Range<usize>) {
        self.problems.add(
            span,
            format!("{what} in {} cannot be {}", self.what, describe(found)),
            format!("expected {expected}"),
        );
    }
}
