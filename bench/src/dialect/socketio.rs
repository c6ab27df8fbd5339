//! socket.io 4 over its WebSocket transport: the packets of engine.io around those of socket.io, all of them texts.
//! The room and the place in it are asked for in the query, as bench/peers/socketio.js expects.

use super::{Heard, Outbox, Role, Seat, Talk};

const ENGINE_OPEN: &str = "0";
const ENGINE_PING: &str = "2";
const ENGINE_PONG: &str = "3";
const CONNECT: &str = "40";
const CONNECT_ERROR: &str = "44";
const EVENT: &str = r#"42["message",""#;
const EVENT_END: &str = r#""]"#;

pub struct SocketIo {
    seat: Seat,
}

impl SocketIo {
    pub fn new(seat: Seat) -> Self {
        Self { seat }
    }
}

impl Talk for SocketIo {
    fn target(&self) -> String {
        let place = match self.seat.role {
            Role::Reader => "read",
            Role::Sender => "write",
        };
        format!("/socket.io/?EIO=4&transport=websocket&room={}&place={place}", self.seat.room)
    }

    fn hears(&mut self, payload: &[u8], say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        let packet = str::from_utf8(payload).unwrap_or_default();
        if let Some(text) = packet.strip_prefix(EVENT).and_then(|rest| rest.strip_suffix(EVENT_END)) {
            heard(Heard::text(text.as_bytes()));
        } else if packet == ENGINE_PING {
            say.say(ENGINE_PONG.as_bytes());
        } else if packet.starts_with(ENGINE_OPEN) {
            say.say(CONNECT.as_bytes());
        } else if packet.starts_with(CONNECT) {
            heard(Heard::In { head: None });
        } else if packet.starts_with(CONNECT_ERROR) {
            heard(Heard::Refused(packet.to_owned()));
        }
    }

    fn post(&mut self, _number: u64, text: &str, say: &mut Outbox) {
        say.say(format!("{EVENT}{text}{EVENT_END}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    fn talk(role: Role) -> SocketIo {
        SocketIo::new(Seat { role, room: "tea".to_owned(), number: 3 })
    }

    #[test]
    fn a_reader_asks_for_its_room_and_is_in_when_the_connect_is_answered() {
        let mut reader = talk(Role::Reader);
        assert_eq!(reader.target(), "/socket.io/?EIO=4&transport=websocket&room=tea&place=read");
        let mut say = Outbox::new(reader.binary());
        reader.hears(br#"0{"sid":"x","upgrades":[],"pingInterval":25000}"#, &mut say, &mut |_| panic!("not in yet"));
        assert_eq!(say.said(), ["40"]);
        let mut ready = false;
        reader.hears(br#"40{"sid":"y"}"#, &mut say, &mut |heard| ready = matches!(heard, Heard::In { head: None }));
        assert!(ready && say.is_empty());
    }

    #[test]
    fn a_ping_is_answered_and_a_refusal_told() {
        let mut reader = talk(Role::Reader);
        let mut say = Outbox::new(reader.binary());
        reader.hears(b"2", &mut say, &mut |_| panic!("a ping is nothing to tell"));
        assert_eq!(say.said(), ["3"]);
        let mut refused = false;
        reader.hears(br#"44{"message":"no"}"#, &mut say, &mut |heard| refused = matches!(heard, Heard::Refused(_)));
        assert!(refused);
    }

    #[test]
    fn what_a_sender_posts_is_what_a_reader_gets() {
        let mut sender = talk(Role::Sender);
        let mut say = Outbox::new(sender.binary());
        let text = Stamp { due: 1, lane: 2, number: 3 }.text(100);
        sender.post(0, &text, &mut say);
        let said = say.said();
        assert_eq!(said, [format!(r#"42["message","{text}"]"#)]);
        let mut got = false;
        talk(Role::Reader).hears(said[0].as_bytes(), &mut say, &mut |heard| {
            got = matches!(heard, Heard::Delivered { lane: 2, number: 3, message } if message == text.as_bytes());
        });
        assert!(got);
    }
}
