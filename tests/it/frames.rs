//! The frame codec against the RFC, case by case as the Autobahn test suite orders them, and against another
//! implementation, however the bytes are cut into reads.

use std::io::{self, Cursor, Read, Write};

use chinwag::frame::{self, Decoder, Incoming, Limits, Violation};
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocket};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

const LIMITS: Limits = Limits { message_bytes: 262_144, fragments: 65_536 };

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

const MASKED: u8 = 0x80;
const IN_16_BITS: u8 = 0x7e;
const IN_64_BITS: u8 = 0x7f;

/// What the decoder made of a stream: the messages, and how it ended.
type Heard = (Vec<Incoming<'static>>, Option<Violation>);

/// A client's frame, masked; `first` is its first byte: FIN, reserved bits, opcode.
fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mask = [0x9b, 0x00, 0xe4, 0x5d];
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(MASKED | u8::try_from(length).expect("under 126")),
        length @ ..65_536 => {
            frame.push(MASKED | IN_16_BITS);
            frame.extend(u16::try_from(length).expect("under 65,536").to_be_bytes());
        }
        length => {
            frame.push(MASKED | IN_64_BITS);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn text(text: &str) -> Incoming<'static> {
    Incoming::Text(text.to_owned().into())
}

fn ping(payload: impl AsRef<[u8]>) -> Incoming<'static> {
    Incoming::Ping(payload.as_ref().to_vec().into())
}

fn pong(payload: impl AsRef<[u8]>) -> Incoming<'static> {
    Incoming::Pong(payload.as_ref().to_vec().into())
}

fn owned(incoming: Incoming<'_>) -> Incoming<'static> {
    match incoming {
        Incoming::Text(text) => Incoming::Text(text.into_owned().into()),
        Incoming::Ping(payload) => Incoming::Ping(payload.into_owned().into()),
        Incoming::Pong(payload) => Incoming::Pong(payload.into_owned().into()),
        Incoming::Close(close) => Incoming::Close(close),
    }
}

/// Decodes reads one after another, up to a close or a violation.
fn decode<'r>(reads: impl IntoIterator<Item = &'r [u8]>, limits: Limits) -> Heard {
    let mut decoder = Decoder::default();
    let mut heard = Vec::new();
    for read in reads {
        for incoming in decoder.decode(&mut read.to_vec(), limits) {
            match incoming {
                Ok(incoming) => heard.push(owned(incoming)),
                Err(violation) => return (heard, Some(violation)),
            }
        }
        if matches!(heard.last(), Some(Incoming::Close(_))) {
            break;
        }
    }
    (heard, None)
}

/// Decodes a stream whole, byte by byte and in odd parts, which must make no difference.
fn hear_within(stream: &[u8], limits: Limits) -> Heard {
    let whole = decode([stream], limits);
    for size in [1, 2, 3, 7, 997] {
        assert_eq!(decode(stream.chunks(size), limits), whole, "in reads of {size}");
    }
    whole
}

fn hear(frames: &[Vec<u8>]) -> Heard {
    hear_within(&frames.concat(), LIMITS)
}

#[track_caller]
fn accepts(frames: &[Vec<u8>], expected: &[Incoming<'static>]) {
    let (heard, violation) = hear(frames);
    assert!(violation.is_none() && heard == expected, "heard {heard:.100?}, then {violation:?}");
}

/// The stream is refused with this close code, after these messages.
#[track_caller]
fn refuses(frames: &[Vec<u8>], expected: &[Incoming<'static>], close_code: u16) {
    let (heard, violation) = hear(frames);
    assert_eq!(violation.map(Violation::close_code), Some(close_code), "heard {heard:.100?}");
    assert_eq!(heard, expected);
}

#[test]
fn autobahn_1_messages_of_every_size() {
    for size in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537, 262_144] {
        let payload = "*".repeat(size);
        accepts(&[frame(FIN | TEXT, &payload)], &[text(&payload)]);
    }
    for size in [0, 1, 126, 65_536] {
        refuses(&[frame(FIN | BINARY, vec![0xfe; size])], &[], 1003);
        refuses(&[frame(BINARY, vec![0xfe; size])], &[], 1003);
    }
}

#[test]
fn autobahn_2_pings_and_pongs() {
    let binary = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    for payload in [&b""[..], b"Hello, world!", &binary, &[0xfe; 125]] {
        accepts(&[frame(FIN | PING, payload)], &[ping(payload)]);
        accepts(&[frame(FIN | PONG, payload)], &[pong(payload)]);
    }
    refuses(&[frame(FIN | PING, [0xfe; 126])], &[], 1002);
    refuses(&[frame(FIN | PONG, [0xfe; 126])], &[], 1002);
    refuses(&[frame(FIN | PING, vec![0xfe; 70_000])], &[], 1002);
    accepts(&[frame(FIN | PONG, "unasked"), frame(FIN | PING, "ping")], &[pong("unasked"), ping("ping")]);
    let pings: Vec<_> = (0..10).map(|n| frame(FIN | PING, format!("payload-{n}"))).collect();
    let expected: Vec<_> = (0..10).map(|n| ping(format!("payload-{n}"))).collect();
    accepts(&pings, &expected);
}

#[test]
fn autobahn_3_reserved_bits() {
    for bits in 1..8_u8 {
        for opcode in [TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE] {
            for payload in ["", "Hello, world!"] {
                let before = frame(FIN | TEXT, "before");
                let odd = frame(FIN | bits << 4 | opcode, payload);
                refuses(&[before, odd, frame(FIN | PING, "")], &[text("before")], 1002);
            }
        }
    }
}

#[test]
fn autobahn_4_reserved_opcodes() {
    for opcode in (3..8).chain(11..16) {
        for payload in ["", "reserved opcode payload"] {
            let before = frame(FIN | TEXT, "before");
            refuses(&[before, frame(FIN | opcode, payload), frame(FIN | PING, "")], &[text("before")], 1002);
            refuses(&[frame(TEXT, "a"), frame(FIN | opcode, payload)], &[], 1002);
        }
    }
}

#[test]
fn autobahn_5_fragments() {
    for opcode in [PING, PONG, CLOSE] {
        refuses(&[frame(opcode, "fragment1"), frame(FIN | CONTINUATION, "fragment2")], &[], 1002);
    }
    let (start, end) = (frame(TEXT, "fragment1"), frame(FIN | CONTINUATION, "fragment2"));
    accepts(&[start.clone(), end.clone()], &[text("fragment1fragment2")]);
    accepts(
        &[start.clone(), frame(FIN | PING, "ping"), frame(FIN | PONG, [0xff; 125]), end.clone()],
        &[ping("ping"), pong([0xff; 125]), text("fragment1fragment2")],
    );
    for continuation in [FIN | CONTINUATION, CONTINUATION] {
        refuses(&[frame(continuation, "of nothing"), frame(FIN | TEXT, "a")], &[], 1002);
        refuses(&[frame(continuation, ""), frame(FIN | TEXT, "a")], &[], 1002);
        refuses(&[start.clone(), end.clone(), frame(continuation, "of nothing")], &[text("fragment1fragment2")], 1002);
    }
    for new in [TEXT, FIN | TEXT, BINARY, FIN | BINARY] {
        refuses(&[start.clone(), frame(FIN | PING, ""), frame(new, "a new message")], &[ping("")], 1002);
    }
    let parts = ["fragment1", "fragment2", "fragment3", "fragment4", "fragment5"];
    let mut frames = vec![frame(TEXT, parts[0])];
    for part in &parts[1..4] {
        frames.extend([frame(CONTINUATION, part), frame(FIN | PING, part)]);
    }
    frames.push(frame(FIN | CONTINUATION, parts[4]));
    let twice = [frames.concat(), frames.concat()];
    let once = [ping(parts[1]), ping(parts[2]), ping(parts[3]), text(&parts.concat())];
    accepts(&twice, &[once.clone(), once].concat());
    refuses(&[start, frame(FIN | CLOSE, [0x03])], &[], 1002);
}

/// Markus Kuhn's stress test for UTF-8 decoders, which Autobahn's family 6 follows.
const UTF8: [&[u8]; 59] = [
    b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    b"\x00",
    b"\xc2\x80",
    b"\xe0\xa0\x80",
    b"\xf0\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\x7f",
    b"\xdf\xbf",
    b"\xef\xbf\xbf",
    b"\xf4\x8f\xbf\xbf",
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80\xbf\x80\xbf",
    b"\xc0 \xc1 \xc2 \xc3 ",
    b"\xe0 \xe1 \xee \xef ",
    b"\xf0 \xf3 \xf4 \xf5 ",
    b"\xfc \xfd ",
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xf1\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
    b"\xef\xbf\xbe\xf0\x9f\xbf\xbe\xf4\x8f\xbf\xbe",
];

#[test]
fn autobahn_6_utf8_in_frames_and_across_fragments() {
    accepts(&[frame(FIN | TEXT, "")], &[text("")]);
    accepts(&[frame(TEXT, ""), frame(CONTINUATION, ""), frame(FIN | CONTINUATION, "")], &[text("")]);
    accepts(&[frame(TEXT, ""), frame(CONTINUATION, "é"), frame(FIN | CONTINUATION, "")], &[text("é")]);
    for bytes in UTF8 {
        let verdict = |frames: &[Vec<u8>]| match str::from_utf8(bytes) {
            Ok(valid) => accepts(frames, &[text(valid)]),
            Err(_) => refuses(frames, &[], 1007),
        };
        verdict(&[frame(FIN | TEXT, bytes)]);
        for cut in 0..=bytes.len() {
            let (start, end) = bytes.split_at(cut);
            verdict(&[frame(TEXT, start), frame(CONTINUATION, ""), frame(FIN | CONTINUATION, end)]);
        }
        let mut octets: Vec<_> = bytes.iter().map(|byte| frame(CONTINUATION, [*byte])).collect();
        octets.insert(0, frame(TEXT, ""));
        octets.push(frame(FIN | CONTINUATION, ""));
        verdict(&octets);
    }
}

/// Family 6.4: as soon as the bytes cannot become UTF-8 any more, whatever of the message is still to come.
#[test]
fn autobahn_6_4_invalid_utf8_fails_fast() {
    let valid = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}";
    for invalid in [&b"\xf4\x90"[..], b"\xed\xa0", b"\xc0", b"\x80"] {
        let start = [valid.as_bytes(), invalid].concat();
        refuses(&[frame(TEXT, &start)], &[], 1007);
        refuses(&[frame(TEXT, valid), frame(CONTINUATION, invalid)], &[], 1007);
        let mut unfinished = frame(FIN | TEXT, [&start[..], &[b'x'; 1000]].concat());
        unfinished.truncate(8 + start.len());
        refuses(&[unfinished], &[], 1007);
    }
}

#[test]
fn autobahn_7_closing() {
    let close = |payload: &[u8]| frame(FIN | CLOSE, payload);
    let with = |code: u16, reason: &str| close(&[&code.to_be_bytes(), reason.as_bytes()].concat());
    let closed = |code, reason: &str| Incoming::Close(Some((code, reason.to_owned())));
    accepts(&[frame(FIN | TEXT, "a"), close(b""), frame(FIN | TEXT, "b")], &[text("a"), Incoming::Close(None)]);
    accepts(&[frame(TEXT, "a"), close(b""), frame(FIN | CONTINUATION, "b")], &[Incoming::Close(None)]);
    accepts(&[close(b""), close(b""), vec![0xff; 100]], &[Incoming::Close(None)]);
    refuses(&[close(b"\x03")], &[], 1002);
    accepts(&[with(1000, "")], &[closed(1000, "")]);
    accepts(&[with(1000, "Hello World!")], &[closed(1000, "Hello World!")]);
    accepts(&[with(1000, &"*".repeat(123))], &[closed(1000, &"*".repeat(123))]);
    refuses(&[with(1000, &"*".repeat(124))], &[], 1002);
    refuses(&[close(b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")], &[], 1007);
    refuses(&[close(b"\x03\xe8\xc3")], &[], 1007);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        accepts(&[with(code, "")], &[closed(code, "")]);
        accepts(&[with(code, "why")], &[closed(code, "why")]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        refuses(&[with(code, "")], &[], 1002);
        refuses(&[with(code, "why")], &[], 1002);
    }
}

#[test]
fn autobahn_9_limits() {
    let long = "é".repeat(LIMITS.message_bytes / 2);
    accepts(&[frame(FIN | TEXT, &long)], &[text(&long)]);
    refuses(&[frame(FIN | TEXT, format!("{long}x"))], &[], 1009);
    let most = Limits { message_bytes: 10_000, ..LIMITS };
    let long = "é".repeat(5000);
    for size in [1, 64, 256, 1024, 4096, 9999] {
        let mut frames: Vec<_> = long.as_bytes().chunks(size).map(|part| frame(CONTINUATION, part)).collect();
        frames[0][0] = TEXT;
        let ended = |part: &str| [frames.concat(), frame(FIN | CONTINUATION, part)].concat();
        assert_eq!(hear_within(&ended(""), most), (vec![text(&long)], None));
        assert_eq!(hear_within(&ended("x"), most), (vec![], Some(Violation::TooBig)));
    }
    let large = "*".repeat(4 << 20);
    let limits = Limits { message_bytes: large.len(), ..LIMITS };
    let stream = frame(FIN | TEXT, &large);
    assert!(decode(stream.chunks(65_536), limits) == (vec![text(&large)], None));
}

#[test]
fn autobahn_10_many_fragments() {
    let long = "*".repeat(65_536);
    let mut frames: Vec<_> = long.as_bytes().chunks(1300).map(|part| frame(CONTINUATION, part)).collect();
    frames[0][0] = TEXT;
    frames.last_mut().unwrap()[0] = FIN | CONTINUATION;
    accepts(&frames, &[text(&long)]);
}

#[test]
fn fragments_are_counted_even_if_they_are_empty() {
    for payload in ["", "x"] {
        let mut stream = frame(TEXT, payload);
        for _ in 0..65_534 {
            stream.extend(frame(CONTINUATION, payload));
        }
        let last = [&stream[..], &frame(FIN | CONTINUATION, payload)].concat();
        assert_eq!(decode([&last[..]], LIMITS), (vec![text(&payload.repeat(65_536))], None));
        stream.extend(frame(CONTINUATION, payload));
        assert_eq!(decode([&stream[..]], LIMITS), (vec![], None));
        stream.extend(frame(FIN | CONTINUATION, payload));
        assert_eq!(decode([&stream[..]], LIMITS), (vec![], Some(Violation::TooBig)));
    }
}

#[test]
fn a_client_masks_its_frames() {
    for opcode in [TEXT, PING, PONG, CLOSE] {
        refuses(&[vec![FIN | opcode, 0]], &[], 1002);
        refuses(&[frame(FIN | TEXT, "a"), vec![FIN | opcode, 2, 0x03, 0xe8]], &[text("a")], 1002);
    }
}

#[test]
fn lengths_are_written_as_short_as_they_can_be() {
    for length in [0, 1, 125_u16] {
        refuses(&[[&[FIN | TEXT, MASKED | IN_16_BITS][..], &length.to_be_bytes(), &[0; 4]].concat()], &[], 1002);
    }
    for length in [0, 125, 126, 65_535_u64] {
        refuses(&[[&[FIN | TEXT, MASKED | IN_64_BITS][..], &length.to_be_bytes(), &[0; 4]].concat()], &[], 1002);
    }
}

#[test]
fn what_is_too_long_is_refused_by_its_header() {
    let announced =
        |first: u8, length: u64| [&[first, MASKED | IN_64_BITS][..], &length.to_be_bytes(), &[0; 4]].concat();
    for length in [262_145, 1 << 32, 1 << 40, i64::MAX as u64] {
        refuses(&[announced(FIN | TEXT, length)], &[], 1009);
        refuses(&[frame(TEXT, "a"), announced(CONTINUATION, length)], &[], 1009);
        refuses(&[announced(FIN | BINARY, length)], &[], 1003);
        refuses(&[announced(FIN | PING, length)], &[], 1002);
    }
    for length in [1 << 63, u64::MAX] {
        refuses(&[announced(FIN | TEXT, length)], &[], 1002);
    }
    accepts(&[announced(FIN | TEXT, 262_144)], &[]);
    refuses(&[frame(TEXT, "a"), announced(CONTINUATION, 262_144)], &[], 1009);
}

#[test]
fn a_large_frame_may_trickle_in() {
    let long = "é".repeat(LIMITS.message_bytes / 2);
    assert!(decode(frame(FIN | TEXT, &long).chunks(1), LIMITS) == (vec![text(&long)], None));
}

#[test]
fn it_does_not_matter_where_reads_begin() {
    let frames = [
        frame(FIN | TEXT, "whole"),
        frame(TEXT, "fr\u{e4}"),
        frame(FIN | PING, "ping"),
        frame(FIN | CONTINUATION, "gment"),
        frame(FIN | TEXT, ""),
        frame(FIN | CLOSE, [0x03, 0xe8]),
    ];
    let expected =
        [text("whole"), ping("ping"), text("fr\u{e4}gment"), text(""), Incoming::Close(Some((1000, String::new())))];
    let stream = frames.concat();
    for second in 0..=stream.len() {
        for first in 0..=second {
            let reads = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(decode(reads, LIMITS), (expected.to_vec(), None), "cut at {first} and {second}");
        }
    }
}

/// What one side reads, and what it writes, apart from each other.
#[derive(Default)]
struct Wire {
    incoming: Cursor<Vec<u8>>,
    outgoing: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that tungstenite reads from a stream before its end or its first complaint.
fn tungstenite_hears(stream: &[u8], role: Role) -> Vec<Incoming<'static>> {
    let wire = Wire { incoming: Cursor::new(stream.to_vec()), outgoing: Vec::new() };
    let mut socket = WebSocket::from_raw_socket(wire, role, None);
    let mut heard = Vec::new();
    while let Ok(message) = socket.read() {
        heard.push(match message {
            Message::Text(payload) => text(&payload),
            Message::Ping(payload) => ping(payload),
            Message::Pong(payload) => pong(payload),
            Message::Close(close) => {
                Incoming::Close(close.map(|close| (close.code.into(), close.reason.as_str().to_owned())))
            }
            Message::Binary(_) | Message::Frame(_) => break,
        });
    }
    heard
}

/// The frames as tungstenite's client writes them, each with a mask of its own.
fn tungstenite_writes(frames: Vec<Frame>) -> Vec<u8> {
    let mut socket = WebSocket::from_raw_socket(Wire::default(), Role::Client, None);
    for frame in frames {
        socket.send(Message::Frame(frame)).expect("a vector takes everything");
    }
    socket.into_inner().outgoing
}

fn message_text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "\\PC{0,40}",
        2 => (100_usize..140).prop_map(|length| "x".repeat(length)),
        1 => (65_500_usize..65_600).prop_map(|length| "x".repeat(length)),
    ]
}

fn control_payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..10),
        1 => proptest::collection::vec(any::<u8>(), 120..126),
    ]
}

fn control() -> impl Strategy<Value = Incoming<'static>> {
    (any::<bool>(), control_payload())
        .prop_map(|(is_ping, payload)| if is_ping { ping(payload) } else { pong(payload) })
}

fn close() -> impl Strategy<Value = Incoming<'static>> {
    let code = prop_oneof![1000..1004_u16, 1007..1014_u16, 3000..5000_u16];
    proptest::option::of((code, "\\PC{0,30}")).prop_map(Incoming::Close)
}

/// Messages and controls, and perhaps a close at the end.
fn conversation() -> impl Strategy<Value = Vec<Incoming<'static>>> {
    let one = prop_oneof![message_text().prop_map(|payload| text(&payload)), control()];
    (proptest::collection::vec(one, 0..8), proptest::option::of(close())).prop_map(|(mut all, close)| {
        all.extend(close);
        all
    })
}

/// Adds the frames of one message cut at these places, with controls in between, and what is then heard.
fn fragment(
    payload: &str,
    cuts: &[prop::sample::Index],
    controls: &[Incoming<'static>],
    frames: &mut Vec<Frame>,
    heard: &mut Vec<Incoming<'static>>,
) {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    places.sort_unstable();
    places.push(payload.len());
    let mut from = 0;
    for (index, to) in places.iter().enumerate() {
        let data = if index == 0 { Data::Text } else { Data::Continue };
        let part = Bytes::copy_from_slice(&payload.as_bytes()[from..*to]);
        frames.push(Frame::message(part, OpCode::Data(data), index + 1 == places.len()));
        from = *to;
        if index + 1 < places.len()
            && let Some(control) = controls.get(index)
        {
            frames.push(control_frame(control));
            heard.push(control.clone());
        }
    }
    heard.push(text(payload));
}

fn control_frame(control: &Incoming<'_>) -> Frame {
    match control {
        Incoming::Ping(payload) => Frame::ping(payload.to_vec()),
        Incoming::Pong(payload) => Frame::pong(payload.to_vec()),
        Incoming::Close(close) => Frame::close(close.as_ref().map(|(code, reason)| CloseFrame {
            code: CloseCode::from(*code),
            reason: Utf8Bytes::from(reason.as_str()),
        })),
        Incoming::Text(_) => unreachable!("a text is no control frame"),
    }
}

/// Frames that a careless or hostile client may send: each field right most of the time.
fn odd_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![FIN | TEXT, TEXT, CONTINUATION, FIN | CONTINUATION, FIN | PING, FIN | PONG]),
        1 => Just(FIN | CLOSE),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        6 => "\\PC{0,6}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
        1 => Just(b"\x03\xe8why".to_vec()),
        1 => Just(vec![b'x'; 126]),
    ];
    let change = proptest::option::weighted(0.1, (any::<prop::sample::Index>(), any::<u8>()));
    (first, payload, change).prop_map(|(first, payload, change)| {
        let mut frame = frame(first, payload);
        if let Some((place, byte)) = change {
            let place = place.index(frame.len());
            frame[place] = byte;
        }
        frame
    })
}

/// The stream in reads of these sizes, over and over.
fn reads<'s>(mut stream: &'s [u8], sizes: &[usize]) -> Vec<&'s [u8]> {
    let mut reads = Vec::new();
    for size in sizes.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let (read, rest) = stream.split_at((*size).min(stream.len()));
        reads.push(read);
        stream = rest;
    }
    reads
}

fn read_sizes() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![4 => 1..20_usize, 1 => 1..70_000_usize], 1..8)
}

proptest! {
    #[test]
    fn tungstenite_reads_what_we_write(said in conversation()) {
        let mut stream = Vec::new();
        for one in &said {
            match one {
                Incoming::Text(text) => frame::write_text(text, &mut stream),
                Incoming::Ping(payload) => frame::write_ping(payload, &mut stream),
                Incoming::Pong(payload) => frame::write_pong(payload, &mut stream),
                Incoming::Close(Some((code, reason))) => frame::write_close(*code, reason, &mut stream),
                Incoming::Close(None) => {}
            }
        }
        let expected: Vec<_> = said.into_iter().filter(|one| *one != Incoming::Close(None)).collect();
        prop_assert_eq!(tungstenite_hears(&stream, Role::Client), expected);
    }

    #[test]
    fn we_read_what_tungstenite_writes(
        messages in proptest::collection::vec(
            (message_text(), any::<[prop::sample::Index; 4]>(), 0..5_usize, proptest::collection::vec(control(), 0..4)),
            0..5,
        ),
        close in proptest::option::of(close()),
        sizes in read_sizes(),
    ) {
        let (mut frames, mut expected) = (Vec::new(), Vec::new());
        for (payload, cuts, count, controls) in &messages {
            fragment(payload, &cuts[..*count], controls, &mut frames, &mut expected);
        }
        frames.extend(close.as_ref().map(control_frame));
        expected.extend(close);
        let stream = tungstenite_writes(frames);
        prop_assert_eq!(decode(reads(&stream, &sizes), LIMITS), (expected, None));
    }

    /// We are the stricter one (lengths, close codes, binary), so what we take tungstenite takes for the same.
    #[test]
    fn what_we_accept_tungstenite_hears_too(
        frames in proptest::collection::vec(odd_frame(), 0..8),
        sizes in read_sizes(),
    ) {
        let stream = frames.concat();
        let whole = decode([&stream[..]], LIMITS);
        prop_assert_eq!(&decode(reads(&stream, &sizes), LIMITS), &whole);
        let theirs = tungstenite_hears(&stream, Role::Server);
        let (ours, violation) = whole;
        prop_assert!(theirs.starts_with(&ours), "{:?} {:?}", ours, theirs);
        prop_assert!(violation.is_some() || theirs == ours, "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn rubbish_is_answered_alike_however_it_is_cut(
        stream in proptest::collection::vec(any::<u8>(), 0..200),
        sizes in read_sizes(),
    ) {
        prop_assert_eq!(decode(reads(&stream, &sizes), LIMITS), decode([&stream[..]], LIMITS));
    }
}
