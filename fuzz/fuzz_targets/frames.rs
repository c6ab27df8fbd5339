//! Whatever a client sends is read alike, however it is cut into reads, and never more is kept than came.
#![no_main]

use chinwag::frame::{Decoder, Incoming, Limits};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { message_bytes: 1000, fragments: 8 };

fuzz_target!(|data: &[u8]| {
    let Some((size, stream)) = data.split_first() else { return };
    let whole = decode([stream]);
    let in_parts = decode(stream.chunks(usize::from(*size) + 1));
    assert_eq!(whole, in_parts);
});

/// What was understood, and why it ended, in words.
fn decode<'r>(reads: impl IntoIterator<Item = &'r [u8]>) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut heard = Vec::new();
    for read in reads {
        for incoming in decoder.decode(&mut read.to_vec(), LIMITS) {
            if let Ok(Incoming::Text(text)) = &incoming {
                assert!(text.len() <= LIMITS.message_bytes);
            }
            let ends = matches!(incoming, Ok(Incoming::Close(_)) | Err(_));
            heard.push(format!("{incoming:?}"));
            if ends {
                return heard;
            }
        }
    }
    heard
}
