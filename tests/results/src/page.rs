//! The page: a table for each area, and counts summed over lines that say the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Line;

/// What stands above the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// When the page was written.
    pub date: String,
    /// What was tested.
    pub commit: String,
    /// Where.
    pub machine: String,
}

/// Reads lines.
///
/// # Errors
/// The number of the first line that is none, and why.
pub fn read(text: &str) -> Result<Vec<Line>, String> {
    text.lines()
        .enumerate()
        .map(|(at, line)| serde_json::from_str(line).map_err(|why| format!("{}: {why}", at + 1)))
        .collect()
}

/// Writes the page, in Markdown.
#[must_use]
pub fn write(head: &Head, lines: &[Line]) -> String {
    let mut areas: BTreeMap<&str, BTreeMap<&str, (u64, u64)>> = BTreeMap::new();
    for line in lines {
        let faults = areas.entry(&line.area).or_default();
        let (tried, wrong) = faults.entry(&line.what).or_default();
        *tried = tried.saturating_add(line.tried);
        *wrong = wrong.saturating_add(line.wrong);
    }
    let mut page = format!(
        "# What was tried, and what was lost\n\nWritten by the tests, on {}, of commit {}, on {}. \
         Every number comes from a run;\n`README.md` says how to repeat it.\n",
        head.date, head.commit, head.machine
    );
    for (area, faults) in areas {
        let _ = write!(
            page,
            "\n## {area}\n\n| fault | tried | wrong or lost |\n| --- | ---: | ---: |\n"
        );
        for (what, (tried, wrong)) in faults {
            let what = what.replace('|', "\\|");
            let _ = writeln!(page, "| {what} | {} | {} |", grouped(tried), grouped(wrong));
        }
    }
    page
}

/// 1234567 as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if `write` overwrites instead of adding, or `read` leaves out what it cannot read.
    #[test]
    fn equal_faults_are_summed_and_a_bad_line_is_named() {
        let text = r#"{"area":"Disk","what":"full","tried":1000,"wrong":0}
{"area":"Crash","what":"a | b","tried":1,"wrong":0}
{"area":"Disk","what":"full","tried":234,"wrong":2}
"#;
        let head = Head {
            date: "today".to_owned(),
            commit: "c".to_owned(),
            machine: "m".to_owned(),
        };
        let page = write(&head, &read(text).expect("lines"));
        assert!(page.contains("on today, of commit c, on m."));
        assert!(page.contains("| full | 1,234 | 2 |"), "{page}");
        assert!(page.contains("| a \\| b | 1 | 0 |"), "{page}");
        assert!(page.find("## Crash") < page.find("## Disk"));
        let bad = read(&format!("{text}{{\"area\":\"Disk\"}}\n")).expect_err("no line");
        assert!(bad.starts_with("4: "), "{bad}");
    }
}
