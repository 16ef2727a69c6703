//! Who is next when many wait: channels take turns, each by the weight of what it was given already.
//!
//! What waits for one channel stands in one lane, in its order; nothing overtakes within a lane. The lane
//! that was given least goes next (start-time fair queueing): a flood to one channel delays what waits for
//! another by the one item that is being worked on, however much of the flood waits. Something that
//! concerns several channels joins their lanes into one, so it too is overtaken by nothing behind it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

/// Items that wait, by the channels that they concern.
#[derive(Debug)]
pub struct Turns<K, T> {
    lanes: HashMap<u64, Lane<K, T>>,
    /// The lanes by what they were given, and by age.
    order: BTreeSet<(u64, u64)>,
    lane_of: HashMap<K, u64>,
    /// What channels without a lane had been given when theirs became empty: whoever comes back at once
    /// does not begin anew. One number a channel.
    left: HashMap<K, u64>,
    /// What the lane that went last had been given before: who comes anew begins there.
    now: u64,
    next: u64,
    length: usize,
}

#[derive(Debug)]
struct Lane<K, T> {
    given: u64,
    keys: Vec<K>,
    items: VecDeque<(u64, T)>,
    weight: u64,
}

impl<K, T> Default for Turns<K, T> {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            order: BTreeSet::new(),
            lane_of: HashMap::new(),
            left: HashMap::new(),
            now: 0,
            next: 0,
            length: 0,
        }
    }
}

impl<K: Copy + Ord + Hash, T> Turns<K, T> {
    /// Items that wait.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether something waits for a channel.
    pub fn waits(&self, key: &K) -> bool {
        self.lane_of.contains_key(key)
    }

    /// Puts an item behind everything that waits for its channels. `keys` has one at least; `weight` is
    /// what its turn costs.
    pub fn push(&mut self, keys: &[K], weight: u64, item: T) {
        let lane = match keys {
            [key] => self.lane_of.get(key).copied(),
            _ => self.join(keys),
        };
        let number = lane.unwrap_or_else(|| {
            self.next += 1;
            let given = keys.iter().filter_map(|key| self.left.remove(key)).fold(self.now, u64::max);
            let lane = Lane { given, keys: Vec::new(), items: VecDeque::new(), weight: 0 };
            self.lanes.insert(self.next, lane);
            self.order.insert((given, self.next));
            self.next
        });
        let weight = weight.max(1);
        let lane = self.lanes.get_mut(&number).expect("the lane was found or made");
        for key in keys {
            if self.lane_of.insert(*key, number).is_none() {
                lane.keys.push(*key);
            }
        }
        lane.items.push_back((weight, item));
        lane.weight += weight;
        self.length += 1;
    }

    /// Puts an item behind everything that waits; everything that comes later for any of those stands
    /// behind it.
    pub fn push_behind_all(&mut self, key: K, weight: u64, item: T) {
        let mut keys: Vec<K> = self.lane_of.keys().copied().collect();
        if !keys.contains(&key) {
            keys.push(key);
        }
        // The map's own order is another in each process.
        keys.sort_unstable();
        self.push(&keys, weight, item);
    }

    /// The weight of everything in the lane whose turn it is; 0: nothing waits.
    pub fn next_lane_weight(&self) -> u64 {
        self.order.first().map_or(0, |(_, number)| self.lanes[number].weight)
    }

    /// Takes the item whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let (given, number) = self.order.pop_first()?;
        self.now = given;
        let lane = self.lanes.get_mut(&number).expect("every lane in the order exists");
        let (weight, item) = lane.items.pop_front().expect("an empty lane is none");
        self.length -= 1;
        lane.given = given.saturating_add(weight);
        lane.weight -= weight;
        if lane.items.is_empty() {
            let lane = self.lanes.remove(&number).expect("it was there");
            for key in lane.keys {
                self.lane_of.remove(&key);
                self.left.insert(key, lane.given);
            }
        } else {
            self.order.insert((lane.given, number));
        }
        Some(item)
    }

    /// Makes one lane of those of several channels; none when nothing waits for any of them.
    fn join(&mut self, keys: &[K]) -> Option<u64> {
        let mut found: Vec<u64> = keys.iter().filter_map(|key| self.lane_of.get(key).copied()).collect();
        found.sort_unstable();
        found.dedup();
        let (&first, others) = found.split_first()?;
        for number in others {
            let other = self.lanes.remove(number).expect("a channel's lane exists");
            self.order.remove(&(other.given, *number));
            let lane = self.lanes.get_mut(&first).expect("a channel's lane exists");
            for key in &other.keys {
                self.lane_of.insert(*key, first);
            }
            lane.keys.extend(other.keys);
            lane.items.extend(other.items);
            lane.weight += other.weight;
            // Whoever was given more has still been given it.
            self.order.remove(&(lane.given, first));
            lane.given = lane.given.max(other.given);
            self.order.insert((lane.given, first));
        }
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all<T>(turns: &mut Turns<u8, T>) -> Vec<T> {
        std::iter::from_fn(|| turns.pop()).collect()
    }

    #[test]
    fn a_lone_item_waits_for_one_of_a_flood_and_not_for_all() {
        let mut turns = Turns::default();
        for place in 0..1000 {
            turns.push(&[1], 32, (1, place));
        }
        assert_eq!(turns.pop(), Some((1, 0)));
        turns.push(&[2], 1, (2, 0));
        assert_eq!(turns.pop(), Some((2, 0)));
        assert_eq!(turns.pop(), Some((1, 1)), "and the flood goes on where it was");
    }

    #[test]
    fn two_floods_get_equal_weight_whatever_the_size_of_their_items() {
        let mut turns = Turns::default();
        for place in 0..10 {
            turns.push(&[1], 100, (1, place));
        }
        for place in 0..1000 {
            turns.push(&[2], 1, (2, place));
        }
        let taken: Vec<_> = std::iter::from_fn(|| turns.pop()).take(404).collect();
        let small = taken.iter().filter(|(channel, _)| *channel == 2).count();
        assert!((300..=401).contains(&small), "{small} of weight 1 beside {} of weight 100", 404 - small);
    }

    #[test]
    fn who_was_away_is_owed_nothing() {
        let mut turns = Turns::default();
        for place in 0..100 {
            turns.push(&[1], 10, (1, place));
        }
        for _ in 0..50 {
            turns.pop();
        }
        for place in 0..100 {
            turns.push(&[2], 10, (2, place));
        }
        let taken: Vec<_> = std::iter::from_fn(|| turns.pop()).take(20).collect();
        assert_eq!(taken.iter().filter(|(channel, _)| *channel == 1).count(), 10, "{taken:?}");
    }

    #[test]
    fn whoever_comes_back_at_once_each_time_starves_nobody() {
        let mut turns = Turns::default();
        for place in 0..100 {
            turns.push(&[0], 32, (0, place));
        }
        let mut flood = 0;
        for number in 1..=10 {
            turns.push(&[number], 1, (number, 0));
        }
        for _ in 0..1000 {
            match turns.pop().unwrap() {
                (0, _) => flood += 1,
                (number, place) => turns.push(&[number], 1, (number, place + 1)),
            }
        }
        assert!(flood >= 3, "the flood had {flood} turns of weight 32 beside ten of weight 1 each");
    }

    #[test]
    fn what_stands_behind_all_comes_last_and_holds_back_what_comes_later() {
        let mut turns = Turns::default();
        turns.push(&[1], 1, "one");
        turns.push(&[2], 1, "two");
        turns.push_behind_all(0, 1, "end");
        turns.push(&[2], 1, "late");
        assert_eq!(turns.len(), 4);
        let taken = all(&mut turns);
        assert_eq!(taken[2..], ["end", "late"]);
        assert!(turns.is_empty() && !turns.waits(&1) && turns.lanes.is_empty() && turns.order.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_overtakes_within_a_channel(
            steps in prop::collection::vec((prop::collection::btree_set(0u8..6, 0..4), 0u64..50), 0..200)
        ) {
            let mut turns = Turns::default();
            let (mut pushed, mut popped) = (Vec::new(), Vec::new());
            for (number, (keys, weight)) in steps.into_iter().enumerate() {
                let keys: Vec<u8> = keys.into_iter().collect();
                if keys.is_empty() {
                    popped.extend(turns.pop());
                } else {
                    turns.push(&keys, weight, (number, keys.clone()));
                    pushed.push((number, keys));
                }
            }
            popped.extend(all(&mut turns));
            for channel in 0..6 {
                let of = |items: &[(usize, Vec<u8>)]| -> Vec<usize> {
                    items.iter().filter(|(_, keys)| keys.contains(&channel)).map(|(number, _)| *number).collect()
                };
                prop_assert_eq!(of(&pushed), of(&popped));
            }
            prop_assert!(turns.is_empty() && turns.lane_of.is_empty() && turns.order.is_empty());
        }
    }
}
