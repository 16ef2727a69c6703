//! Chance that follows from a seed. Each part of the simulation has dice of its own, so that a change in
//! one part does not shift the throws of all others.

use gateway::clock::Randomness;
use std::sync::Mutex;
use std::time::Duration;

/// Numbers that follow from a seed (SplitMix64).
pub(super) struct Dice(Mutex<u64>);

impl Dice {
    pub(super) fn new(seed: u64, part: &str) -> Self {
        let mut state = seed ^ 0x7462_7369_6d00_0001;
        for byte in part.bytes() {
            state = step(&mut state) ^ u64::from(byte);
        }
        Self(Mutex::new(state))
    }

    pub(super) fn next(&self) -> u64 {
        step(&mut self.0.lock().expect("no holder of the dice panics"))
    }

    /// 0..bound; 0 when there is nothing to choose from.
    pub(super) fn below(&self, bound: u64) -> u64 {
        (self.next() >> 16) % bound.max(1)
    }

    /// `from..=to`.
    pub(super) fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// Whether something that happens so many times in a million happens now.
    pub(super) fn happens(&self, in_a_million: u64) -> bool {
        self.below(1_000_000) < in_a_million
    }

    pub(super) fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }

    /// One of them; there is at least one.
    pub(super) fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

impl Randomness for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
