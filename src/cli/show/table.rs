//! Columns.

use crate::cli::ui::{COLUMNS, wrap};

/// Returns rows with each column as wide as its widest cell; the last one is not filled up.
pub fn aligned<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (index, (width, cell)) in widths.iter().zip(row).enumerate() {
            if index > 0 {
                line.push_str("  ");
            }
            line.push_str(&format!("{cell:width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns text broken into lines, each behind a margin.
pub fn indented(text: &str, margin: usize) -> String {
    let lines = wrap(text, COLUMNS - margin);
    lines
        .iter()
        .map(|line| format!("{}{line}\n", " ".repeat(margin)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["NAME", "STATUS"], ["edge/berlin", "Ready"]].map(|row| row.map(str::to_owned));
        assert_eq!(
            aligned(rows.into_iter()),
            "NAME         STATUS\nedge/berlin  Ready\n"
        );
    }
}
