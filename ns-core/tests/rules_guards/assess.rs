use crate::world::{World, id, instance, tenant, volume};
use ns_core::model::{ConnectionState, PlanAssessment, PlanStatus, Resource};
use ns_core::rules::{Mirroring, assess};

fn of(change: impl FnOnce(&mut World)) -> PlanAssessment {
    let mut world = World::new();
    change(&mut world);
    assess(&world.plan_facts())
}

fn codes(a: &PlanAssessment) -> Vec<&str> {
    a.reasons.iter().map(|r| r.code.as_str()).collect()
}

fn source_down(w: &mut World) {
    w.source.connection = ConnectionState::Inactive;
}
fn target_down(w: &mut World) {
    w.target.connection = ConnectionState::Inactive;
}
fn initial(w: &mut World) {
    w.mirroring
        .insert(id("db-data"), Mirroring::InitialCopy { percent: Some(40) });
}
fn abnormal(w: &mut World) {
    w.mirroring.insert(
        id("db-root"),
        Mirroring::Abnormal {
            reason: "split brain".into(),
        },
    );
}
fn warned(w: &mut World) {
    w.target_inventory.insert(Resource::Tenant(tenant("shop-recovered")));
}

#[test]
fn plan_40_normal_has_no_reasons() {
    let a = of(|_| {});
    assert_eq!((a.status, a.reasons.len()), (PlanStatus::Normal, 0));
}

#[test]
fn plan_41_to_44_each_cause_alone() {
    for (cause, status, code, text) in [
        (
            initial as fn(&mut World),
            PlanStatus::Prepare,
            "plan.initial_replication",
            "40 %",
        ),
        (
            |w| w.preparing = true,
            PlanStatus::Prepare,
            "plan.initial_replication",
            "",
        ),
        (abnormal, PlanStatus::Prepare, "plan.mirroring", "split brain"),
        (
            |w| w.mirroring.clear(),
            PlanStatus::Prepare,
            "plan.mirroring",
            "not known",
        ),
        (warned, PlanStatus::Warning, "plan.tenant_name", "mapping.tenant_name"),
        (target_down, PlanStatus::Critical, "plan.target_inactive", "busan"),
        (source_down, PlanStatus::Emergency, "plan.source_inactive", "seoul"),
    ] {
        let a = of(cause);
        assert_eq!((a.status, a.reasons[0].code.as_str()), (status, code));
        assert!(
            a.reasons[0].message.contains(text) && !a.reasons[0].remedy.is_empty(),
            "{:?}",
            a.reasons
        );
        assert!(a.reasons.iter().all(|r| r.status == status));
    }
    let new = of(|w| w.plan.volumes.clear());
    assert_eq!(
        (new.status, codes(&new)),
        (PlanStatus::Prepare, vec!["plan.initial_replication"])
    );
}

#[test]
fn plan_42_additions_and_target_flags() {
    let warns = |code: &str, change: fn(&mut World)| {
        let a = of(change);
        assert_eq!(
            (a.status, codes(&a)),
            (PlanStatus::Warning, vec![code]),
            "{:?}",
            a.reasons
        );
    };
    warns("plan.resource_added", |w| {
        w.source_instance("web").volume_ids.push(id("new"));
        w.source_inventory.insert(Resource::Volume(volume("new", &["web"])));
    });
    let added = of(|w| {
        w.source_inventory
            .insert(Resource::Instance(instance("batch", &["batch-root"])));
        w.group.instances.push(id("batch"));
    });
    assert_eq!(
        codes(&added),
        ["plan.resource_added", "plan.resource_added"],
        "the instance and its volume"
    );
    warns("plan.availability_zone", |w| {
        w.target_inventory.availability_zones.remove(&id("az-b"));
    });
    warns("plan.external_network", |w| {
        w.target_inventory.networks.get_mut(&id("uplink")).unwrap().external = false
    });
    warns("plan.storage", |w| w.target_inventory.volume_types.clear());
    warns("plan.capacity", |w| {
        for node in ["node-1", "node-2"] {
            w.target_inventory.hypervisors.get_mut(&id(node)).unwrap().vcpus = 0;
        }
    });
    warns("plan.node", |w| w.mapping("web").host = Some("gone".into()));
}

/// PLAN-45: every pair of causes, the stronger shown, both kept.
#[test]
fn plan_45_precedence() {
    type Cause = (fn(&mut World), PlanStatus, &'static str);
    let ladder: [Cause; 5] = [
        (target_down, PlanStatus::Critical, "plan.target_inactive"),
        (initial, PlanStatus::Prepare, "plan.initial_replication"),
        (source_down, PlanStatus::Emergency, "plan.source_inactive"),
        (abnormal, PlanStatus::Prepare, "plan.mirroring"),
        (warned, PlanStatus::Warning, "plan.tenant_name"),
    ];
    for (above, (strong, status, first)) in ladder.iter().enumerate() {
        for (weak, _, second) in &ladder[above + 1..] {
            let a = of(|w| {
                weak(w);
                strong(w);
            });
            assert_eq!((a.status, codes(&a)), (*status, vec![*first, *second]));
        }
    }
    // With the Source down mirroring is abnormal and warnings stand open, and a failover is still possible.
    let a = of(|w| {
        source_down(w);
        abnormal(w);
        warned(w);
    });
    assert_eq!((a.status, a.reasons.len()), (PlanStatus::Emergency, 3));
}

#[test]
fn additions_wait_until_the_plan_is_prepared() {
    // While the first copy is under way volumes come one by one: they are not "added".
    let a = of(|w| {
        w.preparing = true;
        w.plan.volumes.remove(&id("db-data"));
    });
    assert_eq!(codes(&a), ["plan.initial_replication"]);
}
