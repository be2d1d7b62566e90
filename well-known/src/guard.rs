//! Which hosts that somebody else named may be fetched from.
//!
//! A peer's URL is written by a person or by another network, and that of a webhook by whoever owns an
//! agent; fetching them is the one place where this network goes where it is told. These rules decide by the text alone; what follows is
//! the fetcher's: no redirects, 64 KiB, 5 s, the content type. DNS cannot be pinned, so safety
//! rests on keys in the end: a rebound host cannot sign.

use entente_lexicon::Host;
use url::Url;

/// The longest URL that is looked at.
const MAX_URL_LENGTH: usize = 300;
/// The longest URL of a webhook.
const MAX_WEBHOOK_URL_LENGTH: usize = 2_000;
/// Names that never lead out into the public network (RFC 6761, RFC 6762, ICANN 2024 `.internal`).
const PRIVATE_SUFFIXES: [&str; 4] = ["local", "internal", "localhost", "home.arpa"];

/// A host that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// `https://host`, or `http://host:port` of a development host; no trailing slash.
    pub origin: String,
}

/// Why a URL is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// Not a URL, or with characters that readers disagree about.
    #[error("the URL is not a URL such as https://network.example.com")]
    NotAUrl,
    /// Not `https` (or `http` to a host of the development list).
    #[error("the URL must begin with https://")]
    Scheme,
    /// A name or password before the host.
    #[error("the URL must not contain a user name or password")]
    UserInfo,
    /// An IP address in any notation.
    #[error("the URL must name its host, not an IP address")]
    IpAddress,
    /// A port other than 443.
    #[error("the URL must not name a port")]
    Port,
    /// A path, a query or a fragment.
    #[error("the URL must end after the host")]
    Path,
    /// Not a host name this network can use.
    #[error("the URL's host is not a DNS name")]
    Host,
    /// A name without a dot.
    #[error("the URL's host must be a full domain name")]
    SingleLabel,
    /// `.local`, `.internal`, `.localhost`, `.home.arpa`.
    #[error("the URL's host is private to a machine or a site")]
    PrivateName,
    /// This network itself.
    #[error("the URL is this network's own")]
    OwnHost,
}

impl GuardError {
    /// Returns the stable code for the API.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAUrl => "PEER_URL_MALFORMED",
            Self::Scheme => "PEER_URL_SCHEME",
            Self::UserInfo => "PEER_URL_USERINFO",
            Self::IpAddress => "PEER_URL_IP_ADDRESS",
            Self::Port => "PEER_URL_PORT",
            Self::Path => "PEER_URL_PATH",
            Self::Host => "PEER_URL_HOST",
            Self::SingleLabel => "PEER_URL_SINGLE_LABEL",
            Self::PrivateName => "PEER_URL_PRIVATE_NAME",
            Self::OwnHost => "PEER_URL_OWN_HOST",
        }
    }
}

/// Checks the URL of a peer: an origin and nothing else.
///
/// `own_hosts` are this network's; `dev_hosts` the development list (exact `host:port`), empty in
/// production, and then no loopback name, `http` or port passes at all.
///
/// # Errors
/// [`GuardError`], the first rule that is broken.
pub fn check_peer_url(
    text: &str,
    own_hosts: &[Host],
    dev_hosts: &[Host],
) -> Result<Target, GuardError> {
    let url = parse(text, MAX_URL_LENGTH)?;
    check_scheme(text, &url)?;
    let name = domain(&url)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(GuardError::Path);
    }
    check_named(name, &url, own_hosts, dev_hosts)
}

/// Checks the URL of a webhook: as [`check_peer_url`], but with any path and query; a fragment, which
/// nobody would be sent, is refused. Returns it as it is to be asked.
///
/// # Errors
/// [`GuardError`], the first rule that is broken.
pub fn check_webhook_url(
    text: &str,
    own_hosts: &[Host],
    dev_hosts: &[Host],
) -> Result<Url, GuardError> {
    let url = parse(text, MAX_WEBHOOK_URL_LENGTH)?;
    check_scheme(text, &url)?;
    let name = domain(&url)?;
    if url.fragment().is_some() {
        return Err(GuardError::Path);
    }
    check_named(name, &url, own_hosts, dev_hosts)?;
    Ok(url)
}

fn check_scheme(text: &str, url: &Url) -> Result<(), GuardError> {
    if !matches!(url.scheme(), "https" | "http") {
        return Err(GuardError::Scheme);
    }
    // Some readers take what stands before any `@` for a name, wherever it stands.
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
        return Err(GuardError::UserInfo);
    }
    Ok(())
}

fn domain(url: &Url) -> Result<&str, GuardError> {
    match url.host() {
        Some(url::Host::Domain(name)) => Ok(name),
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => Err(GuardError::IpAddress),
        None => Err(GuardError::Host),
    }
}

fn check_named(
    name: &str,
    url: &Url,
    own_hosts: &[Host],
    dev_hosts: &[Host],
) -> Result<Target, GuardError> {
    let named = match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    };
    let host = Host::parse(&named).map_err(|_error| GuardError::Host)?;
    if own_hosts.contains(&host) {
        return Err(GuardError::OwnHost);
    }
    if url.scheme() == "http" && dev_hosts.contains(&host) {
        let origin = format!("http://{host}");
        return Ok(Target { host, origin });
    }
    check_public(url, &host)?;
    let origin = format!("https://{host}");
    Ok(Target { host, origin })
}

/// Checks a host that a peer named by itself (in a HELLO or an address), as if by URL.
///
/// # Errors
/// [`GuardError`].
pub fn check_host(
    host: &Host,
    own_hosts: &[Host],
    dev_hosts: &[Host],
) -> Result<Target, GuardError> {
    let scheme = if dev_hosts.contains(host) {
        "http"
    } else {
        "https"
    };
    check_peer_url(&format!("{scheme}://{host}"), own_hosts, dev_hosts)
}

fn parse(text: &str, longest: usize) -> Result<Url, GuardError> {
    // The URL standard drops tabs and newlines, trims spaces and turns backslashes round: what a
    // person reads is then not what is fetched.
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.len() > longest || text.contains(odd) {
        return Err(GuardError::NotAUrl);
    }
    Url::parse(text).map_err(|error| {
        use url::ParseError::{InvalidIpv4Address, InvalidIpv6Address};
        if matches!(error, InvalidIpv4Address | InvalidIpv6Address) {
            GuardError::IpAddress
        } else {
            GuardError::NotAUrl
        }
    })
}

fn check_public(url: &Url, host: &Host) -> Result<(), GuardError> {
    let private = PRIVATE_SUFFIXES.iter().any(|suffix| {
        host.name()
            .strip_suffix(suffix)
            .is_some_and(|front| front.is_empty() || front.ends_with('.'))
    });
    if url.scheme() != "https" {
        Err(GuardError::Scheme)
    } else if private {
        Err(GuardError::PrivateName)
    } else if host.port().is_some() {
        Err(GuardError::Port)
    } else if !host.name().contains('.') {
        Err(GuardError::SingleLabel)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(texts: &[&str]) -> Vec<Host> {
        texts
            .iter()
            .map(|text| Host::parse(text).unwrap())
            .collect()
    }

    fn production(text: &str) -> Result<Target, GuardError> {
        check_peer_url(text, &hosts(&["own.example"]), &[])
    }

    fn development(text: &str) -> Result<Target, GuardError> {
        let dev = hosts(&["localhost:8701", "localhost:8702"]);
        check_peer_url(text, &hosts(&["localhost:8701"]), &dev)
    }

    #[test]
    fn an_https_origin_passes() {
        for text in [
            "https://network.example.com",
            "https://network.example.com/",
            "https://NETWORK.example.com:443",
        ] {
            let target = production(text).unwrap();
            assert_eq!(target.host.as_str(), "network.example.com");
            assert_eq!(target.origin, "https://network.example.com");
        }
        let umlaut = production("https://bücher.example").unwrap();
        assert_eq!(umlaut.host.as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn each_rule_has_its_own_refusal() {
        for (text, error) in [
            ("", GuardError::NotAUrl),
            ("network.example.com", GuardError::NotAUrl),
            ("https://", GuardError::NotAUrl),
            ("https://a.example:99999", GuardError::NotAUrl),
            (" https://a.example", GuardError::NotAUrl),
            ("https://a.exa\tmple", GuardError::NotAUrl),
            ("https:\\\\a.example", GuardError::NotAUrl),
            ("https://a_b.example", GuardError::Host),
            ("https://a.example.", GuardError::Host),
            ("http://a.example", GuardError::Scheme),
            ("ws://a.example", GuardError::Scheme),
            ("file:///etc/passwd", GuardError::Scheme),
            ("javascript:alert(1)", GuardError::Scheme),
            ("https://user@a.example", GuardError::UserInfo),
            ("https://:password@a.example", GuardError::UserInfo),
            ("https://@a.example", GuardError::UserInfo),
            ("https://a.example:8443", GuardError::Port),
            ("https://a.example/path", GuardError::Path),
            ("https://a.example/?q", GuardError::Path),
            ("https://a.example/#f", GuardError::Path),
            ("https://example", GuardError::SingleLabel),
            ("https://localhost", GuardError::PrivateName),
            ("https://printer.local", GuardError::PrivateName),
            ("https://db.internal", GuardError::PrivateName),
            ("https://a.localhost", GuardError::PrivateName),
            ("https://router.home.arpa", GuardError::PrivateName),
            ("https://own.example", GuardError::OwnHost),
            ("https://OWN.example/", GuardError::OwnHost),
        ] {
            assert_eq!(production(text), Err(error), "{text}");
        }
        assert!(production("https://notlocal").is_err());
        assert!(production("https://not-internal.example").is_ok());
        assert!(production("https://mylocal.com").is_ok());
    }

    #[test]
    fn ip_addresses_are_refused_in_every_notation() {
        for address in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "017700000001",
            "0177.0.0.1",
            "127.0.0.1.",
            "１２７.０.０.１",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "169.254.169.254",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fe80::1]",
            "256.0.0.1",
        ] {
            let refused = production(&format!("https://{address}"));
            assert_eq!(refused, Err(GuardError::IpAddress), "{address}");
        }
    }

    #[test]
    fn development_hosts_pass_exactly_as_listed() {
        let target = development("http://localhost:8702").unwrap();
        assert_eq!(target.host.as_str(), "localhost:8702");
        assert_eq!(target.origin, "http://localhost:8702");
        for (text, error) in [
            ("http://localhost:8701", GuardError::OwnHost),
            ("http://localhost:8703", GuardError::Scheme),
            ("http://localhost", GuardError::Scheme),
            ("http://127.0.0.1:8702", GuardError::IpAddress),
            ("https://localhost:8702", GuardError::PrivateName),
            ("http://a.example", GuardError::Scheme),
        ] {
            assert_eq!(development(text), Err(error), "{text}");
        }
        assert_eq!(production("http://localhost:8702"), Err(GuardError::Scheme));
        assert!(development("https://a.example").is_ok());
    }

    #[test]
    fn a_webhook_may_have_a_path_and_a_query_and_is_held_to_every_other_rule() {
        let dev = hosts(&["localhost:8702"]);
        let check = |text: &str| check_webhook_url(text, &hosts(&["own.example"]), &dev);
        let url = check("https://Hooks.example/a/b?key=1&x=%20").unwrap();
        assert_eq!(url.as_str(), "https://hooks.example/a/b?key=1&x=%20");
        assert!(check("http://localhost:8702/in").is_ok());
        for (text, error) in [
            ("https://hooks.example/#part", GuardError::Path),
            ("http://hooks.example/in", GuardError::Scheme),
            ("http://localhost:8703/in", GuardError::Scheme),
            ("https://own.example/agents/create", GuardError::OwnHost),
            ("https://127.0.0.1/in", GuardError::IpAddress),
            ("https://0x7f.1/in", GuardError::IpAddress),
            ("https://[::1]/in", GuardError::IpAddress),
            (
                "https://169.254.169.254/latest/meta-data",
                GuardError::IpAddress,
            ),
            ("https://hooks.example:8443/in", GuardError::Port),
            ("https://user:word@hooks.example/in", GuardError::UserInfo),
            ("https://hooks.example/@127.0.0.1", GuardError::UserInfo),
            ("https://metadata.internal/in", GuardError::PrivateName),
            ("https://intranet/in", GuardError::SingleLabel),
            ("https://hooks.example\\@x/in", GuardError::NotAUrl),
            ("ftp://hooks.example/in", GuardError::Scheme),
        ] {
            assert_eq!(check(text), Err(error), "{text}");
        }
        let long = format!("https://hooks.example/{}", "x".repeat(2_000));
        assert_eq!(check(&long), Err(GuardError::NotAUrl));
    }

    #[test]
    fn a_named_host_is_held_to_the_same_rules() {
        let dev = hosts(&["localhost:8702"]);
        let host = |text| Host::parse(text).unwrap();
        let target = check_host(&host("localhost:8702"), &[], &dev).unwrap();
        assert_eq!(target.origin, "http://localhost:8702");
        let refused = check_host(&host("localhost:8702"), &[], &[]);
        assert_eq!(refused, Err(GuardError::PrivateName));
        assert!(check_host(&host("a.example"), &[], &[]).is_ok());
    }

    #[test]
    fn every_refusal_has_its_own_code() {
        let all = [
            GuardError::NotAUrl,
            GuardError::Scheme,
            GuardError::UserInfo,
            GuardError::IpAddress,
            GuardError::Port,
            GuardError::Path,
            GuardError::Host,
            GuardError::SingleLabel,
            GuardError::PrivateName,
            GuardError::OwnHost,
        ];
        let codes: std::collections::BTreeSet<_> = all.map(GuardError::code).into();
        assert_eq!(codes.len(), all.len());
    }

    proptest! {
        #[test]
        fn what_passes_in_production_is_a_public_https_origin(text in "(https?://)?[a-z0-9.:@/\\[\\]%-]{0,30}") {
            if let Ok(target) = production(&text) {
                prop_assert!(target.host.name().contains('.'));
                prop_assert_eq!(target.host.port(), None);
                prop_assert_eq!(target.origin, format!("https://{}", target.host));
            }
        }

        #[test]
        fn a_webhook_that_passes_in_production_is_asked_of_a_public_host_over_https(
            text in "(https?://)?[a-z0-9.:@/?#\\[\\]%-]{0,40}",
        ) {
            if let Ok(url) = check_webhook_url(&text, &[], &[]) {
                prop_assert_eq!(url.scheme(), "https");
                prop_assert!(url.domain().is_some_and(|name| name.contains('.')));
                prop_assert_eq!(url.port(), None);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = production(&text);
            let _ = check_webhook_url(&text, &[], &[]);
        }
    }
}
