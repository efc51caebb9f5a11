//! The pages show what is really there.

use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_test_in_rust_is_the_one_that_runs() {
    let example = read("examples/rust/tests/guestbook.rs");
    let page = read("docs/writing-rust-tests.md");
    assert!(
        page.contains(&format!("\n```rust\n{example}```\n")),
        "docs/writing-rust-tests.md shows another test"
    );
}
