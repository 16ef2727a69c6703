//! Two channels, one case: how two nodes without a common clock fold the same state.
//!
//! A case (办件) is between one receiving place (收件地) and one competent place (属地). Its facts stand
//! in two logs, one in each direction. Each log has an order, the pair of them has none: two facts may
//! cross on their way. Both nodes hold both logs, and must come to the same state from them.
//!
//! # Seen
//!
//! Each header says how much of the reverse channel its author had folded when it wrote the entry:
//! `seen`, an epoch and a size. The committer sets it, at the moment of appending, to its own copy's
//! size; so it never decreases. It is the only relation between the two logs, and enough:
//!
//! ```text
//! Y→X   0 forward (seen 0)                     1 withdraw.ask (seen 1)
//!                \                            /
//! X→Y             0 signfor (seen 1)    1 accept (seen 1)
//!
//! withdraw.ask has seen signfor; accept and withdraw.ask have not seen each other
//! ```
//!
//! A `seen` beyond what the receiver ever sent is a malformed header.
//!
//! # Owner first, then index
//!
//! Each kind has one owner ([`Kind::owner`](crate::id::Kind::owner)). The competent place owns every
//! decision; the receiving place owns receipt, identity and delivery to the applicant, and otherwise
//! *asks*. Folding ([`crate::service::case`]) merges the two sequences: a fact comes after everything
//! its author had seen, and of two facts that did not know of each other the competent place's comes
//! first. In the picture: forward, signfor, accept, withdraw.ask. On both nodes the applicant asked
//! after acceptance, and waits for the competent place's word.
//!
//! # Why verdicts are equal
//!
//! Both nodes run [`authorize`](crate::authorize::authorize): the author before it appends, the other
//! before it cosigns. They may hold different facts at these two moments. So a fact is judged against a
//! set that both hold:
//!
//! - a fact of the **competent place**, against its own earlier facts and what its `seen` covers: the
//!   same set on both nodes, and exactly what stands before it in the order;
//! - a fact of the **receiving place**, against everything the judge holds. At the receiving place that
//!   may be less than at the competent place, so the author may permit what the other refuses: the
//!   competent place had moved on. That is right, it owns the decisions. The author learns it by a
//!   `refusal` and takes the effect back.
//!
//! A refusal is appended in the same commit as the verdict, before anything whose `seen` covers the
//! refused entry. So when the other folds an entry that was judged without the refused one, it has
//! folded the refusal already.
//!
//! The clock takes part in judging at two places only: `expires`, and `created` not lying ahead. Terms
//! of agreements and standards are judged at `created`, which both read in the header.
//!
//! # Judging again after a loss
//!
//! A receiver that lost its copy is delivered to again, and rebuilds verdicts that it had journalled
//! and lost. It must come to the same ones: its partner folded by them. Three things help:
//!
//! 1. **Own refusals first.** Its own log was recovered before (see [`contact`](super::contact)), so
//!    what it refused then is read there, with the code. Everything else it had permitted.
//! 2. **Another now.** Permitted entries are judged at their own `created`: what was in time then is
//!    not late now.
//! 3. **The horizon.** Own facts that came later are in the recovered log already, and would speak
//!    against earlier entries ("the case is closed"). While an entry below the old receipt is judged,
//!    own facts whose `seen` covers its place are hidden: what remains is what stood when it was first
//!    judged ([`Ledger::set_horizon`](crate::committer::ledger::Ledger::set_horizon)).
//!
//! Below which place an entry counts as lost is known from the peer's `Open`: the newest note of its log
//! that bears our own cosignature. Refusals have names that follow from the place they refuse, so
//! judging again does not refuse twice.
//!
//! What cannot be made equal: an entry that was refused in the lost life, when neither the refusal nor
//! anything after it had reached the partner. Nobody else had heard it, so judging anew harms nobody but
//! the own business system, which may have read the first verdict in its inbox.
