//! For engineers: how the core is built and why. Documentation only; no code.
//!
//! Read in this order; each page stands alone.
//!
//! | page | answers |
//! |---|---|
//! | [`floors`] | Which module may import which, and where does a new thing go? |
//! | [`journey`] | What happens to one message, step by step, and what does a crash there leave behind? |
//! | [`contact`] | What happens when a node starts, loses its disk, or comes back from a backup? |
//! | [`two_channels`] | How do two nodes without a common clock agree about one case? |
//! | [`engine`] | Where do the microseconds go, and what was measured? |
//! | [`proofs`] | What was proved about the exchange machines, within which bound, and what did it find? |
//! | [`simulation`] | What survives every misfortune that chance draws, and what is real in that? |
//! | [`decisions`] | Why is it so, and what would change our mind? |
//! | [`threats`] | What is defended against, and what is not? |
//!
//! The bytes are not here: `proto/WIRE.md` is normative, and `proto/vectors` are frozen. What the
//! system is for, and what it promises, is in the README. Words are used as in the table of WIRE.md §2
//! and §6; a Chinese term of art stands beside its English name where it first appears.
//!
//! Three sentences carry everything else:
//!
//! 1. **A channel is a log that both nodes hold.** What is sent is in the sender's copy, what is
//!    received is in the receiver's, and two copies agree if their roots agree.
//! 2. **The journal is the truth.** All state is a fold over journalled facts; the index can be deleted.
//! 3. **Nothing is said before the disk has it.** Not to a business system, not to a partner.
//!
//! # How to change something
//!
//! | you want to | begin at | and do not forget |
//! |---|---|---|
//! | add a kind of entry | [`crate::id::Kind`] | payload in `payload.proto`, [`crate::wire::payload`], [`crate::authorize`], WIRE.md §8 |
//! | add a refusal | [`crate::refusal`] | codes are for ever; both languages |
//! | change a rule about cases | `service/case/table.rs` | both nodes of a pair must judge alike: a new edition, not a new meaning |
//! | journal a new fact | `store.proto` | one function applies it live and in replay ([`crate::committer::ledger`]) |
//! | change the index | [`crate::committer::rows`] | raise `INDEX_VERSION`; it is rebuilt |
//! | change a byte on the wire | WIRE.md §14 | most bytes cannot change; new vectors join, old ones stay |

pub mod contact;
pub mod decisions;
pub mod engine;
pub mod floors;
pub mod journey;
pub mod proofs;
pub mod simulation;
pub mod threats;
pub mod two_channels;
