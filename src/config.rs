//! Every option, once: its flag, its environment variable, its documentation. For main and server alone: what lies
//! below gets its settings handed in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use etcetera::BaseStrategy;

use crate::chat::hub::TailLimits;
use crate::chat::limit::Rates;
use crate::error::Fatal;
use crate::protocol::Limits;
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DurabilityOption {
    Full,
    Fast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
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
        Ok(crate::store::Options { dir: self.data_dir()?, durability })
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
