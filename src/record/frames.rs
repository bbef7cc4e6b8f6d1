//! The frames of a compressed file: where each lies, and what one holds, without unpacking the others.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;

use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

/// So much of a file is looked at together.
const WINDOW: u64 = 4 * 1024 * 1024;
/// No frame is larger, packed or not. Those of sekisho have a mebibyte; other tools make one of a whole file.
const LARGEST: u64 = 512 * 1024 * 1024;

/// A frame of a compressed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it begins.
    pub at: u64,
    /// How many bytes it has, packed.
    pub length: u64,
}

/// The frames of a compressed file in their order. Nothing is unpacked.
///
/// # Errors
/// The system's, or it is not compressed.
pub fn frames(file: &File) -> io::Result<Vec<Frame>> {
    let end = file.metadata()?.len();
    let (mut found, mut at, mut window) = (Vec::new(), 0_u64, WINDOW);
    while at < end {
        let part = read(file, Frame { at, length: window.min(end - at) })?;
        let (mut rest, before) = (part.as_slice(), at);
        while let Some(length) = first_of(rest) {
            found.push(Frame { at, length: length as u64 });
            at += length as u64;
            rest = rest.get(length..).unwrap_or_default();
        }
        if at > before {
            continue;
        }
        if before + window >= end || window >= LARGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not compressed, or damaged"));
        }
        window *= 2;
    }
    Ok(found)
}

/// What a frame holds.
///
/// # Errors
/// The system's, or the frame is damaged or too large.
pub fn unpack(file: &File, frame: Frame) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::new(io::ErrorKind::InvalidData, "a compressed frame is too large");
    if frame.length > LARGEST {
        return Err(too_large());
    }
    let packed = read(file, frame)?;
    match get_frame_content_size(&packed) {
        Ok(Some(size)) if size <= LARGEST => {
            zstd::bulk::decompress(&packed, usize::try_from(size).map_err(|_| too_large())?)
        }
        Ok(Some(_)) => Err(too_large()),
        Ok(None) | Err(_) => {
            let mut held = Vec::new();
            zstd::Decoder::with_buffer(packed.as_slice())?.take(LARGEST + 1).read_to_end(&mut held)?;
            if held.len() as u64 > LARGEST { Err(too_large()) } else { Ok(held) }
        }
    }
}

fn first_of(bytes: &[u8]) -> Option<usize> {
    find_frame_compressed_size(bytes).ok().filter(|length| *length > 0)
}

fn read(file: &File, part: Frame) -> io::Result<Vec<u8>> {
    let length = usize::try_from(part.length).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, part.at)?;
    Ok(bytes)
}
