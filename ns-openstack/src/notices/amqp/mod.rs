//! The broker's side of listening: AMQP 0-9-1 with RabbitMQ. `transport` reaches it, `wire` knows the protocol's bytes,
//! `connection` logs in and binds our queue, `listen` takes what comes, `error` says what a refusal means. What a message
//! says is `oslo`'s.
//!
//! The protocol is spoken here and not by a library: we need a tenth of it; the libraries there are go down into tables of
//! any depth, with which whoever may publish can end this process; they write the log-in with its password into the log, or
//! do not let the broker say that it was wrong.

mod connection;
mod error;
mod listen;
mod transport;
mod wire;

use super::NotificationConfig;
use crate::OpenStackConfig;
use connection::Connection;
use error::passing;
use futures::stream::BoxStream;
use ns_core::provider::Notice;
use ns_core::{Error, Result};
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "fuzzing")]
pub(crate) use wire::read_frames;

/// What is needed to listen to a cloud, ready to connect.
#[derive(Debug)]
pub(crate) struct Broker {
    config: NotificationConfig,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// How long reaching it may take, and everything after that until it listens.
    connect: Duration,
    answer: Duration,
}

impl Broker {
    /// None when the cloud is not to be listened to.
    pub(crate) fn new(cloud: &OpenStackConfig) -> Result<Option<Self>> {
        let Some(config) = cloud.notifications.clone() else {
            return Ok(None);
        };
        let ca_file = config.ca_file.as_deref().or(cloud.ca_file.as_deref());
        let tls = config.tls.then(|| transport::tls(ca_file).map(Arc::new)).transpose()?;
        Ok(Some(Self {
            config,
            tls,
            connect: cloud.timing.connect,
            answer: cloud.timing.read,
        }))
    }

    /// Connects and listens: from now on nothing is missed.
    pub(crate) async fn notices(&self) -> Result<BoxStream<'static, Result<Notice>>> {
        let (mut connection, host) = self.connection().await?;
        let missing = self.within(connection.listen(&self.config)).await;
        let missing = missing.map_err(|e| self.at(e, &host))?;
        for exchange in &missing {
            tracing::warn!(
                broker = host,
                exchange,
                "no such exchange yet: nothing was published there"
            );
        }
        tracing::info!(broker = host, queue = self.config.queue(), "listening to notifications");
        let place = self.place(&host);
        Ok(listen::start(connection, &self.config, missing, place))
    }

    /// Logs in and looks which exchanges are not there. Changes nothing.
    pub(crate) async fn check(&self) -> Result<Vec<String>> {
        let (mut connection, host) = self.connection().await?;
        let missing = self.within(connection.missing(&self.config)).await;
        connection.close().await;
        missing.map_err(|e| self.at(e, &host))
    }

    /// To the first node that lets us in.
    async fn connection(&self) -> Result<(Connection, String)> {
        let mut why: Option<Error> = None;
        for host in &self.config.hosts {
            let opened = async {
                let pipe = transport::connect(host, self.config.port(), self.tls.as_ref(), self.connect).await?;
                self.within(Connection::open(pipe, &self.config)).await
            };
            match opened.await {
                Ok(connection) => return Ok((connection, host.clone())),
                // That one node is away says less than that another one refuses.
                Err(e) if why.as_ref().is_none_or(|why| why.kind().is_transient()) => why = Some(self.at(e, host)),
                Err(_) => {}
            }
        }
        Err(why.unwrap_or_else(|| passing("notifications.unreachable", "there is no message broker")))
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let late = |_| passing("notifications.no_answer", "the message broker does not answer in time");
        tokio::time::timeout(self.answer, work).await.map_err(late)?
    }

    fn at(&self, error: Error, host: &str) -> Error {
        error.with("broker", self.place(host))
    }

    fn place(&self, host: &str) -> String {
        format!("{host}:{}", self.config.port())
    }
}

#[cfg(test)]
mod tests;
