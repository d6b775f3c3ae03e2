//! Chance that repeats: numbers that depend on nothing but what they are drawn for.

use sha2::{Digest, Sha256};

/// The first 8 bytes of the SHA-256 of `parts`, one after the other, as a big-endian fraction of 2^64: 0.0 to 1.0, 1.0 excluded.
pub(crate) fn fraction(parts: &[&[u8]]) -> f64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
    // The low bits go: a double holds 53, and rounding up must not give 1.0.
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_spread_evenly_and_repeat() {
        let below_half = (0..1000_u32).filter(|n| fraction(&[&n.to_be_bytes()]) < 0.5).count();
        assert!((450..550).contains(&below_half), "{below_half}");
        assert_eq!(fraction(&[b"ab"]), fraction(&[b"a", b"b"]));
    }

    #[test]
    fn fraction_is_that_of_the_digest() {
        // SHA-256 of nothing begins e3b0c44298fc1c14.
        assert!((fraction(&[]) - 0xe3b0_c442_u32 as f64 / 4_294_967_296.0).abs() < 1e-9);
    }
}
