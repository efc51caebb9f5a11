//! `innkeeper needle`.

use std::fs;

use driver_core::screen::{AreaKind, Needle, Point};
use driver_core::{Frame, Rect};

use crate::Place;

const CUT: [&str; 6] = ["needle", "frame.png", "--area", "2,3,4,5", "--name", "ok-button"];

fn place() -> Place {
    let place = Place::with(&[]);
    let frame = Frame::new(20, 10, (0..=199).flat_map(|shade| [shade; 3]).collect()).expect("a picture");
    fs::write(place.path().join("frame.png"), frame.to_png().expect("a PNG")).expect("it is written");
    place
}

#[test]
fn a_needle_is_cut_from_a_screenshot() {
    let place = place();
    let more = ["--exclude", "0,0,1,1", "--tag", "ok", "--match", "90", "--margin", "3", "--click", "3,4"];
    let said = place.run(&[&CUT[..], &more].concat());
    assert_eq!(
        (said.status, said.stdout.as_str()),
        (Some(0), "needles/ok-button.json and needles/ok-button.png\n")
    );
    let needle = Needle::read(&place.path().join("needles/ok-button.json")).unwrap();
    assert_eq!(needle.frame().unwrap().width(), 20);
    assert!(needle.is_called("ok") && needle.is_called("ok-button"));
    let area = &needle.areas[0];
    assert_eq!(area.rect, Rect { x: 2, y: 3, width: 4, height: 5 });
    assert_eq!((area.wanted, area.margin, area.click), (90.0, 3, Some(Point { x: 1, y: 1 })));
    assert_eq!(needle.areas[1].kind, AreaKind::Exclude);
    let again = place.run(&CUT);
    assert_eq!(again.status, Some(2));
    assert!(again.stderr.contains("exists"), "{again:?}");
}

#[test]
fn what_cannot_be_a_needle_is_told() {
    let place = place();
    for (args, text) in [
        (
            ["--area", "18,3,4,5", "--name", "x"],
            "18,3,4,5 is not inside of the picture, which has 20x10 pixels",
        ),
        (["--area", "1,1,0,5", "--name", "x"], "1,1,0,5 is not inside"),
        (["--area", "1,1,2,2", "--name", "../x"], "\"../x\" cannot be a needle's name"),
    ] {
        let said = place.run(&[&["needle", "frame.png"][..], &args].concat());
        assert_eq!(said.status, Some(2), "{said:?}");
        assert!(said.stderr.contains(text), "{said:?}");
    }
    let outside = place.run(&[&CUT[..], &["--click", "9,9"]].concat());
    assert!(outside.stderr.contains("9,9 is not inside of the last area"), "{outside:?}");
    assert!(!place.path().join("needles").exists());
}
