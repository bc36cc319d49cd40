//! Which key a host over ssh must prove to have.
//!
//! *Source*: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The lines of `known_hosts` files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts(String);

/// What is known of the key that a host showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Known,
    /// No line is about this host.
    UnknownHost,
    /// Lines are about this host, none with a key of this kind.
    OtherKind,
    /// The host is known with another key of this kind.
    Changed,
    Revoked,
}

impl KnownHosts {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Judges the key that a host showed, in the form that goes over the wire.
    ///
    /// *Shape*: never fails; lines that cannot be read, and authorities of certificates, say nothing.
    pub fn judge(&self, host: &str, port: u16, key: &[u8]) -> Verdict {
        let name = match port {
            22 => host.to_ascii_lowercase(),
            port => format!("[{}]:{port}", host.to_ascii_lowercase()),
        };
        let (mut is_host_known, mut is_kind_known, mut is_key_known) = (false, false, false);
        for line in self.0.lines() {
            let mut words = line.split_whitespace();
            let Some(first) = words.next() else { continue };
            let (marker, hosts) = match first {
                _ if first.starts_with('#') => continue,
                "@revoked" => ("revoked", words.next()),
                _ if first.starts_with('@') => continue,
                hosts => ("", Some(hosts)),
            };
            let (Some(hosts), Some(kind), Some(encoded)) = (hosts, words.next(), words.next()) else {
                continue;
            };
            if !is_named(hosts, &name) {
                continue;
            }
            let Ok(known) = STANDARD.decode(encoded) else {
                continue;
            };
            if marker == "revoked" {
                if known == key {
                    return Verdict::Revoked;
                }
                continue;
            }
            is_host_known = true;
            is_kind_known |= kind_of(key) == Some(kind.as_bytes());
            is_key_known |= known == key;
        }
        match (is_key_known, is_kind_known, is_host_known) {
            (true, _, _) => Verdict::Known,
            (false, true, _) => Verdict::Changed,
            (false, false, true) => Verdict::OtherKind,
            (false, false, false) => Verdict::UnknownHost,
        }
    }
}

/// The kind of a key is its first string: four bytes of length and the name.
fn kind_of(key: &[u8]) -> Option<&[u8]> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn is_named(hosts: &str, name: &str) -> bool {
    if let Some(hashed) = hosts.strip_prefix("|1|") {
        return is_hash_of(hashed, name).unwrap_or(false);
    }
    let mut is_named = false;
    for pattern in hosts.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => is_named |= matches(pattern.as_bytes(), name.as_bytes()),
        }
    }
    is_named
}

fn is_hash_of(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let (salt, hash) = (STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    Some(hmac::verify(&key, name.as_bytes(), &hash).is_ok())
}

/// Compares with `*` and `?`, going back to the last `*` only: the time is at most the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut of, mut back) = (0, 0, None);
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                back = Some((at, of));
                at += 1;
            }
            Some(sign) if *sign == b'?' || sign.eq_ignore_ascii_case(&name[of]) => {
                at += 1;
                of += 1;
            }
            Some(_) | None => {
                let Some((star, from)) = back else { return false };
                back = Some((star, from + 1));
                at = star + 1;
                of = from + 1;
            }
        }
    }
    pattern[at..].iter().all(|sign| *sign == b'*')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A key of a kind with one byte of content.
    fn key(kind: &str, content: u8) -> Vec<u8> {
        let length = u32::try_from(kind.len()).unwrap();
        [&length.to_be_bytes(), kind.as_bytes(), &[0, 0, 0, 1, content]].concat()
    }

    fn line(hosts: &str, kind: &str, content: u8) -> String {
        format!(
            "{hosts} {kind} {} a comment\n",
            STANDARD.encode(key(kind, content))
        )
    }

    const ED: &str = "ssh-ed25519";
    const RSA: &str = "ssh-rsa";

    fn hashed(name: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"salt-of-twenty-bytes");
        let hash = hmac::sign(&key, name.as_bytes());
        format!(
            "|1|{}|{}",
            STANDARD.encode("salt-of-twenty-bytes"),
            STANDARD.encode(hash)
        )
    }

    #[rstest]
    #[case::the_key(line("git.example.org", ED, 1), Verdict::Known)]
    #[case::one_of_several_names(line("other,Git.Example.org", ED, 1), Verdict::Known)]
    #[case::a_pattern(line("*.example.org,!old.example.org", ED, 1), Verdict::Known)]
    #[case::not_this_one(line("*.example.org,!git.*", ED, 1), Verdict::UnknownHost)]
    #[case::hashed(line(&hashed("git.example.org"), ED, 1), Verdict::Known)]
    #[case::hashed_other(line(&hashed("git.example.com"), ED, 1), Verdict::UnknownHost)]
    #[case::another_key(line("git.example.org", ED, 2), Verdict::Changed)]
    #[case::old_and_new(line("git.example.org", ED, 2) + &line("git.example.org", ED, 1), Verdict::Known)]
    #[case::another_kind(line("git.example.org", RSA, 1), Verdict::OtherKind)]
    #[case::another_host(line("git.example.com", ED, 1), Verdict::UnknownHost)]
    #[case::another_port(line("[git.example.org]:2222", ED, 1), Verdict::UnknownHost)]
    #[case::revoked(line("git.example.org", ED, 1) + "@revoked " + &line("*", ED, 1), Verdict::Revoked)]
    #[case::another_revoked(line("git.example.org", ED, 1) + "@revoked " + &line("*", ED, 2), Verdict::Known)]
    #[case::an_authority("@cert-authority ".to_owned() + &line("*", ED, 1), Verdict::UnknownHost)]
    #[case::no_lines(String::new(), Verdict::UnknownHost)]
    #[case::nonsense("git.example.org\n|1|x ssh-rsa y\n# x\ngit.example.org ssh-ed25519 !!!\n".to_owned(), Verdict::UnknownHost)]
    fn a_host_is_who_its_key_says(#[case] text: String, #[case] expected: Verdict) {
        assert_eq!(
            KnownHosts::new(text).judge("git.example.org", 22, &key(ED, 1)),
            expected
        );
    }

    #[test]
    fn another_port_is_another_host() {
        let hosts = KnownHosts::new(line("[::1]:2222,[git]:2222", ED, 1));
        assert_eq!(hosts.judge("git", 2222, &key(ED, 1)), Verdict::Known);
        assert_eq!(hosts.judge("::1", 2222, &key(ED, 1)), Verdict::Known);
        assert_eq!(hosts.judge("git", 22, &key(ED, 1)), Verdict::UnknownHost);
    }

    #[test]
    fn keys_that_are_none_are_unknown() {
        let hosts = KnownHosts::new(line("git", ED, 1));
        for key in [&b""[..], &[0, 0], &[255; 8], &[0, 0, 0, 9, 1]] {
            assert_eq!(hosts.judge("git", 22, key), Verdict::OtherKind);
        }
    }

    #[test]
    fn a_pattern_of_many_stars_costs_no_more_than_both_lengths() {
        let pattern = "*a".repeat(2000);
        assert!(!matches(
            pattern.as_bytes(),
            "a".repeat(4000).replace("aa", "ab").as_bytes()
        ));
    }
}
