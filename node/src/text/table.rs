//! Tables for a terminal. A Chinese character takes two columns (Unicode Standard Annex #11, East
//! Asian Width), so widths are counted in columns and not in characters.

use std::fmt::Write as _;

use super::printable;

/// Rows under headings, printed with two spaces between columns.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with its headings.
    pub fn new<const COLUMNS: usize>(headings: [&str; COLUMNS]) -> Self {
        Self { rows: vec![headings.map(str::to_owned).to_vec()] }
    }

    /// Adds a row. Cells are made printable.
    pub fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    /// The table as text, each line with its end. Cells that hold only digits stand to the right.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max())
            .map(Option::unwrap_or_default)
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, wanted) in row.iter().zip(&widths) {
                let pad = " ".repeat(wanted.saturating_sub(width(cell)));
                let number = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
                let (before, after) = if number { (pad.as_str(), "") } else { ("", pad.as_str()) };
                write!(line, "{before}{cell}{after}  ").expect("a String takes every write");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Columns that a text takes in a terminal.
pub fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

fn width_of(c: char) -> usize {
    match u32::from(c) {
        // Combining marks, zero-width joiners, variation selectors.
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        // Wide and full-width, the blocks that occur in names of people, places and items.
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_under_chinese_headings() {
        let mut table = Table::new(["通道", "长度", "说明"]);
        table.row(["430600→421200".into(), "12".into(), "好".into()]);
        assert_eq!(table.render(), "通道           长度  说明\n430600→421200    12  好\n");
    }

    #[test]
    fn rare_characters_in_names_are_wide_and_the_middle_dot_is_not() {
        assert_eq!(width("𠮷"), 2);
        assert_eq!(width("阿·买"), 5);
    }
}
