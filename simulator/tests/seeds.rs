//! A few seeds, so that CI notices when the simulator itself breaks; the many are run by `cargo xtask sim`.

use ns_simulator::campaign::campaign;
use ns_simulator::run::run;
use ns_simulator::story::Scenario;

/// The same seed is the same run.
#[test]
fn a_seed_replays() {
    for seed in [11, 26] {
        let (one, two) = (run(&Scenario::of(seed)), run(&Scenario::of(seed)));
        assert_eq!((one.seconds, one.struck, one.ends), (two.seconds, two.struck, two.ends));
        assert_eq!(one.violations, two.violations);
    }
}

/// Invariants hold, and faults really strike.
#[test]
fn invariants_hold() {
    let account = campaign(10, 30, &[]);
    let found: Vec<_> = account
        .failed
        .iter()
        .map(|(seed, o)| (seed, &o.violations[0]))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    assert!(account.struck.len() >= 10, "{:?}", account.struck);
}
