//! The state of trust: a pure fold over the acts of administrators, `(state, author, act) → state or refusal`.
//!
//! The same judgement is made before an act is written and each time the log is read: a record that could not
//! have been written does not count because somebody wrote it.

use std::collections::BTreeMap;

use crate::administration::event::{Act, Administrator, AnchorRecord, Change, DomainRecord, NodeKeys, Role};
use crate::administration::log::from_hex;
use crate::domain::{AnchorState, DivisionPrefix};
use crate::limits::{NODE_KEYS_MAX, NODES_MAX};
use crate::spiffe::{Division, DomainName};

/// Why an act does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The first act takes the folder over, and no later one does.
    #[error("the folder is taken over once, by the first record")]
    Adoption,
    /// There must be at least one administrator of each role, each with a name and a key of its own.
    #[error("administrators: {0}")]
    Administrators(String),
    /// Nobody of that name.
    #[error("no administrator {0}")]
    UnknownAdministrator(String),
    /// The role is there for something else.
    #[error("{name} is a {role} administrator, and this takes a {needed} administrator")]
    WrongRole {
        /// Who tried.
        name: String,
        /// Its role.
        role: Role,
        /// What it takes.
        needed: &'static str,
    },
    /// Two people are needed, and this is the same one again.
    #[error("{0} did this; another person has to agree")]
    SamePerson(String),
    /// Nothing under that number waits.
    #[error("nothing waits under record {0}")]
    NothingWaits(usize),
    /// The change gives trust: one person cannot make it.
    #[error("this gives trust and needs two people: propose it")]
    NeedsTwo,
    /// The states of an anchor do not follow in this way.
    #[error("an anchor that is {from} cannot become {to}")]
    Step {
        /// The present state.
        from: AnchorState,
        /// The state asked for.
        to: AnchorState,
    },
    /// The change does not fit the state.
    #[error("{0}")]
    Unfit(String),
}

impl NotAllowed {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Adoption => "trust.adoption",
            Self::Administrators(_) => "trust.administrators",
            Self::UnknownAdministrator(_) => "trust.unknown_administrator",
            Self::WrongRole { .. } => "trust.wrong_role",
            Self::SamePerson(_) => "trust.same_person",
            Self::NothingWaits(_) => "trust.nothing_waits",
            Self::NeedsTwo => "trust.needs_two",
            Self::Step { .. } => "trust.step",
            Self::Unfit(_) => "trust.unfit",
        }
    }

    /// What to do next: Chinese if `zh`, otherwise English.
    pub fn advice(&self, zh: bool) -> &'static str {
        let (chinese, english) = match self {
            Self::Adoption => {
                ("该信任目录已启用管理日志。", "The folder has its administration log already.")
            }
            Self::Administrators(_) => (
                "请为系统、安全、审计三种角色各登记至少一名管理员，名称与密钥互不相同。",
                "Name at least one system, one security and one audit administrator, each with a name and a key of its own.",
            ),
            Self::UnknownAdministrator(_) => (
                "请核对管理员名称与密钥；新增管理员须经双人审批。",
                "Check the name and the key; a new administrator takes two people.",
            ),
            Self::WrongRole { .. } => (
                "三权分立：系统管理员提出，安全管理员批准，审计管理员审查。",
                "Roles are kept apart: system proposes, security approves, audit reviews.",
            ),
            Self::SamePerson(_) => ("请由另一名管理员执行。", "Have another administrator do it."),
            Self::NothingWaits(_) => {
                ("请用 tongban trust log show 查看待办编号。", "See what waits with tongban trust log show.")
            }
            Self::NeedsTwo => {
                ("请提出申请，由另一名管理员批准。", "Propose it and have another administrator approve.")
            }
            Self::Step { .. } => (
                "根证书状态依次为待用、启用、停用、撤销；撤销后不可恢复。",
                "An anchor goes from prepared to active, tainted and revoked; nothing follows revoked.",
            ),
            Self::Unfit(_) => {
                ("请核对参数与当前信任状态。", "Compare the arguments with the present state of trust.")
            }
        };
        if zh { chinese } else { english }
    }
}

/// Something that waits for a second person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Who did the first half.
    pub by: String,
    /// When, Unix ms.
    pub at_ms: i64,
    /// The change; absent: the adoption of the folder.
    pub change: Option<Change>,
}

/// All that administrators decided, up to some record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By name.
    pub administrators: BTreeMap<String, Administrator>,
    /// By name.
    pub domains: BTreeMap<String, DomainRecord>,
    /// Proposals without an answer, by record.
    pub proposals: BTreeMap<usize, Waiting>,
    /// What one person did and nobody confirmed yet, by record.
    pub unconfirmed: BTreeMap<usize, Waiting>,
    /// SHA-256 of the `trust.toml` that was taken over, hex.
    pub trust_toml: String,
    /// The last record that an audit administrator has read; 0: none.
    pub reviewed: usize,
}

/// The next state of an anchor, if it may follow.
///
/// # Errors
/// [`NotAllowed::Step`].
pub fn step(from: AnchorState, to: AnchorState) -> Result<AnchorState, NotAllowed> {
    use AnchorState::{Active, Prepared, Revoked, Tainted};
    match (from, to) {
        // A taint may prove unfounded; two people then activate again.
        (Prepared | Tainted, Active) | (Active, Tainted) | (Prepared | Active | Tainted, Revoked) => Ok(to),
        (_, Prepared)
        | (Prepared | Tainted | Revoked, Tainted)
        | (Active | Revoked, Active)
        | (Revoked, Revoked) => Err(NotAllowed::Step { from, to }),
    }
}

/// Names and keys are unique, so two names are two keys; that they are two people is for those who give them out.
fn another_than(author: &str, first: &str) -> Result<(), NotAllowed> {
    if author == first { Err(NotAllowed::SamePerson(first.to_owned())) } else { Ok(()) }
}

impl State {
    /// Judges the act of `author` in record number `record` (from 1) at `at_ms`, and does it.
    ///
    /// # Errors
    /// [`NotAllowed`]; the state is as it was.
    pub fn apply(&self, record: usize, author: &str, at_ms: i64, act: &Act) -> Result<Self, NotAllowed> {
        let mut next = self.clone();
        next.apply_in_place(record, author, at_ms, act)?;
        Ok(next)
    }

    /// As [`State::apply`], for a reader of a long log: the state is not copied for each record.
    ///
    /// # Errors
    /// [`NotAllowed`]; the state is then good for nothing.
    pub(super) fn apply_in_place(
        &mut self,
        record: usize,
        author: &str,
        at_ms: i64,
        act: &Act,
    ) -> Result<(), NotAllowed> {
        let next = self;
        if let Act::Adopt { trust_toml, domains, administrators } = act {
            if record != 1 || !next.administrators.is_empty() {
                return Err(NotAllowed::Adoption);
            }
            for administrator in administrators {
                next.add_administrator(administrator)?;
            }
            next.each_role_is_held()?;
            next.role_of(author)?;
            for domain in domains {
                next.check_domain(domain)?;
                next.domains.insert(domain.name.clone(), domain.clone());
            }
            next.trust_toml.clone_from(trust_toml);
            next.unconfirmed.insert(record, Waiting { by: author.to_owned(), at_ms, change: None });
            return Ok(());
        }
        if record == 1 {
            return Err(NotAllowed::Adoption);
        }
        let role = next.role_of(author)?;
        let wrong = |needed| NotAllowed::WrongRole { name: author.to_owned(), role, needed };
        match act {
            Act::Adopt { .. } => return Err(NotAllowed::Adoption),
            Act::Propose { change } => {
                if role != Role::System {
                    return Err(wrong("system"));
                }
                // What could not be done now is refused now, not when somebody approves it.
                next.with(change)?;
                let waiting = Waiting { by: author.to_owned(), at_ms, change: Some(change.clone()) };
                next.proposals.insert(record, waiting);
            }
            Act::Approve { proposal } => {
                if role != Role::Security {
                    return Err(wrong("security"));
                }
                let waiting = next.proposals.remove(proposal).ok_or(NotAllowed::NothingWaits(*proposal))?;
                another_than(author, &waiting.by)?;
                next.change(&waiting.change.ok_or(NotAllowed::NothingWaits(*proposal))?)?;
            }
            Act::Decline { proposal } => {
                if role == Role::Audit {
                    return Err(wrong("system or security"));
                }
                next.proposals.remove(proposal).ok_or(NotAllowed::NothingWaits(*proposal))?;
            }
            Act::Emergency { change } => {
                if role == Role::Audit {
                    return Err(wrong("system or security"));
                }
                if !change.only_takes_away() {
                    return Err(NotAllowed::NeedsTwo);
                }
                next.change(change)?;
                let waiting = Waiting { by: author.to_owned(), at_ms, change: Some(change.clone()) };
                next.unconfirmed.insert(record, waiting);
            }
            Act::Confirm { record } => {
                if role == Role::Audit {
                    return Err(wrong("system or security"));
                }
                let waiting = next.unconfirmed.remove(record).ok_or(NotAllowed::NothingWaits(*record))?;
                another_than(author, &waiting.by)?;
            }
            Act::CrlImport { domain, crl } => {
                if role == Role::Audit {
                    return Err(wrong("system or security"));
                }
                let domain = next.domain(domain)?;
                if !domain.crl {
                    return Err(NotAllowed::Unfit(format!("{} has no revocation lists", domain.name)));
                }
                match domain.crls.iter_mut().find(|known| known.file == crl.file) {
                    Some(known) if known.this_update_ms > crl.this_update_ms => {
                        return Err(NotAllowed::Unfit("an older list than the present one".into()));
                    }
                    Some(known) => *known = crl.clone(),
                    None => domain.crls.push(crl.clone()),
                }
            }
            Act::Review { through } => {
                if role != Role::Audit {
                    return Err(wrong("audit"));
                }
                if *through >= record || *through < next.reviewed {
                    return Err(NotAllowed::NothingWaits(*through));
                }
                next.reviewed = *through;
            }
        }
        Ok(())
    }

    /// The state with one change, as if it were approved.
    ///
    /// # Errors
    /// [`NotAllowed::Unfit`] or [`NotAllowed::Step`] when the change does not fit.
    pub fn with(&self, change: &Change) -> Result<Self, NotAllowed> {
        let mut next = self.clone();
        next.change(change)?;
        Ok(next)
    }

    fn role_of(&self, name: &str) -> Result<Role, NotAllowed> {
        let known = self.administrators.get(name);
        known.map(|known| known.role).ok_or_else(|| NotAllowed::UnknownAdministrator(name.to_owned()))
    }

    fn each_role_is_held(&self) -> Result<(), NotAllowed> {
        for role in [Role::System, Role::Security, Role::Audit] {
            if !self.administrators.values().any(|known| known.role == role) {
                return Err(NotAllowed::Administrators(format!("nobody is {role} administrator")));
            }
        }
        Ok(())
    }

    fn add_administrator(&mut self, new: &Administrator) -> Result<(), NotAllowed> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=32).contains(&new.name.len()) || !new.name.bytes().all(plain) {
            return Err(NotAllowed::Administrators("a name is 1 to 32 of a-z, 0-9 and hyphen".into()));
        }
        if super::log::raw_key(&new.key).is_none() {
            return Err(NotAllowed::Administrators(format!("the key of {} is not Ed25519", new.name)));
        }
        if self.administrators.values().any(|known| known.key == new.key || known.name == new.name) {
            return Err(NotAllowed::Administrators(format!("{} or its key is there already", new.name)));
        }
        self.administrators.insert(new.name.clone(), new.clone());
        Ok(())
    }

    fn domain(&mut self, name: &str) -> Result<&mut DomainRecord, NotAllowed> {
        self.domains.get_mut(name).ok_or_else(|| NotAllowed::Unfit(format!("no trust domain {name}")))
    }

    fn check_domain(&self, new: &DomainRecord) -> Result<(), NotAllowed> {
        let unfit = |reason: String| Err(NotAllowed::Unfit(reason));
        if new.name.parse::<DomainName>().is_err() {
            return unfit(format!("{:?} is no domain name", new.name));
        }
        if self.domains.contains_key(&new.name) {
            return unfit(format!("{} is there already", new.name));
        }
        if new.anchors.is_empty() {
            return unfit("a domain needs a root".into());
        }
        for anchor in &new.anchors {
            self.check_anchor(anchor)?;
        }
        self.check_prefixes(&new.name, &new.divisions)
    }

    fn check_anchor(&self, new: &AnchorRecord) -> Result<(), NotAllowed> {
        let anchors = self.domains.values().flat_map(|domain| &domain.anchors);
        if anchors.clone().any(|known| known.fingerprint == new.fingerprint) {
            return Err(NotAllowed::Unfit("this root is there already".into()));
        }
        Ok(())
    }

    /// Disjoint from those of every other domain, and from each other.
    fn check_prefixes(&self, name: &str, divisions: &[String]) -> Result<(), NotAllowed> {
        let mut taken: Vec<(&str, DivisionPrefix)> = Vec::new();
        let others = self.domains.values().filter(|domain| domain.name != name);
        for (owner, text) in others
            .flat_map(|domain| domain.divisions.iter().map(|text| (domain.name.as_str(), text)))
            .chain(divisions.iter().map(|text| (name, text)))
        {
            let prefix: DivisionPrefix =
                text.parse().map_err(|error| NotAllowed::Unfit(format!("{error}")))?;
            if owner == name
                && let Some((other, known)) = taken.iter().find(|(_, known)| known.overlaps(&prefix))
            {
                return Err(NotAllowed::Unfit(format!("prefix {prefix} overlaps {known} of {other}")));
            }
            taken.push((owner, prefix));
        }
        if divisions.is_empty() {
            return Err(NotAllowed::Unfit("a domain needs a division prefix".into()));
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Result<(), NotAllowed> {
        match change {
            Change::DomainAdd { domain } => {
                self.check_domain(domain)?;
                if domain.anchors.iter().any(|anchor| anchor.state != AnchorState::Prepared) {
                    return Err(NotAllowed::Unfit("a new root begins as prepared".into()));
                }
                self.domains.insert(domain.name.clone(), domain.clone());
            }
            Change::DomainRemove { domain } => {
                self.domain(domain)?;
                self.domains.remove(domain);
            }
            Change::DomainPrefixes { domain, divisions } => {
                self.domain(domain)?;
                self.check_prefixes(domain, divisions)?;
                self.domain(domain)?.divisions.clone_from(divisions);
            }
            Change::AnchorImport { domain, anchor } => {
                self.check_anchor(anchor)?;
                if anchor.state != AnchorState::Prepared {
                    return Err(NotAllowed::Unfit("a new root begins as prepared".into()));
                }
                self.domain(domain)?.anchors.push(anchor.clone());
            }
            Change::AnchorState { domain, fingerprint, state, compromised_from_ms } => {
                let anchors = &mut self.domain(domain)?.anchors;
                let anchor = anchors
                    .iter_mut()
                    .find(|anchor| anchor.fingerprint == *fingerprint)
                    .ok_or_else(|| NotAllowed::Unfit(format!("no root {fingerprint} in {domain}")))?;
                anchor.state = step(anchor.state, *state)?;
                anchor.compromised_from_ms = compromised_from_ms.filter(|_| *state == AnchorState::Revoked);
            }
            Change::NodeAdd { domain, nodes } => {
                let domain = self.domain(domain)?;
                check_nodes(domain, nodes)?;
                let listed = domain.nodes.get_or_insert_default();
                if nodes.iter().all(|(division, keys)| listed.get(division) == Some(keys)) {
                    return Err(NotAllowed::Unfit("these nodes are listed already, with these keys".into()));
                }
                listed.extend(nodes.clone());
                if listed.len() > NODES_MAX {
                    return Err(NotAllowed::Unfit(format!("more than {NODES_MAX} nodes")));
                }
            }
            Change::NodeRemove { domain, divisions } => {
                let domain = self.domain(domain)?;
                let name = &domain.name;
                let listed = domain.nodes.as_mut().ok_or_else(|| {
                    NotAllowed::Unfit(format!("{name} lists no nodes; to shut one out, suspend it"))
                })?;
                for division in divisions {
                    if listed.remove(division).is_none() {
                        return Err(NotAllowed::Unfit(format!("{division} is not listed")));
                    }
                }
            }
            Change::NodeAny { domain } => {
                let domain = self.domain(domain)?;
                if domain.nodes.take().is_none() {
                    return Err(NotAllowed::Unfit(format!("{} lists no nodes", domain.name)));
                }
            }
            Change::NodeSuspend { domain, division } => {
                let domain = self.domain(domain)?;
                speaks_for(domain, division)?;
                if domain.suspended.contains(division) {
                    return Err(NotAllowed::Unfit(format!("{division} is suspended already")));
                }
                domain.suspended.push(division.clone());
            }
            Change::NodeResume { domain, division } => {
                let suspended = &mut self.domain(domain)?.suspended;
                let before = suspended.len();
                suspended.retain(|known| known != division);
                if suspended.len() == before {
                    return Err(NotAllowed::Unfit(format!("{division} is not suspended")));
                }
            }
            Change::AdministratorAdd { administrator } => self.add_administrator(administrator)?,
            Change::AdministratorRemove { name } => {
                self.role_of(name)?;
                self.administrators.remove(name);
                self.each_role_is_held()?;
            }
        }
        Ok(())
    }
}

fn speaks_for(domain: &DomainRecord, division: &str) -> Result<(), NotAllowed> {
    let code: Division = division.parse().map_err(|error| NotAllowed::Unfit(format!("{error}")))?;
    let covers = |text: &String| text.parse::<DivisionPrefix>().is_ok_and(|prefix| prefix.covers(code));
    if !domain.divisions.iter().any(covers) {
        return Err(NotAllowed::Unfit(format!("{} does not speak for {division}", domain.name)));
    }
    Ok(())
}

fn check_nodes(domain: &DomainRecord, nodes: &NodeKeys) -> Result<(), NotAllowed> {
    if nodes.is_empty() {
        return Err(NotAllowed::Unfit("no node is named".into()));
    }
    for (division, keys) in nodes {
        speaks_for(domain, division)?;
        if keys.len() > NODE_KEYS_MAX {
            return Err(NotAllowed::Unfit(format!("more than {NODE_KEYS_MAX} keys of {division}")));
        }
        if !keys.iter().all(|key| from_hex(key).is_some_and(|digest| digest.len() == 32)) {
            return Err(NotAllowed::Unfit(format!("a key of {division} is no SHA-256 in hex")));
        }
    }
    Ok(())
}
