//! RFC 6455 framing for the client's side, as little of it as a load generator needs: whole text frames out,
//! whole frames in. A server that fragments its messages is reported, not understood.

use anyhow::{Result, bail};

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// One fixed key: the server must unmask all the same, and nobody between us is to be protected.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
}

/// Appends one masked frame to `out`.
pub fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(FIN | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..126), _) => out.push(MASKED + short),
        (_, Ok(medium)) => {
            out.push(MASKED + 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED + 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&KEY);
    let start = out.len();
    out.extend_from_slice(payload);
    for four in out[start..].chunks_mut(4) {
        for (byte, key) in four.iter_mut().zip(KEY) {
            *byte ^= key;
        }
    }
}

/// Takes the first frame off `bytes`, or nothing while its end has not come yet.
pub fn decode<'a>(bytes: &mut &'a [u8]) -> Result<Option<Frame<'a>>> {
    let &[first, second, ref rest @ ..] = *bytes else { return Ok(None) };
    if first & 0xf0 != FIN {
        bail!("the server sent a fragment or set a reserved bit (first byte {first:#04x})");
    }
    let extended = match second {
        0..126 => 0,
        126 => 2,
        127 => 8,
        _ => bail!("the server sent a masked frame"),
    };
    let Some((length, rest)) = rest.split_at_checked(extended) else { return Ok(None) };
    let length = match length {
        [] => usize::from(second),
        digits => digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)),
    };
    let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    *bytes = rest;
    Ok(Some(Frame { opcode: first & 0x0f, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        encode(&mut frame, TEXT, payload);
        let key = frame.len() - payload.len() - 4;
        frame.truncate(key);
        frame[1] &= !MASKED;
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn every_length_of_header_is_read_back_and_a_cut_frame_waits() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let whole = server_frame(&payload);
            let mut bytes = whole.as_slice();
            let frame = decode(&mut bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload), (TEXT, payload.as_slice()));
            assert!(bytes.is_empty());
            let mut cut = &whole[..whole.len() - 1];
            assert!(decode(&mut cut).unwrap().is_none());
            assert_eq!(cut.len(), whole.len() - 1);
        }
    }

    #[test]
    fn the_payload_is_masked() {
        let mut out = Vec::new();
        encode(&mut out, TEXT, b"hello");
        assert_eq!(out[..2], [0x81, 0x85]);
        let unmasked: Vec<u8> = out[6..].iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        assert_eq!(unmasked, b"hello");
    }

    #[test]
    fn fragments_and_masked_frames_are_refused() {
        assert!(decode(&mut &[0x01, 0][..]).is_err());
        assert!(decode(&mut &[0x81, 0x80, 0, 0, 0, 0][..]).is_err());
    }
}
