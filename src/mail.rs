//! Letters by SMTP, where the host has set that up. Knows nothing of who gets them, or why.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use url::{Host, Url};
use uuid::Uuid;

use crate::error::Fatal;

/// How long the mail server may take for each of its answers.
const TIME: Duration = Duration::from_secs(20);

/// Why a letter was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("cannot write to this address: {0}")]
    Address(#[from] lettre::address::AddressError),
    #[error("cannot write this letter: {0}")]
    Letter(#[from] lettre::error::Error),
    #[error("the mail server did not take it: {0}")]
    Smtp(#[from] smtp::Error),
}

/// Hands letters to a mail server.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// `url` is `smtps://USER:PASSWORD@HOST`, or `smtp://…` for a server that starts TLS when asked; on this machine it
    /// may do without. `from` is an address, with a name or without.
    pub fn new(url: &str, from: &str) -> Result<Self, Fatal> {
        let from: Mailbox = from.parse().map_err(|_| Fatal::MailFrom(from.to_owned()))?;
        let mut url = Url::parse(url).map_err(|_| Fatal::Smtp)?;
        if url.scheme() == "smtp" && url.query().is_none() && !is_this_machine(&url) {
            // Otherwise the password would go in the clear.
            url.set_query(Some("tls=required"));
        }
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(|_| Fatal::Smtp)?;
        let domain = ClientId::Domain(from.email.domain().to_owned());
        Ok(Self { transport: transport.timeout(Some(TIME)).hello_name(domain).build(), from })
    }

    /// Hands over a letter of plain text.
    pub async fn send(&self, to: &str, subject: &str, text: String) -> Result<(), MailError> {
        let to = Mailbox::new(None, to.parse::<Address>()?);
        let id = format!("<{}@{}>", Uuid::new_v4(), self.from.email.domain());
        let letter = Message::builder().from(self.from.clone()).to(to).subject(subject).message_id(Some(id));
        self.transport.send(letter.body(text)?).await?;
        Ok(())
    }
}

fn is_this_machine(url: &Url) -> bool {
    // The scheme is none of the web's, so its hosts are not taken apart.
    match url.host_str().map(Host::parse) {
        Some(Ok(Host::Domain(name))) => name == "localhost",
        Some(Ok(Host::Ipv4(address))) => address.is_loopback(),
        Some(Ok(Host::Ipv6(address))) => address.is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_mail_server_is_refused_without_showing_the_password() {
        for url in ["mail.example.org", "https://a:secret@example.org", "smtp://a:secret@example.org?tls=maybe", ""] {
            let Err(fatal) = Mailer::new(url, "chat@example.org") else { panic!("{url}") };
            assert!(fatal.to_string().contains("CHINWAG_SMTP_URL") && !fatal.to_string().contains("secret"), "{fatal}");
        }
        for from in ["", "chat", "Chat <chat>", "chat@"] {
            assert!(matches!(Mailer::new("smtps://example.org", from), Err(Fatal::MailFrom(_))), "{from}");
        }
        for url in ["smtps://a:b@example.org", "smtp://example.org:587", "smtp://127.0.0.1:25", "smtp://[::1]:25"] {
            assert!(Mailer::new(url, "Our chat <chat@example.org>").is_ok(), "{url}");
        }
    }

    #[test]
    fn only_on_this_machine_letters_go_without_tls() {
        let is = |url| is_this_machine(&Url::parse(url).unwrap());
        assert!(["smtp://localhost", "smtp://127.0.0.1:25", "smtp://[::1]"].into_iter().all(is));
        assert!(!["smtp://example.org", "smtp://10.0.0.1", "smtp://127.0.0.1.example.org"].into_iter().any(is));
    }
}
