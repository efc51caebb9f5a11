//! Models that were made for ocrs, run by ocrs: its detection finds the words, its recognition reads them.

use std::path::Path;

use driver_core::{Frame, OcrError, Reading, Rect, TextLine, Word};
use ocrs::{ImageSource, OcrEngine, OcrEngineParams, TextItem};
use rten::Model;

use super::{empty, error};

/// Loads a pair of models, `.rten` or `.onnx`.
///
/// # Errors
/// When a file cannot be read, or is no model of its kind.
pub(super) fn load(detection: &Path, recognition: &Path) -> Result<OcrEngine, OcrError> {
    let model = |what: &str, path: &Path| {
        Model::load_file(path).map_err(|problem| {
            let problem = format!("the {what} model `{}` cannot be loaded: {problem}", path.display());
            error(&problem, "ocrs's own are `text-detection.rten` and `text-recognition.rten`")
        })
    };
    let parameters = OcrEngineParams {
        detection_model: Some(model("detection", detection)?),
        recognition_model: Some(model("recognition", recognition)?),
        ..OcrEngineParams::default()
    };
    OcrEngine::new(parameters).map_err(|problem| error(&format!("the models do not fit ocrs: {problem}"), ""))
}

/// Reads a frame.
///
/// # Errors
/// When a model does not do what ocrs expects of it.
pub(super) fn read(engine: &OcrEngine, frame: &Frame) -> Result<Reading, OcrError> {
    let failed =
        |problem: &dyn std::fmt::Display| error(&format!("ocrs cannot read the frame: {problem}"), "");
    let size = (frame.width(), frame.height());
    let source = ImageSource::from_bytes(frame.rgb(), size).map_err(|problem| failed(&problem))?;
    let input = engine.prepare_input(source).map_err(|problem| failed(&problem))?;
    let words = engine.detect_words(&input).map_err(|problem| failed(&problem))?;
    let lines = engine.find_text_lines(&input, &words);
    let read = engine.recognize_text(&input, &lines).map_err(|problem| failed(&problem))?;
    let lines =
        read.iter().flatten().map(|line| TextLine { words: line.words().map(|item| word(&item)).collect() });
    Ok(Reading { lines: lines.filter(|line| !line.words.is_empty()).collect(), ..empty() })
}

fn word(word: &ocrs::TextWord<'_>) -> Word {
    let area = word.bounding_rect();
    let pixels = |side: i32| u32::try_from(side).unwrap_or(0);
    let rect = Rect {
        x: pixels(area.left()),
        y: pixels(area.top()),
        width: pixels(area.width()),
        height: pixels(area.height()),
    };
    Word { text: word.to_string(), rect: Some(rect), confidence: None }
}
