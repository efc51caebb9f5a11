//! Tesseract, the program: an engine for those who have it. It gets a picture of ours, grey and enlarged, with dark
//! text on light ground: its models were made for printed pages.

mod picture;
mod program;

use std::path::PathBuf;

use driver_core::{Deadline, Frame, OcrEngine, OcrError, Reading, Rect, TextLine, Word};

/// Reads with the program `tesseract`.
#[derive(Debug)]
pub struct Tesseract {
    program: PathBuf,
    languages: String,
}

impl Tesseract {
    /// The word that manifests use.
    pub const NAME: &str = "tesseract";

    /// The program on the `PATH`, for these languages (`deu+eng`); for English if none are named.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn find(languages: Option<&str>) -> Result<Self, OcrError> {
        let program = which::which("tesseract").map_err(|error| {
            failed(
                format!("the program `tesseract` cannot be used: {error}"),
                "install tesseract, or choose another engine with `ocr` in the manifest or with --ocr",
            )
        })?;
        Ok(Self::at(program, languages))
    }

    /// That program, for these languages.
    #[must_use]
    pub fn at(program: PathBuf, languages: Option<&str>) -> Self {
        Self { program, languages: languages.unwrap_or("eng").to_owned() }
    }
}

impl OcrEngine for Tesseract {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn read(&self, frame: &Frame, within: Deadline) -> Result<Reading, OcrError> {
        let (picture, scale) = picture::prepare(frame);
        // 6: one block of lines. It finds more on screens than the modes that look for columns.
        let arguments = ["stdin", "stdout", "-l", &self.languages, "--psm", "6", "tsv"];
        let table = program::ask(&self.program, &arguments, &picture, within)?;
        Ok(Reading { engine: Self::NAME.to_owned(), lines: lines(&table, scale) })
    }
}

fn failed(problem: String, way_out: &str) -> OcrError {
    OcrError { engine: Tesseract::NAME.to_owned(), problem, way_out: way_out.to_owned() }
}

/// The words of the program's table. Its columns: level (5 is a word), page, block, paragraph, line, word, left, top,
/// width, height, confidence (to 100), text.
fn lines(table: &str, scale: u32) -> Vec<TextLine> {
    let mut lines: Vec<TextLine> = Vec::new();
    let mut place = None;
    for row in table.lines() {
        let columns: Vec<_> = row.split('\t').collect();
        let ["5", page, block, paragraph, line, _, left, top, width, height, confidence, text] = columns[..]
        else {
            continue;
        };
        if text.trim().is_empty() {
            continue;
        }
        let pixels = |text: &str| Some(text.parse::<u32>().ok()? / scale);
        let rect = || {
            Some(Rect { x: pixels(left)?, y: pixels(top)?, width: pixels(width)?, height: pixels(height)? })
        };
        let confidence = confidence.parse::<f32>().ok().map(|percent| (percent / 100.0).clamp(0.0, 1.0));
        if place.replace((page, block, paragraph, line)) != Some((page, block, paragraph, line)) {
            lines.push(TextLine::default());
        }
        let word = Word { text: text.to_owned(), rect: rect(), confidence };
        if let Some(line) = lines.last_mut() {
            line.words.push(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn a_table_becomes_words_in_lines_in_the_pixels_of_the_screen() {
        let table = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
                     4\t1\t1\t1\t1\t0\t30\t60\t900\t30\t-1\t\n\
                     5\t1\t1\t1\t1\t1\t30\t60\t90\t30\t96.5\tlog in\n\
                     5\t1\t1\t1\t1\t2\t150\t60\t90\t30\t12\tnow\n\
                     5\t1\t1\t1\t1\t3\t150\t60\t90\t30\t12\t \n\
                     5\t1\t1\t1\t2\t1\t30\t90\t90\t30\t50\t\"quoted\n";
        let lines = lines(table, 3);
        assert_eq!(
            lines.iter().map(driver_core::TextLine::text).collect::<Vec<_>>(),
            ["log in now", "\"quoted"]
        );
        let rect = lines[0].words[1].rect.unwrap();
        assert_eq!((rect.x, rect.y, rect.width, rect.height), (50, 20, 30, 10));
        assert_eq!(lines[0].words[0].confidence, Some(0.965));
    }
}
