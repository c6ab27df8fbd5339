//! XMPP over WebSocket (RFC 7395): an anonymous user who enters a multi-user chat. Each frame is one stanza, and what
//! matters in it is found by its beginning and a word or two; the servers under test are our own configuration.

use super::{Heard, Outbox, Role, Seat, Talk};

const DOMAIN: &str = "localhost";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const SELF_PRESENCE: &str = "<status code='110'/>";

pub struct Xmpp {
    seat: Seat,
    authenticated: bool,
    joined: bool,
}

impl Xmpp {
    pub fn new(seat: Seat) -> Self {
        Self { seat, authenticated: false, joined: false }
    }

    fn room(&self) -> String {
        format!("{}@conference.{DOMAIN}", self.seat.room)
    }

    fn enters(&mut self, stanza: &str, say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        if stanza.starts_with("<stream:features") && !self.authenticated {
            say.say(format!("<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>").as_bytes());
        } else if stanza.starts_with("<success") {
            self.authenticated = true;
            self.begins(say);
        } else if stanza.starts_with("<stream:features") {
            say.say(format!("<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='{BIND}'/></iq>").as_bytes());
        } else if stanza.starts_with("<iq") && stanza.contains("type='result'") {
            let presence = format!(
                "<presence xmlns='jabber:client' to='{}/bench-{}'><x xmlns='http://jabber.org/protocol/muc'>\
                 <history maxstanzas='0'/></x></presence>",
                self.room(),
                self.seat.number
            );
            say.say(presence.as_bytes());
        } else if stanza.starts_with("<presence") && stanza.contains(SELF_PRESENCE) {
            self.joined = true;
            heard(Heard::In { head: None });
        } else if !stanza.starts_with("<open") && !stanza.starts_with("<presence") {
            heard(Heard::Refused(stanza.to_owned()));
        }
    }
}

impl Talk for Xmpp {
    fn target(&self) -> String {
        "/ws".to_owned()
    }

    fn subprotocol(&self) -> Option<&'static str> {
        Some("xmpp")
    }

    fn begins(&mut self, say: &mut Outbox) {
        let open = format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{DOMAIN}' version='1.0'/>");
        say.say(open.as_bytes());
    }

    fn hears(&mut self, payload: &[u8], say: &mut Outbox, heard: &mut dyn FnMut(Heard)) {
        let stanza = str::from_utf8(payload).unwrap_or_default();
        if stanza.contains("type='error'") {
            heard(Heard::Refused(stanza.to_owned()));
        } else if !self.joined {
            self.enters(stanza, say, heard);
        } else if self.seat.role == Role::Reader
            && let Some(text) = body(stanza)
        {
            heard(Heard::text(text.as_bytes()));
        }
    }

    fn post(&mut self, _number: u64, text: &str, say: &mut Outbox) {
        // A text of the generator has nothing to escape.
        let message = format!(
            "<message xmlns='jabber:client' to='{}' type='groupchat'><body>{text}</body></message>",
            self.room()
        );
        say.say(message.as_bytes());
    }
}

/// What is said; nothing for presence, a subject and whatever else goes by.
fn body(stanza: &str) -> Option<&str> {
    let (_, rest) = stanza.strip_prefix("<message")?.split_once("<body>")?;
    rest.split_once('<').map(|(body, _)| body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    fn talk(role: Role) -> Xmpp {
        Xmpp::new(Seat { role, room: "tea".to_owned(), number: 3 })
    }

    fn hears(talk: &mut Xmpp, stanza: &str) -> (String, Vec<String>) {
        let mut say = Outbox::new(talk.binary());
        let mut told = Vec::new();
        talk.hears(stanza.as_bytes(), &mut say, &mut |heard| {
            told.push(match heard {
                Heard::In { head: None } => "in".to_owned(),
                Heard::Delivered { lane, number, .. } => format!("{number} in lane {lane}"),
                _ => "refused".to_owned(),
            });
        });
        (say.said().join("\n"), told)
    }

    fn join(talk: &mut Xmpp) {
        let self_presence = "<presence xmlns='jabber:client' from='tea@conference.localhost/bench-3'>\
                             <x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/>\
                             <status code='110'/></x></presence>";
        assert_eq!(hears(talk, self_presence), (String::new(), vec!["in".to_owned()]));
    }

    #[test]
    fn a_reader_signs_in_binds_and_enters() {
        let mut reader = talk(Role::Reader);
        let mut say = Outbox::new(reader.binary());
        reader.begins(&mut say);
        let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>";
        assert_eq!(say.said(), [open]);
        assert_eq!(hears(&mut reader, "<open from='localhost'/>"), (String::new(), vec![]));
        let features = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'/>";
        assert!(hears(&mut reader, features).0.ends_with(" mechanism='ANONYMOUS'/>"));
        assert_eq!(hears(&mut reader, "<success xmlns='x'/>").0, open);
        assert!(hears(&mut reader, features).0.contains("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"));
        let (presence, _) = hears(&mut reader, "<iq xmlns='jabber:client' type='result' id='bind'/>");
        assert!(presence.starts_with("<presence xmlns='jabber:client' to='tea@conference.localhost/bench-3'>"));
        assert_eq!(hears(&mut reader, "<presence from='tea@conference.localhost'/>"), (String::new(), vec![]));
        join(&mut reader);
        assert_eq!(hears(&mut reader, "<message type='groupchat'><subject/></message>"), (String::new(), vec![]));
    }

    #[test]
    fn what_a_sender_posts_comes_to_readers_only() {
        let text = Stamp { due: 1, lane: 2, number: 3 }.text(100);
        let mut sender = talk(Role::Sender);
        let mut say = Outbox::new(sender.binary());
        sender.post(0, &text, &mut say);
        let said = say.said().join("");
        assert_eq!(
            said,
            format!(
                "<message xmlns='jabber:client' to='tea@conference.localhost' type='groupchat'><body>{text}</body></message>"
            )
        );
        join(&mut sender);
        assert!(hears(&mut sender, &said).1.is_empty());
        let mut reader = talk(Role::Reader);
        join(&mut reader);
        assert_eq!(hears(&mut reader, &said).1, ["3 in lane 2"]);
    }

    #[test]
    fn an_error_is_told() {
        let refusal = "<presence type='error'><error type='wait'/></presence>";
        assert_eq!(hears(&mut talk(Role::Reader), refusal).1, ["refused"]);
        assert_eq!(hears(&mut talk(Role::Reader), "<failure xmlns='x'/>").1, ["refused"]);
    }
}
