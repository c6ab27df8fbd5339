//! The far end of a connection: a wire that takes as much as the test says, and what came out of it, frame by frame.
//! It reads frames by the RFC alone, without the codec that wrote them.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};

use chinwag::chat::connection::Wire;
use serde_json::Value;

pub struct Pipe {
    out: RefCell<Vec<u8>>,
    /// So many bytes are taken before it blocks; None: any number.
    room: Cell<Option<usize>>,
    most_at_once: Cell<usize>,
    writes: Cell<u32>,
    pub broken: Cell<bool>,
}

impl Pipe {
    pub fn new() -> Self {
        Self {
            out: RefCell::default(),
            room: Cell::new(None),
            most_at_once: Cell::new(usize::MAX),
            writes: Cell::new(0),
            broken: Cell::new(false),
        }
    }

    pub fn take(&self, bytes: usize) {
        self.room.set(Some(bytes));
    }

    pub fn narrow(&self, bytes: usize) {
        self.most_at_once.set(bytes);
    }

    pub fn flow(&self) {
        self.room.set(None);
    }

    pub fn is_writable(&self) -> bool {
        self.broken.get() || self.room.get() != Some(0)
    }

    pub fn len(&self) -> usize {
        self.out.borrow().len()
    }

    /// All frames that came whole, with the place of each one's first byte; and whether more than these came.
    pub fn frames(&self) -> (Vec<(usize, Frame)>, bool) {
        let out = self.out.borrow();
        let (mut frames, mut at) = (Vec::new(), 0);
        while let Some((frame, length)) = Frame::read(&out[at..]) {
            frames.push((at, frame));
            at += length;
        }
        (frames, at < out.len())
    }
}

impl Wire for Pipe {
    fn write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(frames.iter().any(|slice| !slice.is_empty()), "nothing was written");
        if self.broken.get() {
            return Ok(0);
        }
        self.writes.set(self.writes.get() + 1);
        if self.writes.get().is_multiple_of(17) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = self.room.get().unwrap_or(usize::MAX).min(self.most_at_once.get());
        if most == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut out = self.out.borrow_mut();
        let before = out.len();
        for slice in frames {
            let taken = out.len() - before;
            out.extend_from_slice(&slice[..slice.len().min(most - taken)]);
        }
        let taken = out.len() - before;
        self.room.set(self.room.get().map(|room| room - taken));
        Ok(taken)
    }
}

#[derive(Debug)]
pub enum Frame {
    Text(Value),
    Ping,
}

impl Frame {
    /// A frame at the start of the bytes and its length; `None` where it is not whole.
    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let header = match *bytes.get(1)? {
            126 => 4,
            127 => 10,
            masked @ 128.. => panic!("a server masks nothing: {masked:#x}"),
            _ => 2,
        };
        let length = match header {
            2 => u64::from(bytes[1]),
            _ => bytes.get(2..header)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let end = header + usize::try_from(length).expect("frames are small");
        let payload = bytes.get(header..end)?;
        let frame = match bytes[0] {
            0x81 => Self::Text(serde_json::from_slice(payload).expect("a text frame holds one JSON value")),
            0x89 => Self::Ping,
            other => panic!("a frame begins with {other:#x}: they are torn"),
        };
        Some((frame, end))
    }
}
