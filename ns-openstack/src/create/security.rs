//! Security groups and their rules.

use super::{Found, or_gone};
use crate::error::Service::Network;
use crate::inventory::network::{Rule, SecurityGroup};
use crate::mark::{add, description, description_has, description_is_ours, not_ours, without};
use crate::session::Session;
use futures::stream::{self, TryStreamExt};
use ns_core::model::SecurityGroupRule;
use ns_core::provider::{CreatedKind, RuleSpec, Token};
use ns_core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct One {
    security_group: SecurityGroup,
}

async fn one(session: &Session, id: &str) -> Result<Option<SecurityGroup>> {
    let found: Option<One> = session.get(Network, &["security-groups", id]).found().await?;
    Ok(found.map(|found| found.security_group))
}

async fn marked(session: &Session, tenant: Option<&str>, token: &Token) -> Result<Vec<SecurityGroup>> {
    #[derive(Deserialize)]
    struct Many {
        security_groups: Vec<SecurityGroup>,
    }
    // The token is a part of the description, which Neutron cannot search: ids and descriptions only are fetched.
    let mut call = session.get(Network, &["security-groups"]);
    for field in ["id", "project_id", "description"] {
        call = call.query("fields", field);
    }
    if let Some(tenant) = tenant {
        call = call.query("project_id", tenant);
    }
    let mut found = call.json::<Many>().await?.security_groups;
    found.retain(|group| description_has(&group.description, token));
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

pub(super) async fn find(session: &Session, tenant: Option<&str>, token: &Token) -> Result<Option<Found>> {
    let found = marked(session, tenant, token).await?.into_iter().next();
    Ok(found.map(|group| (group.id, Some(group.project_id))))
}

/// Makes a group without rules: those that let everything out, which Neutron adds by itself, are taken out again.
pub(super) async fn group(session: &Session, tenant: &str, name: &str, text: &str, token: &Token) -> Result<String> {
    if name == "default" {
        return Err(Error::new(
            ErrorKind::Rejected,
            "network.SecurityGroupDefaultAlreadyExists",
            "every project has a security group default of its own",
        )
        .with_field("name")
        .with_remedy("give the group another name"));
    }
    let id = match marked(session, Some(tenant), token).await?.into_iter().next() {
        Some(group) => group.id,
        None => {
            let body = json!({"name": name, "description": description(text, token), "project_id": tenant});
            let made: One = session
                .post(Network, &["security-groups"], json!({"security_group": body}))
                .json()
                .await?;
            made.security_group.id
        }
    };
    for rule in current(session, &id)
        .await?
        .security_group_rules
        .iter()
        .filter(|rule| is_automatic(rule))
    {
        or_gone(
            session
                .delete(Network, &["security-group-rules", &rule.id])
                .done()
                .await,
        )?;
    }
    if current(session, &id)
        .await?
        .security_group_rules
        .iter()
        .any(is_automatic)
    {
        let message = "the service keeps the rules it adds by itself";
        return Err(Error::new(ErrorKind::Rejected, "network.automatic_rules", message).with("group", id));
    }
    Ok(id)
}

async fn current(session: &Session, id: &str) -> Result<SecurityGroup> {
    one(session, id).await?.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            "network.SecurityGroupNotFound",
            "there is no such security group",
        )
        .with("id", id)
    })
}

/// "Everything out", as Neutron adds it: no text, no token.
fn is_automatic(rule: &Rule) -> bool {
    let shape = SecurityGroupRule::from(rule);
    let everything = shape.protocol.is_none() && shape.remote_cidr.is_none() && shape.remote_group_id.is_none();
    !shape.ingress && everything && rule.description.is_empty()
}

/// Gives a group of ours exactly these rules.
pub(super) async fn rules(
    session: &Session,
    tenant: &str,
    id: &str,
    wanted: &[RuleSpec],
    token: &Token,
) -> Result<String> {
    let group = current(session, id).await?;
    if !description_is_ours(&group.description) {
        return Err(not_ours(CreatedKind::SecurityGroup, id));
    }
    if !description_has(&group.description, token) {
        // First the mark, so that the rules are found again whatever comes between.
        let body = json!({"security_group": {"description": add(&group.description, token)}});
        session.put(Network, &["security-groups", id]).body(body).done().await?;
    }
    let mut shapes = Vec::new();
    for spec in wanted {
        let remote = spec.remote_group.as_ref().map(ns_core::provider::Ref::id).transpose()?;
        shapes.push(SecurityGroupRule {
            remote_group_id: remote.map(Into::into),
            ..spec.rule.clone()
        });
    }
    let has = |rules: &[Rule], shape: &SecurityGroupRule| rules.iter().any(|rule| same(&rule.into(), shape));
    let mut missing = shapes.clone();
    missing.retain(|shape| !has(&group.security_group_rules, shape));
    stream::iter(missing.into_iter().map(Ok))
        .try_for_each_concurrent(session.config.parallel, |shape| {
            add_rule(session, tenant, id, shape, token)
        })
        .await?;
    for rule in &group.security_group_rules {
        if !shapes.iter().any(|shape| same(&rule.into(), shape)) {
            or_gone(
                session
                    .delete(Network, &["security-group-rules", &rule.id])
                    .done()
                    .await,
            )?;
        }
    }
    let now = current(session, id).await?.security_group_rules;
    match shapes.iter().find(|shape| !has(&now, shape)) {
        None => Ok(id.to_owned()),
        Some(missing) => Err(Error::new(
            ErrorKind::Conflict,
            "network.rule_missing",
            "a rule was removed while it was made",
        )
        .with("group", id)
        .with("rule", format!("{missing:?}"))),
    }
}

async fn add_rule(session: &Session, tenant: &str, group: &str, rule: SecurityGroupRule, token: &Token) -> Result<()> {
    let body = json!({"security_group_rule": {
        "security_group_id": group, "project_id": tenant, "description": token.as_str(),
        "direction": if rule.ingress { "ingress" } else { "egress" },
        "ethertype": if rule.ip_version == 6 { "IPv6" } else { "IPv4" },
        "protocol": rule.protocol, "port_range_min": rule.port_min, "port_range_max": rule.port_max,
        "remote_ip_prefix": rule.remote_cidr, "remote_group_id": rule.remote_group_id,
    }});
    match session.post(Network, &["security-group-rules"], body).done().await {
        // It is there: from a call whose answer was lost, or as another way of writing the same.
        Err(e) if e.code() == "network.SecurityGroupRuleExists" => Ok(()),
        answer => answer,
    }
}

/// Whether two rules mean the same: Neutron has several words for "anywhere", and names and numbers for protocols.
fn same(a: &SecurityGroupRule, b: &SecurityGroupRule) -> bool {
    normal(a) == normal(b)
}

fn normal(rule: &SecurityGroupRule) -> SecurityGroupRule {
    let protocol = rule.protocol.as_deref().map(str::to_lowercase).and_then(|p| {
        Some(
            match p.as_str() {
                "any" | "-1" | "0" => return None,
                "1" => "icmp",
                "6" => "tcp",
                "17" => "udp",
                "58" | "icmpv6" => "ipv6-icmp",
                other => other,
            }
            .to_owned(),
        )
    });
    // For IPv6, `icmp` is the old way to say `ipv6-icmp`.
    let protocol = protocol.map(|p| {
        if rule.ip_version == 6 && p == "icmp" {
            "ipv6-icmp".to_owned()
        } else {
            p
        }
    });
    let anywhere = |cidr: &&String| !matches!(cidr.as_str(), "0.0.0.0/0" | "::/0");
    SecurityGroupRule {
        protocol,
        remote_cidr: rule
            .remote_cidr
            .as_ref()
            .filter(anywhere)
            .map(|cidr| cidr.to_lowercase()),
        ..rule.clone()
    }
}

pub(super) async fn remove_group(session: &Session, id: &str, token: &Token) -> Result<()> {
    if let Some(group) = one(session, id).await?
        && !description_has(&group.description, token)
    {
        return Err(not_ours(CreatedKind::SecurityGroup, id));
    }
    let mut all: Vec<_> = marked(session, None, token)
        .await?
        .into_iter()
        .map(|group| group.id)
        .collect();
    if !all.iter().any(|other| other == id) {
        all.push(id.to_owned());
    }
    for id in &all {
        or_gone(session.delete(Network, &["security-groups", id]).done().await)?;
        session.get(Network, &["security-groups", id]).gone().await?;
    }
    Ok(())
}

/// Takes out the rules that this token put in.
pub(super) async fn remove_rules(session: &Session, id: &str, token: &Token) -> Result<()> {
    let Some(group) = one(session, id).await? else {
        return Ok(());
    };
    let ours: Vec<_> = group
        .security_group_rules
        .iter()
        .filter(|r| description_has(&r.description, token))
        .collect();
    if !description_has(&group.description, token) && ours.is_empty() {
        let others = group
            .security_group_rules
            .iter()
            .any(|r| description_is_ours(&r.description));
        return if others {
            Err(not_ours(CreatedKind::SecurityGroupRules, id))
        } else {
            Ok(())
        };
    }
    for rule in ours {
        or_gone(
            session
                .delete(Network, &["security-group-rules", &rule.id])
                .done()
                .await,
        )?;
    }
    let body = json!({"security_group": {"description": without(&group.description, token)}});
    or_gone(session.put(Network, &["security-groups", id]).body(body).done().await)
}
