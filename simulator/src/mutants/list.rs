//! The list. Names say what the engine does wrong; `like` who did it before, by the numbers of their trackers.

use super::Planting::{Both, Graph, Line, Port};
use super::{Mutant, Planting, Wrap, any, graphs as g, quietly};
use crate::faults::FaultKind;
use crate::story::{Disaster, End, Order, Scenario, Step};
use ns_core::planted::Bug;

const OWN: &str = "requirement";

const fn ended(end: End) -> Order {
    Order { end, meddle: None }
}

const fn mutant(name: &'static str, like: &'static str, planting: Planting, bias: fn(&mut Scenario)) -> Mutant {
    Mutant {
        name,
        like,
        planting,
        bias,
    }
}

fn left_drill(s: &mut Scenario) {
    quietly(
        s,
        &[Step::Drill(ended(End::Leave)), Step::Planned(ended(End::Rollback))],
    );
}

fn timed_drill(s: &mut Scenario) {
    quietly(s, &[Step::Drill(ended(End::Timer))]);
}

fn there_and_back(s: &mut Scenario) {
    quietly(
        s,
        &[
            Step::Planned(ended(End::Confirm)),
            Step::Reprotect,
            Step::Planned(ended(End::Confirm)),
        ],
    );
}

fn lost_and_back(s: &mut Scenario) {
    quietly(
        s,
        &[
            Step::Forced(Disaster::Isolated, true, ended(End::Confirm)),
            Step::Wait(200),
        ],
    );
}

fn lost_and_rolled_back(s: &mut Scenario) {
    quietly(s, &[Step::Forced(Disaster::Isolated, true, ended(End::Rollback))]);
}

/// All faults are of this kind.
fn only(s: &mut Scenario, kind: FaultKind) {
    let mut dice = crate::dice::Dice::new(s.seed);
    s.faults = (0..2).map(|_| kind.draw(&mut dice, s.steps.len())).collect();
}

fn deaths(s: &mut Scenario) {
    only(s, FaultKind::DeathAnywhere);
}

fn flips(s: &mut Scenario) {
    only(s, FaultKind::BitFlip);
}

fn clock_back(s: &mut Scenario) {
    only(s, FaultKind::ClockBack);
}

fn frozen_engines(s: &mut Scenario) {
    only(s, FaultKind::NodeFreezes);
}

fn store_away(s: &mut Scenario) {
    only(s, FaultKind::StoreAway);
}

fn failing_points(s: &mut Scenario) {
    s.steps = vec![Step::Point, Step::Point];
    s.faults = (0..2)
        .map(|n| crate::faults::Fault {
            step: 1 + n,
            verb: Some("arrived"),
            site: "b",
            ..FaultKind::Rejected.draw(&mut crate::dice::Dice::new(s.seed), 2)
        })
        .collect();
}

fn failing_protection(s: &mut Scenario) {
    s.faults = vec![crate::faults::Fault {
        step: 0,
        verb: Some("status"),
        site: "b",
        ..FaultKind::Rejected.draw(&mut crate::dice::Dice::new(s.seed), 2)
    }];
}

fn failing_rollback(s: &mut Scenario) {
    s.faults = vec![crate::faults::Fault {
        step: 1,
        verb: Some("remove"),
        site: "b",
        ..FaultKind::Rejected.draw(&mut crate::dice::Dice::new(s.seed), 2)
    }];
}

fn failing_run(s: &mut Scenario) {
    s.faults = vec![crate::faults::Fault {
        step: 1,
        verb: Some("create"),
        site: "b",
        ..FaultKind::Rejected.draw(&mut crate::dice::Dice::new(s.seed), 2)
    }];
}

fn cancelled(s: &mut Scenario) {
    let dice = &mut crate::dice::Dice::new(s.seed);
    let order = Order {
        end: End::Rollback,
        meddle: Some((dice.below(40), crate::story::Meddle::Cancel)),
    };
    s.steps = vec![Step::Drill(order), Step::Planned(order)];
    s.faults = vec![crate::faults::Fault {
        step: 1,
        after: dice.below(6),
        length: 3,
        verb: Some("create"),
        site: "b",
        ..FaultKind::Slow.draw(dice, 1)
    }];
}

fn slow_copies(s: &mut Scenario) {
    s.faults = vec![crate::faults::Fault {
        step: 0,
        after: 0,
        length: 400,
        ..FaultKind::MirrorLags.draw(&mut crate::dice::Dice::new(s.seed), 1)
    }];
}

fn source_falls_silent(s: &mut Scenario) {
    // The source answers when the failover is asked for, and not any more when it is planned.
    s.steps = vec![Step::Planned(ended(End::Rollback))];
    s.faults = vec![crate::faults::Fault {
        step: 1,
        after: s.seed % 6,
        length: 4,
        verb: Some("check"),
        site: "a",
        ..FaultKind::Unavailable.draw(&mut crate::dice::Dice::new(s.seed), 1)
    }];
}

fn refused_promotions(s: &mut Scenario) {
    s.steps = vec![Step::Planned(ended(End::Rollback))];
    s.faults = vec![crate::faults::Fault {
        step: 1,
        after: 0,
        verb: Some("promote"),
        site: "b",
        ..FaultKind::Rejected.draw(&mut crate::dice::Dice::new(s.seed), 1)
    }];
}

fn split_brain_reports(s: &mut Scenario) {
    only(s, FaultKind::FalseSplitBrain);
}

fn deleted_sources(s: &mut Scenario) {
    s.steps = vec![Step::Wait(60), Step::Point];
    s.faults = vec![crate::faults::Fault {
        step: 1,
        after: 1,
        ..FaultKind::SourceImageDeleted.draw(&mut crate::dice::Dice::new(s.seed), 1)
    }];
}

fn taken_names(s: &mut Scenario) {
    s.steps = vec![Step::Wait(100), Step::Planned(ended(End::Rollback))];
    // Between the check of the plan and the making: a tenant whose name was taken before shows in the plan, and the failover is
    // refused.
    let fault = |kind: FaultKind, verb, after| crate::faults::Fault {
        step: 1,
        after,
        length: 1,
        site: "b",
        verb,
        roll: 60,
        kind,
    };
    s.faults = vec![
        fault(FaultKind::Slow, Some("create"), 0),
        fault(FaultKind::NameTaken, None, 2 + s.seed % 60),
    ];
}

/// See the module.
pub static MUTANTS: &[Mutant] = &[
    mutant(
        "planned failover promotes by force",
        "csi-addons markVolumeAsPrimary, glue-api ImagePromote",
        Graph(g::forces),
        any,
    ),
    mutant(
        "drill promotes the replica",
        "Ramen dryRun",
        Graph(g::drill_promotes),
        any,
    ),
    mutant("drill demotes the source", "Ramen dryRun", Graph(g::drill_demotes), any),
    mutant(
        "drill runs on the replica itself",
        "first 5",
        Graph(g::drill_adopts_replica),
        any,
    ),
    mutant("drill has a way out", "first 22", Graph(g::drill_way_out), any),
    mutant(
        "failover does not stop the source's servers",
        "first 7",
        Graph(g::source_not_stopped),
        any,
    ),
    mutant(
        "failover from a lost site reads it",
        "ramen#533",
        Graph(g::reads_lost_site),
        any,
    ),
    mutant(
        "promotion does not wait for the demotion",
        "ceph#14963, #17979",
        Graph(g::not_waiting_for_demotion),
        any,
    ),
    mutant(
        "promotion does not wait for anything",
        "ramen#250",
        Graph(g::promotes_before_demotion),
        any,
    ),
    mutant("source is not demoted", "first 7", Graph(g::not_demoted), any),
    mutant(
        "rollback does not start the source's servers",
        OWN,
        Graph(g::rollback_starts_nothing),
        any,
    ),
    mutant(
        "rollback forgets a network",
        "ramen#2133, AWS DRS drills",
        Graph(g::rollback_forgets_network),
        any,
    ),
    mutant(
        "rollback forgets a keypair",
        "ramen#297",
        Graph(g::rollback_forgets_keypair),
        any,
    ),
    mutant(
        "rollback forgets the clones of a drill",
        "AWS DRS drills",
        Graph(g::rollback_forgets_clones),
        any,
    ),
    mutant(
        "rollback succeeds and does nothing",
        "first 13",
        Graph(g::rollback_forgets_all),
        any,
    ),
    mutant(
        "rollback leaves the source read only",
        "first 8",
        Graph(g::rollback_keeps_demotion),
        any,
    ),
    mutant(
        "rollback of a forced failover leaves it unprotected",
        "first 8, ceph-csi#2656",
        Graph(g::rollback_does_not_resync),
        lost_and_rolled_back,
    ),
    mutant(
        "resync throws the winning side away",
        "ceph-csi#3209",
        Graph(g::resyncs_the_wrong_side),
        lost_and_rolled_back,
    ),
    mutant(
        "rollback does not give names back",
        "first 17",
        Graph(g::rollback_keeps_names),
        any,
    ),
    mutant(
        "rollback leaves two writers",
        "first 7, ramen#250",
        Graph(g::rollback_keeps_both_writing),
        any,
    ),
    mutant(
        "end of a plan leaves its mirroring",
        "first 29",
        Graph(g::unprotect_leaves_mirroring),
        any,
    ),
    mutant(
        "end of a plan leaves its vaults",
        "first 29",
        Graph(g::unprotect_leaves_vaults),
        any,
    ),
    mutant(
        "protection does not wait for a copy",
        "ramen#2825",
        Graph(g::protects_without_copy),
        any,
    ),
    mutant(
        "a point lacks a volume",
        "ramen#2824",
        Both(Bug::PointHalf, g::point_lacks_a_volume),
        any,
    ),
    mutant(
        "a point does not ship its snapshots",
        "ceph#70042",
        Graph(g::point_ships_nothing),
        any,
    ),
    mutant("volumes are mixed up", "first 19", Graph(g::mixes_volumes_up), any),
    mutant(
        "a source that returns is left writing",
        "first 7",
        Graph(g::fence_demotes_nothing),
        lost_and_back,
    ),
    mutant(
        "a source that returns is overwritten unasked",
        "first 3, ceph-csi#3206",
        Both(Bug::ResyncUnasked, g::fence_overwrites),
        lost_and_back,
    ),
    mutant(
        "failback leaves what the failover made",
        "azurerm#24197",
        Graph(g::failback_leaves_the_other_side),
        there_and_back,
    ),
    mutant(
        "reprotection follows the wrong side",
        "ceph-csi#3209",
        Graph(g::rejoins_the_wrong_side),
        there_and_back,
    ),
    mutant(
        "confirm makes the old source writable too",
        "ramen#250",
        Graph(g::confirm_with_force),
        any,
    ),
    mutant(
        "effects begin before their intents",
        "invariant I5",
        Line(Bug::EffectBeforeIntent),
        any,
    ),
    mutant(
        "attempts are counted from one again",
        "ramen#1880",
        Line(Bug::AttemptsReset),
        any,
    ),
    mutant(
        "progress goes back with the clock",
        "ramen#2268",
        Line(Bug::TimeRunsBack),
        clock_back,
    ),
    mutant(
        "a lost source is overridden unasked",
        "csi-addons markVolumeAsPrimary, first 3",
        Line(Bug::ForceUnasked),
        source_falls_silent,
    ),
    mutant("force is not written down", "R17", Line(Bug::ForceUnrecorded), any),
    mutant(
        "cancel does not wait for what is under way",
        "ramen#1473",
        Line(Bug::CancelForgets),
        cancelled,
    ),
    mutant(
        "success whatever became of it",
        "ovirt-dr#77, ramen#1981",
        Line(Bug::AlwaysSuccess),
        failing_run,
    ),
    mutant(
        "a drill ends never",
        "AWS DRS drills",
        Line(Bug::DrillForever),
        timed_drill,
    ),
    mutant(
        "a failover waits behind a drill",
        "first 9",
        Line(Bug::NoPreempt),
        left_drill,
    ),
    mutant(
        "rollback undoes only what is known to be done",
        "ramen#2133",
        Line(Bug::UndoKnownOnly),
        any,
    ),
    mutant(
        "retry of a rollback does nothing",
        "first 13",
        Line(Bug::RetryDoesNothing),
        failing_rollback,
    ),
    mutant(
        "two jobs of a group at once",
        "first 10",
        Line(Bug::TwoJobsAtOnce),
        left_drill,
    ),
    mutant(
        "a damaged journal is believed",
        "first 16",
        Line(Bug::BelieveJournal),
        flips,
    ),
    mutant(
        "a copy under way counts as complete",
        "ceph#71553, ceph-csi#2572",
        Line(Bug::AnyStatusIsFine),
        slow_copies,
    ),
    mutant(
        "a forced promotion fences nobody",
        "first 7",
        Line(Bug::NoFence),
        lost_and_back,
    ),
    mutant(
        "nobody watches for a source that returns",
        "first 7",
        Line(Bug::BlindWatch),
        lost_and_back,
    ),
    mutant(
        "a commit that failed is taken for done",
        OWN,
        Line(Bug::WriteErrorsIgnored),
        store_away,
    ),
    mutant(
        "a job ends without its report",
        "first 27",
        Line(Bug::ReportForgotten),
        any,
    ),
    mutant(
        "a failed mirroring is forgotten",
        "found by the simulator",
        Line(Bug::ProtectForgets),
        failing_protection,
    ),
    mutant(
        "a failed point is forgotten",
        "found by the simulator, ramen#2824",
        Line(Bug::PointsForgotten),
        failing_points,
    ),
    mutant(
        "after a crash what was begun counts as done",
        "first 12",
        Line(Bug::IntentIsOutcome),
        deaths,
    ),
    mutant("tokens are ignored", "R11", Port(Wrap::TokenIgnored), any),
    mutant(
        "nothing is found by its token",
        "ovirt-dr#77",
        Port(Wrap::FindsNothing),
        deaths,
    ),
    mutant(
        "every engine gets every lease",
        "ramen#250",
        Port(Wrap::LeaseForAll),
        frozen_engines,
    ),
    mutant("the store says written and has not", OWN, Port(Wrap::StoreLies), any),
    mutant(
        "a refused promotion is forced",
        "csi-addons markVolumeAsPrimary",
        Port(Wrap::RefusedIsForced),
        refused_promotions,
    ),
    mutant(
        "a report of a split brain starts a resync",
        "ceph-csi#3209, first 3",
        Port(Wrap::SplitBrainResyncs),
        split_brain_reports,
    ),
    mutant(
        "copies follow a source that is deleted",
        "first 1",
        Port(Wrap::CopiesFollow),
        deleted_sources,
    ),
    mutant(
        "a name that is taken is taken for ours",
        "first 4",
        Port(Wrap::AdoptsForeign),
        taken_names,
    ),
];
