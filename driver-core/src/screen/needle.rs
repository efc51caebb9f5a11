//! Needles: a picture and what of it should be on the screen, in openQA's format: `NAME.png` beside `NAME.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::ocr::{Frame, Rect};

/// How similar an area must be unless its needle says otherwise, in percent.
const MATCH: f64 = 96.0;
/// How far from its place an area is looked for, unless its needle says otherwise, in pixels.
const MARGIN: u32 = 50;
/// Folders in folders in which needles are looked for.
const DEPTH: usize = 8;

/// What should be on the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Needle {
    /// Its name: that of its files.
    pub name: String,
    /// Other names, which several needles may share.
    pub tags: Vec<String>,
    /// What of the picture counts.
    pub areas: Vec<Area>,
    /// The picture.
    pub png: PathBuf,
}

/// A part of a needle's picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Area {
    /// Where it is.
    pub rect: Rect,
    /// What it is for.
    pub kind: AreaKind,
    /// How similar it must be, in percent.
    pub wanted: f64,
    /// How far from its place it is looked for, in pixels to each side.
    pub margin: u32,
    /// Where a click goes, from the area's upper left corner, if it goes to this area.
    pub click: Option<Point>,
}

/// What an area is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AreaKind {
    /// It must be on the screen.
    Match,
    /// It does not count: what lies in it is left out of other areas.
    Exclude,
    /// This text must be read there.
    Ocr(String),
}

/// A place in an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// From the left.
    #[serde(rename = "xpos")]
    pub x: u32,
    /// From above.
    #[serde(rename = "ypos")]
    pub y: u32,
}

/// A needle that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("needle `{}`: {problem}", path.display())]
pub struct NeedleError {
    path: PathBuf,
    problem: String,
}

/// The file as it is written. What is not known here is left unread.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct File {
    area: Vec<FileArea>,
    properties: Vec<serde_json::Value>,
    tags: Vec<String>,
    #[serde(skip_serializing)]
    png: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct FileArea {
    #[serde(skip_serializing_if = "Option::is_none")]
    click_point: Option<serde_json::Value>,
    height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<u32>,
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    wanted: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refstr: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    width: u32,
    xpos: u32,
    ypos: u32,
}

impl Area {
    /// An area of a kind that is as similar and as near as openQA has it unless a needle says otherwise.
    #[must_use]
    pub fn new(rect: Rect, kind: AreaKind) -> Self {
        Self { rect, kind, wanted: MATCH, margin: MARGIN, click: None }
    }

    fn read(area: FileArea) -> Result<Self, String> {
        let rect = Rect { x: area.xpos, y: area.ypos, width: area.width, height: area.height };
        let kind = match area.kind.as_deref() {
            None | Some("match") => AreaKind::Match,
            Some("exclude") => AreaKind::Exclude,
            Some("ocr") => AreaKind::Ocr(area.refstr.ok_or("an area of the type `ocr` has no `refstr`")?),
            Some(other) => {
                return Err(format!("`{other}` is no type of area (there are match, exclude and ocr)"));
            }
        };
        if rect.is_empty() {
            return Err("an area has no pixels (`width` and `height`)".to_owned());
        }
        let click = match area.click_point {
            None => None,
            Some(serde_json::Value::String(word)) if word == "center" => {
                Some(Point { x: rect.width / 2, y: rect.height / 2 })
            }
            Some(point) => Some(Point::deserialize(point).map_err(|_| {
                "a `click_point` is neither \"center\" nor has it `xpos` and `ypos`".to_owned()
            })?),
        };
        // As in openQA, zero is as good as nothing.
        let wanted = area.wanted.filter(|wanted| *wanted > 0.0).unwrap_or(MATCH);
        let margin = area.margin.filter(|margin| *margin > 0).unwrap_or(MARGIN);
        Ok(Self { rect, kind, wanted, margin, click })
    }

    fn write(&self) -> FileArea {
        let (kind, refstr) = match &self.kind {
            AreaKind::Match => ("match", None),
            AreaKind::Exclude => ("exclude", None),
            AreaKind::Ocr(text) => ("ocr", Some(text.clone())),
        };
        let counts = self.kind != AreaKind::Exclude;
        FileArea {
            click_point: self.click.and_then(|point| serde_json::to_value(point).ok()),
            height: self.rect.height,
            margin: (counts && self.margin != MARGIN).then_some(self.margin),
            wanted: (counts && self.wanted.to_bits() != MATCH.to_bits()).then_some(self.wanted),
            refstr,
            kind: Some(kind.to_owned()),
            width: self.rect.width,
            xpos: self.rect.x,
            ypos: self.rect.y,
        }
    }
}

impl Needle {
    /// Reads `NAME.json`. The picture is looked at when it is needed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> Result<Self, NeedleError> {
        let wrong = |problem: String| NeedleError { path: path.to_owned(), problem };
        let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let file: File =
            serde_json::from_slice(&text).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let areas: Vec<Area> =
            file.area.into_iter().map(Area::read).collect::<Result<_, _>>().map_err(wrong)?;
        if areas.iter().all(|area| area.kind == AreaKind::Exclude) {
            return Err(wrong("no area of it has to match".to_owned()));
        }
        let png = path.with_file_name(file.png.unwrap_or_else(|| format!("{name}.png")));
        Ok(Self { name, tags: file.tags, areas, png })
    }

    /// Writes a needle into a directory: a frame, and what of it counts.
    ///
    /// # Errors
    /// When that cannot be done, or one of that name is there.
    pub fn write(&self, frame: &Frame, directory: &Path) -> Result<PathBuf, NeedleError> {
        let path = directory.join(format!("{}.json", self.name));
        let wrong = |problem: String| NeedleError { path: path.clone(), problem };
        let png = frame.to_png().map_err(|error| wrong(error.to_string()))?;
        let file = File {
            area: self.areas.iter().map(Area::write).collect(),
            tags: self.tags.clone(),
            ..File::default()
        };
        let mut json = serde_json::to_string_pretty(&file).map_err(|error| wrong(error.to_string()))?;
        json.push('\n');
        let create = |path: &Path, bytes: &[u8]| {
            let mut file = fs::File::create_new(path)?;
            std::io::Write::write_all(&mut file, bytes)
        };
        let written = fs::create_dir_all(directory).and_then(|()| create(&path.with_extension("png"), &png));
        written.and_then(|()| create(&path, json.as_bytes())).map_err(|error| wrong(error.to_string()))?;
        Ok(path)
    }

    /// The picture.
    ///
    /// # Errors
    /// When there is none.
    pub fn frame(&self) -> Result<Frame, NeedleError> {
        let wrong = |problem: String| NeedleError { path: self.png.clone(), problem };
        let bytes = fs::read(&self.png).map_err(|error| wrong(error.to_string()))?;
        Frame::from_png(&bytes).map_err(|error| wrong(error.to_string()))
    }

    /// Whether it goes by this word.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        self.name == word || self.tags.iter().any(|tag| tag == word)
    }
}

/// The needles of a directory.
#[derive(Debug)]
pub struct Needles {
    needles: Vec<Arc<Needle>>,
    errors: Vec<NeedleError>,
    frames: Mutex<BTreeMap<PathBuf, Arc<Frame>>>,
}

impl Needles {
    /// Reads all needles of a directory and of those in it.
    ///
    /// # Errors
    /// When the directory cannot be read. A needle that cannot is one of [`Needles::errors`].
    pub fn read(directory: &Path) -> std::io::Result<Self> {
        let mut files = Vec::new();
        collect(directory, DEPTH, &mut files)?;
        files.sort();
        let (mut needles, mut errors) = (Vec::new(), Vec::new());
        for file in files {
            match Needle::read(&file) {
                Ok(needle) => needles.push(Arc::new(needle)),
                Err(error) => errors.push(error),
            }
        }
        Ok(Self { needles, errors, frames: Mutex::default() })
    }

    /// Those that go by a word: a name or a tag.
    #[must_use]
    pub fn called(&self, word: &str) -> Vec<Arc<Needle>> {
        self.needles.iter().filter(|needle| needle.is_called(word)).cloned().collect()
    }

    /// All words that needles go by.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        let names = self.needles.iter().flat_map(|needle| needle.tags.iter().chain([&needle.name]));
        let mut words: Vec<&str> = names.map(String::as_str).collect();
        words.sort_unstable();
        words.dedup();
        words
    }

    /// The needles that cannot be used.
    #[must_use]
    pub fn errors(&self) -> &[NeedleError] {
        &self.errors
    }

    /// The picture of a needle, read once.
    ///
    /// # Errors
    /// As [`Needle::frame`].
    pub fn frame(&self, needle: &Needle) -> Result<Arc<Frame>, NeedleError> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = frames.get(&needle.png) {
            return Ok(Arc::clone(frame));
        }
        let frame = Arc::new(needle.frame()?);
        frames.insert(needle.png.clone(), Arc::clone(&frame));
        Ok(frame)
    }
}

fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Area, AreaKind, Needle, Needles, Point};
    use crate::ocr::{Frame, Rect};

    #[test]
    fn openqas_files_are_read_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sub/login-2026.json");
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let json = r#"{"area": [
            {"xpos": 10, "ypos": 20, "width": 30, "height": 40, "type": "match", "match": "?"},
            {"xpos": 1, "ypos": 2, "width": 3, "height": 4, "type": "exclude", "processing_flags": "x"}],
            "tags": ["ENV-LANG-C", "login"], "properties": [{"name": "workaround", "value": "bsc#1"}]}"#;
        std::fs::write(&file, json).unwrap();
        std::fs::write(
            dir.path().join("none.json"),
            r#"{"area": [{"width": 1, "height": 1, "type": "exclude"}]}"#,
        )
        .unwrap();
        let needles = Needles::read(dir.path()).unwrap();
        let errors: Vec<_> = needles.errors().iter().map(ToString::to_string).collect();
        assert_eq!(needles.words(), [""; 0]);
        assert!(errors[0].ends_with("none.json`: no area of it has to match"), "{errors:?}");
        assert!(errors[1].contains("login-2026.json`: it cannot be read: invalid type"), "{errors:?}");

        let json = json.replace("\"?\"", r#"90, "margin": 5, "click_point": {"xpos": 3, "ypos": 4}"#);
        std::fs::write(&file, json).unwrap();
        let needles = Needles::read(dir.path()).unwrap();
        assert_eq!(needles.words(), ["ENV-LANG-C", "login", "login-2026"]);
        let needle = &needles.called("login")[0];
        let rect = Rect { x: 10, y: 20, width: 30, height: 40 };
        let area = Area {
            wanted: 90.0,
            margin: 5,
            click: Some(Point { x: 3, y: 4 }),
            ..Area::new(rect, AreaKind::Match)
        };
        assert_eq!(needle.areas[0], area);
        assert_eq!(needle.areas[1].kind, AreaKind::Exclude);
        assert_eq!(needle.png, dir.path().join("sub/login-2026.png"));
        assert!(needles.frame(needle).unwrap_err().to_string().contains("login-2026.png"));
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let area = |kind| Area::new(Rect { x: 0, y: 1, width: 2, height: 1 }, kind);
        let needle = Needle {
            name: "prompt".to_owned(),
            tags: vec!["login".to_owned()],
            areas: vec![
                Area { click: Some(Point { x: 1, y: 0 }), wanted: 80.0, ..area(AreaKind::Match) },
                area(AreaKind::Ocr("login:".to_owned())),
                area(AreaKind::Exclude),
            ],
            png: dir.path().join("prompt.png"),
        };
        let frame = Frame::new(2, 2, (0..12).collect()).unwrap();
        let path = needle.write(&frame, dir.path()).unwrap();
        let again = Needle::read(&path).unwrap();
        assert_eq!((&again, again.frame().unwrap()), (&needle, frame.clone()));
        assert!(needle.write(&frame, dir.path()).unwrap_err().to_string().contains("exists"));
    }
}
