//! Which rows of a data set are run, and in which order.

use sha2::{Digest, Sha256};

use crate::random::Random;

/// The 0-based rows to run out of `n_rows`, in the order in which they run.
///
/// Without a limit that is every row in file order. With one it is what `random.Random(seed).sample` draws, in the order
/// of the draw, as in the reference evals; so a limit of exactly `n_rows` gives every row, but in draw order. Where the
/// reference raises because the limit is above `n_rows`, the limit counts as `n_rows`; warning of it is for the caller, and
/// so is refusing a limit of 0, which selects nothing.
pub fn select(n_rows: usize, limit: Option<usize>, seed: u64) -> Vec<usize> {
    match limit {
        None => (0..n_rows).collect(),
        Some(limit) => Random::new(seed).sample(n_rows, limit.min(n_rows)),
    }
}

/// The SHA-256, in lower-case hex, of the ids of the chosen rows joined by newlines.
///
/// An id is the 0-based number of the row in decimal.
pub fn ids_sha256(chosen: &[usize]) -> String {
    let ids: Vec<String> = chosen.iter().map(usize::to_string).collect();
    format!("{:x}", Sha256::digest(ids.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n_rows: usize, limit: Option<usize>, chosen: &[usize]) {
        assert_eq!(select(n_rows, limit, 0), chosen);
    }

    #[test]
    fn no_limit_keeps_file_order() {
        check(3, None, &[0, 1, 2]);
        check(0, None, &[]);
    }

    #[test]
    fn limit_draws_as_the_reference_does() {
        check(1266, Some(3), &[788, 861, 82]);
        check(1266, Some(0), &[]);
    }

    #[test]
    fn limit_of_all_rows_and_above_gives_all_of_them_in_draw_order() {
        check(4, Some(4), &[3, 1, 0, 2]);
        check(4, Some(5), &[3, 1, 0, 2]);
        check(0, Some(5), &[]);
    }

    #[test]
    fn hash_is_of_the_ids_one_a_line_in_order() {
        // printf '3\n1\n0\n2' | sha256sum
        let expected = "58442be3e875839dd92753a83060afa7224577eabd7075609ffffec0b13b1fad";
        assert_eq!(ids_sha256(&[3, 1, 0, 2]), expected);
        assert_ne!(ids_sha256(&[1, 3, 0, 2]), expected);
    }
}
