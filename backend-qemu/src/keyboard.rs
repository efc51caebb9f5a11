//! Keys, by QMP's `input-send-event`.

use std::time::Duration;

use async_trait::async_trait;
use driver_core::{Deadline, DriverError, Key, Keyboard};
use qapi_qmp::{InputEvent, InputKeyEvent, KeyValue, QKeyCode, input_send_event};
use qapi_spec::Enum as _;

use crate::config::suggest;
use crate::machine::QemuMachine;

#[async_trait]
impl Keyboard for QemuMachine {
    async fn press(&self, chord: &[Key], hold: Duration, within: Deadline) -> Result<(), DriverError> {
        let keys = chord.iter().map(key_value).collect::<Result<Vec<_>, _>>()?;
        self.execute(events(keys.iter(), true), "press keys", within).await?;
        tokio::time::sleep(hold).await;
        self.execute(events(keys.iter().rev(), false), "release keys", within).await?;
        Ok(())
    }
}

/// One command for all keys: QEMU takes it as a whole or not at all.
fn events<'a>(keys: impl Iterator<Item = &'a KeyValue>, down: bool) -> input_send_event {
    let events = keys.map(|key| InputEvent::key(InputKeyEvent { down, key: key.clone() }.into())).collect();
    input_send_event { device: None, head: None, events }
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
            serde_json::to_value(events(keys.iter(), true)).unwrap(),
            json!({"events": [key(true, "qcode", ctrl.clone()), key(true, "number", enter.clone())]})
        );
        assert_eq!(
            serde_json::to_value(events(keys.iter().rev(), false)).unwrap(),
            json!({"events": [key(false, "number", enter), key(false, "qcode", ctrl)]})
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_ones() {
        let message = key_value(&parse_keys("retrun").unwrap()[0]).unwrap_err().to_string();
        assert!(message.contains("`retrun`") && message.contains("did you mean `ret`"), "{message}");
    }
}
