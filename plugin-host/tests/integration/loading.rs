//! What cannot be loaded is refused with the file's name and the way out, and never called.

use std::error::Error;
use std::fs;
use std::path::Path;

use plugin_host::Plugin;

use crate::support::{c_plugin, rust_plugin};

/// Why a file cannot be loaded, causes included.
fn refusal(file: &Path) -> String {
    let error = Plugin::load(file).map(|plugin| plugin.name().to_owned()).expect_err("it is refused");
    let causes = std::iter::successors(Some(&error as &dyn Error), |error| (*error).source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    assert!(text.contains(&file.display().to_string()), "the file is not named: {text}");
    text
}

/// The same for a plugin in C.
fn refused(definitions: &[&str], texts: &[&str]) {
    let Some((_place, file)) = c_plugin(definitions) else { return };
    let said = refusal(&file);
    for text in texts {
        assert!(said.contains(text), "{text:?} is missing in: {said}");
    }
}

#[test]
fn a_file_that_is_none_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let missing = refusal(&place.path().join("libnone.so"));
    assert!(missing.contains("cannot be read (correct the path, or build it)"), "{missing}");
    let folder = refusal(place.path());
    assert!(folder.contains("is not a file (name the library itself"), "{folder}");
    let text = place.path().join("libtext.so");
    fs::write(&text, "#!/bin/sh\n").unwrap();
    let text = refusal(&text);
    assert!(text.contains("cannot be loaded (it must be a whole shared library for this machine"), "{text}");
}

#[test]
fn a_library_that_was_cut_off_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let whole = fs::read(rust_plugin()).unwrap();
    for part in [1, 63, 4096, whole.len() / 3, whole.len() * 9 / 10, whole.len() - 1] {
        let file = place.path().join(format!("libcut{part}.so"));
        fs::write(&file, &whole[..part]).unwrap();
        let said = refusal(&file);
        assert!(said.contains("cannot be loaded (it must be a whole shared library"), "{part}: {said}");
    }
}

#[test]
fn a_library_that_is_no_plugin_is_refused() {
    refused(&["WITHOUT_SYMBOL"], &["exports no `INNKEEPER_PLUGIN`", "in Rust with `plugin_sdk::plugin!`"]);
    refused(&["MAGIC=\"cowkeepr\""], &["does not begin with the ABI's magic bytes", "in Rust with"]);
}

#[test]
fn a_plugin_of_another_major_version_is_refused_with_the_side_that_is_too_old() {
    refused(
        &["MAJOR=2"],
        &["was built for ABI 2, but this innkeeper speaks ABI 1", "innkeeper is too old: update it", "1.x"],
    );
    refused(
        &["MAJOR=0"],
        &["was built for ABI 0, but this innkeeper speaks ABI 1", "the plugin is too old: rebuild it"],
    );
}

#[test]
fn a_plugin_whose_tables_are_wrong_is_refused() {
    let way_out = "rebuild it against `plugin-abi` 1.x";
    refused(
        &["HEADER_SIZE=40"],
        &["its header has 40 bytes, while the first version of this ABI has", way_out],
    );
    refused(&["BACKEND_SIZE=96"], &["its backend has 96 bytes, while the first version", way_out]);
    refused(&["CHECK=NULL"], &["its backend lacks the function `check`", way_out]);
    refused(&["CAPTURE=NULL"], &["its facet `screen` lacks the function `capture`", way_out]);
    refused(&["BACKEND=NULL", "OCR=NULL", "REPORTER=NULL"], &["it offers nothing", way_out]);
    refused(&["NAME=\"a b\""], &["name is \"a b\", not letters, digits, `-` and `_`", way_out]);
    refused(&["NAME=\"\""], &["name is \"\"", way_out]);
    refused(&["BACKEND=((void*)((char*)&backend+1))"], &["its backend stands at an odd address", way_out]);
}

#[test]
fn a_function_that_nobody_has_is_missed_when_loading_and_not_in_a_run() {
    // The linker leaves it open; without RTLD_NOW, calling it would end the program.
    refused(&["NOBODY"], &["nobody_has_this", "cannot be loaded"]);
}

#[test]
fn tables_that_are_longer_or_shorter_by_facets_are_read_as_far_as_they_go() {
    let Some((_place, file)) = c_plugin(&["MINOR=7", "BACKEND_SIZE=sizeof(backend)"]) else { return };
    let tomorrow = Plugin::load(&file).unwrap();
    assert_eq!(tomorrow.abi(), (1, 7));
    assert!(tomorrow.backend().unwrap().1.screen);

    // What was built before there were facets has none, although something stands where they would.
    let Some((_place, file)) = c_plugin(&["BACKEND_SIZE=offsetof(innkeeper_backend_table,screen)"]) else {
        return;
    };
    assert!(!Plugin::load(&file).unwrap().backend().unwrap().1.screen);
}
