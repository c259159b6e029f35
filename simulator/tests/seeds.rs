//! A few seeds, so that CI notices when the simulator itself breaks; the many are run by `cargo xtask sim`.

use ns_simulator::campaign::campaign;
use ns_simulator::crash::{references, sweep};
use ns_simulator::mutants::MUTANTS;
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
    let account = campaign(10, 30, None, &[]);
    let found: Vec<_> = account
        .failed
        .iter()
        .map(|(seed, o)| (seed, &o.violations[0]))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    assert!(account.struck.len() >= 10, "{:?}", account.struck);
}

/// Every so many places of a reference story; `cargo xtask crash` goes through all.
#[test]
fn a_failover_and_its_failback_survive_what_goes_wrong_at_some_places() {
    let (name, scenario) = &references()[2];
    let swept = sweep(name, scenario, 41, 2);
    assert!(swept.failed.is_empty(), "{:#?}", swept.failed[0]);
    assert!(swept.points > 20, "{}", swept.points);
}

/// Planted bugs of each kind are noticed; `cargo xtask mutants` plants all.
#[test]
fn planted_bugs_are_noticed() {
    for name in [
        "drill promotes the replica",
        "volumes are mixed up",
        "a damaged journal is believed",
        "every engine gets every lease",
    ] {
        let mutant = MUTANTS.iter().find(|m| m.name == name).unwrap();
        assert!(mutant.caught(20).is_some(), "{name}");
    }
}
