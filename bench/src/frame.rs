//! RFC 6455 framing, as little of it as a load generator and its floor need: whole frames out, whole frames in. A
//! server that fragments its messages is reported, not understood.

use anyhow::{Result, bail};

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
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

/// Appends one masked frame to `out`, as a client sends it.
pub fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    header(out, opcode, MASKED, payload.len());
    out.extend_from_slice(&KEY);
    let start = out.len();
    out.extend_from_slice(payload);
    mask(&mut out[start..], KEY);
}

/// Appends one frame to `out`, as a server sends it.
pub fn encode_unmasked(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    header(out, opcode, 0, payload.len());
    out.extend_from_slice(payload);
}

fn header(out: &mut Vec<u8>, opcode: u8, masked: u8, length: usize) {
    out.push(FIN | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => out.push(masked + short),
        (_, Ok(medium)) => {
            out.push(masked + 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(masked + 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

fn mask(bytes: &mut [u8], key: [u8; 4]) {
    for four in bytes.chunks_mut(4) {
        for (byte, key) in four.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
}

/// Takes the first frame of a server off `bytes`, or nothing while its end has not come yet.
pub fn decode<'a>(bytes: &mut &'a [u8]) -> Result<Option<Frame<'a>>> {
    let Some(Head { opcode, masked, length, rest }) = head(bytes)? else { return Ok(None) };
    if masked {
        bail!("the server sent a masked frame");
    }
    let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    *bytes = rest;
    Ok(Some(Frame { opcode, payload }))
}

/// Takes the first frame of a client off `bytes` and returns its payload, or nothing while its end has not come yet.
pub fn decode_masked(bytes: &mut &[u8]) -> Result<Option<Vec<u8>>> {
    let Some(Head { masked, length, rest, .. }) = head(bytes)? else { return Ok(None) };
    if !masked {
        bail!("the client sent an unmasked frame");
    }
    let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
    let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    *bytes = rest;
    let mut payload = payload.to_vec();
    mask(&mut payload, *key);
    Ok(Some(payload))
}

struct Head<'a> {
    opcode: u8,
    masked: bool,
    /// Of the payload.
    length: usize,
    /// What follows these bytes: the key, if it is masked, and the payload.
    rest: &'a [u8],
}

fn head(bytes: &[u8]) -> Result<Option<Head<'_>>> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    if first & 0xf0 != FIN {
        bail!("a fragment came, or a reserved bit (first byte {first:#04x})");
    }
    let short = second & !MASKED;
    let extended = match short {
        0..126 => 0,
        126 => 2,
        _ => 8,
    };
    let Some((length, rest)) = rest.split_at_checked(extended) else { return Ok(None) };
    let length = match length {
        [] => usize::from(short),
        digits => digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)),
    };
    Ok(Some(Head { opcode: first & 0x0f, masked: second & MASKED != 0, length, rest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_of_header_is_read_back_and_a_cut_frame_waits() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let mut whole = Vec::new();
            encode_unmasked(&mut whole, TEXT, &payload);
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
        assert_ne!(&out[6..], b"hello");
        for length in [5, 126, 65_536] {
            let payload = vec![b'x'; length];
            let mut out = Vec::new();
            encode(&mut out, TEXT, &payload);
            assert_eq!(decode_masked(&mut &out[..out.len() - 1]).unwrap(), None);
            assert_eq!(decode_masked(&mut out.as_slice()).unwrap(), Some(payload));
        }
    }

    #[test]
    fn fragments_and_masked_frames_are_refused() {
        assert!(decode(&mut &[0x01, 0][..]).is_err());
        assert!(decode(&mut &[0x81, 0x80, 0, 0, 0, 0][..]).is_err());
    }
}
