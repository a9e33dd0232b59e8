//! Every codec against data of the reference crates, at random budgets, and against damage.

use super::*;
use proptest::prelude::*;

const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];

fn run(codec: Codec, input: &[u8], budget: usize) -> Result<Vec<u8>, CodecError> {
    let mut decoder = Decoder::new(codec, Bytes::copy_from_slice(input));
    let mut out = Vec::new();
    // Each step reads or writes something, or passes from one part of the format to the next.
    let mut steps = 0u64;
    loop {
        let had = out.len();
        let progress = decoder.step(&mut out, budget)?;
        // A snappy copy is not cut: it may go beyond the budget by its 64 bytes.
        assert!(
            out.len() - had <= budget + 64,
            "{codec:?} wrote {}",
            out.len() - had
        );
        if progress == Progress::Done {
            return Ok(out);
        }
        steps += 1;
        assert!(steps < 1_000_000, "{codec:?} does not end");
    }
}

/// Text with repetitions near and far, some noise, some runs.
fn sample(len: usize) -> Vec<u8> {
    let mut state = 12_345u32;
    let mut out = Vec::with_capacity(len + 300);
    while out.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 30 {
            0 => out.extend_from_slice(&state.to_be_bytes()),
            1 => out.extend_from_slice(&[b'r'; 255][..(state as usize >> 8) & 0xff]),
            2 if out.len() > 100 => {
                let from = (state as usize >> 4) % (out.len() - 50);
                out.extend_from_within(from..from + 50);
            }
            _ => out.extend_from_slice(b"the same words again and again "),
        }
    }
    out.truncate(len);
    out
}

fn bare_snappy(data: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(data).unwrap()
}

fn lz4(info: lz4_flex::frame::FrameInfo, data: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn numbers_and_names() {
    for codec in CODECS {
        assert_eq!(Codec::from_number(codec.number()), Some(codec));
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
    }
    assert_eq!(Codec::from_number(5), None);
    assert_eq!(Codec::from_name("producer"), None);
}

#[test]
fn what_is_compressed_comes_back() {
    for len in [0, 1, 15, 100, 32 * 1024, 65_537, 700_000] {
        let data = sample(len);
        for codec in CODECS {
            let packed = compress(codec, &data);
            for budget in [1_000, 65_536, 10_000_000] {
                assert!(
                    run(codec, &packed, budget).unwrap() == data,
                    "{codec:?} {len}"
                );
            }
        }
    }
}

#[test]
fn bare_snappy_blocks_of_any_size() {
    for len in [0, 1, 60, 61, 257, 70_000, 3_000_000] {
        let data = sample(len);
        let packed = bare_snappy(&data);
        assert!(run(Codec::Snappy, &packed, 4_096).unwrap() == data, "{len}");
    }
}

#[test]
fn snappy_copies_reach_beyond_64_kib() {
    // A literal of 100,000 bytes, then a copy with a 32-bit offset from its very start.
    let literal = sample(100_000);
    let mut packed = Vec::new();
    let mut claim = bytes::BytesMut::new();
    crate::wire::frame::put_unsigned_varint(&mut claim, 100_010);
    packed.extend_from_slice(&claim);
    packed.push(62 << 2);
    packed.extend_from_slice(&99_999u32.to_le_bytes()[..3]);
    packed.extend_from_slice(&literal);
    packed.push(9 << 2 | 3);
    packed.extend_from_slice(&100_000u32.to_le_bytes());
    let out = run(Codec::Snappy, &packed, 1_000).unwrap();
    assert!(out[..100_000] == literal && out[100_000..] == literal[..10]);
    let at = packed.len() - 4;
    packed[at..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        run(Codec::Snappy, &packed, 1_000),
        Err(CodecError::TooLarge { .. })
    ));
}

#[test]
fn snappy_streams_may_follow_each_other() {
    let data = sample(50_000);
    let mut packed = compress(Codec::Snappy, &data);
    packed.extend_from_slice(&compress(Codec::Snappy, b"tail"));
    // Fewer than four bytes at the end are ignored.
    packed.extend_from_slice(&[0, 0, 0]);
    let out = run(Codec::Snappy, &packed, 777).unwrap();
    assert!(out[..50_000] == data && &out[50_000..] == b"tail");
}

#[test]
fn a_snappy_block_cannot_claim_what_it_cannot_give() {
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x07, 0];
    assert!(matches!(
        run(Codec::Snappy, &bomb, 100),
        Err(CodecError::Corrupt { .. })
    ));
    let mut surplus = bare_snappy(b"abc");
    surplus.push(0);
    assert!(run(Codec::Snappy, &surplus, 100).is_err());
    assert_eq!(
        run(Codec::Snappy, &[], 100),
        Err(CodecError::Cut(Codec::Snappy))
    );
}

#[test]
fn gzip_members_and_header_fields() {
    let mut packed = compress(Codec::Gzip, b"one ");
    let named = flate2::GzBuilder::new()
        .filename("name")
        .comment("comment")
        .extra(b"extra".to_vec())
        .write(Vec::new(), flate2::Compression::best());
    let mut named = named;
    named.write_all(b"two").unwrap();
    packed.extend_from_slice(&named.finish().unwrap());
    assert_eq!(run(Codec::Gzip, &packed, 2).unwrap(), b"one two");
    // What is no further member is ignored.
    packed.extend_from_slice(b"garbage");
    assert_eq!(run(Codec::Gzip, &packed, 100).unwrap(), b"one two");
    let mut wrong = compress(Codec::Gzip, b"checked");
    let crc = wrong.len() - 8;
    wrong[crc] ^= 1;
    assert!(matches!(
        run(Codec::Gzip, &wrong, 100),
        Err(CodecError::Corrupt { .. })
    ));
}

#[test]
fn lz4_frames_as_different_writers_make_them() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let data = sample(900_000);
    let blocks = || FrameInfo::new().block_mode(BlockMode::Independent);
    let len = data.len() as u64;
    for info in [
        blocks().block_size(BlockSize::Max64KB),
        blocks()
            .block_size(BlockSize::Max256KB)
            .block_checksums(true),
        blocks()
            .block_size(BlockSize::Max1MB)
            .content_checksum(true),
        blocks()
            .block_size(BlockSize::Max4MB)
            .content_size(Some(len)),
    ] {
        let packed = lz4(info, &data);
        assert!(run(Codec::Lz4, &packed, 10_000).unwrap() == data);
    }
    let linked = FrameInfo::new()
        .block_mode(BlockMode::Linked)
        .block_size(BlockSize::Max64KB);
    assert!(matches!(
        run(Codec::Lz4, &lz4(linked, &data), 10_000),
        Err(CodecError::Corrupt { .. })
    ));
    let mut checked = lz4(blocks().block_checksums(true), &data);
    let middle = checked.len() / 2;
    checked[middle] ^= 1;
    assert!(run(Codec::Lz4, &checked, 10_000).is_err());
    let mut header = compress(Codec::Lz4, &data);
    header[6] ^= 1;
    assert!(run(Codec::Lz4, &header, 10_000).is_err());
    let mut tail = compress(Codec::Lz4, b"data");
    tail.extend_from_slice(b"after the end mark");
    assert_eq!(run(Codec::Lz4, &tail, 10_000).unwrap(), b"data");
}

#[test]
fn zstd_frames_levels_and_windows() {
    let data = sample(400_000);
    for level in [-5, 1, 19] {
        let packed = ::zstd::stream::encode_all(&data[..], level).unwrap();
        assert!(run(Codec::Zstd, &packed, 9_999).unwrap() == data);
    }
    let mut two = compress(Codec::Zstd, b"one ");
    // A skippable frame of three bytes between two real ones.
    two.extend_from_slice(&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    two.extend_from_slice(&compress(Codec::Zstd, b"two"));
    assert_eq!(run(Codec::Zstd, &two, 3).unwrap(), b"one two");
    // A frame that claims a window of 2^31 bytes.
    let huge = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    assert!(run(Codec::Zstd, &huge, 100).is_err());
}

#[test]
fn data_cut_anywhere_are_an_error() {
    let data = sample(3_000);
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let packed = compress(codec, &data);
        for cut in 0..packed.len() {
            let got = run(codec, &packed[..cut], 500);
            // Zstd without a single byte is no frame at all, and no error.
            if !(codec == Codec::Zstd && cut == 0) {
                assert!(got.is_err(), "{codec:?} cut at {cut}");
            }
        }
    }
    let packed = bare_snappy(&data);
    for cut in 0..packed.len() {
        assert!(run(Codec::Snappy, &packed[..cut], 500).is_err());
    }
}

#[test]
fn bombs_come_out_in_budgeted_pieces() {
    let zeros = vec![0; 30_000_000];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let packed = compress(codec, &zeros);
        let mut decoder = Decoder::new(codec, Bytes::from(packed));
        let mut total = 0;
        let mut steps = 0;
        let mut out = Vec::new();
        loop {
            out.clear();
            let progress = decoder.step(&mut out, 256 * 1024).unwrap();
            total += out.len();
            steps += 1;
            assert!(out.capacity() <= 1024 * 1024, "{codec:?}");
            if progress == Progress::Done {
                break;
            }
        }
        assert_eq!(total, zeros.len());
        assert!(steps >= 100, "{codec:?} took {steps} steps");
    }
}

#[test]
fn one_shot_is_bounded() {
    let packed = Bytes::from(compress(Codec::Zstd, &vec![0; 5_000_000]));
    assert!(decompress(Codec::Zstd, packed.clone(), 5_000_000).is_ok());
    assert!(matches!(
        decompress(Codec::Zstd, packed, 1_000_000),
        Err(CodecError::TooLarge { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_data_and_budget(data in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'x')], 0..4_000), repeat in 1usize..20, budget in 1usize..5_000) {
        let data = data.repeat(repeat);
        for codec in CODECS {
            prop_assert!(run(codec, &compress(codec, &data), budget).unwrap() == data);
        }
        prop_assert!(run(Codec::Snappy, &bare_snappy(&data), budget).unwrap() == data);
    }

    #[test]
    fn damage_never_panics(data in proptest::collection::vec(any::<u8>(), 0..2_000), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), budget in 1usize..3_000) {
        for codec in CODECS {
            let mut packed = compress(codec, &data.repeat(3));
            if packed.is_empty() {
                continue;
            }
            let place = at.index(packed.len());
            packed[place] = byte;
            packed.truncate(cut.index(packed.len()) + 1);
            drop(run(codec, &packed, budget));
        }
        let mut packed = bare_snappy(&data);
        let place = at.index(packed.len());
        packed[place] = byte;
        drop(run(Codec::Snappy, &packed, budget));
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..500)) {
        for codec in CODECS {
            drop(run(codec, &noise, 100));
            let mut headed = compress(codec, b"");
            headed.extend_from_slice(&noise);
            drop(run(codec, &headed, 100));
        }
    }
}
