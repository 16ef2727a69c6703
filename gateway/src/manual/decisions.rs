//! Decisions: each with its context, the choice, and what would change our mind.
//!
//! # Refusal codes stand in one table, on floor 1
//!
//! *Context.* A refusal is met in four places: in a verdict in the journal, in an entry to the partner,
//! as a gRPC status, as an exit code. Errors also need two languages and whose fault it is. Sorting them
//! by module gave four tables that drifted.
//! *Choice.* One table, [`crate::refusal`], which everybody may import: stable code, fault, status, both
//! messages. Modules keep their own error enums for what they alone can explain, and turn them into a
//! code at their edge. A code is never renamed.
//! *What would change our mind.* Codes of something that is not the exchange, say of a second product on
//! the same store; or a table that nobody can read on one screen any more.
//!
//! # One journal frame per commit: facts as protobuf, bodies beside them
//!
//! *Context.* A commit holds entries, verdicts, cosignatures, refusals, cursors. It must be all or
//! nothing; bodies must be erasable later without breaking what stands; old frames must be readable for
//! decades.
//! *Choice.* One frame: a `Commit` of facts as protobuf (`store.proto`), and the bodies as raw bytes
//! after it, each under its own check sum, counted in the order of the headers. Erasing overwrites a
//! body in place and leaves the facts' check sum whole. Protobuf, because its rules for old readers and
//! new data are known and the wire has it anyway.
//! *What would change our mind.* Commits of so many small facts that encoding them shows in a profile;
//! or facts that must be erased themselves.
//!
//! # Rows of the index, and names that survive it
//!
//! *Context.* sled is fast with ascending keys and few, small values, and slow and large otherwise. Its
//! content must be rebuilt from the journal, and after the loss of a whole store from partners, who never
//! see a submitter's own keys.
//! *Choice.* Keys are `from ‖ to ‖ epoch ‖ number`, big endian ([`crate::committer::rows`]); one row per
//! batch, not per entry; Merkle nodes in tiles of 256. A submitter's key (alias) becomes the message id
//! itself, by HMAC under `alias.key`: no row has to survive for the same key to give the same message,
//! and nobody can guess a submitter's key from a message id. A change of rows is a rebuild, never a
//! migration. `alias.key` lies beside the store and belongs into another backup than the store's.
//! *What would change our mind.* A submitter that must choose its own message ids *and* be idempotent by
//! another key; `alias.key` lost more often than stores are.
//!
//! # Busy rows are packed beside sled, and the index is written behind the commit
//!
//! *Context.* sled took four fifths of a node's time: some ten microseconds and several hundred bytes for
//! each row, and a message makes rows of its own (its id, its case). The user asked for sled, and it is
//! good at what is looked up rarely and changes seldom.
//! *Choice.* Rows go into a table in memory; at 8 MiB it is written down by a thread of its own: the tables
//! with a row for every message as one sorted, checksummed file ([`crate::store::packed`]), all others into
//! sled, with the list of files and the position that all of it reflects in one batch of sled's. So sled
//! stays the one place that says what the index is, and a crash takes whole batches from the end, as
//! before. Price: a start after a kill replays some tens of MiB of the journal, and there are 600 lines of
//! ours. Measured on two cores with 256 messages outstanding: 8,300 messages/s and 0.187 s of CPU per
//! 1,000 before; 13,600 and 0.104 with this alone.
//! *What would change our mind.* A published store of this kind that is as small; or PostgreSQL behind the
//! same port, where this is its business.
//!
//! # Receipts and own readers' cursors wait for the next commit
//!
//! *Context.* A receipt of its own cost a sync for every batch, and so did the cursor of the node's own
//! responder; a lone message waited for both.
//! *Choice.* Neither is promised to anybody by this node's disk: the receipt is on the partner's, who shows
//! it at every contact, and the responder's answers are the same messages when it reads again. They are
//! written with whatever comes next, at most [`crate::limits::FACTS_HELD_MAX`] of them, and within five
//! seconds. Business systems' cursors are promises and are synced at once.
//! *What would change our mind.* Receipts that a partner may forget: witnesses, or bodies of law that want
//! them on both disks before anything is said.
//!
//! # A commit judges a share, not everything that waits
//!
//! *Context.* With everything that waits in one commit, sender and receiver took turns: one judged while
//! the other had nothing to do.
//! *Choice.* A commit stops taking commands after [`crate::limits::COMMIT_JUDGING_MICROS`]. While the one
//! before is still being synced it goes on, unless another channel waits: slow disks make larger commits by
//! themselves. Links send at most
//! [`crate::limits::DELIVER_ENTRIES_MAX`] entries at once, so that a lone message of another channel waits
//! for one share. The time is the machine's, so the grouping of entries into commits is not deterministic;
//! nothing that is signed depends on it.
//! *What would change our mind.* Cores that are not busy: shares of 0.3 ms and 0.7 ms were slower on two,
//! because each costs a signature and a frame; with more cores they may be worth it.
//!
//! # The next commit is judged while the last one is synced
//!
//! *Context.* The committer stood still for every sync, a fifth of its time.
//! *Choice.* A frame is written by the committer and synced by a thread of its own
//! (`committer::landing`), which then tells the index, the readers and whoever asked. Until then nobody
//! sees the commit, and the next one is judged as of it: the ledger looks into the rows on their way before
//! it asks the index. One frame is on its way at most, so the journal's last frame is the only one that may
//! be torn. A commit behind which nothing waits is synced by the committer itself, which saves a lone
//! message two changes of threads.
//! *What would change our mind.* Disks on which two syncs at once are faster than one after the other.
//!
//! # An allocator of our own choice
//!
//! *Context.* A fifth of the time went into the system's allocator: buffers are made on one thread and
//! dropped on another.
//! *Choice.* mimalloc, in the binary only; it is compiled from C, as ring is.
//! *What would change our mind.* A platform where it does not build.
//!
//! # Judgement counts whole seconds
//!
//! *Context.* The cosignature (C2SP) carries whole seconds. A verdict that hung on milliseconds could not
//! be judged again by anybody who has only the evidence.
//! *Choice.* `now` is cut to the second for judging, on both sides, and is the second in the cosignature.
//! What is late by less than a second is in time.
//! *What would change our mind.* A rule that needs finer time. None in the law does: it counts working
//! days.
//!
//! # Headers are parsed by hand
//!
//! *Context.* The header is hashed as received, and two readers who disagree about its meaning are two
//! truths under one signature. Protobuf libraries take doubled fields, any order, and drop or keep
//! unknown ones as they like.
//! *Choice.* One strict reader of a hundred lines ([`crate::entry::Header`]): ascending, none twice,
//! exact shapes, unknown higher fields kept. It allocates nothing before it has checked a length. Leading
//! zero groups in numbers are let through: they change the hash, not the meaning.
//! *What would change our mind.* A published, deterministic protobuf profile with strict readers in the
//! languages of our partners.
//!
//! # Links are named by the dialler's time and chance, and the greatest name stands
//!
//! *Context.* Either side dials; a broken connection may look alive to one of them for twenty seconds;
//! two streams that both deliver would double the load and confuse credit.
//! *Choice.* The dialler names the link: its clock in ms, then 16 random bytes; the acceptor echoes the
//! name. Both sides compare names as bytes and keep the greatest. No state has to survive for it, and
//! both reach the same answer without asking. A dialler whose clock was set back is fenced by its own
//! older link until that one is found dead. Open states a purpose, and only links of one purpose fence
//! each other: the one for channels, and the bulk link ([`crate::link::run_bulk`]) for blobs.
//! *What would change our mind.* Clocks that jump often: then a counter in the journal.
//!
//! # A blob is named by the list of its chunks' hashes
//!
//! *Context.* A receiver must verify each 64 KiB as it comes and go on in mid-file after a kill; a plain
//! SHA-256 of the file says nothing before its last byte.
//! *Choice.* The digest is the hash of the length and of the list of chunk hashes: 1 MiB at most, sent
//! once, verified as a whole, and then any chunk stands alone ([`crate::chunks`]). A tree with a proof for
//! each chunk would save that MiB and cost a path with each chunk. Nothing is remembered about how far a
//! fetch came: what is on the disk is hashed again, which also finds what a power cut or a rotten disk
//! took, at the speed of the disk.
//! *What would change our mind.* Files of TiB: then a tree.
//!
//! # What an entry says of its blobs stands in one field number of every payload
//!
//! *Context.* Any kind may have files. A list in each message would be twenty copies of one thing, and
//! the committer would have to read every message to commit to it in the header.
//! *Choice.* Field 1000, read by a message of its own ([`crate::wire::attachments`]); protobuf skips what
//! it does not know. The node appends it to the submitter's payload, so the same files are part of what
//! makes a submission the same, and drafts that wait need nothing new. The commitment uses the body's own
//! salt: erased with it, no file can be guessed from a header.
//! *What would change our mind.* A file that must be disclosed without the body that names it: then a
//! salt for each.
//!
//! # A blob that is here is not fetched again, whoever names it
//!
//! *Context.* Two partners may send the same file. Stored once, it need not travel twice; but then a
//! partner who merely knows a digest could name it and hear by the receipt that this node has the file.
//! *Choice.* It is not fetched again. Who has the digest has had the file or its list; what a partner
//! learns is that the other has it too, never a byte of it. Own submitters are held to more
//! ([`crate::service::blob::may_name`]): they name what was uploaded here or goes back to its sender.
//! *What would change our mind.* Files whose mere presence is a secret between partners: then fetching
//! for proof, without storing.
//!
//! # An upload that nobody ever named is given up
//!
//! *Context.* A business system uploads first and names afterwards; what it forgets in between would stay
//! for ever. But the file of an entry must never be missing, and who names what may come at any moment.
//! *Choice.* Fourteen days after its last upload ([`crate::service::blob::is_given_up`]). The committer
//! judges, in one order with the submissions, and journals it before the file goes; then the removal is
//! journalled too, so a crash in between leaves a row that says what is still to be removed. Nothing is
//! given up before every partner was met since the start: after a restored backup an own entry that only
//! the partner remembers may name it. Which uploads are unnamed stands in rows by age, so a sweep reads
//! what is old enough and nothing else.
//! *What would change our mind.* A partner that never comes back keeps every forgotten upload here: then
//! contact within so many days, instead of since the start.
//!
//! # Large files go past the system's cache
//!
//! *Context.* At 1 GiB the receiver spent more time on copying into fresh pages of the cache than on
//! hashing. Those pages push out what the index and the journal's readers want, and a sync of the journal
//! can find the disk busy with them.
//! *Choice.* What lies behind a blob's first 4 MiB ([`crate::limits::BLOB_CACHED_BYTES`]) is written and
//! read with `O_DIRECT`, in aligned blocks of 1 MiB that are used again, one written while the next is
//! hashed. A file system that refuses is served by way of its cache. Credit counts what is written, so a
//! slow disk still bounds the memory.
//! *What would change our mind.* Readers that come back to large files again and again; or a kernel whose
//! buffered writes can drop their pages behind them (`RWF_DONTCACHE`) on every file system in use.
//!
//! # An unfinished upload is believed by its hashes
//!
//! *Context.* An upload of 2 GiB over a slow line dies with its client or its node. What is in the file
//! then may be all of it, some, or garbage after a power cut; syncing and journalling marks would cost a
//! commit for each.
//! *Choice.* As with a fetch: the hashes of full chunks stand beside the file, and who goes on is told how
//! many chunks match them, from the first on. No order of writes and no sync is needed for it, and nothing
//! is claimed: durable is what `UploadReply` names. The name of an upload is its sender's own; one socket
//! is one trust domain.
//! *What would change our mind.* Several senders that do not trust each other on one socket.
//!
//! # Completion of a file is an event of the node, not of a channel
//!
//! *Context.* An entry appears to a business system at once; its file may take an hour. A channel's order
//! must not wait for it, and a consumer needs one durable cursor.
//! *Choice.* Events have a count of their own in the index, made by the facts that cause them, so a
//! rebuild makes the same ones; in an inbox they come from the node itself, with that count as index. An
//! event never comes before its entry. Consumers that read only `from` partners miss nothing they had.
//! *What would change our mind.* A second kind of local event that needs an order with this one.
//!
//! # The index carries a marker of the machine's boot
//!
//! *Context.* sled does not call `fsync` on Linux. After a power cut its files may open without complaint
//! and miss keys from below the position they claim to reflect ([`crate::store::sled`] tells what we
//! saw). After the death of the process alone, nothing is missing.
//! *Choice.* While the index is open a file in its folder names the boot of the machine; an orderly close
//! syncs everything and removes it. An index that was open in another boot is moved aside and rebuilt.
//! *What would change our mind.* An index that syncs; or journals so long that a rebuild takes hours.
//! Then a snapshot of the index, taken and synced by ourselves.
//!
//! # Reconciliation compares stored roots, and hashes headers again when asked
//!
//! *Context.* Comparing two stored roots takes no time, and proves that two indexes agree. One pass over the
//! journal, bodies included, also finds a disk that rotted under the index, and takes as long as the log is.
//! *Choice.* `reconcile run` asks for the roots that the indexes hold and counts nothing, since equal roots
//! have equal counts. With `--rehash` both sides read every header below the cut-off, compute the root anew
//! and count by kind and state; the nightly job of the guide does that. A node of an earlier release does not
//! know the question for stored roots and hashes all the same.
//! *What would change our mind.* A scrub that reads all of the journal at its own pace: then the nightly job
//! needs no `--rehash`.
//!
//! # Signing certificates have no extended key usage
//!
//! *Context.* A TLS key must not sign checkpoints, nor a signing key open TLS. No extended key usage is
//! standard for "signs business records", private ones are filled in wrongly by authorities' products,
//! and `anyExtendedKeyUsage` would open TLS.
//! *Choice.* TLS: digitalSignature without nonRepudiation, both serverAuth and clientAuth. Signing:
//! digitalSignature and nonRepudiation, and *no* extended key usage at all. Each fails the other's check
//! by what is there, not by what is missing.
//! *What would change our mind.* A provincial authority that cannot leave the extension out.
//!
//! # Closing and opening epochs is reserved, and refused in this release
//!
//! *Context.* A change of suite, and the settlement of a fork, need a new log. The wire has room for it
//! everywhere (header, origin line, rows); the procedure, two people and two cosigned checkpoints, is
//! not built.
//! *Choice.* The names `epoch.close` and `epoch.open` are taken; such an entry is refused as unknown, so
//! a later release may send them to an old one without harm. Everything is in epoch 0, and the suite of
//! a log is that of the nodes' signing keys.
//! *What would change our mind.* The first fork in the field, or the first pair that must go over to SM2 with its history: then it is next.
//!
//! # SM2 and SM3 for signatures and trees, not for TLS
//!
//! *Context.* 密评 asks for them. RustCrypto's SM2 is correct, slow and unaudited; rustls-webpki and rustls
//! know no SM2, and hardware speaks it through PKCS#11.
//! *Choice.* `sm2-sm3` signs checkpoints, receipts and documents with SM2 and hashes trees, leaves, bodies
//! and commitments by SM3; documents and blobs keep SHA-256 names, so that one text has one name whatever
//! the channel. SM2 signing certificates have a path validation of their own (`certs::sm2_path`), which
//! is stricter where strict is simpler: in order, SM2 throughout, no name constraints. TLS stays TLS 1.3
//! with ring: an SM2 node has a TLS certificate of the usual kind. Where TLCP or RFC 8998 is demanded on
//! the line, an approved front proxy terminates it before the node. No product certification is claimed.
//! *Measured.* Two nodes on two cores, 2 KiB, 256 outstanding, the suites in turn within one run: 11,045,
//! 10,474 and 11,816 messages a second on SM2 against 13,744, 14,609 and 16,407 on P-256: 0.72 to 0.80 of
//! it. What SM2 costs more is SM3 (12 % of all samples) and the curve's field arithmetic (about as much),
//! of which verification is the larger part: 463 µs against 86, on that machine. Neither has a table of
//! its own yet; a fixed-base table would go into `certs::sm2`.
//! *What would change our mind.* rustls with SM2 by an audited provider.
//!
//! # One suite for a pair, and for a node's lifetime of epoch 0
//!
//! *Context.* Two cities may want different suites. Epoch 0 has one suite by WIRE.md §2.4, nothing in a
//! header or a note names it, and a node has one active signing key.
//! *Choice.* Both directions of a pair use one suite, that of both nodes' active signing keys. A node has
//! one active signing key and so one suite for all its partners; several keys by suite wait for epochs.
//! A partner of another suite is told so when it connects, and gets no link. A known and trusted key of
//! another suite signs neither batch nor receipt. A store with logs of one suite is not opened with a key
//! of another: the next checkpoint would be over a tree that no partner has.
//! *What would change our mind.* `epoch.close` and `epoch.open`: then each pair's suite is the epoch's,
//! looked up by log, and a node holds a key for each suite that its agreements name.
//!
//! # Dead letters are settled by entries, and linked by in-reply-to or by the node's own key
//!
//! *Context.* A refused entry stays in the log for ever. Somebody must see that it came to nothing, and
//! what was made of it, years later and after a loss of the store.
//! *Choice.* A requeue is a new entry in reply to the old, a discard a `cancellation` in reply to it
//! ([`crate::channel::letter`]). Both are ordinary words in a signed log, so they come back from the
//! partner. Answers need their in-reply-to for the question; what links a requeued answer to the old one
//! is the key under which the node submits it (`tongban.requeue/…`), which also makes a requeue
//! idempotent. Letters are rows beside the messages, written by the ledger from these facts. Overdue
//! letters are not journalled: the clock says it, and the receipt takes it back. A cancellation has no
//! effect on cases: undoing a fact is a fact of the domain (撤回), and only its owner may state it.
//! *What would change our mind.* Partners who want to be asked before a requeue; letters in such numbers
//! that people need queues and owners for them.
//!
//! # Overload delays partners and refuses submitters
//!
//! *Context.* A partner's entries cannot be refused for want of room: a verdict is for ever, and the log
//! has no gaps. A submitter has a person or a program behind it that can come back.
//! *Choice.* Batches wait in the link's intake (`link/intake.rs`), which holds their credit: so the
//! partner slows down, and receipts and questions on the same link go on. All links together hold a
//! limited number of bytes; beyond it a link closes and its peer sends again. A partner that is connected
//! and does not keep up sets the pace of who submits to it ([`crate::overload::pace`]); for one that is
//! away the log on disk is the queue. Submissions are refused with a stable code and the time to wait, in
//! gRPC's own metadata; a batch of a stream waits a little first, for a sender that is not read costs
//! nothing. Taking stops before the disk is full ([`crate::overload::disk`]), because finishing writes as
//! well, and sled must never meet a full disk.
//! Names of submitters are their own word: the socket is one trust domain, quotas are no wall in it.
//! *What would change our mind.* Submitters that do not trust each other: then one socket and one system
//! user for each, which quotas tell apart already. Submitters who must be taken whatever the partner does:
//! then the pace becomes a setting of the channel.
//!
//! # What finishes passes what begins
//!
//! *Context.* The committer took commands in the order of asking. A receipt gives a link its credit back;
//! behind thousands of submissions it came seconds late, and the partner idled while its work piled up.
//! *Choice.* Receipts go first, in commits that need no disk; a partner's entries, own submissions and
//! whatever concerns no channel take turns by their number ([`crate::channel::turns`]). Two queues lead to
//! the committer's thread, so that a flood of submissions leaves the other its room. The end of a node
//! passes nothing.
//! *What would change our mind.* Work that finishes and is not short: then it needs a share as well.
//!
//! # The core counts with its own atomics
//!
//! *Context.* Somebody has to see queues, syncs and refusals from outside. Metric libraries bring
//! registries, label maps with locks, and often an HTTP or TLS stack of their own; the committer makes
//! tens of thousands of entries a second.
//! *Choice.* One struct of atomics ([`crate::measure`]), a few additions for each commit or batch and
//! none for an entry; histograms with fixed bounds. What changes slowly (sizes, lags, certificates, the
//! disk) is not counted at all but read when somebody asks. Names, labels and the text are the node's.
//! Whether a node is ready and what is an alarm are rules ([`crate::health`]), pure and tested as such:
//! a probe that lies is worse than none. A stopped channel or an absent partner does not make a node
//! unready; they raise alarms.
//! *What would change our mind.* Distributed traces across nodes; or so many counters that one struct
//! cannot be read at a glance.
//!
//! # Two signatures, no witness
//!
//! *Context.* Sender and receiver together can rewrite what is between them, and a receiver can frame a
//! restored sender (see [`contact`](super::contact)).
//! *Choice.* None in this release: who would disagree with both parties has no case before a court that
//! they share. The note format is C2SP's, so that a public or provincial witness can cosign the same
//! text later without any change of what is signed.
//! *What would change our mind.* An auditor who must rely on the log against both; a province that runs
//! a witness.
//!
//! # Bad signatures close the link and do not stop the channel
//!
//! *Context.* A note whose signature does not verify proves nothing about anybody: perhaps a certificate
//! that has not arrived, a partner's half-done key change, or a bug.
//! *Choice.* The link closes with the code and is dialled again; the copy is unchanged. A channel stops
//! only on two truths under *good* signatures. The operator sees the code either way.
//! *What would change our mind.* Partners who do not notice that a link has been failing for days.
//!
//! # The administration log lies in the trust folder, and the node remembers its end
//!
//! *Context.* DESIGN §8 counts administration among the journal's facts; §7 asks for a tamper-evident log
//! of it. But trust is set up before a node's first start, is changed while the node is stopped or its
//! disk is lost, and is copied to auditors who have no journal.
//! *Choice.* One append-only file of signed, hash-chained lines in the trust folder
//! ([`certs::administration`]); the state of trust is the fold over it, and the same rules judge an act
//! before it is written and each time it is read. Administrators sign with Ed25519 keys of their own
//! over the DSSE encoding, not with the node's key: who holds the node does not thereby decide whom it
//! trusts. What a file cannot show, that its tail was cut, the node knows: it keeps number and digest of
//! the last record that it took, in its data folder, and refuses to start or go on with less. A folder
//! without a log is read from `trust.toml` as before; taking it over is an act of its own, after which
//! an edit of `trust.toml` is refused and not ignored. Revocation lists may still be replaced as files:
//! their authority signs them, and an older one than recorded is refused.
//! *What would change our mind.* Nodes that share one trust folder and many administrators at once; or a
//! witness for the log, to whom its end is told.
//!
//! # A revocation list's signature is checked once, not for each chain
//!
//! *Context.* rustls-webpki checks the signature of the list that it consults each time it judges a chain:
//! 3.7 ms for a list of 100,000 serial numbers. After a change of trust every partner is judged again; 400
//! of them took longer than the second within which a revocation has to be in force.
//! *Choice.* webpki finds the path; `certs::revocation` judges it by the lists, for the algorithms of
//! webpki and for SM2 alike, and a list remembers under which key its signature was found good. Parsing and
//! the look-up of a serial number stay webpki's. A chain against such a list now takes 0.18 ms.
//! *What would change our mind.* A webpki that keeps verified lists, or lists by scope (partitioned ones),
//! which are refused here.
//!
//! # A province's bundle is followed by nodes, not by administrators
//!
//! *Context.* A province changes nodes, lists and intermediates far more often than roots, and each change by
//! two people at each of hundreds of partners would not be made. But a document that could bring a root
//! would make the province's online key the root of everything.
//! *Choice.* `certs::bundle`: DSSE by a certificate `spiffe://<domain>/bundle` under an approved root, with
//! a number that only grows. A node judges it without anybody's key and takes over nodes, lists and
//! intermediates; a root or prefix in it is a suggestion, which an administrator proposes and another one
//! approves. The accepted one lies in the data folder: it is the state that a restart goes on with and the
//! memory that refuses a rollback, so a node that cannot read it does not start. Of two lists of one
//! authority the newer counts, from wherever it came, and a revocation is looked for before anything that is
//! missing or stale is (`certs::Status`). A bundle that would not be accepted any more (its signer was
//! revoked, its root tainted) keeps what it took away and gives nothing. Suspensions of this node stand
//! above it. Past its date there is an alarm and a configured grace of days, then nothing new is opened.
//! *What would change our mind.* Bundles over the channel, which need a place in Link; a transparency log
//! of bundles, which would show a province that tells two partners two stories.
//!
//! # The doctor looks without speaking
//!
//! *Context.* The newest Open fences older links, so a diagnosis that spoke the protocol would cut the line
//! that it is to explain.
//! *Choice.* `tongban doctor` does DNS, TCP and TLS itself, with a verifier that takes any certificate whose
//! key the peer has, because it wants to know all that is wrong and not the first thing; asks for a gRPC
//! method that no node has, whose answer shows that the peer took this node's certificate and carries the
//! date of its clock; and asks the running node about versions, agreements and copies. What was seen is
//! judged by one pure function.
//! *What would change our mind.* A diagnostic frame in Link that fences nobody: then the peer's own view of
//! the line could be asked for.
//!
//! # Verdicts count days, people count working days
//!
//! *Context.* 视为受理 and 补正不来 depend on limits in working days, and working days on a calendar that is
//! data. Two nodes may hold different editions of it, or one may not know a year yet; a verdict that asked
//! the calendar could differ between them.
//! *Choice.* A verdict asks only whether the time has certainly passed
//! ([`certainly_passed`](crate::service::deadline::certainly_passed)): so many working days are at least as
//! many days. That is less than the law asks, and the same on every node. The owner counts working days
//! before it acts, and the clocks that people see ([`clocks`](crate::service::deadline::clocks)) always do;
//! a year that nobody announced has no answer there.
//! *What would change our mind.* A calendar that agreements pin by its digest, like standards.
//!
//! # A sub-task is a case, and its parent hears of it from the leading place
//!
//! *Context.* 多地联办 has one parent and several authorities, but a channel has two ends, and the
//! applicant's place has no channel to what the leading place hands out.
//! *Choice.* A case stays between two places. The leading place owns the parent; each sub-task is a case
//! of its own, on its own clock, that names its parent. What was handed out and how it ended are facts of
//! the parent, so that both its places judge the grant alike; the leading place alone is held, by its own
//! node, to what its books say about the sub-task.
//! *What would change our mind.* Applicants' places that need to follow a sub-task step by step.
