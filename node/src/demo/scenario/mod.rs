//! `tongban demo --scenario NAME`: one system of cross-province handling at a time, told step by step on
//! two real nodes, with what must hold checked at its end. `--scenario list` names them, `all` runs
//! every one on the same two nodes; the test `scenarios` does that.
//!
//! `stage` is the two places and what they agreed; `modes` and `acts` are the scenarios.

mod acts;
mod modes;
mod stage;

use super::DemoArgs;
use super::desk::{Desk, PATIENCE};
use super::error::{DemoError, within};
use super::narrate::{Moment, Narrator};
use super::place::{XIANNING, YUEYANG};
use super::rig::{READY, Rig};
use gateway::time::UnixMillis;
use stage::Stage;
use std::collections::BTreeMap;
use std::io::Write as _;

/// A scenario: its name, what it shows, and who plays it.
struct Scenario {
    name: &'static str,
    zh: &'static str,
    en: &'static str,
    play: Play,
}

/// Who plays a scenario.
#[derive(Clone, Copy)]
enum Play {
    Window,
    Online,
    Joint,
    Items,
    Deemed,
    Special,
    Withdrawn,
    Suspended,
    Voided,
    Returned,
    Transferred,
    Supervised,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "window",
        zh: "异地代收代办：收受分离，收件地不得决定",
        en: "异地代收代办: received here, decided there; the receiving place never decides",
        play: Play::Window,
    },
    Scenario {
        name: "online",
        zh: "全程网办：不收纸质材料，属地直接送达",
        en: "全程网办: nothing on paper, the competent place delivers itself",
        play: Play::Online,
    },
    Scenario {
        name: "joint",
        zh: "多地联办：母件、子件、各自时限，子件未结不得准予",
        en: "多地联办: a parent and its sub-task; no grant before the sub-task has ended",
        play: Play::Joint,
    },
    Scenario {
        name: "items",
        zh: "71 个事项各按其方式办一件",
        en: "a case of each of the 71 items in its mode",
        play: Play::Items,
    },
    Scenario {
        name: "deemed",
        zh: "视为受理：五日不答复即为受理，未满不得",
        en: "视为受理: silence accepts after five working days, and not before",
        play: Play::Deemed,
    },
    Scenario {
        name: "special",
        zh: "特别程序：停止计时与延长审批",
        en: "特别程序: the clock stands still; the limit is lengthened once",
        play: Play::Special,
    },
    Scenario {
        name: "withdrawal",
        zh: "撤回：申请人经收件地申请，属地确认",
        en: "撤回: asked for through the receiving place, confirmed by the competent one",
        play: Play::Withdrawn,
    },
    Scenario {
        name: "suspension",
        zh: "挂起与恢复：回到原状态",
        en: "挂起: suspended, and back to where it stood",
        play: Play::Suspended,
    },
    Scenario {
        name: "void",
        zh: "作废：经过留存，迟到的环节停放不生效",
        en: "作废: the timeline stays, nothing more takes effect",
        play: Play::Voided,
    },
    Scenario {
        name: "return",
        zh: "退件：写明代码与理由",
        en: "退件: with code and reason",
        play: Play::Returned,
    },
    Scenario {
        name: "transfer",
        zh: "转报：报上级机关后办结",
        en: "转报: to a higher authority, then closed",
        play: Play::Transferred,
    },
    Scenario {
        name: "supervision",
        zh: "电子监察：剩余工作日、预警、督办与回复",
        en: "行政效能电子监察: working days left, alert, 督办 and its answer",
        play: Play::Supervised,
    },
];

/// Runs one scenario, all of them, or names them; whether every promise held.
///
/// # Errors
/// What kept it from its end; an unknown name.
pub(super) async fn run(name: &str, args: &DemoArgs, chinese: bool, json: bool) -> Result<bool, DemoError> {
    if name == "list" {
        list(chinese, json);
        return Ok(true);
    }
    let wanted: Vec<_> = SCENARIOS.iter().filter(|known| name == "all" || known.name == name).collect();
    if wanted.is_empty() {
        return Err(DemoError::NoScenario(name.to_owned()));
    }
    let narrator = Narrator::new(chinese, json);
    let now = gateway::clock::Clock::now(&gateway::clock::SystemClock);
    let mut rig =
        Rig::build(args.keep.as_deref(), i64::try_from(now.0).unwrap_or(i64::MAX), args.suite.key())?;
    let outcome = tokio::select! {
        outcome = play(&wanted, args, &mut rig, now, &narrator) => outcome,
        interrupted = super::interruption() => Err(interrupted),
    };
    rig.stop().await?;
    let checks = match outcome {
        Ok(checks) => checks,
        Err(error) => {
            if !matches!(error, DemoError::Interrupted) {
                rig.keep_folder();
                let folder = rig.folder().display();
                narrator.tell(Moment::note(
                    format!("演示未能完成，日志保留在 {folder}"),
                    format!("the demo did not come to its end; the logs stay in {folder}"),
                ));
            }
            return Err(error);
        }
    };
    let held = checks.values().all(|checks| checks.iter().all(|check| check.held));
    for (scenario, checks) in &checks {
        for check in checks.iter().filter(|check| !check.held) {
            let what = &check.what;
            narrator.tell(Moment::note(
                format!("未守住：{scenario} {what}"),
                format!("did not hold: {scenario} {what}"),
            ));
        }
    }
    if json {
        let object = serde_json::json!({ "held": held, "scenarios": checks });
        // a reader that closed the pipe has what it wanted
        let _ = writeln!(std::io::stdout(), "{object}");
    }
    Ok(held)
}

fn list(chinese: bool, json: bool) {
    let mut out = std::io::stdout();
    for Scenario { name, zh, en, .. } in SCENARIOS {
        // a reader that closed the pipe has what it wanted
        let _ = if json {
            writeln!(out, "{}", serde_json::json!({ "name": name, "zh": zh, "en": en }))
        } else {
            writeln!(out, "{name:<12} {}", if chinese { zh } else { en })
        };
    }
}

/// Something that must hold.
#[derive(Debug, serde::Serialize)]
struct Check {
    what: String,
    held: bool,
}

async fn play(
    wanted: &[&Scenario],
    args: &DemoArgs,
    rig: &mut Rig,
    now: UnixMillis,
    narrator: &Narrator,
) -> Result<BTreeMap<&'static str, Vec<Check>>, DemoError> {
    for node in [&mut rig.xianning, &mut rig.yueyang] {
        node.give("calendar.csv", &stage::calendar(now))?;
        node.configure("\n[calendar]\nfile = \"calendar.csv\"\n")?;
        node.start(READY).await?;
    }
    let yueyang = Desk::at(&YUEYANG, &XIANNING, &rig.yueyang.socket());
    let xianning = Desk::at(&XIANNING, &YUEYANG, &rig.xianning.socket());
    within(PATIENCE, "the two nodes to meet", super::met(&yueyang, &xianning)).await?;
    let mut stage = Stage::set(yueyang, xianning, args.suite, now, narrator).await?;
    let mut checks = BTreeMap::new();
    for scenario in wanted {
        narrator.heading(scenario.zh, scenario.en);
        match scenario.play {
            Play::Window => modes::window(&mut stage).await?,
            Play::Online => modes::online(&mut stage).await?,
            Play::Joint => modes::joint(&mut stage).await?,
            Play::Items => modes::items(&mut stage).await?,
            Play::Deemed => acts::deemed(&mut stage).await?,
            Play::Special => acts::special(&mut stage).await?,
            Play::Withdrawn => acts::withdrawn(&mut stage).await?,
            Play::Suspended => acts::suspended(&mut stage).await?,
            Play::Voided => acts::voided(&mut stage).await?,
            Play::Returned => acts::returned(&mut stage).await?,
            Play::Transferred => acts::transferred(&mut stage).await?,
            Play::Supervised => acts::supervised(&mut stage).await?,
        }
        checks.insert(scenario.name, stage.take_checks());
    }
    Ok(checks)
}
