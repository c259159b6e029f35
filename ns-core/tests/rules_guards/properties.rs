//! What holds for all names, all numbers and all mappings, and not only for the edges that the tables name.

use crate::world::World;
use ns_core::model::SnapshotInterval;
use ns_core::rules::{check_name, check_new_name, group_violations, normal_name, plan_violations};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Letters as they come from keyboards and file systems: syllables, the jamo they are made of, letters with and without marks.
fn names() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        4 => proptest::char::range('\u{ac00}', '\u{d7a3}'),
        2 => proptest::char::range('\u{1100}', '\u{1112}'),
        2 => proptest::char::range('\u{1161}', '\u{1175}'),
        1 => proptest::char::range('\u{11a8}', '\u{11c2}'),
        2 => proptest::char::range('\u{3131}', '\u{318e}'),
        4 => proptest::char::range('!', '~'),
        1 => Just('\u{301}'),
        1 => any::<char>(),
    ];
    prop::collection::vec(letter, 0..300).prop_map(String::from_iter)
}

proptest! {
    /// OPEN-06, CL-04, PG-06, PLAN-04: what is stored is one form of a name, whoever typed it; it is accepted exactly when that form
    /// has 1 to 255 letters that are allowed; and a name is taken by every form of itself.
    #[test]
    fn open_06_a_name_has_one_form(name in names()) {
        let normal = normal_name(&name);
        prop_assert_eq!(&normal_name(&normal), &normal);
        let allowed = |c: char| {
            matches!(c, '가'..='힣' | '\u{3131}'..='\u{318e}' | '-' | '_' | '#' | '.') || c.is_ascii_alphanumeric()
        };
        let good = (1..=255).contains(&normal.chars().count()) && normal.chars().all(allowed);
        match check_name("name", &name) {
            Ok(stored) => {
                prop_assert!(good);
                prop_assert_eq!(&stored, &normal);
                let taken = check_new_name("name", &stored, [name.as_str()]).unwrap_err();
                prop_assert_eq!(taken.code(), "name.taken");
            }
            Err(error) => {
                prop_assert!(!good, "{}", error);
                prop_assert_eq!(error.field(), Some("name"));
                prop_assert!(error.remedy().is_some());
            }
        }
    }

    /// OPEN-07, OPEN-08, PLAN-05: a number out of its range is refused by the name of its field, and nothing else is.
    #[test]
    fn open_07_open_08_plan_05_ranges(rpo: u32, rto: u32, minutes in prop::option::of(0_u32..700_000), keep in 0_u32..100) {
        let mut world = World::new();
        (world.group.rpo_minutes, world.group.rto_minutes) = (rpo % 700_000, rto % 700_000);
        world.group.snapshot_interval = minutes.map(SnapshotInterval::minutes);
        let year = 366 * 24 * 60;
        let mut expected = BTreeSet::new();
        for (field, value, least) in [
            ("rpo_minutes", rpo % 700_000, 1),
            ("rto_minutes", rto % 700_000, 1),
            ("snapshot_interval", minutes.unwrap_or(10), 10),
        ] {
            if !(least..=year).contains(&value) {
                expected.insert(field.to_owned());
            }
        }
        let found = group_violations(&world.group, &world.group_facts());
        prop_assert!(found.iter().all(|e| e.code() == "group.range"), "{:?}", found);
        let fields: BTreeSet<String> = found.iter().filter_map(|e| e.field().map(str::to_owned)).collect();
        prop_assert_eq!(fields, expected);
        world.plan.snapshot_retention = keep;
        let refused = plan_violations(&world.plan, &world.plan_inputs());
        prop_assert_eq!(refused.iter().any(|e| e.code() == "plan.retention"), !(1..=48).contains(&keep));
    }

    /// PLAN-11: a mapping with a hole is refused by the field of a hole, and by nothing that is mapped; one without is allowed.
    #[test]
    fn plan_11_a_hole_of_a_mapping_is_named(leave_out in prop::collection::vec(any::<bool>(), 16)) {
        let mut world = World::new();
        let mut leave_out = leave_out.into_iter();
        let mut expected = BTreeSet::new();
        let mapping = &mut world.plan.mapping;
        let mut keeps = |field: String| {
            let out = leave_out.next().unwrap_or_default();
            if out {
                expected.insert(field);
            }
            !out
        };
        mapping.availability_zones.retain(|from, _| keeps(format!("mapping.availability_zones[{from}]")));
        mapping.volume_types.retain(|from, _| keeps(format!("mapping.volume_types[{from}]")));
        mapping.external_networks.retain(|from, _| keeps(format!("mapping.external_networks[{from}]")));
        mapping.instances.retain(|id, _| keeps(format!("mapping.instances[{id}]")));
        let found = plan_violations(&world.plan, &world.plan_inputs());
        let fields: BTreeSet<String> = found.iter().filter_map(|e| e.field().map(str::to_owned)).collect();
        prop_assert_eq!(fields.is_empty(), expected.is_empty(), "{:?}", found);
        prop_assert!(fields.is_subset(&expected), "{:?} beside {:?}", fields, expected);
        prop_assert!(found.iter().all(|e| e.remedy().is_some()));
    }
}
