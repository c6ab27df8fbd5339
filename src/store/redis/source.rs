//! Where connections to Redis come from: the one server of the URL, or whichever Sentinel says is the primary now. It
//! must not know what a connection is for.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisResult,
};
use tokio::sync::Mutex;

use super::Channels;
use super::link::CONNECT_TIME;
use crate::error::Fatal;

const SENTINEL: &str = "redis+sentinel://";
const SENTINEL_PORT: u16 = 26_379;

pub(super) struct Source {
    place: Place,
    channels: Channels,
    doubts: AtomicU64,
}

enum Place {
    One(Box<Client>),
    /// Sentinels are asked anew for each connection, side by side: one that does not answer keeps nobody waiting.
    Sentinels(Vec<Mutex<SentinelClient>>),
}

impl Source {
    pub fn new(url: &str) -> Result<Self, Fatal> {
        // Nobody else may have said whose cryptography is used; where somebody has, theirs is.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let found = match url.strip_prefix(SENTINEL) {
            Some(rest) => sentinels(rest)
                .map(|(clients, db)| (Place::Sentinels(clients.into_iter().map(Mutex::new).collect()), db)),
            None => server(url).and_then(|info| {
                let db = info.redis_settings().db();
                Some((Place::One(Box::new(Client::open(info).ok()?)), db))
            }),
        };
        let (place, db) = found.ok_or(Fatal::RedisUrl)?;
        Ok(Self { place, channels: Channels::of(db), doubts: AtomicU64::new(0) })
    }

    /// What channels are called in its database.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Whatever was connected before may be connected to a server that is the primary no more.
    pub fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::AcqRel);
    }

    /// How often that was said: to be noted before connecting.
    pub fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Acquire)
    }

    pub async fn connect(&self, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
        let connect = async {
            let client = match &self.place {
                Place::One(client) => (**client).clone(),
                Place::Sentinels(sentinels) => {
                    let ask = async |sentinel: &Mutex<SentinelClient>| sentinel.lock().await.async_get_client().await;
                    select_ok(sentinels.iter().map(|sentinel| Box::pin(ask(sentinel)))).await?.0
                }
            };
            client.get_multiplexed_async_connection_with_config(config).await
        };
        let late = |_| Err((ErrorKind::Io, "it does not answer").into());
        tokio::time::timeout(CONNECT_TIME, connect).await.unwrap_or_else(late)
    }
}

fn server(url: &str) -> Option<ConnectionInfo> {
    let info = url.into_connection_info().ok()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Some(info.set_redis_settings(settings))
}

/// Of `[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]/MASTER[/DB]`.
fn sentinels(rest: &str) -> Option<(Vec<SentinelClient>, i64)> {
    let (authority, path) = rest.rsplit_once('@').map_or_else(
        || rest.split_once('/').map(|(hosts, path)| ((None, hosts), path)),
        |(user, rest)| rest.split_once('/').map(|(hosts, path)| ((Some(user), hosts), path)),
    )?;
    let (master, db) = path.split_once('/').unwrap_or((path, "0"));
    if master.is_empty() {
        return None;
    }
    let mut settings = None;
    let mut addresses = Vec::new();
    for host in authority.1.split(',') {
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:{SENTINEL_PORT}") };
        let user = authority.0.map_or_else(String::new, |user| format!("{user}@"));
        let info = server(&format!("redis://{user}{host}/{db}"))?;
        addresses.push(info.addr().clone());
        settings = Some(info.redis_settings().clone());
    }
    let settings = settings?;
    let client = |address| {
        let builder = SentinelClientBuilder::new([address], master, SentinelServerType::Master).ok()?;
        let mut builder =
            builder.set_client_to_redis_db(settings.db()).set_client_to_redis_protocol(ProtocolVersion::RESP3);
        if let Some(username) = settings.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        builder.build().ok()
    };
    let clients = addresses.into_iter().map(client).collect::<Option<_>>()?;
    Some((clients, settings.db()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_server_or_sentinels() {
        let sentinel = "redis+sentinel://app:s%40crt@one:1,two,three:3/mymaster/2";
        for url in ["redis://localhost", "redis://app:secret@localhost:1/3", "rediss://localhost", sentinel] {
            assert!(Source::new(url).is_ok(), "{url}");
        }
        let wrong = ["localhost", "http://localhost", "redis+sentinel://one:1", "redis+sentinel://one:1/", "redis://"];
        for url in wrong {
            assert!(Source::new(url).is_err(), "{url}");
        }
    }
}
