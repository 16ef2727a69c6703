//! Start, contact, recovery, forks.
//!
//! The danger is a node that does not remember what it signed. It would sign other entries in the same
//! places: two roots for one size, and its partner could prove it. A disk that is lost and a backup
//! that is restored both make such nodes, and neither notices by itself. The partner notices.
//!
//! # The rule
//!
//! **After every start a node signs nothing in a channel until the peer has stated its copy of it.**
//! [`Outbound::contacted`](crate::channel::outbound::Outbound) is the one place where this is kept; it
//! is false after a start and after a resume. Submissions are taken meanwhile, as staged drafts:
//! durable, unsigned, without a place in the log. At contact they are judged and appended in the order
//! in which they came, behind whatever was recovered.
//!
//! # Contact
//!
//! The peer's `Open` shows the newest note of its copy. It bears our own signature and the peer's
//! cosignature, so it can neither be invented nor belong to another log. Then
//! ([`Outbound::contact`](crate::channel::outbound::Outbound::contact)):
//!
//! | the peer has | we have | so |
//! |---|---|---|
//! | n entries, our root at n | n or more | **deliver** from n; its note is a receipt, perhaps a new one |
//! | more than we | fewer | **recover** first: alarm `channel.unremembered`, since a stolen key looks the same |
//! | n entries, another root | n or more | **fork**: we signed both; the channel stops, both notes are kept |
//!
//! Both nodes do this at the same time about their own log, so each of them may be behind in one
//! channel and ahead in the other.
//!
//! | who lost what | how it comes back |
//! |---|---|
//! | the sender lost its log | `Recover`: entries verified against the sender's *own old signature*, taken without judging them |
//! | the receiver lost its copy | nothing special: it states a smaller size and is delivered to from there, judging again ([`two_channels`](super::two_channels)) |
//! | both logs at one node, from an old backup | both of the above, over one link |
//! | only the index | replay of the own journal; no partner is asked |
//! | one frame of the journal | `tongban store repair`, and the partner's copy |
//!
//! Batches of the peer that arrive while own entries are being recovered are held, within the credit
//! that was given, and judged afterwards: so what we once refused is known before anything is judged
//! again.
//!
//! # Nothing is said before it is all back
//!
//! Own entries back is not enough. A node whose copy of the *peer's* log is shorter than what it once
//! cosigned, or built upon by its own `seen`, still lacks what its next words would be judged against:
//! an answer to a case whose forward has not come back yet would be refused at its turn, and `seen`
//! would go back. So drafts wait until both logs are as long as they were
//! ([`Ledger::may_append`](crate::committer::ledger::Ledger::may_append)), refusals first. The demo with
//! `--fault restore` found this: business systems began again faster than the log came back.
//!
//! # What does not come back from partners
//!
//! They hold what crossed. Gone with the disk are: drafts that were staged and never sequenced, entries
//! that were never delivered, acts at the own window that never crossed (收件), cursors of consumers,
//! the own licence catalogue, stops and their evidence. `alias.key` and the certificates of own older
//! signing keys belong into the backup of the configuration: without the first, a submitter's key
//! stands for another message id than before; without the second, own old signatures cannot be
//! recognised and recovery waits.
//!
//! # Why a restored backup never forks
//!
//! A restored node holds a prefix of what it signed. Of each channel the partner holds at least what it
//! cosigned. Before contact nothing is signed; at contact the longer copy is taken back if it bears our
//! signature; only then does the log grow. So the only entries that can be signed twice in one place
//! are those that no honest partner ever had: signed by us, lost by us, and cosigned by nobody. Nobody
//! relied on them.
//!
//! One thing more is needed for that, and the model found it ([`proofs`](super::proofs)): what the partner
//! states must stay true. A batch that the node had sent before it lost its store may still be on its way
//! there. Were it taken after the statement, the node would sign another entry in its place, and an honest
//! node would have forked. So each Open names the life of the process that speaks, a copy is stated only when
//! everything taken before is in it, and batches of an older life are refused from then on
//! ([`Statements`](crate::channel::fence::Statements)).
//!
//! # What remains undetectable
//!
//! - **Both nodes lose the same tail.** If sender and receiver are both restored to before some receipt,
//!   the log goes on from the shorter end, and the lost tail's places are filled anew. Only a proof
//!   bundle that was exported before shows it. Back up the two at different times.
//! - **A receiver that hides its tail.** It states less than it has, waits until a restored sender has
//!   signed again, and then holds two signed roots. What it stated is not signed. Proof bundles that
//!   were exported are the defence; a witness would be a better one (see [`decisions`](super::decisions)).
//! - **Both signers together** can write any history between the two of them. Two signatures do not
//!   defend against that.
//! - **A stolen signing key** looks like a forgetful node until somebody asks. Hence the alarm, and
//!   hence revocation with a date.
//!
//! # Forks and other stops
//!
//! Three findings stop a channel: two roots for one size under good signatures (`channel.fork`),
//! entries that do not give the signed root (`channel.root_mismatch`), a receipt for what was never
//! signed (`channel.cosignature_unknown`). All of them are found before anything is cosigned. The stop
//! is journalled with the notes; the reverse channel goes on. A person compares and resumes with a
//! reason, which is journalled too; resuming takes the contact back, so the copies are compared again
//! before anything is signed. A real fork stands until the epoch can be closed, which this release
//! cannot do yet.
