//! MQTT 3.1.1 in binary frames, at most once (`QoS` 0): a room is a topic. Packets and frames need not begin together.

use super::{Heard, Outbox, Role, Seat, Talk};

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;

const CLEAN_SESSION: u8 = 0x02;
const NO_KEEP_ALIVE: [u8; 2] = [0, 0];
const PACKET_ID: [u8; 2] = [0, 1];
const AT_MOST_ONCE: u8 = 0;

pub struct Mqtt {
    seat: Seat,
    /// The start of a packet whose end has not come yet.
    unread: Vec<u8>,
}

struct Packet<'a> {
    /// Its type, and the flags that belong to it.
    first: u8,
    body: &'a [u8],
}

impl Mqtt {
    pub fn new(seat: Seat) -> Self {
        Self { seat, unread: Vec::new() }
    }

    fn packet(&self, packet: &Packet, say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        match (packet.first, packet.body) {
            (PUBLISH, body) => heard(match text(body) {
                Some(text) => Heard::text(text),
                None => Heard::Refused("a PUBLISH without a whole topic".to_owned()),
            }),
            (CONNACK, [_, 0]) => match self.seat.role {
                Role::Reader => {
                    say.say(&encode(SUBSCRIBE, &[&PACKET_ID, &string(&self.seat.room), &[AT_MOST_ONCE]]));
                }
                Role::Sender => heard(Heard::In { head: None }),
            },
            (SUBACK, [_, _, AT_MOST_ONCE]) => heard(Heard::In { head: None }),
            (first, body) => heard(Heard::Refused(format!("packet {first:#04x} with {body:02x?}"))),
        }
    }
}

impl Talk for Mqtt {
    fn target(&self) -> String {
        "/mqtt".to_owned()
    }

    fn subprotocol(&self) -> Option<&'static str> {
        Some("mqtt")
    }

    fn binary(&self) -> bool {
        true
    }

    fn begins(&mut self, say: &mut Outbox) {
        let client = string(&format!("bench-{}", self.seat.number));
        say.say(&encode(CONNECT, &[&string("MQTT"), &[4, CLEAN_SESSION], &NO_KEEP_ALIVE, &client]));
    }

    fn hears(&mut self, payload: &[u8], say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        let mut unread = std::mem::take(&mut self.unread);
        let mut rest = payload;
        if !unread.is_empty() {
            unread.extend_from_slice(payload);
            rest = &unread;
        }
        while let Some(packet) = decode(&mut rest) {
            self.packet(&packet, say, heard);
        }
        self.unread = rest.to_vec();
    }

    fn post(&mut self, _number: u64, text: &str, say: &mut Outbox) {
        say.say(&encode(PUBLISH, &[&string(&self.seat.room), text.as_bytes()]));
    }
}

/// The payload of a PUBLISH: at most once, it has nothing but the topic before it.
fn text(body: &[u8]) -> Option<&[u8]> {
    let (length, rest) = body.split_first_chunk()?;
    rest.get(usize::from(u16::from_be_bytes(*length))..)
}

fn string(text: &str) -> Vec<u8> {
    // Topics and client ids are far shorter.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn encode(first: u8, body: &[&[u8]]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length: usize = body.iter().map(|part| part.len()).sum();
    while length >= 0x80 {
        packet.push(0x80 | seven_bits(length));
        length >>= 7;
    }
    packet.push(seven_bits(length));
    packet.extend(body.iter().copied().flatten());
    packet
}

fn seven_bits(length: usize) -> u8 {
    (length & 0x7f).to_le_bytes()[0]
}

/// Takes the first packet off `bytes`, or nothing while its end has not come yet.
fn decode<'a>(bytes: &mut &'a [u8]) -> Option<Packet<'a>> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let (&digit, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(digit & 0x7f) << shift;
        if digit < 0x80 {
            break;
        }
    }
    let (body, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(Packet { first, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;
    use crate::stamp::Stamp;

    fn talk(role: Role) -> Mqtt {
        Mqtt::new(Seat { role, room: "tea".to_owned(), number: 3 })
    }

    fn said(say: &mut Outbox) -> Vec<Vec<u8>> {
        let frames = say.take();
        let mut rest = frames.as_slice();
        std::iter::from_fn(|| frame::decode_masked(&mut rest).unwrap()).collect()
    }

    #[test]
    fn a_reader_connects_subscribes_and_is_in() {
        let mut reader = talk(Role::Reader);
        let mut say = Outbox::new(reader.binary());
        reader.begins(&mut say);
        assert_eq!(said(&mut say), [b"\x10\x13\x00\x04MQTT\x04\x02\x00\x00\x00\x07bench-3"]);
        reader.hears(b"\x20\x02\x00\x00", &mut say, &mut |_| panic!("not in yet"));
        assert_eq!(said(&mut say), [b"\x82\x08\x00\x01\x00\x03tea\x00"]);
        let mut ready = false;
        reader.hears(b"\x90\x03\x00\x01\x00", &mut say, &mut |heard| ready = matches!(heard, Heard::In { head: None }));
        assert!(ready && say.is_empty());
    }

    #[test]
    fn a_sender_is_in_when_it_is_connected_and_publishes() {
        let mut sender = talk(Role::Sender);
        let mut say = Outbox::new(sender.binary());
        let mut ready = false;
        sender.hears(b"\x20\x02\x00\x00", &mut say, &mut |heard| ready = matches!(heard, Heard::In { head: None }));
        assert!(ready && say.is_empty());
        sender.post(0, "hello", &mut say);
        assert_eq!(said(&mut say), [b"\x30\x0a\x00\x03teahello"]);
    }

    #[test]
    fn packets_are_found_wherever_the_frames_are_cut() {
        let mut bytes = Vec::new();
        for number in 0..3 {
            let text = Stamp { due: 1, lane: 2, number }.text(200);
            bytes.extend(encode(PUBLISH, &[&string("tea"), text.as_bytes()]));
        }
        assert_eq!(bytes[..3], [PUBLISH, 0xcd, 0x01], "205 bytes take two digits");
        for cut in 0..bytes.len() {
            let mut reader = talk(Role::Reader);
            let mut got = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                reader.hears(part, &mut Outbox::new(true), &mut |heard| match heard {
                    Heard::Delivered { lane: 2, number, .. } => got.push(number),
                    _ => panic!("nothing but messages was said"),
                });
            }
            assert_eq!(got, [0, 1, 2]);
        }
    }

    #[test]
    fn refusals_are_told() {
        for refusal in [&b"\x20\x02\x00\x05"[..], b"\x90\x03\x00\x01\x80"] {
            let mut refused = false;
            talk(Role::Reader).hears(refusal, &mut Outbox::new(true), &mut |heard| {
                refused = matches!(heard, Heard::Refused(_));
            });
            assert!(refused);
        }
    }
}
