//! Who may be in a TLS handshake at one time. A connection costs its maker nothing until it speaks, so the places
//! are shared out by address: one address has a share of them, and when all are taken, the oldest handshake of
//! the address that holds the most gives way. An honest handshake is over in milliseconds; a silent one is the
//! oldest soon.

use crate::limits::{HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// Where a connection comes from, as far as places are shared out by it: an IPv4 address, or the /64 that one
/// IPv6 subscriber has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Source([u8; 8]);

impl Source {
    /// The source of an address. IPv4 mapped into IPv6 is IPv4.
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // 2001:db8::/32 is for documentation: no connection comes from there.
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                Self([0x20, 0x01, 0x0d, 0xb8, a, b, c, d])
            }
            IpAddr::V6(address) => {
                let octets = address.octets();
                Self(octets[..8].try_into().expect("half of sixteen bytes"))
            }
        }
    }
}

/// What becomes of a connection that has just come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<H> {
    /// It may begin its handshake, under this number; the handshake that gave way for it is to be ended.
    Enters(u64, Option<H>),
    /// Its address has its share in handshakes already. Whether this is the first such refusal since it had none.
    Refused {
        /// Worth telling.
        first: bool,
    },
}

struct Share<H> {
    /// Oldest first.
    handshakes: VecDeque<(u64, Option<H>)>,
    refused: bool,
}

/// The handshakes going on, by their sources; `H` ends one.
pub(super) struct Doorway<H> {
    shares: HashMap<Source, Share<H>>,
    within: usize,
    next: u64,
}

impl<H> Default for Doorway<H> {
    fn default() -> Self {
        Self { shares: HashMap::new(), within: 0, next: 0 }
    }
}

impl<H> Doorway<H> {
    /// Judges a connection that has come.
    pub(super) fn admit(&mut self, source: Source) -> Admission<H> {
        if let Some(share) = self.shares.get_mut(&source)
            && share.handshakes.len() >= HANDSHAKES_PER_ADDRESS_MAX
        {
            return Admission::Refused { first: !std::mem::replace(&mut share.refused, true) };
        }
        let gave_way = if self.within >= HANDSHAKES_MAX { self.evict() } else { None };
        let number = self.next;
        self.next += 1;
        let share = self.shares.entry(source);
        let share = share.or_insert_with(|| Share { handshakes: VecDeque::new(), refused: false });
        share.handshakes.push_back((number, None));
        self.within += 1;
        Admission::Enters(number, gave_way)
    }

    /// The handshake under `number` has begun, and `handle` ends it.
    pub(super) fn began(&mut self, source: Source, number: u64, handle: H) {
        let share = self.shares.get_mut(&source);
        let place = share.and_then(|share| share.handshakes.iter_mut().find(|(other, _)| *other == number));
        if let Some((_, place)) = place {
            *place = Some(handle);
        }
    }

    /// The handshake under `number` is over. One that gave way has left already.
    pub(super) fn left(&mut self, source: Source, number: u64) {
        let Some(share) = self.shares.get_mut(&source) else { return };
        let before = share.handshakes.len();
        share.handshakes.retain(|(other, _)| *other != number);
        self.within -= before - share.handshakes.len();
        if share.handshakes.is_empty() {
            self.shares.remove(&source);
        }
    }

    /// Takes the oldest handshake of the source that holds the most; of several such, the oldest of all.
    fn evict(&mut self) -> Option<H> {
        let oldest = |share: &Share<H>| share.handshakes.front().map_or(u64::MAX, |(number, _)| *number);
        let crowded = self
            .shares
            .iter()
            .max_by_key(|(_, share)| (share.handshakes.len(), u64::MAX - oldest(share)))
            .map(|(source, _)| *source)?;
        let share = self.shares.get_mut(&crowded)?;
        let (_, handle) = share.handshakes.pop_front()?;
        self.within -= 1;
        if share.handshakes.is_empty() {
            self.shares.remove(&crowded);
        }
        handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    /// Connects as a real connection does: admitted, and then known by its handle.
    fn enter(doorway: &mut Doorway<u64>, from: Source) -> Admission<u64> {
        let admission = doorway.admit(from);
        if let Admission::Enters(number, _) = admission {
            doorway.began(from, number, number);
        }
        admission
    }

    #[test]
    fn one_address_has_its_share_and_others_enter_meanwhile() {
        let mut doorway = Doorway::default();
        let (flood, partner) = (source("10.0.0.1"), source("10.0.0.2"));
        for number in 0..HANDSHAKES_PER_ADDRESS_MAX as u64 {
            assert_eq!(enter(&mut doorway, flood), Admission::Enters(number, None));
        }
        assert_eq!(enter(&mut doorway, flood), Admission::Refused { first: true });
        assert_eq!(enter(&mut doorway, flood), Admission::Refused { first: false }, "told once");
        let next = HANDSHAKES_PER_ADDRESS_MAX as u64;
        assert_eq!(enter(&mut doorway, partner), Admission::Enters(next, None));
        doorway.left(flood, 0);
        assert_eq!(enter(&mut doorway, flood), Admission::Enters(next + 1, None), "a place was given back");
    }

    #[test]
    fn when_all_places_are_taken_the_oldest_of_the_most_crowded_address_gives_way() {
        let mut doorway = Doorway::default();
        let mut number = 0;
        // A flood from many addresses, with one place each but for one that has two.
        for address in 0..HANDSHAKES_MAX as u32 - 2 {
            enter(&mut doorway, Source::of(IpAddr::V4((0x0a00_0000 + address).into())));
            number += 1;
        }
        let crowded = source("10.0.0.7");
        enter(&mut doorway, crowded);
        let partner = source("192.0.2.1");
        enter(&mut doorway, partner);
        number += 2;
        assert_eq!(enter(&mut doorway, source("192.0.2.2")), Admission::Enters(number, Some(7)));
        // Nobody has two any more: the oldest of all gives way, and the partner is not that for long.
        assert_eq!(enter(&mut doorway, source("192.0.2.3")), Admission::Enters(number + 1, Some(0)));
        // One that gave way says so late, and takes nobody's place with it.
        doorway.left(crowded, 7);
        assert_eq!(doorway.within, HANDSHAKES_MAX);
        doorway.left(partner, number - 1);
        assert_eq!(doorway.within, HANDSHAKES_MAX - 1);
    }

    #[test]
    fn an_address_that_has_left_leaves_nothing_behind() {
        let mut doorway = Doorway::default();
        for _ in 0..3 {
            let Admission::Enters(number, None) = enter(&mut doorway, source("2001:db9::1")) else {
                panic!("it is empty")
            };
            doorway.left(source("2001:db9::1"), number);
        }
        assert!(doorway.shares.is_empty() && doorway.within == 0);
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_source_and_mapped_ipv4_is_ipv4() {
        assert_eq!(source("2001:db9::1"), source("2001:db9::ffff:1"));
        assert_ne!(source("2001:db9::1"), source("2001:db9:0:1::1"));
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
        assert_ne!(source("10.0.0.1"), source("10.0.0.2"));
    }
}
