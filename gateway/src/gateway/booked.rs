//! Cases as they stood at a cut-off by channel index, for the comparison with a ledger.

use super::Gateway;
use crate::committer::ledger::read_case_row;
use crate::committer::{LogSnapshot, rows};
use crate::id::{CaseId, ChannelId, LogPosition, NodeId};
use crate::limits::BOOKED_CASES_PAGE_MAX;
use crate::reconcile::books::BookedRow;
use crate::refusal::{Refusal, RefusalCode};
use crate::service::case::{CaseFact, CaseState, fold};
use crate::store::{Direction, Table};
use crate::time::UnixMillis;
use prost::Message as _;
use proto::store::v1 as stored;

/// A place in both channels with a partner. What lies below it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOff {
    /// In the channel to the partner.
    pub out: LogPosition,
    /// In the channel from it.
    pub inbound: LogPosition,
    /// The later time of the two cosignatures there, by their receivers; zero: there is no receipt.
    pub receipt: UnixMillis,
}

impl CutOff {
    fn covers(&self, me: NodeId, fact: &CaseFact) -> bool {
        fact.local || fact.position < if fact.author == me { self.out } else { self.inbound }
    }
}

impl Gateway {
    /// Up to where both channels with a partner have receipts now.
    ///
    /// # Errors
    /// When the partner is not configured.
    pub fn cut_off(&self, peer: NodeId) -> Result<CutOff, Refusal> {
        let me = self.node();
        let [out, inbound] =
            [ChannelId { from: me, to: peer }, ChannelId { from: peer, to: me }].map(|id| self.channel(id));
        let place = |log: &LogSnapshot| {
            let note = log.cosigned.as_ref();
            let size = note.map_or(0, |note| note.checkpoint().size);
            let seconds = note.and_then(crate::log::checkpoint::Note::cosignature_seconds).unwrap_or(0);
            (LogPosition { epoch: log.log.epoch, index: size }, seconds)
        };
        let ((out, one), (inbound, other)) = (place(&out?), place(&inbound?));
        Ok(CutOff { out, inbound, receipt: UnixMillis(one.max(other) * 1000) })
    }

    /// A page of the cases with a partner in the order of their ids, those after `after`, and the id to go
    /// on after; nothing: that was the last page. A page may be empty and not the last.
    ///
    /// # Errors
    /// `request.invalid` for a cut-off that is not in the channels; when the store cannot be read.
    pub fn booked(
        &self,
        peer: NodeId,
        cut_off: &CutOff,
        after: Option<&CaseId>,
    ) -> Result<(Vec<BookedRow>, Option<CaseId>), Refusal> {
        let me = self.node();
        let now = self.cut_off(peer)?;
        if cut_off.out > now.out || cut_off.inbound > now.inbound {
            return Err(Refusal::new(RefusalCode::BadRequest, "cut_off lies beyond the receipts"));
        }
        let from = after.map_or_else(Vec::new, |id| {
            let mut key = rows::case(id);
            key.push(0);
            key
        });
        let page = BOOKED_CASES_PAGE_MAX;
        let found = self.0.archive.index().range(Table::Case, &from, &[], page, Direction::Ascending);
        let found = found.map_err(|error| Self::damaged(error.into()))?;
        let full = found.len() == page;
        let mut booked = Vec::new();
        let mut last = None;
        for (key, row) in found {
            let id: Option<CaseId> = std::str::from_utf8(&key).ok().and_then(|text| text.parse().ok());
            let Some(id) = id else {
                return Err(Refusal::new(RefusalCode::StoreDamaged, "a case row's key"));
            };
            let row = stored::CaseRow::decode(row)
                .map_err(|_| Refusal::new(RefusalCode::StoreDamaged, "a case row"))?;
            let book = read_case_row(&self.0.archive, &id, &row).map_err(Self::damaged)?;
            if [(me, peer), (peer, me)].contains(&(book.receiving, book.competent)) {
                let all = book.facts.len();
                let below: Vec<CaseFact> =
                    book.facts.into_iter().filter(|fact| cut_off.covers(me, fact)).collect();
                let beyond = below.len() < all;
                let case = fold(book.receiving, book.competent, &below);
                let refused = !row.refused.is_empty();
                let state = match case.state {
                    _ if refused => REFUSED,
                    CaseState::Unopened => "",
                    state => state.name(),
                };
                booked.push(BookedRow {
                    case_id: id.to_string(),
                    state: state.to_owned(),
                    item: case.item,
                    project_number: case.project_number,
                    promised_working_days: case.promised_working_days,
                    result: case.result.unwrap_or_default(),
                    licence_id: case.licence_id.unwrap_or_default(),
                    beyond,
                });
            }
            last = Some(id);
        }
        Ok((booked, last.filter(|_| full)))
    }
}

/// The state of a case whose forwarding the partner refused, as in lists of cases.
const REFUSED: &str = "refused";
