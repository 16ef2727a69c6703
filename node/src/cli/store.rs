//! `store repair`: what is wrong with the journal of a stopped node, and, with `--apply`, the cut that
//! lets it start again. What the cut sets aside comes back from the partners.

use std::path::Path;

use clap::Args;
use gateway::gateway::JOURNAL_DIR;
use gateway::store::JournalError;
use gateway::store::journal::{After, Inspection, cut_after, inspect};
use serde_json::json;

use super::check::now_ms;
use crate::both;
use crate::config::Config;
use crate::console::{Console, Failure};

/// `tongban store repair`
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Do it; without this, only show what would be done. 执行修复（缺省只查看）
    #[arg(long)]
    pub apply: bool,
}

/// Runs the command.
///
/// # Errors
/// Exit code 8 when there is damage that was not repaired.
pub fn repair(console: Console, config: &Path, args: &RepairArgs) -> Result<(), Failure> {
    let journal = Config::load(config)?.data_dir.join(JOURNAL_DIR);
    repair_journal(console, &journal, args.apply)
}

fn repair_journal(console: Console, journal: &Path, apply: bool) -> Result<(), Failure> {
    let found = inspect(journal).map_err(refused)?;
    let Inspection { segments, readable, bytes, bodies_erased, after } = found;
    let mut document = json!({
        "journal": journal.display().to_string(),
        "segments": segments,
        "readable": readable.0,
        "bytes": bytes,
        "bodies_erased": bodies_erased,
        "state": "sound",
    });
    let summary = both!(
        "日志 {segments} 段，可读至第 {readable} 帧，{bytes} 字节，其中已销毁报文体 {bodies_erased} 个。",
        "The journal has {segments} segments, is readable up to frame {readable}, {bytes} bytes; {bodies_erased} bodies are erased."
    );
    let (verdict, exit) = match after {
        After::Nothing => {
            (both!("日志完好，无须修复。", "The journal is sound; there is nothing to repair."), 0)
        }
        After::TornTail { file, offset, bytes } => {
            document["state"] = json!("torn_tail");
            document["torn"] = json!({"file": file, "offset": offset, "bytes": bytes});
            let text = both!(
                "{file} 在 {offset} 处有一次被打断的写入（{bytes} 字节，从未确认过）；下次启动自动截去，无须修复。",
                "{file} ends at {offset} in a write that a crash interrupted ({bytes} bytes, never acknowledged); the next start cuts it by itself, there is nothing to repair."
            );
            (text, 0)
        }
        After::Damage { file, offset, expected, what, later_frames, highest, set_aside } => {
            document["state"] = json!("damaged");
            document["damage"] = json!({
                "file": file, "offset": offset, "expected": expected.0, "what": what.to_string(),
                "later_frames": later_frames, "highest": highest.map(|highest| highest.0),
                "set_aside": set_aside,
            });
            let files = set_aside.join(", ");
            let damage = both!(
                "{file} 在 {offset} 处损坏（{what}），应为第 {expected} 帧；其后尚有 {later_frames} 帧可读。",
                "{file} is damaged at {offset} ({what}), where frame {expected} should lie; {later_frames} later frames are still readable."
            );
            let (act, exit) = if apply {
                let report = cut_after(journal, readable, now_ms().unsigned_abs()).map_err(refused)?;
                let (kept, folder) = (report.kept, report.set_aside);
                document["state"] = json!("cut");
                document["kept"] = json!(kept.0);
                document["set_aside_folder"] = json!(folder);
                let act = both!(
                    "已保留至第 {kept} 帧，其余移入 {folder}；启动节点后，缺失部分由伙伴副本补回。请勿删除该目录。",
                    "Kept up to frame {kept}; the rest now lies in {folder}. Start the node: what is missing comes back from its partners. Do not delete that folder."
                );
                (act, 0)
            } else {
                let act = both!(
                    "执行 --apply 将保留至第 {readable} 帧，移出：{files}。先备份整个数据目录；其后已确认的内容须由伙伴补回。",
                    "--apply would keep up to frame {readable} and set aside: {files}. Back up the whole data folder first; what was acknowledged after that frame has to come back from partners."
                );
                (act, 8)
            };
            let text = crate::text::Both {
                zh: format!("{}\n{}", damage.zh, act.zh),
                en: format!("{}\n{}", damage.en, act.en),
            };
            (text, exit)
        }
    };
    console
        .result(&document, |lang| format!("{}\n{}", summary.in_language(lang), verdict.in_language(lang)))?;
    if exit == 0 { Ok(()) } else { Err(Failure::exit(exit)) }
}

fn refused(error: JournalError) -> Failure {
    match error {
        JournalError::Locked(_) => Failure::input(both!(
            "节点正在运行（{error}）；请先停止节点再检修。",
            "The node is running ({error}); stop it first."
        )),
        _ => Failure::system(both!("无法检修日志：{error}", "Cannot inspect or repair the journal: {error}")),
    }
}
