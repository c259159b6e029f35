//! The boot order: a directed graph of instances without cycles (PLAN-07, OPEN-16).

use super::super::{Warning, invalid};
use crate::Error;
use crate::model::{CloudId, ProtectionGroup, RecoveryPlan};
use std::collections::{BTreeMap, BTreeSet};

fn field(id: &CloudId) -> String {
    format!("mapping.instances[{id}].boot_after")
}

/// Instances that wait for something outside the group, for themselves, or for each other in a circle.
pub(super) fn violations(plan: &RecoveryPlan, group: &ProtectionGroup) -> Vec<Error> {
    let members: BTreeSet<_> = group.instances.iter().collect();
    let mut found = Vec::new();
    for (id, mapping) in &plan.mapping.instances {
        for other in mapping.boot_after.iter().filter(|other| !members.contains(other)) {
            let message = format!("instance {id} waits for {other}, which is not in the group");
            found
                .push(invalid("plan.boot_order", field(id), message).with_remedy("wait for members of the group only"));
        }
    }
    if let Some(circle) = circle(plan) {
        let path: Vec<_> = circle.iter().map(|id| id.as_str()).collect();
        found.push(
            invalid(
                "plan.boot_cycle",
                field(circle[0]),
                format!("instances wait for each other: {}", path.join(" -> ")),
            )
            .with_remedy("break the circle"),
        );
    }
    found
}

/// A circle of instances that wait for each other, the first named again at the end.
fn circle(plan: &RecoveryPlan) -> Option<Vec<&CloudId>> {
    let waits = &plan.mapping.instances;
    let mut open: BTreeMap<&CloudId, usize> = BTreeMap::new();
    let mut waiting_for: BTreeMap<&CloudId, Vec<&CloudId>> = BTreeMap::new();
    for (id, mapping) in waits {
        let before: Vec<_> = mapping
            .boot_after
            .iter()
            .filter(|other| waits.contains_key(*other))
            .collect();
        open.insert(id, before.len());
        for other in before {
            waiting_for.entry(other).or_default().push(id);
        }
    }
    // Take away whatever waits for nothing, again and again; what stays is in a circle or behind one.
    let mut free: Vec<_> = open
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(id, _)| *id)
        .collect();
    while let Some(id) = free.pop() {
        open.remove(id);
        for next in waiting_for.remove(id).into_iter().flatten() {
            if let Some(count) = open.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    free.push(next);
                }
            }
        }
    }
    // Everything that is left waits for something that is left: following that comes round.
    let mut path: Vec<&CloudId> = vec![*open.keys().next()?];
    loop {
        let last = path.last()?;
        let next = waits
            .get(*last)?
            .boot_after
            .iter()
            .find(|other| open.contains_key(other))?;
        let seen = path.iter().position(|id| *id == next);
        path.push(next);
        if let Some(start) = seen {
            return Some(path.split_off(start));
        }
    }
}

/// Instances that wait for one which the plan leaves stopped.
pub(super) fn waits_for_the_stopped(plan: &RecoveryPlan) -> Vec<Warning> {
    let stopped = |id: &&CloudId| plan.mapping.instances.get(*id).is_some_and(|mapping| !mapping.boot);
    let mut found = Vec::new();
    for (id, mapping) in &plan.mapping.instances {
        for other in mapping.boot_after.iter().filter(stopped) {
            let message =
                format!("instance {id} waits for {other}, which is left stopped: it waits until that is made");
            found.push(Warning::new(
                "plan.boot_after_stopped",
                field(id),
                message,
                "start it, or do not wait for it",
            ));
        }
    }
    found
}
