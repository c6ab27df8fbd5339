//! What a page of history costs in a room of a hundred messages and in one of a million, at the end and anywhere, over
//! the socket and over REST: it must not grow with the room. Both rooms are in one database, and take turns.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{millis, start};
use crate::figure::{Figure, medians, readable};
use crate::http::Http;
use crate::load::latencies;
use crate::server::{Launcher, Server};
use crate::swarm::{Patience, Swarm};

const PAGE: u64 = 50;
pub const TARGET_RATIO: f64 = 1.2;
const MICRO: f64 = 1e6;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Messages in the large room
    #[arg(long, default_value_t = Options::default().events)]
    events: usize,
    /// Connections, each with one page under way
    #[arg(long, default_value_t = Options::default().connections)]
    connections: usize,
    /// Length of each phase
    #[arg(long, default_value_t = Options::default().milliseconds)]
    milliseconds: u64,
    /// How often each room is read in each way
    #[arg(long, default_value_t = Options::default().phases)]
    phases: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { events: 1_000_000, connections: 4, milliseconds: 500, phases: 10 }
    }
}

pub fn run(launcher: &Launcher, filled: &start::Filled, options: &Options) -> Result<Vec<Figure>> {
    if options.connections == 0 || options.milliseconds == 0 || options.phases == 0 {
        bail!("--connections, --milliseconds and --phases must be at least 1");
    }
    let server = launcher.start(filled.folder(launcher, options.events)?)?;
    let mut swarm = Swarm::new(server.address)?;
    let all = swarm.connect(options.connections)?;
    let small = Room::find(&mut swarm, start::SMALL_ROOM, start::SMALL_ROOM_EVENTS)?;
    let large = Room::find(&mut swarm, "lobby", options.events)?;
    let time = Duration::from_millis(options.milliseconds);
    let mut figures = Vec::new();
    for phase in 0..options.phases {
        for (way, place) in ALL {
            let mut see = |room| {
                Seen::of(&server, || match way {
                    Way::Socket => over_socket(&mut swarm, all.clone(), room, place, time),
                    Way::Rest => over_rest(server.address, all.len(), room, place, time),
                })
            };
            // They take turns in being the first, too.
            let (first, second) = if phase % 2 == 0 { (&small, &large) } else { (&large, &small) };
            let (first, second) = (see(first)?, see(second)?);
            let (of_small, of_large) = if phase % 2 == 0 { (first, second) } else { (second, first) };
            figures.extend(of_small.figures(&format!("{way}, {place}, {small}")));
            figures.extend(of_large.figures(&format!("{way}, {place}, {large}")));
            figures.push(ratio(way, place, &of_small, &of_large));
        }
    }
    server.stop()?;
    Ok(medians(figures))
}

const ALL: [(Way, Place); 4] =
    [(Way::Socket, Place::End), (Way::Socket, Place::Anywhere), (Way::Rest, Place::End), (Way::Rest, Place::Anywhere)];

fn ratio(way: Way, place: Place, small: &Seen, large: &Seen) -> Figure {
    let time = |seen: &Seen| seen.seconds / seen.latency.len() as f64;
    Figure::new(ratio_name(way, place), time(large) / time(small), "×").at_most(TARGET_RATIO)
}

/// Names of the figures that have a target.
pub fn ratio_names() -> impl Iterator<Item = String> {
    ALL.into_iter().map(|(way, place)| ratio_name(way, place))
}

fn ratio_name(way: Way, place: Place) -> String {
    format!("{way}, {place}: time of a page, large : small")
}

struct Room {
    id: String,
    /// How many messages it was filled with, by which it is named: other scenarios may have added some.
    filled: usize,
    /// The seqs of its messages.
    seqs: Range<u64>,
}

#[derive(Clone, Copy)]
enum Way {
    Socket,
    Rest,
}

#[derive(Clone, Copy)]
enum Place {
    End,
    Anywhere,
}

impl Room {
    fn find(swarm: &mut Swarm, id: &str, filled: usize) -> Result<Self> {
        let newest = swarm.ask(0, &json!({"type": "history", "room": id}))?;
        let number = |value: &Value| value.as_u64().with_context(|| format!("{id}: a page without its numbers"));
        let (head, oldest) = (number(&newest["head"])?, number(&newest["oldest"])?);
        let first = swarm.ask(0, &json!({"type": "history", "room": id, "before": oldest + PAGE}))?;
        let seqs = number(&first["messages"][0]["seq"])?..head + 1;
        if seqs.end < seqs.start + PAGE {
            bail!("{id} holds less than a page");
        }
        Ok(Self { id: id.to_owned(), filled, seqs })
    }

    /// The page of this number: where the next one is, is scattered evenly over the room, alike in every run.
    fn page(&self, place: Place, number: u64) -> Page {
        let pages = self.seqs.end - self.seqs.start - PAGE + 1;
        let start = match place {
            Place::End => pages - 1,
            Place::Anywhere => scattered(number, pages),
        };
        Page { first: self.seqs.start + start }
    }
}

/// A number below `bound`; consecutive ones lie far apart (multiples of the golden ratio, without their whole part).
fn scattered(number: u64, bound: u64) -> u64 {
    let fraction = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u64::try_from((u128::from(fraction) * u128::from(bound)) >> 64).unwrap_or(0)
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} messages", readable(self.filled as f64))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Socket => "socket",
            Self::Rest => "REST",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::End => "at the end",
            Self::Anywhere => "anywhere",
        })
    }
}

struct Page {
    first: u64,
}

impl Page {
    fn before(&self) -> u64 {
        self.first + PAGE
    }

    /// An error unless this reply, or body, begins and ends with the page's first and last message.
    fn check(&self, json: &[u8]) -> Result<()> {
        const MESSAGE: &[u8] = br#"{"seq":"#;
        let starts = |seq: u64, at: Option<usize>| {
            at.is_some_and(|at| json[at + MESSAGE.len()..].starts_with(format!("{seq},").as_bytes()))
        };
        let mut places = json.windows(MESSAGE.len());
        let first = places.clone().position(|window| window == MESSAGE);
        let last = places.rposition(|window| window == MESSAGE);
        if starts(self.first, first) && starts(self.before() - 1, last) {
            return Ok(());
        }
        bail!("wanted {PAGE} messages from seq {}, got {:.300}", self.first, String::from_utf8_lossy(json));
    }
}

/// What was seen of one room in one phase.
struct Seen {
    latency: Histogram<u64>,
    seconds: f64,
    processor_seconds: f64,
}

impl Seen {
    fn of(server: &Server, read: impl FnOnce() -> Result<Histogram<u64>>) -> Result<Self> {
        let (used, since) = (server.usage()?, Instant::now());
        let latency = read()?;
        let (seconds, processor_seconds) = (since.elapsed().as_secs_f64(), server.usage()?.since(&used).total());
        Ok(Self { latency, seconds, processor_seconds })
    }

    fn figures(&self, name: &str) -> [Figure; 4] {
        let pages = self.latency.len() as f64;
        [
            Figure::new(format!("{name}: pages"), pages / self.seconds, "/s"),
            Figure::new(format!("{name}: p50"), millis(self.latency.value_at_quantile(0.5)), "ms"),
            Figure::new(format!("{name}: p99"), millis(self.latency.value_at_quantile(0.99)), "ms"),
            Figure::new(format!("{name}: server CPU each"), self.processor_seconds * MICRO / pages, "µs"),
        ]
    }
}

fn over_socket(
    swarm: &mut Swarm,
    all: Range<usize>,
    room: &Room,
    place: Place,
    time: Duration,
) -> Result<Histogram<u64>> {
    let mut latency = latencies()?;
    let mut pages = (0..).map(|number| room.page(place, number));
    let mut under_way: Vec<Option<(Page, u64)>> = all.clone().map(|_| None).collect();
    let mut wrong = None;
    let mut patience = Patience::new("the next page");
    let end = Instant::now() + time;
    loop {
        let over = Instant::now() >= end;
        for who in all.clone().filter(|_| !over) {
            let place = &mut under_way[who - all.start];
            if place.is_none() {
                let page = pages.next().context("the pages have run out")?;
                let before = page.before();
                swarm.say(who, &format!(r#"{{"type":"history","ref":0,"room":"{}","before":{before}}}"#, room.id));
                *place = Some((page, swarm.now()));
            }
        }
        if over && under_way.iter().all(Option::is_none) {
            return Ok(latency);
        }
        let had = latency.len();
        swarm.turn(|who, text, now| {
            if text.starts_with(br#"{"type":"reply""#)
                && let Some((page, asked)) = under_way[who - all.start].take()
            {
                latency.saturating_record(now.saturating_sub(asked));
                wrong = page.check(text).err().or(wrong.take());
            }
        })?;
        wrong.take().map_or(Ok(()), Err)?;
        swarm.all_live()?;
        patience.check(latency.len() > had)?;
    }
}

/// A thread for each connection, since each of them only ever waits for one page.
fn over_rest(
    server: SocketAddr,
    connections: usize,
    room: &Room,
    place: Place,
    time: Duration,
) -> Result<Histogram<u64>> {
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..connections)
            .map(|who| scope.spawn(move || read_by_rest(server, room, place, (who..).step_by(connections), time)))
            .collect();
        let mut latency = latencies()?;
        for reader in readers {
            latency.add(reader.join().map_err(|_| anyhow!("a reader panicked"))??)?;
        }
        Ok(latency)
    })
}

fn read_by_rest(
    server: SocketAddr,
    room: &Room,
    place: Place,
    numbers: impl Iterator<Item = usize>,
    time: Duration,
) -> Result<Histogram<u64>> {
    let mut latency = latencies()?;
    let mut http = Http::connect(server)?;
    let end = Instant::now() + time;
    for number in numbers {
        if Instant::now() >= end {
            break;
        }
        let page = room.page(place, number as u64);
        let asked = Instant::now();
        let body = http.get(&format!("/api/rooms/{}/messages?before={}", room.id, page.before()))?;
        latency.saturating_record(u64::try_from(asked.elapsed().as_nanos())?);
        page.check(body)?;
    }
    Ok(latency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        Room { id: "r".into(), filled: 100, seqs: 2..102 }
    }

    #[test]
    fn every_page_of_a_room_is_asked_for_and_none_beyond_it() {
        let mut asked: Vec<u64> = (0..1000).map(|number| room().page(Place::Anywhere, number).first).collect();
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked, (2..=52).collect::<Vec<_>>());
        assert_eq!(room().page(Place::End, 7).before(), 102);
    }

    #[test]
    fn a_page_is_known_by_its_first_and_its_last_message() {
        let page = Page { first: 7 };
        assert!(
            page.check(br#"{"messages":[{"seq":7,"text":"a"},{"seq":8,"text":"b"},{"seq":56,"text":"c"}]}"#).is_ok()
        );
        assert!(page.check(br#"{"messages":[{"seq":7,"text":"a"},{"seq":55,"text":"b"}]}"#).is_err());
        assert!(page.check(br#"{"messages":[{"seq":71,"text":"a"},{"seq":56,"text":"c"}]}"#).is_err());
        assert!(page.check(br#"{"type":"reply","ref":0,"error":{"code":"no_room"}}"#).is_err());
    }

    #[test]
    fn the_large_room_is_held_against_the_small() {
        let seen = |pages| {
            let mut latency = latencies().unwrap();
            latency.record_n(1_000_000, pages).unwrap();
            Seen { latency, seconds: 1.0, processor_seconds: 1.0 }
        };
        let ratio = ratio(Way::Rest, Place::End, &seen(150), &seen(100));
        assert!(ratio.to_string().ends_with("1.5 ×  (≤ 1.2: missed)"), "{ratio}");
    }
}
