//! The lab's real guest: what it prints on its console, and how it is told to write.

use anyhow::{Context, Result, bail};
use ns_core::model::CloudId;
use ns_core::provider::Cloud;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Looks again and again until there is something, for at most `limit`.
///
/// # Errors
/// When the time is up, with the last error of `look`.
pub async fn wait_for<T, F>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let begin = Instant::now();
    loop {
        let last = match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if begin.elapsed() > limit {
            let why = last.map_or(String::new(), |e| format!(": {e:#}"));
            bail!("{what} did not happen within {limit:?}{why}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A running guest.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Its cloud.
    pub cloud: Cloud,
    /// Its server.
    pub server: CloudId,
}

impl Guest {
    /// Waits until the guest has booted and gives its `LAB-BOOT` line.
    ///
    /// # Errors
    /// When it does not boot in time; the end of its console is kept.
    pub async fn booted(&self) -> Result<String> {
        wait_for("the guest's boot", Duration::from_secs(240), || async {
            let console = self.cloud.console(&self.server, 300).await?;
            Ok(console
                .lines()
                .rev()
                .find(|l| l.contains("LAB-BOOT"))
                .map(str::to_owned))
        })
        .await
    }

    /// The text between the brackets of `marker=[…]` in a console line.
    #[must_use]
    pub fn marker(line: &str) -> Option<&str> {
        line.split_once("marker=[")?.1.split_once(']').map(|(marker, _)| marker)
    }

    /// Waits for the `LAB-DISK` lines of so many disks, which the guest prints one after the other when it has booted.
    ///
    /// # Errors
    /// When there are fewer after a minute.
    pub async fn disks(&self, count: usize) -> Result<Vec<String>> {
        wait_for("the guest's disks", Duration::from_secs(60), || async {
            let console = self.cloud.console(&self.server, 300).await?;
            let disks: Vec<_> = console
                .lines()
                .filter(|l| l.contains("LAB-DISK"))
                .map(str::to_owned)
                .collect();
            Ok((disks.len() >= count).then_some(disks))
        })
        .await
    }

    /// Tells the guest at `address` to write a marker to all its disks, and waits for its word that it is on disk.
    ///
    /// # Errors
    /// When it does not answer `OK` in time.
    pub async fn mark(address: &str, port: u16, marker: &str) -> Result<()> {
        let target = format!("{address}:{port}");
        wait_for("the guest's word on its marker", Duration::from_secs(90), || {
            let (target, line) = (target.clone(), format!("MARK {marker}\n"));
            async move {
                let answer = tokio::task::spawn_blocking(move || -> Result<String> {
                    let address = target.parse().context("address")?;
                    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(3))?;
                    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                    stream.write_all(line.as_bytes())?;
                    let mut answer = String::new();
                    BufReader::new(stream).read_line(&mut answer)?;
                    Ok(answer)
                })
                .await??;
                Ok(answer.starts_with("OK").then_some(()))
            }
        })
        .await
    }
}
