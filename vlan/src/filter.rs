//! Which frames somebody looks out for, in the language of `tcpdump`, and one line on what a frame is.
//!
//! docs/networks.md describes the language. Frames come from guests: whatever is in them, nothing here panics, and
//! nothing of them is printed but numbers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use self::expression::Expression;
use self::frame::Frame;

mod expression;
mod frame;
mod lexer;
mod parser;
mod summary;

pub(crate) use self::summary::summary;

/// What a name means: a machine's or a port's, and the addresses known of it.
pub(crate) type Names = BTreeMap<String, Vec<IpAddr>>;

/// Which frames somebody looks out for.
#[derive(Debug)]
pub(crate) struct Filter(Expression);

impl Filter {
    /// Reads a filter; an empty one fits every frame. Names that are no keys of `names` are refused.
    ///
    /// # Errors
    /// What cannot be understood, in three lines: what is wrong, the text, and carets below the place.
    pub(crate) fn parse(text: &str, names: &Names) -> Result<Self, String> {
        parser::parse(text, names).map(Self).map_err(|wrong| wrong.show(text))
    }

    /// Whether a frame fits that came from that port of that machine. A frame that is cut off, or contradicts
    /// itself, fits nothing.
    pub(crate) fn fits(&self, port: &str, machine: Option<&str>, frame: &[u8]) -> bool {
        Frame::parse(frame).is_some_and(|frame| self.0.fits(port, machine, &frame))
    }
}

#[cfg(test)]
mod tests;
