//! Settings that were misspelt.

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
