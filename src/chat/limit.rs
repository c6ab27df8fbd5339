//! How much one user, and one address without a session, may do in a time. A user is measured by themselves, since a
//! whole school may sit behind one address. It knows nothing of what is limited.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::protocol::UserId;

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Messages a second and user; five times as many at once.
    pub posts: NonZeroU32,
    /// New guests and connections without a session, a second and address; sixty times as many at once.
    pub arrivals: NonZeroU32,
    pub connections: usize,
    pub connections_per_address: usize,
}

/// Commands other than posts a second and user; a page that opens sends a handful.
const COMMANDS: NonZeroU32 = NonZeroU32::new(50).expect("it is not zero");
/// New rooms and new names a minute and user: everyone is told of them.
const RARE: NonZeroU32 = NonZeroU32::new(6).expect("it is not zero");

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

pub struct Limiter {
    rates: Option<Limited>,
    connections: AtomicUsize,
    per_address: Mutex<HashMap<IpAddr, usize>>,
}

struct Limited {
    rates: Rates,
    posts: Keyed<UserId>,
    commands: Keyed<UserId>,
    rare: Keyed<UserId>,
    looks: Keyed<IpAddr>,
    arrivals: Keyed<IpAddr>,
}

impl Limiter {
    /// Without rates nothing is limited.
    pub fn new(rates: Option<Rates>) -> Self {
        Self { rates: rates.map(Limited::new), connections: AtomicUsize::new(0), per_address: Mutex::default() }
    }

    pub fn post(&self, user: UserId) -> Result<()> {
        self.rates.as_ref().map_or(Ok(()), |limited| check(&limited.posts, &user))
    }

    pub fn command(&self, user: UserId) -> Result<()> {
        self.rates.as_ref().map_or(Ok(()), |limited| check(&limited.commands, &user))
    }

    /// What everyone is told of: a new room, a new name.
    pub fn rare(&self, user: UserId) -> Result<()> {
        self.rates.as_ref().map_or(Ok(()), |limited| check(&limited.rare, &user))
    }

    /// Somebody reads without a socket: a user, or whoever is at this address.
    pub fn look(&self, user: Option<UserId>, address: IpAddr) -> Result<()> {
        match (user, &self.rates) {
            (Some(user), _) => self.command(user),
            (None, Some(limited)) => check(&limited.looks, &network(address)),
            (None, None) => Ok(()),
        }
    }

    /// Somebody without a session arrives from this address.
    pub fn arrive(&self, address: IpAddr) -> Result<()> {
        self.rates.as_ref().map_or(Ok(()), |limited| check(&limited.arrivals, &network(address)))
    }

    /// Admits a connection as long as the permit lives; those without a session count by their address too.
    pub fn connect(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit> {
        let all = self.connections.fetch_add(1, Ordering::AcqRel) + 1;
        // From here on the permit counts down again, also where it is not given out.
        let mut permit = Permit { limiter: self.clone(), address: None };
        let Some(Limited { rates, .. }) = &self.rates else { return Ok(permit) };
        if all > rates.connections {
            return Err(Error::Unavailable("this node has all the connections it may have; --connections raises that"));
        }
        if let Some(address) = address.map(network) {
            let mut per_address = self.per_address.lock();
            let count = per_address.entry(address).or_default();
            if *count >= rates.connections_per_address {
                return Err(Error::RateLimited { retry_after_ms: 10_000 });
            }
            *count += 1;
            permit.address = Some(address);
        }
        Ok(permit)
    }

    /// Forgets whoever has been quiet long enough to start afresh.
    pub fn forget(&self) {
        if let Some(limited) = &self.rates {
            limited.posts.retain_recent();
            limited.commands.retain_recent();
            limited.rare.retain_recent();
            limited.looks.retain_recent();
            limited.arrivals.retain_recent();
        }
    }
}

/// One admitted connection.
pub struct Permit {
    limiter: Arc<Limiter>,
    address: Option<IpAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.connections.fetch_sub(1, Ordering::AcqRel);
        if let Some(address) = self.address {
            let mut per_address = self.limiter.per_address.lock();
            if let Some(count) = per_address.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    per_address.remove(&address);
                }
            }
        }
    }
}

impl Limited {
    fn new(rates: Rates) -> Self {
        Self {
            posts: keyed(Quota::per_second(rates.posts).allow_burst(times(rates.posts, 5))),
            commands: keyed(Quota::per_second(COMMANDS).allow_burst(times(COMMANDS, 4))),
            rare: keyed(Quota::per_minute(RARE).allow_burst(times(RARE, 2))),
            looks: keyed(Quota::per_second(COMMANDS).allow_burst(times(COMMANDS, 4))),
            arrivals: keyed(Quota::per_second(rates.arrivals).allow_burst(times(rates.arrivals, 60))),
            rates,
        }
    }
}

fn keyed<K: Hash + Eq + Clone>(quota: Quota) -> Keyed<K> {
    RateLimiter::new(quota, HashMapStateStore::default(), DefaultClock::default())
}

fn times(rate: NonZeroU32, factor: u32) -> NonZeroU32 {
    rate.saturating_mul(NonZeroU32::new(factor).expect("the factors above are not zero"))
}

fn check<K: Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K) -> Result<()> {
    limiter.check_key(key).map_err(|not_until| {
        let wait = not_until.wait_time_from(DefaultClock::default().now());
        Error::RateLimited { retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1) }
    })
}

/// What counts as one address: of IPv6 the /64, which one customer has to themselves (RFC 6177 §2).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Arc<Limiter> {
        let one = NonZeroU32::MIN;
        let rates = Rates { posts: one, arrivals: one, connections: 3, connections_per_address: 2 };
        Arc::new(Limiter::new(Some(rates)))
    }

    #[test]
    fn a_user_who_posts_too_fast_is_told_when_to_try_again() {
        let (limiter, bob, eve) = (limiter(), UserId::random(), UserId::random());
        (0..5).for_each(|_| limiter.post(bob).unwrap());
        let Err(Error::RateLimited { retry_after_ms }) = limiter.post(bob) else { panic!("bob is limited") };
        assert!((1..=1_000).contains(&retry_after_ms));
        limiter.post(eve).expect("each user is measured by themselves");
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let limiter = limiter();
        let (one, other) = ("2001:db8:1:2::1".parse().unwrap(), "2001:db8:1:2:ffff::9".parse().unwrap());
        let _permits = [limiter.connect(Some(one)).unwrap(), limiter.connect(Some(other)).unwrap()];
        assert!(matches!(limiter.connect(Some(one)), Err(Error::RateLimited { .. })));
        limiter.connect(None).expect("who has a session does not count by address");
    }

    #[test]
    fn a_connection_makes_room_when_it_goes() {
        let limiter = limiter();
        let mut permits: Vec<_> = (0..3).map(|_| limiter.connect(None).unwrap()).collect();
        assert!(matches!(limiter.connect(None), Err(Error::Unavailable(_))));
        permits.pop();
        limiter.connect(None).unwrap();
    }

    #[test]
    fn without_rates_nothing_is_limited() {
        let (limiter, bob) = (Arc::new(Limiter::new(None)), UserId::random());
        (0..10_000).for_each(|_| limiter.post(bob).unwrap());
    }
}
