//! The picture of those who have no other: initials on a colour, as SVG. And where Gravatar has one for an e-mail.
//! Pure: which picture a user has is not decided here, and nobody is asked for it.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::name;
use crate::protocol::UserId;

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
