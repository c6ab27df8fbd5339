//! The dialect of peers that are programs of ours: `/ROOM/read` joins a room, what is sent to `/ROOM/write` goes to
//! all its readers as it is. The server says `in` when it counts the connection in.

use super::{Heard, Outbox, Role, Seat, Talk};

const IN: &[u8] = b"in";

pub struct Plain {
    seat: Seat,
}

impl Plain {
    pub fn new(seat: Seat) -> Self {
        Self { seat }
    }
}

impl Talk for Plain {
    fn target(&self) -> String {
        let place = match self.seat.role {
            Role::Reader => "read",
            Role::Sender => "write",
        };
        format!("/{}/{place}", self.seat.room)
    }

    fn hears(&mut self, payload: &[u8], _say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        heard(if payload == IN { Heard::In { head: None } } else { Heard::text(payload) });
    }

    fn post(&mut self, _number: u64, text: &str, say: &mut Outbox) {
        say.say(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    fn seat(role: Role) -> Seat {
        Seat { role, room: "tea".to_owned(), number: 3 }
    }

    #[test]
    fn a_reader_is_in_and_gets_texts() {
        let mut reader = Plain::new(seat(Role::Reader));
        assert_eq!(reader.target(), "/tea/read");
        let mut say = Outbox::new(reader.binary());
        let mut ready = false;
        reader.hears(b"in", &mut say, &mut |heard| ready = matches!(heard, Heard::In { head: None }));
        assert!(ready);
        let text = Stamp { due: 1, lane: 2, number: 3 }.text(100);
        let mut got = false;
        reader.hears(text.as_bytes(), &mut say, &mut |heard| {
            got = matches!(heard, Heard::Delivered { lane: 2, number: 3, .. });
        });
        assert!(got && say.is_empty());
    }

    #[test]
    fn a_sender_sends_its_text_as_it_is() {
        let mut sender = Plain::new(seat(Role::Sender));
        assert_eq!(sender.target(), "/tea/write");
        let mut say = Outbox::new(sender.binary());
        sender.post(0, "hello", &mut say);
        assert_eq!(say.said(), ["hello"]);
    }
}
