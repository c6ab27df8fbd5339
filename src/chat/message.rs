//! What a message's text means: Markdown and emoji short codes become safe HTML, and whom an `@` may mean.
//! Pure: it knows neither users nor rooms, and nothing that is stored.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::iter::Peekable;
use std::ops::Range;
use std::sync::LazyLock;

use ammonia::UrlRelative;
use linkify::{LinkFinder, LinkKind};
use pulldown_cmark::{CodeBlockKind, Event, LinkType, OffsetIter, Options, Parser, Tag, TagEnd};

/// The version of the rendering, kept with what it rendered: raise it with every change of what `render` returns.
pub const RENDERER: u32 = 1;

/// The HTML of a message; none where it would show the same as the text itself does (under `white-space: pre-wrap`).
pub fn render(text: &str) -> Option<String> {
    if !may_hold_markup(text) {
        return None;
    }
    let limit = MOST_GROWTH * text.len() + 1024;
    let source = tame(text)?;
    let html = Writer::new(&source, limit).write(text)?;
    Some(CLEANER.clean(&html).to_string()).filter(|html| html.len() <= limit)
}

/// For each `@` of the text the names that it may mean, raw, the longest first: the first that exists is meant.
pub fn mention_candidates(text: &str) -> Vec<Vec<String>> {
    if !text.contains('@') {
        return Vec::new();
    }
    let source = tame(text).unwrap_or(text.into());
    let mut in_code = false;
    let mut found = Vec::new();
    for piece in Pieces::of(&source) {
        match piece {
            Piece::Event(Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))), _) => in_code = true,
            Piece::Event(Event::End(TagEnd::CodeBlock), _) => in_code = false,
            Piece::Run(run) if !in_code => collect_mentions(&source, run, &mut found),
            _ => {}
        }
    }
    found
}

/// A text whose HTML would be more than so many times as long, and a little, is shown as it is.
const MOST_GROWTH: usize = 8;
/// A text with formats nested deeper than this is shown as it is.
const MAX_DEPTH: usize = 16;
const MAX_MENTIONS: usize = 10;
const WORDS_IN_A_NAME: usize = 3;
/// No name is longer, so nothing longer is looked up.
const MAX_NAME_BYTES: usize = 128;

/// What the page may be given, whatever the renderer thought (a second line of defence behind its own escaping).
static CLEANER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let tags = ["p", "br", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "hr"];
    let attributes = [("a", HashSet::from(["href", "title"])), ("ol", HashSet::from(["start"]))];
    let mut cleaner = ammonia::Builder::empty();
    cleaner
        .tags(HashSet::from(tags))
        .tag_attributes(HashMap::from(attributes))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank");
    cleaner
});

/// Whether a text is worth parsing: a scan of its bytes, for most messages hold no markup.
fn may_hold_markup(text: &str) -> bool {
    #[derive(Clone, Copy)]
    enum Place {
        LineBegins,
        /// In a number that a line begins with: an entry of a list, if it ends as one.
        Number,
        Within,
    }
    let mut place = Place::LineBegins;
    for byte in text.bytes() {
        place = match (byte, place) {
            (b'*' | b'_' | b'`' | b'~' | b'[' | b'\\' | b'&' | b'<' | b':', _)
            | (b'#' | b'>' | b'-' | b'+' | b'=', Place::LineBegins)
            | (b'.' | b')', Place::Number) => return true,
            (b'\n' | b'\r', _) | (b' ' | b'\t', Place::LineBegins) => Place::LineBegins,
            (b'0'..=b'9', Place::LineBegins | Place::Number) => Place::Number,
            _ => Place::Within,
        }
    }
    false
}

fn parse(source: &str) -> Parser<'_> {
    Parser::new_ext(source, Options::ENABLE_STRIKETHROUGH)
}

/// The text with a backslash before what Markdown reads in a way that nobody means in a chat: definitions of link
/// references, which would vanish, and `>` that is no quote but a smiley. None where that finds no end.
fn tame(text: &str) -> Option<Cow<'_, str>> {
    let mut source = Cow::Borrowed(text);
    if !text.contains("]:") && !text.contains('>') {
        return Some(source);
    }
    for _ in 0..4 {
        let places = unmeant(&source);
        if places.is_empty() {
            return Some(source);
        }
        let mut tamed = String::with_capacity(source.len() + places.len());
        let mut from = 0;
        for place in places {
            tamed.push_str(&source[from..place]);
            tamed.push('\\');
            from = place;
        }
        tamed.push_str(&source[from..]);
        source = tamed.into();
    }
    None
}

fn unmeant(source: &str) -> Vec<usize> {
    let parser = parse(source);
    let mut places: Vec<usize> = parser.reference_definitions().iter().map(|(_, link)| link.span.start).collect();
    for (event, range) in parser.into_offset_iter() {
        let marker =
            matches!(event, Event::Start(Tag::BlockQuote(_))).then(|| source[range.start..].find('>')).flatten();
        if let Some(place) = marker.map(|marker| range.start + marker) {
            let after = source[place + 1..].chars().next();
            let quote = after.is_none_or(|next| next.is_whitespace() || next.is_alphabetic() || next == '>');
            if !quote {
                places.push(place);
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// A part of a parsed text. Texts that stand side by side in the source are one run, so that links and short codes
/// are found in what the parser had cut.
enum Piece<'s> {
    /// As it stands in the source.
    Run(Range<usize>),
    /// Not as it stands in the source, or not to be read again: an entity, an escaped character.
    Literal(String),
    Event(Event<'s>, Range<usize>),
}

struct Pieces<'s> {
    source: &'s str,
    events: Peekable<OffsetIter<'s>>,
    /// The rest of a text whose first character was escaped.
    begun: Option<Range<usize>>,
    /// Where the last text ended.
    end: usize,
}

impl<'s> Pieces<'s> {
    fn of(source: &'s str) -> Self {
        Self { source, events: parse(source).into_offset_iter().peekable(), begun: None, end: 0 }
    }

    fn run_from(&mut self, mut run: Range<usize>) -> Piece<'s> {
        let continues = |event: &Event, next: &Range<usize>, end| {
            next.start == end && text_of(event).is_some_and(|text| *text == self.source[next.clone()])
        };
        while let Some((_, next)) = self.events.next_if(|(event, next)| continues(event, next, run.end)) {
            run.end = next.end;
        }
        self.end = run.end;
        Piece::Run(run)
    }

    fn is_escaped(&self, range: &Range<usize>) -> bool {
        range.start > self.end && self.source.as_bytes()[range.start - 1] == b'\\'
    }
}

impl<'s> Iterator for Pieces<'s> {
    type Item = Piece<'s>;

    fn next(&mut self) -> Option<Piece<'s>> {
        if let Some(run) = self.begun.take() {
            return Some(self.run_from(run));
        }
        let (event, range) = self.events.next()?;
        let Some(text) = text_of(&event) else { return Some(Piece::Event(event, range)) };
        if *text != self.source[range.clone()] {
            self.end = range.end;
            return Some(Piece::Literal(text.to_owned()));
        }
        if !self.is_escaped(&range) {
            return Some(self.run_from(range));
        }
        let first: String = text.chars().take(1).collect();
        let rest = range.start + first.len()..range.end;
        self.end = rest.start;
        self.begun = (!rest.is_empty()).then_some(rest);
        Some(Piece::Literal(first))
    }
}

/// The text of an event that is shown as text; raw HTML is.
fn text_of<'e>(event: &'e Event<'_>) -> Option<&'e str> {
    match event {
        Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => Some(text),
        _ => None,
    }
}

/// Writes what the parser found as HTML, and finds out whether that shows anything else than the text.
struct Writer<'s> {
    source: &'s str,
    html: String,
    limit: usize,
    /// The end tags of what is open.
    open: Vec<&'static str>,
    /// Within a fenced code block.
    in_code: bool,
    link: Option<OpenLink>,
    /// How many tags are open within a link that leads nowhere we let it, and that is shown as it was written.
    refused: usize,
    /// There is something that plain text cannot show.
    marked: bool,
    /// How many characters are shown, spaces not counted.
    shown: usize,
}

struct OpenLink {
    /// How many tags were open before it.
    depth: usize,
    target: String,
    content_from: usize,
}

impl<'s> Writer<'s> {
    fn new(source: &'s str, limit: usize) -> Self {
        Self {
            source,
            html: String::new(),
            limit,
            open: Vec::new(),
            in_code: false,
            link: None,
            refused: 0,
            marked: false,
            shown: 0,
        }
    }

    /// The whole HTML; none where `text`, from which the source came, is better shown as it is.
    fn write(mut self, text: &str) -> Option<String> {
        for piece in Pieces::of(self.source) {
            self.piece(piece);
            if self.html.len() > self.limit || self.open.len() > MAX_DEPTH {
                return None;
            }
        }
        // Markdown only takes characters away (escapes, entities, marks): as many means the same ones.
        let shows_more = self.marked || self.shown != visible(text);
        (shows_more && self.shown > 0).then_some(self.html)
    }

    fn piece(&mut self, piece: Piece<'_>) {
        if self.refused > 0 {
            match piece {
                Piece::Event(Event::Start(_), _) => self.refused += 1,
                Piece::Event(Event::End(_), _) => self.refused -= 1,
                _ => {}
            }
            return;
        }
        match piece {
            Piece::Run(run) => self.run(&self.source[run]),
            Piece::Literal(text) => self.text(&text),
            Piece::Event(event, range) => self.event(event, range),
        }
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(Tag::Link { link_type, dest_url, title, .. }) => {
                let scheme = if link_type == LinkType::Email { "mailto:" } else { "" };
                self.start_link(format!("{scheme}{dest_url}"), &title, range);
            }
            Event::Start(Tag::Image { dest_url, title, .. }) => self.start_link(dest_url.to_string(), &title, range),
            Event::Start(tag) => self.start(&tag),
            Event::End(_) => self.end(),
            Event::SoftBreak | Event::HardBreak => self.html.push_str("<br>"),
            Event::Rule => self.mark("<hr>"),
            Event::Code(code) => {
                self.mark("<code>");
                self.text(&code);
                self.html.push_str("</code>");
            }
            // Text came as a piece of its own, and nothing else is switched on.
            _ => {}
        }
    }

    /// Adds a tag that plain text cannot stand for.
    fn mark(&mut self, tag: &str) {
        self.html.push_str(tag);
        self.marked = true;
    }

    fn start(&mut self, tag: &Tag<'_>) {
        let (start, end) = match tag {
            Tag::Heading { .. } => ("<p><strong>", "</strong></p>"),
            Tag::BlockQuote(_) => ("<blockquote>", "</blockquote>"),
            Tag::CodeBlock(CodeBlockKind::Fenced(_)) => ("<pre><code>", "</code></pre>"),
            Tag::List(None) => ("<ul>", "</ul>"),
            Tag::List(Some(_)) => ("<ol>", "</ol>"),
            Tag::Item => ("<li>", "</li>"),
            Tag::Emphasis => ("<em>", "</em>"),
            Tag::Strong => ("<strong>", "</strong>"),
            Tag::Strikethrough => ("<del>", "</del>"),
            // A paragraph, or what Markdown takes for indented code or raw HTML.
            _ => ("<p>", "</p>"),
        };
        self.open.push(end);
        self.in_code = start == "<pre><code>";
        match tag {
            Tag::List(Some(first)) if *first != 1 => self.mark(&format!("<ol start=\"{first}\">")),
            _ if start == "<p>" => self.html.push_str(start),
            _ => self.mark(start),
        }
    }

    fn end(&mut self) {
        let Some(end) = self.open.pop() else { return };
        if let Some(link) = self.link.take_if(|link| link.depth == self.open.len())
            && self.html.len() == link.content_from
        {
            self.text(&link.target);
        }
        if self.in_code && self.html.ends_with('\n') {
            self.html.pop();
        }
        while end == "</p>" && self.html.ends_with("<br>") {
            self.html.truncate(self.html.len() - "<br>".len());
        }
        self.in_code = false;
        self.html.push_str(end);
    }

    fn start_link(&mut self, target: String, title: &str, range: Range<usize>) {
        let within_link = self.link.is_some();
        if within_link {
            self.open.push("");
        } else if is_link_target(&target) {
            self.link_tag(&target, title);
            self.link = Some(OpenLink { depth: self.open.len(), target, content_from: self.html.len() });
            self.open.push("</a>");
        } else {
            self.refused = 1;
            self.text(&self.source[range]);
        }
    }

    fn link_tag(&mut self, target: &str, title: &str) {
        self.mark("<a href=\"");
        escape(target, &mut self.html);
        if !title.is_empty() {
            self.html.push_str("\" title=\"");
            escape(title, &mut self.html);
        }
        self.html.push_str("\">");
    }

    /// A text as it stands in the source, with its links and short codes.
    fn run(&mut self, run: &str) {
        if self.in_code {
            return self.text(run);
        }
        if self.link.is_some() {
            return self.emoji(run);
        }
        for span in links(run) {
            if is_web_link(&span) {
                self.link_tag(span.as_str(), "");
                self.text(span.as_str());
                self.html.push_str("</a>");
            } else {
                self.emoji(span.as_str());
            }
        }
    }

    /// A text with its short codes, which stand between no letters or digits: `:tada:`, not `12:30:45`.
    fn emoji(&mut self, text: &str) {
        let mut written = 0;
        let mut from = 0;
        while let Some(start) = text[from..].find(':').map(|at| from + at) {
            let code = &text[start + 1..];
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+-".contains(byte);
            let length = code.bytes().take_while(|byte| is_part(byte)).count();
            let end = start + 1 + length;
            let stands_alone = !text[written..start].ends_with(char::is_alphanumeric)
                && code[length..].strip_prefix(':').is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
            let emoji = if stands_alone { emojis::get_by_shortcode(&code[..length]) } else { None };
            from = end;
            if let Some(emoji) = emoji {
                self.text(&text[written..start]);
                self.mark(emoji.as_str());
                self.shown += 1;
                written = end + 1;
                from = written;
            }
        }
        self.text(&text[written..]);
    }

    fn text(&mut self, text: &str) {
        self.shown += visible(text);
        if self.in_code {
            return escape(text, &mut self.html);
        }
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.html.push_str("<br>");
            }
            escape(line.trim_end_matches('\r'), &mut self.html);
        }
    }
}

fn visible(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

fn is_link_target(target: &str) -> bool {
    let begins = |scheme: &str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    ["http://", "https://", "mailto:"].into_iter().any(begins)
}

/// The text cut into links to web pages and what is between them.
fn links(text: &str) -> impl Iterator<Item = linkify::Span<'_>> {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]);
    finder.spans(text)
}

fn is_web_link(span: &linkify::Span<'_>) -> bool {
    span.kind().is_some() && is_link_target(span.as_str())
}

fn escape(text: &str, html: &mut String) {
    for part in text.split_inclusive(['&', '<', '>', '"']) {
        let (plain, special) = part.split_at(part.len() - usize::from(part.ends_with(['&', '<', '>', '"'])));
        html.push_str(plain);
        html.push_str(match special {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "\"" => "&quot;",
            _ => "",
        });
    }
}

fn collect_mentions(source: &str, run: Range<usize>, found: &mut Vec<Vec<String>>) {
    let text = &source[run.clone()];
    for span in links(text).filter(|span| !is_web_link(span)) {
        let from = run.start + span.start();
        for (at, _) in span.as_str().match_indices('@') {
            let follows_word = source[..from + at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if follows_word || found.len() == MAX_MENTIONS {
                continue;
            }
            let names = names_after(&span.as_str()[at + 1..]);
            if !names.is_empty() {
                found.push(names);
            }
        }
    }
}

/// The names that may stand at the beginning of `text`: of up to three words, with and without what ends a clause.
fn names_after(text: &str) -> Vec<String> {
    let line = text.split(['\n', '@']).next().unwrap_or_default();
    if line.starts_with(char::is_whitespace) {
        return Vec::new();
    }
    let words: Vec<&str> = line.split_whitespace().take(WORDS_IN_A_NAME).collect();
    let mut names: Vec<String> = Vec::new();
    for count in (1..=words.len()).rev() {
        let name = words[..count].join(" ");
        let shorter = name.trim_end_matches(ends_clause).to_owned();
        names.extend([name, shorter]);
    }
    if let Some(first) = words.first() {
        let stem = first.split(|c: char| c.is_ascii_punctuation() && !"-_.".contains(c) || c == '’').next();
        names.extend(stem.map(|stem| stem.trim_end_matches(ends_clause).to_owned()));
    }
    names.retain(|name| !name.is_empty() && name.len() <= MAX_NAME_BYTES);
    names.dedup();
    names
}

fn ends_clause(c: char) -> bool {
    c.is_ascii_punctuation() || "…’”»、。，！？：；）」".contains(c)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn html(text: &str) -> String {
        render(text).unwrap_or_else(|| panic!("no markup found in {text:?}"))
    }

    const LINK: &str = r#" target="_blank" rel="noopener noreferrer nofollow">"#;

    #[test]
    fn markdown_becomes_html() {
        for (text, expected) in [
            ("hello *there*", "<p>hello <em>there</em></p>"),
            ("**a** __b__ _c_ ~~d~~", "<p><strong>a</strong> <strong>b</strong> <em>c</em> <del>d</del></p>"),
            ("`a < b`", "<p><code>a &lt; b</code></p>"),
            ("one\n*two*  \nthree\\\nfour", "<p>one<br><em>two</em><br>three<br>four</p>"),
            ("*a*\n\nb", "<p><em>a</em></p><p>b</p>"),
            ("```rust\nlet a = 1;\n\n  b();\n```", "<pre><code>let a = 1;\n\n  b();</code></pre>"),
            ("> quoted\n> more\n\nmine", "<blockquote><p>quoted<br>more</p></blockquote><p>mine</p>"),
            ("- a\n- b\n  - c", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
            ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
            ("7) a", "<ol start=\"7\"><li>a</li></ol>"),
            ("# Loud", "<p><strong>Loud</strong></p>"),
            ("above\n\n---\n\nbelow", "<p>above</p><hr><p>below</p>"),
            ("\\*not em\\*", "<p>*not em*</p>"),
            ("&copy; &lt;b&gt;", "<p>© &lt;b&gt;</p>"),
            ("*a*\r\nb", "<p><em>a</em><br>b</p>"),
        ] {
            assert_eq!(html(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_shows_the_same_as_plain_text_stays_plain() {
        for text in [
            "",
            " ",
            "hello",
            "two\nlines\n\n\nand more",
            "a * b",
            "snake_case_name",
            "1 < 2 & 3",
            "AT&T",
            "5 > 3",
            "    indented\n\tcode",
            "<b>bold</b>",
            "<div>\n*html*\n</div>",
            "<!-- hidden -->",
            "see you at 12:30:45 :)",
            "#tag",
            "-1",
            "+1",
            "1.5",
            "a: b",
            ":nosuchcode:",
            ":",
            "::",
            "[not a link]",
            "[a](b)",
            "ftp://example.org",
            "[x](javascript:alert(1))",
            "[note]: text",
            "[a]: b\n[a]: c",
            ">:(",
            ">_<",
            ">.<",
            ">5",
            "#",
            "-",
            "*",
            "+",
            ">",
            "1.",
            "---",
            "***",
            "```",
            "~",
            "a ~ b",
            "\\o/",
            "C:\\dir",
            "🎉",
            "x = y",
            "@bob",
            "a\u{a0}b",
            "[]()",
        ] {
            assert_eq!(render(text), None, "{text:?}");
        }
    }

    #[test]
    fn most_texts_are_not_parsed() {
        for text in ["", "hello, you!", "5 minutes", "2026", "from 9 to 5.", "a (b) - c\n 12 d"] {
            assert!(!may_hold_markup(text), "{text:?}");
        }
    }

    #[test]
    fn indented_text_is_text() {
        assert_eq!(html("**a**\n\n    b\n      <c> :tada:"), "<p><strong>a</strong></p><p>b<br>  &lt;c&gt; 🎉</p>");
    }

    #[test]
    fn raw_html_shows_as_text() {
        assert_eq!(html("*a* <b>b</b>"), "<p><em>a</em> &lt;b&gt;b&lt;/b&gt;</p>");
        assert_eq!(html("*a*\n\n<p>\nx\n</p>\n"), "<p><em>a</em></p><p>&lt;p&gt;<br>x<br>&lt;/p&gt;</p>");
        assert_eq!(html("*a* <!-- c -->"), "<p><em>a</em> &lt;!-- c --&gt;</p>");
    }

    #[test]
    fn links_lead_to_the_web_and_to_mailboxes_only() {
        for (text, expected) in [
            ("[a](https://b.org/?x=1&y=2)", format!("<p><a href=\"https://b.org/?x=1&amp;y=2\"{LINK}a</a></p>")),
            ("[a](HTTP://b.org \"t\\\"\")", format!("<p><a href=\"HTTP://b.org\" title=\"t&quot;\"{LINK}a</a></p>")),
            ("<a@b.org>", format!("<p><a href=\"mailto:a@b.org\"{LINK}a@b.org</a></p>")),
            (
                "see https://b.org/a_b_c.",
                format!("<p>see <a href=\"https://b.org/a_b_c\"{LINK}https://b.org/a_b_c</a>.</p>"),
            ),
            ("(http://b.org)", format!("<p>(<a href=\"http://b.org\"{LINK}http://b.org</a>)</p>")),
            ("[http://c.org](http://b.org)", format!("<p><a href=\"http://b.org\"{LINK}http://c.org</a></p>")),
            ("[](http://b.org)", format!("<p><a href=\"http://b.org\"{LINK}http://b.org</a></p>")),
            ("![cat](http://b.org/c.png)", format!("<p><a href=\"http://b.org/c.png\"{LINK}cat</a></p>")),
            ("[![cat](http://c)](http://b)", format!("<p><a href=\"http://b\"{LINK}cat</a></p>")),
            ("![a [b](http://c) d](http://e)", format!("<p><a href=\"http://e\"{LINK}a b d</a></p>")),
            ("*a* [b *c*](/d)", "<p><em>a</em> [b *c*](/d)</p>".to_owned()),
            ("`http://b.org`", "<p><code>http://b.org</code></p>".to_owned()),
        ] {
            assert_eq!(html(text), expected, "{text:?}");
        }
    }

    #[test]
    fn definitions_of_references_do_not_vanish() {
        assert_eq!(html("[a]: b\n[a]: c\n*d*"), "<p>[a]: b<br>[a]: c<br><em>d</em></p>");
        assert_eq!(html("-   [a]: b"), "<ul><li>[a]: b</li></ul>");
        assert_eq!(html(">  [a]: b"), "<blockquote><p>[a]: b</p></blockquote>");
        assert_eq!(html("*c*\n\n  [a]: b"), "<p><em>c</em></p><p>[a]: b</p>");
    }

    #[test]
    fn smileys_are_no_quotes() {
        assert_eq!(html("*a*\n>:( b"), "<p><em>a</em><br>&gt;:( b</p>");
        assert_eq!(html("> \t>_< a"), "<blockquote><p>&gt;_&lt; a</p></blockquote>");
        assert_eq!(html("-   >.<"), "<ul><li>&gt;.&lt;</li></ul>");
        assert_eq!(
            html(">quote\n>> within"),
            "<blockquote><p>quote</p><blockquote><p>within</p></blockquote></blockquote>"
        );
    }

    #[test]
    fn short_codes_become_emoji_where_they_stand_alone() {
        for (text, expected) in [
            (":tada:", "<p>🎉</p>"),
            ("yes :+1::tada:!", "<p>yes 👍🎉!</p>"),
            ("*:tada:* :nosuchcode: `:tada:`", "<p><em>🎉</em> :nosuchcode: <code>:tada:</code></p>"),
            ("*a* \\:tada: b:on:c", "<p><em>a</em> :tada: b:on:c</p>"),
            ("\\\\:tada:", "<p>\\🎉</p>"),
            ("::tada::", "<p>:🎉:</p>"),
        ] {
            assert_eq!(html(text), expected, "{text:?}");
        }
        assert!(html("http://a.org/:tada:/").contains("href=\"http://a.org/:tada:/\""));
        assert_eq!(html("```\n:tada:\n```"), "<pre><code>:tada:</code></pre>");
    }

    #[test]
    fn nothing_that_runs_comes_through() {
        for text in [
            "<script>alert(1)</script>*",
            "*a* <img src=x onerror=alert(1)>",
            "*a* <svg/onload=alert(1)>",
            "*a* <style>*{display:none}</style>",
            "*a* <a href=\"javascript:alert(1)\">x</a>",
            "*a* [x](javascript:alert(1))",
            "*a* [x](JaVaScRiPt:alert(1))",
            "*a* [x](java\tscript:alert(1))",
            "*a* [x](&#106;avascript:alert(1))",
            "*a* [x](<javascript:alert(1)>)",
            "*a* [x](\u{1}javascript:alert(1))",
            "*a* [x](data:text/html;base64,PHNjcmlwdD4=)",
            "*a* [x](vbscript:msgbox(1))",
            "*a* ![x](javascript:alert(1))",
            "*a* <javascript:alert(1)>",
            "*a* [x](//evil.org)",
            "*a* [x][y]\n\n[y]: javascript:alert(1)",
            "[x](http://a.org/\"onmouseover=alert(1))",
            "[x](http://a.org '\"onmouseover=\"alert(1)')",
            "[x](http://a.org \"&quot; onmouseover=&quot;alert(1)\")",
            "http://a.org/\"onmouseover=\"alert(1)",
            "http://a.org/<script>alert(1)</script>",
            "![\"onerror=\"alert(1)](http://a.org)",
            "[a](http://b [c](http://d) <img src=x onerror=alert(1)>)",
            "```\"><script>alert(1)</script>\n</code></pre><script>alert(1)</script>\n```",
            "`</code><script>alert(1)</script>`",
            "*a* <!--><script>alert(1)</script>-->",
            "*a* <![CDATA[<script>alert(1)</script>]]>",
            "*a* &lt;script&gt;alert(1)&lt;/script&gt;",
            "*a* <math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
            "*a* <iframe srcdoc='<script>alert(1)</script>'>",
            "<http://a.org/?\"><script>alert(1)</script>>",
            "1<script>. *a*",
            "*a*\0<scr\0ipt>alert(1)</script>",
        ] {
            if let Some(html) = render(text) {
                assert_harmless(&html);
            }
        }
    }

    /// Every tag and attribute is one of those we write, letter by letter, and ammonia finds nothing to take away.
    fn assert_harmless(html: &str) {
        assert_eq!(CLEANER.clean(html).to_string(), html);
        for tag in html.split('<').skip(1) {
            let tag = tag.split_once('>').expect("every tag ends").0;
            let name = tag.trim_start_matches('/').split(' ').next().expect("a split yields something");
            let known = "p br strong em del code pre blockquote ul ol li a hr";
            assert!(known.split(' ').any(|known| known == name), "<{tag}> in {html}");
            let attributes = tag.strip_prefix(name).unwrap_or_default().split('"').step_by(2);
            for attribute in attributes.filter(|attribute| !attribute.is_empty()) {
                assert!(
                    [" href=", " title=", " rel=", " target=", " start="].contains(&attribute),
                    "<{tag}> in {html}"
                );
            }
            if let Some((_, target)) = tag.split_once("href=\"") {
                assert!(is_link_target(target), "<{tag}> in {html}");
            }
        }
    }

    #[test]
    fn mentions_are_looked_for_outside_of_code_and_links() {
        assert_eq!(mention_candidates("@bob"), [["bob"]]);
        assert_eq!(mention_candidates("hi @ann lee, how"), [["ann lee, how", "ann lee,", "ann lee", "ann"]]);
        assert_eq!(mention_candidates("(@bob)"), [["bob)", "bob"]]);
        assert_eq!(mention_candidates("@bob's idea"), [["bob's idea", "bob's", "bob"]]);
        assert_eq!(mention_candidates("@a @b\n@c"), [["a"], ["b"], ["c"]]);
        assert_eq!(mention_candidates("*@snake_case_*"), [["snake_case_", "snake_case"]]);
        assert_eq!(mention_candidates("@🦊! @李。"), [["🦊!", "🦊"], ["李。", "李"]]);
        for text in ["a@b.org", "`@bob`", "```\n@bob\n```", "@ bob", "@", "https://a.org/@bob", "\\@bob", "x_@bob"] {
            assert_eq!(mention_candidates(text), [[""; 0]; 0], "{text:?}");
        }
        assert_eq!(mention_candidates(&"@a ".repeat(100)).len(), MAX_MENTIONS);
    }

    /// Far more than a release build takes (4 ms): what counts is that nothing grows with the square of the text.
    const LONG: Duration = Duration::from_secs(2);

    #[test]
    fn hostile_texts_are_quick_and_small() {
        let parts = [
            ">",
            "> ",
            "[",
            "]",
            "*_",
            "- ",
            "1. ",
            "[a](",
            "[a](<b",
            "<!-- ",
            "<a ",
            "![",
            "a~",
            "**a *b ",
            "\\",
            "&",
            ":",
            ":a",
            "://",
            "http://",
            "http://a ",
            "a:",
            "[x]: y\n",
            "[x]:\n",
            "> >:( ",
            ">:(\n",
            "-\n",
            "#\n",
            "`",
            "`a``b",
            "<",
            "@",
            "@a",
            "@a b ",
            "> - ",
            "[a](b \"",
            "<?",
            "\t-",
            "\n",
            "*a*",
            "~a~",
            ":x:",
            "\u{301}",
            "\"",
            "(",
            "a@",
            "[a](http://b)",
            "http://a/(",
            "http://a/'",
            "_a_ ",
            "***",
            "\\\n",
            "[^a]: b\n",
            "|a|\n|-|\n",
            "[[]()]()",
            "-\n-\n\n",
        ];
        for part in parts {
            let text = part.repeat(8000 / part.len());
            let start = Instant::now();
            let rendered = render(&text);
            let mentions = mention_candidates(&text);
            assert!(start.elapsed() < LONG, "{part:?} took {:?}", start.elapsed());
            assert!(rendered.is_none_or(|html| html.len() <= MOST_GROWTH * text.len() + 1024), "{part:?}");
            assert!(mentions.len() <= MAX_MENTIONS);
        }
        assert_eq!(render(&"> ".repeat(MAX_DEPTH)), None);
        assert_eq!(render(&("> ".repeat(MAX_DEPTH + 1) + "a")), None);
        assert!(render(&("> ".repeat(MAX_DEPTH - 1) + "a")).is_some());
    }

    /// Texts that are dense with what Markdown gives a meaning.
    fn markup() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just("a".to_owned()),
            Just("http://a.b/c".to_owned()),
            Just(":tada:".to_owned()),
            Just("javascript:x".to_owned()),
            Just("<script>".to_owned()),
            Just("\n    ".to_owned()),
            Just("\n> ".to_owned()),
            Just("\n- ".to_owned()),
            Just("\n```\n".to_owned()),
            Just("](".to_owned()),
            Just("]: ".to_owned()),
            Just("&amp;".to_owned()),
            "[-*_`~\\[\\]()<>&:;#+=!\"'\\\\ \n\r\t@|0-9a-z]{1,4}",
            any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(word, 0..24).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn whatever_is_rendered_is_harmless(text in markup()) {
            if let Some(html) = render(&text) {
                assert_harmless(&html);
            }
            for names in mention_candidates(&text) {
                prop_assert!(!names.is_empty() && names.iter().all(|name| !name.is_empty() && !name.contains('@')));
            }
        }

        #[test]
        fn no_letter_is_lost(text in "[a-z \n]{0,20}[-*_`~\\[\\](){}<>;#+=!\"'|0-9a-z \n]{0,20}") {
            // But for what a link leads to, and the name of a code block's language.
            if ["](", "```", "~~~"].iter().any(|hides| text.contains(hides)) {
                return Ok(());
            }
            if let Some(html) = render(&text) {
                let after_tag = |part| str::split_once(part, '>').map_or(part, |(_, text)| text);
                let shown: String = html.split('<').map(after_tag).collect();
                let shown = shown.replace("&lt;", "").replace("&gt;", "").replace("&quot;", "").replace("&amp;", "");
                let letters = |text: &str| text.chars().filter(char::is_ascii_lowercase).collect::<String>();
                prop_assert_eq!(letters(&shown), letters(&text));
            }
        }

        #[test]
        fn the_scan_finds_whatever_the_parser_would(
            text in "[-*_`~\\[\\](){}<>&:;.#+=!\"'|0-9a-z \n]{0,30}|([0-9]{0,3}[.) \ta\n]){0,8}",
        ) {
            if !may_hold_markup(&text) {
                prop_assert_eq!(Writer::new(&text, usize::MAX).write(&text), None);
            }
        }
    }
}
