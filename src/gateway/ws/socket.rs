//! The raw socket of one connection, taken back from hyper: bytes in, bytes out, and when either last happened.
//! It knows nothing of frames.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use crate::chat::connection::{Connection, Wire};

pub struct Socket {
    stream: TcpStream,
    pub connection: RefCell<Weak<Connection>>,
    clock: Rc<Cell<u32>>,
    /// Ticks of the door's clock: when something last came, when something was last taken, when we last pinged.
    pub heard: Cell<u32>,
    pub taken: Cell<u32>,
    pub pinged: Cell<u32>,
}

impl Socket {
    pub fn new(stream: TcpStream, clock: Rc<Cell<u32>>) -> Self {
        let now = clock.get();
        Self {
            stream,
            connection: RefCell::default(),
            clock,
            heard: Cell::new(now),
            taken: Cell::new(now),
            pinged: Cell::new(now),
        }
    }

    // Polled, not awaited: `readable().await` would keep hyper's finished task, 2 KB, alive by its old waker.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_read_ready(cx).map(|_| ())
    }

    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_write_ready(cx).map(|_| ())
    }

    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.try_read(buffer)?;
        self.heard.set(self.clock.get());
        Ok(length)
    }

    /// Says that nothing more will be said.
    pub fn finish(&self) {
        // An error means that the other side has gone already.
        let _ = socket2::SockRef::from(&self.stream).shutdown(Shutdown::Write);
    }
}

impl Wire for Socket {
    fn write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = match frames {
            [one] => self.stream.try_write(one),
            many => self.stream.try_write_vectored(many),
        }?;
        self.taken.set(self.clock.get());
        Ok(taken)
    }
}
