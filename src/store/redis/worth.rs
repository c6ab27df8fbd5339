//! What an acknowledgement is worth, in words, from the server's own settings and our option. Pure but for the asking.

use std::collections::HashMap;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

/// What the server says of itself; None where it does not let us ask.
#[derive(Default)]
pub(super) struct Settings {
    config: Option<HashMap<String, String>>,
    replicas: Option<u32>,
}

impl Settings {
    pub async fn ask(mut redis: MultiplexedConnection) -> Self {
        let mut config = redis::cmd("CONFIG");
        config.arg("GET").arg(&["appendonly", "appendfsync", "min-replicas-to-write"]);
        let config: RedisResult<HashMap<String, String>> = config.query_async(&mut redis).await;
        let replication: RedisResult<String> = redis::cmd("INFO").arg("replication").query_async(&mut redis).await;
        Self { config: config.ok(), replicas: replication.ok().and_then(|info| field(&info, "connected_slaves")) }
    }

    /// Whether the server lets us ask for all of it.
    pub fn can_be_read(&self) -> bool {
        self.config.is_some() && self.replicas.is_some()
    }

    /// The end of the sentence "an acknowledged message is …".
    pub fn worth(&self, wait: u32) -> String {
        let asked = |name| self.config.as_ref()?.get(name)?.parse::<u32>().ok().filter(|number| *number > 0);
        let copies = if wait > 0 {
            format!("; {wait} of its replicas have it, too (--redis-wait {wait})")
        } else if let Some(least) = asked("min-replicas-to-write") {
            format!("; Redis takes messages only while {least} replicas follow (min-replicas-to-write)")
        } else {
            String::new()
        };
        let replicas = match self.replicas {
            Some(0) => "no replica follows it now".to_owned(),
            Some(replicas) => format!("replicas that follow it now: {replicas}"),
            None => "whether replicas follow it cannot be read".to_owned(),
        };
        format!("{}{copies}; {replicas}", self.kept())
    }

    fn kept(&self) -> &'static str {
        let Some(config) = &self.config else {
            return "in Redis (its settings cannot be read: its user needs CONFIG GET)";
        };
        let set = |name: &str| config.get(name).map_or("", |value| &**value);
        match (set("appendonly"), set("appendfsync")) {
            ("yes", "always") => "on Redis's disk",
            ("yes", "everysec") => {
                "safe from a crash of Redis, but a power cut there may take the last second (appendfsync everysec)"
            }
            ("yes", _) => {
                "safe from a crash of Redis, but a power cut there may take the last half minute (appendfsync no)"
            }
            _ => "in memory only: a crash of Redis takes what came since its last snapshot (appendonly no)",
        }
    }
}

/// Of what INFO says.
pub(super) fn field<T: std::str::FromStr>(info: &str, name: &str) -> Option<T> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(appendonly: &str, appendfsync: &str, least: &str, replicas: u32) -> Settings {
        let config = [("appendonly", appendonly), ("appendfsync", appendfsync), ("min-replicas-to-write", least)];
        let config = config.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings { config: Some(config.into()), replicas: Some(replicas) }
    }

    #[test]
    fn an_acknowledgement_is_worth_what_the_settings_say() {
        let cases = [
            (settings("yes", "always", "0", 0), 0, "on Redis's disk; no replica follows it now"),
            (settings("no", "everysec", "0", 0), 0, "in memory only"),
            (settings("yes", "everysec", "1", 2), 0, "last second"),
            (settings("yes", "everysec", "1", 2), 0, "only while 1 replicas follow"),
            (settings("yes", "always", "0", 2), 1, "1 of its replicas have it"),
            (Settings::default(), 0, "its settings cannot be read"),
        ];
        for (settings, wait, expected) in cases {
            let worth = settings.worth(wait);
            assert!(worth.contains(expected), "{worth}");
        }
    }

    #[test]
    fn a_field_is_found_in_what_the_server_says() {
        assert_eq!(field("# Server\r\nredis_version:7.0.15\r\n", "redis_version"), Some("7.0.15".to_owned()));
        assert_eq!(field::<u32>("role:master\r\n", "connected_slaves"), None);
    }
}
