//! `include/innkeeper-plugin.h` is made from the source. `UPDATE_GOLDEN=1 cargo test -p plugin-abi` writes it anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_skip::skip;

use crate::c::declarations;

/// The files of the contract, in the order in which C can read them.
const FILES: [&str; 5] = ["value", "backend", "ocr", "reporter", "header"];

const HEAD: &str = "\
/*
 * The contract between innkeeper and its plugins, for C. Made from the source of plugin-abi: not to be edited.
 *
 * A plugin is a shared library that exports one static of type innkeeper_plugin_header, named INNKEEPER_PLUGIN:
 *
 *     const innkeeper_plugin_header INNKEEPER_PLUGIN = {
 *         .magic = INNKEEPER_MAGIC,
 *         .abi_major = INNKEEPER_ABI_MAJOR,
 *         .abi_minor = INNKEEPER_ABI_MINOR,
 *         .size = sizeof(innkeeper_plugin_header),
 *         .name = INNKEEPER_STR_OF(\"mine\"),
 *         .version = INNKEEPER_STR_OF(\"0.1.0\"),
 *         .reporter = &reporter,
 *     };
 */
#ifndef INNKEEPER_PLUGIN_H
#define INNKEEPER_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/* A literal as an innkeeper_str. */
#define INNKEEPER_STR_OF(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

";

fn made() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut text, mut names) = (String::new(), Vec::new());
    for file in FILES {
        let source = fs::read_to_string(folder.join(format!("{file}.rs"))).expect("the source is there");
        let (part, structs) = declarations(&source);
        text += &part;
        names.extend(structs);
    }
    let forward: String = names.iter().map(|name| format!("typedef struct {name} {name};\n")).collect();
    format!("{HEAD}{forward}{text}\n#endif\n")
}

fn header() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/innkeeper-plugin.h")
}

#[test]
fn the_header_is_what_the_source_says() {
    let made = made();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(header(), &made).unwrap();
    }
    let kept = fs::read_to_string(header()).unwrap();
    assert!(
        kept == made,
        "the header is out of date: UPDATE_GOLDEN=1 cargo test -p plugin-abi writes it anew"
    );
}

/// Every size and offset that C sees is the one that Rust sees.
#[test]
fn both_languages_see_the_same_layout() {
    let Some(compiler) =
        ["cc", "gcc", "clang"].into_iter().find(|name| Command::new(name).arg("--version").output().is_ok())
    else {
        return skip("there is no C compiler (install the package `gcc`)").unwrap_or(());
    };
    macro_rules! layout {
        ($($rust:ident $c:ident { $($field:ident)* })*) => {
            vec![$((concat!("sizeof(", stringify!($c), ")").to_owned(), size_of::<plugin_abi::$rust>()),
                $((format!("offsetof({}, {})", stringify!($c), stringify!($field)),
                    std::mem::offset_of!(plugin_abi::$rust, $field)),)*)*]
        };
    }
    let expected = layout! {
        Str innkeeper_str { data length }
        Buf innkeeper_buf { data length free }
        Frame innkeeper_frame { width height rgb }
        LogTable innkeeper_log_table { size context line guard_group release_group guest_reset }
        BackendTable innkeeper_backend_table {
            size name open close probe check launch connect request_shutdown wait_exit destroy release
            screen keyboard monitor power pointer
        }
        ScreenTable innkeeper_screen_table { size capture }
        KeyboardTable innkeeper_keyboard_table { size press }
        MonitorTable innkeeper_monitor_table { size command }
        PowerTable innkeeper_power_table { size reset }
        PointerTable innkeeper_pointer_table { size act }
        OcrTable innkeeper_ocr_table { size name open read close }
        ReporterTable innkeeper_reporter_table { size name open record finish close }
        PluginHeader innkeeper_plugin_header {
            magic abi_major abi_minor size name version backend ocr reporter
        }
    };
    let asserts: String = expected
        .iter()
        .map(|(what, number)| format!("_Static_assert({what} == {number}, \"{what}\");\n"))
        .collect();
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("layout.c");
    fs::write(&source, format!("#include \"innkeeper-plugin.h\"\n{asserts}")).unwrap();
    let compiled = Command::new(compiler)
        .args(["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
        .arg(header().parent().unwrap())
        .arg(&source)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

/// What was published once is kept, for the test in plugin-host that loads a plugin of that time.
#[test]
fn the_header_of_this_version_is_kept() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
        "history/innkeeper-plugin-{}.{}.h",
        plugin_abi::ABI_MAJOR,
        plugin_abi::ABI_MINOR
    ));
    let is_first_time = std::env::var_os("UPDATE_GOLDEN").is_some() && !kept.exists();
    if is_first_time {
        fs::write(&kept, made()).unwrap();
    }
    assert!(
        kept.exists(),
        "{} is missing: UPDATE_GOLDEN=1 cargo test -p plugin-abi writes it",
        kept.display()
    );
}
