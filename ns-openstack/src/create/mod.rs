//! Making, finding and removing things. Here: which kind goes where; per service next door: how. Every creation looks
//! for its token first and takes up what it finds, half made or whole; every removal checks the token first.

mod compute;
mod identity;
mod network;
mod router;
mod security;
mod server;

use crate::auth::Scope;
use crate::session::Session;
use ns_core::model::CloudId;
use ns_core::provider::{CreatedKind, Handle, Ref, Spec, Token};
use ns_core::{Error, ErrorKind, Result};

pub(crate) use server::{console, start, stop};

/// Makes a thing, or takes up the one with this token.
pub(crate) async fn create(session: &Session, spec: &Spec, token: &Token) -> Result<Handle> {
    let refusal = match make(session, spec, token).await {
        // A server that ends in error is found too, and is no reason to make it again.
        Err(error) if is_refusal(error.kind()) && spec.kind() != CreatedKind::Server => error,
        made => return made,
    };
    // In the way may be the thing itself, of a call that nobody waited for and that the service carried out after the look
    // for the token: its address is in use, its range overlaps, its place in the quota is taken.
    let tenant = spec.tenant().map(Ref::id).transpose()?.map(CloudId::from);
    match find(session, spec.kind(), tenant.as_ref(), token).await {
        Ok(Some(_)) => make(session, spec, token).await,
        Ok(None) => Err(refusal),
        Err(unseen) => Err(refusal.with("looking_for_it", unseen)),
    }
}

const fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::Rejected | ErrorKind::Quota)
}

async fn make(session: &Session, spec: &Spec, token: &Token) -> Result<Handle> {
    let id = match spec {
        Spec::Tenant { name, description } => identity::tenant(session, name, description, token).await?,
        Spec::TenantAccess { tenant } => identity::access(session, tenant.id()?, token).await?,
        Spec::RouterInterface { tenant, router, subnet } => {
            router::connect(session, tenant.id()?, router.id()?, subnet.id()?, token).await?
        }
        Spec::SecurityGroup {
            tenant,
            name,
            description,
        } => security::group(session, tenant.id()?, name, description, token).await?,
        Spec::SecurityGroupRules { tenant, group, rules } => {
            security::rules(session, tenant.id()?, group.id()?, rules, token).await?
        }
        Spec::Keypair { name, public_key } => compute::keypair(session, name, public_key, token).await?,
        Spec::Flavor { .. } => compute::flavor(session, spec, token).await?,
        Spec::ServerGroup { tenant, name, policy } => {
            compute::server_group(session, tenant.id()?, name, policy, token).await?
        }
        Spec::Server { .. } => server::create(session, spec, token).await?,
        Spec::Network { .. }
        | Spec::Subnet { .. }
        | Spec::Router { .. }
        | Spec::Port { .. }
        | Spec::FloatingIp { .. } => network::create(session, spec, token).await?,
        other => return Err(unsupported(other.kind())),
    };
    let tenant = match spec {
        Spec::Tenant { .. } => None,
        _ => spec.tenant().map(Ref::id).transpose()?.map(CloudId::from),
    };
    Ok(Handle {
        kind: spec.kind(),
        id: id.into(),
        tenant,
        storage: None,
    })
}

/// Finds what was made with this token, in whatever state it is. Volumes are `adopt`'s.
pub(crate) async fn find(
    session: &Session,
    kind: CreatedKind,
    tenant: Option<&CloudId>,
    token: &Token,
) -> Result<Option<Handle>> {
    let within = tenant.map(CloudId::as_str);
    let found: Option<Found> = match kind {
        CreatedKind::Tenant => identity::find_tenant(session, token).await?.map(|id| (id, None)),
        CreatedKind::TenantAccess => identity::find_access(session, token).await?,
        CreatedKind::RouterInterface => router::find(session, within, token).await?,
        CreatedKind::SecurityGroup | CreatedKind::SecurityGroupRules => security::find(session, within, token).await?,
        CreatedKind::Keypair => compute::find_keypair(session, token).await?.map(|id| (id, None)),
        CreatedKind::Flavor => compute::find_flavor(session, token)
            .await?
            .map(|id| (id, within.map(str::to_owned))),
        CreatedKind::ServerGroup => compute::find_server_group(session, token).await?,
        CreatedKind::Server => server::find(session, token).await?.into_iter().next(),
        CreatedKind::Network
        | CreatedKind::Subnet
        | CreatedKind::Router
        | CreatedKind::Port
        | CreatedKind::FloatingIp => network::find(session, network::Kind::of(kind)?, within, token)
            .await?
            .into_iter()
            .next(),
        other => return Err(unsupported(other)),
    };
    Ok(found.map(|(id, tenant)| Handle {
        kind,
        id: id.into(),
        tenant: tenant.map(Into::into),
        storage: None,
    }))
}

/// Removes a thing and returns when it is gone.
pub(crate) async fn remove(session: &Session, handle: &Handle, token: &Token) -> Result<()> {
    let id = handle.id.as_str();
    match handle.kind {
        CreatedKind::Tenant => identity::remove_tenant(session, id, token).await,
        CreatedKind::TenantAccess => identity::remove_access(session, id, token).await,
        CreatedKind::RouterInterface => router::disconnect(session, id, token).await,
        CreatedKind::SecurityGroup => security::remove_group(session, id, token).await,
        CreatedKind::SecurityGroupRules => security::remove_rules(session, id, token).await,
        CreatedKind::Keypair => compute::remove_keypair(session, id, token).await,
        CreatedKind::Flavor => compute::remove_flavor(session, id, token).await,
        CreatedKind::ServerGroup => compute::remove_server_group(session, id, token).await,
        CreatedKind::Server => server::remove(session, id, token).await,
        CreatedKind::Volume => Err(Error::new(
            ErrorKind::Refused,
            "volume.remove",
            "a volume is never removed: that would delete its image, and the image's replica with it",
        )
        .with("id", id)
        .with_remedy("release it")),
        kind => network::remove(session, network::Kind::of(kind)?, id, token).await,
    }
}

/// The command of OpenStack's own client that removes a thing. A volume's lets go of it only: deleting it would delete its image.
pub(crate) fn removal_command(handle: &Handle) -> Option<String> {
    if handle.id.as_str().starts_with('-') {
        return None;
    }
    let id = quoted(handle.id.as_str());
    let noun = match handle.kind {
        CreatedKind::Tenant => "project",
        CreatedKind::Network => "network",
        CreatedKind::Subnet => "subnet",
        CreatedKind::Router => "router",
        CreatedKind::SecurityGroup => "security group",
        CreatedKind::Keypair => "keypair",
        CreatedKind::Flavor => "flavor",
        CreatedKind::Port => "port",
        CreatedKind::FloatingIp => "floating ip",
        CreatedKind::ServerGroup => "server group",
        CreatedKind::Server => "server",
        CreatedKind::Volume => return Some(format!("cinder unmanage {id}")),
        CreatedKind::RouterInterface => {
            let (router, subnet) = handle.id.as_str().split_once('/')?;
            return Some(format!(
                "openstack router remove subnet {} {}",
                quoted(router),
                quoted(subnet)
            ));
        }
        _ => return None,
    };
    Some(format!("openstack {noun} delete {id}"))
}

/// As a shell takes it for one word, whatever is in it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// An id and the tenant it is in.
type Found = (String, Option<String>);

fn unsupported(kind: CreatedKind) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "create.kind",
        "this provider cannot make such a thing",
    )
    .with("kind", format!("{kind:?}"))
}

/// Working as this tenant.
fn tenant_scope(tenant: &str) -> Scope {
    Scope::Tenant(tenant.to_owned())
}

/// `Ok` for what was gone already.
fn or_gone(answer: Result<()>) -> Result<()> {
    match answer {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        answer => answer,
    }
}

#[cfg(test)]
mod tests;
