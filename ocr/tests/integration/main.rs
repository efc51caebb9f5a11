//! The engines on frames that are drawn here, and on screenshots of real guests.

mod auto;
mod consoles;
mod corpus;
mod fonts;
mod screen;
mod sizes;
mod support;
mod tesseract;
