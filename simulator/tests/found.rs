//! What the simulator found in the engine, each as the smallest scenario that showed it.

use ns_simulator::faults::{Fault, FaultKind};
use ns_simulator::run::run;
use ns_simulator::story::{Disaster, End, Meddle, Order, Scenario, Step};

fn holds(seed: u64, journal_mode: bool, servers: usize, steps: &[Step], faults: &[Fault]) {
    let outcome = run(&Scenario {
        seed,
        journal_mode,
        servers,
        steps: steps.to_vec(),
        again: None,
        faults: faults.to_vec(),
        exact: None,
        mutant: None,
        trace: false,
    });
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    for fault in faults {
        assert!(
            outcome.struck.contains_key(&fault.kind),
            "{:?} never struck",
            fault.kind
        );
    }
}

fn fault(kind: FaultKind, site: &'static str, verb: &'static str, after: u64, length: u64) -> Fault {
    Fault {
        kind,
        step: 1,
        after,
        length,
        site,
        verb: Some(verb),
        roll: 7,
    }
}

const fn order(end: End, meddle: Option<(u64, Meddle)>) -> Order {
    Order { end, meddle }
}

/// Tasks that wait for a place while their time has come: the runner asked for the time again and again.
#[test]
fn a_task_that_is_due_and_blocked_does_not_keep_the_engine_busy() {
    let drill = Step::Drill(order(End::Rollback, Some((6, Meddle::Pause))));
    let storm = Fault {
        verb: None,
        ..fault(FaultKind::Storm, "b", "", 0, 60)
    };
    holds(33, true, 2, &[drill], &[storm]);
}

/// A point whose job fails leaves vaults and snapshots: the end of its plan did not know of them.
#[test]
fn what_a_failed_point_left_goes_with_its_plan() {
    holds(
        9,
        false,
        1,
        &[Step::Point],
        &[fault(FaultKind::Internal, "b", "arrived", 1, 3)],
    );
}

/// A mirroring that failed had begun to replicate: the end of its plan did not know of it.
#[test]
fn what_a_failed_mirroring_began_goes_with_its_plan() {
    for verb in ["enable_replication", "find_replica", "status"] {
        let site = if verb == "enable_replication" { "a" } else { "b" };
        let rejected = Fault {
            step: 0,
            ..fault(FaultKind::Rejected, site, verb, 0, 1)
        };
        holds(7, false, 1, &[Step::Wait(1)], &[rejected]);
    }
}

/// The watch asked a storage that took its time, and meanwhile the source had come home by a failback: it was stopped and made
/// read only as if it were still fenced.
#[test]
fn a_source_that_came_home_is_not_fenced() {
    let forced = Step::Forced(Disaster::Frozen, false, order(End::Confirm, None));
    let home = Step::Planned(order(End::Confirm, None));
    for after in 0..6 {
        let slow = Fault {
            step: 2,
            ..fault(FaultKind::NeverDone, "a", "image", after, 1)
        };
        holds(54, true, 1, &[forced, Step::Reprotect, home], &[slow]);
    }
}

/// A source volume was destroyed with its bytes while the target ran: the copy that the source then got bore the target's
/// name, and a rollback left it that, which the source's cloud does not know.
#[test]
fn a_rollback_gives_the_source_its_names_back() {
    let forced = Step::Forced(Disaster::Frozen, true, order(End::Rollback, None));
    let destroyed = [Fault {
        step: 2,
        roll: 4_311_524_026_184_926_721,
        ..fault(FaultKind::SourceImageDeleted, "a", "find_replica", 37, 31)
    }];
    for journal_mode in [true, false] {
        holds(
            2693,
            journal_mode,
            1,
            &[Step::Wait(1), Step::Wait(1), forced],
            &destroyed,
        );
    }
}

/// The confirm of a failback failed when it had removed the vaults of recovery points, and was cancelled: the points could
/// still be chosen.
#[test]
fn what_a_confirm_begins_to_remove_can_be_chosen_no_more() {
    let there = Step::Planned(order(End::Confirm, None));
    let expired = Fault {
        step: 2,
        ..fault(FaultKind::TokenExpired, "b", "promote", 64, 293)
    };
    holds(
        30196,
        true,
        1,
        &[Step::Wait(1), there, Step::Reprotect, there],
        &[expired],
    );
}

/// A cloud was away when a rollback ended that had started its servers again: a forced failover right after took them for
/// stopped, and its own rollback did not start them.
#[test]
fn what_a_job_saw_started_runs_although_its_cloud_is_away() {
    let planned = Step::Planned(order(End::Rollback, None));
    let forced = Step::Forced(Disaster::Dead, true, order(End::Rollback, None));
    holds(
        26533,
        false,
        1,
        &[planned, forced],
        &[fault(FaultKind::SourceCutOff, "a", "check", 40, 373)],
    );
}

/// A server that was not recovered was stopped with those that were, by the fence, for it shares a volume with them: it stayed
/// so when that volume had come home.
#[test]
fn what_a_fence_stopped_beside_others_runs_when_they_come_home() {
    let forced = Step::Forced(Disaster::Isolated, true, order(End::Confirm, Some((58, Meddle::Pause))));
    let fails = Fault {
        verb: None,
        ..fault(FaultKind::Internal, "b", "", 75, 2)
    };
    holds(33852, false, 2, &[forced, Step::Wait(1), Step::Wait(1)], &[fails]);

    let forced = Step::Forced(Disaster::Dead, true, order(End::Confirm, None));
    let denied = Fault {
        step: 2,
        ..fault(FaultKind::Denied, "b", "force_promote", 3, 3)
    };
    let freezes = Fault {
        step: 0,
        ..fault(FaultKind::SourceFreezes, "b", "create", 88, 153)
    };
    holds(
        32526,
        false,
        2,
        &[Step::Wait(1), forced, Step::Wait(1), Step::Wait(1)],
        &[denied, freezes],
    );
}

/// A cloud stood still while its list of servers was read after a failover: what it had made was not known for an hour, and
/// could not be protected.
#[test]
fn what_could_not_be_read_is_read_soon() {
    let planned = Step::Planned(order(End::Confirm, None));
    let death = Fault {
        step: 2,
        ..fault(FaultKind::DeathAfterCommit, "b", "resync", 18, 2)
    };
    let hang = Fault {
        step: 2,
        verb: None,
        ..fault(FaultKind::DoneHang, "b", "", 60, 2)
    };
    holds(29100, true, 2, &[Step::Wait(1), planned], &[death, hang]);
}

/// A rollback was given up, and somebody took the name of the project on the target: the plan could not be given another one, for
/// its volumes could be written on no side, and so there was no way out.
#[test]
fn a_plan_can_be_put_right_when_nobody_may_write() {
    let forced = Step::Forced(Disaster::Isolated, false, order(End::Rollback, None));
    let deleted = Fault {
        step: 0,
        roll: 17_909_168_428_697_018_038,
        ..fault(FaultKind::SourceImageDeleted, "b", "stop", 40, 203)
    };
    let taken = Fault {
        step: 0,
        roll: 10_989_979_377_987_679_199,
        ..fault(FaultKind::NameTaken, "a", "disable_replication", 25, 55)
    };
    holds(36767, true, 1, &[forced], &[deleted, taken]);
}

/// The store was away when the job was queued: it failed without its inputs, and could then neither be rolled back nor finished.
#[test]
fn a_job_whose_inputs_were_never_read_can_be_ended() {
    let drill = Step::Drill(order(End::Rollback, None));
    let away = Fault {
        verb: Some("snapshot"),
        roll: 4_899_812_401_097_379_122,
        ..fault(FaultKind::StoreAway, "b", "", 2, 2)
    };
    holds(1122, false, 2, &[drill], &[away]);
}
