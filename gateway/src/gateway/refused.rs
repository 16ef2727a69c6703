//! Submissions that were not taken, one by one or a batch at once: each is counted by its code, and each
//! decision is one event in the log. Who sheds load says so at level debug: a line for each of thousands
//! would be load of its own, and on a full disk the end of it.

use super::Gateway;
use crate::committer::{Submission, Submitted};
use crate::id::{Kind, MessageId, NodeId};
use crate::refusal::Refusal;
use std::collections::BTreeMap;
use std::ops::Range;

/// Which submission, as far as it could be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Named<'a> {
    /// The receiver.
    pub to: Option<NodeId>,
    /// What it is about.
    pub kind: Option<Kind>,
    /// The message's id.
    pub message_id: Option<MessageId>,
    /// The submitter's own key, which stands for the id.
    pub alias: Option<&'a str>,
}

/// The names of a batch, kept for those of its submissions that will be refused. All keys lie in one text:
/// most are never asked for.
#[derive(Debug, Default)]
pub(super) struct Names {
    submissions: Vec<Kept>,
    aliases: String,
}

#[derive(Debug)]
struct Kept {
    to: NodeId,
    kind: Kind,
    message_id: Option<MessageId>,
    /// Where its key lies.
    alias: Option<Range<usize>>,
}

impl Names {
    pub(super) fn of(submissions: &[Submission]) -> Self {
        let mut names = Self { submissions: Vec::with_capacity(submissions.len()), aliases: String::new() };
        for submission in submissions {
            let alias = submission.alias.as_deref().map(|alias| {
                let start = names.aliases.len();
                names.aliases.push_str(alias);
                start..names.aliases.len()
            });
            let Submission { to, kind, message_id, .. } = *submission;
            names.submissions.push(Kept { to, kind, message_id, alias });
        }
        names
    }

    fn named(&self, place: usize) -> Named<'_> {
        let Some(kept) = self.submissions.get(place) else { return Named::default() };
        let alias = kept.alias.clone().and_then(|range| self.aliases.get(range));
        Named { to: Some(kept.to), kind: Some(kept.kind), message_id: kept.message_id, alias }
    }
}

impl Gateway {
    /// Counts a submission that was not taken, and logs it. The detail goes into the log: it must hold
    /// nothing that the submitter wrote.
    pub fn tell_refused(&self, named: Named<'_>, refusal: &Refusal) {
        self.0.links.measures.refused_submissions.add(refusal.code, 1);
        let (peer, kind) = (named.to.as_ref().map_or("", NodeId::as_str), named.kind.map_or("", Kind::name));
        let (code, detail, fault) = (refusal.code, &refusal.detail, refusal.code.fault().name());
        // The id is derived only where somebody may read it.
        let message_id = || {
            let of_alias = || Some(self.alias_id(named.to?, named.alias?));
            named.message_id.or_else(of_alias).map(|id| id.to_string()).unwrap_or_default()
        };
        if refusal.retry_after_millis().is_some() {
            tracing::debug!(message_id = message_id(), peer, kind, outcome = "refused", %code, detail, fault,
                "submission refused");
        } else {
            tracing::info!(message_id = message_id(), peer, kind, outcome = "refused", %code, detail, fault,
                "submission refused");
        }
    }

    /// As [`Gateway::tell_refused`], for submissions that were refused together: one event for all.
    pub fn tell_batch_refused(&self, submissions: usize, refusal: &Refusal) {
        self.0.links.measures.refused_submissions.add(refusal.code, submissions as u64);
        let (code, detail, fault) = (refusal.code, &refusal.detail, refusal.code.fault().name());
        if refusal.retry_after_millis().is_some() {
            tracing::debug!(submissions, outcome = "refused", %code, detail, fault, "submissions refused");
        } else {
            tracing::info!(submissions, outcome = "refused", %code, detail, fault, "submissions refused");
        }
    }

    /// Tells of those of a batch that were refused, and counts the others.
    pub(super) fn tell_decided(
        &self,
        names: &Names,
        decided: &Result<Vec<Result<Submitted, Refusal>>, Refusal>,
    ) {
        match decided {
            Ok(outcomes) => {
                let mut taken: BTreeMap<NodeId, u64> = BTreeMap::new();
                for (place, outcome) in outcomes.iter().enumerate() {
                    let named = names.named(place);
                    match (outcome, named.to) {
                        (Err(refusal), _) => self.tell_refused(named, refusal),
                        (Ok(_), Some(to)) => *taken.entry(to).or_default() += 1,
                        (Ok(_), None) => {}
                    }
                }
                taken.into_iter().for_each(|(to, count)| self.tell_taken(to, count));
            }
            Err(refusal) => self.tell_batch_refused(names.submissions.len(), refusal),
        }
    }
}
