//! Listening to what an OpenStack cloud tells of itself (EVT-01 … EVT-14): its services publish notifications at the
//! cloud's message broker. `config` says where that is, `amqp` listens there, `oslo` knows what a notification means. What
//! comes of it is hints; the inventory decides.

mod amqp;
mod config;
mod oslo;

pub(crate) use amqp::Broker;
pub use config::NotificationConfig;
