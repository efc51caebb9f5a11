//! `[console]`: what the console linter's findings mean for the test.

use driver_core::event::ConsoleRules;
use report::{ALL, LINT_RULES};
use toml::Spanned;

use super::reader::Section;

/// Reads the table; without one, findings are warnings.
pub(super) fn read(manifest: &mut Section<'_, '_>) -> ConsoleRules {
    let Some(mut section) = manifest.section("console") else { return ConsoleRules::default() };
    let mut rules = |key| {
        let names: Vec<Spanned<String>> = section.located_list(key);
        for name in &names {
            check(name, &section);
        }
        names.into_iter().map(Spanned::into_inner).collect()
    };
    let (fail, allow) = (rules("fail"), rules("allow"));
    let allow_lines = section.list("allow_lines");
    section.finish();
    ConsoleRules { fail, allow, allow_lines }
}

fn check(name: &Spanned<String>, section: &Section<'_, '_>) {
    let known = || std::iter::once(ALL).chain(LINT_RULES.iter().map(|rule| rule.name));
    if !known().any(|known| known == name.get_ref()) {
        section.problems().add(
            name.span(),
            format!("{:?} is no rule for consoles", name.get_ref()),
            format!("expected one of {}", known().collect::<Vec<_>>().join(", ")),
        );
    }
}
