//! Proofs of a password: what a client sends, and how one is checked.
//!
//! The proxy knows its users' passwords, so a scramble is checked by computing it anew; comparisons take the same
//! time wherever the difference lies. Randomness is always an argument.

mod rsa;

pub use mysql_common::scramble::{scramble_native, scramble_sha256};
pub use rsa::{RsaError, encrypt_password};

/// Bytes of a nonce, without the NUL that follows it on the wire.
pub const NONCE_LEN: usize = 20;

/// What one side asks the other to prove a password against.
pub type Nonce = [u8; NONCE_LEN];

/// An authentication plugin that both hops speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// The default of MySQL 8 and later.
    CachingSha2,
    /// The default of MariaDB and of older clients.
    Native,
}

impl Plugin {
    /// The plugin of this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"caching_sha2_password" => Some(Self::CachingSha2),
            b"mysql_native_password" => Some(Self::Native),
            _ => None,
        }
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::CachingSha2 => "caching_sha2_password",
            Self::Native => "mysql_native_password",
        }
    }

    /// The proof of `password` against `nonce`; empty for an empty password.
    pub fn scramble(self, password: &[u8], nonce: &[u8]) -> Vec<u8> {
        match self {
            Self::CachingSha2 => scramble_sha256(nonce, password).map(Vec::from),
            Self::Native => scramble_native(nonce, password).map(Vec::from),
        }
        .unwrap_or_default()
    }

    /// Whether `response` proves `password` against `nonce`.
    pub fn verify(self, password: &[u8], nonce: &Nonce, response: &[u8]) -> bool {
        match self {
            Self::CachingSha2 => verify_caching_sha2(password, nonce, response),
            Self::Native => verify_native(password, nonce, response),
        }
    }
}

/// Checks a caching_sha2_password scramble. An empty password is proven by nothing or a single NUL.
pub fn verify_caching_sha2(password: &[u8], nonce: &Nonce, response: &[u8]) -> bool {
    match scramble_sha256(nonce, password) {
        Some(expected) => same(&expected, response),
        None => matches!(response, [] | [0]),
    }
}

/// Checks a mysql_native_password scramble. An empty password is proven by nothing.
pub fn verify_native(password: &[u8], nonce: &Nonce, response: &[u8]) -> bool {
    match scramble_native(nonce, password) {
        Some(expected) => same(&expected, response),
        None => response.is_empty(),
    }
}

/// Compares in a time that depends on the lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

/// Makes a nonce of random bytes: each becomes one of 1..=127 that is neither NUL nor `$`, which some clients and
/// plugins take for an end.
pub fn nonce_from(entropy: [u8; NONCE_LEN]) -> Nonce {
    entropy.map(|byte| match byte & 0x7F {
        0 => 1,
        b'$' => b'%',
        byte => byte,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: Nonce = *b"_\r#\x11]!%|\x08R\x0e1w\tJX\tA\x1c(";

    #[test]
    fn empty_passwords_have_empty_proofs() {
        for plugin in [Plugin::CachingSha2, Plugin::Native] {
            assert_eq!(plugin.scramble(b"", &NONCE), b"");
            assert!(plugin.verify(b"", &NONCE, b""));
            assert!(!plugin.verify(b"", &NONCE, b"x"));
            assert!(!plugin.verify(b"secret", &NONCE, b""));
            assert_eq!(Plugin::from_name(plugin.name().as_bytes()), Some(plugin));
        }
        assert!(verify_caching_sha2(b"", &NONCE, b"\0"));
        assert!(!verify_caching_sha2(b"secret", &NONCE, b"\0"));
    }

    proptest! {
        #[test]
        fn only_the_password_is_proven(
            password in prop::collection::vec(any::<u8>(), 1..40),
            other: Vec<u8>,
            entropy: [u8; NONCE_LEN],
            bit in 0usize..160,
        ) {
            let nonce = nonce_from(entropy);
            prop_assert!(nonce.iter().all(|byte| matches!(byte, 1..=127) && *byte != b'$'));
            for plugin in [Plugin::CachingSha2, Plugin::Native] {
                let mut proof = plugin.scramble(&password, &nonce);
                prop_assert!(plugin.verify(&password, &nonce, &proof));
                prop_assert_eq!(plugin.verify(&other, &nonce, &proof), other == password);
                prop_assert!(!plugin.verify(&password, &nonce, &proof[1..]));
                proof[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(!plugin.verify(&password, &nonce, &proof));
            }
        }
    }
}
