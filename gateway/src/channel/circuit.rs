//! The circuit to one peer: when to dial it. Closed while it answers; after some failures in a row open,
//! so that a peer that is away costs one probe now and then; half-open while a probe is on its way.
//!
//! Dialling never ends. A peer that is back is tried within [`REDIAL_MILLIS_MAX`] milliseconds, whatever
//! happened before; added to that is the time that a dial already on its way takes to fail, and the
//! moment by which the node with the higher name lets the other go first.

use crate::limits::{CIRCUIT_FAILURES_MAX, LINK_STOOD_MILLIS, REDIAL_MILLIS_MAX, REDIAL_MILLIS_MIN};
use crate::refusal::RefusalCode;
use crate::time::UnixMillis;

/// What is known of the way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// The peer answers, or has failed so few times that it may be a restart.
    Closed,
    /// It does not answer; nothing is tried before the next probe.
    Open,
    /// A probe is on its way.
    HalfOpen,
}

impl CircuitState {
    /// `closed`, `open` or `half_open`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The dialler asks what to do, no link standing.
    Asked,
    /// A link stands, whoever dialled it.
    Linked,
    /// The link that stood for so many milliseconds is gone, with or without a reason.
    Ended {
        /// How long it stood.
        stood_millis: u64,
        /// Why; nothing: in order.
        why: Option<RefusalCode>,
    },
    /// The dial failed before a link stood.
    Failed(RefusalCode),
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Dial.
    Dial,
    /// Ask again then.
    Wait(UnixMillis),
    /// Nothing: a link stands.
    Rest,
}

/// The circuit to one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuit {
    /// Where it is.
    pub state: CircuitState,
    /// Failures in a row.
    pub failures: u32,
    /// Not before this.
    pub next: UnixMillis,
    /// The last failure's code; nothing when the last link was good.
    pub last_failure: Option<RefusalCode>,
}

impl Circuit {
    /// Nothing is known: dial at once.
    pub fn new(now: UnixMillis) -> Self {
        Self { state: CircuitState::Closed, failures: 0, next: now, last_failure: None }
    }

    /// The circuit after an event, and what to do. `chance`: a random number, so that nodes that lost each
    /// other at once do not come back at once.
    #[must_use]
    pub fn after(self, event: Event, now: UnixMillis, chance: u16) -> (Self, Decision) {
        match event {
            Event::Linked => {
                let linked = Self { state: CircuitState::Closed, next: now, ..self };
                (linked, Decision::Rest)
            }
            Event::Asked if now < self.next && !self.is_astray(now) => (self, Decision::Wait(self.next)),
            Event::Asked => {
                let state = match self.state {
                    CircuitState::Closed => CircuitState::Closed,
                    CircuitState::Open | CircuitState::HalfOpen => CircuitState::HalfOpen,
                };
                (Self { state, ..self }, Decision::Dial)
            }
            // A link that stood for a while shows that the way is good, however it ended.
            Event::Ended { stood_millis, why } if why.is_none() || stood_millis >= LINK_STOOD_MILLIS => {
                let next = now.plus_millis(pause(0, chance));
                let ended = Self { state: CircuitState::Closed, failures: 0, next, last_failure: None };
                (ended, Decision::Wait(next))
            }
            Event::Ended { why, .. } => self.failed(why, now, chance),
            Event::Failed(why) => self.failed(Some(why), now, chance),
        }
    }

    /// The wait is longer than any that is ever set: the clock was put back meanwhile.
    fn is_astray(&self, now: UnixMillis) -> bool {
        self.next.millis_since(now) > REDIAL_MILLIS_MAX
    }

    fn failed(self, why: Option<RefusalCode>, now: UnixMillis, chance: u16) -> (Self, Decision) {
        let failures = self.failures.saturating_add(1);
        let state = if failures >= CIRCUIT_FAILURES_MAX { CircuitState::Open } else { CircuitState::Closed };
        let next = now.plus_millis(pause(failures, chance));
        (Self { state, failures, next, last_failure: why }, Decision::Wait(next))
    }
}

/// Milliseconds before the next dial: doubled with each failure up to the longest, and of that between
/// the half and the whole.
fn pause(failures: u32, chance: u16) -> u64 {
    // A shift that does not overflow and is far beyond the longest pause.
    let whole = (REDIAL_MILLIS_MIN << failures.min(20)).min(REDIAL_MILLIS_MAX);
    let half = whole / 2;
    half + half * u64::from(chance) / u64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn fail(circuit: Circuit, now: UnixMillis, chance: u16) -> Circuit {
        circuit.after(Event::Failed(RefusalCode::NotContacted), now, chance).0
    }

    #[test]
    fn a_peer_that_never_answers_is_probed_for_ever_and_seldom() {
        let mut circuit = Circuit::new(NOW);
        let (mut now, mut dials) = (NOW, 0);
        while now < NOW.plus_millis(3_600_000) {
            let (next, decision) = circuit.after(Event::Asked, now, 0);
            circuit = next;
            match decision {
                Decision::Wait(until) => now = until,
                Decision::Rest => panic!("no link stands"),
                Decision::Dial => {
                    dials += 1;
                    circuit = fail(circuit, now, (dials as u16).wrapping_mul(7919));
                }
            }
        }
        assert_eq!(circuit.state, CircuitState::Open);
        // At most one probe in half of the longest pause, at least one in the whole of it.
        let (fewest, most) = (3_600_000 / REDIAL_MILLIS_MAX, 2 * 3_600_000 / REDIAL_MILLIS_MAX);
        assert!((fewest..=most + 10).contains(&dials), "{dials} dials in an hour");
    }

    #[test]
    fn whatever_happened_before_a_healed_peer_is_tried_within_the_longest_pause() {
        for failures in [1, 2, 5, 20, 33, 64, 1000] {
            for chance in [0, 1, u16::MAX / 2, u16::MAX] {
                let mut circuit = Circuit::new(NOW);
                for _ in 0..failures {
                    circuit = fail(circuit, NOW, chance);
                }
                let latest = NOW.plus_millis(REDIAL_MILLIS_MAX);
                assert!(circuit.next > NOW && circuit.next <= latest, "{failures} {chance}");
                assert_eq!(circuit.after(Event::Asked, latest, 0).1, Decision::Dial);
            }
        }
    }

    #[test]
    fn it_opens_after_some_failures_is_half_open_while_probing_and_closes_with_a_link() {
        let mut circuit = Circuit::new(NOW);
        for _ in 1..CIRCUIT_FAILURES_MAX {
            circuit = fail(circuit, NOW, 0);
            assert_eq!(circuit.state, CircuitState::Closed);
        }
        circuit = fail(circuit, NOW, 0);
        assert_eq!(
            (circuit.state, circuit.last_failure),
            (CircuitState::Open, Some(RefusalCode::NotContacted))
        );
        let (waiting, decision) = circuit.after(Event::Asked, NOW, 0);
        assert_eq!((waiting.state, decision), (CircuitState::Open, Decision::Wait(circuit.next)));
        let (probing, decision) = circuit.after(Event::Asked, circuit.next, 0);
        assert_eq!((probing.state, decision), (CircuitState::HalfOpen, Decision::Dial));
        assert_eq!(fail(probing, NOW, 0).state, CircuitState::Open);
        let (linked, decision) = probing.after(Event::Linked, NOW, 0);
        assert_eq!((linked.state, decision), (CircuitState::Closed, Decision::Rest));
    }

    #[test]
    fn links_that_open_and_break_at_once_are_failures_and_one_that_stood_is_not() {
        let broken = Event::Ended { stood_millis: 3, why: Some(RefusalCode::NotTrusted) };
        let mut circuit = Circuit::new(NOW);
        for _ in 0..CIRCUIT_FAILURES_MAX {
            circuit = circuit.after(Event::Linked, NOW, 0).0.after(broken, NOW, 0).0;
        }
        assert_eq!(
            (circuit.state, circuit.last_failure),
            (CircuitState::Open, Some(RefusalCode::NotTrusted))
        );
        let stood = Event::Ended { stood_millis: LINK_STOOD_MILLIS, why: Some(RefusalCode::LinkBroken) };
        let healed = circuit.after(stood, NOW, u16::MAX).0;
        assert_eq!((healed.state, healed.failures), (CircuitState::Closed, 0));
        assert!(healed.next <= NOW.plus_millis(REDIAL_MILLIS_MIN), "dialled again soon");
    }

    #[test]
    fn a_clock_that_is_put_back_does_not_silence_the_dialler() {
        let circuit = fail(Circuit::new(NOW), NOW, 0);
        let earlier = UnixMillis(NOW.0 - 3600);
        assert!(matches!(circuit.after(Event::Asked, earlier, 0).1, Decision::Wait(_)));
        assert_eq!(circuit.after(Event::Asked, UnixMillis(0), 0).1, Decision::Dial);
    }
}
