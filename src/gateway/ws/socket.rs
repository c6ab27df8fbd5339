//! The raw socket of one connection, taken back from hyper: bytes in, bytes out, what the kernel last said of it, and
//! when anything last happened. It knows nothing of frames.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;

use mio::event::Event;
use mio::net::TcpStream;

use crate::chat::connection::Wire;

pub struct Socket {
    stream: TcpStream,
    /// What the kernel said and nothing has disproved since: it tells of each change once.
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// There may be an end to be read, of which the kernel will not tell again. It may have told before anyone listened.
    ended: Cell<bool>,
    clock: Rc<Cell<u16>>,
    /// Ticks of the door's clock: when something last came, when something was last taken, when we last pinged. A pulse
    /// leaves none of them behind for as long as it takes the clock to come round.
    pub heard: Cell<u16>,
    pub taken: Cell<u16>,
    pub pinged: Cell<u16>,
}

impl Socket {
    pub fn new(stream: TcpStream, clock: Rc<Cell<u16>>) -> Self {
        let now = clock.get();
        Self {
            stream,
            readable: Cell::new(true),
            writable: Cell::new(true),
            ended: Cell::new(true),
            clock,
            heard: Cell::new(now),
            taken: Cell::new(now),
            pinged: Cell::new(now),
        }
    }

    /// Takes note of what the kernel says.
    pub fn hears(&self, event: &Event) {
        if event.is_readable() || event.is_error() {
            self.readable.set(true);
        }
        if event.is_writable() || event.is_error() {
            self.writable.set(true);
        }
        if event.is_read_closed() || event.is_error() {
            self.ended.set(true);
        }
    }

    pub fn is_readable(&self) -> bool {
        self.readable.get()
    }

    pub fn is_writable(&self) -> bool {
        self.writable.get()
    }

    /// Reads what has come; `WouldBlock` where that is nothing, 0 where it is the end.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&self.stream).read(buffer);
        match &read {
            Ok(length) => {
                self.heard.set(self.clock.get());
                // A short read has emptied the socket: no second call only to be told so.
                if *length < buffer.len() && !self.ended.get() {
                    self.readable.set(false);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable.set(false);
                self.ended.set(false);
            }
            Err(_) => {}
        }
        read
    }

    /// Says that nothing more will be said.
    pub fn finish(&self) {
        // An error means that the other side has gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

impl Wire for Socket {
    fn write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.writable.get() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = match frames {
            [one] => (&self.stream).write(one),
            many => (&self.stream).write_vectored(many),
        };
        match &taken {
            Ok(_) => self.taken.set(self.clock.get()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable.set(false),
            Err(_) => {}
        }
        taken
    }
}
