//! The server under test. It is killed, restarted on the same folder, and paused while clients call it.
//!
//! Knows when the server is up. Must not know what it is asked.

use std::{path::PathBuf, time::Duration};

use fastrand::Rng;
use tokio::sync::watch;

use crate::serving::{Client, Serving, connect};

/// The address of the server. `None` while it is down.
#[derive(Clone)]
pub(crate) struct Target(watch::Receiver<Option<String>>);

impl Target {
    /// A client with its own connection, as soon as the server is up.
    pub(crate) async fn connect(&self) -> Client {
        let mut addresses = self.0.clone();
        loop {
            let address = addresses.wait_for(Option::is_some).await.expect("the test keeps the sender of addresses").clone();
            match connect(&address.unwrap_or_default()).await {
                Ok(client) => return client,
                // It is being killed.
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }
}

/// What was done to the server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disturbed {
    pub(crate) kills: u64,
    pub(crate) pauses: u64,
}

/// Kills and restarts the server, and pauses and resumes it, at random moments.
pub(crate) struct Disturber {
    folder: PathBuf,
    server: Option<Serving>,
    address: watch::Sender<Option<String>>,
    rng: Rng,
    disturbed: Disturbed,
}

impl Disturber {
    /// A server on a data folder.
    pub(crate) async fn start(folder: PathBuf, rng: Rng) -> Self {
        let server = Serving::start_on(&folder).await;
        let (address, _) = watch::channel(Some(server.address().to_owned()));
        Self { folder, server: Some(server), address, rng, disturbed: Disturbed::default() }
    }

    /// Where clients find the server.
    pub(crate) fn target(&self) -> Target {
        Target(self.address.subscribe())
    }

    /// Kills or pauses it after a while.
    pub(crate) async fn disturb(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(50..1500))).await;
        if self.rng.bool() { self.kill().await } else { self.pause().await }
    }

    /// Kills the server with SIGKILL and restarts it after a while.
    pub(crate) async fn kill(&mut self) {
        self.server.take().expect("it runs").kill();
        self.address.send_replace(None);
        tokio::time::sleep(Duration::from_millis(self.rng.u64(0..100))).await;
        let server = Serving::start_on(&self.folder).await;
        self.address.send_replace(Some(server.address().to_owned()));
        self.server = Some(server);
        self.disturbed.kills += 1;
    }

    async fn pause(&mut self) {
        let server = self.server.as_ref().expect("it runs");
        server.pause();
        tokio::time::sleep(Duration::from_millis(self.rng.u64(1..400))).await;
        server.resume();
        self.disturbed.pauses += 1;
    }

    /// What was done so far.
    pub(crate) fn disturbed(&self) -> Disturbed {
        self.disturbed
    }

    /// Stops the server as an init system does.
    pub(crate) fn stop(mut self) -> Disturbed {
        self.server.take().expect("it runs").stop();
        self.disturbed
    }
}
