//! Output of an LZ decoder with as much history as copies may reach back to.
//!
//! Invariants:
//! 1. At least the last `reach` bytes since [`Window::forget`] can be copied from.
//! 2. Memory stays below 5/4 of `reach` + one step's budget + [`SLACK_BYTES`].
//!
//! Source: the LZ77 family; the formats' own limits are named by the callers.

/// History is thrown away in pieces of at least this size, so that moving the rest costs little per byte.
const SLACK_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// First byte that the caller has not been given.
    unsent: usize,
    /// First byte that copies may refer to.
    start: usize,
    reach: usize,
}

impl Window {
    pub(super) fn new(reach: usize) -> Self {
        Self {
            bytes: Vec::new(),
            unsent: 0,
            start: 0,
            reach,
        }
    }

    /// What comes next refers to nothing before it: a new independent block.
    pub(super) fn forget(&mut self) {
        self.start = self.bytes.len();
    }

    /// Bytes written and not yet given out.
    pub(super) fn unsent(&self) -> usize {
        self.bytes.len() - self.unsent
    }

    pub(super) fn literal(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// True if a copy may start this far back.
    pub(super) fn reaches(&self, offset: usize) -> bool {
        offset > 0 && offset <= self.bytes.len() - self.start
    }

    /// Repeats `len` bytes from `offset` back; they may overlap what is being written. Nothing if out of reach.
    pub(super) fn copy(&mut self, offset: usize, len: usize) {
        if !self.reaches(offset) {
            return;
        }
        let from = self.bytes.len() - offset;
        let mut left = len;
        // What was written so far is a multiple of the offset, so the source stays the same and grows: a run of one byte
        // costs logarithmically many rounds.
        while left > 0 {
            let now = left.min(self.bytes.len() - from);
            self.bytes.extend_from_within(from..from + now);
            left -= now;
        }
    }

    /// Gives everything unsent to `out` and drops history beyond the reach.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.bytes.get(self.unsent..).unwrap_or_default());
        let keep_from = self.start.max(self.bytes.len().saturating_sub(self.reach));
        let kept = self.bytes.len() - keep_from;
        if keep_from >= SLACK_BYTES.max(kept / 4) {
            self.bytes.drain(..keep_from);
            self.start = self.start.saturating_sub(keep_from);
        }
        self.unsent = self.bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_overlap_as_lz_wants() {
        for offset in 1..6 {
            for len in 0..40 {
                let mut window = Window::new(100);
                window.literal(b"abcdef");
                window.copy(offset, len);
                let mut wanted = b"abcdef".to_vec();
                for _ in 0..len {
                    wanted.push(wanted[wanted.len() - offset]);
                }
                let mut out = Vec::new();
                window.flush(&mut out);
                assert_eq!(out, wanted, "offset {offset} len {len}");
            }
        }
    }

    #[test]
    fn history_is_bounded_and_stays_reachable() {
        let mut window = Window::new(1_000);
        let mut all = vec![7; 1_000];
        window.literal(&all);
        let mut out = Vec::new();
        for round in 0..2_000u32 {
            let piece: Vec<u8> = round.to_be_bytes().repeat(100);
            window.literal(&piece);
            all.extend_from_slice(&piece);
            window.copy(999, 50);
            for _ in 0..50 {
                all.push(all[all.len() - 999]);
            }
            window.flush(&mut out);
            assert!(window.bytes.len() < 2 * SLACK_BYTES);
        }
        assert_eq!(out, all);
        assert!(!window.reaches(usize::MAX));
        window.forget();
        assert!(!window.reaches(1));
        window.literal(b"x");
        assert!(window.reaches(1) && !window.reaches(2) && !window.reaches(0));
    }
}
