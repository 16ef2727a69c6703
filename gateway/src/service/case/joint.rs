//! 多地联办: a parent case that the leading place (牵头地) owns as its competent place, and sub-tasks that
//! it hands to assisting places (协办地). A sub-task is a case of its own, between the leading place,
//! which receives it, and the assisting place, which decides it on its own clock; it names its parent.
//!
//! The applicant's place sees the parent alone. So the leading place tells it there what it handed out
//! (联办分派) and how each sub-task ended (联办结果), and grants the parent only when all have ended.

use crate::id::{CaseId, NodeId};

/// Sub-tasks of one parent at most: so many authorities never met in one case yet.
pub const TASKS_MAX: usize = 32;

/// What a refused sub-task means for the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JointPolicy {
    /// The parent cannot be granted: all or nothing.
    All,
    /// The rest may be granted.
    Partial,
}

impl JointPolicy {
    /// The stable name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Partial => "partial",
        }
    }

    /// The policy of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::All, Self::Partial].into_iter().find(|policy| policy.name() == name)
    }
}

/// How a sub-task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskOutcome {
    /// 准予, or done where nothing is granted.
    Granted,
    /// 不予, 不予受理 or 退件.
    Denied,
    /// 撤回 or 作废.
    Withdrawn,
}

impl TaskOutcome {
    /// Every outcome.
    pub const ALL: &'static [Self] = &[Self::Granted, Self::Denied, Self::Withdrawn];

    /// The stable name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The outcome of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|outcome| outcome.name() == name)
    }
}

/// A sub-task as the leading place handed it out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JointTask {
    /// The sub-task's own number.
    pub case: CaseId,
    /// 协办地.
    pub assisting: NodeId,
    /// The item it does.
    pub item: String,
    /// Working days it has.
    pub working_days: u32,
}

/// The sub-tasks of a parent and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JointPlan {
    /// What a refused one means.
    pub policy: JointPolicy,
    /// Each with its outcome; `None`: not ended.
    pub tasks: Vec<(JointTask, Option<TaskOutcome>)>,
}

impl JointPlan {
    /// Sub-tasks that have not ended.
    pub fn open(&self) -> usize {
        self.tasks.iter().filter(|(_, outcome)| outcome.is_none()).count()
    }

    /// Whether the parent may be granted: all have ended, and as the policy wants.
    pub fn may_be_granted(&self) -> bool {
        let granted = |outcome: &Option<TaskOutcome>| *outcome == Some(TaskOutcome::Granted);
        let mut outcomes = self.tasks.iter().map(|(_, outcome)| outcome);
        self.open() == 0
            && match self.policy {
                JointPolicy::All => outcomes.all(granted),
                JointPolicy::Partial => outcomes.any(granted),
            }
    }
}

/// Whether the tasks can be handed out: at least one, not too many, none twice, none to nobody.
pub(super) fn well_formed(tasks: &[JointTask]) -> bool {
    (1..=TASKS_MAX).contains(&tasks.len())
        && tasks.iter().enumerate().all(|(place, task)| {
            !task.item.trim().is_empty() && tasks[..place].iter().all(|earlier| earlier.case != task.case)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(policy: JointPolicy, outcomes: &[Option<TaskOutcome>]) -> JointPlan {
        let task = |number: usize| JointTask {
            case: format!("sub-{number}").parse().unwrap(),
            assisting: "421200".parse().unwrap(),
            item: "KST028".into(),
            working_days: 5,
        };
        JointPlan { policy, tasks: outcomes.iter().enumerate().map(|(n, o)| (task(n), *o)).collect() }
    }

    #[test]
    fn a_parent_is_granted_when_all_sub_tasks_have_ended_as_the_policy_wants() {
        use TaskOutcome::{Denied, Granted};
        for (policy, outcomes, may) in [
            (JointPolicy::All, &[Some(Granted), Some(Granted)][..], true),
            (JointPolicy::All, &[Some(Granted), None], false),
            (JointPolicy::All, &[Some(Granted), Some(Denied)], false),
            (JointPolicy::Partial, &[Some(Granted), Some(Denied)], true),
            (JointPolicy::Partial, &[Some(Granted), None], false),
            (JointPolicy::Partial, &[Some(Denied), Some(Denied)], false),
        ] {
            assert_eq!(plan(policy, outcomes).may_be_granted(), may, "{policy:?} {outcomes:?}");
        }
    }

    #[test]
    fn no_task_is_handed_out_twice_or_to_too_many() {
        let task = plan(JointPolicy::All, &[None]).tasks.remove(0).0;
        assert!(well_formed(std::slice::from_ref(&task)));
        assert!(!well_formed(&[]));
        assert!(!well_formed(&[task.clone(), task.clone()]));
        assert!(!well_formed(&[JointTask { item: " ".into(), ..task }]));
    }
}
