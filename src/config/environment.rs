//! What comes from the environment alone, since flags can be seen by everyone on the machine: sign-in providers and
//! their secrets, and the mail server's password. docs/accounts.md has a recipe for each.

use oauth2::ClientSecret;
use url::Url;

use super::{Config, Hidden};
use crate::chat::provider::{Dialect, OAuth, ProviderKind, ProviderSettings};
use crate::error::Fatal;

const GOOGLE: &str = "https://accounts.google.com";
const GITHUB: &str = "https://github.com";
const GITHUB_API: &str = "https://api.github.com";
const FACEBOOK: &str = "https://www.facebook.com";
const FACEBOOK_API: &str = "https://graph.facebook.com";
/// Issuers besides Google.
const ISSUERS: u32 = 9;

impl Config {
    /// With what these variables say.
    pub fn with_secrets(self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Fatal> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let smtp_url = set("CHINWAG_SMTP_URL").map(Hidden);
        let redis_url = set("REDIS_URL").map(Hidden);
        Ok(Self { providers: providers(&set)?, smtp_url, redis_url, ..self })
    }
}

fn providers(set: &impl Fn(&str) -> Option<String>) -> Result<Vec<ProviderSettings>, Fatal> {
    let mut providers = Vec::new();
    let google = |_: &str| Ok(ProviderKind::OpenId { issuer: GOOGLE.to_owned() });
    providers.extend(provider(set, "CHINWAG_GOOGLE", "google", "Google", google)?);
    let github = |prefix: &str| {
        let web = url(set, prefix, "_URL")?;
        let api = url(set, prefix, "_API_URL")?;
        // GitHub Enterprise has its API below its pages.
        let api = api.or_else(|| web.as_ref().map(|web| format!("{web}/api/v3")));
        Ok(oauth(Dialect::GitHub, web.as_deref().unwrap_or(GITHUB), api.as_deref().unwrap_or(GITHUB_API)))
    };
    providers.extend(provider(set, "CHINWAG_GITHUB", "github", "GitHub", github)?);
    let facebook = |prefix: &str| {
        let (web, api) = (url(set, prefix, "_URL")?, url(set, prefix, "_API_URL")?);
        Ok(oauth(Dialect::Facebook, web.as_deref().unwrap_or(FACEBOOK), api.as_deref().unwrap_or(FACEBOOK_API)))
    };
    let facebook = provider(set, "CHINWAG_FACEBOOK", "facebook", "Facebook", facebook)?;
    if facebook.as_ref().is_some_and(|facebook| !facebook.domains.is_empty()) {
        let expected = "nothing, since Facebook does not say whether an e-mail is verified";
        return Err(Fatal::Environment { variable: "CHINWAG_FACEBOOK_DOMAINS".to_owned(), expected });
    }
    providers.extend(facebook);
    for number in 1..=ISSUERS {
        let (prefix, id) = match number {
            1 => ("CHINWAG_OIDC".to_owned(), "oidc".to_owned()),
            _ => (format!("CHINWAG_OIDC_{number}"), format!("oidc-{number}")),
        };
        let issuer = set(&format!("{prefix}_ISSUER"));
        let kind = |prefix: &str| {
            let variable = format!("{prefix}_ISSUER");
            let missing = || environment(variable.clone(), "the issuer's address, as its discovery document has it");
            // Kept as it is written: it is compared letter by letter.
            let issuer = issuer.clone().filter(|issuer| is_url(issuer)).ok_or_else(missing)?;
            Ok(ProviderKind::OpenId { issuer })
        };
        let found = provider(set, &prefix, &id, "Single sign-on", kind)?;
        if found.is_none() && issuer.is_some() {
            return Err(environment(format!("{prefix}_ID"), "the client's id at this issuer"));
        }
        providers.extend(found);
    }
    Ok(providers)
}

/// The provider whose variables begin with this prefix, where there is a client id.
fn provider(
    set: &impl Fn(&str) -> Option<String>,
    prefix: &str,
    id: &str,
    name: &str,
    kind: impl Fn(&str) -> Result<ProviderKind, Fatal>,
) -> Result<Option<ProviderSettings>, Fatal> {
    let secret = set(&format!("{prefix}_SECRET"));
    let Some(client) = set(&format!("{prefix}_ID")) else {
        return match secret {
            Some(_) => Err(environment(format!("{prefix}_ID"), "the client's id, as there is a secret")),
            None => Ok(None),
        };
    };
    let secret = secret.ok_or_else(|| environment(format!("{prefix}_SECRET"), "the client's secret"))?;
    let domains = set(&format!("{prefix}_DOMAINS")).unwrap_or_default();
    let domains = domains.split(',').map(|domain| domain.trim().trim_start_matches('@').to_owned());
    Ok(Some(ProviderSettings {
        id: id.to_owned(),
        name: set(&format!("{prefix}_NAME")).unwrap_or_else(|| name.to_owned()),
        kind: kind(prefix)?,
        client,
        secret: ClientSecret::new(secret),
        domains: domains.filter(|domain| !domain.is_empty()).collect(),
    }))
}

fn oauth(dialect: Dialect, web: &str, api: &str) -> ProviderKind {
    ProviderKind::OAuth(OAuth { dialect, web: web.to_owned(), api: api.to_owned() })
}

fn url(set: &impl Fn(&str) -> Option<String>, prefix: &str, suffix: &str) -> Result<Option<String>, Fatal> {
    let variable = format!("{prefix}{suffix}");
    match set(&variable) {
        Some(url) if is_url(&url) => Ok(Some(url.trim_end_matches('/').to_owned())),
        Some(_) => Err(environment(variable, "an address such as https://github.example.org")),
        None => Ok(None),
    }
}

fn is_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}

fn environment(variable: String, expected: &'static str) -> Fatal {
    Fatal::Environment { variable, expected }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        let config = Config::try_parse_from(["chinwag"]).map_err(|error| error.to_string())?;
        config.with_secrets(value).map_err(|fatal| fatal.to_string())
    }

    #[test]
    fn several_providers_are_set_up_at_once() {
        let config = read(&[
            ("CHINWAG_GOOGLE_ID", "g"),
            ("CHINWAG_GOOGLE_SECRET", "s"),
            ("CHINWAG_GITHUB_ID", "h"),
            ("CHINWAG_GITHUB_SECRET", "s"),
            ("CHINWAG_GITHUB_URL", "https://git.example.org/"),
            ("CHINWAG_FACEBOOK_ID", ""),
            ("CHINWAG_OIDC_ISSUER", "https://id.example.org/"),
            ("CHINWAG_OIDC_ID", "o"),
            ("CHINWAG_OIDC_SECRET", "s"),
            ("CHINWAG_OIDC_3_ISSUER", "https://other.example.org"),
            ("CHINWAG_OIDC_3_ID", "o"),
            ("CHINWAG_OIDC_3_SECRET", "s"),
            ("CHINWAG_OIDC_3_NAME", "Our company"),
            ("CHINWAG_OIDC_3_DOMAINS", "example.org, @example.com,"),
        ]);
        let providers = config.unwrap().providers;
        let ids: Vec<_> = providers.iter().map(|provider| (&*provider.id, &*provider.name)).collect();
        let expected =
            [("google", "Google"), ("github", "GitHub"), ("oidc", "Single sign-on"), ("oidc-3", "Our company")];
        assert_eq!(ids, expected);
        let ProviderKind::OAuth(github) = &providers[1].kind else { panic!("GitHub speaks OAuth") };
        assert_eq!((&*github.web, &*github.api), ("https://git.example.org", "https://git.example.org/api/v3"));
        let ProviderKind::OpenId { issuer } = &providers[2].kind else { panic!("it is an issuer") };
        assert_eq!(issuer, "https://id.example.org/", "letter by letter");
        assert_eq!(providers[3].domains, ["example.org", "example.com"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[("CHINWAG_GITHUB_ID", "a")], "CHINWAG_GITHUB_SECRET"),
            (&[("CHINWAG_GITHUB_SECRET", "a")], "CHINWAG_GITHUB_ID"),
            (&[("CHINWAG_OIDC_ISSUER", "https://id.example.org")], "CHINWAG_OIDC_ID"),
            (&[("CHINWAG_OIDC_2_ID", "a"), ("CHINWAG_OIDC_2_SECRET", "b")], "CHINWAG_OIDC_2_ISSUER"),
            (
                &[("CHINWAG_GITHUB_ID", "a"), ("CHINWAG_GITHUB_SECRET", "b"), ("CHINWAG_GITHUB_URL", "git")],
                "CHINWAG_GITHUB_URL",
            ),
            (
                &[("CHINWAG_FACEBOOK_ID", "a"), ("CHINWAG_FACEBOOK_SECRET", "b"), ("CHINWAG_FACEBOOK_DOMAINS", "c.d")],
                "CHINWAG_FACEBOOK_DOMAINS",
            ),
        ];
        for (variables, expected) in cases {
            let error = read(variables).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn mail_needs_its_three_settings() {
        let smtp = [("CHINWAG_SMTP_URL", "smtps://a:secret@example.org")];
        let with = |from: Option<&str>, url: Option<&str>| {
            let config = read(&smtp).unwrap();
            assert!(!format!("{config:?}").contains("secret"));
            Config { mail_from: from.map(str::to_owned), public_url: url.map(str::to_owned), ..config }.mailer()
        };
        assert!(matches!(with(None, Some("https://example.org")), Err(Fatal::Mail("--mail-from"))));
        assert!(matches!(with(Some("chat@example.org"), None), Err(Fatal::Mail("--public-url"))));
        assert!(with(Some("chat@example.org"), Some("https://example.org")).is_ok_and(|mailer| mailer.is_some()));
        let without = Config { mail_from: Some("chat@example.org".to_owned()), ..read(&[]).unwrap() };
        assert!(matches!(without.mailer(), Err(Fatal::Mail("CHINWAG_SMTP_URL"))));
    }
}
