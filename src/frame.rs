//! RFC 6455 on bytes: the frames that a server writes, and how it reads what a client wrote.
//! No I/O and no knowledge of what the messages say: others bring the bytes and carry them away.

use std::borrow::Cow;
use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

/// Appends a text frame, whole and unmasked, as servers send them.
pub fn write_text(payload: &str, out: &mut Vec<u8>) {
    write_frame(Opcode::Text, payload.as_bytes(), out);
}

/// What a frame says that `write_text` wrote.
pub fn written_text(frame: &[u8]) -> &str {
    let header = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(header..).and_then(|payload| str::from_utf8(payload).ok()).expect("it was written from text")
}

/// Appends a ping; of `payload` only what a control frame holds (125 bytes).
pub fn write_ping(payload: &[u8], out: &mut Vec<u8>) {
    write_frame(Opcode::Ping, &payload[..payload.len().min(MAX_CONTROL)], out);
}

/// Appends a pong; of `payload` only what a control frame holds (125 bytes).
pub fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_frame(Opcode::Pong, &payload[..payload.len().min(MAX_CONTROL)], out);
}

/// Appends a close frame; a reason over 123 bytes is cut between characters.
pub fn write_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL - 2)];
    let mut payload = Vec::with_capacity(MAX_CONTROL);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    write_frame(Opcode::Close, &payload, out);
}

/// The answer to a handshake's `Sec-WebSocket-Key`; none unless the key is 16 bytes in base64 (RFC 6455 §4.2.1).
pub fn accept_key(key: &str) -> Option<String> {
    const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let nonce = BASE64.decode(key).ok()?;
    let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    (nonce.len() == 16).then(|| BASE64.encode(hash))
}

/// What a client may send. A message may have any number of frames up to `fragments`, empty ones counted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub message_bytes: usize,
    pub fragments: u32,
}

/// A whole message or control frame from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    Text(Cow<'a, str>),
    Ping(Cow<'a, [u8]>),
    Pong(Cow<'a, [u8]>),
    /// The last thing that a client says: what follows is not to be decoded.
    Close(Option<(u16, String)>),
}

/// How a client broke the protocol or a limit. What follows is not to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("{0}")]
    Protocol(&'static str),
    #[error("expected UTF-8")]
    Utf8,
    #[error("expected text, found a binary frame")]
    Binary,
    #[error("the message is too big")]
    TooBig,
}

impl Violation {
    /// The code to close with (RFC 6455 §7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::Binary => 1003,
            Self::Utf8 => 1007,
            Self::TooBig => 1009,
        }
    }
}

/// Reads one client's frames, however they are cut into reads. Between messages it holds no memory of its own;
/// within one it holds what has come of it, never what is only announced.
#[derive(Debug, Default)]
pub struct Decoder {
    unfinished: Option<Box<Unfinished>>,
}

impl Decoder {
    /// Takes in `input`, message by message. What is whole in it is unmasked in place and borrowed from it; what it
    /// breaks off in is kept until the next call.
    pub fn decode<'d, 'a>(&'d mut self, input: &'a mut [u8], limits: Limits) -> Decoding<'d, 'a> {
        Decoding { decoder: self, input, limits }
    }

    fn header(&mut self) -> &mut Vec<u8> {
        &mut self.unfinished.get_or_insert_default().header
    }

    /// Refuses by its header alone a frame that has no place here or would break a limit.
    fn admit(&mut self, frame: &Frame, limits: Limits) -> Result<(), Violation> {
        let message = self.unfinished.as_mut().and_then(|unfinished| unfinished.message.as_mut());
        let came_before = message.as_ref().map_or(0, |message| message.text.len());
        match (frame.opcode, message) {
            (Opcode::Text, None) => {}
            (Opcode::Binary, None) => return Err(Violation::Binary),
            (Opcode::Continuation, Some(message)) => {
                message.fragments += 1;
                if message.fragments > limits.fragments {
                    return Err(Violation::TooBig);
                }
            }
            (Opcode::Continuation, None) => return Err(Violation::Protocol("a continuation of no message")),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation::Protocol("a new message before the end of the last one"));
            }
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
        }
        if frame.length > limits.message_bytes.saturating_sub(came_before) {
            return Err(Violation::TooBig);
        }
        Ok(())
    }
}

/// The messages in the bytes of one read. It ends with them, or after a close frame or a violation.
#[derive(Debug)]
pub struct Decoding<'d, 'a> {
    decoder: &'d mut Decoder,
    input: &'a mut [u8],
    limits: Limits,
}

impl<'a> Decoding<'_, 'a> {
    /// What has not been taken in yet: to be given to the decoder again by those who stop before the end.
    pub fn rest(&self) -> &[u8] {
        self.input
    }

    /// Takes in one frame, or what there is of it.
    fn next_frame(&mut self) -> Result<Option<Incoming<'a>>, Violation> {
        let under_way = self.decoder.unfinished.as_mut().and_then(|unfinished| unfinished.frame.take());
        let Some(mut frame) = under_way.map_or_else(|| self.next_header(), |frame| Ok(Some(frame)))? else {
            return Ok(None);
        };
        let begins = frame.received == 0;
        let payload = self.take(frame.length - frame.received);
        frame.unmask(payload);
        let whole = begins && frame.ended();
        if whole && frame.opcode.is_control() {
            control(frame.opcode, Cow::Borrowed(payload)).map(Some)
        } else if whole && frame.opcode == Opcode::Text && frame.fin {
            let text = str::from_utf8(payload).map_err(|_| Violation::Utf8)?;
            Ok(Some(Incoming::Text(text.into())))
        } else {
            self.decoder.unfinished.get_or_insert_default().gather(frame, payload)
        }
    }

    /// The next frame's header, put together with what the last read held of it.
    fn next_header(&mut self) -> Result<Option<Frame>, Violation> {
        let kept = self.decoder.unfinished.as_ref().map_or(0, |unfinished| unfinished.header.len());
        let parsed = if kept == 0 {
            Frame::parse(self.input)?
        } else {
            let header = self.decoder.header();
            header.extend(self.input.iter().take(MAX_HEADER - kept));
            Frame::parse(header)?
        };
        let Some((frame, length)) = parsed else {
            let part = self.take(MAX_HEADER);
            if kept == 0 {
                self.decoder.header().extend_from_slice(part);
            }
            return Ok(None);
        };
        if kept > 0 {
            self.decoder.header().clear();
        }
        self.take(length - kept);
        self.decoder.admit(&frame, self.limits)?;
        Ok(Some(frame))
    }

    /// At most `length` bytes off the front of the input.
    fn take(&mut self, length: usize) -> &'a mut [u8] {
        let input = mem::take(&mut self.input);
        let (front, rest) = input.split_at_mut(length.min(input.len()));
        self.input = rest;
        front
    }
}

impl<'a> Iterator for Decoding<'_, 'a> {
    type Item = Result<Incoming<'a>, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut item = None;
        while !self.input.is_empty() && item.is_none() {
            item = self.next_frame().transpose();
        }
        if matches!(item, Some(Ok(Incoming::Close(_)) | Err(_))) {
            self.input = &mut [];
        }
        if self.decoder.unfinished.as_ref().is_some_and(|unfinished| unfinished.is_nothing()) {
            self.decoder.unfinished = None;
        }
        item
    }
}

const MAX_HEADER: usize = 14;
/// RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less".
const MAX_CONTROL: usize = 125;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    fn parse(bits: u8) -> Option<Self> {
        [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong]
            .into_iter()
            .find(|opcode| *opcode as u8 == bits)
    }

    fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }
}

fn write_frame(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(MAX_HEADER + payload.len());
    out.push(0x80 | opcode as u8);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..126), _) => out.push(length),
        (_, Ok(length)) => {
            out.push(126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// A client's frame, of whose payload `received` bytes have come.
#[derive(Debug)]
struct Frame {
    fin: bool,
    opcode: Opcode,
    mask: [u8; 4],
    length: usize,
    received: usize,
}

impl Frame {
    /// A header (RFC 6455 §5.2) and its length in bytes; none while it has not come whole.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Violation::Protocol("a reserved bit, with no extension agreed on"));
        }
        let fin = first & 0x80 != 0;
        let opcode = Opcode::parse(first & 0x0F).ok_or(Violation::Protocol("a reserved opcode"))?;
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("a frame without a mask"));
        }
        let short = second & 0x7F;
        if opcode.is_control() && (!fin || usize::from(short) > MAX_CONTROL) {
            return Err(Violation::Protocol("a control frame in fragments or over 125 bytes"));
        }
        let Some((length, rest)) = Self::parse_length(short, rest)? else { return Ok(None) };
        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        Ok(Some((Self { fin, opcode, mask: *mask, length, received: 0 }, bytes.len() - rest.len())))
    }

    fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(usize, &[u8])>, Violation> {
        let (length, rest, least) = match short {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 126),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest, 1 << 16),
                None => return Ok(None),
            },
            _ => (u64::from(short), rest, 0),
        };
        if length < least {
            return Err(Violation::Protocol("a length in more bytes than it needs"));
        }
        if length > i64::MAX as u64 {
            return Err(Violation::Protocol("a length over 63 bits"));
        }
        let length = usize::try_from(length).map_err(|_| Violation::TooBig)?;
        Ok(Some((length, rest)))
    }

    fn ended(&self) -> bool {
        self.received == self.length
    }

    /// Takes the mask off the next part of the payload, eight bytes at a time (RFC 6455 §5.3).
    fn unmask(&mut self, payload: &mut [u8]) {
        let mut mask = self.mask;
        mask.rotate_left(self.received % 4);
        self.received += payload.len();
        let twice = (u64::from(u32::from_ne_bytes(mask)) << 32) | u64::from(u32::from_ne_bytes(mask));
        let (words, rest) = payload.as_chunks_mut();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ twice).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
    }
}

/// What has come of a frame and of a message that have not come whole.
#[derive(Debug, Default)]
struct Unfinished {
    header: Vec<u8>,
    frame: Option<Frame>,
    /// Apart from the message, since control frames may come between its fragments (RFC 6455 §5.4).
    control: Vec<u8>,
    message: Option<Message>,
}

impl Unfinished {
    fn is_nothing(&self) -> bool {
        self.header.is_empty() && self.frame.is_none() && self.message.is_none()
    }

    /// Keeps a part of a frame's payload; returns the message or control frame that it completes.
    fn gather(&mut self, frame: Frame, payload: &[u8]) -> Result<Option<Incoming<'static>>, Violation> {
        let ended = frame.ended();
        if frame.opcode.is_control() {
            self.control.extend_from_slice(payload);
            if ended {
                return control(frame.opcode, Cow::Owned(mem::take(&mut self.control))).map(Some);
            }
        } else if ended || !payload.is_empty() {
            // A message begins with its first bytes, not with its header: after that it may still come whole.
            let mut message = self.message.take().unwrap_or_default();
            message.push(payload)?;
            if ended && frame.fin {
                return message.finish().map(Some);
            }
            self.message = Some(message);
        }
        if !ended {
            self.frame = Some(frame);
        }
        Ok(None)
    }
}

#[derive(Debug)]
struct Message {
    text: Vec<u8>,
    /// So much of the text is known to be UTF-8; at most a part of one character follows.
    valid: usize,
    fragments: u32,
}

impl Default for Message {
    fn default() -> Self {
        Self { text: Vec::new(), valid: 0, fragments: 1 }
    }
}

impl Message {
    fn push(&mut self, payload: &[u8]) -> Result<(), Violation> {
        self.text.extend_from_slice(payload);
        self.valid += match str::from_utf8(&self.text[self.valid..]) {
            Ok(text) => text.len(),
            Err(cut) if cut.error_len().is_none() => cut.valid_up_to(),
            Err(_) => return Err(Violation::Utf8),
        };
        Ok(())
    }

    fn finish(self) -> Result<Incoming<'static>, Violation> {
        let text = String::from_utf8(self.text).map_err(|_| Violation::Utf8)?;
        Ok(Incoming::Text(text.into()))
    }
}

fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Incoming<'_>, Violation> {
    match opcode {
        Opcode::Ping => Ok(Incoming::Ping(payload)),
        Opcode::Pong => Ok(Incoming::Pong(payload)),
        _ => close(&payload).map(Incoming::Close),
    }
}

/// The code and reason of a close frame (RFC 6455 §5.5.1), of the codes that may be sent (§7.4 and IANA's registry).
fn close(payload: &[u8]) -> Result<Option<(u16, String)>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        let nothing = payload.is_empty();
        return if nothing { Ok(None) } else { Err(Violation::Protocol("half a close code")) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::Protocol("a close code that is not to be sent"));
    }
    let reason = str::from_utf8(reason).map_err(|_| Violation::Utf8)?;
    Ok(Some((code, reason.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { message_bytes: 1000, fragments: 3 };
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// A client's frame; `first` is its first byte: FIN, reserved bits, opcode.
    fn masked(first: u8, payload: &str) -> Vec<u8> {
        let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
        frame.extend(MASK);
        frame.extend(payload.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn decode_one(decoder: &mut Decoder, mut bytes: Vec<u8>) -> Option<Result<Incoming<'static>, Violation>> {
        let mut decoding = decoder.decode(&mut bytes, LIMITS);
        let first = decoding.next().map(|incoming| {
            incoming.map(|incoming| match incoming {
                Incoming::Text(text) => Incoming::Text(text.into_owned().into()),
                Incoming::Ping(payload) => Incoming::Ping(payload.into_owned().into()),
                Incoming::Pong(payload) => Incoming::Pong(payload.into_owned().into()),
                Incoming::Close(close) => Incoming::Close(close),
            })
        });
        assert_eq!(decoding.next(), None);
        first
    }

    #[test]
    fn the_samples_of_the_rfc() {
        let mut out = Vec::new();
        write_text("Hello", &mut out);
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], "§5.7");
        let hello = vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(decode_one(&mut Decoder::default(), hello), Some(Ok(Incoming::Text("Hello".into()))), "§5.7");
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ==").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "§1.3");
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZTE=", "no key", "é"] {
            assert_eq!(accept_key(key), None, "{key:?}");
        }
    }

    #[test]
    fn lengths_take_as_few_bytes_as_they_can() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            write_text(&"x".repeat(length), &mut out);
            assert_eq!(&out[..header.len()], header);
            assert_eq!(written_text(&out), "x".repeat(length));
            assert_eq!(out.len(), header.len() + length);
        }
    }

    #[test]
    fn control_frames_are_cut_to_what_they_hold() {
        let mut out = Vec::new();
        write_close(1001, &"é".repeat(100), &mut out);
        assert_eq!(out[..4], [0x88, 2 + 122, 0x03, 0xe9], "61 whole characters, not 61 and a half");
        assert_eq!(str::from_utf8(&out[4..]), Ok(&*"é".repeat(61)));
        out.clear();
        write_ping(&[1; 200], &mut out);
        assert_eq!((out[0], out[1], out.len()), (0x89, 125, 127));
        out.clear();
        write_pong(&[1; 200], &mut out);
        assert_eq!((out[0], out[1], out.len()), (0x8a, 125, 127));
    }

    #[test]
    fn the_mask_comes_off_wherever_a_part_begins() {
        let payload: Vec<u8> = (0..100).collect();
        let masked: Vec<u8> = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        for cut in 0..=payload.len() {
            let mut parts = masked.clone();
            let mut frame = Frame { fin: true, opcode: Opcode::Text, mask: MASK, length: 100, received: 0 };
            let (front, rest) = parts.split_at_mut(cut);
            frame.unmask(front);
            frame.unmask(rest);
            assert_eq!(parts, payload, "cut at {cut}");
            assert!(frame.ended());
        }
    }

    #[test]
    fn between_messages_a_decoder_holds_nothing() {
        assert!(size_of::<Decoder>() <= 16);
        let mut decoder = Decoder::default();
        for bytes in [masked(0x81, "a"), masked(0x01, "b"), masked(0x89, "c"), masked(0x80, "d"), masked(0x8a, "")] {
            for byte in bytes {
                decode_one(&mut decoder, vec![byte]);
                assert!(decoder.unfinished.is_some() || byte != 0x81);
            }
        }
        assert!(decoder.unfinished.is_none());
        decode_one(&mut decoder, masked(0x81, "whole"));
        assert!(decoder.unfinished.is_none());
    }

    #[test]
    fn what_is_only_announced_takes_no_memory() {
        let mut decoder = Decoder::default();
        let mut bytes = masked(0x81, &"x".repeat(100));
        bytes.truncate(16);
        assert_eq!(decode_one(&mut decoder, bytes), None);
        let message = decoder.unfinished.unwrap().message.unwrap();
        assert!(message.text.len() == 10 && message.text.capacity() < 50);
    }

    #[test]
    fn what_came_whole_is_not_copied() {
        let mut bytes = [masked(0x01, "a"), masked(0x89, "ping"), masked(0x80, "b"), masked(0x81, "text")].concat();
        let incoming: Vec<_> = Decoder::default().decode(&mut bytes, LIMITS).collect();
        assert!(matches!(incoming[0], Ok(Incoming::Ping(Cow::Borrowed(b"ping")))));
        assert_eq!(incoming[1], Ok(Incoming::Text("ab".into())));
        assert!(matches!(incoming[2], Ok(Incoming::Text(Cow::Borrowed("text")))));
    }

    #[test]
    fn the_rest_can_be_decoded_later() {
        let mut bytes = [masked(0x01, "a"), masked(0x80, "b"), masked(0x81, "c")].concat();
        let mut decoder = Decoder::default();
        let mut decoding = decoder.decode(&mut bytes, LIMITS);
        assert_eq!(decoding.next(), Some(Ok(Incoming::Text("ab".into()))));
        let rest = decoding.rest().to_vec();
        assert_eq!(decode_one(&mut decoder, rest), Some(Ok(Incoming::Text("c".into()))));
    }

    #[test]
    fn nothing_is_read_after_a_close_or_a_violation() {
        for last in [masked(0x88, ""), masked(0xf1, "")] {
            let mut bytes = [last, masked(0x81, "a")].concat();
            let mut decoder = Decoder::default();
            let mut decoding = decoder.decode(&mut bytes, LIMITS);
            assert!(matches!(decoding.next(), Some(Ok(Incoming::Close(None)) | Err(Violation::Protocol(_)))));
            assert_eq!(decoding.next(), None);
            assert!(decoding.rest().is_empty());
        }
    }
}
