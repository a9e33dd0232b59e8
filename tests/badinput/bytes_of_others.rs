//! Bytes that are no frames: bad lengths, other protocols, noise.

use onrush_testkit::random::Random;

use crate::witness::{Outcome, Witness, framed};

#[test]
fn bad_lengths_close() {
    let mut witness = Witness::new();
    for length in [-1, i32::MIN, 0, 1, 3, 7, 100 * 1024 * 1024 + 1, i32::MAX] {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0; 7]);
        assert_eq!(witness.outcome(&bytes), Outcome::Closed, "length {length}");
        witness.is_served();
    }
    witness.finish();
}

#[test]
fn other_protocols_close() {
    let witness = Witness::new();
    let http = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random bytes of a client hello";
    let ssh = b"SSH-2.0-OpenSSH_9.2\r\n";
    for bytes in [&http[..], http2, tls, ssh] {
        assert_eq!(witness.outcome(bytes), Outcome::Closed, "{bytes:?}");
    }
    witness.finish();
}

#[test]
fn noise_in_frames_closes() {
    let mut witness = Witness::new();
    let seed = Random::seed_of_run();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for _ in 0..300 {
        let count = usize::try_from(random.range(0, 400)).unwrap();
        let mut noise = random.bytes(count);
        if let Some(first) = noise.first_mut() {
            *first = 0x70; // no API has such a key
        }
        assert_eq!(
            witness.outcome(&framed(&noise)),
            Outcome::Closed,
            "{noise:?}"
        );
    }
    witness.is_served();
    witness.finish();
}

#[test]
fn noise_behind_a_good_header_is_survived() {
    let witness = Witness::new();
    let seed = Random::seed_of_run();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for key in [0_i16, 1, 2, 3, 18, 19, 20, 22, 23, 32, 60, 75] {
        for _ in 0..40 {
            let version = i16::try_from(random.range(0, 14)).unwrap();
            let mut bytes = [key.to_be_bytes(), version.to_be_bytes()].concat();
            bytes.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff, 0]);
            let count = usize::try_from(random.range(0, 200)).unwrap();
            bytes.extend_from_slice(&random.bytes(count));
            witness.send_and_leave(&framed(&bytes));
        }
    }
    witness.finish();
}
