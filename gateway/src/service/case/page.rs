//! The table of a case for people: one page and one diagram, written from the same rows that judge. The
//! page and the picture are committed in `node/docs`; a test holds them to the table.

use super::state::CaseState::{self, *};
use super::table::{Row, To, rows};
use super::{Act, EXTENSION_WORKING_DAYS_MAX};
use crate::id::{Kind, Owner};
use crate::service::agreement::Mode;
use std::fmt::Write as _;

/// The diagram's file beside the page.
pub const DIAGRAM_FILE: &str = "case-states.svg";

/// Acts whose edges would hide all others: the page's table says where they are allowed.
const OF_MANY_STATES: &[Kind] = &[Kind::CaseWithdrawConfirm, Kind::CaseSuspend, Kind::CaseVoid];

/// Columns and rows of the diagram, in boxes.
const PLACES: &[(CaseState, u32, u32)] = &[
    (Unopened, 0, 1),
    (Received, 1, 1),
    (Forwarded, 2, 1),
    (SignedFor, 3, 1),
    (Accepted, 4, 1),
    (UnderReview, 5, 1),
    (Granted, 6, 1),
    (LicenceIssued, 7, 1),
    (InDelivery, 8, 1),
    (Delivered, 9, 1),
    (Closed, 10, 1),
    (SpecialProcedure, 5, 0),
    (SupplementRequested, 3, 2),
    (Returned, 2, 2),
    (Rejected, 4, 2),
    (Transferred, 5, 2),
    (Denied, 6, 2),
    (SupplementLapsed, 3, 3),
    (Withdrawn, 10, 3),
    (Suspended, 1, 4),
    (Voided, 5, 4),
];

const BOX_WIDTH: u32 = 96;
const BOX_HEIGHT: u32 = 44;
const COLUMN: u32 = 136;
const ROW: u32 = 112;
const MARGIN: u32 = 24;
const TOP: u32 = 72;

/// Whose an act is, in Chinese.
fn owner_zh(owner: Owner) -> &'static str {
    match owner {
        Owner::Receiving => "收件地",
        Owner::Competent => "属地",
        Owner::Either => "双方",
        Owner::Control => "—",
    }
}

fn owner_letter(owner: Owner) -> &'static str {
    match owner {
        Owner::Receiving => "R",
        Owner::Competent => "C",
        Owner::Either => "E",
        Owner::Control => "–",
    }
}

/// The term of art of an act.
pub fn act_zh(act: Act) -> &'static str {
    let Act::Kind(kind) = act else { return "收件" };
    match kind {
        Kind::CaseForward => "转递",
        Kind::CaseSignFor => "业务签收",
        Kind::CaseReturn => "退件",
        Kind::CaseAccept => "受理",
        Kind::CaseReject => "不予受理",
        Kind::CaseSupplementRequest => "补正告知",
        Kind::CaseSupplementSubmit => "补正提交",
        Kind::CaseSupplementLapse => "补正不来",
        Kind::CaseReview => "审查",
        Kind::CaseGrant => "准予",
        Kind::CaseDeny => "不予",
        Kind::CaseLicence => "制证",
        Kind::CaseDispatch => "送达中",
        Kind::CaseDeliver => "已送达（窗口）",
        Kind::CaseWithdrawAsk => "撤回申请",
        Kind::CaseWithdrawConfirm => "撤回确认",
        Kind::CaseClose => "办结",
        Kind::CaseRate => "好差评",
        Kind::CaseAcceptDeemed => "视为受理",
        Kind::CaseSpecialBegin => "特别程序开始",
        Kind::CaseSpecialEnd => "特别程序结束",
        Kind::CaseTransfer => "转报",
        Kind::CaseDeliverDirect => "已送达（属地）",
        Kind::CaseSuspend => "挂起",
        Kind::CaseResume => "恢复办理",
        Kind::CaseVoid => "作废",
        Kind::CaseJointPlan => "联办分派",
        Kind::CaseJointReport => "联办结果",
        Kind::CaseAlert => "监察预警",
        Kind::CaseSupervise => "督办",
        Kind::CaseSuperviseReply => "督办回复",
        other => other.name(),
    }
}

/// The page, Markdown, in both languages.
pub fn markdown() -> String {
    let mut page = String::new();
    let mut line = |text: &str| {
        page.push_str(text);
        page.push('\n');
    };
    line("# 办件的一生 The life of a case");
    line("");
    line(
        "本页由程序中的同一张表写出（`cargo run -p gateway --example make_case_page`），这张表也是节点裁决每一环节的依据。This page is written from the table by which nodes judge every act.",
    );
    line("");
    line(&format!("![办件状态图 states of a case]({DIAGRAM_FILE})"));
    line("");
    line(
        "蓝色：收件地所为；黑色：属地所为。撤回、挂起、作废可由多种状态进入，只在下表写明。Blue: acts of the receiving place; black: of the competent place. Withdrawal, suspension and voiding begin in many states and stand in the table only.",
    );
    line("");
    line("## 三种方式 Three modes");
    line("");
    line(
        "| 代码 | 方式 | 与异地代收代办的不同 | how it differs |\n|---|---|---|---|\n| YDDS | 异地代收代办 | — | — |\n| QCWB | 全程网办 | 不收纸质材料；由属地直接送达，不经窗口 | nothing on paper; the competent place delivers itself, no window does |\n| DDLB | 多地联办 | 牵头地为属地，分派子件、报其结果，全部办结方可准予；子件为牵头地与协办地之间的另一办件，写明母件 | the leading place is the competent one: it hands out sub-tasks, reports their outcomes, and grants when all have ended; a sub-task is a case of its own between leading and assisting place and names its parent |",
    );
    line("");
    line("## 环节 Acts");
    line("");
    line(
        "归属：R 收件地，C 属地，E 双方。除所列代码外，非权属方所为一律 `case.wrong_role`，状态不许一律 `case.wrong_state`，无此办件 `case.unknown`。Owner: R receiving place, C competent place, E either. Besides the codes listed, an act that is not its author's is `case.wrong_role`, one that the state does not allow `case.wrong_state`, one of no case `case.unknown`.",
    );
    line("");
    line("| 环节 act | 种类 kind | 归属 | 状态 in | 至 to | 方式 | 条件 condition | 代码 codes |");
    line("|---|---|---|---|---|---|---|---|");
    for row in rows() {
        line(&table_row(row));
    }
    line("");
    line("## 状态 States");
    line("");
    line("| 名称 name | 状态 | 终态 final |");
    line("|---|---|---|");
    for state in CaseState::ALL {
        let last = if state.is_final() { "✓" } else { "" };
        line(&format!("| `{state}` | {} | {last} |", state.zh()));
    }
    line("");
    line("## 次序、迟到与作废 Order, lateness and tombstones");
    line("");
    line(
        "两地的事实按同一次序合并（属地优先，其次序号）；不合状态的事实留在经过中，注明代码，不生效力，也不丢弃。作废只改状态：办件的经过、双方回执与证据都在。Both places' facts are merged in one order (owner first, then index); what the state does not allow stays in the timeline with its code, has no effect and is never dropped. Voiding changes the state alone: timeline, receipts and evidence stay.",
    );
    line("");
    line(&format!(
        "延长审批至多 {EXTENSION_WORKING_DAYS_MAX} 个工作日（行政许可法第四十二条）；特别程序所需时间不计入期限（第四十五条）。A longer term is at most {EXTENSION_WORKING_DAYS_MAX} working days (art. 42); time of special procedures does not count (art. 45)."
    ));
    page
}

fn table_row(row: &Row) -> String {
    let states = |states: &[CaseState]| states.iter().map(|state| state.zh()).collect::<Vec<_>>().join("、");
    let to = match row.to {
        To::State(next) => next.zh(),
        To::Same => "不变",
        To::Back => "原状态",
    };
    let modes = if row.modes.len() == Mode::ALL.len() {
        "全部".to_owned()
    } else {
        row.modes.iter().map(|mode| mode.code()).collect::<Vec<_>>().join(" ")
    };
    let condition = match (row.condition_zh, row.condition_en) {
        ("", "") => String::new(),
        (zh, en) => format!("{zh} · {en}"),
    };
    let codes = row.codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(" ");
    format!(
        "| {} | `{}` | {} {} | {} | {to} | {modes} | {condition} | {codes} |",
        act_zh(row.act),
        row.act,
        owner_letter(row.act.owner()),
        owner_zh(row.act.owner()),
        states(row.from),
    )
}

/// The diagram, SVG: every state, and every act that leads from one to another.
pub fn diagram() -> String {
    let mut svg = String::new();
    let width = MARGIN * 2 + COLUMN * 10 + BOX_WIDTH;
    let height = TOP + ROW * 4 + BOX_HEIGHT + MARGIN;
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif">
<title>办件状态图 States of a case</title>
<defs>
<marker id="competent" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#222"/></marker>
<marker id="receiving" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#1f5fbf"/></marker>
</defs>
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="{MARGIN}" y="30" font-size="18" font-weight="bold">办件状态图 States of a case</text>
<text x="{MARGIN}" y="50" font-size="12" fill="#1f5fbf">— 收件地 receiving place</text>
<text x="{}" y="50" font-size="12" fill="#222">— 属地 competent place</text>
"##,
        MARGIN + 180
    );
    for row in rows() {
        let To::State(next) = row.to else { continue };
        if matches!(row.act, Act::Kind(kind) if OF_MANY_STATES.contains(&kind)) {
            continue;
        }
        // a second act between the same two states shares the first one's line
        for from in row.from.iter().filter(|from| **from != next) {
            let first = rows().iter().find(|other| other.to == row.to && other.from.contains(from));
            if first.is_some_and(|first| first.act == row.act) {
                edge(&mut svg, row, *from, next);
            }
        }
    }
    for (state, column, row) in PLACES {
        node(&mut svg, *state, *column, *row);
    }
    svg.push_str("</svg>\n");
    svg
}

fn corner(state: CaseState) -> (u32, u32) {
    let (_, column, row) = PLACES
        .iter()
        .find(|(placed, _, _)| *placed == state)
        .expect("every state has its place: a test below");
    (MARGIN + column * COLUMN, TOP + row * ROW)
}

fn node(svg: &mut String, state: CaseState, column: u32, row: u32) {
    let (x, y) = (MARGIN + column * COLUMN, TOP + row * ROW);
    let (fill, dash) = match state {
        state if state.is_final() => ("#e6e6e6", ""),
        Suspended => ("#fff7e0", r#" stroke-dasharray="4 3""#),
        Granted | LicenceIssued | InDelivery | Delivered => ("#e7f5e9", ""),
        Rejected | Denied | SupplementLapsed | Withdrawn => ("#fdecea", ""),
        _ => ("#eef3fb", ""),
    };
    let (middle, zh, name) = (x + BOX_WIDTH / 2, y + 20, y + 36);
    let _ = writeln!(
        svg,
        r##"<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" fill="{fill}" stroke="#444"{dash}/><text x="{middle}" y="{zh}" font-size="14" text-anchor="middle">{}</text><text x="{middle}" y="{name}" font-size="9" text-anchor="middle" fill="#555">{state}</text>"##,
        state.zh()
    );
    let from = rows().iter().find(|row| {
        row.to == To::State(state) && matches!(row.act, Act::Kind(kind) if OF_MANY_STATES.contains(&kind))
    });
    if let Some(row) = from {
        let below = y + BOX_HEIGHT + 14;
        let _ = writeln!(
            svg,
            r##"<text x="{middle}" y="{below}" font-size="10" text-anchor="middle" fill="#555">{}：{} 种状态</text>"##,
            act_zh(row.act),
            row.from.len()
        );
    }
}

fn edge(svg: &mut String, row: &Row, from: CaseState, to: CaseState) {
    let ((x1, y1), (x2, y2)) = (corner(from), corner(to));
    let (colour, marker) = match row.act.owner() {
        Owner::Receiving => ("#1f5fbf", "receiving"),
        Owner::Competent | Owner::Either | Owner::Control => ("#222", "competent"),
    };
    let half = BOX_HEIGHT / 2;
    let (path, label) = if y1 == y2 && x2 > x1 && x2 - x1 <= COLUMN {
        let (a, b, y) = (x1 + BOX_WIDTH, x2, y1 + half);
        (format!("M{a} {y}L{b} {y}"), ((a + b) / 2, y - 5))
    } else if y1 == y2 {
        // over the boxes between
        let (a, b) = (x1 + BOX_WIDTH / 2, x2 + BOX_WIDTH / 2);
        let above = y1 - 40;
        (format!("M{a} {y1}C{a} {above} {b} {above} {b} {y1}"), ((a + b) / 2, y1 - 33))
    } else if x1 == x2 {
        // down on the left, up on the right: a pair does not lie on itself
        let down = y2 > y1;
        let x = if down { x1 + BOX_WIDTH / 3 } else { x1 + 2 * BOX_WIDTH / 3 };
        let (a, b) = if down { (y1 + BOX_HEIGHT, y2) } else { (y1, y2 + BOX_HEIGHT) };
        let aside = if down { x - 26 } else { x + 26 };
        (format!("M{x} {a}L{x} {b}"), (aside, (a + b) / 2 + if down { 0 } else { 12 }))
    } else if y2 > y1 {
        let (a, b, c, d) = (x1 + 3 * BOX_WIDTH / 4, y1 + BOX_HEIGHT, x2 + BOX_WIDTH / 2, y2);
        (format!("M{a} {b}L{c} {d}"), ((a + c) / 2, (b + d) / 2))
    } else {
        let (a, b, c, d) = (x1 + BOX_WIDTH, y1 + half, x2 + BOX_WIDTH / 2, y2 + BOX_HEIGHT);
        (format!("M{a} {b}C{c} {b} {c} {b} {c} {d}"), (a + 24, b - 5))
    };
    let (x, y) = label;
    let _ = writeln!(
        svg,
        r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4" marker-end="url(#{marker})"/><text x="{x}" y="{y}" font-size="10" text-anchor="middle" fill="{colour}">{}</text>"#,
        act_zh(row.act)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_act_stands_on_the_page_and_every_state_in_the_picture() {
        let (page, picture) = (markdown(), diagram());
        for state in CaseState::ALL {
            assert_eq!(PLACES.iter().filter(|(placed, _, _)| placed == state).count(), 1, "{state}");
            assert!(picture.contains(&format!(">{}</text>", state.zh())), "{state}");
            assert!(page.contains(&format!("`{state}`")), "{state}");
        }
        for act in Act::all() {
            assert!(page.contains(&format!("| `{act}` |")), "{act}");
            assert!(!act_zh(act).is_ascii(), "{act}");
        }
    }

    #[test]
    fn no_two_states_share_a_place() {
        for (place, (_, column, row)) in PLACES.iter().enumerate() {
            assert!(PLACES[..place].iter().all(|(_, c, r)| (c, r) != (column, row)));
        }
    }
}
