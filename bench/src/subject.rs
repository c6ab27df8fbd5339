//! What is measured: Chinwag, a peer, or the kernel's floor; each started anew for every scenario.

use std::process::Command;

use anyhow::{Context, Result};

use crate::dialect::Dialect;
use crate::peer::Peer;
use crate::server::{Launcher, Server};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    Chinwag,
    /// So many frames a write.
    Floor(usize),
    Peer(Peer),
}

impl Subject {
    /// The floor at its plainest.
    pub const FLOOR: Self = Self::Floor(1);

    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "chinwag" => Self::Chinwag,
            "floor" => Self::FLOOR,
            "floor-16" => Self::Floor(16),
            "floor-64" => Self::Floor(64),
            _ => match Peer::ALL.into_iter().find(|peer| peer.name() == name) {
                Some(peer) => Self::Peer(peer),
                None => anyhow::bail!("no subject is called {name}"),
            },
        })
    }

    pub fn name(self) -> String {
        match self {
            Self::Chinwag => "chinwag".to_owned(),
            Self::Floor(1) => "floor".to_owned(),
            Self::Floor(frames) => format!("floor-{frames}"),
            Self::Peer(peer) => peer.name().to_owned(),
        }
    }

    /// How to get it where it is not installed.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Peer(peer) if !peer.installed() => Some(peer.remedy()),
            _ => None,
        }
    }

    pub fn dialect(self) -> Dialect {
        match self {
            Self::Chinwag => Dialect::Chinwag,
            Self::Floor(_) => Dialect::Plain,
            Self::Peer(peer) => peer.dialect(),
        }
    }

    pub fn start(self, launcher: &Launcher) -> Result<Server> {
        match self {
            Self::Chinwag => launcher.fresh(),
            Self::Peer(peer) => peer.start(launcher),
            Self::Floor(frames) => launcher.listener(|_, address| {
                let mut command = Command::new(std::env::current_exe().context("where is this program?")?);
                command.args(["floor-server", "--listen", &address.to_string(), "--frames", &frames.to_string()]);
                Ok(command)
            }),
        }
    }
}
