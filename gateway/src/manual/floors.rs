//! The house: six floors, and who may import whom.
//!
//! ```text
//!        ┌────────────────────────────────────────────────────────────────────────┐
//!   6    │ transport                       TLS, gRPC, accepting, dialling          │ knows no domain
//!        ├────────────────────────────────────────────────────────────────────────┤
//!   5    │ gateway  link  respond  reconcile  proof                         shell  │ holds no rules
//!        ├────────────────────────────────────────────────────────────────────────┤
//!   4    │ committer archive store wire signer keybook measure peer clock  ports   │ decides nothing
//!        │ threads                                                                │
//!        ├────────────────────────────────────────────────────────────────────────┤
//!   3    │ authorize  channel  health  overload  service                    rules  │ ┐
//!        ├────────────────────────────────────────────────────────────────────────┤ │ pure: no I/O,
//!   2    │ entry  document  log  suite                                   evidence  │ │ not async,
//!        ├────────────────────────────────────────────────────────────────────────┤ │ no serde
//!   1    │ id  time  limits  codes  refusal  mutant                    vocabulary  │ ┘
//!        └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A module imports from lower floors, and from siblings that are named. The list of both is a test,
//! `tests/tests/architecture.rs`: a wall that is moved by accident fails there. Among crates the same
//! holds: `proto, certs ← gateway ← node ← tests`.
//!
//! | floor | why it is one | a new thing belongs here if |
//! |---|---|---|
//! | vocabulary | every name is parsed once, at the edge | it is a value with a spelling |
//! | evidence | what a court verifies; also used by who has nothing but a bundle | its bytes are hashed or signed |
//! | rules | `(state, event, now) → decision`, testable without a mock | two people could argue about it |
//! | ports | what the core needs of the world, each with a second implementation or room for one | it touches disk, keys, time, or a format |
//! | shell | does what was decided | it is a loop, a task, a conversation |
//! | transport | can be replaced without anybody noticing | it is about connections |
//!
//! # Two ways through the house
//!
//! ```text
//! out   gateway::submit ─▶ committer ─(authorize)─▶ journal ─▶ archive ─▶ link::deliver ─▶ transport
//! in    transport ─▶ link ─(channel::batch)─▶ committer ─(channel::inbound, authorize)─▶ journal ─▶ receipt
//! ```
//!
//! The committer is the only writer. It asks floor 3 what to do ([`channel::outbound`],
//! [`channel::inbound`], [`authorize`]), lets [`ledger`] do it, and writes one frame. The ledger
//! judges nothing: it applies facts, the same way whether they are being decided or read back, and
//! answers the questions of the rules through [`Books`].
//!
//! # Proof carried in types
//!
//! | type | exists only if | made by |
//! |---|---|---|
//! | [`VerifiedBatch`] | limits, leaves and the sender's signature hold | its own `check` |
//! | [`Permit`] | every rule about an entry held | [`authorize`](crate::authorize::authorize) |
//! | [`Durable`] | the disk has it | `store` |
//! | `certs::Verified` | a chain leads to an anchor that may speak for the node | the trust store |
//!
//! # Doors that one module alone may open
//!
//! One file imports `sled`, one folder `tonic`, one crate `clap`; one module draws the time and one
//! the dice ([`crate::clock`]), one says where work goes that blocks ([`crate::threads`]). The simulator
//! replaces all of them and the committer's thread ([`spawn_inline`]), and dials and accepts without sockets
//! ([`crate::peer::Dial`]).
//!
//! Whatever is observable from outside must not depend on a hash map's own order, nor on which branch of a
//! `select!` is looked at first: maps that are walked are ordered, selections are `biased`.
//!
//! [`channel::outbound`]: crate::channel::outbound
//! [`channel::inbound`]: crate::channel::inbound
//! [`authorize`]: crate::authorize
//! [`ledger`]: crate::committer::ledger
//! [`Books`]: crate::authorize::Books
//! [`VerifiedBatch`]: crate::channel::batch::VerifiedBatch
//! [`Permit`]: crate::authorize::Permit
//! [`Durable`]: crate::store::Durable
//! [`spawn_inline`]: crate::committer::spawn_inline
