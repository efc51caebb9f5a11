//! What a person at the machine would do and see, on machines that play.

mod console;
mod picture;
mod reading;
mod screen;
mod terminal;
mod visit;
