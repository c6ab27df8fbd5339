//! Passwords: whether one is good enough, and its hash. Hashing is dear on purpose, so only a few are computed at a
//! time. It knows no user.

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use zxcvbn::{Score, zxcvbn};

use crate::error::{Error, Result};

const LEAST_CHARS: usize = 10;
/// More would only cost time.
const MOST_BYTES: usize = 256;
/// So many passwords are hashed at once; each takes 19 MB while it is (argon2's own default).
const AT_ONCE: usize = 2;

/// What is verified where there is no account, so that it takes the same time.
static NOBODY: LazyLock<String> = LazyLock::new(|| compute("nobody has this password").unwrap_or_default());

pub struct Passwords {
    turns: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Passwords {
    /// The hash of a new password in PHC form; `WeakPassword` where it is too short, too long or easy to guess. `known`
    /// is what an attacker would try first: name and e-mail of its user.
    pub async fn hash(&self, password: &str, known: &[&str]) -> Result<String> {
        check(password, known)?;
        let password = password.to_owned();
        self.in_turn(move || compute(&password)).await?
    }

    /// Whether the password is the one of this hash; without a hash it is not, after the same time.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        let known = hash.is_some();
        let (password, hash) = (password.to_owned(), hash.map(ToOwned::to_owned));
        let fits = move || {
            let hash = hash.as_deref().unwrap_or(&NOBODY);
            let parsed = PasswordHash::new(hash);
            password.len() <= MOST_BYTES
                && parsed.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        };
        Ok(self.in_turn(fits).await? && known)
    }

    async fn in_turn<T: Send + 'static>(&self, compute: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Error::Internal)?;
        // Held until it is computed, though whoever asked may have gone.
        let compute = move || {
            let _turn = turn;
            compute()
        };
        tokio::task::spawn_blocking(compute).await.map_err(|_| Error::Internal)
    }
}

fn check(password: &str, known: &[&str]) -> Result<()> {
    let weak = |why: &str| Err(Error::WeakPassword(why.to_owned()));
    if password.chars().count() < LEAST_CHARS {
        return weak(&format!("expected at least {LEAST_CHARS} characters"));
    }
    if password.len() > MOST_BYTES {
        return weak(&format!("expected at most {MOST_BYTES} bytes"));
    }
    // What is known of a user is guessed in parts, too: their name, their mail's two sides.
    let parts = known.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let known: Vec<&str> = known.iter().copied().chain(parts).filter(|part| part.chars().count() > 2).collect();
    let rest = known.iter().fold(password.to_lowercase(), |rest, part| rest.replace(&part.to_lowercase(), ""));
    if rest.chars().count() < LEAST_CHARS / 2 {
        return weak("expected more than a name and an address");
    }
    if zxcvbn(password, &known).score() < Score::Two {
        return weak("it is one of the first that anyone would try; take a few words that do not belong together");
    }
    Ok(())
}

fn compute(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|error| {
        tracing::error!(%error, "a password cannot be hashed");
        Error::Internal
    })?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anyone_would_try_first_is_refused() {
        for bad in
            ["short", "passwordpassword", "1234567890", "qwertyuiop", "iloveyou123", "bob.miller1", "Chinwag2026"]
        {
            let known = ["bob miller", "", "Chinwag"];
            assert!(matches!(check(bad, &known), Err(Error::WeakPassword(_))), "{bad}");
        }
        for good in ["correct horse battery", "Blaue-Giraffe-77", "été-pluvieux-à-Brest"] {
            assert_eq!(check(good, &["bob miller"]), Ok(()), "{good}");
        }
        assert!(check(&"long ".repeat(60), &[]).is_err());
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse battery", &[]).await.unwrap();
        assert!(hash.starts_with("$argon2id$") && !hash.contains("horse"));
        assert_eq!(passwords.verify("correct horse battery", Some(&hash)).await, Ok(true));
        assert_eq!(passwords.verify("correct horse batterx", Some(&hash)).await, Ok(false));
        assert_eq!(passwords.verify("nobody has this password", None).await, Ok(false));
    }
}
