//! The house rules, which no compiler keeps: who may import whom, documents that name what there is and nothing else,
//! files that stay small. What fails here says how to mend it.

mod samples;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use axum::response::IntoResponse;
use chinwag::config::Config;
use chinwag::error::Error;
use chinwag::protocol::{CloseCode, Epoch, Kind, Position};
use clap::{ArgAction, CommandFactory};

/// Modules import from lower layers and from themselves. `config` stands so high because only `main` and `server` may
/// see it.
const LAYERS: [&[&str]; 7] = [
    &["main"],
    &["server"],
    &["gateway", "ops", "config"],
    &["chat"],
    &["store", "fetch", "mail"],
    &["error"],
    &["protocol", "frame", "metrics"],
];

/// What is forbidden beyond that: (who, what, why).
const NEVER: [(&str, &str, &str); 18] = [
    ("gateway", "crate::store", "every read and write goes through chat, which asks who is asking"),
    ("gateway", "rusqlite", "only src/store/sqlite names the database"),
    ("chat", "axum", "chat knows no HTTP"),
    ("chat", "hyper", "chat knows no HTTP"),
    ("chat", "tokio::net", "chat knows no socket but through its trait Wire"),
    ("chat", "std::net::Tcp", "chat knows no socket but through its trait Wire"),
    ("chat", "reqwest", "only src/fetch.rs asks other servers, and guards whom"),
    ("gateway", "reqwest", "only src/fetch.rs asks other servers, and guards whom"),
    ("chat", "lettre", "only src/mail.rs hands letters over"),
    ("chat", "rusqlite", "only src/store/sqlite names the database"),
    ("gateway", "redis::", "only src/store/redis knows Redis"),
    ("chat", "redis::", "only src/store/redis knows Redis"),
    ("ops", "redis::", "only src/store/redis knows Redis"),
    ("store", "tokio::net", "the store knows no socket"),
    ("protocol", "tokio", "words on the wire do no I/O"),
    ("protocol", "std::io", "words on the wire do no I/O"),
    ("frame", "tokio", "frames are bytes in, bytes out"),
    ("frame", "std::io", "frames are bytes in, bytes out"),
];

/// What the files in gateway/ may know of each other. Doors know `request`, what stands before them all, and not each
/// other; `http` names them all.
const DOORS: [(&str, &[&str]); 7] = [
    ("http", &["assets", "auth", "classic", "rest", "ws", "request"]),
    ("classic", &["request"]),
    ("auth", &["request"]),
    ("rest", &["request"]),
    ("ws", &["request"]),
    ("assets", &["request"]),
    ("request", &[]),
];

const MOST_LINES: usize = 1_000;

#[test]
fn imports_are_found_however_they_are_written() {
    let module = ["chat".to_owned(), "hub".to_owned()];
    let code = "use crate::{a, b::{self, c}};\nuse super::super::d;\nlet e = super::f(crate::g::H);\nmycrate::i";
    let found = paths_in(code, &module);
    let found: Vec<_> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["a", "b::self", "b::c", "g::H", "d", "chat::f"]);
}

#[test]
fn imports_run_downwards() {
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut faults = Vec::new();
    for source in sources() {
        let from = source.module[0].as_str();
        let Some(own) = layer(from) else {
            faults.push(format!("{} has no layer: give it one in LAYERS here and in ARCHITECTURE.md", source.path));
            continue;
        };
        for import in source.imports() {
            let Some(to) = import.first().filter(|to| *to != from) else { continue };
            let Some(other) = layer(to) else { continue };
            let for_all = to == "metrics";
            if !for_all && other <= own {
                let import = import.join("::");
                faults
                    .push(format!("{} imports {import}: only what is below may be imported; hand it in", source.path));
            }
        }
    }
    none(&faults);
}

#[test]
fn some_things_are_named_in_one_place_only() {
    let mut faults = Vec::new();
    for source in sources() {
        let code = source.code();
        for (who, what, why) in NEVER {
            if source.module[0] == who && code.contains(what) {
                faults.push(format!("{} names {what}: {why}", source.path));
            }
        }
        let named = code.to_lowercase().contains("sqlite");
        if named && !source.path.starts_with("src/store/") {
            faults.push(format!("{} names a backend: only store::open may", source.path));
        }
        if source.path == "src/store/mod.rs" {
            let named = |line: &&str| line.starts_with("mod ") || line.starts_with("pub use ");
            let mut elsewhere: String = code.lines().filter(|line| !named(line)).collect::<Vec<_>>().join("\n");
            for opens in ["pub fn open(", "pub fn leave_link(", "pub fn dump("] {
                let (_, body) = code.split_once(opens).expect("a function that opens the store");
                let (body, _) = body.split_once("\n}\n").expect("it ends");
                elsewhere = elsewhere.replace(body, "");
            }
            for backend in ["sqlite", "redis::"] {
                if elsewhere.to_lowercase().contains(backend) {
                    faults.push(format!("src/store/mod.rs names {backend} elsewhere than where a store is opened"));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn the_doors_do_not_know_each_other() {
    let mut faults = Vec::new();
    for source in sources().filter(|source| source.module[0] == "gateway" && source.module.len() > 1) {
        let door = source.module[1].as_str();
        let Some((_, known)) = DOORS.iter().find(|(name, _)| *name == door) else {
            faults.push(format!("{} is a new door: give it a place in DOORS here", source.path));
            continue;
        };
        for import in source.imports().into_iter().filter(|import| import.len() > 1 && import[0] == "gateway") {
            let other = import[1].as_str();
            if other != door && DOORS.iter().any(|(name, _)| *name == other) && !known.contains(&other) {
                faults.push(format!(
                    "{} imports {}: what doors share belongs into chat",
                    source.path,
                    import.join("::")
                ));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_path_in_the_architecture_exists() {
    let files = files(&["src", "tests", "web", "docs", "bench", "fuzz", "scripts"]);
    let document = read("ARCHITECTURE.md");
    let mut faults = Vec::new();
    let mut directory = "";
    for line in document.lines() {
        // The map: a path, or one below the directory that was named last.
        if let Some(entry) = line.strip_prefix("    ") {
            let path = entry.trim_start();
            let path = &path[..path.find(' ').unwrap_or(path.len())];
            if entry.starts_with("    ") && looks_like_path(path) && !exists(&format!("{directory}{path}")) {
                faults.push(format!("ARCHITECTURE.md: {directory}{path} does not exist"));
            } else if !entry.starts_with(' ') && path.ends_with('/') {
                directory = path;
            }
        }
        for word in line.split(|c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c))) {
            let word = word.trim_end_matches('.');
            let below = |file: &String| {
                file.ends_with(&format!("/{word}")) || word.ends_with('/') && file.contains(&format!("/{word}"))
            };
            if looks_like_path(word) && !exists(word) && !files.iter().any(below) {
                faults.push(format!("ARCHITECTURE.md names {word}, which does not exist"));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_error_code_has_its_row() {
    let documented = rows("docs/protocol.md", "| code | means |");
    let errors = errors();
    let mut faults = Vec::new();
    for code in words_of("src/error.rs", "fn code(", "\n    }\n", "=> \"") {
        if !errors.iter().any(|error| error.code() == code) {
            faults.push(format!("the code {code} is not in this test: add its error to `errors` here"));
        }
    }
    for error in &errors {
        let code = error.code();
        let Some(row) = documented.iter().find(|row| row[0] == format!("`{code}`")) else {
            faults.push(format!("the code {code} has no row in docs/protocol.md, under Errors: add it"));
            continue;
        };
        let value = serde_json::to_value(error).unwrap();
        let fields = value.as_object().unwrap().keys().filter(|key| *key != "code" && *key != "message");
        let (found, told): (BTreeSet<_>, BTreeSet<_>) = (fields.cloned().collect(), ticked(&row[2]).collect());
        if found != told {
            faults.push(format!("docs/protocol.md: {code} comes with the fields {found:?}, not {told:?}"));
        }
        let status = error.clone().into_response().status().as_u16().to_string();
        if status != row[3] {
            faults.push(format!("docs/protocol.md: {code} is the HTTP status {status}, not {}", row[3]));
        }
    }
    for row in documented {
        if !errors.iter().any(|error| format!("`{}`", error.code()) == row[0]) {
            faults.push(format!("docs/protocol.md: there is no code {}: take its row away", row[0]));
        }
    }
    none(&faults);
}

#[test]
fn every_close_code_has_its_row() {
    let documented = rows("docs/protocol.md", "| code | why |");
    let told: BTreeSet<_> = documented.iter().map(|row| row[0].clone()).collect();
    let used: BTreeSet<_> = CloseCode::ALL.iter().map(|code| (*code as u16).to_string()).collect();
    assert_eq!(told, used, "the rows under Closing in docs/protocol.md, and CloseCode::ALL");
}

#[test]
fn every_word_of_the_protocol_is_documented() {
    let document = read("docs/protocol.md");
    let mut faults = Vec::new();
    for command in words_of("src/protocol/command.rs", "fn of_type(", "unknown =>", "\"") {
        if !document.contains(&format!("### {command}\n")) {
            faults.push(format!("docs/protocol.md has no section `### {command}`: write it, with a sample"));
        }
    }
    for push in pushes() {
        if !document.contains(&format!("{{\"type\":\"{push}\",")) {
            faults.push(format!("docs/protocol.md has no sample of the push {push}: add one"));
        }
    }
    for kind in Kind::ALL {
        if !document.contains(&format!("`{}`", kind.as_str())) {
            faults.push(format!("docs/protocol.md does not name the kind {}: say what it is", kind.as_str()));
        }
    }
    none(&faults);
}

#[test]
fn every_route_is_documented() {
    let document = read("docs/protocol.md");
    let named: Vec<_> = ticked(&document).collect();
    let is_named = |route: &str| {
        let parts: Vec<_> = route.split('/').collect();
        named.iter().filter_map(|words| words.split(' ').nth(1)).any(|path| {
            let path: Vec<_> = path.split('?').next().unwrap_or_default().split('/').collect();
            let fits = |(part, word): (&&str, &&str)| {
                part == word || part.starts_with('{') && word.contains(char::is_uppercase)
            };
            path.len() == parts.len() && parts.iter().zip(&path).all(fits)
        })
    };
    let of_the_page =
        |route: &str| route == "/" || ["/r/", "/join", "/assets/", "/favicon"].iter().any(|at| route.starts_with(at));
    let routes = words_of("src/gateway/http.rs", "const SOCKET", ".fallback", "\"");
    let faults: Vec<_> = routes
        .iter()
        .filter(|route| route.starts_with('/') && !of_the_page(route) && !is_named(route))
        .map(|route| format!("docs/protocol.md does not name {route}: add its row under HTTP"))
        .collect();
    assert!(routes.len() > 5, "the routes are found");
    none(&faults);
}

#[test]
fn every_option_has_its_row() {
    let documented = rows("docs/operating.md", "| flag | variable |");
    let mut faults = Vec::new();
    let mut flags = BTreeSet::new();
    for option in Config::command().get_arguments() {
        let Some(flag) = option.get_long().map(|long| format!("--{long}")) else { continue };
        flags.insert(flag.clone());
        let variable = option.get_env().and_then(|env| env.to_str()).unwrap_or_default();
        let Some(row) = documented.iter().find(|row| row[0].trim_matches('`').split(' ').next() == Some(&flag)) else {
            faults.push(format!("{flag} has no row in docs/operating.md, under Options: add it"));
            continue;
        };
        if row[1] != format!("`{variable}`") {
            faults.push(format!("docs/operating.md: the variable of {flag} is {variable}, not {}", row[1]));
        }
        let plain = ["ADDR", "PORT", "REDIS_URL"];
        if !plain.contains(&variable) && variable != format!("CHINWAG_{}", flag[2..].replace('-', "_").to_uppercase()) {
            faults.push(format!("src/config.rs: the variable of {flag} is to be CHINWAG_ and the flag's name"));
        }
        let default = option.get_default_values().first().and_then(|value| value.to_str()).unwrap_or_default();
        if !matches!(option.get_action(), ArgAction::SetTrue)
            && row[2].trim_matches('`') != default
            && !default.is_empty()
        {
            faults.push(format!("docs/operating.md: the default of {flag} is {default}, not {}", row[2]));
        }
        if option.get_help().is_none() {
            faults.push(format!("src/config.rs: {flag} has no help: write a line for --help"));
        }
    }
    assert!(flags.len() > 10, "the options are found");
    for row in documented {
        let flag = row[0].trim_matches('`').split(' ').next().unwrap_or_default().to_owned();
        if !flags.contains(&flag) {
            faults.push(format!("docs/operating.md: there is no option {flag}: take its row away"));
        }
    }
    none(&faults);
}

#[test]
fn files_stay_small_and_finished() {
    let unfinished = ["TO", "DO"].concat();
    let marks = [unfinished.as_str(), "FIXME", "unimplemented!", "todo!(", "dbg!("];
    let mut faults = Vec::new();
    for path in files(&["src", "tests", "web", "bench", "fuzz", "scripts"]) {
        if is(&path, "lock") {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        let lines = text.lines().count();
        if lines > MOST_LINES {
            faults.push(format!("{path} has {lines} lines: make a folder of its name, with a file for each matter"));
        }
        for mark in marks.iter().filter(|mark| path != "tests/it/tidy.rs" && text.contains(**mark)) {
            faults.push(format!("{path} holds {mark}: finish it, or leave it out"));
        }
        if is(&path, "rs") && path.starts_with("src/") && !text.starts_with("//! ") {
            faults
                .push(format!("{path} has no header: say in its first lines what it holds, and what it must not know"));
        }
    }
    none(&faults);
}

/// One of each error, for what each code comes with.
fn errors() -> Vec<Error> {
    let word = || "word".to_owned();
    vec![
        Error::Malformed,
        Error::UnknownType(word()),
        Error::Invalid(word()),
        Error::NoRoom(word()),
        Error::NoUser,
        Error::NoPath,
        Error::Exists("room".into()),
        Error::NotAllowed("never"),
        Error::TooLarge { limit: 1 },
        Error::TooManyPixels { megapixels: 1 },
        Error::NotAnImage,
        Error::TooLong { limit: 1, found: 2 },
        Error::RateLimited { retry_after_ms: 1 },
        Error::Reset(Position { epoch: Epoch(1), oldest: 1, head: 0 }),
        Error::Unavailable("now"),
        Error::UnknownOutcome,
        Error::NameTaken(word()),
        Error::NoSession,
        Error::BadCredentials,
        Error::SecondFactor,
        Error::WeakPassword(word()),
        Error::BadLink,
        Error::Muted(word()),
        Error::Banned(word()),
        Error::SlowMode { retry_after_ms: 1 },
        Error::Internal,
    ]
}

/// The types of all pushes, as the wire has them.
fn pushes() -> Vec<String> {
    let source = read("src/protocol/push.rs");
    let (_, variants) = source.split_once("pub enum Push<'a> {\n").expect("the pushes are one enum");
    let (variants, _) = variants.split_once("\n}\n").expect("it ends");
    let names = variants.lines().filter_map(|line| line.trim().split(|c: char| !c.is_alphanumeric()).next());
    let pushes: Vec<_> = names.filter(|name| !name.is_empty()).map(str::to_lowercase).chain(["event".into()]).collect();
    assert!(pushes.len() > 5, "the pushes are found");
    pushes
}

/// A file of src/, as it is seen here.
struct Source {
    path: String,
    module: Vec<String>,
    text: String,
}

fn sources() -> impl Iterator<Item = Source> {
    let paths: Vec<_> = files(&["src"]).into_iter().filter(|path| is(path, "rs") && path != "src/lib.rs").collect();
    assert!(paths.len() > 20, "the sources are found");
    paths.into_iter().map(|path| {
        let module = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
        Source { module: module.split('/').map(str::to_owned).collect(), text: read(&path), path }
    })
}

impl Source {
    /// Without its comments.
    fn code(&self) -> String {
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// What it names of this crate, as full paths.
    fn imports(&self) -> Vec<Vec<String>> {
        let code = self.code();
        let (body, tests) = code.split_once("\n#[cfg(test)]\nmod ").unwrap_or((&code, ""));
        let within: Vec<_> = self.module.iter().cloned().chain(["tests".to_owned()]).collect();
        let mut imports = paths_in(body, &self.module);
        imports.extend(paths_in(tests, &within));
        imports
    }
}

fn paths_in(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (start, base) in [("crate::", &[][..]), ("chinwag::", &[][..]), ("super::", module)] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back().unwrap_or(' ');
            if before.is_alphanumeric() || "_:/".contains(before) {
                continue;
            }
            let mut rest = &code[at + start.len()..];
            let mut up = usize::from(!base.is_empty());
            while let Some(further) = rest.strip_prefix("super::") {
                (rest, up) = (further, up + 1);
            }
            tree(rest, &mut base[..base.len().saturating_sub(up)].to_vec(), &mut paths);
        }
    }
    paths
}

/// Reads `a::b`, `a::{b, c::d}` and the like at the start of the code; gives what follows.
fn tree<'a>(code: &'a str, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'a str {
    let code = code.trim_start();
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = tree(rest, &mut path.clone(), paths).trim_start();
            match rest.strip_prefix(',') {
                Some(further) => rest = further,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = code.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(code.len());
    let (name, rest) = code.split_at(end);
    path.push(name.to_owned());
    if let Some(rest) = rest.strip_prefix("::") {
        return tree(rest, path, paths);
    }
    paths.push(path.clone());
    rest
}

/// The cells of a table's rows that follow the one which begins like this.
fn rows(path: &str, head: &str) -> Vec<Vec<String>> {
    let document = read(path);
    let rows = document.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    // A bar that belongs to a cell is written with a backslash.
    let cells = |line: &str| {
        let line = line.replace("\\|", "/");
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let rows: Vec<_> = rows.take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "{path} has no table that begins with {head:?}");
    rows
}

/// The strings that follow `before` in a part of a source file.
fn words_of(path: &str, from: &str, to: &str, before: &str) -> Vec<String> {
    let text = read(path);
    let (_, part) =
        text.split_once(from).unwrap_or_else(|| panic!("{path} has no {from:?}: tell this test where it is"));
    let (part, _) = part.split_once(to).unwrap_or_else(|| panic!("{path} has no {to:?}: tell this test where it ends"));
    let words = part.lines().filter_map(|line| line.split_once(before)).filter_map(|(_, rest)| rest.split('"').next());
    let words: Vec<_> = words.map(str::to_owned).collect();
    assert!(!words.is_empty(), "nothing is found in {path}");
    words
}

/// What stands between back-ticks.
fn ticked(text: &str) -> impl Iterator<Item = String> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned)
}

fn looks_like_path(word: &str) -> bool {
    let endings = [".rs", ".md", ".sql", ".js", ".css", ".html", ".toml", ".svg"];
    let named = endings.iter().any(|ending| word.len() > ending.len() && word.ends_with(ending));
    named || word.len() > 1 && word.ends_with('/') && !word.starts_with('/')
}

fn is(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// All files under these directories, as paths from the root.
fn files(directories: &[&str]) -> Vec<String> {
    let mut files = Vec::new();
    let mut ahead: Vec<PathBuf> = directories.iter().map(|directory| root().join(directory)).collect();
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let grown = ["target", "corpus", "artifacts", "node_modules"];
            if path.is_dir() && !grown.iter().any(|name| path.ends_with(name)) {
                ahead.push(path);
            } else if path.is_file() {
                files.push(path.strip_prefix(root()).expect("it is below").to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    files
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
