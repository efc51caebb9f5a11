//! What is done with pictures of a screen: read text that has changed, compare, find needles. Machines' verbs for
//! that are in `node`; here is what needs no machine.

mod compare;
mod needle;
mod picture;
mod reader;
mod search;
mod terminal;
mod words;

pub use needle::{Area, AreaKind, Needle, NeedleError, Needles, Point};
pub use search::{AreaMatch, NeedleMatch};

pub(crate) use compare::psnr;
pub(crate) use reader::{Memory, Scope};
pub(crate) use terminal::draw;
pub use words::Found;
pub(crate) use words::find;
