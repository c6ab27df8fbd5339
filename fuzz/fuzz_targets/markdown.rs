//! Whatever a message says, its HTML holds only the tags and the link targets that we write, and is no bomb.
#![no_main]

use chinwag::chat::message::{mention_candidates, render};
use libfuzzer_sys::fuzz_target;

const TAGS: &str = "p br strong em del code pre blockquote ul ol li a hr";
const ATTRIBUTES: [&str; 5] = [" href=", " title=", " rel=", " target=", " start="];
const TARGETS: [&str; 3] = ["http://", "https://", "mailto:"];

fuzz_target!(|text: &str| {
    if let Some(html) = render(text) {
        assert!(html.len() <= 8 * text.len() + 1024);
        html.split('<').skip(1).for_each(check_tag);
    }
    let mentions = mention_candidates(text);
    assert!(mentions.len() <= 10 && mentions.iter().flatten().all(|name| !name.is_empty() && !name.contains('@')));
});

/// `after` is what follows a `<`. Within attributes `<`, `>` and `"` are written as entities.
fn check_tag(after: &str) {
    let (tag, _) = after.split_once('>').expect("every tag ends");
    let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
    assert!(TAGS.split(' ').any(|known| known == name), "<{tag}>");
    let rest = tag.trim_start_matches('/').strip_prefix(name).unwrap_or_default();
    for attribute in rest.split('"').step_by(2).filter(|attribute| !attribute.is_empty()) {
        assert!(ATTRIBUTES.contains(&attribute), "<{tag}>");
    }
    if let Some((_, target)) = tag.split_once("href=\"") {
        let target = target.to_ascii_lowercase();
        assert!(TARGETS.iter().any(|scheme| target.starts_with(scheme)), "<{tag}>");
    }
}
