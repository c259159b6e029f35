//! `cargo xtask trace`: the requirements of the rule book, and which tests carry each.
//!
//! A test carries an id that stands in its name, in the name of a module or file it is in, in its doc comment or in a
//! string of its body. The rule book itself is not needed: its ids and titles are in `requirements.txt`.
mod ids;
mod scan;

use crate::ci;
use anyhow::{Context, Result, bail};
use ids::{Id, Mentions, RuleBook};
use scan::Test;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// What is left to those who embed the library, each with its reason.
const NOT_FOR_A_LIBRARY: &str = include_str!("not_for_a_library.txt");

/// Not of the product: this menu, whose own tests have ids in their examples, and what building leaves.
const NOT_SCANNED: [&str; 2] = ["xtask", "target"];

/// Which requirements are asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these, for example `CL,INV,EVT`; all of them when none is named
    #[arg(long, value_delimiter = ',')]
    prefix: Vec<String>,
    /// Only those without a test
    #[arg(long)]
    missing: bool,
}

/// Prints the requirements with their tests, and how many have one.
pub(crate) fn run(options: &Options) -> Result<()> {
    let trace = Trace::of_the_repository()?;
    let text = trace.text(&options.prefix, options.missing)?;
    println!("{text}{}", trace.account(&options.prefix));
    trace.verdict()
}

/// Prints only how many requirements have a test.
pub(crate) fn check() -> Result<()> {
    let trace = Trace::of_the_repository()?;
    println!("{}", trace.account(&[]));
    trace.verdict()
}

/// What the sources say about the rule book.
struct Trace {
    book: RuleBook,
    reasons: BTreeMap<Id, String>,
    carried: BTreeMap<Id, BTreeSet<String>>,
    faults: Vec<String>,
}

impl Trace {
    fn of_the_repository() -> Result<Self> {
        let mut trace = Self::new(REQUIREMENTS, NOT_FOR_A_LIBRARY)?;
        let root = ci::repository()?;
        trace.read_folder(&root, &root)?;
        trace.look_for_stale_reasons();
        Ok(trace)
    }

    fn new(requirements: &str, not_for_a_library: &str) -> Result<Self> {
        let book = RuleBook::read(requirements).context("requirements.txt")?;
        let reasons = ids::read_table(not_for_a_library).context("not_for_a_library.txt")?;
        let faults = reasons.keys().filter(|id| !book.titles.contains_key(id));
        let faults = faults.map(|id| format!("not_for_a_library.txt: the rule book has no {id}"));
        Ok(Self {
            faults: faults.collect(),
            book,
            reasons,
            carried: BTreeMap::new(),
        })
    }

    fn read_folder(&mut self, root: &Path, folder: &Path) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("read {}", folder.display()))?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let kind = entry
                .file_type()
                .with_context(|| format!("look at {}", path.display()))?;
            let skipped = name.starts_with('.') || folder == root && NOT_SCANNED.contains(&&*name);
            if kind.is_dir() && !skipped {
                self.read_folder(root, &path)?;
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                self.read_file(path.strip_prefix(root)?, &source)?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path, source: &str) -> Result<()> {
        let tests = scan::tests(source).with_context(|| path.display().to_string())?;
        for test in tests {
            let label = format!("{}: {}", path.display(), test.name);
            let found = self.mentions(path, &test);
            for id in found.known {
                self.carried.entry(id).or_default().insert(label.clone());
            }
            let unknown = found.unknown.iter();
            self.faults
                .extend(unknown.map(|id| format!("{label}: the rule book has no {id}")));
        }
        Ok(())
    }

    fn mentions(&self, path: &Path, test: &Test) -> Mentions {
        let mut found = self.book.in_text(&test.doc);
        let without_extension = path.with_extension("");
        let files = without_extension.iter().map(|part| part.to_string_lossy().into_owned());
        for name in files.chain(test.modules.iter().chain([&test.name]).cloned()) {
            found.add(self.book.in_name(&name));
        }
        for string in &test.strings {
            // an unknown one may be what the test is about
            found.known.extend(self.book.in_text(string).known);
        }
        found
    }

    fn look_for_stale_reasons(&mut self) {
        for id in self.reasons.keys() {
            if let Some(test) = self.carried.get(id).and_then(BTreeSet::first) {
                let stale = format!("not_for_a_library.txt: {id} is stale, a test carries it ({test})");
                self.faults.push(stale);
            }
        }
    }

    fn asked<'a>(&'a self, prefixes: &'a [String]) -> impl Iterator<Item = (&'a Id, &'a String)> {
        let wanted = |id: &Id| prefixes.is_empty() || prefixes.iter().any(|prefix| prefix == id.prefix());
        self.book.titles.iter().filter(move |(id, _)| wanted(id))
    }

    fn is_met(&self, id: &Id) -> bool {
        self.carried.contains_key(id) || self.reasons.contains_key(id)
    }

    /// The requirements, each on a line with its tests below.
    fn text(&self, prefixes: &[String], missing: bool) -> Result<String> {
        if let Some(prefix) = prefixes.iter().find(|prefix| !self.book.has_prefix(prefix)) {
            bail!("the rule book has no prefix {prefix}");
        }
        let mut text = String::new();
        for (id, title) in self.asked(prefixes) {
            if missing && self.is_met(id) {
                continue;
            }
            text += &format!("{id} {title}\n");
            for test in self.carried.get(id).into_iter().flatten() {
                text += &format!("    {test}\n");
            }
            if let Some(reason) = self.reasons.get(id) {
                text += &format!("    not for a library: {reason}\n");
            }
            if !missing && !self.is_met(id) {
                text += "    no test\n";
            }
        }
        Ok(text)
    }

    fn account(&self, prefixes: &[String]) -> String {
        let met = self.asked(prefixes).filter(|(id, _)| self.is_met(id)).count();
        format!("trace: {met} of {}", self.asked(prefixes).count())
    }

    fn verdict(&self) -> Result<()> {
        if !self.faults.is_empty() {
            bail!("{}", self.faults.join("\n"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = "CL-02 Check\nPG-08 Guard\nPG-20 Update guard\nOPS-06 Hardware\n";

    fn trace(reasons: &str, sources: &[(&str, &str)]) -> Trace {
        let mut trace = Trace::new(BOOK, reasons).unwrap();
        for (path, source) in sources {
            trace.read_file(Path::new(path), source).unwrap();
        }
        trace.look_for_stale_reasons();
        trace
    }

    #[test]
    fn each_place_that_can_name_an_id() {
        for (path, source) in [
            ("a/b.rs", "#[test] fn pg_08_c() {}"),
            ("a/b.rs", "mod pg_08 { #[test] fn c() {} }"),
            ("a/pg_08_b.rs", "#[test] fn c() {}"),
            ("pg_08/b.rs", "#[test] fn c() {}"),
            ("a/b.rs", "/// PG-08: so\n#[test] fn c() {}"),
            ("a/b.rs", "#[test] fn c() { for x in [(1, \"PG-08\")] {} }"),
            ("a/b.rs", "fn all() { cases![B: x::c, \"PG-08, facts 5\"] }"),
        ] {
            let trace = trace("", &[(path, source)]);
            trace.verdict().unwrap();
            let carried: Vec<_> = trace.carried.keys().map(Id::to_string).collect();
            assert_eq!(carried, ["PG-08"], "{path} {source}");
        }
    }

    #[test]
    fn the_text() {
        let sources = [
            ("a.rs", "#[test] fn pg_08_b() {} /// PG-08, CL-02\n#[test] fn c() {}"),
            ("d.rs", "/// PG-20\nfn product() {}"),
        ];
        let trace = trace("OPS-06 the host's choice", &sources);
        trace.verdict().unwrap();
        assert_eq!(
            trace.text(&[], false).unwrap(),
            "CL-02 Check\n    a.rs: c\n\
             OPS-06 Hardware\n    not for a library: the host's choice\n\
             PG-08 Guard\n    a.rs: c\n    a.rs: pg_08_b\n\
             PG-20 Update guard\n    no test\n"
        );
        assert_eq!(trace.account(&[]), "trace: 3 of 4");
        let prefixes = ["PG".to_owned(), "CL".to_owned()];
        assert_eq!(trace.text(&prefixes, true).unwrap(), "PG-20 Update guard\n");
        assert_eq!(trace.account(&prefixes), "trace: 2 of 3");
        trace.text(&["P".to_owned()], false).unwrap_err();
    }

    #[test]
    fn faults() {
        for (reasons, source, fault) in [
            (
                "",
                "#[test] fn pg_09_b() {}",
                Some("a.rs: pg_09_b: the rule book has no PG-09"),
            ),
            (
                "",
                "/// PG-09\n#[test] fn b() {}",
                Some("a.rs: b: the rule book has no PG-09"),
            ),
            ("", "#[test] fn b() { \"PG-09\" }", None),
            ("", "#[test] fn zz_09_b() {}", None),
            (
                "OPS-07 so",
                "",
                Some("not_for_a_library.txt: the rule book has no OPS-07"),
            ),
            (
                "OPS-06 so",
                "#[test] fn ops_06_b() {}",
                Some("not_for_a_library.txt: OPS-06 is stale, a test carries it (a.rs: ops_06_b)"),
            ),
        ] {
            let verdict = trace(reasons, &[("a.rs", source)]).verdict();
            assert_eq!(verdict.err().map(|e| e.to_string()).as_deref(), fault, "{source}");
        }
    }

    #[test]
    fn the_data_can_be_read() {
        let trace = Trace::new(REQUIREMENTS, NOT_FOR_A_LIBRARY).unwrap();
        trace.verdict().unwrap();
    }
}
