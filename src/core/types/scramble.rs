//! Numbers that look random and never repeat, without a random number generator in the core.

/// A number that looks random, of a seed and a counter; two counters never give the same for one seed: four rounds of a
/// Feistel network over the halves of `seed`, the counter mixed in before the first.
#[must_use]
pub fn scramble(seed: u128, count: u64) -> u128 {
    let low_half = |wide: u128| u64::try_from(wide & u128::from(u64::MAX)).expect("64 bits");
    let (mut left, mut right) = (low_half(seed >> 64), low_half(seed) ^ count);
    for round in 1..=4 {
        (left, right) = (right, left ^ mix(right.wrapping_add(round)));
    }
    (u128::from(left) << 64) | u128::from(right)
}

/// The finalizer of SplitMix64: every input bit changes every output bit with probability near one half.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
