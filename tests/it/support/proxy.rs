//! What stands between a node and its Redis, and may do to the bytes what networks do: hang up, hold back, swallow, cut.
//! It knows nothing of what they mean.

use std::net::TcpListener as Listener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Requests,
    Replies,
}

pub struct Proxy {
    port: u16,
    faults: Arc<Faults>,
    /// Dropped with it, which ends its thread.
    _end: oneshot::Sender<()>,
}

#[derive(Default)]
struct Faults {
    weather: watch::Sender<Weather>,
    /// So many bytes still pass that way; then the connection that brings more is cut.
    cut: Mutex<Option<(Way, usize)>>,
}

#[derive(Clone, Copy, Default)]
struct Weather {
    /// What goes that way is taken and not passed on.
    swallowed: Option<Way>,
    delay: Duration,
    /// Rises when all connections end.
    ended: u64,
    /// Nobody is let through.
    shut: bool,
}

impl Proxy {
    /// On a thread of its own: it passes bytes on while a test waits for a process.
    pub fn before(port: u16) -> Self {
        let listener = Listener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a TCP socket");
        let own = listener.local_addr().expect("it is bound").port();
        let faults = Arc::new(Faults::default());
        let (end, ended) = oneshot::channel();
        let accepting = accept(listener, port, faults.clone());
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = accepting => {}
                    _ = ended => {}
                }
            });
        });
        Self { port: own, faults, _end: end }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends all connections. New ones are let through.
    pub fn hangs_up(&self) {
        self.faults.weather.send_modify(|weather| weather.ended += 1);
    }

    /// Ends all connections, and those that are opened until `lets_through`.
    pub fn shuts(&self) {
        self.faults.weather.send_modify(|weather| (weather.ended, weather.shut) = (weather.ended + 1, true));
    }

    pub fn swallows(&self, way: Way) {
        self.faults.weather.send_modify(|weather| weather.swallowed = Some(way));
    }

    /// Holds up whatever comes, for so long each time.
    pub fn delays(&self, delay: Duration) {
        self.faults.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Lets so many more bytes pass that way, in all; the connection that brings the next is cut off there, once.
    pub fn cuts_after(&self, way: Way, bytes: usize) {
        *self.faults.cut.lock() = Some((way, bytes));
    }

    pub fn has_cut(&self) -> bool {
        self.faults.cut.lock().is_none()
    }

    /// As if nothing had been. A connection that has lost bytes cannot go on: those that stand are ended.
    pub fn lets_through(&self) {
        let clear = |weather: &mut Weather| *weather = Weather { ended: weather.ended + 1, ..Weather::default() };
        self.faults.weather.send_modify(clear);
    }
}

async fn accept(listener: Listener, port: u16, faults: Arc<Faults>) {
    let listener = TcpListener::from_std(listener).expect("a listener that does not block");
    while let Ok((node, _)) = listener.accept().await {
        if faults.weather.borrow().shut {
            continue;
        }
        tokio::spawn(pass_on(node, port, faults.clone()));
    }
}

async fn pass_on(node: TcpStream, port: u16, faults: Arc<Faults>) {
    let mut weather = faults.weather.subscribe();
    let ended = weather.borrow_and_update().ended;
    let Ok(redis) = TcpStream::connect(format!("127.0.0.1:{port}")).await else { return };
    for stream in [&node, &redis] {
        stream.set_nodelay(true).expect("a TCP socket");
    }
    let ((from_node, to_node), (from_redis, to_redis)) = (node.into_split(), redis.into_split());
    // When one way ends, so does the other.
    tokio::select! {
        () = pump(Way::Requests, from_node, to_redis, &faults) => {}
        () = pump(Way::Replies, from_redis, to_node, &faults) => {}
        _ = weather.wait_for(|weather| weather.ended != ended) => {}
    }
}

async fn pump(way: Way, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, faults: &Faults) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let Weather { swallowed, delay, .. } = *faults.weather.borrow();
        tokio::time::sleep(delay).await;
        if swallowed == Some(way) {
            continue;
        }
        let passes = faults.passes(way, count);
        if to.write_all(&bytes[..passes]).await.is_err() || passes < count {
            return;
        }
    }
}

impl Faults {
    /// How many of these bytes are let through.
    fn passes(&self, way: Way, count: usize) -> usize {
        let mut cut = self.cut.lock();
        match &mut *cut {
            Some((cut_way, left)) if *cut_way == way => {
                let passes = count.min(*left);
                *left -= passes;
                if passes < count {
                    *cut = None;
                }
                passes
            }
            _ => count,
        }
    }
}
