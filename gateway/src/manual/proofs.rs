//! Proofs: the exchange machines under every order of everything that can happen, within a bound.
//!
//! A test tries the orders that somebody thought of, a simulation those that chance draws. The machines
//! that decide about a log are pure and small, so a third thing is possible: to visit *every* state that two
//! nodes can reach, and ask in each whether the promises hold. `gateway/tests/model` does that.
//!
//! # What is real and what is modelled
//!
//! Real, called and not imitated: [`Outbound`](crate::channel::outbound::Outbound) (contact, receipt, may
//! append, times), [`Inbound`](crate::channel::inbound::Inbound) (every batch, and own entries that come
//! back), [`fence`](crate::channel::fence) (which link stands, whose batches count),
//! [`VerifiedBatch::check`](crate::channel::batch::VerifiedBatch::check), headers, leaves, trees, notes and
//! their Ed25519 signatures, inclusion proofs.
//!
//! Modelled: the network (links of two ends and two queues of frames, in order, that break at either end;
//! what was on the way is read or lost), the disk (what is synced, what is only in memory, a backup), the
//! clocks, and the glue around the machines in the committer, the ledger and the session. The glue is
//! written again in `step.rs`, function by function beside `Core::contact`, `Core::receive`,
//! `Core::restore` and `Session`: whoever changes those changes it there too. Entries are not judged; what
//! a message says never matters to a log.
//!
//! # What may happen, in any order
//!
//! A message is submitted, and again until its submitter was told; the process dies before it answers, or
//! at any other moment; drafts go into the log; either side dials; a frame is read; the committer takes a
//! batch; a batch is sent; a link breaks at one end, and the other notices later or not until a new link
//! comes; a backup is made, and put back at any later moment; a new link comes while an old one stands, under
//! a newer name or an older one; a clock goes on or is set back; node A lies: rewrites an entry and signs its
//! log anew, sends it from anywhere on, signs another root than that of the entries it sends, and then denies
//! everything.
//!
//! # What must hold
//!
//! In every state: what was acknowledged is on the acknowledger's disk; what was cosigned is on the
//! receiver's disk, and a receipt, wherever it is by now, says so; both copies are prefixes of one log; one
//! root for one size, over all that was ever cosigned (and, without a restored backup, ever signed); each
//! message once; `seen` and times never go back; what a business system may have read stays; every receipt
//! verifies offline and proves each entry below it; nothing stops unless somebody lied. If somebody lied: the
//! honest copy keeps what it had.
//!
//! And *from* every state there is a way to everything delivered: all messages on both sides, all receipts
//! back, or the channel of the lie stopped and the other one through. That is asked of the whole graph,
//! backwards from the states in which it is so; "eventually" along single paths, which model checking
//! libraries offer, overlooks circles, and dialling again is one. Hence an explorer of our own
//! (`explore.rs`), breadth first, so that a counterexample is a shortest one.
//!
//! # The bound, and what was visited
//!
//! Two messages in flight as batches (window 2), at most three messages a side, two links. Budgets say how
//! often a misfortune may strike; whatever is not in the table may happen any number of times.
//!
//! | bound | messages A + B | states | steps between them |
//! |---|---|---|---|
//! | one crash, one break | 2 + 1 | 43 619 | 110 748 |
//! | a restored backup of either node, one break | 1 + 1 | 30 401 | 66 802 |
//! | the same without the break, an answer before and after | 1 + 2 | 54 393 | 103 806 |
//! | a restored backup, two links at once | 2 + 0 | 30 346 | 80 941 |
//! | the same, one break, one older name | 1 + 0 | 84 946 | 272 486 |
//! | two links at once, one crash | 1 + 1 | 23 376 | 66 872 |
//! | one lie of A's | 2 + 1 | 205 460 | 495 637 |
//! | clocks up to two ticks apart, one set back | 2 + 0 | 5 672 | 17 211 |
//!
//! | *on request:* a restored backup, one crash, one break | 1 + 1 | 209 521 | 590 638 |
//! | a restored backup, two links at once | 1 + 1 | 109 926 | 294 348 |
//! | a restored backup, two links at once, one break | 2 + 0 | 241 275 | 793 114 |
//! | two links at once, one break | 2 + 1 | 145 162 | 445 007 |
//! | clocks, one set back, one crash | 2 + 0 | 43 746 | 154 729 |
//! | one lie of A's, one break | 2 + 0 | 44 675 | 116 870 |
//!
//! No law is broken in any of them. `cargo test -p gateway --test model -- --nocapture` visits all of them in two
//! minutes in a debug build on two cores, and prints the numbers.
//!
//! # That it can fail
//!
//! Fourteen faults are planted one at a time (`Mutant` in `step.rs`), each in a test that says which law
//! catches it, and with `--nocapture` prints the script: acknowledging or cosigning before the sync, no
//! duplicate check, a batch behind a gap, cosigning without the root check, signing before contact, giving an
//! index out again after a restore, taking what an older life sent, healing a fork silently, forgetting the
//! receipt at contact, speaking before the copy is back, times that go back, forgotten drafts, forgotten
//! idempotency. This is the script of speaking too early, shortened:
//!
//! ```text
//! broken: `seen` never goes back: the author's log from B is [m0(seen 1) m1'1(seen 0)]
//!    2  B: a backup is made
//!    7  B commits Batch(from 0: [m0(seen 0)])
//!    9  B: m0 is submitted
//!   12  A commits Batch(from 0: [m0(seen 1)])
//!   13  B: the backup takes the place of the store
//!   17  B: m1 is submitted
//!   21  B reads on link 0: Recovered(from 0: [m0(seen 1)]@0 cosigned)
//! ```
//!
//! A fifteenth is *not* caught, and a test says that too: without fencing every law still holds. Fencing by
//! name keeps two links from doing the same work twice; what keeps a copy is the position of each entry and
//! to whom the copy was stated.
//!
//! # What it found
//!
//! **An honest node that forked.** A sends entry 0. B has read it and not committed it yet. A's disk is
//! replaced by a backup from before, A starts, B opens a new link and states: nothing here. A, in contact,
//! signs another entry 0. Then B commits the first one. Two roots for one size, both under A's good
//! signature, and the channel stopped for ever though nobody lied. Fencing did not help: it ended the old
//! link's conversation, not the batch that was already in the queue, and a new link may even bear an older
//! name when a clock was set back with the backup. The first cure, "a batch counts only on the link that the
//! copy was stated on last", held every law, and let two nodes that dialled at once end with no link. The one
//! that stands names lives (WIRE.md §9.3).
//!
//! **A node that found itself behind kept what an earlier contact had allowed.** It could have gone on
//! signing while its own entries came back. With the cure above no order leads there; the contact is taken
//! back all the same.
//!
//! # A reference model of the whole
//!
//! `gateway/tests/reference.rs` holds the real nodes (committer, links, signatures, journal over a disk in
//! memory) against a model of a few lines: which keys were taken with which content in which order, what a
//! consumer saw at each place, what it acknowledged. proptest draws scripts of submissions (a key again, with
//! the same content or another), writes that fail or fail and persist, cut links, dials from either side,
//! crashes with a shorter index, reading and acknowledging; a script in which the two differ shrinks to a
//! short one. 256 scripts by default, in five seconds; `PROPTEST_CASES=1500` were clean. Dead letters and
//! files are not in it yet.
//!
//! # What it does not say
//!
//! Nothing beyond the bound: three messages are not a million, though the machines treat all sizes alike.
//! Nothing about *both* nodes restored to before the same receipt, or a receiver that hides its tail: see
//! [`contact`](super::contact). Nothing about judging, files, quotas, full disks or the bytes of the journal:
//! those have tests and a fault-injecting disk of their own. And the glue in `step.rs` is only as true as its
//! reader.
//!
//! # Real processes, killed and mistreated
//!
//! `tests/src/crashes` runs two real nodes with six windows that forward cases (one of them with scans), an
//! approval system that signs for each, and a consumer at either node that acknowledges entry by entry. It
//! kills with SIGKILL while messages go both ways, while a file is fetched or uploaded, while a deleted index
//! is made anew, while a process has only just begun, a moment after new TLS keys, revocation lists or
//! signing keys were put into place, and both nodes at once. The seed draws phases and delays; what the
//! machine makes of them is not repeatable, so a seed names a mixture, not a run.
//!
//! After 25 kills everything must drain, both nodes are killed once more, and `crashes/journal.rs` reads both
//! journals. It shares no code with the store: segments, check sums, headers, tree and notes are read from
//! the documented formats. `crashes/check.rs` then asks: is each acknowledged message in the sender's log
//! once, where the node said; are both copies equal byte for byte; is no id, no key and no act there twice;
//! is nothing refused; do all notes of either journal show the one root of their size, do both signatures of
//! each receipt hold, do the receipts cover the log, are the roots those that the nodes state; did each
//! consumer see each entry in order, and again only what it had not acknowledged; did each file arrive as it
//! was and was it receipted once.
//!
//! `tests/tests/machines.rs`: a partner that is stopped (SIGSTOP) until keepalive has given it up; a cable
//! pulled between two network namespaces, without any reset; a disk that the kernel slows to ten writes a
//! second (control groups of version 1; a machine without them skips it and says so); a file system that
//! meets an error and becomes read-only under the node. A full disk is in `overload.rs`.
//!
//! **Versions.** `tests/vectors` keeps of each released version both journals of a pair, one conversation on
//! a link, and what the nodes said then. `tests/tests/versions.rs` opens the journals with certificates of
//! today (a start needs keys, not the old ones), from the journal alone and again with the index just made,
//! and reads the frames. The index is not kept: it is disposable, and one of another `INDEX_VERSION` is made
//! anew. A partner of version 1, which proves nothing, is spoken to until it has once proved its signing key;
//! one that speaks 1 to 7 is answered with our 1 to 2, and one that speaks only what we do not gets
//! `link.version`. Not tested before there is a second version of it: a store that is migrated.
//!
//! # Parsers under fuzzing
//!
//! Whatever reads bytes that somebody else may have written is a target in `tests/src/parsers`: 22 functions,
//! each of which takes bytes and asserts what must hold of them. Not only that nothing panics: what is
//! accepted lies within its limits and says the same when it is written again; a note, an identifier and a
//! digest have one text; prost reads in a header what our strict reader reads; whoever is believed has a key
//! that an authority certified, and speaks for its own city; a list that no authority signed vouches for
//! nobody; of all the paths in a tree the one that there is holds; a changed bundle proves what was signed,
//! or nothing; a journal that is not damaged opens, loses no whole frame and is sound afterwards. Check sums
//! keep a fuzzer out of the store's files, so each of those is read twice, as it is and with its sums made
//! right. The table of parsers, who reaches them and what bounds them is in [`threats`](super::threats).
//!
//! The same functions run twice. On every push, on stable, `tests/tests/fuzz_corpus.rs` takes each seed and a
//! bounded number of seeded mutations through its target. For long runs, `tests/fuzz/run` puts them under
//! libFuzzer with AddressSanitizer, on nightly, with overflow checks on and a cap of 64 MiB on each
//! allocation; `tests/fuzz` is a workspace of its own, which no stable build sees. The seeds are real bytes
//! (frozen vectors, certificates good and wrong, the journals and proofs of two real nodes); `cargo run -p
//! tests --example make_fuzz_corpus` makes them. What is found joins `tests/fuzz/found` and stays there.
//!
//! The long run, ten minutes a target, is still to be made. What ran under libFuzzer so far, on two cores
//! shared by many, was clean, and is no more than a check that the fuzzer works: 11 seconds each of `chain`
//! (23 266 inputs, 3 551 edges), `frame` (95 918, 8 782), `header` (285 372, 882), `note` (283 706, 688); 6
//! seconds each of `payload` (77 287, 5 914), `envelope` (79 318, 3 366), `document` (43 396, 3 613), `chunks`
//! (184 283, 202), `bundle` (38 573, 5 093), `paths` (15 225, 517), `local` (67 791, 4 919), `identifiers`
//! (98 575, 1 473), `journal` (5 061, 1 116). The others have not run there. In the gate: 5 000 mutations a
//! target, 1 500 where a parser reads files or checks signatures, all clean.
//!
//! What writing the targets and reading as an attacker found:
//!
//! - **A digest had several texts.** `sha256:+7…` was read as `07`, and capitals as small letters. Nothing
//!   signed depended on it (documents compare with the one text), a submitter's `agreement` did. Refused now.
//! - **A run of the index whose block ends beyond 2⁶⁴** passed its check in a release build, where the sum
//!   wraps, and had 4 GiB allocated for it. Only somebody with the disk in hand could write it, since the
//!   check sum must hold.
//! - **Other users of the machine could read the journal** where the administrator had not set `umask 077` as
//!   the guide says: bodies speak of persons. Folders are 0700 and segments 0600 now, whatever the umask.
//! - **A peer could write into our log.** Whatever stood where a closing code belongs was repeated in the log,
//!   up to a frame's 3 MiB; an unknown key of a standard or an agreement likewise. Only known codes are
//!   repeated now, and a parser's message is cut.
//!
//! What it does not say: a target ends where the parser ends; what a *sequence* of well-formed frames may do
//! is the models', the simulation's and the hostile peer's of `tests/src/stranger.rs`. The conversions of
//! local requests in the server are reached only through real nodes. TLS, HTTP/2 and sled's own files are
//! left to those who wrote their readers.
