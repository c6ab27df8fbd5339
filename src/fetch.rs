//! The one client by which the server asks other servers, and its guard: whoever can name a URL must not reach what
//! only this machine or its network can. Knows nothing of what is asked for, and keeps nothing.

use std::error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{Method, Request, Response, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use crate::error::Fatal;

/// How long an answer may take in all: resolving, redirects and body included.
const TIME: Duration = Duration::from_secs(10);
const MOST_REDIRECTS: usize = 3;
const USER_AGENT: &str = concat!("Chinwag/", env!("CARGO_PKG_VERSION"));

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("cannot ask {0:?}; expected an https:// URL without a user name")]
    Url(String),
    #[error("{0} has no public address; --fetch-private allows hosts of your own network")]
    NotPublic(String),
    #[error("expected an answer of at most {limit} bytes")]
    TooLarge { limit: usize },
    #[error("expected an answer within {} seconds", TIME.as_secs())]
    TooSlow,
    #[error("expected at most {MOST_REDIRECTS} redirects")]
    TooManyRedirects,
    #[error("expected a success, found status {0}")]
    Status(u16),
    #[error("no answer from {host}: {reason}")]
    Failed { host: String, reason: String },
}

/// Asks servers whose addresses are public, over TLS, and any others that its host allows. Shared by all threads.
pub struct Fetcher {
    allowed: Vec<(Host, Option<u16>)>,
    /// Made when first needed: the authorities alone take a megabyte, and many a server asks nobody.
    clients: OnceLock<Clients>,
}

struct Clients {
    /// For the allowed.
    open: Client,
    /// For all others: connects to no other address than a public one.
    guarded: Client,
}

impl Fetcher {
    /// `allowed` are the hosts that may be asked though their address is not public, and without TLS: `HOST` or
    /// `HOST:PORT`, IPv6 addresses in brackets.
    pub fn new(allowed: &[String]) -> Result<Self, Fatal> {
        let parsed = |entry: &String| host_and_port(entry).ok_or_else(|| Fatal::FetchPrivate(entry.clone()));
        let allowed = allowed.iter().map(parsed).collect::<Result<_, _>>()?;
        Ok(Self { allowed, clients: OnceLock::new() })
    }

    /// What is at this URL, of at most `limit` bytes. Follows three redirects, each guarded as the first request is;
    /// whatever else is no success is an error.
    pub async fn get(&self, url: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        in_time(self.follow(url, limit)).await
    }

    /// The answer as it stands, its body of at most `limit` bytes, redirects and failures included.
    pub async fn send(&self, request: Request<Vec<u8>>, limit: usize) -> Result<Response<Vec<u8>>, FetchError> {
        in_time(self.exchange(request, limit)).await
    }

    async fn follow(&self, url: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let mut url = Url::parse(url).map_err(|_| FetchError::Url(url.to_owned()))?;
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.ask(reqwest::Request::new(Method::GET, url.clone())).await?;
            if let Some(target) = redirected(&answer) {
                url = url.join(target).map_err(|_| FetchError::Url(target.to_owned()))?;
            } else if answer.status().is_success() {
                return body(answer, limit).await;
            } else {
                return Err(FetchError::Status(answer.status().as_u16()));
            }
        }
        Err(FetchError::TooManyRedirects)
    }

    async fn exchange(&self, request: Request<Vec<u8>>, limit: usize) -> Result<Response<Vec<u8>>, FetchError> {
        let url = request.uri().to_string();
        let request = reqwest::Request::try_from(request).map_err(|_| FetchError::Url(url))?;
        let answer = self.ask(request).await?;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = body(answer, limit).await?;
        Ok(response)
    }

    async fn ask(&self, request: reqwest::Request) -> Result<reqwest::Response, FetchError> {
        let client = self.client_for(request.url())?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        client.execute(request).await.map_err(|error| failure(host, &error))
    }

    fn clients(&self) -> Result<&Clients, FetchError> {
        if let Some(clients) = self.clients.get() {
            return Ok(clients);
        }
        // Two threads may both make them; one of them is kept.
        let made = Clients::new().map_err(|error| {
            tracing::error!(%error, "no client can be made to ask others with");
            FetchError::Failed { host: "any".to_owned(), reason: error.to_string() }
        })?;
        Ok(self.clients.get_or_init(|| made))
    }

    /// The guard before resolution. An address in a URL is never resolved, so it is checked here, after the parser has
    /// seen through the many ways to write one.
    fn client_for(&self, url: &Url) -> Result<&Client, FetchError> {
        let clients = self.clients()?;
        let refused = || FetchError::Url(url.to_string());
        let host = url.host().ok_or_else(refused)?.to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused());
        }
        let allows = |(allowed, port): &(Host, Option<u16>)| {
            *allowed == host && (port.is_none() || *port == url.port_or_known_default())
        };
        if self.allowed.iter().any(allows) {
            return if matches!(url.scheme(), "http" | "https") { Ok(&clients.open) } else { Err(refused()) };
        }
        if url.scheme() != "https" {
            return Err(refused());
        }
        let address = match host {
            Host::Domain(_) => return Ok(&clients.guarded),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        if is_public(address) { Ok(&clients.guarded) } else { Err(FetchError::NotPublic(address.to_string())) }
    }
}

impl Clients {
    fn new() -> Result<Self, Box<dyn error::Error>> {
        let tls = tls()?;
        let client = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .user_agent(USER_AGENT)
                .no_proxy()
                .redirect(redirect::Policy::none())
                // Each thread has a runtime of its own, and a connection kept would hang on the one that opened it.
                .pool_max_idle_per_host(0)
        };
        let guarded = client().dns_resolver(PublicOnly).build()?;
        Ok(Self { open: client().build()?, guarded })
    }
}

fn host_and_port(entry: &str) -> Option<(Host, Option<u16>)> {
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (entry, None),
    };
    Some((Host::parse(host).ok()?, port))
}

/// TLS as this system trusts it, the authorities of the host's own network included. A system without any is no reason
/// to fail: only those cannot be asked whom the server asks over TLS.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        tracing::warn!("no certificate authorities found, so no server can be asked over TLS; install ca-certificates");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn in_time<T>(work: impl Future<Output = Result<T, FetchError>>) -> Result<T, FetchError> {
    tokio::time::timeout(TIME, work).await.unwrap_or(Err(FetchError::TooSlow))
}

fn redirected(answer: &reqwest::Response) -> Option<&str> {
    let target = answer.headers().get(header::LOCATION)?;
    if answer.status().is_redirection() { target.to_str().ok() } else { None }
}

async fn body(mut answer: reqwest::Response, limit: usize) -> Result<Vec<u8>, FetchError> {
    let host = answer.url().host_str().unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failure(host.clone(), &error))? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The cause at the bottom of an error, which says most, and no URL, which may hold secrets.
fn failure(host: String, error: &reqwest::Error) -> FetchError {
    let mut cause: &(dyn error::Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    match cause.downcast_ref::<FetchError>() {
        Some(refused) => refused.clone(),
        None => FetchError::Failed { host, reason: cause.to_string() },
    }
}

/// Resolves names to public addresses only. What it gives is what is connected to: the name is not resolved again.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let mut addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            addresses.retain(|address| is_public(address.ip()));
            if addresses.is_empty() {
                return Err(FetchError::NotPublic(name.as_str().to_owned()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let within = |(net, bits): &(Ipv4Addr, u32)| (address.to_bits() ^ net.to_bits()) >> (32 - bits) == 0;
            !NOT_PUBLIC_V4.iter().any(within)
        }
        IpAddr::V6(address) => {
            let within = |(net, bits): &(Ipv6Addr, u32)| (address.to_bits() ^ net.to_bits()) >> (128 - bits) == 0;
            within(&UNICAST_V6) && !NOT_PUBLIC_V6.iter().any(within)
        }
    }
}

/// Networks, and how many bits of an address tell that it is one of theirs: IANA's registry of special purposes.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),           // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared behind a provider's NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // assignments of the IETF
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // relays of 6to4
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast
];

/// Nothing outside of it is public: neither loopback, link-local, site-local, unique local and multicast addresses, nor
/// those that stand for an IPv4 address (mapped, compatible, NAT64).
const UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // assignments of the IETF, Teredo and benchmarks among them
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread;

    use socket2::{Domain, SockAddr, Socket, Type};

    use super::*;

    const LIMIT: usize = 1000;

    #[test]
    fn every_address_that_is_not_public_is_known() {
        // The last of them stand for an IPv4 address or have it in them, public ones too: mapped, compatible, NAT64,
        // 6to4, Teredo; or serve benchmarks and identifiers.
        let not_public = "
            0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255
            169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1
            192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.255
            240.0.0.1 255.255.255.255 :: ::1 fc00::1 fdff::1 fe80::1 febf::1 fec0::1 ff02::1 100::1 5f00::1
            2001:db8::1 3fff::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:1.1.1.1 ::127.0.0.1 ::1.1.1.1
            64:ff9b::7f00:1 64:ff9b::1.1.1.1 64:ff9b:1::10.0.0.1 2002:7f00:1:: 2002:101:101::1 2001::1
            2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:20::1
        ";
        for address in not_public.split_whitespace() {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        let public = "
            1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 128.0.0.0 169.253.255.255
            172.15.255.255 172.32.0.0 192.0.1.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0
            223.255.255.255 2001:200::1 2001:4860:4860::8888 2606:4700::1111 2a00:1450::1
        ";
        for address in public.split_whitespace() {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn an_address_is_seen_through_however_it_is_written() {
        let hosts = "
            127.0.0.1 127.0.0.1. 127.1 2130706433 0x7f.1 0x7f000001 0177.0.0.1 %3127.0.0.1 １２７.0.0.1
            127。0。0。1 0 10.0.0.1 169.254.169.254 [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1]
            [0:0:0:0:0:0:0:1] [64:ff9b::7f00:1] [2002:7f00:1::]
        ";
        let fetcher = Fetcher::new(&[]).unwrap();
        for host in hosts.split_whitespace() {
            let answer = fetcher.get(&format!("https://{host}/"), LIMIT).await;
            assert!(matches!(answer, Err(FetchError::NotPublic(_))), "{host}: {answer:?}");
            let request = Request::post(format!("https://{host}/")).body(Vec::new());
            let Ok(request) = request else { continue };
            let answer = fetcher.send(request, LIMIT).await;
            assert!(matches!(answer, Err(FetchError::NotPublic(_))), "{host}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_refused() {
        let mut server = Server::start(|_, stream| say(stream, "200 OK", "", "hello"));
        let url = format!("https://localhost:{}/", server.port);
        let answer = Fetcher::new(&[]).unwrap().get(&url, LIMIT).await;
        assert_eq!(answer, Err(FetchError::NotPublic("localhost".to_owned())));
        server.was_not_asked();
    }

    #[tokio::test]
    async fn only_plain_https_is_asked() {
        let urls = [
            "http://example.invalid/",
            "ftp://example.invalid/",
            "file:///etc/hostname",
            "data:text/plain,hello",
            "unix:/run/socket",
            "//example.invalid/",
            "example.invalid",
            "",
            "https://",
            "https:///",
            "https://user@example.invalid/",
            "https://user:secret@example.invalid/",
            "https://:secret@example.invalid/",
        ];
        let fetcher = Fetcher::new(&[]).unwrap();
        for url in urls {
            let answer = fetcher.get(url, LIMIT).await;
            assert!(matches!(answer, Err(FetchError::Url(_))), "{url}: {answer:?}");
        }
        let with_user = Request::get("https://user:secret@example.invalid/").body(Vec::new()).unwrap();
        assert!(matches!(fetcher.send(with_user, LIMIT).await, Err(FetchError::Url(_))));
    }

    #[tokio::test]
    async fn hosts_that_are_allowed_may_be_private_and_without_tls() {
        let server = Server::start(|_, stream| say(stream, "200 OK", "", "hello"));
        let url = server.url();
        for allowed in ["127.0.0.1".to_owned(), format!("127.0.0.1:{}", server.port), "2130706433".to_owned()] {
            let answer = fetcher(&[&allowed]).get(&url, LIMIT).await;
            assert_eq!(answer.as_deref(), Ok(&b"hello"[..]), "{allowed}");
        }
        let by_name = format!("http://localhost:{}/", server.port);
        assert_eq!(fetcher(&["LocalHost"]).get(&by_name, LIMIT).await.as_deref(), Ok(&b"hello"[..]));

        for other in ["127.0.0.1:1", "127.0.0.2", "localhost", "[::1]"] {
            assert!(matches!(fetcher(&[other]).get(&url, LIMIT).await, Err(FetchError::Url(_))), "{other}");
        }
        let with_user = url.replace("http://", "http://user@");
        assert!(matches!(server.fetcher().get(&with_user, LIMIT).await, Err(FetchError::Url(_))));
        let unheard = url.replace("http://", "gopher://");
        assert!(matches!(server.fetcher().get(&unheard, LIMIT).await, Err(FetchError::Url(_))));
    }

    #[test]
    fn what_names_no_host_cannot_be_allowed() {
        for entry in ["", ":80", "host:", "host:port", "host:65536", "http://host", "a b", "fd00::1", "[fd00::1"] {
            let found = Fetcher::new(&[entry.to_owned()]).err().map(|fatal| fatal.to_string());
            let expected = format!("cannot read {entry:?} in --fetch-private; expected HOST or HOST:PORT");
            assert_eq!(found, Some(expected));
        }
        assert!(Fetcher::new(&["[fd00::1]:8443".to_owned(), "idp.lan:80".to_owned(), "[::1]".to_owned()]).is_ok());
    }

    #[tokio::test]
    async fn a_redirect_is_guarded_as_a_request_is() {
        let mut hidden = Server::start(|_, stream| say(stream, "200 OK", "", "secret"));
        for target in ["http://127.0.0.1", "https://127.0.0.1", "https://localhost", "https://[::1]", "//localhost"] {
            let location = format!("{target}:{}/", hidden.port);
            let server = Server::start(move |_, stream| redirect(stream, "302 Found", &location));
            let answer = server.fetcher().get(&server.url(), LIMIT).await;
            assert!(matches!(answer, Err(FetchError::NotPublic(_) | FetchError::Url(_))), "{target}: {answer:?}");
        }
        hidden.was_not_asked();
    }

    #[tokio::test]
    async fn three_redirects_are_followed_and_no_more() {
        let mut server = Server::start(|head, stream| match head.split(' ').nth(1) {
            Some("/start/") => redirect(stream, "301 Moved Permanently", "there"),
            Some("/start/there") => redirect(stream, "307 Temporary Redirect", "/round?1"),
            Some("/round?1") => redirect(stream, "303 See Other", "?2"),
            Some("/round?2") => say(stream, "200 OK", "", "found"),
            _ => redirect(stream, "302 Found", "/round?0"),
        });
        let fetcher = server.fetcher();
        let answer = fetcher.get(&format!("{}start/", server.url()), LIMIT).await;
        assert_eq!(answer.as_deref(), Ok(&b"found"[..]));
        assert_eq!(server.asked(), 4);

        assert_eq!(fetcher.get(&server.url(), LIMIT).await, Err(FetchError::TooManyRedirects));
        assert_eq!(server.asked(), 4);
    }

    #[tokio::test]
    async fn a_request_that_is_sent_is_not_redirected() {
        let mut server = Server::start(|_, stream| redirect(stream, "307 Temporary Redirect", "/elsewhere"));
        let request = Request::post(server.url()).body(b"secret".to_vec()).unwrap();
        let answer = server.fetcher().send(request, LIMIT).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (307, &"/elsewhere".parse().unwrap()));
        assert_eq!(server.asked(), 1);
    }

    #[tokio::test]
    async fn what_is_no_success_says_so() {
        let server = Server::start(|_, stream| say(stream, "404 Not Found", "", "nobody"));
        assert_eq!(server.fetcher().get(&server.url(), LIMIT).await, Err(FetchError::Status(404)));
        let request = Request::get(server.url()).body(Vec::new()).unwrap();
        let answer = server.fetcher().send(request, LIMIT).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (404, &b"nobody"[..]));

        // A port that is taken, and on which nobody listens.
        let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        taken.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let nobody = taken.local_addr().unwrap().as_socket().unwrap();
        let answer = fetcher(&["127.0.0.1"]).get(&format!("http://{nobody}/"), LIMIT).await.unwrap_err();
        assert!(answer.to_string().starts_with("no answer from 127.0.0.1: Connection refused"), "{answer}");
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_limit_and_no_further() {
        let exact = Server::start(|_, stream| say(stream, "200 OK", "", &"x".repeat(LIMIT)));
        assert_eq!(exact.fetcher().get(&exact.url(), LIMIT).await.map(|body| body.len()), Ok(LIMIT));
        assert_eq!(exact.fetcher().get(&exact.url(), LIMIT - 1).await, Err(FetchError::TooLarge { limit: LIMIT - 1 }));

        let endless = Server::start(|_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        let too_large = Err(FetchError::TooLarge { limit: LIMIT });
        assert_eq!(endless.fetcher().get(&endless.url(), LIMIT).await, too_large);
        let request = Request::post(endless.url()).body(Vec::new()).unwrap();
        assert_eq!(endless.fetcher().send(request, LIMIT).await.map(Response::into_body), too_large);
    }

    #[tokio::test]
    async fn an_answer_that_trickles_in_is_given_up() {
        let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let server = Server::start(move |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").unwrap();
            begun.send(()).unwrap();
        });
        let fetcher = server.fetcher();
        let url = server.url();
        let time_flies = async {
            has_begun.recv().await.unwrap();
            tokio::time::pause();
        };
        let (answer, ()) = tokio::join!(fetcher.get(&url, LIMIT), time_flies);
        assert_eq!(answer, Err(FetchError::TooSlow));
    }

    #[tokio::test]
    async fn every_request_says_who_asks_and_nothing_of_what_came_before() {
        let server = Server::start(|_, stream| say(stream, "200 OK", "Set-Cookie: a=b\r\n", ""));
        let fetcher = server.fetcher();
        for _ in 0..2 {
            fetcher.get(&server.url(), LIMIT).await.unwrap();
            let head = server.heads.recv().unwrap().to_lowercase();
            assert!(head.contains(&format!("\r\nuser-agent: chinwag/{}\r\n", env!("CARGO_PKG_VERSION"))), "{head}");
            for name in ["cookie", "referer", "accept-encoding", "authorization"] {
                assert!(!head.contains(&format!("\r\n{name}:")), "{head}");
            }
        }
    }

    #[test]
    fn threads_share_it_without_sharing_connections() {
        let server = Server::start(|_, stream| say(stream, "200 OK", "", "hello"));
        let (fetcher, url) = (server.fetcher(), server.url());
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // The first stands still while the second asks: nothing may wait for it.
        let (first, second) = (runtime(), runtime());
        first.block_on(fetcher.get(&url, LIMIT)).unwrap();
        second.block_on(fetcher.get(&url, LIMIT)).unwrap();
    }

    fn fetcher(allowed: &[&str]) -> Fetcher {
        Fetcher::new(&allowed.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    /// A server on loopback whose threads need no runtime.
    struct Server {
        port: u16,
        /// The requests so far, without their bodies.
        heads: mpsc::Receiver<String>,
    }

    impl Server {
        fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let (sender, heads) = mpsc::channel();
            let answer = Arc::new(answer);
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let (answer, sender) = (answer.clone(), sender.clone());
                    thread::spawn(move || converse(stream.unwrap(), &*answer, &sender));
                }
            });
            Self { port, heads }
        }

        fn url(&self) -> String {
            format!("http://127.0.0.1:{}/", self.port)
        }

        /// One that may ask it.
        fn fetcher(&self) -> Fetcher {
            fetcher(&[&format!("127.0.0.1:{}", self.port)])
        }

        /// How many requests have come since this was last asked.
        fn asked(&mut self) -> usize {
            self.heads.try_iter().count()
        }

        /// By nobody but this last visitor, whose coming shows that all before would have been seen.
        fn was_not_asked(&mut self) {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            stream.write_all(b"GET /last HTTP/1.1\r\n\r\n").unwrap();
            assert!(self.heads.recv().unwrap().starts_with("GET /last "));
        }
    }

    fn converse(mut stream: TcpStream, answer: &dyn Fn(&str, &mut TcpStream), heads: &mpsc::Sender<String>) {
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if lines.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            // Heard first, so that whoever has the answer may ask for it.
            let _ = heads.send(head.clone());
            answer(&head, &mut stream);
            if head.starts_with("POST ") {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    fn say(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).unwrap();
    }

    fn redirect(stream: &mut TcpStream, status: &str, location: &str) {
        say(stream, status, &format!("Location: {location}\r\n"), "");
    }
}
