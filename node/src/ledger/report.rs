//! The report of a run: a page for people (charts, no external part), and tables for machines and
//! spreadsheets.

use std::fmt::Write as _;

use gateway::reconcile::books::Class;
use gateway::service::date::Date;
use gateway::time::UnixMillis;
use rust_xlsxwriter::{Format, Workbook, XlsxError};

use super::runs::{Found, Partner, Run, Standing, Total};
use crate::both;
use crate::console::Failure;
use crate::text::{Lang, catalogue};

/// Findings on the page; the tables have all.
const PAGE_FINDINGS_MAX: usize = 1000;
/// Rows of a sheet, headings left out.
const SHEET_ROWS_MAX: usize = 1_048_575;

/// What a class is called.
pub fn class(lang: Lang, name: &str) -> &str {
    let both = match Class::named(name) {
        Some(Class::LedgerOnly) => ("我有彼无（仅台账有）", "only in the ledger"),
        Some(Class::ChannelOnly) => ("彼有我无（仅通道有）", "only in the channel"),
        Some(Class::State) => ("状态不一致", "state differs"),
        Some(Class::Terms) => ("时限不一致", "limit differs"),
        Some(Class::Content) => ("内容不一致", "content differs"),
        Some(Class::InFlight) => ("在途", "in flight"),
        Some(Class::Duplicate) => ("重复", "duplicate"),
        Some(Class::Late) => ("迟到", "late"),
        None => (name, name),
    };
    lang.pick(both.0, both.1)
}

/// What a standing is called.
pub fn standing(lang: Lang, standing: Standing) -> &'static str {
    match standing {
        Standing::Break => lang.pick("差错", "break"),
        Standing::Suspected => lang.pick("待复核", "suspected"),
        Standing::Passing => lang.pick("将自行消除", "passes by itself"),
    }
}

/// Who has to act.
pub fn owner(lang: Lang, name: &str) -> &str {
    match name {
        "business_system" => lang.pick("业务系统", "business system"),
        "people" => lang.pick("双人平账", "two people"),
        "next_run" => lang.pick("下次对账", "the next run"),
        other => other,
    }
}

/// What to do.
pub fn repair(lang: Lang, name: &str) -> &str {
    match name {
        "submit" => lang.pick("由业务系统补推该办件", "the business system submits the case"),
        "import" => {
            lang.pick("业务系统按通道内容补录或更新", "the business system takes over what the channel has")
        }
        "by_hand" => lang.pick("双人核实后平账并写明理由", "two people look and decide, with a reason"),
        "remove" => lang.pick("业务系统去重", "the business system removes the double row"),
        "wait" => lang.pick("无须处理，下次再对", "nothing; the next run looks again"),
        other => other,
    }
}

/// What a field is called.
pub fn field(lang: Lang, name: &str) -> &str {
    match name {
        "state" => lang.pick("办理状态", "state"),
        "promised_working_days" => lang.pick("承诺时限（工作日）", "promised working days"),
        "item" => lang.pick("事项编码", "item"),
        "project_number" => lang.pick("办件编号（收件地）", "project number"),
        "result" => lang.pick("办结结果", "result"),
        "licence_id" => lang.pick("证照标识", "licence id"),
        "line" => lang.pick("行", "line"),
        other => other,
    }
}

/// What the third book said, in a sentence.
pub fn partner(lang: Lang, partner: &Partner) -> String {
    match partner {
        Partner::Equal => lang
            .pick(
                "两节点两个通道的副本逐条一致（根相等）。",
                "Both nodes hold equal copies of both channels (equal roots).",
            )
            .to_owned(),
        Partner::Different(breaks) => format!(
            "{}{}",
            lang.pick("两节点的副本不一致：", "The nodes' copies differ: "),
            breaks.join("; ")
        ),
        Partner::NotCompared(code) => {
            format!("{}{code}", lang.pick("未能与对方节点比对：", "The partner's copy was not compared: "))
        }
    }
}

/// The differences in one line.
pub fn differences(lang: Lang, found: &Found) -> String {
    let value = |name: &str, value: &str| {
        if value.is_empty() {
            lang.pick("（无）", "(none)").to_owned()
        } else if name == "state" {
            catalogue::state(lang, value)
        } else {
            value.to_owned()
        }
    };
    let one = |one: &super::runs::Difference| {
        format!(
            "{}: {} ↔ {}",
            field(lang, &one.field),
            value(&one.field, &one.ledger),
            value(&one.field, &one.channel)
        )
    };
    found.differences.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Horizontal bars with their numbers: readable without colour.
fn bars(title: &str, bars: &[(String, u64)]) -> String {
    const ROW: usize = 26;
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let height = bars.len() * ROW + 8;
    let mut svg = format!(
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 640 {height}\" role=\"img\" aria-label=\"{}\">",
        escaped(title),
        escaped(title)
    );
    for (place, (name, count)) in bars.iter().enumerate() {
        let y = place * ROW + 4;
        let width = (*count as f64 / most as f64 * 330.0).max(if *count > 0 { 2.0 } else { 0.0 });
        let (name, text) = (escaped(name), y + 15);
        write!(
            svg,
            "<text x=\"0\" y=\"{text}\">{name}</text><rect x=\"210\" y=\"{y}\" width=\"{width:.1}\" height=\"18\"/>\
             <text x=\"{:.1}\" y=\"{text}\">{count}</text>",
            216.0 + width
        )
        .expect("a String takes every write");
    }
    svg.push_str("</svg></figure>");
    svg
}

const STYLE: &str = "body{font:15px/1.5 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;margin:2rem auto;\
max-width:72rem;padding:0 1rem;color:#1a1f24}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}\
p.state{font-size:1.1rem;padding:.6rem 1rem;border-left:.4rem solid}p.ok{border-color:#1a7f4b;background:#eef8f2}\
p.bad{border-color:#b3261e;background:#fdf0ef}p.open{border-color:#8a6100;background:#fdf7e8}\
.figures{display:flex;flex-wrap:wrap;gap:1rem}.figures div{border:1px solid #d5dae0;border-radius:.4rem;padding:.5rem 1rem;\
min-width:8rem}.figures b{display:block;font-size:1.4rem}table{border-collapse:collapse;width:100%;font-size:.9rem}\
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #e3e7eb;overflow-wrap:anywhere}th{background:#f4f6f8}\
td.n{text-align:right;font-variant-numeric:tabular-nums}figure{margin:0 0 1rem}figcaption{font-weight:600}\
svg{width:100%;max-width:44rem;font-size:13px}svg rect{fill:#3b6ea5}.charts{display:grid;\
grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1.5rem}small{color:#59636e}\
@media print{body{margin:0}}";

/// The page.
pub fn html(lang: Lang, run: &Run) -> String {
    let mut page = String::new();
    let title =
        format!("{} {} ↔ {} · {}", lang.pick("对账报告", "Reconciliation"), run.node, run.peer, run.date);
    let (breaks, suspected) = (run.standing(Standing::Break), run.standing(Standing::Suspected));
    let equal = run.partner == Partner::Equal;
    let (class_name, verdict) = if breaks > 0 || matches!(run.partner, Partner::Different(_)) {
        ("bad", lang.pick("有差错，须处理。", "There are breaks; somebody has to act."))
    } else if suspected > 0 || !equal || run.left_out() > 0 {
        (
            "open",
            lang.pick(
                "有待复核或未比对之处，次日再对。",
                "Something is suspected or was not compared; the next run decides.",
            ),
        )
    } else {
        ("ok", lang.pick("三方账平衡。", "The three books balance."))
    };
    let write = |page: &mut String, text: &str| page.push_str(text);
    write(
        &mut page,
        &format!(
            "<!doctype html>\n<html lang=\"{}\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\"><meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>{}</title><style>{STYLE}</style>\n\
             <h1>{}</h1>\n<p class=\"state {class_name}\">{verdict}</p>\n",
            lang.pick("zh-CN", "en"),
            escaped(&title),
            escaped(&title)
        ),
    );
    let figures = [
        (lang.pick("台账行数", "rows of the ledger"), run.ledger_rows),
        (lang.pick("通道办件数", "cases in the channels"), run.channel_rows),
        (lang.pick("一致", "agree"), run.agreed),
        (lang.pick("差错", "breaks"), breaks),
        (lang.pick("待复核", "suspected"), suspected),
        (lang.pick("较上次消除", "gone since the last run"), run.cleared),
    ];
    write(&mut page, "<div class=\"figures\">");
    for (name, count) in figures {
        write(&mut page, &format!("<div><b>{count}</b>{name}</div>"));
    }
    write(&mut page, "</div>\n<h2>");
    write(&mut page, lang.pick("三本账", "Three books"));
    write(&mut page, "</h2>\n<p>");
    write(&mut page, &escaped(&partner(lang, &run.partner)));
    let cut = run.cut_off;
    write(
        &mut page,
        &format!(
            "<br>{} {}→{} {}/{}, {}→{} {}/{} · {} {}<br>{} {}</p>\n",
            lang.pick("截止位置：", "Cut-off:"),
            escaped(&run.node),
            escaped(&run.peer),
            cut.out_epoch,
            cut.out_size,
            escaped(&run.peer),
            escaped(&run.node),
            cut.in_epoch,
            cut.in_size,
            lang.pick("回执日", "receipt of"),
            Date::of(UnixMillis(cut.receipt_ms)),
            lang.pick("台账文件：", "Ledger:"),
            escaped(&run.ledger)
        ),
    );
    let by_class: Vec<(String, u64)> = Class::ALL
        .into_iter()
        .map(|of| (class(lang, of.name()).to_owned(), run.counts.get(of.name()).copied().unwrap_or(0)))
        .collect();
    let ages = [(0, 0), (1, 1), (2, 3), (4, 7), (8, 30), (31, u64::MAX)];
    let by_age: Vec<(String, u64)> = ages
        .into_iter()
        .map(|(from, to)| {
            let name = match (from, to) {
                (0, 0) => lang.pick("当日首见", "new").to_owned(),
                (from, u64::MAX) => format!("≥ {from} {}", lang.pick("天", "days")),
                (from, to) if from == to => format!("{from} {}", lang.pick("天", "day")),
                (from, to) => format!("{from}–{to} {}", lang.pick("天", "days")),
            };
            let within = run.findings.iter().filter(|found| (from..=to).contains(&found.age_days));
            (name, within.filter(|found| found.standing != Standing::Passing).count() as u64)
        })
        .collect();
    write(&mut page, "<div class=\"charts\">");
    write(&mut page, &bars(lang.pick("按差异类别", "By class"), &by_class));
    write(&mut page, &bars(lang.pick("按账龄", "By age"), &by_age));
    write(&mut page, "</div>\n");
    totals(&mut page, lang, lang.pick("控制总数：按状态", "Control totals by state"), &run.by_state, true);
    totals(&mut page, lang, lang.pick("控制总数：按事项", "Control totals by item"), &run.by_item, false);
    findings(&mut page, lang, run);
    page.push_str("</html>\n");
    page
}

fn totals(
    page: &mut String,
    lang: Lang,
    title: &str,
    totals: &std::collections::BTreeMap<String, Total>,
    states: bool,
) {
    let [name, ledger, channel, difference] =
        lang.pick(["项目", "台账", "通道", "差"], ["what", "ledger", "channel", "difference"]);
    write!(page, "<h2>{title}</h2>\n<table><tr><th>{name}<th>{ledger}<th>{channel}<th>{difference}</tr>\n")
        .expect("a String takes every write");
    for (name, total) in totals.iter().take(PAGE_FINDINGS_MAX) {
        let shown = if states { catalogue::state(lang, name) } else { name.clone() };
        let difference = i128::from(total.ledger) - i128::from(total.channel);
        writeln!(
            page,
            "<tr><td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{difference:+}</tr>",
            escaped(&shown),
            total.ledger,
            total.channel
        )
        .expect("a String takes every write");
    }
    page.push_str("</table>\n");
}

/// Headings of what [`cells`] gives.
fn finding_headings(lang: Lang) -> [&'static str; 9] {
    lang.pick(
        ["编号", "性质", "类别", "办件", "台账行", "台账 ↔ 通道", "账龄（天）", "处理人", "处理办法"],
        [
            "id",
            "standing",
            "class",
            "case",
            "line",
            "ledger ↔ channel",
            "age in days",
            "who acts",
            "what to do",
        ],
    )
}

fn findings(page: &mut String, lang: Lang, run: &Run) {
    let headings = finding_headings(lang);
    write!(page, "<h2>{}</h2>\n<table><tr>", lang.pick("明细", "Findings"))
        .expect("a String takes every write");
    for heading in headings {
        write!(page, "<th>{heading}").expect("a String takes every write");
    }
    page.push_str("</tr>\n");
    for found in run.findings.iter().take(PAGE_FINDINGS_MAX) {
        page.push_str("<tr>");
        for (place, cell) in cells(lang, found).iter().enumerate() {
            let number = if place == 4 || place == 6 { " class=\"n\"" } else { "" };
            write!(page, "<td{number}>{}", escaped(cell)).expect("a String takes every write");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
    let more = run.findings.len().saturating_sub(PAGE_FINDINGS_MAX) as u64 + run.left_out();
    if more > 0 {
        writeln!(
            page,
            "<p><small>{} {more}</small></p>",
            lang.pick(
                "其余见 report.csv 与 report.xlsx，未列出条数：",
                "More than fit here; see report.csv and report.xlsx:"
            )
        )
        .expect("a String takes every write");
    }
}

fn cells(lang: Lang, found: &Found) -> [String; 9] {
    [
        found.id.clone(),
        standing(lang, found.standing).to_owned(),
        class(lang, &found.class).to_owned(),
        found.case_id.clone(),
        if found.line == 0 { String::new() } else { found.line.to_string() },
        differences(lang, found),
        found.age_days.to_string(),
        owner(lang, &found.owner).to_owned(),
        repair(lang, &found.repair).to_owned(),
    ]
}

/// A cell that no spreadsheet takes for a formula.
fn neutral(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

/// The findings as CSV with stable names, UTF-8 with a byte order mark for spreadsheets.
///
/// # Errors
/// Ours.
pub fn csv(run: &Run) -> Result<Vec<u8>, Failure> {
    let write = || {
        let mut writer = csv::Writer::from_writer(Vec::from("\u{feff}"));
        writer.write_record([
            "id",
            "standing",
            "class",
            "case_id",
            "line",
            "field",
            "ledger",
            "channel",
            "first_seen",
            "age_days",
            "owner",
            "repair",
        ])?;
        for found in &run.findings {
            let none = [super::runs::Difference {
                field: String::new(),
                ledger: String::new(),
                channel: String::new(),
            }];
            let differences = if found.differences.is_empty() { &none[..] } else { &found.differences };
            for one in differences {
                let standing = match found.standing {
                    Standing::Break => "break",
                    Standing::Suspected => "suspected",
                    Standing::Passing => "passing",
                };
                let record = [
                    &found.id,
                    standing,
                    &found.class,
                    &found.case_id,
                    &found.line.to_string(),
                    &one.field,
                    &one.ledger,
                    &one.channel,
                    &found.first_seen,
                    &found.age_days.to_string(),
                    &found.owner,
                    &found.repair,
                ];
                writer.write_record(record.map(neutral))?;
            }
        }
        writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
    };
    write()
        .map_err(|error: csv::Error| Failure::ours(both!("写不了 CSV：{error}", "cannot write CSV: {error}")))
}

/// The run as a workbook: summary, totals, findings.
///
/// # Errors
/// Ours.
pub fn xlsx(lang: Lang, run: &Run) -> Result<Vec<u8>, Failure> {
    workbook(lang, run)
        .map_err(|error| Failure::ours(both!("写不了 XLSX：{error}", "cannot write XLSX: {error}")))
}

fn workbook(lang: Lang, run: &Run) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let bold = Format::new().set_bold();
    let sheet = book.add_worksheet();
    sheet.set_name(lang.pick("概况", "summary"))?;
    let partner = partner(lang, &run.partner);
    let texts = [
        (lang.pick("节点", "node"), &run.node),
        (lang.pick("对方", "partner"), &run.peer),
        (lang.pick("日期", "day"), &run.date),
        (lang.pick("台账", "ledger"), &run.ledger),
        (lang.pick("两节点副本", "the nodes' copies"), &partner),
    ];
    let numbers = [
        (lang.pick("台账行数", "rows of the ledger"), run.ledger_rows),
        (lang.pick("通道办件数", "cases in the channels"), run.channel_rows),
        (lang.pick("一致", "agree"), run.agreed),
        (lang.pick("差错", "breaks"), run.standing(Standing::Break)),
        (lang.pick("待复核", "suspected"), run.standing(Standing::Suspected)),
        (lang.pick("将自行消除", "pass by themselves"), run.standing(Standing::Passing)),
        (lang.pick("较上次消除", "gone since the last run"), run.cleared),
    ];
    let mut line = 0;
    for (name, text) in texts {
        sheet.write_with_format(line, 0, name, &bold)?.write_string(line, 1, text)?;
        line += 1;
    }
    for (name, number) in numbers {
        sheet.write_with_format(line, 0, name, &bold)?.write_number(line, 1, number as f64)?;
        line += 1;
    }
    sheet.set_column_width(0, 24)?.set_column_width(1, 60)?;
    let sheet = book.add_worksheet();
    sheet.set_name(lang.pick("控制总数", "totals"))?;
    let headings = lang.pick(["口径", "项目", "台账", "通道"], ["by", "what", "ledger", "channel"]);
    for (column, heading) in (0..).zip(headings) {
        sheet.write_with_format(0, column, heading, &bold)?;
    }
    let state = lang.pick("状态", "state");
    let item = lang.pick("事项", "item");
    let all = run.by_state.iter().map(|row| (state, row)).chain(run.by_item.iter().map(|row| (item, row)));
    for (line, (by, (name, total))) in (1..).zip(all.take(SHEET_ROWS_MAX)) {
        let name = if by == state { catalogue::state(lang, name) } else { name.clone() };
        sheet.write_string(line, 0, by)?.write_string(line, 1, name)?;
        sheet.write_number(line, 2, total.ledger as f64)?.write_number(line, 3, total.channel as f64)?;
    }
    sheet.set_column_width(1, 44)?;
    let sheet = book.add_worksheet();
    sheet.set_name(lang.pick("明细", "findings"))?;
    let headings = finding_headings(lang);
    for (column, heading) in (0..).zip(headings) {
        sheet.write_with_format(0, column, heading, &bold)?;
    }
    for (line, found) in (1..).zip(run.findings.iter().take(SHEET_ROWS_MAX)) {
        for (column, cell) in (0..).zip(cells(lang, found)) {
            match (column, cell.parse::<f64>()) {
                (4 | 6, Ok(number)) => sheet.write_number(line, column, number)?,
                _ => sheet.write_string(line, column, cell)?,
            };
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    sheet.set_column_width(3, 32)?.set_column_width(5, 48)?.set_column_width(8, 36)?;
    book.save_to_buffer()
}
