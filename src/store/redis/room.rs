//! What a room's hash says that it is. It must not know who asks.

use std::collections::HashMap;

use crate::protocol::{Epoch, Position};
use crate::store::RoomInfo;

/// What a room's hash says that it is, and where its log stands.
pub(super) fn read(fields: &HashMap<String, String>) -> Option<(RoomInfo, Position)> {
    let text = |field: &str| fields.get(field).map(|value| &**value);
    let flag = |field: &str| text(field) == Some("1");
    let number = |field: &str| text(field)?.parse::<u64>().ok();
    let info = RoomInfo {
        id: text("id")?.into(),
        name: text("name")?.into(),
        kind: text("kind")?.parse().ok()?,
        topic: text("topic").unwrap_or_default().into(),
        announcement: flag("announcement"),
        archived: flag("archived"),
        slow_seconds: text("slow_seconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(0),
        guests: flag("guests"),
    };
    Some((info, Position { epoch: Epoch(number("epoch")?), oldest: number("oldest")?, head: number("head")? }))
}
