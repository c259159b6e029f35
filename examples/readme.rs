use ns_core::model::{CloudId, JobOperation};
use ns_core::session::{ClusterRequest, GroupRequest, JobRequest, OperationRequest};
use ns_core::{Actor, Engine, Providers, Result, store::SqliteStore};
use std::{path::Path, sync::Arc};

async fn rehearse(store: &Path, seoul: Providers, busan: Providers, instances: Vec<CloudId>) -> Result<()> {
    let engine = Engine::builder(Arc::new(SqliteStore::open(store)?)).build()?;
    engine.start().await?; // continues what an engine that died left unfinished
    let session = engine.session(Actor::admin("anna"));
    let cluster = |name: &str| ClusterRequest { name: name.into(), owner_group_id: "ops".into(), note: "".into() };
    let source = session.clusters().register(cluster("seoul"), seoul).await?;
    let target = session.clusters().register(cluster("busan"), busan).await?;

    let group = session.protection_groups().create(GroupRequest {
        name: "shop".into(), description: "the web shop".into(), owner_group_id: "ops".into(), source_cluster: source.id,
        instances, rpo_minutes: 15, rto_minutes: 30, snapshot_interval: None,
    }).await?;
    let plan = session.plans().suggest(&group.id, &target.id).await?; // same names on the other side; change what you like
    let (plan, mirroring) = session.plans().create(plan).await?;
    session.jobs().wait(&mirroring).await?;
    let (_, point) = session.points().create(&group.id).await?;
    session.jobs().wait(&point).await?;

    let drill = session.jobs().create(JobRequest::drill(group.id, plan.id)).await?;
    println!("drill: {:?}", session.jobs().wait(&drill).await?.result); // it runs there, in networks of its own
    session.jobs().operate(&drill, JobOperation::Rollback, OperationRequest::default()).await?;
    session.jobs().wait(&drill).await?;
    engine.shutdown().await;
    Ok(())
}
