//! The place as a whole: what it is called, how it looks, and who may come in. It knows no page.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::auth::Visitor;
use super::limit::network;
use super::nodes::Notice;
use super::provider::{Provider, ProviderView};
use super::user::{FOR_EVER, in_words};
use super::{Chat, News};
use crate::error::{Error, Result};
use crate::protocol::{PlaceLook, Push, Role};

const NAME_CHARS: usize = 64;
const WELCOME_CHARS: usize = 500;

/// Who may come in without being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Join {
    /// Anyone, as a guest by name or with an account.
    #[default]
    Open,
    /// Who has an account, or was given a link.
    Invite,
    /// Anyone who makes an account.
    Accounts,
}

/// From a string alone; derived, it would be read from an object too.
impl TryFrom<String> for Join {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match &*word {
            "open" => Ok(Self::Open),
            "invite" => Ok(Self::Invite),
            "accounts" => Ok(Self::Accounts),
            _ => Err(format!("expected one of open, invite, accounts, found {word:?}")),
        }
    }
}

impl Join {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invite => "invite",
            Self::Accounts => "accounts",
        }
    }
}

/// What the owner decides, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    pub name: String,
    pub welcome: String,
    /// A colour, `#rrggbb`.
    pub accent: Option<String>,
    pub join: Join,
    /// No new guest comes in, but by a link.
    pub guests_paused: bool,
    /// Somebody has become the owner.
    pub owned: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            name: "Chinwag".to_owned(),
            welcome: String::new(),
            accent: None,
            join: Join::Open,
            guests_paused: false,
            owned: false,
        }
    }
}

/// What anyone may know of the place who stands before its door.
#[derive(Debug, Serialize)]
pub struct PlaceView {
    name: String,
    welcome: String,
    accent: Option<String>,
    join: Join,
    join_fixed: bool,
    guests: bool,
    guests_paused: bool,
    register: bool,
    passwords: bool,
    providers: Vec<ProviderView>,
    mail: bool,
}

/// What is to be changed of the place; what is absent stays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceChange {
    name: Option<String>,
    welcome: Option<String>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    accent: Option<Option<String>>,
    join: Option<Join>,
    guests_paused: Option<bool>,
}

impl Chat {
    pub fn place(&self) -> Arc<Place> {
        self.place.read().clone()
    }

    /// Who may come in: as the option says, else as the owner does.
    pub fn join_policy(&self) -> Join {
        self.settings.join.unwrap_or_else(|| self.place().join)
    }

    pub fn place_view(&self) -> PlaceView {
        let Place { name, welcome, accent, guests_paused, .. } = (*self.place()).clone();
        let (join, passwords) = (self.join_policy(), self.settings.passwords);
        PlaceView {
            name,
            welcome,
            accent,
            join,
            join_fixed: self.settings.join.is_some(),
            guests: join == Join::Open && !guests_paused,
            guests_paused,
            register: join != Join::Invite && passwords,
            passwords,
            providers: self.providers.iter().map(Provider::view).collect(),
            mail: passwords && self.settings.mailer.is_some(),
        }
    }

    /// The owner decides what the place is; whether new guests come in is the admins' to say too.
    pub async fn change_place(&self, visitor: &Visitor, change: PlaceChange) -> Result<PlaceView> {
        let PlaceChange { name, welcome, accent, join, guests_paused } = change;
        let decides = name.is_some() || welcome.is_some() || accent.is_some() || join.is_some();
        visitor.must_be(if decides { Role::Owner } else { Role::Admin })?;
        if join.is_some() && self.settings.join.is_some() {
            return Err(Error::NotAllowed("the option --join says who may come in"));
        }
        let _changing = self.changing_place.lock().await;
        // Another node may have just changed it.
        let mut place = self.stored_place().await?;
        if let Some(name) = name {
            place.name = line("name", &name, 1, NAME_CHARS)?;
        }
        if let Some(welcome) = welcome {
            place.welcome = line("welcome", &welcome, 0, WELCOME_CHARS)?;
        }
        if let Some(accent) = accent {
            place.accent = accent.as_deref().map(colour).transpose()?;
        }
        place.join = join.unwrap_or(place.join);
        place.guests_paused = guests_paused.unwrap_or(place.guests_paused);
        let detail =
            format!("{}, new guests {}", place.join.as_str(), if place.guests_paused { "paused" } else { "welcome" });
        self.set_place(place).await?;
        self.note(&visitor.user.author(), "place", &self.place().name, &detail).await?;
        Ok(self.place_view())
    }

    /// Somebody has become the owner: the server offers that no more.
    pub(super) async fn set_owned(&self) -> Result<()> {
        let _changing = self.changing_place.lock().await;
        let place = Place { owned: true, ..self.stored_place().await? };
        self.set_place(place).await
    }

    async fn set_place(&self, place: Place) -> Result<()> {
        let json = serde_json::to_string(&place).map_err(|error| {
            tracing::error!(%error, "the place's settings are no JSON");
            Error::Internal
        })?;
        self.store.moderation.set_settings(json).await?;
        self.show_place(place);
        self.tell_nodes(&Notice::Place);
        Ok(())
    }

    /// Reads the place's settings anew.
    pub(super) async fn learn_place(&self) -> Result<()> {
        let place = self.stored_place().await?;
        if place != *self.place() {
            self.show_place(place);
        }
        Ok(())
    }

    async fn stored_place(&self) -> Result<Place> {
        let json = self.store.moderation.settings().await?;
        parse_place(&json).map_err(|error| {
            tracing::error!(%error, "the place's settings cannot be read");
            Error::Internal
        })
    }

    fn show_place(&self, place: Place) {
        let place = Arc::new(place);
        *self.place.write() = place.clone();
        let look = PlaceLook { name: &place.name, welcome: &place.welcome, accent: place.accent.as_deref() };
        let push = Push::Place(look);
        let json: Arc<str> = push.json().into();
        self.hub.tell_all(|| News::TellAll { json: json.clone() });
    }

    /// Whether somebody without session and link may come in, and look around.
    pub fn welcomes_strangers(&self) -> bool {
        self.join_policy() == Join::Open
    }

    /// Refuses a new guest where there may be none, or none from this address.
    pub(super) fn admit_guest(&self, address: IpAddr, invited: bool) -> Result<()> {
        self.check_address(address)?;
        match self.join_policy() {
            _ if invited => Ok(()),
            Join::Open if !self.place().guests_paused => Ok(()),
            Join::Open => Err(Error::NotAllowed("no new guests come in for the moment; try again later")),
            Join::Invite => Err(Error::NotAllowed("one comes in here by a link: ask somebody for one")),
            Join::Accounts => Err(Error::NotAllowed("one comes in here with an account: make one, or sign in")),
        }
    }

    /// Refuses whom a ban of their address keeps out.
    pub fn check_address(&self, address: IpAddr) -> Result<()> {
        let (address, now) = (network(address), Timestamp::now());
        let bans = self.banned_addresses.read();
        match bans.iter().find(|(banned, until)| *banned == address && until.is_none_or(|until| until > now)) {
            Some((_, until)) => Err(Error::Banned(in_words(until.unwrap_or(FOR_EVER)))),
            None => Ok(()),
        }
    }

    /// Reads the bans of addresses anew.
    pub(super) async fn learn_bans(&self) -> Result<()> {
        let bans = self.store.moderation.bans(Timestamp::now()).await?;
        let bans = bans.into_iter().filter_map(|ban| Some((ban.address.parse().ok()?, ban.until))).collect();
        *self.banned_addresses.write() = bans;
        Ok(())
    }
}

/// The settings as the store has them: nothing, where they never were set.
pub(super) fn parse_place(json: &str) -> serde_json::Result<Place> {
    if json.is_empty() { Ok(Place::default()) } else { serde_json::from_str(json) }
}

/// A line of text, trimmed, of so many characters.
pub(super) fn line(field: &str, raw: &str, least: usize, most: usize) -> Result<String> {
    let text = raw.trim();
    let plain = !text.chars().any(|c| c.is_control() && c != '\n');
    if plain && (least..=most).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    Err(Error::Invalid(format!("{field}: expected {least} to {most} characters of text")))
}

fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

fn colour(raw: &str) -> Result<String> {
    let digits = raw.strip_prefix('#').filter(|digits| digits.len() == 6);
    if digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())) {
        return Ok(raw.to_ascii_lowercase());
    }
    Err(Error::Invalid("accent: expected a colour such as #0a7d5c".to_owned()))
}
