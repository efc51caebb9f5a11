//! The model: pictures of lines in, characters with places and probabilities out.
//!
//! It runs on rten rather than through ocrs, which would do no more for it than cut, batch and decode: ocrs keeps the
//! probabilities to itself, squeezes lines of more than 2400 pixels, takes all cores unless an environment variable
//! says otherwise, cannot be stopped between two batches, and panics on some boxes.

use std::sync::Arc;

use driver_core::Deadline;
use rten::{Model, ModelOptions, RunOptions, ThreadPool, Value};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

use super::scale::{HEIGHT, Strip};

/// Columns of pixels that one run of the model sees: more take memory and gain no speed.
const BATCH: usize = 8192;
/// Widths of lines in a batch are rounded up to a multiple of this.
const GRAIN: usize = 32;
/// More threads than this do not help with so small a network.
const THREADS: usize = 8;

/// A model that reads lines.
pub(super) struct Reader {
    model: Model,
    /// The character of label 1 and those after it.
    alphabet: Vec<char>,
    threads: Arc<ThreadPool>,
}

/// A character of a line.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sign {
    pub(super) char: char,
    /// Where the model was surest of it, in pixels of the strip.
    pub(super) at: usize,
    /// How sure it was, 0 to 1.
    pub(super) confidence: f32,
    /// What else it may have been, and how sure the model was of that.
    pub(super) others: [(char, f32); 2],
}

impl Sign {
    /// Each character that it may be, with how sure the model was of it.
    pub(super) fn shares(&self) -> impl Iterator<Item = (char, f32)> + use<> {
        std::iter::once((self.char, self.confidence)).chain(self.others)
    }

    /// Makes it another character, of which the model was less sure.
    pub(super) fn become_other(&mut self, char: char) {
        let before = (self.char, self.confidence);
        if let Some(other) = self.others.iter_mut().find(|(other, _)| *other == char) {
            self.confidence = other.1;
            *other = before;
        }
        self.char = char;
    }
}

/// Why a reader could not read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The deadline was over.
    Late,
    /// The model cannot be run.
    Model(String),
}

impl Reader {
    /// Loads a model in ONNX, whose labels after the first, CTC's blank, are those of `alphabet`.
    ///
    /// # Errors
    /// When the file is no model that rten can run.
    pub(super) fn new(model: &'static [u8], alphabet: &str) -> Result<Self, String> {
        let model = ModelOptions::with_all_ops()
            .prepack_weights(true)
            .load_static_slice(model)
            .map_err(|error| error.to_string())?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = Arc::new(ThreadPool::with_num_threads(cores.min(THREADS)));
        Ok(Self { model, alphabet: alphabet.chars().collect(), threads })
    }

    /// Reads strips, those of like width at once; the answers are in the strips' order.
    ///
    /// # Errors
    /// When the time is up, or the model does not fit its alphabet.
    pub(super) fn read(&self, strips: &[&Strip], within: Deadline) -> Result<Vec<Vec<Sign>>, ReadError> {
        let mut order: Vec<usize> = (0..strips.len()).collect();
        order.sort_by_key(|index| strips[*index].width);
        let mut read = vec![Vec::new(); strips.len()];
        let mut rest = order.as_slice();
        while let Some(first) = rest.first() {
            if within.is_over() {
                return Err(ReadError::Late);
            }
            let narrow = strips[*first].width;
            let like = |index: &usize| strips[*index].width <= narrow + narrow / 4 + GRAIN;
            let most = (BATCH / narrow.max(1)).max(1);
            let count = rest.iter().take(most).take_while(|index| like(index)).count();
            let (batch, after) = rest.split_at(count);
            for (index, signs) in batch.iter().zip(self.batch(batch.iter().map(|index| strips[*index]))?) {
                read[*index] = signs;
            }
            rest = after;
        }
        Ok(read)
    }

    fn batch<'a>(
        &self,
        strips: impl ExactSizeIterator<Item = &'a Strip> + Clone,
    ) -> Result<Vec<Vec<Sign>>, ReadError> {
        let widest = strips.clone().map(|strip| strip.width).max().unwrap_or(1);
        let width = widest.next_multiple_of(GRAIN);
        let lines = strips.len();
        // What no ink covers is black: as in training.
        let mut pixels = vec![-0.5_f32; lines * HEIGHT * width];
        for (rows, strip) in pixels.chunks_exact_mut(HEIGHT * width).zip(strips.clone()) {
            for (row, source) in rows.chunks_exact_mut(width).zip(strip.pixels.chunks_exact(strip.width)) {
                for (to, from) in row.iter_mut().zip(source) {
                    *to = f32::from(*from) / 255.0 - 0.5;
                }
            }
        }
        let failed = |problem: &dyn std::fmt::Display| ReadError::Model(problem.to_string());
        let input = Value::from(NdTensor::from_data([lines, 1, HEIGHT, width], pixels));
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.threads)));
        let output = self.model.run_one(input.into(), Some(options)).map_err(|error| failed(&error))?;
        let output: NdTensor<f32, 3> =
            output.try_into().map_err(|_| failed(&"its answer is no list of steps"))?;
        let [steps, answers, classes] = output.shape();
        if answers != lines || classes != self.alphabet.len() + 1 {
            let problem =
                format!("it answers for {classes} labels, but the alphabet has {}", self.alphabet.len());
            return Err(failed(&problem));
        }
        let stride = width / steps.max(1);
        let output = output.to_vec();
        Ok(strips
            .enumerate()
            .map(|(line, strip)| {
                let probabilities = (0..steps).map(|step| {
                    let start = (step * lines + line) * classes;
                    &output[start..start + classes]
                });
                let mut signs = self.decode(probabilities, stride);
                signs.retain(|sign| sign.at < strip.width);
                signs
            })
            .collect())
    }

    /// The likeliest label of each step, without blanks and repetitions.
    fn decode<'a>(&self, steps: impl Iterator<Item = &'a [f32]>, stride: usize) -> Vec<Sign> {
        let mut signs: Vec<Sign> = Vec::new();
        let mut before = 0;
        for (step, probabilities) in steps.enumerate() {
            let best = probabilities.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1));
            let (label, confidence) = best.map_or((0, 0.0), |(label, log)| (label, log.exp()));
            let sign = || Sign {
                char: self.alphabet[label - 1],
                at: step * stride,
                confidence,
                others: self.others(probabilities, label),
            };
            if label > 0 && label == before {
                // The same sign goes on: it stands where it is likeliest.
                if let Some(last) = signs.last_mut().filter(|last| last.confidence < confidence) {
                    *last = sign();
                }
            } else if label > 0 {
                signs.push(sign());
            }
            before = label;
        }
        signs
    }

    /// The characters that are the likeliest but for one and the blank.
    fn others(&self, probabilities: &[f32], label: usize) -> [(char, f32); 2] {
        let mut others = [(' ', f32::NEG_INFINITY); 2];
        for (other, log) in probabilities.iter().enumerate().skip(1).filter(|(other, _)| *other != label) {
            if *log > others[0].1 {
                others = [(self.alphabet[other - 1], *log), others[0]];
            } else if *log > others[1].1 {
                others[1] = (self.alphabet[other - 1], *log);
            }
        }
        others.map(|(char, log)| (char, log.exp()))
    }
}
