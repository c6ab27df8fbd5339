//! The system's limits that stand in a load generator's way: open files, and ports per address.
//! Raised where that is allowed, named with their remedy where it is not.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Well below the ports an address has, so that none is ever short of them.
const CONNECTIONS_PER_ADDRESS: u32 = 100;
/// Files that a process has open besides its connections.
const OTHER_FILES: u64 = 200;

/// Makes room for `connections` in this process and in the servers it starts from now on.
pub fn allow_connections(connections: usize) -> Result<()> {
    let needed = connections as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.unwrap_or(u64::MAX) >= needed {
        return Ok(());
    }
    let raised =
        Rlimit { current: Some(needed.max(hard.min(1 << 20))), maximum: limit.maximum.map(|hard| hard.max(needed)) };
    setrlimit(Resource::Nofile, raised).with_context(|| {
        format!(
            "{needed} open files are needed, but this process may have {hard}: raise its hard limit \
             (`ulimit -Hn {needed}` as root, nofile in /etc/security/limits.conf, or fs.nr_open)"
        )
    })
}

/// The loopback address from which the connection of this number comes: 127.1.0.1 and up.
pub fn source(connection: usize) -> Ipv4Addr {
    let number = u32::try_from(connection).unwrap_or(u32::MAX) / CONNECTIONS_PER_ADDRESS;
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + number % 0x00fd_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_shared_by_a_hundred_and_stay_on_loopback() {
        assert_eq!(source(0), Ipv4Addr::new(127, 1, 0, 1));
        assert_eq!(source(99), source(0));
        assert_eq!(source(100), Ipv4Addr::new(127, 1, 0, 2));
        assert!(source(usize::MAX).is_loopback());
    }

    #[test]
    fn a_few_connections_are_always_allowed() {
        allow_connections(10).unwrap();
    }

    #[test]
    fn an_impossible_number_says_what_to_raise() {
        let error = allow_connections(usize::MAX / 2).unwrap_err();
        assert!(error.to_string().contains("ulimit"), "{error}");
    }
}
