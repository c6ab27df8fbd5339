//! The servers that Chinwag is measured against: how each is found on this machine, got, configured and started. The
//! programs and configurations themselves are in bench/peers.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use crate::dialect::Dialect;
use crate::server::{Launcher, Server};

/// In the tree that this program was built from.
const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
const EJABBERDCTL: &str = "/usr/sbin/ejabberdctl";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    Bun,
    Ws,
    SocketIo,
    Gorilla,
    Axum,
    Nats,
    Mosquitto,
    Ejabberd,
}

impl Peer {
    pub const ALL: [Self; 8] =
        [Self::Bun, Self::Ws, Self::SocketIo, Self::Gorilla, Self::Axum, Self::Nats, Self::Mosquitto, Self::Ejabberd];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bun => "bun",
            Self::Ws => "ws",
            Self::SocketIo => "socket.io",
            Self::Gorilla => "gorilla",
            Self::Axum => "axum",
            Self::Nats => "nats-server",
            Self::Mosquitto => "mosquitto",
            Self::Ejabberd => "ejabberd",
        }
    }

    pub fn dialect(self) -> Dialect {
        match self {
            Self::Bun | Self::Ws | Self::Gorilla | Self::Axum => Dialect::Plain,
            Self::SocketIo => Dialect::SocketIo,
            Self::Nats => Dialect::Nats,
            Self::Mosquitto => Dialect::Mqtt,
            Self::Ejabberd => Dialect::Xmpp,
        }
    }

    /// What to run where it is not installed; bench/peers/get runs all of it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Bun => "`npm ci` in bench/peers",
            Self::Ws | Self::SocketIo => "Node from version 20, and `npm ci` in bench/peers",
            Self::Gorilla => "`apt-get install golang-go golang-github-gorilla-websocket-dev`, then bench/peers/get",
            Self::Axum => "`cargo build --release -p chinwag-bench-axum`",
            Self::Nats => "`apt-get install nats-server`",
            Self::Mosquitto => "`apt-get install mosquitto`",
            Self::Ejabberd => "`apt-get install ejabberd`",
        }
    }

    pub fn installed(self) -> bool {
        self.program().is_some()
    }

    /// Starts it with nothing stored, in a folder of its own.
    pub fn start(self, launcher: &Launcher) -> Result<Server> {
        launcher.listener(|folder, address| self.command(address, folder))
    }

    fn program(self) -> Option<PathBuf> {
        let module = |name| peers("node_modules").join(name).exists();
        match self {
            Self::Bun => Some(peers("node_modules/.bin/bun")).filter(|bun| bun.exists()),
            Self::Ws => on_path("node").filter(|_| module("ws")),
            Self::SocketIo => on_path("node").filter(|_| module("socket.io")),
            Self::Gorilla => Some(peers(".built/gorilla")).filter(|server| server.exists()),
            Self::Axum => {
                Some(std::env::current_exe().ok()?.with_file_name("chinwag-bench-axum")).filter(|it| it.exists())
            }
            Self::Nats => on_path("nats-server"),
            Self::Mosquitto => on_path("mosquitto"),
            Self::Ejabberd => on_path("erl").filter(|_| Path::new(EJABBERDCTL).exists()),
        }
    }

    fn command(self, address: SocketAddr, folder: &Path) -> Result<Command> {
        let program =
            self.program().ok_or_else(|| anyhow!("{} is not installed; to get it: {}", self.name(), self.remedy()))?;
        let mut command = Command::new(program);
        command.env("PORT", address.port().to_string()).env("NODE_ENV", "production");
        let configured = |file: &str, template: &str| -> Result<PathBuf> {
            let path = folder.join(file);
            fs::write(&path, template.replace("PORT", &address.port().to_string()))
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        match self {
            Self::Bun => command.arg(peers("bun.js")),
            Self::Ws => command.arg(peers("ws.js")),
            Self::SocketIo => command.arg(peers("socketio.js")),
            Self::Gorilla | Self::Axum => &mut command,
            Self::Nats => command.arg("--config").arg(configured("nats.conf", include_str!("../peers/nats.conf"))?),
            Self::Mosquitto => {
                command.arg("-c").arg(configured("mosquitto.conf", include_str!("../peers/mosquitto.conf"))?)
            }
            Self::Ejabberd => {
                let file = configured("ejabberd.yml", include_str!("../peers/ejabberd.yml"))?;
                ejabberd(&mut command, &file, folder)?
            }
        };
        Ok(command)
    }
}

/// As ejabberdctl starts it, but as the present user and in `folder`, and without a node name: a node that others can
/// reach would start a daemon that outlives it.
fn ejabberd<'a>(erl: &'a mut Command, configuration: &Path, folder: &Path) -> Result<&'a mut Command> {
    let script = fs::read_to_string(EJABBERDCTL).with_context(|| format!("cannot read {EJABBERDCTL}"))?;
    let libraries = script.lines().find_map(|line| line.strip_prefix("ERL_LIBS='")?.strip_suffix('\''));
    let libraries = libraries.with_context(|| format!("no ERL_LIBS='…' in {EJABBERDCTL}"))?;
    erl.env("ERL_LIBS", libraries)
        .env("EJABBERD_CONFIG_PATH", configuration)
        .env("EJABBERD_LOG_PATH", folder.join("ejabberd.log"))
        .env("ERL_CRASH_DUMP_BYTES", "0")
        .env("ERL_MAX_PORTS", "32000")
        .env("ERL_MAX_ETS_TABLES", "1400")
        .env("HOME", folder);
    Ok(erl
        .args(["+K", "true", "+P", "250000", "-noinput", "-s", "ejabberd", "-mnesia", "dir"])
        .arg(format!("\"{}\"", folder.join("mnesia").display())))
}

fn peers(path: &str) -> PathBuf {
    Path::new(PEERS).join(path)
}

/// Servers are in the administrators' folders, which are not on everybody's path.
fn on_path(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/local/sbin".into(), "/usr/sbin".into()]);
    folders.map(|folder: PathBuf| folder.join(program.as_ref())).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_name_the_port_once() {
        let templates = [
            include_str!("../peers/nats.conf"),
            include_str!("../peers/mosquitto.conf"),
            include_str!("../peers/ejabberd.yml"),
        ];
        assert!(templates.iter().all(|template| template.matches("PORT").count() == 1));
    }

    #[test]
    fn a_peer_that_is_missing_is_refused_with_its_remedy() {
        for peer in Peer::ALL.into_iter().filter(|peer| !peer.installed()) {
            let address = SocketAddr::from(([127, 0, 0, 1], 1));
            let error = peer.command(address, Path::new("/nonexistent")).unwrap_err().to_string();
            assert!(error.contains(peer.name()) && error.contains(peer.remedy()), "{error}");
        }
    }

    #[test]
    fn programs_are_found_on_the_path_only() {
        assert!(on_path("sh").is_some());
        assert_eq!(on_path("no-such-server"), None);
    }
}
