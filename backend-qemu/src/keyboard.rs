//! Keys, by QMP's `input-send-event`, each when the guest has taken the one before.

mod intake;

use std::time::Duration;

use async_trait::async_trait;
use driver_core::{Deadline, DriverError, Key, Keyboard};
use qapi_qmp::{InputEvent, InputKeyEvent, KeyValue, QKeyCode, input_send_event};
use qapi_spec::Enum as _;

use crate::machine::QemuMachine;
use backend_kit::settings::suggest;

pub(crate) use intake::Intake;

#[async_trait]
impl Keyboard for QemuMachine {
    async fn press(&self, chord: &[Key], hold: Duration, within: Deadline) -> Result<(), DriverError> {
        let keys = chord.iter().map(key_value).collect::<Result<Vec<_>, _>>()?;
        let intake = self.intake().turn(self.control(), within).await;
        if hold.is_zero() {
            // In one go, so that a busy host cannot make a repeated key of it.
            let all = events(&keys, true).into_iter().chain(events(&keys, false)).collect();
            self.send_keys(all, "press keys", within).await?;
        } else {
            self.send_keys(events(&keys, true), "press keys", within).await?;
            tokio::time::sleep(hold).await;
            self.send_keys(events(&keys, false), "release keys", within).await?;
        }
        intake.finish(within).await;
        Ok(())
    }
}

impl QemuMachine {
    /// Sends all events as one command: QEMU takes it as a whole or not at all.
    async fn send_keys(
        &self,
        events: Vec<InputEvent>,
        operation: &'static str,
        within: Deadline,
    ) -> Result<(), DriverError> {
        self.execute(input_send_event { device: None, head: None, events }, operation, within).await?;
        Ok(())
    }
}

/// The keys go down in their order, and up in reverse.
fn events(keys: &[KeyValue], down: bool) -> Vec<InputEvent> {
    let event = |key: &KeyValue| InputEvent::key(InputKeyEvent { down, key: key.clone() }.into());
    if down { keys.iter().map(event).collect() } else { keys.iter().rev().map(event).collect() }
}

fn key_value(key: &Key) -> Result<KeyValue, DriverError> {
    match key {
        Key::Code(code) => Ok(KeyValue::number(i64::from(*code).into())),
        Key::Name(name) => match QKeyCode::from_name(name) {
            Some(code) => Ok(KeyValue::qcode(code.into())),
            None => Err(DriverError::usage(format!(
                "`{name}` is not a key that QEMU knows ({})",
                suggest(name, QKeyCode::NAMES)
            ))),
        },
    }
}

#[cfg(test)]
mod tests {
    use driver_core::parse_keys;
    use serde_json::json;

    use super::{events, key_value};

    #[test]
    fn keys_go_down_in_order_and_up_in_reverse() {
        let keys: Vec<_> =
            parse_keys("ctrl-0x1C").unwrap().iter().map(|key| key_value(key).unwrap()).collect();
        let key = |down, kind, data| json!({"type": "key", "data": {"down": down, "key": {"type": kind, "data": data}}});
        let (ctrl, enter) = (json!("ctrl"), json!(0x1c));
        assert_eq!(
            serde_json::to_value(events(&keys, true)).unwrap(),
            json!([key(true, "qcode", ctrl.clone()), key(true, "number", enter.clone())])
        );
        assert_eq!(
            serde_json::to_value(events(&keys, false)).unwrap(),
            json!([key(false, "number", enter), key(false, "qcode", ctrl)])
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_ones() {
        let message = key_value(&parse_keys("retrun").unwrap()[0]).unwrap_err().to_string();
        assert!(message.contains("`retrun`") && message.contains("did you mean `ret`"), "{message}");
    }
}
