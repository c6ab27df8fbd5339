//! The way to Redis for everything but appends and news, which have a connection of their own (feed.rs). It connects
//! when it is asked something, and again when that broke off. It must not know what it is asked.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};

use super::source::Source;
use crate::error::Error;
use crate::store::Answer;

pub(super) const CONNECT_TIME: Duration = Duration::from_secs(2);
/// A Redis that does not answer for so long is away.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(3);

pub(super) const STOPPED: Error = Error::Unavailable("the server is stopping");
pub(super) const AWAY: Error = Error::Unavailable("Redis cannot be reached");

#[derive(Clone)]
pub(super) struct Link(Arc<Inner>);

struct Inner {
    source: Arc<Source>,
    /// Of the store's own thread: who asks may run on any, or on none.
    runtime: Handle,
    /// With the doubts that there were when it was made.
    connection: Mutex<Option<(u64, MultiplexedConnection)>>,
    closed: AtomicBool,
}

impl Link {
    pub fn new(source: Arc<Source>, runtime: Handle) -> Self {
        let (connection, closed) = (Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Inner { source, runtime, connection, closed }))
    }

    /// Asks what changes nothing.
    pub fn read<T, F>(&self, ask: impl FnOnce(MultiplexedConnection) -> F + Send + 'static) -> Answer<'static, T>
    where
        T: Send + 'static,
        F: Future<Output = RedisResult<T>> + Send,
    {
        self.ask(ask, |error| if was_refused(error) { refusal(error) } else { AWAY })
    }

    /// Asks what changes something: where the answer does not come, nobody can tell whether it did.
    pub fn change<T, F>(&self, ask: impl FnOnce(MultiplexedConnection) -> F + Send + 'static) -> Answer<'static, T>
    where
        T: Send + 'static,
        F: Future<Output = RedisResult<T>> + Send,
    {
        self.ask(ask, outcome)
    }

    /// The store's own, for what goes on by itself.
    pub fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// From here on nothing is asked any more.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    fn ask<T, F>(
        &self,
        ask: impl FnOnce(MultiplexedConnection) -> F + Send + 'static,
        fault: impl FnOnce(&RedisError) -> Error + Send + 'static,
    ) -> Answer<'static, T>
    where
        T: Send + 'static,
        F: Future<Output = RedisResult<T>> + Send,
    {
        let (answer, answered) = oneshot::channel();
        let inner = self.0.clone();
        self.0.runtime.spawn(async move {
            // Whoever asked may have gone.
            let _ = answer.send(inner.ask(ask, fault).await);
        });
        Box::pin(async { answered.await.unwrap_or(Err(STOPPED)) })
    }
}

impl Inner {
    async fn ask<T, F: Future<Output = RedisResult<T>> + Send>(
        &self,
        ask: impl FnOnce(MultiplexedConnection) -> F,
        fault: impl FnOnce(&RedisError) -> Error,
    ) -> Result<T, Error> {
        if self.closed.load(Ordering::Acquire) {
            return Err(STOPPED);
        }
        let connection = self.connected().await.map_err(|error| {
            tracing::debug!(%error, "cannot reach Redis");
            AWAY
        })?;
        match ask(connection).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if !was_refused(&error) || is_demoted(&error) {
                    *self.connection.lock().await = None;
                }
                tracing::warn!(%error, "Redis did not do what it was asked");
                Err(fault(&error))
            }
        }
    }

    /// The connection that stands, or a new one. Who comes meanwhile waits for the same, but not for one attempt after
    /// the other.
    async fn connected(&self) -> RedisResult<MultiplexedConnection> {
        let connected = async {
            let mut standing = self.connection.lock().await;
            let doubts = self.source.doubts();
            if let Some((_, connection)) = standing.as_ref().filter(|(then, _)| *then == doubts) {
                return Ok(connection.clone());
            }
            let connection = self.source.connect(&config()).await?;
            *standing = Some((doubts, connection.clone()));
            Ok(connection)
        };
        let late = |_| Err((ErrorKind::Io, "it does not answer").into());
        tokio::time::timeout(CONNECT_TIME, connected).await.unwrap_or_else(late)
    }
}

/// How long anything may take.
pub(super) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIME)).set_response_timeout(Some(ANSWER_TIME))
}

/// This server is no primary any more: another may be.
pub(super) fn is_demoted(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}

/// It has been started, and does not know yet what it holds.
pub(super) fn is_loading(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::BusyLoading)
}

/// Redis has answered that it does not do it: nothing was changed.
pub(super) fn was_refused(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) || error.code().is_some()
}

/// What a change has come to that failed so.
pub(super) fn outcome(error: &RedisError) -> Error {
    if was_refused(error) { refusal(error) } else { Error::UnknownOutcome }
}

fn refusal(error: &RedisError) -> Error {
    // Of a pipeline the client names its first error's code only where it knows it.
    let first = || error.clone().into_server_errors()?.first().map(|(_, error)| error.code().to_owned());
    let code = error.code().map(str::to_owned).or_else(first);
    let words = match code.as_deref() {
        _ if is_loading(error) => "Redis is still loading its data",
        _ if is_demoted(error) => "Redis is a replica just now",
        Some("BUSY") => "Redis is busy with a script",
        Some("NOREPLICAS") => "Redis has fewer replicas than it needs",
        Some("OOM") => "Redis is full",
        Some("MISCONF") => "Redis cannot write to its disk",
        Some("NOPERM") => "Redis does not permit it; docs/operating.md says what its user needs",
        _ => return Error::Internal,
    };
    Error::Unavailable(words)
}
