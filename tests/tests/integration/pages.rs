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

#[test]
fn the_partition_in_the_readme_is_of_the_test_that_runs() {
    let (example, readme) = (read("examples/cluster/etcd.py"), read("README.md"));
    let block =
        readme.split("```python\n").find(|block| block.contains("partition")).expect("a block of Python");
    let block = block.split("```").next().unwrap_or_default();
    let mut lines = example.lines().map(str::trim);
    for line in block.lines().map(str::trim) {
        assert!(lines.any(|other| other == line), "examples/cluster/etcd.py has no `{line}` there");
    }
}
