//! A folder of backups: their names carry site and time, and the old ones go.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cardea_engine::erase;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
const ENDING: &str = ".age";
/// Digits of the site's id in names.
const SITE_DIGITS: usize = 8;

/// The first digits of a site's id: two sites may share a folder.
pub(super) fn short(site: &str) -> &str {
    site.get(..SITE_DIGITS).unwrap_or(site)
}

/// The name of a backup.
pub(super) fn name(site: &str, taken_unix_s: i64) -> String {
    let taken = OffsetDateTime::from_unix_timestamp(taken_unix_s)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(TIME)
        .unwrap_or_default();
    format!("cardea-{}-{taken}{ENDING}", short(site))
}

/// When the backup of this name was taken, if it is one of this site.
pub(super) fn taken(site: &str, name: &str) -> Option<i64> {
    let text = name
        .strip_prefix("cardea-")?
        .strip_prefix(short(site))?
        .strip_prefix('-')?
        .strip_suffix(ENDING)?;
    let taken = PrimitiveDateTime::parse(text, TIME).ok()?;
    Some(taken.assume_utc().unix_timestamp())
}

/// Whether this is what a backup of this site left that was cut and not gone on with.
fn is_unfinished(site: &str, name: &str) -> bool {
    let whole = name
        .strip_suffix(".part")
        .map(|name| format!("{name}{ENDING}"));
    whole.is_some_and(|name| taken(site, &name).is_some())
}

/// Of these names the backups of the site that are older than `days`; never the newest.
pub(super) fn expired(names: &[String], site: &str, now_unix_s: i64, days: u32) -> Vec<String> {
    let before = now_unix_s - i64::from(days) * 86_400;
    let dated: Vec<_> = names
        .iter()
        .filter_map(|name| Some((taken(site, name)?, name)))
        .collect();
    let newest = dated.iter().map(|(taken, _)| *taken).max();
    dated
        .into_iter()
        .filter(|(taken, _)| *taken < before && Some(*taken) != newest)
        .map(|(_, name)| name.clone())
        .collect()
}

/// Removes the backups of a folder whose time is over, and what an interrupted one left; returns
/// those that went.
pub(super) fn tidy(
    folder: &Path,
    site: &str,
    now_unix_s: i64,
    days: u32,
) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    let gone: Vec<_> = expired(&names, site, now_unix_s, days)
        .into_iter()
        .map(|name| folder.join(name))
        .collect();
    for path in &gone {
        erase::remove(path)?;
    }
    for name in names.iter().filter(|name| is_unfinished(site, name)) {
        erase::remove(&folder.join(name))?;
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_795_000_000;

    #[test]
    fn a_name_says_when() {
        let name = name(SITE, NOW);
        assert_eq!(name, "cardea-01234567-20261118T110640Z.age");
        assert_eq!(taken(SITE, &name), Some(NOW));
        assert_eq!(taken("ffffffff", &name), None, "another site's");
        let part = name.replace(ENDING, ".part");
        assert!(is_unfinished(SITE, &part) && !is_unfinished(SITE, &name));
        assert!(!is_unfinished("ffffffff", &part));
        for other in ["cardea-01234567-.age", "cardea.age", "notes.txt", ""] {
            assert_eq!(taken(SITE, other), None, "{other}");
        }
    }

    /// Fails if the newest goes too, or files of others.
    #[test]
    fn old_ones_go_and_the_newest_stays() {
        let day = 86_400;
        let names: Vec<String> = [40, 31, 29]
            .iter()
            .map(|days| name(SITE, NOW - days * day))
            .chain(["withdrawals-01234567".to_owned(), name("ffffffff", 0)])
            .collect();
        assert_eq!(expired(&names, SITE, NOW, 30), names[..2]);
        assert_eq!(expired(&names[..2], SITE, NOW, 30), names[..1]);
        assert!(expired(&names[..1], SITE, NOW, 30).is_empty());
    }
}
