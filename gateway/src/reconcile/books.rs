//! Three books of one case (对账): a business system's ledger, this node's projection, the partner's.
//! Pure: rows in, findings out.
//!
//! Equal roots make the partner's projection the same as this node's, at a cut-off by channel index
//! ([`super::plan`]); so what is left to compare row by row is the ledger with the projection at that
//! cut-off. A ledger knows no index. A row that says it was changed after the cut-off's receipt is late,
//! not wrong, and a case with entries beyond the cut-off is in flight, not wrong.

use crate::id::NodeId;
use crate::suite::sha256;
use crate::time::UnixMillis;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Findings that are kept in full; the others are counted.
pub const FINDINGS_MAX: usize = 100_000;

/// Why two books differ in a case. 我 is the business system's ledger, 彼 what both nodes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// 我有彼无: the ledger has it, the channel has not.
    LedgerOnly,
    /// 彼有我无: the channel has it, the ledger has not.
    ChannelOnly,
    /// 状态不一致.
    State,
    /// 时限或金额不一致: the promised limit. No fee travels in a case.
    Terms,
    /// 内容不一致: item, number, result or licence.
    Content,
    /// 在途: entries of the case lie beyond the cut-off.
    InFlight,
    /// 重复: the ledger has it more than once.
    Duplicate,
    /// 迟到: the ledger's row is younger than the cut-off.
    Late,
}

/// Who has to act on a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The business system that the ledger is of.
    BusinessSystem,
    /// Two people: content is never mended by a machine.
    People,
    /// Nobody yet: the next run looks again.
    NextRun,
}

/// What mends a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// 补推: the business system submits what it never did.
    Submit,
    /// The business system takes over what the channel has (replay).
    Import,
    /// 平账 with a reason, by two people.
    ByHand,
    /// The business system removes rows.
    Remove,
    /// Nothing: it passes.
    Wait,
}

impl Class {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 8] = [
        Self::LedgerOnly,
        Self::ChannelOnly,
        Self::State,
        Self::Terms,
        Self::Content,
        Self::InFlight,
        Self::Duplicate,
        Self::Late,
    ];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::LedgerOnly => "ledger_only",
            Self::ChannelOnly => "channel_only",
            Self::State => "state",
            Self::Terms => "terms",
            Self::Content => "content",
            Self::InFlight => "in_flight",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
        }
    }

    /// The class of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Whether it is a break once a second run has found it again. The others pass by themselves.
    pub fn breaks(self) -> bool {
        !matches!(self, Self::InFlight | Self::Late)
    }

    /// Who has to act.
    pub fn owner(self) -> Owner {
        match self {
            Self::LedgerOnly | Self::ChannelOnly | Self::State | Self::Duplicate => Owner::BusinessSystem,
            Self::Terms | Self::Content => Owner::People,
            Self::InFlight | Self::Late => Owner::NextRun,
        }
    }

    /// What mends it.
    pub fn repair(self) -> Repair {
        match self {
            Self::LedgerOnly => Repair::Submit,
            // The channel is signed by both sides: where a ledger lags behind it, the ledger follows.
            Self::ChannelOnly | Self::State => Repair::Import,
            Self::Terms | Self::Content => Repair::ByHand,
            Self::Duplicate => Repair::Remove,
            Self::InFlight | Self::Late => Repair::Wait,
        }
    }
}

impl Owner {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::BusinessSystem => "business_system",
            Self::People => "people",
            Self::NextRun => "next_run",
        }
    }
}

impl Repair {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Import => "import",
            Self::ByHand => "by_hand",
            Self::Remove => "remove",
            Self::Wait => "wait",
        }
    }
}

/// A state in the ledger's own words, and which states of a case they mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerState {
    /// As the ledger writes it.
    pub text: String,
    /// Stable names; a coarse ledger means several.
    pub means: Vec<String>,
}

/// What a ledger says of a case. `None`: it has no such column, or the cell is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerRow {
    /// Line of the file, from 1.
    pub line: u64,
    /// When the business system changed it last.
    pub changed: Option<UnixMillis>,
    /// 办理状态.
    pub state: Option<Arc<LedgerState>>,
    /// 事项编码.
    pub item: Option<Arc<str>>,
    /// 办件编号 of the receiving place.
    pub project_number: Option<Box<str>>,
    /// 承诺时限, working days.
    pub promised_working_days: Option<u32>,
    /// 办结结果.
    pub result: Option<Arc<str>>,
    /// 证照标识.
    pub licence_id: Option<Box<str>>,
}

/// What this node's projection says of a case at the cut-off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BookedRow {
    /// The case.
    pub case_id: String,
    /// Stable name of its state at the cut-off; empty: nothing of it lies below the cut-off.
    pub state: String,
    /// As in [`LedgerRow`]; empty or `None`: not stated.
    pub item: String,
    /// As in [`LedgerRow`].
    pub project_number: String,
    /// As in [`LedgerRow`].
    pub promised_working_days: Option<u32>,
    /// As in [`LedgerRow`].
    pub result: String,
    /// As in [`LedgerRow`].
    pub licence_id: String,
    /// Whether entries of it lie beyond the cut-off.
    pub beyond: bool,
}

/// One value that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field's stable name.
    pub field: &'static str,
    /// In the ledger.
    pub ledger: String,
    /// In the projection.
    pub channel: String,
}

/// One case in which the books differ, in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub class: Class,
    /// The case.
    pub case_id: String,
    /// Line of the ledger; 0: it has none.
    pub line: u64,
    /// What differs.
    pub differences: Vec<Difference>,
}

impl Finding {
    /// Names it over all runs with that partner: 16 hexadecimal digits.
    pub fn id(&self, peer: NodeId) -> String {
        let parts = [peer.as_str(), self.class.name(), &self.case_id];
        let hash = sha256(&[b"tongban finding 1\n", parts.join("\n").as_bytes()]);
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Cases of one item and state, counted in both books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// In the ledger.
    pub ledger: u64,
    /// In the projection.
    pub channel: u64,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows of the ledger, duplicates included.
    pub ledger_rows: u64,
    /// Cases of the projection below the cut-off.
    pub channel_rows: u64,
    /// Cases in which both agree.
    pub agreed: u64,
    /// Control totals by item. The ledger's side is empty where it has no such column.
    pub by_item: BTreeMap<String, Total>,
    /// Control totals by state: a ledger's coarse state counts under its own words.
    pub by_state: BTreeMap<String, Total>,
    /// By class, all of them.
    pub counts: BTreeMap<Class, u64>,
    /// The first [`FINDINGS_MAX`] of each class, by class and case.
    pub findings: Vec<Finding>,
}

impl Outcome {
    /// Whether the books agree but for what passes by itself.
    pub fn is_balanced(&self) -> bool {
        self.counts.keys().all(|class| !class.breaks())
    }
}

/// A comparison under way: first the whole ledger, then every row of the projection.
#[derive(Debug, Default)]
pub struct Books {
    rows: HashMap<Box<str>, LedgerRow>,
    cut: UnixMillis,
    outcome: Outcome,
}

impl Books {
    /// An empty ledger. `cut`: the receipt time of the newest checkpoint that the cut-off names.
    pub fn new(cut: UnixMillis) -> Self {
        Self { cut, ..Self::default() }
    }

    /// Takes a row of the ledger. The first of several with one case id counts, the others are duplicates.
    pub fn take(&mut self, case_id: &str, row: LedgerRow) {
        self.outcome.ledger_rows += 1;
        if let Some(first) = self.rows.get(case_id) {
            let lines = Difference {
                field: "line",
                ledger: format!("{}, {}", first.line, row.line),
                channel: String::new(),
            };
            let line = row.line;
            self.find(Class::Duplicate, case_id, line, vec![lines]);
            return;
        }
        if let Some(item) = &row.item {
            self.outcome.by_item.entry(item.to_string()).or_default().ledger += 1;
        }
        if let Some(state) = &row.state {
            let name = if let [one] = &state.means[..] { one } else { &state.text };
            self.outcome.by_state.entry(name.clone()).or_default().ledger += 1;
        }
        self.rows.insert(case_id.into(), row);
    }

    /// Takes a row of an export of operations (`cd_operation`): the youngest one of a case counts, a deletion
    /// removes it.
    pub fn take_operation(&mut self, case_id: &str, row: Option<LedgerRow>) {
        if let Some(old) = self.rows.remove(case_id) {
            self.outcome.ledger_rows -= 1;
            let less = |totals: &mut BTreeMap<String, Total>, name: &str| {
                if let Some(total) = totals.get_mut(name) {
                    total.ledger -= 1;
                    if *total == Total::default() {
                        totals.remove(name);
                    }
                }
            };
            if let Some(item) = &old.item {
                less(&mut self.outcome.by_item, item);
            }
            if let Some(state) = &old.state {
                let name = if let [one] = &state.means[..] { one } else { &state.text };
                less(&mut self.outcome.by_state, name);
            }
        }
        if let Some(row) = row {
            self.take(case_id, row);
        }
    }

    /// When the ledger's row of a case was changed last, as far as it is known.
    pub fn changed(&self, case_id: &str) -> Option<Option<UnixMillis>> {
        self.rows.get(case_id).map(|row| row.changed)
    }

    /// Holds a row of the projection against the ledger.
    pub fn hold(&mut self, booked: &BookedRow) {
        let below = !booked.state.is_empty();
        if below {
            self.outcome.channel_rows += 1;
            self.outcome.by_item.entry(booked.item.clone()).or_default().channel += 1;
            self.outcome.by_state.entry(booked.state.clone()).or_default().channel += 1;
        }
        let Some(row) = self.rows.remove(booked.case_id.as_str()) else {
            if below {
                let state =
                    Difference { field: "state", ledger: String::new(), channel: booked.state.clone() };
                self.find(Class::ChannelOnly, &booked.case_id, 0, vec![state]);
            }
            return;
        };
        let found = differences(&row, booked);
        if !below || (booked.beyond && !found.is_empty()) {
            let found = found.into_iter().map(|(_, difference)| difference).collect();
            return self.find(Class::InFlight, &booked.case_id, row.line, found);
        }
        if !found.is_empty() && row.changed.is_some_and(|changed| changed > self.cut) {
            let found = found.into_iter().map(|(_, difference)| difference).collect();
            return self.find(Class::Late, &booked.case_id, row.line, found);
        }
        if found.is_empty() {
            self.outcome.agreed += 1;
            return;
        }
        for class in [Class::State, Class::Terms, Class::Content] {
            let of_class = found.iter().filter(|(of, _)| *of == class);
            let of_class: Vec<_> = of_class.map(|(_, difference)| difference.clone()).collect();
            if !of_class.is_empty() {
                self.find(class, &booked.case_id, row.line, of_class);
            }
        }
    }

    /// What is left in the ledger has no case in the channel.
    pub fn finish(mut self) -> Outcome {
        let mut left: Vec<_> = std::mem::take(&mut self.rows).into_iter().collect();
        left.sort_by_key(|(_, row)| row.line);
        for (case_id, row) in left {
            let late = row.changed.is_some_and(|changed| changed > self.cut);
            let class = if late { Class::Late } else { Class::LedgerOnly };
            let state = row.state.as_ref().map(|state| Difference {
                field: "state",
                ledger: state.text.clone(),
                channel: String::new(),
            });
            self.find(class, &case_id, row.line, state.into_iter().collect());
        }
        self.outcome
            .findings
            .sort_by(|one, other| (one.class, &one.case_id).cmp(&(other.class, &other.case_id)));
        self.outcome
    }

    fn find(&mut self, class: Class, case_id: &str, line: u64, differences: Vec<Difference>) {
        let count = self.outcome.counts.entry(class).or_default();
        *count += 1;
        if *count <= FINDINGS_MAX as u64 {
            self.outcome.findings.push(Finding { class, case_id: case_id.to_owned(), line, differences });
        }
    }
}

/// Every field that both state, in different words.
fn differences(row: &LedgerRow, booked: &BookedRow) -> Vec<(Class, Difference)> {
    let mut found = Vec::new();
    if let Some(state) = &row.state
        && !state.means.contains(&booked.state)
    {
        let (ledger, channel) = (state.text.clone(), booked.state.clone());
        found.push((Class::State, Difference { field: "state", ledger, channel }));
    }
    if let (Some(ledger), Some(channel)) = (row.promised_working_days, booked.promised_working_days)
        && ledger != channel
    {
        let (ledger, channel) = (ledger.to_string(), channel.to_string());
        found.push((Class::Terms, Difference { field: "promised_working_days", ledger, channel }));
    }
    let texts = [
        ("item", row.item.as_deref(), &booked.item),
        ("project_number", row.project_number.as_deref(), &booked.project_number),
        ("result", row.result.as_deref(), &booked.result),
        ("licence_id", row.licence_id.as_deref(), &booked.licence_id),
    ];
    for (field, ledger, channel) in texts {
        if let Some(ledger) = ledger
            && !channel.is_empty()
            && ledger != channel
        {
            let (ledger, channel) = (ledger.to_owned(), channel.clone());
            found.push((Class::Content, Difference { field, ledger, channel }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: UnixMillis = UnixMillis(1_000_000);

    fn state(text: &str, means: &[&str]) -> Option<Arc<LedgerState>> {
        let means = means.iter().map(|means| (*means).to_owned()).collect();
        Some(Arc::new(LedgerState { text: text.into(), means }))
    }

    fn row(line: u64) -> LedgerRow {
        LedgerRow {
            line,
            changed: Some(UnixMillis(CUT.0 - 1)),
            state: state("办结", &["closed"]),
            item: Some("A".into()),
            promised_working_days: Some(5),
            ..LedgerRow::default()
        }
    }

    fn booked(case_id: &str) -> BookedRow {
        BookedRow {
            case_id: case_id.into(),
            state: "closed".into(),
            item: "A".into(),
            promised_working_days: Some(5),
            ..BookedRow::default()
        }
    }

    fn compare(ledger: &[(&str, LedgerRow)], channel: &[BookedRow]) -> Outcome {
        let mut books = Books::new(CUT);
        ledger.iter().for_each(|(case_id, row)| books.take(case_id, row.clone()));
        channel.iter().for_each(|row| books.hold(row));
        books.finish()
    }

    fn classes(outcome: &Outcome) -> Vec<(Class, &str)> {
        outcome.findings.iter().map(|finding| (finding.class, &finding.case_id[..])).collect()
    }

    #[test]
    fn equal_books_agree_and_their_totals_are_equal() {
        let outcome = compare(&[("1", row(2)), ("2", row(3))], &[booked("1"), booked("2")]);
        assert!(outcome.is_balanced() && outcome.findings.is_empty());
        assert_eq!((outcome.agreed, outcome.ledger_rows, outcome.channel_rows), (2, 2, 2));
        assert_eq!(outcome.by_item["A"], Total { ledger: 2, channel: 2 });
        assert_eq!(outcome.by_state["closed"], Total { ledger: 2, channel: 2 });
    }

    #[test]
    fn each_kind_of_difference_has_its_class() {
        let ledger = [
            ("1", row(2)),
            ("2", LedgerRow { state: state("受理", &["accepted"]), ..row(3) }),
            ("3", LedgerRow { promised_working_days: Some(9), ..row(4) }),
            ("4", LedgerRow { item: Some("B".into()), ..row(5) }),
            ("6", LedgerRow { state: state("受理", &["accepted"]), ..row(6) }),
            (
                "7",
                LedgerRow {
                    state: state("受理", &["accepted"]),
                    changed: Some(UnixMillis(CUT.0 + 1)),
                    ..row(7)
                },
            ),
            ("8", row(8)),
            ("8", row(9)),
            ("9", LedgerRow { changed: Some(UnixMillis(CUT.0 + 1)), ..row(10) }),
            ("a", row(11)),
        ];
        let channel = [
            booked("2"),
            booked("3"),
            booked("4"),
            booked("5"),
            BookedRow { beyond: true, ..booked("6") },
            booked("7"),
            booked("8"),
            BookedRow { state: String::new(), beyond: true, ..booked("a") },
            BookedRow { state: String::new(), beyond: true, ..booked("b") },
        ];
        let outcome = compare(&ledger, &channel);
        assert_eq!(
            classes(&outcome),
            [
                (Class::LedgerOnly, "1"),
                (Class::ChannelOnly, "5"),
                (Class::State, "2"),
                (Class::Terms, "3"),
                (Class::Content, "4"),
                (Class::InFlight, "6"),
                (Class::InFlight, "a"),
                (Class::Duplicate, "8"),
                (Class::Late, "7"),
                (Class::Late, "9"),
            ]
        );
        assert!(!outcome.is_balanced());
        assert_eq!(outcome.agreed, 1, "the first of the two rows agrees");
    }

    #[test]
    fn one_case_may_differ_in_state_terms_and_content_at_once() {
        let wrong = LedgerRow {
            state: state("受理", &["accepted"]),
            promised_working_days: Some(1),
            item: Some("B".into()),
            ..row(2)
        };
        let outcome = compare(&[("1", wrong)], &[booked("1")]);
        assert_eq!(classes(&outcome).len(), 3);
        assert_eq!(outcome.agreed, 0);
    }

    #[test]
    fn a_coarse_state_of_a_ledger_agrees_with_each_state_that_it_means() {
        let coarse = LedgerRow { state: state("办理中", &["accepted", "closed"]), ..row(2) };
        let outcome = compare(&[("1", coarse)], &[booked("1")]);
        assert!(outcome.is_balanced());
        assert_eq!(outcome.by_state["办理中"], Total { ledger: 1, channel: 0 });
    }

    #[test]
    fn what_a_side_does_not_state_is_not_compared() {
        let silent = LedgerRow { line: 2, ..LedgerRow::default() };
        assert!(compare(&[("1", silent)], &[booked("1")]).findings.is_empty());
    }

    #[test]
    fn what_passes_by_itself_is_no_break() {
        let late = LedgerRow { changed: Some(UnixMillis(CUT.0 + 1)), ..row(2) };
        let outcome = compare(&[("1", late)], &[]);
        assert_eq!(classes(&outcome), [(Class::Late, "1")]);
        assert!(outcome.is_balanced());
    }

    #[test]
    fn of_operations_on_a_case_the_last_counts_and_a_deletion_removes_it() {
        let mut books = Books::new(CUT);
        books.take_operation("1", Some(LedgerRow { state: state("受理", &["accepted"]), ..row(2) }));
        books.take_operation("1", Some(row(3)));
        books.take_operation("2", Some(row(4)));
        books.take_operation("2", None);
        books.hold(&booked("1"));
        let outcome = books.finish();
        assert!(outcome.is_balanced() && outcome.findings.is_empty());
        assert_eq!((outcome.ledger_rows, outcome.by_state["closed"].ledger), (1, 1));
        assert!(!outcome.by_state.contains_key("accepted"));
    }

    #[test]
    fn a_finding_keeps_its_name_from_run_to_run_and_differs_by_class_case_and_partner() {
        let peer = |text: &str| text.parse::<NodeId>().unwrap();
        let finding = |class, case_id: &str, line| Finding {
            class,
            case_id: case_id.into(),
            line,
            differences: Vec::new(),
        };
        let id = finding(Class::State, "1", 2).id(peer("421200"));
        assert_eq!(id.len(), 16);
        assert_eq!(finding(Class::State, "1", 9).id(peer("421200")), id);
        assert_ne!(finding(Class::Terms, "1", 2).id(peer("421200")), id);
        assert_ne!(finding(Class::State, "2", 2).id(peer("421200")), id);
        assert_ne!(finding(Class::State, "1", 2).id(peer("430600")), id);
    }

    #[test]
    fn a_million_rows_of_rubbish_are_counted_and_the_first_are_kept() {
        let mut books = Books::new(CUT);
        for number in 0..FINDINGS_MAX + 10 {
            books.take(&number.to_string(), row(number as u64 + 2));
        }
        let outcome = books.finish();
        assert_eq!(outcome.counts[&Class::LedgerOnly], FINDINGS_MAX as u64 + 10);
        assert_eq!(outcome.findings.len(), FINDINGS_MAX);
    }
}
