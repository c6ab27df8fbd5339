//! Opens the store, wires chat and gateway, listens, and drains. Each worker is a thread with a runtime of its own;
//! one acceptor hands sockets out in turn, and a connection never moves. main and every test start this same `run`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::chat::worker::Worker;
use crate::chat::{Chat, Settings};
use crate::config::{ClassicOption, Config, OnOff, url};
use crate::error::Fatal;
use crate::fetch::Fetcher;
use crate::gateway::classic;
use crate::gateway::http::Site;
use crate::gateway::request::Gateway;
use crate::gateway::ws::Door;
use crate::store::{self, Durability};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4096;
/// How long a client may take to send a request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// What goes on failing is warned of so often: a stranger can make it fail.
const WARN_EVERY: Duration = Duration::from_mins(1);
/// How long a client may take nothing of what it is sent, before the kernel gives it up.
#[cfg(target_os = "linux")]
const STALL_TIME: Duration = Duration::from_secs(90);
/// What connections leave behind is given back so often.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(4);
/// How long connections are given to close when the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// A listener on this address, for the runtime that this is called in. `Fatal::Listen` says why there is none.
pub fn listen(addr: SocketAddr) -> Result<TcpListener, Fatal> {
    let bind = || {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|source| Fatal::Listen { addr: addr.to_string(), source })
}

/// Serves until `shutdown` comes to pass, then drains: no new connections, the others are told to come back, the log
/// is flushed.
pub async fn run(listener: TcpListener, config: Config, shutdown: impl Future<Output = ()>) -> Result<(), Fatal> {
    let _ = rlimit::increase_nofile_limit(u64::MAX)
        .inspect_err(|error| tracing::warn!(%error, "cannot raise the file limit"));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let options = config.store()?;
    warn(&config, options.durability);
    let settings = Settings {
        workers,
        tails: config.tails(),
        rates: config.rates(),
        limits: config.limits(),
        heartbeat: config.heartbeat,
        join: config.join_policy(),
        passwords: config.passwords == OnOff::On,
        gravatar: config.gravatar_base(),
        providers: config.providers.clone(),
        public_url: config.public_url.clone(),
        fetcher: Fetcher::new(&config.fetch_private)?,
        mailer: config.mailer()?,
    };
    let chat = Chat::start(settings, |watcher| store::open(&options, watcher)).await?;
    let draining = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = watch::channel(false);
    let mut threads = Vec::new();
    let mut doors = Vec::new();
    for index in 0..workers {
        let (sockets, arriving) = mpsc::channel(1024);
        let stage = Stage {
            chat: chat.clone(),
            index,
            origins: config.origins.clone().into(),
            proxies: config.trusted_proxy.clone().into(),
            draining: draining.clone(),
            stopped: stopped.clone(),
            classic: classic(&config),
        };
        threads.push(std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || stage.run(arriving))?);
        doors.push(sockets);
    }
    let url = url(listener.local_addr()?);
    println!("Chinwag is open at {url}");
    println!("An acknowledged message is {}.", chat.worth());
    if let Some(token) = chat.offer_ownership().await.map_err(Fatal::Lobby)? {
        let url = config.public_url.as_deref().unwrap_or(&url);
        println!("Who opens this first becomes its owner (once, within a day): {url}/join#{}", token.as_str());
    }
    tracing::info!(addr = %listener.local_addr()?, store = %options, "started");

    tokio::select! {
        () = accept(&listener, &doors) => {}
        () = supervise("housekeeping", || chat.keep_house()) => {}
        () = shutdown => {}
    }
    tracing::info!("stopping");
    draining.store(true, Ordering::Release);
    drop(listener);
    chat.drain();
    drop(doors);
    stop.send_replace(true);
    join(threads).await;
    chat.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Which classic clients are let in, if any.
fn classic(config: &Config) -> Option<classic::Settings> {
    let clients = config.classic.iter().flat_map(|option| match option {
        ClassicOption::All => classic::Client::ALL.to_vec(),
        ClassicOption::Gorilla => vec![classic::Client::Gorilla],
        ClassicOption::Blueprints => vec![classic::Client::Blueprints],
        ClassicOption::Heroku => vec![classic::Client::Heroku],
        ClassicOption::Gochatting => vec![classic::Client::Gochatting],
    });
    let clients: Vec<_> = clients.collect();
    let history = usize::try_from(config.classic_history).unwrap_or(usize::MAX);
    (!clients.is_empty()).then(|| classic::Settings { clients, room: config.classic_room.clone(), history })
}

fn warn(config: &Config, durability: Durability) {
    if durability == Durability::Fast {
        tracing::warn!("--durability fast: a power cut may lose messages that were acknowledged");
    }
    if config.passwords == OnOff::Off && config.providers.is_empty() {
        tracing::warn!("--passwords off, and no sign-in provider is set up: nobody can make an account");
    }
    if config.limits == OnOff::Off {
        tracing::warn!("--limits off: anyone may post and connect as fast as they can");
    }
}

async fn accept(listener: &TcpListener, doors: &[mpsc::Sender<Arrival>]) {
    let mut warned: Option<Instant> = None;
    for door in doors.iter().cycle() {
        let arrival = loop {
            match listener.accept().await.and_then(|(socket, peer)| Ok((prepare(socket)?, peer))) {
                Ok(arrival) => break arrival,
                Err(error) => {
                    // Out of files, most likely. What waits is accepted when others have gone.
                    if warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
                        tracing::warn!(%error, "cannot accept connections");
                        warned = Some(Instant::now());
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        if door.send(arrival).await.is_err() {
            tracing::error!("a worker has ended");
        }
    }
}

/// Takes the socket off this thread's runtime: it belongs to a worker's.
fn prepare(socket: TcpStream) -> std::io::Result<std::net::TcpStream> {
    socket.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(STALL_TIME))?;
    socket.into_std()
}

/// Runs a loop that should never end, again if it panics: one fault must not end the server.
async fn supervise<F: Future<Output = ()>>(name: &str, start: impl Fn() -> F) {
    loop {
        let attempt = std::panic::AssertUnwindSafe(start());
        if futures_util::FutureExt::catch_unwind(attempt).await.is_ok() {
            return;
        }
        tracing::error!(name, "panicked; starting it again");
    }
}

async fn join(threads: Vec<std::thread::JoinHandle<()>>) {
    let joined = tokio::task::spawn_blocking(move || {
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
    });
    // Cannot fail: the closure does not panic.
    let _ = joined.await;
}

/// A socket, and where it comes from.
type Arrival = (std::net::TcpStream, SocketAddr);

/// What one worker's thread is built from.
struct Stage {
    chat: Arc<Chat>,
    index: usize,
    origins: Arc<[String]>,
    proxies: Arc<[IpNet]>,
    draining: Arc<AtomicBool>,
    stopped: watch::Receiver<bool>,
    classic: Option<classic::Settings>,
}

impl Stage {
    fn run(self, arriving: mpsc::Receiver<Arrival>) {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => LocalSet::new().block_on(&runtime, self.serve(arriving)),
            Err(error) => tracing::error!(%error, "a worker cannot start"),
        }
    }

    async fn serve(self, mut arriving: mpsc::Receiver<Arrival>) {
        let Self { chat, index, origins, proxies, draining, stopped, classic } = self;
        let mut told_to_stop = stopped.clone();
        let worker = Worker::new(chat.clone(), index);
        let door = match Door::new(worker.clone()) {
            Ok(door) => door,
            Err(error) => return tracing::error!(%error, "a worker cannot start"),
        };
        let classic = classic.map(|settings| classic::Door::new(worker.clone(), settings));
        // Held by every request until it is answered.
        let answering = Rc::new(());
        let site = Rc::new(Site::new(Gateway { chat, origins, proxies, draining }, door.clone(), classic.clone()));
        spawn("delivery", &worker, Worker::run);
        spawn("unread counts", &worker, Worker::tell_unread);
        spawn("connections", &door, Door::attend);
        spawn("heartbeat", &door, Door::keep_time);
        tokio::task::spawn_local(give_memory_back());
        loop {
            tokio::select! {
                Some(arrival) = arriving.recv() => {
                    tokio::task::spawn_local(http_connection(arrival, site.clone(), stopped.clone(), Rc::downgrade(&answering)));
                }
                _ = told_to_stop.wait_for(|stopped| *stopped) => break,
            }
        }
        let patience = Instant::now() + DRAIN_TIME;
        let is_open = || door.is_open() || classic.as_ref().is_some_and(|door| door.is_open());
        while (is_open() || Rc::strong_count(&answering) > 1) && Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        door.close();
    }
}

/// Gives back to the system, time and again, what the allocator keeps of this thread's and nobody needs: handshakes
/// leave a good tenth of what idle connections weigh. By itself it does so only after thousands of allocations more.
async fn give_memory_back() {
    loop {
        tokio::time::sleep(GIVE_BACK_EVERY).await;
        collect();
    }
}

#[expect(unsafe_code, reason = "the allocator has no safe way to be asked")]
fn collect() {
    // SAFETY: it takes nothing from us, and touches only what is free. Where another allocator is the program's own, as
    // in tests, there is nothing to collect.
    unsafe { libmimalloc_sys::mi_collect(false) };
}

fn spawn<T: 'static, F: Future<Output = ()> + 'static>(name: &'static str, of: &Rc<T>, run: fn(Rc<T>) -> F) {
    let of = of.clone();
    tokio::task::spawn_local(async move { supervise(name, || run(of.clone())).await });
}

/// Serves HTTP/1.1 on one socket until it ends, is upgraded, or the server stops.
async fn http_connection(
    (socket, peer): Arrival,
    site: Rc<Site>,
    mut stopped: watch::Receiver<bool>,
    answering: Weak<()>,
) {
    let Ok(socket) = TcpStream::from_std(socket) else { return };
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (site, answering) = (site.clone(), answering.upgrade());
        async move {
            let answer = site.answer(request.map(Body::new)).await;
            drop(answering);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { let _ = stopped.wait_for(|stopped| *stopped).await; } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a request broke off");
    }
}
