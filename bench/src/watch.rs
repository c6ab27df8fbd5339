//! What a process and its children use, read from /proc: processor time by thread, and resident memory. It only
//! looks; whose process it is, it does not ask.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// Ticks are coarse: only if they say so much more has a thread ended whose nanoseconds are missing.
const SLACK_SECONDS: f64 = 0.05;

/// Processor time used so far.
#[derive(Clone, Default)]
pub struct Usage {
    /// Seconds, in ticks.
    user: f64,
    system: f64,
    threads: HashMap<u32, Thread>,
}

#[derive(Clone)]
struct Thread {
    name: String,
    /// Nanoseconds on a processor.
    ran: u64,
}

/// Processor seconds between two looks.
#[derive(Clone, Copy, Default, Debug)]
pub struct Spent {
    pub user: f64,
    pub system: f64,
    /// Of both together, what threads used that are the log's: their names begin with `store-`.
    pub log: f64,
}

impl Usage {
    /// Of this process and all below it.
    pub fn of(process: u32) -> Result<Self> {
        let mut all = Self::default();
        for process in family(process) {
            // A child may have ended since it was found; the process itself is missed below.
            if let Ok(usage) = Self::of_one(process) {
                all.user += usage.user;
                all.system += usage.system;
                all.threads.extend(usage.threads);
            }
        }
        if all.threads.is_empty() {
            anyhow::bail!("the server is gone");
        }
        Ok(all)
    }

    /// Of this process, without those that it started.
    pub fn own() -> Result<Self> {
        Self::of_one(std::process::id())
    }

    fn of_one(process: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the process is gone")?;
        let (user, system) = ticks(&stat).context("/proc/PID/stat reads unlike proc(5)")?;
        let second = rustix::param::clock_ticks_per_second() as f64;
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{process}/task")).context("the process is gone")?.flatten() {
            let read = |file| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            let ran = read("schedstat").split(' ').next().and_then(|ran| ran.parse().ok());
            if let (Some(id), Some(ran)) = (entry.file_name().to_str().and_then(|id| id.parse().ok()), ran) {
                threads.insert(id, Thread { name: read("comm").trim().to_owned(), ran });
            }
        }
        Ok(Self { user: user as f64 / second, system: system as f64 / second, threads })
    }

    /// What was spent since an earlier look.
    pub fn since(&self, earlier: &Self) -> Spent {
        let (user, system) = (self.user - earlier.user, self.system - earlier.system);
        let ran = |only: &str| {
            let threads = self.threads.iter().filter(|(_, thread)| thread.name.starts_with(only));
            let all =
                threads.map(|(id, thread)| thread.ran - earlier.threads.get(id).map_or(0, |it| it.ran.min(thread.ran)));
            all.sum::<u64>() as f64 / 1e9
        };
        let (ticks, exact) = (user + system, ran(""));
        // Nanoseconds say how much, ticks say in which mode.
        let scale = if ticks > 0.0 && ticks < exact + SLACK_SECONDS { exact / ticks } else { 1.0 };
        Spent { user: user * scale, system: system * scale, log: ran("store-") }
    }
}

impl Spent {
    pub fn total(self) -> f64 {
        self.user + self.system
    }
}

/// Resident bytes of this process and all below it.
pub fn resident(process: u32) -> Result<u64> {
    let one = |process| bytes(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, "VmRSS:");
    let all: Vec<u64> = family(process).into_iter().filter_map(one).collect();
    if all.is_empty() {
        anyhow::bail!("the server is gone");
    }
    Ok(all.iter().sum())
}

/// The most bytes of this process that were resident since its start, or since that was last forgotten.
pub fn peak_resident(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the server is gone")?;
    bytes(&status, "VmHWM:").context("no VmHWM in its /proc/PID/status")
}

/// The process and all below it.
pub fn family(process: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Some(parent) = fs::read_to_string(entry.path().join("stat")).ok().as_deref().and_then(parent)
        {
            parents.push((child, parent));
        }
    }
    let mut family = vec![process];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    family
}

/// A line of /proc/PID/status.
fn bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The 4th field, counted after the name, which may hold anything.
fn parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

/// utime and stime: the 14th and the 15th field.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(user: f64, system: f64, threads: &[(u32, &str, u64)]) -> Usage {
        let threads = threads.iter().map(|&(id, name, ran)| (id, Thread { name: name.to_owned(), ran }));
        Usage { user, system, threads: threads.collect() }
    }

    #[test]
    fn proc_is_read() {
        let status = "Name:\tx\nVmHWM:\t    2345 kB\nVmRSS:\t    1234 kB\nThreads: 1\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(1234 * 1024));
        assert_eq!(bytes(status, "VmHWM:"), Some(2345 * 1024));
        let stat = "1 (a) b) S 2 3 4 5 6 7 8 9 10 11 12 13 14 15";
        assert_eq!((parent(stat), ticks(stat)), (Some(2), Some((12, 13))));
    }

    #[test]
    fn the_log_has_its_share_and_nanoseconds_say_how_much() {
        let before = usage(1.0, 1.0, &[(1, "worker-0", 1_000_000_000), (2, "store-writer", 1_000_000_000)]);
        let after = usage(
            1.02,
            1.06,
            &[(1, "worker-0", 1_050_000_000), (2, "store-writer", 1_010_000_000), (3, "store-checkpoin", 20_000_000)],
        );
        let spent = after.since(&before);
        assert!((spent.total() - 0.08).abs() < 1e-6 && (spent.user - 0.02).abs() < 1e-6, "{spent:?}");
        assert!((spent.log - 0.03).abs() < 1e-6, "{spent:?}");
    }

    #[test]
    fn a_thread_that_ended_is_counted_by_its_ticks() {
        let before = usage(0.0, 0.0, &[(1, "a", 0), (2, "b", 0)]);
        let after = usage(1.0, 2.0, &[(1, "a", 1_000_000_000)]);
        assert!((after.since(&before).total() - 3.0).abs() < 1e-6);
    }

    #[test]
    fn this_process_is_seen() {
        let own = std::process::id();
        assert!(resident(own).unwrap() > 100_000);
        assert!(Usage::of(own).unwrap().threads.len() >= Usage::own().unwrap().threads.len());
    }
}
