//! `log.html`: the page that the NixOS driver of old left behind, with its classes, so that what reads such pages reads
//! this one; and the file that tells Hydra of it. The page is one of ours, and needs no library beside it.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

use driver_core::event::Record;
use driver_core::{DriverError, Reporter};

use super::tree::{Kind, Node, Tree};
use super::xml::escaped;
use crate::files::{failed, write_atomically};
use crate::html::address;

const PAGE: &str = "log.html";
const STYLE: (&str, &str) = ("logfile.css", include_str!("../../templates/logfile.css"));
const SCRIPT: (&str, &str) = ("treebits.js", include_str!("../../templates/treebits.js"));
/// What the step is called that a reader wants to see first.
const SCRIPT_STEPS: [&str; 2] = ["run the VM test script", super::SCRIPT_STEP_OF_2019];

/// Writes `log.html`, with its style and script beside it, and `nix-support/hydra-build-products`.
pub struct LogHtml {
    dir: PathBuf,
    tree: Tree,
}

impl LogHtml {
    /// Prepares the page in the directory `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), tree: Tree::default() }
    }

    /// Prepares the page with the words of the driver in Perl.
    #[must_use]
    pub fn of_2019(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), tree: Tree::of_2019() }
    }

    fn page(&self) -> Result<String, fmt::Error> {
        let mut page = String::from(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\">\n\
             <script src=\"treebits.js\" defer></script>\n\
             <link rel=\"stylesheet\" href=\"logfile.css\" type=\"text/css\">\n\
             <title>Log File</title></head>\n<body><h1>VM build log</h1>\n\
             <p><a href=\"javascript:\" class=\"logTreeExpandAll\">Expand all</a> | \
             <a href=\"javascript:\" class=\"logTreeCollapseAll\">Collapse all</a></p>\n<ul class=\"toplevel\">\n",
        );
        for child in &self.tree.root().children {
            page.push_str("<li>");
            self.write(&mut page, self.tree.node(*child))?;
            page.push_str("</li>\n");
        }
        page.push_str("</ul>\n");
        if self.tree.left_out > 0 {
            writeln!(page, "<p>{} later lines are left out here.</p>", self.tree.left_out)?;
        }
        let pictures: Vec<&str> = self.tree.all().filter_map(|node| node.file.as_deref()).collect();
        if !pictures.is_empty() {
            page.push_str("<h1>Screenshots</h1>\n<ul class=\"vmScreenshots\">\n");
            for picture in pictures {
                writeln!(page, "<li>{}</li>", link(picture, picture))?;
            }
            page.push_str("</ul>\n");
        }
        page.push_str("</body></html>\n");
        Ok(page)
    }

    fn write(&self, page: &mut String, node: &Node) -> fmt::Result {
        if node.children.is_empty() {
            return write_line(page, node);
        }
        let is_open = node.has_error || SCRIPT_STEPS.contains(&node.text.as_str());
        let sign = if is_open { '-' } else { '+' };
        write!(page, "<a href=\"javascript:\" class=\"logTreeToggle\">{sign}</a> ")?;
        write_line(page, node)?;
        page.push_str(if is_open {
            "<ul class=\"nesting\">"
        } else {
            "<ul class=\"nesting\" style=\"display: none;\">"
        });
        for (index, child) in node.children.iter().enumerate() {
            let last = if index + 1 == node.children.len() { " lastline" } else { "" };
            write!(
                page,
                "<li class=\"line{last}\"><span class=\"lineconn\"></span><span class=\"linebody\">"
            )?;
            self.write(page, self.tree.node(*child))?;
            page.push_str("</span></li>\n");
        }
        page.push_str("</ul>");
        Ok(())
    }
}

impl Reporter for LogHtml {
    fn record(&mut self, record: &Record) -> Result<(), DriverError> {
        self.tree.observe(record);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        let page = self.page().map_err(std::io::Error::other).map_err(failed("write", PAGE))?;
        for (name, text) in [(PAGE, page.as_str()), STYLE, SCRIPT] {
            write_atomically(&self.dir, name, text.as_bytes()).map_err(failed("write", name))?;
        }
        let (folder, name) = (self.dir.join("nix-support"), "hydra-build-products");
        fs::create_dir_all(&folder).map_err(failed("make", "nix-support"))?;
        let product = format!("report testlog {} {PAGE}\n", self.dir.display());
        write_atomically(&folder, name, product.as_bytes()).map_err(failed("write", name))
    }
}

impl fmt::Debug for LogHtml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHtml").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn write_line(page: &mut String, node: &Node) -> fmt::Result {
    let class = match node.kind {
        Kind::Error => " class=\"errorLine\"",
        Kind::Warning => " class=\"warningLine\"",
        Kind::Serial => " class=\"serial\"",
        Kind::Step | Kind::Line => "",
    };
    write!(page, "<code{class}>")?;
    if let Some(machine) = &node.machine {
        let sign = if node.kind == Kind::Serial { "# " } else { ": " };
        write!(page, "<span class=\"machine\">{}{sign}</span>", escaped(machine))?;
    }
    match &node.file {
        Some(file) => page.push_str(&link(file, &node.text)),
        None => page.push_str(&escaped(&node.text)),
    }
    page.push_str("</code>");
    Ok(())
}

fn link(file: &str, text: &str) -> String {
    format!("<a href=\"{}\">{}</a>", escaped(&address(file)).replace('"', "&quot;"), escaped(text))
}
