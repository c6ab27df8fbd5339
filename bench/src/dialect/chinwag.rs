//! Chinwag's own dialect (docs/protocol.md): a guest who subscribes to the room, or posts to it. Messages are told
//! apart by their seq, so the whole room is one lane.

use serde_json::json;

use super::{Heard, Outbox, Role, Seat, Talk};
use crate::wire::{self, Reply, SeqReader};

pub struct Chinwag {
    seat: Seat,
    seqs: SeqReader,
    token: Option<String>,
    greeted: bool,
    joined: bool,
}

impl Chinwag {
    /// A guest with this session, or for the life of the connection.
    pub fn new(seat: Seat, token: Option<String>) -> Self {
        Self { seqs: SeqReader::new(&seat.room), seat, token, greeted: false, joined: false }
    }

    fn greeted(&mut self, payload: &[u8], say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        self.greeted = wire::is_hello(payload);
        if !self.greeted {
            return heard(Heard::Refused(format!("no hello, but {}", String::from_utf8_lossy(payload))));
        }
        match self.seat.role {
            Role::Reader => {
                say.say(
                    json!({"type": "subscribe", "ref": 0, "room": self.seat.room, "last": 0}).to_string().as_bytes(),
                );
            }
            Role::Sender => {
                self.joined = true;
                heard(Heard::In { head: None });
            }
        }
    }

    fn replied(&mut self, reply: Reply, heard: &mut dyn FnMut(Heard)) {
        match reply {
            Reply::Posted { .. } => heard(Heard::Acknowledged),
            Reply::Error { error, .. } => heard(Heard::Refused(error.to_string())),
            Reply::Ok { body, .. } if !self.joined => {
                self.joined = true;
                heard(match body["head"].as_u64() {
                    Some(seq) => Heard::In { head: Some(seq) },
                    None => Heard::Refused(format!("subscribe replied without a head: {body}")),
                });
            }
            Reply::Ok { .. } => {}
        }
    }
}

impl Talk for Chinwag {
    fn target(&self) -> String {
        wire::TARGET.to_owned()
    }

    fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    fn hears(&mut self, payload: &[u8], say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        if self.joined
            && self.seat.role == Role::Reader
            && let Some(seq) = self.seqs.seq(payload)
        {
            heard(Heard::Delivered { lane: 0, number: seq, message: payload });
        } else if !self.greeted {
            self.greeted(payload, say, heard);
        } else if let Some(reply) = wire::reply(payload) {
            self.replied(reply, heard);
        }
    }

    fn post(&mut self, number: u64, text: &str, say: &mut Outbox) {
        let txn_id = format!("bench-{}-{number}", self.seat.number);
        say.say(wire::post_text(number, &self.seat.room, &txn_id, text).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(role: Role) -> (Chinwag, Outbox) {
        (Chinwag::new(Seat { role, room: "tea".to_owned(), number: 3 }, None), Outbox::new(false))
    }

    fn hears(talk: &mut Chinwag, say: &mut Outbox, payload: &str) -> Vec<String> {
        let mut all = Vec::new();
        talk.hears(payload.as_bytes(), say, &mut |heard| {
            all.push(match heard {
                Heard::In { head } => format!("in {head:?}"),
                Heard::Delivered { lane, number, .. } => format!("delivered {lane}:{number}"),
                Heard::Acknowledged => "acknowledged".to_owned(),
                Heard::Refused(why) => format!("refused {why}"),
            });
        });
        all
    }

    #[test]
    fn a_reader_subscribes_when_it_is_greeted() {
        let (mut reader, mut say) = talk(Role::Reader);
        assert!(hears(&mut reader, &mut say, r#"{"type":"hello","protocol":1}"#).is_empty());
        assert!(say.said()[0].contains(r#""room":"tea""#));
        assert_eq!(hears(&mut reader, &mut say, r#"{"type":"reply","ref":0,"ok":{"seq":8,"head":8}}"#), ["in Some(8)"]);
        assert!(hears(&mut reader, &mut say, r#"{"type":"presence","room":"tea","count":1}"#).is_empty());
        assert_eq!(hears(&mut reader, &mut say, r#"{"type":"event","room":"tea","seq":9}"#), ["delivered 0:9"]);
    }

    #[test]
    fn a_sender_posts_and_is_told_that_it_is_stored() {
        let (mut sender, mut say) = talk(Role::Sender);
        assert_eq!(hears(&mut sender, &mut say, r#"{"type":"hello","protocol":1}"#), ["in None"]);
        sender.post(4, "hello", &mut say);
        assert!(say.said()[0].contains(r#""text":"hello""#));
        let reply = r#"{"type":"reply","ref":4,"ok":{"room":"tea","seq":9}}"#;
        assert_eq!(hears(&mut sender, &mut say, reply), ["acknowledged"]);
    }

    #[test]
    fn a_refusal_is_passed_on() {
        let (mut reader, mut say) = talk(Role::Reader);
        assert!(hears(&mut reader, &mut say, "nonsense")[0].starts_with("refused"));
        hears(&mut reader, &mut say, r#"{"type":"hello"}"#);
        let error = r#"{"type":"reply","ref":0,"error":{"code":"no_room","message":"m"}}"#;
        assert!(hears(&mut reader, &mut say, error)[0].contains("no_room"));
    }
}
