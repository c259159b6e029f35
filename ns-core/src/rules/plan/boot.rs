//! The boot order: a directed graph of instances without cycles (PLAN-07, OPEN-16).

use super::super::{Warning, invalid};
use crate::Error;
use crate::model::{CloudId, Probe, ProtectionGroup, ReadinessCheck, RecoveryPlan};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// For how many seconds an instance may be waited for until it is ready.
const READY_LIMIT: RangeInclusive<u32> = 1..=3600;
/// How long a path, and all words of a command together, may be.
const TEXT_LIMIT: usize = 4096;

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
    let checks = plan.mapping.instances.iter();
    found.extend(checks.filter_map(|(id, mapping)| wrong_check(id, mapping.ready.as_ref()?)));
    found
}

/// What is wrong with how an instance is seen to be ready.
fn wrong_check(id: &CloudId, check: &ReadinessCheck) -> Option<Error> {
    let refuse = |member: &str, message: String, remedy: &str| {
        let field = format!("mapping.instances[{id}].ready.{member}");
        Some(invalid("plan.readiness", field, message).with_remedy(remedy))
    };
    if !READY_LIMIT.contains(&check.limit_seconds) {
        let (least, most) = (READY_LIMIT.start(), READY_LIMIT.end());
        let message = format!("a limit of {} s", check.limit_seconds);
        return refuse("limit_seconds", message, &format!("give {least} to {most} seconds"));
    }
    match &check.probe {
        Probe::Port { port: 0 } | Probe::Http { port: 0, .. } => {
            refuse("probe.port", "there is no port 0".to_owned(), "give 1 to 65535")
        }
        Probe::Port { .. } => None,
        Probe::Http { path, .. } if !path.starts_with('/') || !path.chars().all(|c| c.is_ascii_graphic()) => {
            let message = "it does not begin with /, or holds what no path holds unencoded".to_owned();
            refuse("probe.path", message, "give a path such as /healthz")
        }
        Probe::Http { path, .. } if path.len() > TEXT_LIMIT => {
            let message = format!("a path of {} bytes", path.len());
            refuse("probe.path", message, &format!("give {TEXT_LIMIT} bytes at most"))
        }
        Probe::Http {
            status: Some(status), ..
        } if !(100..=599).contains(status) => refuse(
            "probe.status",
            format!("there is no answer {status}"),
            "give 100 to 599, or none",
        ),
        Probe::Http { .. } => None,
        Probe::GuestCommand { command } if command.first().is_none_or(String::is_empty) => refuse(
            "probe.command",
            "no command".to_owned(),
            "name the program and its arguments",
        ),
        Probe::GuestCommand { command } => {
            let bytes: usize = command.iter().map(String::len).sum();
            let wrong = bytes > TEXT_LIMIT || command.iter().any(|word| word.contains('\0'));
            let remedy = format!("give {TEXT_LIMIT} bytes at most, without NUL");
            wrong
                .then(|| refuse("probe.command", format!("a command of {bytes} bytes"), &remedy))
                .flatten()
        }
    }
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

/// Checks that will never hold: of instances that are left stopped, and all of them where the engine cannot look.
pub(super) fn useless_checks(plan: &RecoveryPlan, can_look: bool) -> Vec<Warning> {
    let checked = plan
        .mapping
        .instances
        .iter()
        .filter(|(_, mapping)| mapping.ready.is_some());
    let useless = checked.filter(|(_, mapping)| !mapping.boot || !can_look);
    let warning = |(id, boot): (&CloudId, bool)| {
        let (code, message, remedy) = match boot {
            false => (
                "plan.readiness_of_the_stopped",
                format!("instance {id} is left stopped: whether it is ready is not looked at"),
                "start it, or do not check it",
            ),
            true => (
                "plan.no_readiness_probe",
                format!(
                    "the engine cannot look whether instance {id} is ready: the check will fail, and hold nothing up"
                ),
                "give the engine a way to look (EngineBuilder::readiness_probe), or do not check it",
            ),
        };
        Warning::new(code, format!("mapping.instances[{id}].ready"), message, remedy)
    };
    useless.map(|(id, mapping)| warning((id, mapping.boot))).collect()
}
