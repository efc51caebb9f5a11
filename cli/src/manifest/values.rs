//! The kinds of values that a manifest holds, and how a person writes them.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use driver_core::{DiskFormat, EvidencePolicy, Facet, image};
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

/// A kind of value that can be read from TOML.
pub(crate) trait Shape: Sized {
    /// What a person is told to write: "a path in quotes".
    const EXPECTED: &'static str;

    /// Reads it; `None` when the value is none of this kind.
    fn read(value: &DeValue<'_>) -> Option<Self>;
}

impl Shape for String {
    const EXPECTED: &'static str = "a text in quotes";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Shape for PathBuf {
    const EXPECTED: &'static str = "a path in quotes";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().filter(|path| !path.is_empty()).map(Self::from)
    }
}

impl Shape for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl Shape for u32 {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        whole_number(value.as_integer()?)?.try_into().ok()
    }
}

impl Shape for u64 {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        whole_number(value.as_integer()?)?.try_into().ok()
    }
}

impl Shape for NonZeroU32 {
    const EXPECTED: &'static str = "a whole number of at least 1";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        Self::new(u32::read(value)?)
    }
}

impl Shape for Duration {
    const EXPECTED: &'static str = "a time such as \"90s\", \"10m\", \"1h 30m\" or 600 (seconds)";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::String(text) => parse_duration(text),
            DeValue::Integer(number) => parse_duration(&whole_number(number)?.to_string()),
            DeValue::Float(number) => parse_duration(number.as_str()),
            _ => None,
        }
    }
}

impl Shape for EvidencePolicy {
    const EXPECTED: &'static str = "\"none\", \"failure\" or \"full\"";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let word = value.as_str()?;
        Self::NAMES.iter().find(|(name, _)| *name == word).map(|(_, policy)| *policy)
    }
}

/// Reads a time as manifests and flags write it: a number of seconds, or numbers with units. Zero is no
/// time that anything could happen in.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let duration = match text.trim().parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => humantime::parse_duration(text).ok()?,
    };
    (!duration.is_zero()).then_some(duration)
}

/// An amount of memory in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mebibytes(pub(crate) u64);

impl Shape for Facet {
    const EXPECTED: &'static str =
        "`screen`, `keyboard`, `monitor`, `power`, `network`, `snapshots` or `nics`, in quotes";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let word = value.as_str()?;
        Self::ALL.into_iter().find(|facet| facet.word() == word)
    }
}

impl Shape for Mebibytes {
    const EXPECTED: &'static str = image::MEBIBYTES;

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let mebibytes = match value {
            DeValue::Integer(number) => u64::try_from(whole_number(number)?).ok()?,
            DeValue::String(text) => image::parse_mebibytes(text)?,
            _ => return None,
        };
        (mebibytes > 0).then_some(Self(mebibytes))
    }
}

impl Shape for DiskFormat {
    const EXPECTED: &'static str = "\"raw\" or \"qcow2\"";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        [Self::Raw, Self::Qcow2].into_iter().find(|format| value.as_str() == Some(format.as_str()))
    }
}

/// A plugin that a file names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PluginRef {
    /// The library.
    pub(crate) path: PathBuf,
    /// Its settings, or null.
    pub(crate) settings: serde_json::Value,
}

impl Shape for PluginRef {
    const EXPECTED: &'static str = "a path in quotes, or { path = \"PATH\", settings = { ... } }";

    fn read(value: &DeValue<'_>) -> Option<Self> {
        let DeValue::Table(table) = value else {
            return Some(Self { path: PathBuf::read(value)?, settings: serde_json::Value::Null });
        };
        let settings = table.get("settings").map(Spanned::get_ref);
        let known = 1 + usize::from(settings.is_some());
        if table.len() != known || settings.is_some_and(|settings| !matches!(settings, DeValue::Table(_))) {
            return None;
        }
        let path = PathBuf::read(table.get("path")?.get_ref())?;
        Some(Self { path, settings: settings.map_or(serde_json::Value::Null, to_json) })
    }
}

/// The same value as JSON, for the table that goes to a backend unread.
pub(crate) fn to_json(value: &DeValue<'_>) -> serde_json::Value {
    use serde_json::Value;
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            whole_number(number).map_or_else(|| Value::from(number.to_string()), Value::from)
        }
        // JSON knows no infinity; its text lets the backend say that it wants a number.
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| Value::from(number.as_str()), Value::Number),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref()))).collect()
        }
    }
}

/// A value in the words of an error message.
pub(crate) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 40 => format!("the text {text:?}"),
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => format!("`{flag}`"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn whole_number(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
