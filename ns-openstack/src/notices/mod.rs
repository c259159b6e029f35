//! Listening to what an OpenStack cloud tells of itself (EVT-01 … EVT-14): its services publish notifications at the
//! cloud's message broker. `config` says where that is, `amqp` listens there, `oslo` knows what a notification means. What
//! comes of it is hints; the inventory decides.

mod amqp;
mod config;
mod oslo;

pub(crate) use amqp::Broker;
#[cfg(feature = "fuzzing")]
pub(crate) use amqp::read_frames;
pub use config::NotificationConfig;
#[cfg(feature = "fuzzing")]
pub(crate) use oslo::read as read_notification;
