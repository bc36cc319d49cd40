//! Fills a Secret of ours with a value that another Secret holds.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::KeyError;
use crate::client::SecretData;
use crate::object::hex;
use crate::render::{Fill, Part};

/// Secret key of what makes the digest of a value worthless to whoever does not have it.
pub const SALT: &str = "salt";

/// A filled Secret, and what can be told of the value in it.
pub struct Filled {
    pub data: SecretData,
    /// Another one when the value is another. Tells nobody the value who cannot read the Secret: the salt in it is as
    /// long as the digest and drawn at random, so that no list of likely passwords can be tried.
    pub digest: String,
}

/// Why a value cannot be used. Never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it is empty")]
    Empty,
    #[error("it is not UTF-8 text")]
    NotText,
    #[error("it is not made of letters and digits")]
    NotPlain,
}

/// Says why a value that a user gives cannot be used; `None` when it can.
pub fn unusable(value: &[u8]) -> Option<Unusable> {
    if value.is_empty() {
        Some(Unusable::Empty)
    } else if std::str::from_utf8(value).is_err() {
        Some(Unusable::NotText)
    } else {
        None
    }
}

/// Puts `value` where it belongs. `before` is the data of the Secret that exists: its salt is kept, so that the digest
/// changes with the value alone.
///
/// *Effects*: draws a random salt when there was none.
pub fn fill(fill: &Fill, value: &[u8], before: Option<&SecretData>) -> Result<Filled, FillError> {
    if let Some(why) = unusable(value) {
        return Err(FillError::Value(why));
    }
    let text = std::str::from_utf8(value).map_err(|_| FillError::Value(Unusable::NotText))?;
    let salt = match before
        .and_then(|before| before.get(SALT))
        .filter(|salt| salt.len() == 64)
    {
        Some(salt) => Zeroizing::new(salt.to_vec()),
        None => Zeroizing::new(random_text().map_err(FillError::Random)?.as_bytes().to_vec()),
    };
    let mut data = SecretData::new();
    for (name, parts) in &fill.files {
        let mut file = Zeroizing::new(Vec::with_capacity(size(parts, text)));
        for part in parts {
            match part {
                Part::Text(text) => file.extend_from_slice(text.as_bytes()),
                Part::Quoted => quote(text, &mut file),
                Part::Plain if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    file.extend_from_slice(text.as_bytes());
                }
                Part::Plain => return Err(FillError::Value(Unusable::NotPlain)),
            }
        }
        data.insert(name, file);
    }
    let digest = salted(&salt, &salted(&salt, value));
    data.insert(SALT, salt);
    Ok(Filled {
        data,
        digest: hex(&digest[..16]),
    })
}

/// Why a Secret was not filled.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    #[error("the value cannot be used")]
    Value(#[source] Unusable),
    #[error("cannot draw random numbers")]
    Random(#[source] KeyError),
}

/// Draws 256 bits, as 64 hex digits. What this room draws is keys, and the digest of a private key is as random as it.
pub(super) fn random_text() -> Result<Zeroizing<String>, KeyError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map(Zeroizing::new)
        .map_err(|source| KeyError::Generate { source })?;
    let secret = Zeroizing::new(key.serialize_der());
    Ok(Zeroizing::new(hex(&Sha256::digest(secret.as_slice()))))
}

fn salted(salt: &[u8], value: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(value)
        .finalize()
        .into()
}

/// Room for every character in its longest form, so that the buffer never moves and leaves no copy.
fn size(parts: &[Part], value: &str) -> usize {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Quoted => 2 + 6 * value.len(),
            Part::Plain => value.len(),
        })
        .sum()
}

/// Writes a string that YAML, JSON and Go read alike: what they do not take as it is becomes `\u` and four hex
/// digits.
fn quote(text: &str, into: &mut Vec<u8>) {
    into.push(b'"');
    for character in text.chars() {
        match character {
            '"' => into.extend_from_slice(b"\\\""),
            '\\' => into.extend_from_slice(b"\\\\"),
            ' '..='~' => into.push(character as u8),
            // Beyond the first plane JSON needs two escapes and YAML takes one; as it is, both take it.
            '\u{10000}'.. => {
                let mut bytes = Zeroizing::new([0; 4]);
                into.extend_from_slice(character.encode_utf8(bytes.as_mut_slice()).as_bytes());
            }
            other => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let code = other as usize;
                into.extend_from_slice(b"\\u");
                into.extend([12, 8, 4, 0].map(|shift| DIGITS[(code >> shift) & 15]));
            }
        }
    }
    into.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::render::{Source, SourceVersion};

    fn of(parts: &[Part]) -> Fill {
        Fill {
            source: Source {
                secret: "db".into(),
                key: "url".into(),
                version: SourceVersion::Object("1/2".into()),
            },
            files: [("k0s.yaml".to_owned(), parts.to_vec())].into(),
        }
    }

    fn filled(parts: &[Part], value: &str, before: Option<&SecretData>) -> Filled {
        fill(&of(parts), value.as_bytes(), before).unwrap()
    }

    fn read(value: &str) -> Value {
        let parts = [
            Part::Text("a: 1\nb: ".into()),
            Part::Quoted,
            Part::Text("\nc: 2\n".into()),
        ];
        let filled = filled(&parts, value, None);
        let text = std::str::from_utf8(filled.data.get("k0s.yaml").unwrap()).unwrap();
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn what_is_special_to_shells_yaml_and_url_parsers_survives() {
        for value in [
            "mysql://u:p&a/s\\s'\"$HOME`x`#{}[]%@tcp(db:3306)/k0s?a=b&c=d",
            " leading and trailing \n",
            "tab\t nul\0 del\u{7f} next\u{85} bom\u{feff} line\u{2028} emoji\u{1f600} ümlaut",
            "__PLACEHOLDER__ --- : - ? ! | > *a &b",
        ] {
            assert_eq!(read(value)["b"], value, "{value:?}");
            let mut quoted = Vec::new();
            quote(value, &mut quoted);
            assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), value);
        }
    }

    proptest! {
        #[test]
        fn any_text_survives(value in "\\PC{1,40}|.{1,40}") {
            prop_assert_eq!(&read(&value)["b"], &value);
            let mut quoted = Vec::new();
            quote(&value, &mut quoted);
            prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), value);
        }
    }

    #[test]
    fn the_digest_follows_the_value_and_says_nothing_without_the_salt() {
        let one = filled(&[Part::Quoted], "postgres://a", None);
        let again = filled(&[Part::Quoted], "postgres://a", Some(&one.data));
        let other = filled(&[Part::Quoted], "postgres://b", Some(&one.data));
        let elsewhere = filled(&[Part::Quoted], "postgres://a", None);
        assert_eq!(one.digest, again.digest);
        assert_eq!(one.data.get(SALT), other.data.get(SALT));
        assert_ne!(one.digest, other.digest);
        assert_ne!(one.digest, elsewhere.digest);
        assert_eq!(one.data.get(SALT).unwrap().len(), 64);
    }

    #[test]
    fn what_cannot_be_written_is_refused_and_not_quoted() {
        let refused = |parts: &[Part], value: &[u8]| match fill(&of(parts), value, None) {
            Err(FillError::Value(why)) => why,
            _ => panic!("it is filled"),
        };
        assert_eq!(refused(&[Part::Quoted], b""), Unusable::Empty);
        assert_eq!(refused(&[Part::Quoted], b"\xff\xfe"), Unusable::NotText);
        assert_eq!(refused(&[Part::Plain], b"a@b"), Unusable::NotPlain);
    }
}
