//! What the generator writes at the start of every text: when it was due, who sent it, and the how-manyth of this
//! sender it is. All of fixed width, so that reading it costs little; the rest of the text is filler.

use std::fmt::Write as _;

const DUE_DIGITS: usize = 16;
const LANE_DIGITS: usize = 5;
const NUMBER_DIGITS: usize = 10;
/// Length of a stamp, with the space after each of its parts. No text may be shorter.
pub const BYTES: usize = DUE_DIGITS + LANE_DIGITS + NUMBER_DIGITS + 3;

const FILLER: &str = "the quick brown fox jumps over the lazy dog and then does it again because nobody in this room \
                      was looking the first time ";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Nanoseconds on the swarm's clock.
    pub due: u64,
    /// The sender, counted from 0 within its room.
    pub lane: usize,
    /// Counted from 0 within the lane.
    pub number: u64,
}

impl Stamp {
    /// A text of so many bytes that starts with this stamp.
    pub fn text(self, bytes: usize) -> String {
        let Self { due, lane, number } = self;
        let mut text = String::with_capacity(bytes.max(BYTES) + FILLER.len());
        let _ = write!(text, "{due:0DUE_DIGITS$} {lane:0LANE_DIGITS$} {number:0NUMBER_DIGITS$} ");
        while text.len() < bytes {
            text.push_str(FILLER);
        }
        text.truncate(bytes.max(BYTES));
        // White space at the end would be cut by a chat server.
        if text.len() > BYTES && text.ends_with(' ') {
            text.pop();
            text.push('.');
        }
        text
    }

    /// The stamp of a text; nothing for a text without one.
    pub fn read(text: &[u8]) -> Option<Self> {
        let (due, rest) = part(text, DUE_DIGITS)?;
        let (lane, number) = lane_and_number(rest)?;
        Some(Self { due, lane, number })
    }

    /// Only what tells this message from others.
    pub fn identity(text: &[u8]) -> Option<(usize, u64)> {
        lane_and_number(text.get(DUE_DIGITS + 1..)?)
    }
}

fn lane_and_number(text: &[u8]) -> Option<(usize, u64)> {
    let (lane, rest) = part(text, LANE_DIGITS)?;
    let (number, _) = part(rest, NUMBER_DIGITS)?;
    Some((usize::try_from(lane).ok()?, number))
}

fn part(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (part, rest) = text.split_at_checked(digits)?;
    let rest = rest.strip_prefix(b" ")?;
    part.iter()
        .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
        .map(|value| (value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_length_asked_for_and_gives_its_stamp_back() {
        let stamp = Stamp { due: 12_345, lane: 7, number: 89 };
        for bytes in [BYTES, 128, 333, 4000] {
            let text = stamp.text(bytes);
            assert_eq!(text.len(), bytes);
            assert_eq!(Stamp::read(text.as_bytes()), Some(stamp));
            assert_eq!(Stamp::identity(text.as_bytes()), Some((7, 89)));
        }
        assert!((BYTES + 1..600).all(|bytes| !stamp.text(bytes).ends_with(' ')));
    }

    #[test]
    fn a_text_of_somebody_else_has_none() {
        assert_eq!(Stamp::read(b"hello"), None);
        assert_eq!(Stamp::read(&[b'x'; 128]), None);
        assert_eq!(Stamp::identity(b"in"), None);
    }
}
