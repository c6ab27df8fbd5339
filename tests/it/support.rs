//! The words in which the plays are written: a server of one's own, clients that talk to it from outside, and one
//! time-out for everything that is awaited. A play never sleeps: it waits for what proves that it may go on.

pub mod browser;
pub mod client;
pub mod http;
pub mod people;
pub mod play;
pub mod process;
pub mod provider;
pub mod proxy;
pub mod raw;
pub mod redis;
pub mod witness;

use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chinwag::config::Config;
use chinwag::error::Fatal;
use chinwag::server;
use chinwag::store::Options;
use clap::{CommandFactory, FromArgMatches};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub use self::client::Call;
pub use self::client::Client;
use self::http::Request;
use self::raw::Raw;

/// How long anything that should come is waited for. Generous, since machines that test are busy.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What is awaited must come.
pub async fn in_time<T>(what: impl Display, awaited: impl Future<Output = T>) -> T {
    let Ok(came) = tokio::time::timeout(PATIENCE, awaited).await else { panic!("waited in vain for {what}") };
    came
}

/// The very server that the binary runs, on a free port, with a data directory of its own.
pub struct TestServer {
    pub addr: SocketAddr,
    config: Config,
    data: Arc<TempDir>,
    running: Option<Running>,
}

struct Running {
    shutdown: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Fatal>>,
}

impl TestServer {
    /// With the options that it has when none are given.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(options: &[&str]) -> Self {
        Self::set_up(options, |_| {}).await
    }

    /// With what no option says, since the environment does.
    pub async fn set_up(options: &[&str], environment: impl FnOnce(&mut Config)) -> Self {
        let data = Arc::new(TempDir::new().expect("a temporary directory"));
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        let mut config = config(data.path(), &options);
        environment(&mut config);
        let (addr, running) = run(&data, &config).await;
        Self { addr, config, data, running: Some(running) }
    }

    /// Where it keeps everything, and how.
    pub fn store_options(&self) -> Options {
        self.config.store().expect("the server has started with them")
    }

    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// Tells the server to stop, and says how that went once it has. Clients that are connected should be listening
    /// meanwhile (`tokio::join!`), else the server waits a while for their answer to its close.
    pub async fn stop(&mut self) -> Result<(), Fatal> {
        let Running { shutdown, thread } = self.running.take().expect("a server that runs");
        // It may have ended by itself: the outcome says so.
        let _ = shutdown.send(());
        let joined = tokio::task::spawn_blocking(move || thread.join());
        in_time("the server to stop", joined).await.expect("joining does not panic").expect("the server panicked")
    }

    /// Stops the server and starts another on the same data. It listens on another port.
    pub async fn restart(&mut self) {
        self.stop().await.expect("a clean stop");
        self.start_again().await;
    }

    /// Starts a stopped server again on the same data.
    pub async fn start_again(&mut self) {
        let (addr, running) = run(&self.data, &self.config).await;
        self.addr = addr;
        self.running = Some(running);
    }

    /// A guest for the life of one connection.
    pub async fn guest(&self, name: impl AsRef<str>) -> Client {
        self.call().name(name.as_ref()).await
    }

    /// A guest who is subscribed to a room from its head on.
    pub async fn guest_in(&self, name: impl AsRef<str>, room: &str) -> Client {
        let mut guest = self.guest(name).await;
        guest.subscribes(room).await;
        guest
    }

    /// A guest with a session.
    pub async fn sign_up(&self, name: &str) -> Session {
        let answer = self.post("/api/session").json(&json!({ "name": name })).await;
        Session::of(self, &answer)
    }

    /// Somebody with a session, connected by it.
    pub async fn signed_in(&self, name: &str) -> (Session, Client) {
        let session = self.sign_up(name).await;
        let client = session.connects().await;
        (session, client)
    }

    /// A connection to be opened, for those that need a header or have no name.
    pub fn call(&self) -> Call {
        Call::new(self.addr)
    }

    /// A connection whose every byte the test writes and reads itself.
    pub async fn raw(&self, name: &str) -> Raw {
        Raw::open(self.addr, name).await
    }

    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    pub fn put(&self, path: &str) -> Request {
        self.request("PUT", path)
    }

    pub fn patch(&self, path: &str) -> Request {
        self.request("PATCH", path)
    }

    pub fn delete(&self, path: &str) -> Request {
        self.request("DELETE", path)
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.addr, method, path)
    }

    /// The request that opens a WebSocket, to be answered over plain HTTP: for those that are refused.
    pub fn knock(&self, path: &str) -> Request {
        let request = self.get(path).header("Connection", "Upgrade").header("Upgrade", "websocket");
        request.header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", raw::KEY)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(Running { shutdown, thread }) = self.running.take() {
            let _ = shutdown.send(());
            let outcome = thread.join();
            if !std::thread::panicking() {
                outcome.expect("the server panicked").expect("the server failed");
            }
        }
    }
}

/// Starts the server on a thread of its own, and waits until it listens.
async fn run(data: &Arc<TempDir>, config: &Config) -> (SocketAddr, Running) {
    let config = config.clone();
    let (shutdown, told) = oneshot::channel();
    let (listening, addr) = oneshot::channel();
    let data = data.clone();
    let thread = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
        // Kept until the server has ended.
        let _data = data;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = server::listen(config.address())?;
            let _ = listening.send(listener.local_addr()?);
            let shutdown = async {
                // Told to, or dropped by a test that failed.
                let _ = told.await;
            };
            server::run(listener, config, shutdown).await
        })
    });
    let thread = thread.expect("a thread for the server");
    (in_time("the server to listen", addr).await.expect("a free port"), Running { shutdown, thread })
}

/// The options as the command line gives them. What the environment of the test says does not count.
fn config(data: &Path, options: &[String]) -> Config {
    let own = ["chinwag", "--addr", "127.0.0.1:0", "--data", data.to_str().expect("a path in UTF-8")];
    // No play asks for anything beyond this machine.
    let gravatar = if options.iter().any(|option| option == "--gravatar") { &[][..] } else { &["--gravatar", "off"] };
    let arguments = own.iter().chain(gravatar).copied().chain(options.iter().map(String::as_str));
    let command = Config::command().mut_args(|argument| argument.env(None));
    let matches = command.try_get_matches_from(arguments).unwrap_or_else(|error| panic!("{error}"));
    Config::from_arg_matches(&matches).unwrap_or_else(|error| panic!("{error}"))
}

/// Somebody's session, held by a program.
#[derive(Clone, Debug)]
pub struct Session {
    addr: SocketAddr,
    pub token: String,
    pub id: String,
    pub name: String,
}

impl Session {
    /// One more connection.
    pub async fn connects(&self) -> Client {
        Call::new(self.addr).bearer(&self.token).await
    }

    /// The session goes on with a server that was restarted.
    pub fn at(&self, server: &TestServer) -> Self {
        Self { addr: server.addr, ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Request {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str) -> Request {
        self.request("POST", path)
    }

    pub fn put(&self, path: &str) -> Request {
        self.request("PUT", path)
    }

    pub fn patch(&self, path: &str) -> Request {
        self.request("PATCH", path)
    }

    pub fn delete(&self, path: &str) -> Request {
        self.request("DELETE", path)
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.addr, method, path).header("Authorization", &format!("Bearer {}", self.token))
    }
}

/// A string in JSON.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("expected a string, found {value}")).to_owned()
}

/// A seq or a count in JSON.
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

/// The elements of a list in JSON.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("expected a list, found {value}"))
}
