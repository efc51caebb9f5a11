//! The pointer, by QMP's `input-send-event`: a tablet, which can be put anywhere.

use async_trait::async_trait;
use driver_core::{Button, Deadline, DriverError, Pointer, PointerAct};
use qapi_qmp::{InputAxis, InputBtnEvent, InputButton, InputEvent, InputMoveEvent, input_send_event};

use crate::machine::QemuMachine;

/// QEMU's tablets are so wide and so high.
const EXTENT: f64 = 32767.0;

#[async_trait]
impl Pointer for QemuMachine {
    async fn act(&self, act: PointerAct, within: Deadline) -> Result<(), DriverError> {
        let intake = self.intake().turn(self.control(), within).await;
        // What a guest is told in one go it may take for less than it is: each notch by itself.
        for events in events(act) {
            let command = input_send_event { device: None, head: None, events };
            self.execute(
                command,
                "move the pointer (the machine needs a tablet: `-device usb-tablet`)",
                within,
            )
            .await?;
        }
        intake.finish(within).await;
        Ok(())
    }
}

/// The events of one act, by the commands that bring them.
fn events(act: PointerAct) -> Vec<Vec<InputEvent>> {
    match act {
        PointerAct::Move { x, y } => vec![vec![moved(InputAxis::x, x), moved(InputAxis::y, y)]],
        PointerAct::Press(which) => vec![vec![button(named(which), true)]],
        PointerAct::Release(which) => vec![vec![button(named(which), false)]],
        PointerAct::Scroll(notches) => {
            let which = if notches < 0 { InputButton::wheel_up } else { InputButton::wheel_down };
            let notch = || vec![button(which, true), button(which, false)];
            (0..notches.unsigned_abs()).map(|_| notch()).collect()
        }
    }
}

fn moved(axis: InputAxis, to: f64) -> InputEvent {
    #[expect(clippy::cast_possible_truncation, reason = "it is between 0 and the extent")]
    let value = (to.clamp(0.0, 1.0) * EXTENT).round() as i64;
    InputEvent::abs(InputMoveEvent { axis, value }.into())
}

fn button(button: InputButton, down: bool) -> InputEvent {
    InputEvent::btn(InputBtnEvent { button, down }.into())
}

fn named(button: Button) -> InputButton {
    match button {
        Button::Left => InputButton::left,
        Button::Middle => InputButton::middle,
        Button::Right => InputButton::right,
    }
}

#[cfg(test)]
mod tests {
    use driver_core::{Button, PointerAct};
    use serde_json::json;

    use super::events;

    #[test]
    fn acts_become_events_of_a_tablet() {
        let abs = |axis, value| json!({"type": "abs", "data": {"axis": axis, "value": value}});
        let btn = |button, down| json!({"type": "btn", "data": {"button": button, "down": down}});
        for (act, expected) in [
            (PointerAct::Move { x: 0.5, y: 2.0 }, json!([[abs("x", 16384), abs("y", 32767)]])),
            (PointerAct::Press(Button::Right), json!([[btn("right", true)]])),
            (
                PointerAct::Scroll(-2),
                json!([
                    [btn("wheel-up", true), btn("wheel-up", false)],
                    [btn("wheel-up", true), btn("wheel-up", false)]
                ]),
            ),
        ] {
            assert_eq!(serde_json::to_value(events(act)).unwrap(), expected, "{act:?}");
        }
    }
}
