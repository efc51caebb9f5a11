//! A backend's own settings: the table under its name in a machine's description.

use driver_core::DriverError;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads the table `name` of the machine `machine`, of which `keys` are known; null stands for an empty one.
///
/// # Errors
/// [`DriverError::Launch`]: something else than a table, an unknown key, or a value that makes no sense.
pub fn read<T: DeserializeOwned>(
    table: &Value,
    name: &str,
    keys: &[&str],
    machine: &str,
) -> Result<T, DriverError> {
    let wrong = |problem: String, way_out: String| DriverError::Launch {
        machine: machine.to_owned(),
        problem,
        way_out,
    };
    let given = match table {
        Value::Null => serde_json::Map::new(),
        Value::Object(given) => given.clone(),
        other => return Err(wrong(format!("`{name}` is a table of settings, not `{other}`"), String::new())),
    };
    if let Some(key) = given.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(wrong(format!("`{name}.{key}` is not a setting"), suggest(key, keys)));
    }
    T::deserialize(Value::Object(given))
        .map_err(|error| wrong(format!("a setting in `{name}` makes no sense: {error}"), String::new()))
}

/// The way out of a misspelt word: what it may have meant, or everything that there is.
#[must_use]
pub fn suggest(word: &str, known: &[&str]) -> String {
    let mut ranked: Vec<(f64, &str)> =
        known.iter().map(|name| (strsim::jaro_winkler(word, name), *name)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<String> = ranked
        .iter()
        .filter(|(score, _)| *score > 0.75)
        .take(3)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    if near.is_empty() {
        let all: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        return format!("there are {}", all.join(", "));
    }
    format!("did you mean {}?", near.join(" or "))
}
