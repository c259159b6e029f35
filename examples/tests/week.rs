//! The week prints what it printed before, and its reports are whole. With `UPDATE_WEEK` in the environment the text is written anew:
//! look at the difference then.

use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;

/// What the program prints.
const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/week.txt");

/// RES-01, JOB-01, SCH-01, USR-01, NTF-01, PLAN-40: roles, schedules, drills, plans that follow their clouds, a disaster and the way
/// home, as a user of the library sees them.
#[tokio::test]
async fn a_week_prints_what_it_printed_before() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut printed = Vec::new();
    ns_examples::week::week(folder.path(), &mut printed).await?;
    let printed = String::from_utf8(printed)?;
    if std::env::var_os("UPDATE_WEEK").is_some() {
        std::fs::write(TEXT, &printed)?;
    }
    let kept = std::fs::read_to_string(TEXT)?;
    for (nth, (is, was)) in printed.lines().zip(kept.lines()).enumerate() {
        ensure!(is == was, "line {}: {is:?} instead of {was:?}", nth + 1);
    }
    ensure!(
        printed == kept,
        "{} lines instead of {}",
        printed.lines().count(),
        kept.lines().count()
    );
    reports(folder.path())
}

/// Each report is there, and its page needs nothing from elsewhere. The engine verified it when it was written.
fn reports(folder: &Path) -> Result<()> {
    let mut kinds = BTreeMap::<_, usize>::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let document = std::fs::read_to_string(&path)?;
        for outside in ["src=\"http", "href=\"http", "url(http", "@import"] {
            ensure!(!document.contains(outside), "{} has {outside}", path.display());
        }
        ensure!(!document.is_empty(), "{} is empty", path.display());
        let kind = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    ensure!(kinds == [("csv", 90), ("html", 18), ("json", 18)], "{kinds:?}");
    Ok(())
}
