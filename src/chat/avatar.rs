//! Which picture a user has: their own, else the provider's, else Gravatar's, else initials on a colour. Pictures of
//! others are fetched by the server, so that nobody's browser is shown to them. It knows no route.

use std::fmt::Write;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::auth::Visitor;
use super::{Chat, name, picture};
use crate::error::{Error, Result};
use crate::fetch::FetchError;
use crate::protocol::UserId;
use crate::store::{Picture, PictureSource};

/// Pictures that are fetched at once.
const LANES: usize = 4;

/// A picture to be shown.
pub enum Avatar {
    /// Pixels, and their type of media.
    Stored { media_type: String, bytes: Vec<u8> },
    /// SVG.
    Drawn(String),
}

/// A picture that is to be had elsewhere; none where it is to be forgotten.
pub(super) struct Wanted {
    user: UserId,
    source: PictureSource,
    url: Option<String>,
}

impl Chat {
    /// What is shown for a user.
    pub async fn avatar(&self, user: UserId) -> Result<Avatar> {
        if let Some(Picture { kind, bytes, .. }) = self.store.accounts.picture(user).await? {
            return Ok(Avatar::Stored { media_type: kind, bytes });
        }
        let name = self.user_name(user).await?.ok_or(Error::NoUser)?;
        Ok(Avatar::Drawn(svg(user, &name)))
    }

    pub(super) async fn picture_source(&self, user: UserId) -> Result<&'static str> {
        Ok(match self.store.accounts.picture(user).await?.map(|picture| picture.source) {
            Some(PictureSource::Upload) => "upload",
            Some(PictureSource::Provider) => "provider",
            Some(PictureSource::Gravatar) => "gravatar",
            None => "generated",
        })
    }

    /// Sets the visitor's own picture from a file of theirs, or takes it away.
    pub async fn set_own_picture(&self, visitor: &Visitor, file: Option<Vec<u8>>) -> Result<()> {
        visitor.must_be_person()?;
        self.limiter.rare(visitor.user.id)?;
        let picture = match file {
            Some(file) => Some(self.prepare(file, PictureSource::Upload).await?),
            None => None,
        };
        self.set_picture(visitor.user.id, PictureSource::Upload, picture).await
    }

    /// Few pictures are decoded at once, since each may take a few hundred megabytes while it is.
    async fn prepare(&self, file: Vec<u8>, source: PictureSource) -> Result<Picture> {
        let turn = self.decoding.clone().acquire_owned().await.map_err(|_| Error::Internal)?;
        let prepare = move || {
            // Held until it is done, though whoever asked may have gone.
            let _turn = turn;
            picture::prepare(&file)
        };
        let prepared = tokio::task::spawn_blocking(prepare).await;
        // A decoder that panics has met what is no picture of its kind.
        let prepared = prepared.map_err(|_| Error::NotAnImage)??;
        let (kind, bytes) = (prepared.media_type.to_owned(), prepared.bytes);
        Ok(Picture { source, kind, bytes, at: Timestamp::now() })
    }

    async fn set_picture(&self, user: UserId, source: PictureSource, picture: Option<Picture>) -> Result<()> {
        self.store.accounts.set_picture(user, source, picture).await?;
        if let Some(record) = self.store.accounts.user(user).await? {
            self.shown_anew(&record);
        }
        Ok(())
    }

    /// Looks for the picture that goes with an e-mail, by and by.
    pub(super) fn look_for_gravatar(&self, user: UserId, email: Option<&str>) {
        let Some(base) = &self.settings.gravatar else { return };
        let url = email.map(|email| gravatar_url(email, base));
        self.want(Wanted { user, source: PictureSource::Gravatar, url });
    }

    /// Looks for the picture that a provider has of somebody, by and by.
    pub(super) fn look_for_provided_picture(&self, user: UserId, url: Option<&str>) {
        if let Some(url) = url {
            self.want(Wanted { user, source: PictureSource::Provider, url: Some(url.to_owned()) });
        }
    }

    fn want(&self, wanted: Wanted) {
        // Where too many wait already this one is looked for the next time.
        let _ = self.pictures_wanted.0.try_send(wanted);
    }

    /// Fetches the pictures that are wanted, for ever.
    pub(super) async fn fetch_pictures(&self) {
        let lane = || async {
            loop {
                let wanted = self.pictures_wanted.1.lock().await.recv().await;
                let Some(wanted) = wanted else { return };
                if let Err(error) = self.fetch_picture(wanted).await {
                    tracing::debug!(%error, "a picture was not taken");
                }
            }
        };
        futures_util::future::join_all((0..LANES).map(|_| lane())).await;
    }

    async fn fetch_picture(&self, Wanted { user, source, url }: Wanted) -> Result<()> {
        let file = match &url {
            Some(url) => match self.settings.fetcher.get(url, picture::MOST_BYTES).await {
                Ok(file) => Some(file),
                Err(FetchError::Status(404)) => None,
                // What was there before may be there still.
                Err(error) => {
                    tracing::debug!(%error, "no picture was fetched");
                    return Ok(());
                }
            },
            None => None,
        };
        let picture = match file {
            Some(file) => Some(self.prepare(file, source).await?),
            None => None,
        };
        // Nothing was there and nothing is: nobody need be told.
        let shown = self.store.accounts.picture(user).await?;
        if picture.is_some() || shown.is_some_and(|shown| shown.source >= source) {
            self.set_picture(user, source, picture).await?;
        }
        Ok(())
    }
}

/// A square picture that is always the same for the same user and name.
pub fn svg(id: UserId, name: &str) -> String {
    let seed = id.0.as_bytes().iter().fold(0_usize, |seed, byte| seed.wrapping_mul(31).wrapping_add((*byte).into()));
    let colour = COLOURS[seed % COLOURS.len()];
    let initials = escaped(&name::initials(name));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 96 96\" width=\"96\" height=\"96\">\
         <rect width=\"96\" height=\"96\" fill=\"{colour}\"/>\
         <text x=\"48\" y=\"48\" dy=\".35em\" fill=\"#fff\" font-family=\"system-ui,sans-serif\" font-size=\"38\" \
         font-weight=\"600\" text-anchor=\"middle\">{initials}</text></svg>"
    )
}

/// Where Gravatar keeps its pictures.
pub const GRAVATAR: &str = "https://www.gravatar.com/avatar/";

/// Where the picture for an e-mail is to be had, of 256 pixels; the answer is 404 if there is none. `base` is
/// `GRAVATAR` or another server with the same ways.
pub fn gravatar_url(email: &str, base: &str) -> String {
    let mut url = format!("{}/", base.trim_end_matches('/'));
    for byte in Sha256::digest(email.trim().to_lowercase().as_bytes()) {
        let _ = write!(url, "{byte:02x}");
    }
    url + "?s=256&d=404"
}

/// Sixteen hues of one lightness (OKLCH 53 %): white reads well on each, and each stands out from a light page as
/// from a dark one.
const COLOURS: [&str; 16] = [
    "#b03d58", "#b2422d", "#a35303", "#8f6202", "#7b6c01", "#5f7704", "#1f812d", "#007f5f", "#087c77", "#03798b",
    "#0275a3", "#2b6ac0", "#5d5dbf", "#7d52b2", "#95489b", "#a7407c",
];

/// As XML's text; control characters have no place in it, not even escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{FFFE}' | '\u{FFFF}' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_the_initials_and_nothing_that_runs() {
        let id = UserId::random();
        assert!(svg(id, "ann lee").contains(">AL</text>"));
        assert_eq!(svg(id, "ann lee"), svg(id, "ann lee"));
        assert!(svg(id, "<script>").contains(">&lt;</text>"));
        assert!(svg(id, "& <").contains(">&amp;</text>"));
        assert!(svg(id, "\0\u{ffff}").contains("></text>"));
        assert!(!svg(id, "\"'").contains("\"\"'"));
    }

    #[test]
    fn an_email_has_one_address_at_gravatar_however_it_is_written() {
        // The example of Gravatar's own documentation.
        let hash = "84059b07d4be67b806386c0aad8070a23f18836bbaae342275dc0a83414c32ee";
        let expected = format!("https://www.gravatar.com/avatar/{hash}?s=256&d=404");
        assert_eq!(gravatar_url("MyEmailAddress@example.com ", GRAVATAR), expected);
        assert_eq!(gravatar_url("myemailaddress@example.com", "https://www.gravatar.com/avatar"), expected);
    }

    #[test]
    fn different_users_have_different_colours() {
        let fill = |_| svg(UserId::random(), "a").split("fill=\"").nth(1).map(|rest| rest[..7].to_owned());
        let colours: std::collections::HashSet<_> = (0..1000).map(fill).collect();
        assert_eq!(colours.len(), COLOURS.len());
    }

    #[test]
    fn white_reads_well_on_every_colour_and_every_colour_on_every_page() {
        for colour in COLOURS {
            let luminance = luminance(colour);
            assert!(contrast(1.0, luminance) >= 4.5, "{colour} on white: WCAG 2.2, 1.4.3");
            assert!(contrast(luminance, 0.0056) >= 3.0, "{colour} on #111: WCAG 2.2, 1.4.11");
        }
    }

    fn contrast(lighter: f64, darker: f64) -> f64 {
        (lighter + 0.05) / (darker + 0.05)
    }

    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }
}
