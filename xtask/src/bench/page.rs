//! The table of figures, on the terminal and in docs/performance.md.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::contestant::Contestant;
use super::report::{Figures, Report, Row};
use super::statistics::Ratio;
use crate::command;

const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- cargo xtask bench writes from here -->";
const BEGIN_NETWORK: &str = "<!-- cargo xtask bench network writes from here -->";
const END: &str = "<!-- to here -->";

/// Puts the table into the page.
pub(super) fn update(report: &Report<'_>) -> Result<()> {
    write(BEGIN, &format!("{}{}", about(report), table(report)))
}

/// Puts the network's table into the page.
pub(super) fn update_network(text: &str) -> Result<()> {
    write(BEGIN_NETWORK, text)
}

fn write(begin: &str, text: &str) -> Result<()> {
    let path = command::root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("failed to read {PAGE}"))?;
    let new = replace(&page, begin, text)
        .with_context(|| format!("{PAGE} has no place for the table (`{begin}`)"))?;
    fs::write(&path, new).with_context(|| format!("failed to write {PAGE}"))
}

/// The page with another text between a mark and the next end.
fn replace(page: &str, begin: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n\n{}\n\n{END}{after}", text.trim()))
}

/// Where the figures are from.
fn about(report: &Report<'_>) -> String {
    let (host, sources) = (report.host, report.sources);
    let upstream = sources.upstream.as_ref().map(|upstream| format!(", NixOS driver: {upstream}"));
    let mut text = format!(
        "Measured on {}: {}, {} cores, Linux {}, QEMU {} with {}, guest Linux {}; load of the host in the end: {}. \
         innkeeper: {}{}. {} runs of each driver, taking turns.\n\n",
        host.date,
        cell(&host.cpu),
        host.cores,
        host.kernel,
        host.qemu,
        host.accelerator.to_uppercase(),
        host.guest_kernel,
        host.load,
        sources.innkeeper,
        upstream.unwrap_or_default(),
        report.runs,
    );
    if !report.notes.is_empty() {
        text.push_str("What failed, or was not tried:\n\n");
        for note in &report.notes {
            let _ = writeln!(text, "- {}", note.replace(['\n', '\r', '`', '|', '<'], " "));
        }
        text.push('\n');
    }
    text
}

/// The table, in Markdown, which reads well on a terminal too.
pub(super) fn table(report: &Report<'_>) -> String {
    let base = report.base();
    let others: Vec<Contestant> = report.drivers.iter().copied().filter(|driver| *driver != base).collect();
    let mut head = vec![String::new()];
    head.extend(report.drivers.iter().map(ToString::to_string));
    head.extend(others.iter().map(|driver| format!("{driver}: times better than {base}")));
    let rows = report.rows.iter().filter(|row| !row.by.is_empty()).map(|row| {
        let mut cells = vec![row.measure.title.to_owned()];
        cells.extend(
            report.drivers.iter().map(|driver| row.by.get(driver).map_or("-".into(), |it| figure(row, it))),
        );
        cells.extend(others.iter().map(|driver| {
            row.by.get(driver).and_then(|figures| figures.factor).map_or("-".to_owned(), factor)
        }));
        cells
    });
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    aligned(&lines)
}

pub(super) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for width in &widths {
                let _ = write!(text, "| {} ", "-".repeat(*width));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// A figure, with the middle eight tenths of all samples where it is a median.
fn figure(row: &Row<'_>, figures: &Figures<'_>) -> String {
    let (unit, scale) = row.measure.unit;
    let show = |value: f64| number(value * scale);
    let value = show(figures.value);
    let alone = row.measure.at > 0.5 || figures.samples.iter().map(Vec::len).sum::<usize>() < 3;
    if alone {
        return format!("{value} {unit}");
    }
    format!("{value} {unit} ({} to {})", show(figures.p10), show(figures.p90))
}

pub(super) fn factor(Ratio { ratio, interval }: Ratio) -> String {
    let interval = interval.map(|[low, high]| format!(" ({} to {})", number(low), number(high)));
    number(ratio) + &interval.unwrap_or_default()
}

/// Three digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::super::contestant::Contestant;
    use super::super::report::Report;
    use super::super::report::tests::{host, samples, sources};
    use super::{BEGIN, BEGIN_NETWORK, END, PAGE, about, replace, table};
    use crate::command;

    const DRIVERS: [Contestant; 2] = [Contestant::Agent, Contestant::Upstream];

    #[test]
    fn a_row_has_both_figures_and_how_many_times_better_ours_is() {
        let (host, sources, samples) = (host(), sources(), samples());
        let report = Report::new(&host, &sources, 1, &DRIVERS, &samples, Vec::new());
        let table = table(&report);
        let row = |title: &str| {
            let line = table.lines().find(|line| line.contains(title)).unwrap_or_else(|| panic!("{table}"));
            line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        };
        let cells = row("back to back");
        assert_eq!(cells[2..4], ["2.00 ms (2.00 to 4.00)", "20.0 ms (20.0 to 80.0)"], "{table}");
        assert!(cells[4].starts_with("10.0 ("), "{table}");
        assert_eq!(row("copy_from_host`, 100")[2..5], ["50.0 MiB/s", "10.0 MiB/s", "5.00"]);
        assert_eq!(row("wait_for_file")[2..5], ["500 ms", "-", "-"]);
        assert!(!table.contains("wait_for_unit"), "without figures there is no row: {table}");
    }

    #[test]
    fn the_page_says_where_the_figures_are_from_and_what_failed() {
        let (host, sources, samples) = (host(), sources(), samples());
        let report = Report::new(&host, &sources, 5, &DRIVERS, &samples, vec!["a|b\n<c>".to_owned()]);
        let about = about(&report);
        for part in
            ["2026-01-02: A / B, 4 cores", "QEMU 10.0.2 with TCG", "nixpkgs 4567", "5 runs", "- a b  c>"]
        {
            assert!(about.contains(part), "no `{part}` in: {about}");
        }
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        assert_eq!(
            replace(&page, BEGIN, "new\n").unwrap(),
            format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n")
        );
        assert_eq!(replace("no marks", BEGIN, "new"), None);
    }

    #[test]
    fn the_page_has_the_marks() {
        let page = std::fs::read_to_string(command::root().join(PAGE)).unwrap();
        assert!([BEGIN, BEGIN_NETWORK].iter().all(|begin| replace(&page, begin, "").is_some()));
    }
}
