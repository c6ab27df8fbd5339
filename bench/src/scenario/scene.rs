//! Rooms with readers and senders at any subject, and what their traffic cost: the common ground of the scenarios
//! that count deliveries.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde_json::json;

use super::{DELIVERIES, EACH, P50, P99, WITHOUT_LOG, megabytes, millis};
use crate::crowd::Crowd;
use crate::dialect::{Dialect, Role, Seat};
use crate::figure::Figure;
use crate::limits;
use crate::server::{Launcher, Server};
use crate::subject::Subject;
use crate::swarm::{AT_ONCE, Swarm};
use crate::traffic::{Drive, Traffic};
use crate::watch::{Spent, Usage};
use crate::wire::TEXT_BYTES;

const WARM_UP: Duration = Duration::from_secs(1);
const MICRO: f64 = 1e6;

pub struct Scene {
    pub rooms: usize,
    /// In each room.
    pub readers: usize,
    /// In each room.
    pub senders: usize,
    pub drive: Drive,
    pub seconds: u64,
}

pub struct Measured {
    deliveries: f64,
    took: f64,
    spent: Spent,
    own: Spent,
    latency: Histogram<u64>,
    /// By readers, while it was measured.
    received: u64,
    resident: u64,
    /// Mean length of a delivered payload, over all dialects but Chinwag's that of its text.
    payload: usize,
}

pub fn measure(launcher: &Launcher, subject: Subject, scene: &Scene) -> Result<Measured> {
    let text_bytes = match subject {
        Subject::Chinwag => TEXT_BYTES,
        _ => launcher.payload(|| payload(launcher))?,
    };
    measure_texts(launcher, subject, scene, text_bytes, Duration::from_secs(scene.seconds), WARM_UP)
}

/// The payload of Chinwag's event for a text of 128 bytes.
fn payload(launcher: &Launcher) -> Result<usize> {
    let scene = Scene { rooms: 1, readers: 10, senders: 4, drive: Drive::Window(64), seconds: 0 };
    let short = Duration::from_millis(300);
    Ok(measure_texts(launcher, Subject::Chinwag, &scene, TEXT_BYTES, short, short)?.payload)
}

fn measure_texts(
    launcher: &Launcher,
    subject: Subject,
    scene: &Scene,
    text_bytes: usize,
    time: Duration,
    warm_up: Duration,
) -> Result<Measured> {
    scene.check()?;
    // Before the server starts, which inherits the limit.
    limits::allow_connections(scene.rooms * (scene.readers + scene.senders))?;
    let server = subject.start(launcher)?;
    let mut crowd = Crowd::new(server.address)?;
    let mut traffic = scene.set(&server, &mut crowd, subject.dialect(), text_bytes)?;
    let readers = 0..scene.rooms * scene.readers;

    traffic.keep_up(&mut crowd, warm_up)?;
    traffic.latency.reset();
    let (deliveries, received) = (traffic.deliveries, crowd.received(readers.clone()));
    let (used, own_used, since) = (server.usage()?, Usage::own()?, Instant::now());
    traffic.keep_up(&mut crowd, time)?;
    let took = since.elapsed().as_secs_f64();
    let (spent, own) = (server.usage()?.since(&used), Usage::own()?.since(&own_used));
    let deliveries = (traffic.deliveries - deliveries) as f64;
    let received = crowd.received(readers) - received;
    let latency = traffic.latency.clone();

    if deliveries == 0.0 {
        bail!("nothing was delivered in {took:.0} s");
    }
    traffic.finish(&mut crowd)?;
    let resident = server.resident()?;
    server.stop()?;
    let payload = traffic.payloads.value().context("nothing was delivered")?;
    Ok(Measured { deliveries, took, spent, own, latency, received, resident, payload })
}

impl Scene {
    fn check(&self) -> Result<()> {
        let driven = match self.drive {
            Drive::Window(window) => window > 0,
            Drive::Rate(rate) => rate > 0.0 && rate <= MICRO,
        };
        if self.rooms == 0 || self.readers == 0 || self.senders == 0 || !driven {
            bail!("rooms, readers, senders and window must be at least 1, the rate above 0 and at most 1,000,000");
        }
        Ok(())
    }

    /// All readers first, room by room, then all senders.
    pub fn set(&self, server: &Server, crowd: &mut Crowd, dialect: Dialect, text_bytes: usize) -> Result<Traffic> {
        let rooms: Vec<String> = (0..self.rooms).map(|room| format!("room-{room}")).collect();
        make_rooms(server, dialect, &rooms)?;
        let mut number = 0;
        let mut seat = |role, count| {
            let mut all = Vec::new();
            for room in &rooms {
                let talks = (0..count).map(|_| {
                    number += 1;
                    dialect.talk(Seat { role, room: room.clone(), number })
                });
                all.push(crowd.seat(talks, AT_ONCE)?);
            }
            anyhow::Ok(all)
        };
        let readers = seat(Role::Reader, self.readers)?;
        let senders = seat(Role::Sender, self.senders)?;
        Traffic::new(dialect, readers.into_iter().zip(senders).collect(), self.drive, text_bytes)
    }
}

/// Makes the rooms where they do not come into being by themselves.
pub fn make_rooms(server: &Server, dialect: Dialect, rooms: &[String]) -> Result<()> {
    if dialect != Dialect::Chinwag {
        return Ok(());
    }
    let mut swarm = Swarm::new(server.address)?;
    let maker = swarm.connect(1)?.start;
    let made = swarm.ask_all(rooms.iter().map(|room| (maker, json!({"type": "create", "name": room}))))?;
    match rooms.iter().zip(made).find(|(room, made)| made["room"] != room.as_str()) {
        Some((room, made)) => bail!("the room {room} was made as {made}"),
        None => Ok(()),
    }
}

impl Measured {
    pub fn figures(&self, subject: Subject) -> Vec<Figure> {
        let each = |seconds: f64| seconds * MICRO / self.deliveries;
        let quantile = |quantile| millis(self.latency.value_at_quantile(quantile));
        let mut figures = vec![
            Figure::new(DELIVERIES, self.deliveries / self.took, "/s"),
            Figure::new(EACH, each(self.spent.total()), "µs"),
            Figure::new("of it user", each(self.spent.user), "µs"),
            Figure::new("of it system", each(self.spent.system), "µs"),
            Figure::new(P50, quantile(0.5), "ms"),
            Figure::new(P99, quantile(0.99), "ms"),
            Figure::new("p99.9", quantile(0.999), "ms"),
            Figure::new("bytes each", self.received as f64 / self.deliveries, "B"),
            Figure::new("server resident", megabytes(self.resident), "MB"),
            Figure::new("generator busy", self.own.total() / self.took * 100.0, "% of a core"),
        ];
        if subject == Subject::Chinwag {
            figures.insert(2, Figure::new(WITHOUT_LOG, each(self.spent.total() - self.spent.log), "µs"));
        }
        figures
    }
}
