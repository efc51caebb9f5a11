//! The engines over pictures.

mod screen;
