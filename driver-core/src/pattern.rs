//! Patterns: regular expressions belong to the language of the script, so that what a test author wrote
//! means what it means there.

use std::fmt;

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
}

/// Patterns in the dialect of the crate `fancy-regex`, for tests in Rust.
#[derive(Debug, Clone, Copy, Default)]
pub struct RustPatterns;

#[async_trait]
impl PatternEngine for RustPatterns {
    async fn is_found(&self, pattern: &str, text: &str) -> Result<bool, DriverError> {
        let wrong = |error: fancy_regex::Error| DriverError::usage(format!("pattern `{pattern}`: {error}"));
        fancy_regex::Regex::new(pattern).map_err(wrong)?.is_match(text).map_err(wrong)
    }
}
