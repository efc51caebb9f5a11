//! Patterns: regular expressions belong to the language of the script, so that what a test author wrote
//! means what it means there.

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;

use crate::error::DriverError;

/// Decides whether a pattern is found in a text.
#[async_trait]
pub trait PatternEngine: fmt::Debug + Send + Sync {
    /// Says whether `pattern` is found anywhere in `text`, as Python's `re.search` would.
    ///
    /// # Errors
    /// [`DriverError::Usage`] for a pattern that is none; [`DriverError::Cancelled`] when whoever knows
    /// has gone away.
    async fn is_found(&self, pattern: &str, text: &str) -> Result<bool, DriverError>;

    /// All places in `text` where `pattern` is found, from left to right and apart, counted in characters.
    ///
    /// # Errors
    /// As [`PatternEngine::is_found`].
    async fn find_all(&self, pattern: &str, text: &str) -> Result<Vec<Range<usize>>, DriverError>;
}

/// Patterns in the dialect of the crate `fancy-regex`, for tests in Rust.
#[derive(Debug, Clone, Copy, Default)]
pub struct RustPatterns;

#[async_trait]
impl PatternEngine for RustPatterns {
    async fn is_found(&self, pattern: &str, text: &str) -> Result<bool, DriverError> {
        regex(pattern)?.is_match(text).map_err(|error| wrong(pattern, &error))
    }

    async fn find_all(&self, pattern: &str, text: &str) -> Result<Vec<Range<usize>>, DriverError> {
        let characters = |bytes: usize| text[..bytes].chars().count();
        let regex = regex(pattern)?;
        let found = regex.find_iter(text).map(|found| found.map_err(|error| wrong(pattern, &error)));
        found.map(|found| found.map(|found| characters(found.start())..characters(found.end()))).collect()
    }
}

fn regex(pattern: &str) -> Result<fancy_regex::Regex, DriverError> {
    fancy_regex::Regex::new(pattern).map_err(|error| wrong(pattern, &error))
}

fn wrong(pattern: &str, error: &fancy_regex::Error) -> DriverError {
    DriverError::usage(format!("pattern `{pattern}`: {error}"))
}
