//! When a disk is too full to take more. New things stop being taken while there is room left, so that
//! what was taken can be finished: receipts, acknowledgements, cursors. Taking begins again only with
//! some room above the limit, so that a node at the limit does not flutter.

/// What a disk has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskState {
    /// Everything.
    #[default]
    Normal,
    /// Nothing new: what was taken is finished, and everything is read.
    Low,
    /// Nothing that writes: what is left keeps the index alive, which must not meet a full disk.
    Spent,
}

/// What a piece of work asks of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskUse {
    /// Brings something new: a submission, entries of a partner, a licence, entries given back.
    Take,
    /// Finishes what was taken: a receipt, a cursor, a contact, the end of a stop.
    Finish,
}

impl DiskState {
    /// From the most room to the least.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Low, Self::Spent];

    /// `normal`, `low` or `spent`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Low => "low",
            Self::Spent => "spent",
        }
    }

    /// The state after a look that found `room` bytes free, `low` bytes being the limit.
    pub fn after(self, room: u64, low: u64) -> Self {
        let (low_end, spent) = (low.saturating_add(low / 4), low / 16);
        let spent_end = low / 8;
        match self {
            Self::Spent if room < spent_end => Self::Spent,
            Self::Normal | Self::Low if room < spent => Self::Spent,
            Self::Low | Self::Spent if room < low_end => Self::Low,
            Self::Normal if room < low => Self::Low,
            Self::Normal | Self::Low | Self::Spent => Self::Normal,
        }
    }

    /// Whether there is room for such work.
    pub fn admits(self, work: DiskUse) -> bool {
        match (self, work) {
            (Self::Normal, _) | (Self::Low, DiskUse::Finish) => true,
            (Self::Low, DiskUse::Take) | (Self::Spent, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: u64 = 1600;

    fn course(rooms: &[u64]) -> Vec<DiskState> {
        let mut state = DiskState::Normal;
        rooms
            .iter()
            .map(|room| {
                state = state.after(*room, LOW);
                state
            })
            .collect()
    }

    #[test]
    fn taking_stops_at_the_limit_and_begins_again_a_quarter_above_it() {
        use DiskState::{Low, Normal};
        assert_eq!(
            course(&[1600, 1599, 1600, 1999, 2000, 1600, 1599]),
            [Normal, Low, Low, Low, Normal, Normal, Low]
        );
    }

    #[test]
    fn a_disk_that_fills_up_all_the_same_is_left_to_the_index() {
        use DiskState::{Low, Normal, Spent};
        assert_eq!(
            course(&[1000, 99, 150, 200, 2000, 50, 9999]),
            [Low, Spent, Spent, Low, Normal, Spent, Normal]
        );
    }

    #[test]
    fn what_was_taken_is_finished_while_nothing_new_is_taken() {
        assert!(DiskState::Normal.admits(DiskUse::Take));
        assert!(!DiskState::Low.admits(DiskUse::Take));
        assert!(DiskState::Low.admits(DiskUse::Finish));
        assert!(!DiskState::Spent.admits(DiskUse::Finish));
    }
}
