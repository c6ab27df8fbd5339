//! The NATS protocol in binary frames: a room is a subject. A frame may hold many operations, and the last of them may
//! go on in the next frame.

use super::{Heard, Outbox, Role, Seat, Talk};

const CONNECT: &str = r#"CONNECT {"verbose":false,"pedantic":false,"lang":"chinwag-bench","version":"1","protocol":1}"#;
const LINE_END: &[u8] = b"\r\n";

pub struct Nats {
    seat: Seat,
    /// The start of an operation whose end has not come yet.
    unread: Vec<u8>,
}

enum Operation<'a> {
    Message(&'a [u8]),
    /// All that is one line.
    Other(&'a [u8]),
}

impl Nats {
    pub fn new(seat: Seat) -> Self {
        Self { seat, unread: Vec::new() }
    }

    fn line(&self, line: &[u8], say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        if line.starts_with(b"INFO ") {
            let subscribe = match self.seat.role {
                Role::Reader => format!("SUB {} 1\r\n", self.seat.room),
                Role::Sender => String::new(),
            };
            say.say(format!("{CONNECT}\r\n{subscribe}PING\r\n").as_bytes());
        } else if line == b"PING" {
            say.say(b"PONG\r\n");
        } else if line == b"PONG" {
            // We ask once, after all the rest.
            heard(Heard::In { head: None });
        } else if line != b"+OK" {
            heard(Heard::Refused(String::from_utf8_lossy(line).into_owned()));
        }
    }
}

impl Talk for Nats {
    fn target(&self) -> String {
        "/".to_owned()
    }

    fn binary(&self) -> bool {
        true
    }

    fn hears(&mut self, payload: &[u8], say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        let mut unread = std::mem::take(&mut self.unread);
        let mut rest = payload;
        if !unread.is_empty() {
            unread.extend_from_slice(payload);
            rest = &unread;
        }
        while let Some(operation) = operation(&mut rest) {
            match operation {
                Operation::Message(text) => heard(Heard::text(text)),
                Operation::Other(line) => self.line(line, say, heard),
            }
        }
        self.unread = rest.to_vec();
    }

    fn post(&mut self, _number: u64, text: &str, say: &mut Outbox) {
        say.say(format!("PUB {} {}\r\n{text}\r\n", self.seat.room, text.len()).as_bytes());
    }
}

/// Takes the first operation off `bytes`, or nothing while its end has not come yet.
fn operation<'a>(bytes: &mut &'a [u8]) -> Option<Operation<'a>> {
    let end = bytes.windows(LINE_END.len()).position(|window| window == LINE_END)?;
    let (line, rest) = (&bytes[..end], &bytes[end + LINE_END.len()..]);
    if !line.starts_with(b"MSG ") {
        *bytes = rest;
        return Some(Operation::Other(line));
    }
    let size = line.rsplit(|byte| *byte == b' ').next().and_then(|size| str::from_utf8(size).ok()?.parse().ok());
    let Some(size) = size else {
        *bytes = rest;
        return Some(Operation::Other(line));
    };
    let (text, rest) = rest.split_at_checked(size)?;
    *bytes = rest.get(LINE_END.len()..)?;
    Some(Operation::Message(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    fn talk(role: Role) -> Nats {
        Nats::new(Seat { role, room: "tea".to_owned(), number: 3 })
    }

    #[test]
    fn a_reader_subscribes_and_is_in_when_its_ping_is_answered() {
        let mut reader = talk(Role::Reader);
        let mut say = Outbox::new(reader.binary());
        reader.hears(b"INFO {\"server_id\":\"x\"} \r\n", &mut say, &mut |_| panic!("not in yet"));
        assert_eq!(say.said(), [format!("{CONNECT}\r\nSUB tea 1\r\nPING\r\n")]);
        let mut ready = false;
        reader.hears(b"PONG\r\nPING\r\n", &mut say, &mut |heard| ready = matches!(heard, Heard::In { head: None }));
        assert!(ready);
        assert_eq!(say.said(), ["PONG\r\n"]);
    }

    #[test]
    fn a_sender_subscribes_to_nothing_and_counts_its_bytes() {
        let mut sender = talk(Role::Sender);
        let mut say = Outbox::new(sender.binary());
        sender.hears(b"INFO {}\r\n", &mut say, &mut |_| panic!("not in yet"));
        sender.post(0, "hello", &mut say);
        assert_eq!(say.said(), [format!("{CONNECT}\r\nPING\r\n"), "PUB tea 5\r\nhello\r\n".to_owned()]);
    }

    #[test]
    fn messages_are_found_wherever_the_frames_are_cut() {
        let texts: Vec<String> = (0..3).map(|number| Stamp { due: 1, lane: 2, number }.text(60)).collect();
        let bytes = texts.iter().fold(String::new(), |bytes, text| bytes + "MSG tea 1 60\r\n" + text + "\r\n");
        for cut in 0..bytes.len() {
            let mut reader = talk(Role::Reader);
            let mut got = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                reader.hears(part.as_bytes(), &mut Outbox::new(true), &mut |heard| match heard {
                    Heard::Delivered { lane: 2, number, .. } => got.push(number),
                    _ => panic!("nothing but messages was said"),
                });
            }
            assert_eq!(got, [0, 1, 2]);
        }
    }

    #[test]
    fn an_error_is_told() {
        let mut refused = None;
        talk(Role::Reader).hears(b"-ERR 'Slow Consumer'\r\n", &mut Outbox::new(true), &mut |heard| {
            if let Heard::Refused(why) = heard {
                refused = Some(why);
            }
        });
        assert_eq!(refused.as_deref(), Some("-ERR 'Slow Consumer'"));
    }
}
