//! Pictures from outside: whatever comes in, a small square of known format without metadata goes out, or an error in
//! words. Pure: knows neither where a picture comes from nor where it is kept.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Pixel};

use crate::error::{Error, Result};

/// The most bytes that a picture may come with.
pub const MOST_BYTES: usize = 5 << 20;

const MOST_MEGAPIXELS: u64 = 25;
/// What a decoder may take beside the picture itself: a frame of 25 megapixels are 100 MB.
const MOST_MEMORY: u64 = 128 << 20;
/// Width and height of what comes out, in pixels, the most.
const SIDE: u32 = 256;

/// A picture that can be shown to anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub bytes: Vec<u8>,
    pub media_type: &'static str,
}

/// Makes the square picture that stands for a user: the middle of the first frame, upright, at most 256 pixels wide,
/// encoded anew. The format is told by the content.
///
/// 25 megapixels take half a second and, with 16 bits a channel, 300 MB; who means harm can make it seconds. So call it
/// where blocking is allowed, and only a few at a time. A decoder that panics at broken content is the caller's to
/// catch, as `spawn_blocking` does.
///
/// # Errors
/// `TooLarge` over 5 MB, `TooManyPixels` over 25 megapixels, `NotAnImage` for what cannot be read as PNG, JPEG, GIF or
/// WebP.
pub fn prepare(bytes: &[u8]) -> Result<Picture> {
    if bytes.len() > MOST_BYTES {
        return Err(Error::TooLarge { limit: MOST_BYTES });
    }
    let (image, orientation) = decode(bytes)?;
    let mut image = square(image);
    image.apply_orientation(orientation);
    Ok(encode(&image))
}

fn decode(bytes: &[u8]) -> Result<(DynamicImage, Orientation)> {
    let format = image::guess_format(bytes).map_err(|_| Error::NotAnImage)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| refusal(&error))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    match format {
        ImageFormat::WebP => check_frames(bytes)?,
        ImageFormat::Jpeg => check_end(bytes)?,
        _ => {}
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(|error| refusal(&error))?;
    Ok((image, orientation))
}

fn check_size(width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::NotAnImage);
    }
    if u64::from(width) * u64::from(height) > MOST_MEGAPIXELS * 1_000_000 {
        return Err(Error::TooManyPixels { megapixels: MOST_MEGAPIXELS });
    }
    Ok(())
}

/// The decoder of WebP believes the size that stands in a lossy frame, and finds out afterwards that the file's header
/// says another. A frame begins with `VP8 `, its length, its tag, a start code, width and height.
fn check_frames(bytes: &[u8]) -> Result<()> {
    let mut frames = bytes.windows(18).filter(|at| at.starts_with(b"VP8 ") && at[11..14] == [0x9d, 0x01, 0x2a]);
    let side = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    frames.try_for_each(|at| check_size(side(at[14], at[15]), side(at[16], at[17])))
}

/// The decoder of JPEG fills in what is missing: a picture that was cut off would be grey from there on.
fn check_end(bytes: &[u8]) -> Result<()> {
    let mut rest = &bytes[2..];
    // Segments with their length, up to the first that pixels follow. Pixels are written so that they hold no marks.
    while let [0xff, kind, high, low, ..] = *rest {
        rest = rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..).unwrap_or_default();
        if kind == 0xda {
            let ends = rest.windows(2).any(|mark| mark == [0xff, 0xd9]);
            return if ends { Ok(()) } else { Err(Error::NotAnImage) };
        }
    }
    Ok(())
}

fn refusal(error: &ImageError) -> Error {
    match error {
        ImageError::Limits(_) => Error::TooManyPixels { megapixels: MOST_MEGAPIXELS },
        _ => Error::NotAnImage,
    }
}

/// Without a copy of the whole picture, save where its pixels are of more than eight bits.
fn square(image: DynamicImage) -> DynamicImage {
    if image.color().has_alpha() { shrunk(&image.into_rgba8()).into() } else { shrunk(&image.into_rgb8()).into() }
}

fn shrunk<P: Pixel<Subpixel = u8> + 'static>(image: &ImageBuffer<P, Vec<u8>>) -> ImageBuffer<P, Vec<u8>> {
    let (width, height) = image.dimensions();
    let whole = width.min(height);
    let middle = imageops::crop_imm(image, (width - whole) / 2, (height - whole) / 2, whole, whole);
    let side = whole.min(SIDE);
    imageops::resize(&*middle, side, side, FilterType::Lanczos3)
}

/// Photographs are smaller as WebP, many a drawing as PNG.
fn encode(image: &DynamicImage) -> Picture {
    let formats = [(ImageFormat::WebP, "image/webp"), (ImageFormat::Png, "image/png")];
    let pictures = formats.map(|(format, media_type)| {
        let mut bytes = Vec::new();
        image
            .write_to(&mut Cursor::new(&mut bytes), format)
            .expect("a small square of eight-bit pixels can be encoded");
        Picture { bytes, media_type }
    });
    pictures.into_iter().min_by_key(|picture| picture.bytes.len()).expect("there are two")
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, Crc, write::ZlibEncoder};
    use image::codecs::{gif::GifEncoder, jpeg::JpegEncoder};
    use image::{Frame, ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

    const RED: Rgb<u8> = Rgb([255, 0, 0]);
    const BLUE: Rgb<u8> = Rgb([0, 0, 255]);

    #[test]
    fn every_format_becomes_a_square_of_256_pixels() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
            let shown = shown(&prepare(&encoded(&red_in_the_middle(640, 320), format)).unwrap());
            assert_eq!(shown.dimensions(), (256, 256), "{format:?}");
            let corners = [(0, 0), (255, 0), (0, 255), (255, 255), (128, 128)];
            assert!(corners.iter().all(|(x, y)| is_like(*shown.get_pixel(*x, *y), RED)), "{format:?}: the middle");
        }
    }

    #[test]
    fn small_pictures_are_not_enlarged_and_thin_ones_have_a_middle() {
        let of = |width, height| shown(&prepare(&encoded(&RgbImage::new(width, height), ImageFormat::Png)).unwrap());
        assert_eq!(of(20, 31).dimensions(), (20, 20));
        assert_eq!(of(1, 3000).dimensions(), (1, 1));
    }

    #[test]
    fn what_is_transparent_stays_so() {
        let image = RgbaImage::from_pixel(300, 300, Rgba([9, 9, 9, 0]));
        let picture = prepare(&encoded(&image, ImageFormat::Png)).unwrap();
        let shown = image::load_from_memory(&picture.bytes).unwrap().into_rgba8();
        assert!(shown.pixels().all(|pixel| pixel[3] == 0));
    }

    #[test]
    fn the_smaller_of_two_formats_is_taken() {
        for image in [photograph(), RgbImage::new(1, 1)] {
            let picture = prepare(&encoded(&image, ImageFormat::Png)).unwrap();
            let (webp, png) = (encoded(&image, ImageFormat::WebP), encoded(&image, ImageFormat::Png));
            assert_eq!(picture.bytes.len(), webp.len().min(png.len()));
            let format = image::guess_format(&picture.bytes).unwrap();
            assert_eq!(picture.media_type, format.to_mime_type());
        }
    }

    #[test]
    fn of_an_animation_the_first_frame_is_taken() {
        let frames = [RED, BLUE].map(|Rgb([r, g, b])| Frame::new(RgbaImage::from_pixel(40, 40, Rgba([r, g, b, 255]))));
        let mut gif = Vec::new();
        GifEncoder::new(&mut gif).encode_frames(frames).unwrap();
        assert!(is_like(*shown(&prepare(&gif).unwrap()).get_pixel(20, 20), RED));
    }

    #[test]
    fn what_is_no_picture_is_refused_whatever_it_claims_to_be() {
        let contents: [&[u8]; 8] = [
            b"",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>",
            b"<!doctype html><title>hello</title>",
            b"GIF89a/*\x09\0\0\0\0*/=1;alert(document.cookie);",
            b"GIF89a\0\0\0\0\0\0\0;",
            b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
            b"\xff\xd8\xff\xe0",
            b"RIFF\x24\0\0\0WEBPVP8 ",
        ];
        for content in contents {
            assert_eq!(prepare(content), Err(Error::NotAnImage), "{}", String::from_utf8_lossy(content));
        }
    }

    #[test]
    fn a_picture_that_ends_too_early_is_refused() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
            let whole = encoded(&photograph(), format);
            assert!(prepare(&whole).is_ok(), "{format:?}");
            for part in [whole.len() / 8, whole.len() / 2, whole.len() - 100] {
                let refused = prepare(&whole[..part]).err();
                assert_eq!(refused, Some(Error::NotAnImage), "{format:?}: {part} bytes");
            }
        }
    }

    #[test]
    fn what_follows_a_picture_is_left_behind() {
        let mut bytes = encoded(&red_in_the_middle(64, 64), ImageFormat::Gif);
        bytes.extend_from_slice(b"/*<script>alert(1)</script>*/");
        assert!(!holds(&prepare(&bytes).unwrap().bytes, b"alert"));
    }

    #[test]
    fn metadata_is_left_behind() {
        let mut png = encoded(&red_in_the_middle(64, 64), ImageFormat::Png);
        let end = png.len() - 12;
        png.splice(end..end, chunk(*b"tEXt", b"Author\0Ann Onymous"));
        assert!(holds(&png, b"Ann Onymous") && prepare(&png).is_ok());
        assert!(!holds(&prepare(&png).unwrap().bytes, b"Ann Onymous"));

        let jpeg = jpeg_turned(1);
        assert!(holds(&jpeg, b"Exif"));
        assert!(!holds(&prepare(&jpeg).unwrap().bytes, b"Exif"));
    }

    #[test]
    fn a_picture_taken_sideways_is_turned_upright() {
        let upright = shown(&prepare(&jpeg_turned(1)).unwrap());
        assert!(is_like(*upright.get_pixel(2, 16), RED) && is_like(*upright.get_pixel(29, 16), BLUE));
        let turned = shown(&prepare(&jpeg_turned(6)).unwrap());
        assert!(is_like(*turned.get_pixel(16, 2), RED) && is_like(*turned.get_pixel(16, 29), BLUE));
    }

    #[test]
    fn five_megabytes_are_the_most() {
        let mut bytes = encoded(&red_in_the_middle(64, 64), ImageFormat::Gif);
        bytes.resize(MOST_BYTES, 0);
        assert!(prepare(&bytes).is_ok());
        bytes.push(0);
        assert_eq!(prepare(&bytes), Err(Error::TooLarge { limit: MOST_BYTES }));
    }

    #[test]
    fn more_than_25_megapixels_are_refused_before_they_are_decoded() {
        for (width, height) in [(60_000, 60_000), (5_001, 5_000), (25_000_001, 1), (u32::MAX >> 1, u32::MAX >> 1)] {
            let refused = prepare(&png_of_nothing(width, height));
            assert_eq!(refused, Err(Error::TooManyPixels { megapixels: 25 }), "{width} × {height}");
        }
        // What is allowed is looked into, and found empty.
        assert_eq!(prepare(&png_of_nothing(5_000, 5_000)), Err(Error::NotAnImage));

        let mut gif = encoded(&red_in_the_middle(64, 64), ImageFormat::Gif);
        gif[6..10].copy_from_slice(&[0x60, 0xea, 0x60, 0xea]);
        assert_eq!(prepare(&gif), Err(Error::TooManyPixels { megapixels: 25 }));
    }

    #[test]
    fn a_frame_may_not_be_larger_than_its_picture_admits() {
        let mut gif = encoded(&red_in_the_middle(64, 64), ImageFormat::Gif);
        let frame = gif.windows(5).position(|at| at == [0x2c, 0, 0, 0, 0]).unwrap();
        gif[frame + 5..frame + 9].fill(0xff);
        assert_eq!(prepare(&gif), Err(Error::TooManyPixels { megapixels: 25 }));

        // A canvas of 8 × 8, and in it a lossy frame of 16,383 × 16,383.
        let mut frame = b"\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f".to_vec();
        frame.resize(64, 0);
        let canvas = [0, 0, 0, 0, 7, 0, 0, 7, 0, 0];
        let body = [b"WEBP", &riff(*b"VP8X", &canvas)[..], &riff(*b"VP8 ", &frame)].concat();
        assert_eq!(prepare(&riff(*b"RIFF", &body)), Err(Error::TooManyPixels { megapixels: 25 }));
    }

    /// Shades with a grain.
    fn photograph() -> RgbImage {
        let noise = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(x + y + 1);
        RgbImage::from_fn(256, 256, |x, y| {
            let [grain, ..] = (noise(x, y) >> 13).to_le_bytes();
            let [shade, ..] = (x / 2 + y / 3).to_le_bytes();
            Rgb([shade + grain % 8, shade, 255 - shade])
        })
    }

    /// Red in the square that is shown, blue beside it.
    fn red_in_the_middle(width: u32, height: u32) -> RgbImage {
        let aside = (width - height) / 2;
        RgbImage::from_fn(width, height, |x, _| if (aside..width - aside).contains(&x) { RED } else { BLUE })
    }

    /// Red on the left, blue on the right, and a note of how the camera was held.
    fn jpeg_turned(orientation: u8) -> Vec<u8> {
        let image = RgbImage::from_fn(32, 32, |x, _| if x < 16 { RED } else { BLUE });
        let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
        let exif = [b"II\x2a\0\x08\0\0\0\x01\0", &entry[..], &[0; 4]].concat();
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.encode_image(&image).unwrap();
        jpeg
    }

    /// A header that promises pixels, and none.
    fn png_of_nothing(width: u32, height: u32) -> Vec<u8> {
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let nothing = ZlibEncoder::new(Vec::new(), Compression::default()).finish().unwrap();
        let chunks = [chunk(*b"IHDR", &header), chunk(*b"IDAT", &nothing), chunk(*b"IEND", b"")].concat();
        [b"\x89PNG\r\n\x1a\n", &chunks[..]].concat()
    }

    /// A part of a PNG: its length, name, content and checksum.
    fn chunk(name: [u8; 4], content: &[u8]) -> Vec<u8> {
        let mut sum = Crc::new();
        sum.update(&name);
        sum.update(content);
        let length = u32::try_from(content.len()).unwrap();
        [&length.to_be_bytes()[..], &name, content, &sum.sum().to_be_bytes()].concat()
    }

    /// A part of a WebP: its name, length and content.
    fn riff(name: [u8; 4], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap();
        [&name[..], &length.to_le_bytes(), content].concat()
    }

    fn encoded<P>(image: &ImageBuffer<P, Vec<u8>>, format: ImageFormat) -> Vec<u8>
    where
        P: image::PixelWithColorType<Subpixel = u8>,
    {
        let mut bytes = Vec::new();
        image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    fn shown(picture: &Picture) -> RgbImage {
        image::load_from_memory(&picture.bytes).unwrap().into_rgb8()
    }

    fn is_like(one: Rgb<u8>, other: Rgb<u8>) -> bool {
        one.0.iter().zip(other.0).all(|(one, other)| one.abs_diff(other) < 40)
    }

    fn holds(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|at| at == part)
    }
}
