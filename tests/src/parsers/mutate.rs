//! Seeded mutations for the gate: what a fuzzer does blindly, a bounded number of times.

/// Numbers from a seed (SplitMix64): the same everywhere and always.
pub struct Dice(u64);

impl Dice {
    /// Dice of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.roll() % bound as u64) as usize }
    }
}

/// Values that lengths and counts break at.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0xffff_ffff_ffff_ffff];

/// One to four changes of a seed; `other` is another seed of the same parser.
pub fn mutate(seed: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            1 if !bytes.is_empty() => bytes[at] = dice.roll() as u8,
            2 => bytes.truncate(at),
            // A length or a count, of any width, in either order of its bytes.
            3 => {
                let width = [1, 2, 4, 8][dice.below(4)];
                let edge = EDGES[dice.below(EDGES.len())];
                let edge = if dice.below(2) == 0 { edge.to_le_bytes() } else { edge.to_be_bytes() };
                let edge = if edge[0] == 0 { &edge[8 - width..] } else { &edge[..width] };
                if let Some(place) = bytes.get_mut(at..at + width) {
                    place.copy_from_slice(edge);
                }
            }
            // A piece of another seed.
            4 => {
                let from = dice.below(other.len());
                let piece = &other[from..from + dice.below(other.len() - from)];
                bytes.splice(at..at, piece.iter().copied());
            }
            // A piece twice, or gone.
            5 => {
                let piece = bytes[at..at + dice.below((bytes.len() - at).min(64))].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let end = at + dice.below((bytes.len() - at).min(64));
                bytes.drain(at..end);
            }
            _ => bytes.insert(at, dice.roll() as u8),
        }
    }
    bytes.truncate(1 << 17);
    bytes
}
