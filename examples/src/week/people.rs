//! Those who work with the product, each with an account of their own: an Admin, a Manager, two Operators and a Viewer.

use anyhow::{Context, Result};
use ns_core::model::{OwnerGroupId, UserRole};
use ns_core::session::{UserGroupRequest, UserRequest};
use ns_core::sim::SimClock;
use ns_core::{Engine, Session};

const PASSWORD: &str = "correct horse battery";
const ORIGIN: &str = "203.0.113.7";

/// Who works here.
#[derive(Debug)]
pub(super) struct People {
    engine: Engine,
    clock: SimClock,
    /// Owns both clouds and four of the five protection groups.
    pub(super) operations: OwnerGroupId,
    /// Owns the protection group of the payments.
    pub(super) payments: OwnerGroupId,
}

impl People {
    /// Makes the accounts: root first, by installation, then root all others. Everybody changes the password that they were given.
    pub(super) async fn hire(engine: &Engine, clock: &SimClock) -> Result<Self> {
        // Hashing passwords is real work on another thread: the time stands still meanwhile.
        let _still = clock.hold();
        let first = engine.install_admin("root", "root@example.org").await?;
        let login = engine.log_in("root", &first, ORIGIN).await?;
        let root = engine.authenticate(&login.token).await?;
        root.account().change_password(&first, &PASSWORD.into()).await?;
        let root = engine.authenticate(&login.token).await?;
        let mut groups = Vec::new();
        for name in ["operations", "payments"] {
            let request = UserGroupRequest {
                name: name.to_owned(),
                description: String::new(),
            };
            groups.push(root.user_groups().create(request).await?.id);
        }
        for (id, role, own) in [
            ("mina", UserRole::Manager, &groups[..]),
            ("otto", UserRole::Operator, &groups[..]),
            ("nils", UserRole::Operator, &groups[1..]),
            ("vera", UserRole::Viewer, &groups[..]),
        ] {
            let request = UserRequest {
                id: id.to_owned(),
                name: id.to_owned(),
                mail: format!("{id}@example.org"),
                role,
                groups: own.iter().cloned().collect(),
            };
            let (_, given) = root.users().create(request).await?;
            let login = engine.log_in(id, &given, ORIGIN).await?;
            let shut = engine.authenticate(&login.token).await?;
            shut.account().change_password(&given, &PASSWORD.into()).await?;
        }
        let [operations, payments] = groups.try_into().ok().context("two groups")?;
        Ok(Self {
            engine: engine.clone(),
            clock: clock.clone(),
            operations,
            payments,
        })
    }

    /// A new login of somebody, by the id or the id with the role. Nobody stays logged in for a week.
    pub(super) async fn log_in(&self, who: &str) -> Result<Session> {
        let _still = self.clock.hold();
        let id = who.split(' ').next().unwrap_or_default();
        let login = self.engine.log_in(id, &PASSWORD.into(), ORIGIN).await?;
        Ok(self.engine.authenticate(&login.token).await?)
    }
}
