//! One to several nodes on a Redis: posts a second that one Redis takes, what a delivery costs all nodes together, and
//! what each post costs Redis. Nodes, Redis and generator share the machine, so that more nodes carry no more here: how
//! much they would carry elsewhere follows from the processor time for each delivery.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::scene::Scene;
use super::{create_room, millis};
use crate::crowd::Crowd;
use crate::dialect::Dialect;
use crate::figure::Figure;
use crate::limits;
use crate::load::Load;
use crate::server::{Launcher, Server};
use crate::swarm::Swarm;
use crate::traffic::Drive;
use crate::watch::Usage;
use crate::wire::TEXT_BYTES;

const WARM_UP: Duration = Duration::from_secs(1);
const MICRO: f64 = 1e6;
/// Acknowledged posts a second with `appendfsync everysec`.
const TARGET_POSTS: f64 = 20_000.0;
/// By how much more two nodes carry than one.
const TARGET_CARRIED: f64 = 1.6;
/// One for a post that comes alone. The rest is for what goes by the clock: leases and read markers.
const TARGET_CALLS: f64 = 1.1;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Nodes at most; fewer are measured before
    #[arg(long, default_value_t = Options::default().nodes)]
    pub nodes: usize,
    /// Connections that read, spread over the nodes
    #[arg(long, default_value_t = Options::default().readers)]
    pub readers: usize,
    /// Connections that post, spread over the nodes
    #[arg(long, default_value_t = Options::default().senders)]
    pub senders: usize,
    /// Posts under way in all where they are counted
    #[arg(long, default_value_t = Options::default().window)]
    pub window: usize,
    /// How long to measure each
    #[arg(long, default_value_t = Options::default().seconds)]
    pub seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 2, readers: 1000, senders: 8, window: 256, seconds: 10 }
    }
}

pub fn run(launcher: &Launcher, options: &Options) -> Result<Vec<Figure>> {
    if options.nodes == 0 || options.readers == 0 || options.senders == 0 || options.window == 0 {
        bail!("--nodes, --readers, --senders and --window must be at least 1");
    }
    // Before the servers start, which inherit the limit.
    limits::allow_connections(options.readers + options.senders + 1)?;
    let mut figures = Vec::new();
    let mut alone: Vec<f64> = Vec::new();
    for nodes in 1..=options.nodes {
        figures.extend(Cluster::start(launcher, nodes, "everysec")?.posts(options)?);
        for (place, scene) in options.scenes().into_iter().enumerate() {
            let cost = Cluster::start(launcher, nodes, "everysec")?.deliveries(&scene)?;
            figures.extend(cost.figures);
            if nodes == 1 {
                alone.push(cost.each);
            } else {
                let carried = nodes as f64 * alone[place] / cost.each;
                let figure = Figure::new(
                    format!("{nodes} nodes, {}: carried, by CPU, to one node's", name(&scene)),
                    carried,
                    "×",
                );
                figures.push(if nodes == 2 { figure.at_least(TARGET_CARRIED) } else { figure });
            }
        }
    }
    figures.extend(Cluster::start(launcher, 1, "always")?.posts(options)?);
    Ok(figures)
}

impl Options {
    fn scenes(&self) -> [Scene; 3] {
        let (senders, seconds) = (self.senders, self.seconds);
        let one =
            |senders, window| Scene { rooms: 1, readers: self.readers, senders, drive: Drive::Window(window), seconds };
        let many =
            Scene { rooms: self.readers.div_ceil(10), readers: 10, senders: 1, drive: Drive::Window(640), seconds };
        [one(1, 1), one(senders, 64), many]
    }
}

fn name(scene: &Scene) -> String {
    let Scene { rooms, readers, .. } = scene;
    let under_way = match scene.drive {
        Drive::Window(window) => format!("{window} under way"),
        Drive::Rate(rate) => format!("{rate} messages/s"),
    };
    format!("{rooms} room{} of {readers}, {under_way}", if *rooms == 1 { "" } else { "s" })
}

struct Cluster {
    redis: Server,
    nodes: Vec<Server>,
    fsync: &'static str,
}

/// What deliveries cost.
struct Cost {
    figures: Vec<Figure>,
    /// Processor microseconds of all nodes for one.
    each: f64,
}

/// What was used so far.
struct Used {
    nodes: Vec<Usage>,
    redis: Usage,
    scripts: Scripts,
}

/// Between two looks: seconds on processors, and how many scripts were called, and took how many seconds.
struct Spent {
    nodes: f64,
    redis: f64,
    calls: f64,
    in_scripts: f64,
}

/// All that a Redis has run since its start.
struct Scripts {
    calls: u64,
    micros: u64,
}

impl Cluster {
    fn start(launcher: &Launcher, nodes: usize, fsync: &'static str) -> Result<Self> {
        let redis = launcher
            .listener(|folder, address| {
                let mut command = Command::new("redis-server");
                command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
                command.args(["--appendonly", "yes", "--appendfsync", fsync, "--dir"]).arg(folder);
                Ok(command)
            })
            .context("redis-server does not start: on Debian, apt-get install redis-server")?;
        let nodes = (0..nodes).map(|_| launcher.node(redis.address)).collect::<Result<Vec<_>>>()?;
        Ok(Self { redis, nodes, fsync })
    }

    fn stop(self) -> Result<()> {
        for node in self.nodes {
            node.stop()?;
        }
        self.redis.stop()
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    fn name(&self) -> String {
        let count = self.nodes.len();
        format!("{count} node{}", if count == 1 { "" } else { "s" })
    }

    /// As many as are taken, by nobody read.
    fn posts(self, options: &Options) -> Result<Vec<Figure>> {
        let mut swarm = Swarm::spread(self.addresses())?;
        let senders = swarm.connect(options.senders)?;
        let room = create_room(&mut swarm, senders.start, "Append")?;
        let start = swarm.ask(senders.start, &json!({"type": "subscribe", "room": room, "last": 0}))?;
        swarm.ask(senders.start, &json!({"type": "unsubscribe", "room": room}))?;
        let empty = self.held()?;
        let mut load = Load::new(&room, senders, options.window)?;
        load.keep_up(&mut swarm, WARM_UP)?;
        load.take_latency();
        let (before, used, since) = (load.acknowledged(), self.used()?, Instant::now());
        load.keep_up(&mut swarm, Duration::from_secs(options.seconds))?;
        let (took, spent) = (since.elapsed(), self.used()?.since(&used));
        let posts = (load.acknowledged() - before) as f64;
        let latency = load.take_latency();
        load.finish(&mut swarm)?;
        let held = (self.held()?.saturating_sub(empty)) as f64 / load.acknowledged() as f64;
        load.check_log(&mut swarm, &start["epoch"], start["head"].as_u64().unwrap_or(0))?;
        let (cluster, fsync) = (self.name(), self.fsync);
        self.stop()?;

        let name = |what: &str| format!("{cluster}, appendfsync {fsync}, posts: {what}");
        let rate = Figure::new(name("acknowledged"), posts / took.as_secs_f64(), "/s");
        Ok(vec![
            if fsync == "everysec" { rate.at_least(TARGET_POSTS) } else { rate },
            Figure::new(name("p50"), millis(latency.value_at_quantile(0.5)), "ms"),
            Figure::new(name("p99"), millis(latency.value_at_quantile(0.99)), "ms"),
            Figure::new(name("CPU of the nodes each"), spent.nodes * MICRO / posts, "µs"),
            Figure::new(name("CPU of Redis each"), spent.redis * MICRO / posts, "µs"),
            Figure::new(name("memory of Redis each"), held, "B"),
        ])
    }

    /// The readers of each room are spread over the nodes.
    fn deliveries(self, scene: &Scene) -> Result<Cost> {
        let mut crowd = Crowd::spread(self.addresses())?;
        let mut traffic = scene.set(&self.nodes[0], &mut crowd, Dialect::Chinwag, TEXT_BYTES)?;
        // The first post of each sender makes them a user, too.
        traffic.keep_up(&mut crowd, WARM_UP)?;
        traffic.finish(&mut crowd)?;
        traffic.latency.reset();
        let (before, used, since) = (traffic.deliveries, self.used()?, Instant::now());
        traffic.keep_up(&mut crowd, Duration::from_secs(scene.seconds))?;
        traffic.finish(&mut crowd)?;
        let (took, spent) = (since.elapsed(), self.used()?.since(&used));
        let (deliveries, latency) = ((traffic.deliveries - before) as f64, &traffic.latency);
        if deliveries == 0.0 {
            bail!("nothing was delivered in {} s", scene.seconds);
        }
        let cluster = self.name();
        self.stop()?;

        let messages = deliveries / scene.readers as f64;
        let each = spent.nodes * MICRO / deliveries;
        let name = |what: &str| format!("{cluster}, {}: {what}", name(scene));
        let calls = Figure::new(name("scripts called for a message"), spent.calls / messages, "");
        let figures = vec![
            Figure::new(name("deliveries"), deliveries / took.as_secs_f64(), "/s"),
            Figure::new(name("CPU of the nodes each"), each, "µs"),
            Figure::new(name("CPU of Redis for a message"), spent.redis * MICRO / messages, "µs"),
            if scene.drive == Drive::Window(1) { calls.at_most(TARGET_CALLS) } else { calls },
            Figure::new(name("time in scripts for a message"), spent.in_scripts * MICRO / messages, "µs"),
            Figure::new(name("p50"), millis(latency.value_at_quantile(0.5)), "ms"),
            Figure::new(name("p99"), millis(latency.value_at_quantile(0.99)), "ms"),
        ];
        Ok(Cost { figures, each })
    }

    fn held(&self) -> Result<u64> {
        held(&info(self.redis.address, "memory")?).context("INFO memory names no used_memory")
    }

    fn used(&self) -> Result<Used> {
        let nodes = self.nodes.iter().map(Server::usage).collect::<Result<_>>()?;
        Ok(Used {
            nodes,
            redis: self.redis.usage()?,
            scripts: Scripts::read(&info(self.redis.address, "commandstats")?),
        })
    }
}

impl Used {
    fn since(&self, earlier: &Self) -> Spent {
        let nodes = self.nodes.iter().zip(&earlier.nodes).map(|(now, before)| now.since(before).total());
        Spent {
            nodes: nodes.sum(),
            redis: self.redis.since(&earlier.redis).total(),
            calls: (self.scripts.calls - earlier.scripts.calls) as f64,
            in_scripts: (self.scripts.micros - earlier.scripts.micros) as f64 / MICRO,
        }
    }
}

/// What this Redis says of itself.
fn info(redis: SocketAddr, section: &str) -> Result<String> {
    let mut socket = BufReader::new(TcpStream::connect(redis)?);
    socket.get_mut().write_all(format!("INFO {section}\r\n").as_bytes())?;
    let mut length = String::new();
    socket.read_line(&mut length)?;
    let length = length.trim().strip_prefix('$').and_then(|it| it.parse().ok()).context("INFO has another form")?;
    let mut said = vec![0; length];
    socket.read_exact(&mut said)?;
    Ok(String::from_utf8(said)?)
}

/// Bytes that Redis holds, from what it says of its memory.
fn held(stats: &str) -> Option<u64> {
    stats.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok())
}

impl Scripts {
    fn read(stats: &str) -> Self {
        let of = |line: &str| {
            let said = line.strip_prefix("cmdstat_evalsha:").or_else(|| line.strip_prefix("cmdstat_eval:"))?;
            let field = |name| said.split(',').find_map(|it| it.strip_prefix(name)?.parse::<u64>().ok());
            Some((field("calls=")?, field("usec=")?))
        };
        let all = stats.lines().filter_map(of);
        let (calls, micros) = all.fold((0, 0), |(calls, micros), more| (calls + more.0, micros + more.1));
        Self { calls, micros }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_scripts_are_counted() {
        let stats = "# Commandstats\r\ncmdstat_get:calls=7,usec=1\r\ncmdstat_eval:calls=2,usec=5,usec_per_call=2.50\r\n\
                     cmdstat_evalsha:calls=40,usec=50,usec_per_call=1.25,rejected_calls=0\r\n";
        let Scripts { calls, micros } = Scripts::read(stats);
        assert_eq!((calls, micros), (42, 55));
    }

    #[test]
    fn what_redis_holds_is_found() {
        assert_eq!(held("# Memory\r\nused_memory:1024\r\nused_memory_rss:9\r\n"), Some(1024));
    }
}
