//! The verbs of machines that look at the screen and point at it.

use super::Verb;
use super::table::verb;
use crate::error::DriverError;
use crate::machine::Button;

pub(super) static TABLE: &[Verb] = &[
    verb!(Machine screenshot(filename: Text) -> Nothing,
        "Takes a picture of the screen, as a PNG in the result directory; of the serial console, where the backend has no screen.",
        |call, args| async move { call.node()?.screenshot(&args.filename).await.map(drop) }),
    // Text
    verb!(Machine get_screen_text() -> Text needs Screen,
        "The text on the screen, as the OCR engine of the run reads it.",
        |call, _args| call.node()?.get_screen_text()),
    verb!(Machine get_screen_text_variants() -> Texts needs Screen,
        "The text on the screen, once for each way in which the OCR engine has read it.",
        |call, _args| call.node()?.get_screen_text_variants()),
    verb!(Machine wait_for_text(regex: Pattern, timeout: Duration = "900", region: Region = "null") -> Nothing needs Screen,
    "Waits until a pattern is found in the text on the screen, or in a region of it.",
    |call, args| call.node()?.wait_for_text(
        &args.regex, args.timeout.0, args.region, call.patterns.as_ref(),
    )),
    verb!(Machine find_text(regex: Pattern, region: Region = "null") -> Json needs Screen,
    "Where a pattern is found in the text that is on the screen now: a list with the `text` of each place and its \
     `x`, `y`, `width` and `height`, as far as the OCR engine knows them.",
    |call, args| call.node()?.find_text(&args.regex, args.region, call.patterns.as_ref())),
    verb!(Machine click_text(
        regex: Pattern, timeout: Duration = "900", button: Text = "\"left\"", region: Region = "null"
    ) -> Json needs Screen,
    "Waits until a pattern is found in the text on the screen, and clicks in the middle of the first place. \
     Returns that place, as `find_text` does.",
    |call, args| call.node()?.click_text(
        &args.regex, args.timeout.0, button(&args.button)?, args.region, call.patterns.as_ref(),
    )),
    // Pictures
    verb!(Machine assert_screen(needle: Text, timeout: Duration = "30") -> Json needs Screen,
    "Waits until a needle of this name, or with this tag, is on the screen. Returns its name (`needle`), its \
     `areas`, and where to `click`.",
    |call, args| call.node()?.assert_screen(&args.needle, args.timeout.0)),
    verb!(Machine check_screen(needle: Text, timeout: Duration = "0") -> Json needs Screen,
        "As `assert_screen`; a needle that is not there in time is nothing.",
        |call, args| call.node()?.check_screen(&args.needle, args.timeout.0)),
    verb!(Machine click_needle(
        needle: Text, timeout: Duration = "30", button: Text = "\"left\""
    ) -> Json needs Screen,
    "As `assert_screen`, and clicks where the needle says, or else in the middle of its last area.",
    |call, args| call.node()?.click_needle(&args.needle, args.timeout.0, button(&args.button)?)),
    verb!(Machine wait_still_screen(
        seconds: Duration = "7", timeout: Duration = "30", similarity: Number = "40", region: Region = "null"
    ) -> Nothing needs Screen,
    "Waits until the screen, or a region of it, has been still for so many seconds: as similar as `similarity` says, \
     in decibels.",
    |call, args| call.node()?.wait_still_screen(args.seconds.0, args.timeout.0, args.similarity, args.region)),
    verb!(Machine mark_screen() -> Json needs Screen,
        "Remembers what the screen shows, for `wait_screen_change`. Returns a number for it.",
        |call, _args| call.node()?.mark_screen()),
    verb!(Machine wait_screen_change(
        since: MaybeCount = "null", timeout: Duration = "30", similarity: Number = "40", region: Region = "null"
    ) -> Nothing needs Screen,
    "Waits until the screen, or a region of it, differs from what it showed at a mark, or at the call, by more than \
     `similarity` says, in decibels.",
    |call, args| {
        let since = args.since.map(|mark| usize::try_from(mark).unwrap_or(usize::MAX));
        call.node()?.wait_screen_change(since, args.timeout.0, args.similarity, args.region)
    }),
    // The pointer
    verb!(Machine mouse_move(x: Integer, y: Integer) -> Nothing needs Pointer,
        "Moves the pointer to a place on the screen, in pixels from the left and from above.",
        |call, args| call.node()?.mouse_move(place(args.x, args.y)?)),
    verb!(Machine mouse_click(
        x: MaybeCount = "null", y: MaybeCount = "null", button: Text = "\"left\""
    ) -> Nothing needs Pointer,
    "Clicks at a place on the screen, or where the pointer is. There are `left`, `middle` and `right`.",
    |call, args| call.node()?.mouse_click(maybe_place(args.x, args.y)?, button(&args.button)?)),
    verb!(Machine mouse_double_click(
        x: MaybeCount = "null", y: MaybeCount = "null", button: Text = "\"left\""
    ) -> Nothing needs Pointer,
    "Clicks twice.",
    |call, args| call.node()?.mouse_double_click(maybe_place(args.x, args.y)?, button(&args.button)?)),
    verb!(Machine mouse_down(button: Text = "\"left\"") -> Nothing needs Pointer,
        "Presses a button of the mouse.",
        |call, args| call.node()?.mouse_button(button(&args.button)?, true)),
    verb!(Machine mouse_up(button: Text = "\"left\"") -> Nothing needs Pointer,
        "Releases a button of the mouse.",
        |call, args| call.node()?.mouse_button(button(&args.button)?, false)),
    verb!(Machine mouse_scroll(notches: Integer) -> Nothing needs Pointer,
        "Turns the wheel of the mouse: so many notches down, or up when negative.",
        |call, args| call.node()?.mouse_scroll(notches(args.notches)?)),
    verb!(Machine mouse_drag(
        x: Integer, y: Integer, to_x: Integer, to_y: Integer, button: Text = "\"left\""
    ) -> Nothing needs Pointer,
    "Presses a button at a place, moves the pointer to another, and releases the button there.",
    |call, args| call.node()?.mouse_drag(
        place(args.x, args.y)?, place(args.to_x, args.to_y)?, button(&args.button)?,
    )),
];

fn button(name: &str) -> Result<Button, DriverError> {
    match name {
        "left" => Ok(Button::Left),
        "middle" => Ok(Button::Middle),
        "right" => Ok(Button::Right),
        _ => Err(DriverError::usage(format!(
            "`{name}` is no button of the mouse (there are left, middle and right)"
        ))),
    }
}

fn place(x: i64, y: i64) -> Result<(u32, u32), DriverError> {
    match (u32::try_from(x), u32::try_from(y)) {
        (Ok(x), Ok(y)) => Ok((x, y)),
        _ => Err(DriverError::usage(format!("({x}, {y}) is no place on a screen"))),
    }
}

fn maybe_place(x: Option<u64>, y: Option<u64>) -> Result<Option<(u32, u32)>, DriverError> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    match (x, y) {
        (None, None) => Ok(None),
        (Some(x), Some(y)) => place(number(x), number(y)).map(Some),
        _ => Err(DriverError::usage("a place has `x` and `y`")),
    }
}

/// Turns of the wheel that anybody wants at once.
const MOST_NOTCHES: i32 = 1000;

fn notches(count: i64) -> Result<i32, DriverError> {
    let count = i32::try_from(count).ok().filter(|count| count.abs() <= MOST_NOTCHES);
    count.ok_or_else(|| DriverError::usage(format!("the wheel turns by {MOST_NOTCHES} notches at most")))
}
