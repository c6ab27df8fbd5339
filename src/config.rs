//! Every option, once: its flag, its environment variable, its documentation; what holds secrets is in
//! config/environment.rs. For main and server alone: what lies below gets its settings handed in.

mod environment;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use etcetera::BaseStrategy;
use ipnet::IpNet;

use crate::chat::avatar::GRAVATAR;
use crate::chat::hub::TailLimits;
use crate::chat::limit::Rates;
use crate::chat::place::Join;
use crate::chat::provider::ProviderSettings;
use crate::error::Fatal;
use crate::mail::Mailer;
use crate::protocol::{Limits, RoomId, check_room};
use crate::store::Durability;

/// A frame or a message on the socket, the most. Part of the protocol, so no option.
const FRAME_BYTES: usize = 262_144;

/// A group chat that anyone can host.
///
/// Started without any option, Chinwag listens on port 8080, keeps its data in your home directory and lets everyone
/// in who can reach it. Every option can also be given in the environment, or in a file .env in the working directory.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Config {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Where to listen
    #[arg(long, env = "ADDR", value_name = "IP:PORT", default_value = "0.0.0.0:8080")]
    pub addr: SocketAddr,

    /// The port to listen on, where it differs from that in --addr (hosting platforms set this)
    #[arg(long, env = "PORT", value_name = "PORT")]
    pub port: Option<u16>,

    /// The directory for the database [default: chinwag in your data directory, such as ~/.local/share]
    #[arg(long, env = "CHINWAG_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// What an acknowledged message survives: a power cut (full), or only a crash of Chinwag itself (fast)
    #[arg(long, env = "CHINWAG_DURABILITY", value_name = "MODE", default_value = "full")]
    pub durability: DurabilityOption,

    /// On a Redis: how many of its replicas must have a message before it is acknowledged (in the environment,
    /// `REDIS_URL` says where everything is kept instead of the data directory)
    #[arg(long, env = "CHINWAG_REDIS_WAIT", value_name = "N", default_value = "0")]
    pub redis_wait: u32,

    /// How the log on standard error is written
    #[arg(long, env = "CHINWAG_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Log each connection's coming and going, each message, and each delivery with its counts
    #[arg(long, env = "CHINWAG_TRACE")]
    pub trace: bool,

    /// How often a connection is pinged; one that is silent for twice as long is closed
    #[arg(long, env = "CHINWAG_HEARTBEAT", value_name = "TIME", default_value = "30s", value_parser = heartbeat)]
    pub heartbeat: Duration,

    /// Further origins whose pages may connect (as guests: the cookie does not cross sites), such as
    /// <https://example.org>, separated by commas
    #[arg(long, env = "CHINWAG_ORIGINS", value_name = "ORIGINS", value_delimiter = ',', value_parser = origin)]
    pub origins: Vec<String>,

    /// Who comes in without a link: anyone, as a guest or with an account (open), nobody (invite), or anyone who makes
    /// an account (accounts) [default: what the owner sets in the page, at first open]
    #[arg(long, env = "CHINWAG_JOIN", value_name = "POLICY")]
    pub join: Option<JoinOption>,

    /// Whether there are accounts with passwords; off where people sign in by a provider alone
    #[arg(long, env = "CHINWAG_PASSWORDS", value_name = "ON|OFF", default_value = "on")]
    pub passwords: OnOff,

    /// How this server is called from outside, such as <https://chat.example.org>; sign-in providers send people back
    /// there, and links in mails lead there [default: as the browser calls it]
    #[arg(long, env = "CHINWAG_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// From whom mails come, where a server takes them (an account for it is set in the environment alone)
    #[arg(long, env = "CHINWAG_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,

    /// Where pictures are looked for that go with people's e-mails, or off
    #[arg(long, env = "CHINWAG_GRAVATAR", value_name = "OFF|URL", default_value = GRAVATAR, value_parser = gravatar)]
    pub gravatar: String,

    /// Hosts that the server may ask although their address is not public, such as a sign-in provider in your own
    /// network, separated by commas
    #[arg(long, env = "CHINWAG_FETCH_PRIVATE", value_name = "HOSTS", value_delimiter = ',')]
    pub fetch_private: Vec<String>,

    /// Proxies in front of this server, by address or network, separated by commas; what they say of a visitor's
    /// address (X-Forwarded-For) is believed
    #[arg(long, env = "CHINWAG_TRUSTED_PROXY", value_name = "NETWORKS", value_delimiter = ',', value_parser = network)]
    pub trusted_proxy: Vec<IpNet>,

    /// Whether rates and numbers of connections are limited; off is for benchmarks, and lifts no bound of memory
    #[arg(long, env = "CHINWAG_LIMITS", value_name = "ON|OFF", default_value = "on")]
    pub limits: OnOff,

    /// Messages that one user may post in a second (five times as many at once)
    #[arg(long, env = "CHINWAG_POST_RATE", value_name = "N", default_value = "10")]
    pub post_rate: NonZeroU32,

    /// New guests and connections without a session from one address in a second (sixty times as many at once)
    #[arg(long, env = "CHINWAG_ARRIVAL_RATE", value_name = "N", default_value = "10")]
    pub arrival_rate: NonZeroU32,

    /// Connections of all users together
    #[arg(long, env = "CHINWAG_CONNECTIONS", value_name = "N", default_value = "100000")]
    pub connections: usize,

    /// Connections without a session from one address
    #[arg(long, env = "CHINWAG_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value = "1000")]
    pub connections_per_address: usize,

    /// The longest message, in bytes
    #[arg(long, env = "CHINWAG_TEXT_BYTES", value_name = "N", default_value = "8000",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub text_bytes: u32,

    /// The newest messages of one room kept in memory, in KB
    #[arg(long, env = "CHINWAG_TAIL_KB", value_name = "N", default_value = "256")]
    pub tail_kb: NonZeroU32,

    /// The newest messages of all rooms kept in memory, in MB
    #[arg(long, env = "CHINWAG_TAILS_MB", value_name = "N", default_value = "64")]
    pub tails_mb: NonZeroU32,

    /// Clients of which classic Go chats are let in, separated by commas [all, if none are named]
    #[arg(long, env = "CHINWAG_CLASSIC", value_name = "CLIENTS", value_delimiter = ',', num_args = 0..=1,
          default_missing_value = "all")]
    pub classic: Vec<ClassicOption>,

    /// The room that classic clients talk in, a public one
    #[arg(long, env = "CHINWAG_CLASSIC_ROOM", value_name = "ROOM", default_value = "lobby", value_parser = room)]
    pub classic_room: RoomId,

    /// How many messages of the past are sent to those classic clients that expect them
    #[arg(long, env = "CHINWAG_CLASSIC_HISTORY", value_name = "N", default_value = "1000",
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub classic_history: u32,

    /// Who vouches for people.
    #[arg(skip)]
    pub providers: Vec<ProviderSettings>,

    /// The Redis in which everything is kept, and the password for it.
    #[arg(skip)]
    pub redis_url: Option<Hidden>,

    /// The server that takes mails, and the password for it.
    #[arg(skip)]
    pub smtp_url: Option<Hidden>,
}

/// What is not to be shown.
#[derive(Clone)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// What is done instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print a link that makes its visitor the owner, once and within a day; the server may be running
    OwnerLink,
    /// Copy everything in a data directory, whose server is stopped, to an empty Redis; run again it goes on where it
    /// stopped
    Copy {
        /// The data directory to copy [default: that of --data]
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
        /// The Redis to copy to [default: `REDIS_URL`]
        #[arg(long, value_name = "URL")]
        to: Option<String>,
    },
    /// Take over the history of another chat
    #[command(subcommand)]
    Import(Import),
}

#[derive(Clone, Debug, Subcommand)]
pub enum Import {
    /// The classic chat on Redis: a list of {"username":"…","text":"…"}, oldest first; run again it goes on where it
    /// stopped. The server is stopped meanwhile, unless it keeps its data in Redis
    Classic {
        /// The Redis that has the list
        #[arg(long, value_name = "URL")]
        from: String,
        /// The key of the list
        #[arg(long, value_name = "KEY", default_value = "chat_messages")]
        key: String,
        /// The room that takes the messages
        #[arg(long, value_name = "ROOM", default_value = "lobby")]
        room: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DurabilityOption {
    Full,
    Fast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JoinOption {
    Open,
    Invite,
    Accounts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClassicOption {
    All,
    Gorilla,
    Blueprints,
    Heroku,
    Gochatting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    On,
    Off,
}

impl Config {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.addr.ip(), self.port.unwrap_or(self.addr.port()))
    }

    /// The data directory, the default one where none is named.
    pub fn data_dir(&self) -> Result<PathBuf, Fatal> {
        if let Some(dir) = &self.data {
            return Ok(dir.clone());
        }
        let base = etcetera::choose_base_strategy().map_err(|_| Fatal::NoDataDir)?;
        Ok(base.data_dir().join("chinwag"))
    }

    pub fn store(&self) -> Result<crate::store::Options, Fatal> {
        let durability = match self.durability {
            DurabilityOption::Full => Durability::Full,
            DurabilityOption::Fast => Durability::Fast,
        };
        let redis = self.redis_url.clone().map(|Hidden(url)| crate::store::Redis { url, wait: self.redis_wait });
        Ok(crate::store::Options { dir: self.data_dir()?, durability, redis })
    }

    /// From where to where everything is copied.
    pub fn copies(
        &self,
        from: Option<PathBuf>,
        to: Option<String>,
    ) -> Result<(crate::store::Options, crate::store::Options), Fatal> {
        let options = self.store()?;
        let to = to.map(|url| crate::store::Redis { url, wait: self.redis_wait }).or_else(|| options.redis.clone());
        let from = crate::store::Options { dir: from.unwrap_or_else(|| options.dir.clone()), redis: None, ..options };
        if !from.dir.join("chinwag.db").is_file() {
            return Err(Fatal::NothingToCopy { dir: from.dir });
        }
        let to = crate::store::Options { redis: Some(to.ok_or(Fatal::NowhereToCopy)?), ..from.clone() };
        Ok((from, to))
    }

    pub fn join_policy(&self) -> Option<Join> {
        self.join.map(|join| match join {
            JoinOption::Open => Join::Open,
            JoinOption::Invite => Join::Invite,
            JoinOption::Accounts => Join::Accounts,
        })
    }

    pub fn mailer(&self) -> Result<Option<Mailer>, Fatal> {
        match (&self.smtp_url, &self.mail_from, &self.public_url) {
            (Some(Hidden(url)), Some(from), Some(_)) => Mailer::new(url, from).map(Some),
            (None, None, _) => Ok(None),
            (None, Some(_), _) => Err(Fatal::Mail("CHINWAG_SMTP_URL")),
            (Some(_), None, _) => Err(Fatal::Mail("--mail-from")),
            (Some(_), Some(_), None) => Err(Fatal::Mail("--public-url")),
        }
    }

    pub fn gravatar_base(&self) -> Option<String> {
        (self.gravatar != OFF).then(|| self.gravatar.clone())
    }

    pub fn rates(&self) -> Option<Rates> {
        (self.limits == OnOff::On).then_some(Rates {
            posts: self.post_rate,
            arrivals: self.arrival_rate,
            connections: self.connections,
            connections_per_address: self.connections_per_address,
        })
    }

    pub fn tails(&self) -> TailLimits {
        TailLimits { room_bytes: to_usize(self.tail_kb.get()) << 10, all_bytes: to_usize(self.tails_mb.get()) << 20 }
    }

    pub fn limits(&self) -> Limits {
        Limits { text_bytes: to_usize(self.text_bytes), frame_bytes: FRAME_BYTES }
    }
}

/// The address that a person would type to get to `addr` from this machine.
pub fn url(addr: SocketAddr) -> String {
    match addr.ip() {
        IpAddr::V4(ip) if ip == Ipv4Addr::UNSPECIFIED => format!("http://localhost:{}", addr.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => format!("http://localhost:{}", addr.port()),
        _ => format!("http://{addr}"),
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn heartbeat(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(100)..=Duration::from_hours(1);
    let time = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| bounds.contains(time)).ok_or_else(|| "expected a time from 100ms to 1h, such as 30s".to_owned())
}

const OFF: &str = "off";

fn gravatar(text: &str) -> Result<String, String> {
    if text == OFF || text.starts_with("https://") || text.starts_with("http://") {
        return Ok(text.to_owned());
    }
    Err("expected off, or a URL such as https://www.gravatar.com/avatar/".to_owned())
}

fn room(text: &str) -> Result<RoomId, String> {
    match check_room(text) {
        Ok(()) if !text.is_empty() => Ok(RoomId::from(text)),
        _ => Err("expected the id of a room, such as lobby".to_owned()),
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| alone()).map_err(|_| "expected an address or a network, such as 10.0.0.0/8".to_owned())
}

fn public_url(text: &str) -> Result<String, String> {
    origin(text.trim_end_matches('/'))
}

fn origin(text: &str) -> Result<String, String> {
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match authority {
        Some(authority) if !authority.is_empty() && !authority.contains(['/', '*']) => Ok(text.to_owned()),
        _ => Err("expected a scheme, a host and perhaps a port, such as https://example.org:8443".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, String> {
        let all = std::iter::once("chinwag").chain(arguments.iter().copied());
        Config::try_parse_from(all).map_err(|error| error.to_string())
    }

    #[test]
    fn a_wrong_value_names_the_option_and_what_it_takes() {
        let cases = [
            (["--addr", "nowhere"], "--addr"),
            (["--heartbeat", "1d"], "expected a time from 100ms to 1h"),
            (["--origins", "example.org"], "expected a scheme"),
            (["--limits", "some"], "[possible values: on, off]"),
            (["--durability", "none"], "[possible values: full, fast]"),
            (["--text-bytes", "0"], "1..=65536"),
            (["--join", "anyone"], "[possible values: open, invite, accounts]"),
            (["--gravatar", "no"], "expected off, or a URL"),
            (["--trusted-proxy", "proxy"], "expected an address or a network"),
            (["--classic", "irc"], "[possible values: all, gorilla, blueprints, heroku, gochatting]"),
            (["--classic-room", ""], "expected the id of a room"),
            (["--public-url", "https://example.org/chat"], "expected a scheme"),
        ];
        for (arguments, expected) in cases {
            let error = parse(&arguments).expect_err(expected);
            assert!(error.contains(expected) && error.contains(arguments[0]), "{error}");
        }
    }

    #[test]
    fn the_port_of_the_platform_wins_over_that_of_the_address() {
        let config = parse(&["--addr", "127.0.0.1:1", "--port", "2"]).unwrap();
        assert_eq!(config.address(), "127.0.0.1:2".parse().unwrap());
    }

    #[test]
    fn the_address_to_open_is_one_that_a_browser_takes() {
        assert_eq!(url("0.0.0.0:8080".parse().unwrap()), "http://localhost:8080");
        assert_eq!(url("[::1]:8080".parse().unwrap()), "http://[::1]:8080");
    }
}
