//! Names of people and rooms: what one may be, how two are compared, what is made of them.
//! Pure: whether a name is in use is for others to find out.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};
use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::error::Error;
use crate::protocol::RoomId;

/// The name of a person as it is kept: normalised (NFKC), spaces collapsed, 1 to 32 visible characters, no `@`.
pub fn person(raw: &str) -> Result<Arc<str>, Error> {
    let name = clean(raw, PERSON)?;
    if name.contains('@') {
        return Err(invalid("expected a name without @"));
    }
    Ok(name.into())
}

/// The name of a room as it is kept (1 to 64 visible characters), and the id that it gives a public room.
pub fn room(raw: &str) -> Result<(RoomId, Arc<str>), Error> {
    let name = clean(raw, ROOM)?;
    let slug = slug(&name);
    if slug.is_empty() {
        return Err(invalid("expected a letter or a digit in it, for the room's address"));
    }
    Ok((slug.as_str().into(), name.into()))
}

/// Names that fold to the same text are the same name: case, width, and how an emoji is styled do not count.
pub fn fold(name: &str) -> String {
    // Lower, upper, lower is full case folding but for the dotted İ: ß, ẞ and ss meet, so do σ and ς, ı and I.
    let normal = nfkc(name);
    let upper = normal.chars().flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    let mut folded = String::with_capacity(normal.len());
    for c in upper.flat_map(char::to_lowercase) {
        let is_dot_on_i = c == '\u{307}' && folded.ends_with('i');
        if !is_dot_on_i && !is_emoji_style(c) {
            folded.push(c);
        }
    }
    words(&nfkc(&folded))
}

/// What a name looks like: names of one skeleton can be taken for each other (Unicode TS #39 §4). It is made of the
/// letters as they are shown, since a capital may look like what its small letter does not; so i stands for l here,
/// as its capital does.
pub fn skeleton(name: &str) -> String {
    let looks = fold(&unicode_security::skeleton(&nfkc(name)).collect::<String>());
    fold(&unicode_security::skeleton(&looks).collect::<String>()).replace('i', "l")
}

/// The name of an account: a person's, in letters that belong together (Unicode TS #39 §5.2, highly restrictive), so
/// that no letter of another script stands in for one that looks the same.
pub fn account(raw: &str) -> Result<Arc<str>, Error> {
    let name = person(raw)?;
    let letters: String = name.chars().filter(|c| is_letter_or_digit(*c)).collect();
    if letters.detect_restriction_level() > RestrictionLevel::HighlyRestrictive {
        return Err(invalid("expected letters of one script"));
    }
    if is_reserved(&name) {
        return Err(Error::NameTaken(name.to_string()));
    }
    Ok(name)
}

/// Names that speak for the place itself; nobody has them.
pub fn is_reserved(name: &str) -> bool {
    let skeleton = skeleton(name);
    RESERVED.iter().any(|reserved| self::skeleton(reserved) == skeleton)
}

const RESERVED: [&str; 14] = [
    "admin",
    "administrator",
    "all",
    "channel",
    "chinwag",
    "everyone",
    "here",
    "moderator",
    "owner",
    "root",
    "security",
    "server",
    "support",
    "system",
];

/// `bob` and 2 make `bob-2`; a long name gives way so that the whole is a person's name still.
pub fn numbered(name: &str, n: u32) -> Arc<str> {
    let suffix = format!("-{n}");
    let mut stem = String::new();
    for grapheme in name.graphemes(true).take(PERSON.visible - suffix.len()) {
        if stem.len() + grapheme.len() + suffix.len() > PERSON.bytes {
            break;
        }
        stem.push_str(grapheme);
    }
    format!("{}{suffix}", stem.trim_end()).into()
}

/// One or two characters that stand for a name: the first ones of its first and last word, in upper case.
pub fn initials(name: &str) -> String {
    let begins = |word: &str| word.chars().next().is_some_and(|c| !c.is_ascii_punctuation());
    let mut words = name.split(|c: char| c.is_whitespace() || "-_.'".contains(c)).filter(|word| begins(word));
    let first = words.next().unwrap_or(name);
    let second = words.next_back();
    [Some(first), second].into_iter().flatten().filter_map(|word| word.graphemes(true).next()).map(upper).collect()
}

#[derive(Clone, Copy)]
struct Bounds {
    visible: usize,
    bytes: usize,
}

const PERSON: Bounds = Bounds { visible: 32, bytes: 128 };
const ROOM: Bounds = Bounds { visible: 64, bytes: 256 };
const SLUG_CHARS: usize = 64;
/// More marks than this on one letter are no writing (Tibetan and vocalised Hebrew stay below).
const MAX_MARKS: usize = 4;

fn clean(raw: &str, bounds: Bounds) -> Result<String, Error> {
    let Bounds { visible, bytes } = bounds;
    let too_long = || invalid(&format!("expected at most {visible} visible characters in {bytes} bytes"));
    if raw.len() > 4 * bytes {
        return Err(too_long());
    }
    let name = words(&nfkc(&without_stray_styles(&nfkc(raw))));
    let mut count = 0;
    for grapheme in name.graphemes(true) {
        count += 1;
        if !is_emoji(grapheme) {
            check(grapheme)?;
        }
    }
    match count {
        0 => Err(invalid(&format!("expected 1 to {visible} visible characters, found none"))),
        _ if count > visible || name.len() > bytes => Err(too_long()),
        _ => Ok(name),
    }
}

/// Refuses what cannot be seen, what reorders others, and what towers over its line.
fn check(grapheme: &str) -> Result<(), Error> {
    let mut marks = 0;
    for (index, c) in grapheme.chars().enumerate() {
        if !is_visible(c) && c != ' ' {
            return Err(invalid(&format!("U+{:04X} cannot be part of a name", u32::from(c))));
        }
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MAX_MARKS || marks > 0 && (index == 0 || grapheme.starts_with(' ')) {
            return Err(invalid("expected letters under the marks, and few marks on a letter"));
        }
    }
    Ok(())
}

fn is_visible(c: char) -> bool {
    use GeneralCategoryGroup::{Other, Separator};
    !matches!(c.general_category_group(), Other | Separator) && !INVISIBLE.iter().any(|range| range.contains(&c))
}

/// Letters, marks and symbols by their category, yet nothing to see (Unicode's `Default_Ignorable_Code_Point`, blanks,
/// and what stands for something missing).
const INVISIBLE: [std::ops::RangeInclusive<char>; 12] = [
    '\u{34F}'..='\u{34F}',
    '\u{115F}'..='\u{1160}',
    '\u{17B4}'..='\u{17B5}',
    '\u{180B}'..='\u{180F}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{FE00}'..='\u{FE0F}',
    '\u{FFA0}'..='\u{FFA0}',
    '\u{FFFC}'..='\u{FFFD}',
    '\u{16FE4}'..='\u{16FE4}',
    '\u{1D159}'..='\u{1D159}',
    '\u{E0000}'..='\u{E0FFF}',
];

fn is_mark(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Mark
}

/// Whole emoji only: within one a joiner is no danger, since the sequence is a known one.
fn is_emoji(grapheme: &str) -> bool {
    emojis::get(grapheme).is_some()
}

/// The selectors that ask for an emoji's coloured or plain form.
fn is_emoji_style(c: char) -> bool {
    matches!(c, '\u{FE0E}' | '\u{FE0F}')
}

/// Takes away the style selectors that NFKC left behind on letters (ℹ️ becomes i) or that fit no emoji.
fn without_stray_styles(name: &str) -> String {
    let keep = |grapheme: &str| if is_emoji(grapheme) { grapheme.into() } else { grapheme.replace(is_emoji_style, "") };
    name.graphemes(true).map(keep).collect()
}

fn nfkc(text: &str) -> String {
    text.nfkc().collect()
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Letters and digits of any script, in lower case, with their marks; hyphens in place of all else but apostrophes.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in nfkc(&fold(name).replace(['\'', '’'], "")).chars() {
        let after_letter = !slug.is_empty() && !slug.ends_with('-');
        if is_letter_or_digit(c) || after_letter && is_mark(c) && c.general_category() != GeneralCategory::EnclosingMark
        {
            slug.push(c);
        } else if after_letter {
            slug.push('-');
        }
    }
    let mut length = 0;
    let fits = |grapheme: &&str| {
        length += grapheme.chars().count();
        length <= SLUG_CHARS
    };
    let cut: String = slug.graphemes(true).take_while(fits).collect();
    cut.trim_end_matches('-').to_owned()
}

fn is_letter_or_digit(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Letter || c.general_category() == GeneralCategory::DecimalNumber
}

fn upper(grapheme: &str) -> String {
    let upper = grapheme.to_uppercase();
    if upper.graphemes(true).count() == 1 { upper } else { grapheme.to_owned() }
}

fn invalid(why: &str) -> Error {
    Error::Invalid(format!("name: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(raw: &str) -> String {
        person(raw).unwrap_or_else(|error| panic!("{raw:?}: {error}")).to_string()
    }

    #[test]
    fn a_name_is_normalised() {
        for (raw, expected) in [
            ("bob", "bob"),
            ("  Ann \t\n Lee  ", "Ann Lee"),
            ("Ann\u{3000}\u{a0}Lee", "Ann Lee"),
            ("ﬀ", "ff"),
            ("Ｂｏｂ１", "Bob1"),
            ("e\u{301}", "é"),
            ("ℹ\u{fe0f}", "i"),
            ("bob\u{fe0f}", "bob"),
            ("e\u{fe0f}\u{301}", "é"),
            ("मिश्रा", "मिश्रा"),
            ("ไพศาล", "ไพศาล"),
            ("李小龙", "李小龙"),
            ("שָׁלוֹם", "שָׁלוֹם"),
            ("O'Brien-Smith (2)", "O'Brien-Smith (2)"),
            ("❤\u{fe0f}", "❤\u{fe0f}"),
        ] {
            assert_eq!(kept(raw), expected.nfkc().collect::<String>(), "{raw:?}");
        }
    }

    #[test]
    fn emoji_are_names_too() {
        let family = "👩\u{200d}👩\u{200d}👧\u{200d}👦";
        for name in ["🦊", "👩\u{200d}💻", family, "🇩🇪", "1\u{fe0f}\u{20e3}", "👍🏽 ok"] {
            assert_eq!(kept(name), name);
        }
        assert_eq!(kept(&family.repeat(5)), family.repeat(5));
        assert!(person(&family.repeat(6)).is_err(), "over 128 bytes");
    }

    #[test]
    fn what_cannot_be_seen_is_no_name() {
        for raw in [
            "",
            " ",
            "\t\n",
            "\u{3164}",
            "\u{ffa0}",
            "\u{2800}",
            "\u{115f}",
            "\u{200b}",
            "\u{200d}",
            "\u{feff}",
            "\u{ad}",
            "\u{fe0f}",
            "\u{e0001}",
            "\u{34f}",
            "\u{17b4}",
            "\u{180e}",
            "\u{2060}",
            "\u{2028}",
            "\u{1d159}",
            "\u{fffc}",
            "a\u{200b}b",
            "a\u{200d}b",
            "a\u{200c}b",
            "a\u{2800}b",
            "a\u{202e}b",
            "\u{2066}a\u{2069}",
            "\u{61c}a",
            "a\u{200e}",
            "a\0",
            "a\u{7f}",
            "a\u{85}\u{9f}",
            "\u{e000}",
            "\u{378}",
            "\u{10ffff}",
            "a\u{e0100}",
            "🦊\u{200d}",
            "🏴\u{e0067}\u{e007f}",
        ] {
            assert!(matches!(person(raw), Err(Error::Invalid(_))), "{raw:?} {:?}", person(raw));
            assert!(room(raw).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn marks_stand_on_letters_and_do_not_pile_up() {
        for raw in [
            &*format!("a{}", "\u{316}".repeat(5)),
            "\u{301}",
            " \u{301}a",
            "a \u{20dd}b",
            "¨",
            "Z\u{334}\u{335}\u{336}\u{337}\u{338}",
        ] {
            assert!(person(raw).is_err(), "{raw:?}");
        }
        assert!(person(&format!("a{}", "\u{316}".repeat(4))).is_ok());
    }

    #[test]
    fn a_person_has_at_most_32_visible_characters_and_no_at() {
        assert_eq!(kept(&"x".repeat(32)), "x".repeat(32));
        assert_eq!(kept(&"é".repeat(32)), "é".repeat(32));
        assert!(person(&"x".repeat(33)).is_err());
        assert!(person(&"x".repeat(1_000_000)).is_err());
        assert!(person("a@b").is_err() && person("＠").is_err());
    }

    #[test]
    fn errors_say_what_is_expected() {
        assert_eq!(person("a\u{202e}").unwrap_err().to_string(), "name: U+202E cannot be part of a name");
        assert_eq!(person(" ").unwrap_err().to_string(), "name: expected 1 to 32 visible characters, found none");
        assert!(room("!!!").unwrap_err().to_string().starts_with("name: expected a letter or a digit"));
    }

    #[test]
    fn rooms_get_slugs() {
        for (raw, id, name) in [
            ("Reading club", "reading-club", "Reading club"),
            ("  Bob's  Room! ", "bobs-room", "Bob's Room!"),
            ("C++ & C#", "c-c", "C++ & C#"),
            ("İstanbul", "istanbul", "İstanbul"),
            ("ＦＯＯ", "foo", "FOO"),
            ("Straße", "strasse", "Straße"),
            ("हिन्दी", "हिन्दी", "हिन्दी"),
            ("日本語 room", "日本語-room", "日本語 room"),
            ("Пример", "пример", "Пример"),
            ("🎉 party 🎉", "party", "🎉 party 🎉"),
            ("a/../b?c#d%", "a-b-c-d", "a/../b?c#d%"),
            ("2nd", "2nd", "2nd"),
        ] {
            let (slug, kept) = room(raw).unwrap_or_else(|error| panic!("{raw:?}: {error}"));
            assert_eq!((slug.as_str(), &*kept), (id, name), "{raw:?}");
        }
        for raw in ["🎉", "!!!", "--", "🅰"] {
            assert!(room(raw).is_err(), "{raw:?}");
        }
        assert_eq!(room(&"a ".repeat(64)).unwrap_err().code(), "invalid");
        assert_eq!(room(&"ab ".repeat(21)).unwrap().0.as_str().chars().count(), 62);
        assert!(room(&"ß".repeat(64)).unwrap().0.as_str().chars().count() <= SLUG_CHARS);
    }

    #[test]
    fn names_that_look_alike_fold_alike() {
        for (one, other) in [
            ("BOB", "bob"),
            ("Straße", "STRASSE"),
            ("ẞ", "ß"),
            ("ΣΑΣ", "σας"),
            ("ﬀ", "FF"),
            ("İ", "i"),
            ("ı", "I"),
            ("Ｂob", "bob"),
            ("É", "e\u{301}"),
            ("❤\u{fe0f}", "❤"),
            ("Ann  Lee", "ann lee"),
            ("ǅ", "ǆ"),
            ("ŉ", "ʼN"),
        ] {
            assert_eq!(fold(one), fold(other), "{one:?} {other:?}");
        }
        assert_ne!(fold("bob"), fold("b ob"));
    }

    #[test]
    fn names_that_can_be_taken_for_each_other_have_one_skeleton() {
        for (one, other) in [
            ("paypal", "раураl"),
            ("bob", "b0b"),
            ("Ann", "АNN"),
            ("alice1", "alicel"),
            ("bob", "BOB"),
            ("PayPal", "PayPaI"),
            ("bob", "ВОВ"),
            ("Mia", "MlA"),
            ("Ice", "ісе"),
            ("mOm", "MOM"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one:?} {other:?}");
        }
        assert_ne!(skeleton("bob"), skeleton("rob"));
        assert!(is_reserved("R00t") && is_reserved("EVERYONE") && is_reserved("аdmin") && !is_reserved("adam"));
    }

    #[test]
    fn an_account_is_named_in_letters_that_belong_together() {
        for good in ["Ann Lee", "Мария", "李小龙", "山田 Taro", "bob-2", "Zoë 🦊", "Αθηνά"] {
            assert!(account(good).is_ok(), "{good} {:?}", account(good));
        }
        for bad in ["pаypal", "Aθηνά", "bоb", "admin"] {
            assert!(account(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing() {
        for c in '\0'..='\u{1ffff}' {
            let once = fold(&String::from(c));
            assert_eq!(fold(&once), once, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn a_numbered_name_is_a_name() {
        assert_eq!(&*numbered("bob", 2), "bob-2");
        assert_eq!(&*numbered(&"x".repeat(32), 10), format!("{}-10", "x".repeat(29)));
        assert_eq!(&*numbered(&format!("{} y", "x".repeat(29)), 2), format!("{}-2", "x".repeat(29)));
        let family = "👩\u{200d}👩\u{200d}👧\u{200d}👦";
        assert_eq!(&*numbered(&family.repeat(5), 2), format!("{}-2", family.repeat(5)));
        assert_eq!(kept(&numbered(&"文".repeat(32), u32::MAX)).chars().count(), 32);
    }

    #[test]
    fn initials_are_one_or_two_characters() {
        for (name, expected) in [
            ("bob", "B"),
            ("ann lee", "AL"),
            ("bob-2", "B2"),
            ("Mary Jane Watson", "MW"),
            ("🦊", "🦊"),
            ("(ann) lee", "L"),
            ("ßeta", "ß"),
            ("!!!", "!"),
            ("李小龙", "李"),
            ("éa", "É"),
            ("snake_case", "SC"),
            ("", ""),
            ("O'Brien", "OB"),
        ] {
            assert_eq!(initials(name), expected, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_kept_name_is_kept_as_it_is(
            raw in "\\PC{0,12}|[a-z\u{300}-\u{310}\u{fe0f}\u{200d}❤👩💻ℹİ ]{0,8}",
        ) {
            if let Ok(name) = person(&raw) {
                prop_assert_eq!(&person(&name), &Ok(name.clone()));
                prop_assert_eq!(fold(&fold(&name)), fold(&name));
                prop_assert!((1..=32).contains(&name.graphemes(true).count()) && name.len() <= PERSON.bytes);
                prop_assert!(person(&numbered(&name, 12)).is_ok(), "{:?}", numbered(&name, 12));
                prop_assert!((1..=2).contains(&initials(&name).graphemes(true).count()), "{:?}", initials(&name));
            }
            if let Ok((id, name)) = room(&raw) {
                prop_assert_eq!(room(&name).map(|(id, _)| id), Ok(id.clone()));
                prop_assert_eq!(room(id.as_str()).map(|(id, _)| id), Ok(id.clone()));
            }
        }
    }
}
