//! The server under test: started on a folder of its own, asked for its health, watched through /proc, and ended
//! by its process number, in peace or not.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// For the server to answer /health after its start, and to exit after SIGTERM.
const PATIENCE: Duration = Duration::from_mins(1);

/// How servers are started in this run.
pub struct Launcher {
    binary: PathBuf,
    /// Where the databases go.
    data: PathBuf,
}

pub struct Server {
    child: Child,
    /// It was ended on purpose.
    ended: bool,
    log: PathBuf,
    /// Kept open: a server that prints must not fail at it.
    _stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
    /// From exec to the first good answer of /health.
    pub started_in: Duration,
    folder: Option<TempDir>,
}

impl Launcher {
    pub fn new(binary: &Path, data: &Path) -> Result<Self> {
        let binary = binary.canonicalize().with_context(|| {
            format!(
                "no server at {}: build it with `cargo build --release`, or name it with --server",
                binary.display()
            )
        })?;
        fs::create_dir_all(data).with_context(|| format!("cannot create {}", data.display()))?;
        let data = data.canonicalize()?;
        Ok(Self { binary, data })
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// An empty folder in which a server can be started, removed when dropped.
    pub fn folder(&self) -> Result<TempDir> {
        TempDir::new_in(&self.data).with_context(|| format!("cannot write in {}", self.data.display()))
    }

    /// A server with nothing stored.
    pub fn fresh(&self) -> Result<Server> {
        let folder = self.folder()?;
        let mut server = self.start(folder.path())?;
        server.folder = Some(folder);
        Ok(server)
    }

    /// A server on what a former one left in this folder.
    pub fn start(&self, folder: &Path) -> Result<Server> {
        let log = folder.join("stderr");
        let mut command = Command::new(&self.binary);
        command.args(["--addr", "127.0.0.1:0", "--limits", "off", "--data"]).arg(folder.join("data"));
        for (name, _) in std::env::vars_os() {
            if name == "ADDR" || name == "PORT" || name.to_string_lossy().starts_with("CHINWAG_") {
                command.env_remove(name);
            }
        }
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let begun = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        match greet(&mut child, begun) {
            Ok((stdout, address)) => Ok(Server {
                child,
                ended: false,
                log,
                _stdout: stdout,
                address,
                started_in: begun.elapsed(),
                folder: None,
            }),
            Err(error) => {
                // It may have exited by itself.
                let _ = child.kill();
                let _ = child.wait();
                let said = fs::read_to_string(&log).unwrap_or_default();
                Err(error.context(format!("{} did not start; it said: {}", self.binary.display(), said.trim())))
            }
        }
    }
}

fn greet(child: &mut Child, begun: Instant) -> Result<(BufReader<ChildStdout>, SocketAddr)> {
    let mut stdout = BufReader::new(child.stdout.take().context("its standard output is not ours")?);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let address = address(&line).with_context(|| format!("no http://127.0.0.1:PORT in its first line: {line:?}"))?;
    while !healthy(address) {
        if begun.elapsed() > PATIENCE {
            bail!("/health did not answer 200 within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((stdout, address))
}

fn address(line: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once("http://")?;
    let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(address.len());
    address[..end].trim_end_matches(['.', ':']).parse().ok()
}

fn healthy(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        write!(socket, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        socket.read_exact(&mut status)?;
        Ok(status == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

impl Server {
    /// Resident memory in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("the server is gone")?;
        resident(&status).context("no VmRSS in its /proc/PID/status")
    }

    /// Seconds of processor time used so far, in user and system mode.
    pub fn processor_seconds(&self) -> Result<f64> {
        processor_seconds(&self.child.id().to_string())
    }

    /// SIGKILL, at once.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill the server")?;
        self.child.wait()?;
        self.ended = true;
        Ok(())
    }

    /// SIGTERM; it must drain and exit with success.
    pub fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process number of 0")?;
        kill_process(pid, Signal::TERM).context("cannot stop the server")?;
        let since = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => {
                    self.ended = true;
                    return Ok(());
                }
                Some(status) => bail!("the server ended with {status} after SIGTERM"),
                None if since.elapsed() > PATIENCE => bail!("the server did not end after SIGTERM"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The scenario has failed, and here may stand why.
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        eprintln!("the server said:\n{}", said.trim_end());
    }
}

/// The same of this process.
pub fn own_processor_seconds() -> Result<f64> {
    processor_seconds("self")
}

fn processor_seconds(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the server is gone")?;
    let ticks = ticks(&stat).context("/proc/PID/stat reads unlike proc(5)")?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// utime and stime: the 14th and the 15th field, counted after the name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_sentence() {
        let address = |line| address(line).map(|address| address.to_string());
        assert_eq!(address("open http://127.0.0.1:8080 in a browser").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(address("open http://127.0.0.1:8080/.").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(address("Chinwag is at http://127.0.0.1:41234.\n").as_deref(), Some("127.0.0.1:41234"));
        assert_eq!(address("nothing here"), None);
    }

    #[test]
    fn proc_is_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\nThreads: 1\n"), Some(1234 * 1024));
        assert_eq!(ticks("1 (a) b) S 2 3 4 5 6 7 8 9 10 11 12 13 14 15"), Some(25));
    }
}
