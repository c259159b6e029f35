//! Documents as a store holds them: each line is one, of every kind.
#![no_main]

use ns_core::engine::{DOCUMENTS, reread};
use ns_core::report::RecoveryReport;

fn read(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for kind in DOCUMENTS {
        if let Ok(once) = reread(kind, "id", &text) {
            let twice = reread(kind, "id", &once);
            assert_eq!(twice.ok().as_ref(), Some(&once), "a {kind} is read as it was written");
        }
    }
    if let Ok(report) = RecoveryReport::from_json(&text) {
        let _ = report.html();
    }
}

ns_fuzz::target!(read);
