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
use crate::store::TokenHash;

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
/// New rooms, names, links, tokens and the like a minute and user: what others are told of, or what stays.
const RARE: NonZeroU32 = NonZeroU32::new(6).expect("it is not zero");

/// Guesses a minute at one account's password, or another secret that can be guessed.
const GUESSES: NonZeroU32 = NonZeroU32::new(2).expect("it is not zero");
/// Guesses a minute from one address; a school may sit behind it.
const GUESSES_FROM: NonZeroU32 = NonZeroU32::new(20).expect("it is not zero");

/// Letters an hour and user.
const MAILS: NonZeroU32 = NonZeroU32::new(3).expect("it is not zero");

type Keyed<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

pub struct Limiter {
    rates: Option<Limited>,
    connections: AtomicUsize,
    sources: Mutex<HashMap<IpAddr, Arc<Source>>>,
}

/// One address, for all that come from it.
pub struct Source {
    pub address: IpAddr,
    connections: AtomicUsize,
}

struct Limited {
    rates: Rates,
    posts: Keyed<UserId>,
    commands: Keyed<UserId>,
    rare: Keyed<UserId>,
    looks: Keyed<IpAddr>,
    arrivals: Keyed<IpAddr>,
    guesses: Keyed<TokenHash>,
    guesses_from: Keyed<IpAddr>,
    mails: Keyed<UserId>,
}

impl Limiter {
    /// Without rates nothing is limited.
    pub fn new(rates: Option<Rates>) -> Self {
        Self { rates: rates.map(Limited::new), connections: AtomicUsize::new(0), sources: Mutex::default() }
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

    /// Somebody at this address tries a secret for what has this hash: an account's name, a link.
    pub fn guess(&self, at: TokenHash, address: IpAddr) -> Result<()> {
        self.guess_from(address)?;
        self.guess_at(at)
    }

    /// The same wherever they are; `guess_from` comes before it.
    pub fn guess_at(&self, at: TokenHash) -> Result<()> {
        self.rates.as_ref().map_or(Ok(()), |limited| check(&limited.guesses, &at))
    }

    /// The same for secrets that cannot be guessed one by one, such as links.
    pub fn guess_from(&self, address: IpAddr) -> Result<()> {
        self.rates.as_ref().map_or(Ok(()), |limited| check(&limited.guesses_from, &network(address)))
    }

    /// Somebody is written to.
    pub fn mail(&self, user: UserId) -> Result<()> {
        self.rates.as_ref().map_or(Ok(()), |limited| check(&limited.mails, &user))
    }

    /// Admits a connection as long as the permit lives; those without a session count by their address too.
    pub fn connect(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit> {
        let all = self.connections.fetch_add(1, Ordering::AcqRel) + 1;
        // From here on the permit counts down again, also where it is not given out.
        let mut permit = Permit { limiter: self.clone(), source: None };
        let rates = self.rates.as_ref().map(|limited| limited.rates);
        if rates.is_some_and(|rates| all > rates.connections) {
            return Err(Error::Unavailable("this node has all the connections it may have; --connections raises that"));
        }
        if let Some(address) = address.map(network) {
            let mut sources = self.sources.lock();
            let new = || Arc::new(Source { address, connections: AtomicUsize::new(0) });
            let source = sources.entry(address).or_insert_with(new);
            let count = source.connections.load(Ordering::Relaxed);
            if rates.is_some_and(|rates| count >= rates.connections_per_address) {
                return Err(Error::RateLimited { retry_after_ms: 10_000 });
            }
            source.connections.store(count + 1, Ordering::Relaxed);
            permit.source = Some(source.clone());
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
            limited.guesses.retain_recent();
            limited.guesses_from.retain_recent();
            limited.mails.retain_recent();
        }
    }
}

/// One admitted connection.
pub struct Permit {
    limiter: Arc<Limiter>,
    source: Option<Arc<Source>>,
}

impl Permit {
    /// From where it comes; none where it has a session.
    pub fn source(&self) -> Option<Arc<Source>> {
        self.source.clone()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.connections.fetch_sub(1, Ordering::AcqRel);
        if let Some(source) = &self.source {
            let mut sources = self.limiter.sources.lock();
            // Counted under the lock, as above.
            if source.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
                sources.remove(&source.address);
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
            guesses: keyed(Quota::per_minute(GUESSES).allow_burst(times(GUESSES, 5))),
            guesses_from: keyed(Quota::per_minute(GUESSES_FROM).allow_burst(times(GUESSES_FROM, 3))),
            mails: keyed(Quota::per_hour(MAILS)),
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
pub fn network(address: IpAddr) -> IpAddr {
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
