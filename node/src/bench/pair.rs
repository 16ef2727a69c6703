//! Two nodes of two provinces that have agreed on every item, and a way in by their local sockets.

use super::line::{Length, Line};
use crate::demo::catalogue::{self, ItemPlan};
use crate::demo::desk::{Desk, PATIENCE};
use crate::demo::error::within;
use crate::demo::narrate::{Moment, Narrator};
use crate::demo::place::{XIANNING, YUEYANG};
use crate::demo::rig::{READY, Rig};
use crate::demo::{DemoError, day_of, interruption, met, treaty, window};
use crate::suite::SigningSuite;
use gateway::clock::{Clock as _, SystemClock};
use gateway::codes::Date;
use gateway::time::UnixMillis;
use prost::Message as _;
use std::path::Path;

/// The two nodes, running.
pub(super) struct Pair {
    pub rig: Rig,
    /// The submitting side, 岳阳.
    pub yueyang: Desk,
    /// The deciding side, 咸宁.
    pub xianning: Desk,
    /// What every case is about.
    pub item: ItemPlan,
    /// The day of every case.
    pub day: Date,
    /// When the pair was started.
    pub now: UnixMillis,
    /// Between the two, when there is one.
    pub line: Option<Line>,
}

/// Starts a pair, measures with it, and ends both processes whatever came of it, Ctrl-C included.
pub(super) async fn with_pair<T>(
    keep: Option<&Path>,
    suite: SigningSuite,
    chinese: bool,
    measure: impl AsyncFnOnce(&mut Pair, &Narrator) -> Result<T, DemoError>,
) -> Result<T, DemoError> {
    with_far_pair(keep, suite, None, chinese, measure).await
}

/// The same with a long line between the two nodes.
pub(super) async fn with_far_pair<T>(
    keep: Option<&Path>,
    suite: SigningSuite,
    length: Option<Length>,
    chinese: bool,
    measure: impl AsyncFnOnce(&mut Pair, &Narrator) -> Result<T, DemoError>,
) -> Result<T, DemoError> {
    with_any_pair(
        keep,
        suite,
        length,
        chinese,
        |_| Ok(()),
        async |pair, (), narrator| measure(pair, narrator).await,
    )
    .await
}

/// The same, with something done to both folders before either node starts.
pub(super) async fn with_prepared_pair<P, T>(
    keep: Option<&Path>,
    suite: SigningSuite,
    chinese: bool,
    prepare: impl FnOnce(&Rig) -> Result<P, DemoError>,
    measure: impl AsyncFnOnce(&mut Pair, P, &Narrator) -> Result<T, DemoError>,
) -> Result<T, DemoError> {
    with_any_pair(keep, suite, None, chinese, prepare, measure).await
}

async fn with_any_pair<P, T>(
    keep: Option<&Path>,
    suite: SigningSuite,
    length: Option<Length>,
    chinese: bool,
    prepare: impl FnOnce(&Rig) -> Result<P, DemoError>,
    measure: impl AsyncFnOnce(&mut Pair, P, &Narrator) -> Result<T, DemoError>,
) -> Result<T, DemoError> {
    // Machines read the standard output, whatever they asked for: what is said goes beside it.
    let narrator = Narrator::new(chinese, true);
    let (mut pair, prepared) = Pair::start(keep, suite, length, prepare, &narrator).await?;
    let outcome = tokio::select! {
        outcome = measure(&mut pair, prepared, &narrator) => outcome,
        interrupted = interruption() => Err(interrupted),
    };
    pair.rig.stop().await?;
    outcome
}

impl Pair {
    /// Starts both and lets them agree.
    pub(super) async fn start<P>(
        keep: Option<&Path>,
        suite: SigningSuite,
        length: Option<Length>,
        prepare: impl FnOnce(&Rig) -> Result<P, DemoError>,
        narrator: &Narrator,
    ) -> Result<(Self, P), DemoError> {
        let now = SystemClock.now();
        let mut rig = Rig::build(keep, i64::try_from(now.0).unwrap_or(i64::MAX), suite.key())?;
        let prepared = prepare(&rig)?;
        let line = match length {
            None => None,
            Some(length) => {
                let failed = DemoError::file(Path::new("127.0.0.1"));
                let line = Line::to(rig.xianning.address(), length).await.map_err(failed)?;
                rig.yueyang.dials(rig.xianning.address(), line.address())?;
                Some(line)
            }
        };
        for node in [&mut rig.xianning, &mut rig.yueyang] {
            node.start(READY).await?;
        }
        let yueyang = Desk::at(&YUEYANG, &XIANNING, &rig.yueyang.socket());
        let xianning = Desk::at(&XIANNING, &YUEYANG, &rig.xianning.socket());
        within(PATIENCE, "the two nodes to meet", met(&yueyang, &xianning)).await?;
        let items = catalogue::items();
        let year = now.date_in_china().0;
        treaty::conclude(&items, suite, year, &yueyang, &xianning, narrator).await?;
        let (submits, decides) = (&YUEYANG, &XIANNING);
        narrator.tell(Moment::note(
            format!("两个节点就绪：{} 提交，{} 收取", submits.zh, decides.zh),
            format!("both nodes are ready: {} submits, {} receives", submits.en, decides.en),
        ));
        let item = items.into_iter().next().ok_or_else(|| DemoError::Broken("no items".into()))?;
        Ok((Self { rig, yueyang, xianning, item, day: day_of(now)?, now, line }, prepared))
    }

    /// Both nodes' processes, 岳阳's first.
    pub(super) fn processes(&self) -> Result<[u32; 2], DemoError> {
        let gone = || DemoError::Broken("a node does not run".into());
        let (yueyang, xianning) = (self.rig.yueyang.process(), self.rig.xianning.process());
        Ok([yueyang.ok_or_else(gone)?, xianning.ok_or_else(gone)?])
    }

    /// The number of the `serial`-th case.
    pub(super) fn case(&self, serial: u32) -> Result<String, DemoError> {
        catalogue::case_number(self.day, serial)
    }

    /// The payload of an application, `bytes` long: a form that is as long as it has to be.
    pub(super) fn application(&self, bytes: usize) -> Result<Vec<u8>, DemoError> {
        let case = self.case(0)?;
        let applicant = catalogue::applicant(self.item.item, 0);
        let materials =
            self.item.materials().into_iter().map(|code| catalogue::file(&case, code, 1)).collect();
        let mut application = window::application(self.item.item, &case, applicant, materials, self.now);
        let form = catalogue::form(applicant, self.item.item);
        let fill = |length: usize| {
            let mut text = String::from_utf8_lossy(&form).into_owned();
            text.truncate(text.len().saturating_sub(1));
            format!("{text},\"remark\":\"{}\"}}", "办".repeat(length / 3) + &"x".repeat(length % 3))
                .into_bytes()
        };
        application.form = fill(0).into();
        let least = application.encoded_len();
        // The length of the form is itself written with one or two bytes more; two tries find it.
        let mut length = bytes.saturating_sub(least);
        for _ in 0..3 {
            application.form = fill(length).into();
            let over = application.encoded_len() as i64 - bytes as i64;
            length = usize::try_from(length as i64 - over).unwrap_or(0);
        }
        Ok(application.encode_to_vec())
    }
}
