//! The cipher that keeps BrowseComp's questions and answers out of training data.
//!
//! A text is XORed, byte by byte, with the SHA-256 of a password repeated to its length, and written as base64. The
//! password stands beside it, in the column `canary`: the cipher hides the text from searches, not from readers.
//! Wei et al. 2025, <https://arxiv.org/abs/2504.12516>.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The text that `base64` holds under `password`.
///
/// # Errors
///
/// When `base64` is no standard base64, or no text comes out, as happens with another password. No part of the text is in
/// the message.
pub fn decrypt(base64: &str, password: &str) -> Result<String> {
    let bytes = STANDARD
        .decode(base64.trim())
        .context("encrypted text is not base64: is the file in clear, or is it another column?")?;
    // The cause names no more than positions.
    String::from_utf8(xor(&bytes, password))
        .map_err(|error| error.utf8_error())
        .context("decrypted text is not UTF-8: does the canary belong to this row?")
}

/// `text` under `password`, as [`decrypt`] reads it.
pub fn encrypt(text: &str, password: &str) -> String {
    STANDARD.encode(xor(text.as_bytes(), password))
}

fn xor(bytes: &[u8], password: &str) -> Vec<u8> {
    let key = Sha256::digest(password);
    let mut text = bytes.to_vec();
    for block in text.chunks_mut(key.len()) {
        block.iter_mut().zip(&key).for_each(|(byte, key)| *byte ^= key);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::{Local, Row, load, scan, shared};
    use super::*;

    #[track_caller]
    fn check(text: &str, password: &str, encrypted: &str) {
        assert_eq!(encrypt(text, password), encrypted);
        assert_eq!(decrypt(encrypted, password).unwrap(), text);
    }

    #[test]
    fn texts_are_encrypted_as_by_the_reference() {
        check("hello world", "canary-1", "5L751PQXpxnm++I=");
        check(
            "é日本 and more than thirty-two bytes of text here",
            "BROWSECOMP",
            "pWtsFwPPK59Xy/zCqJpQW8HmmnDJcRmeNAxhyimwc9wJ4uj50kzEExjMstLtj0sJzKOcfQ==",
        );
        check("", "any", "");
    }

    #[track_caller]
    fn check_refused(encrypted: &str, password: &str, part: &str) {
        let error = format!("{:#}", decrypt(encrypted, password).unwrap_err());
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn clear_text_and_a_wrong_canary_are_told_apart() {
        check_refused("who was it?", "canary-1", "not base64");
        check_refused("5L751PQXpxnm++I=", "canary-2", "not UTF-8");
    }

    const COLUMNS: &[&str] = &["problem", "answer", "problem_topic", "canary"];

    /// Question and answer of a row of BrowseComp's columns.
    fn clear(row: &Row) -> (String, String) {
        let clear = |column: usize| decrypt(&row[column], &row[3]).unwrap();
        (clear(0), clear(1))
    }

    #[test]
    fn sample_is_in_the_format_of_the_official_file_and_decrypts() {
        let local = Local::Embedded(include_bytes!("../../data/browsecomp_sample.csv"));
        let scan = scan(&local, COLUMNS).unwrap();
        assert_eq!(scan.n_rows, 20);
        let all: Vec<usize> = (0..scan.n_rows).collect();
        let rows = load(&local, COLUMNS, &all, &scan).unwrap();
        let (questions, answers): (HashSet<_>, HashSet<_>) = rows.iter().map(clear).unzip();
        assert_eq!((questions.len(), answers.len()), (20, 20), "all are distinct");
        assert!(questions.iter().all(|question| (200..=500).contains(&question.len())));
        assert!(answers.iter().all(|answer| (1..=40).contains(&answer.len())));
        assert!(
            rows.iter()
                .all(|row| row[3].starts_with("SAMPLE DATA OF ASYNC-EVALS, NOT FOR TRAINING"))
        );
    }

    fn sha256(text: &str) -> String {
        format!("{:x}", Sha256::digest(text))
    }

    /// Only hashes and lengths: the authors ask that no text of the file appears in clear.
    #[test]
    fn official_file_decrypts_to_the_published_hashes_and_lengths() {
        let Some(path) = shared::file("browse_comp_test_set.csv") else {
            return;
        };
        let local = Local::File(path);
        let scan = scan(&local, COLUMNS).unwrap();
        let hash = "7b24471cd5b3eb2a46830a14802b5c029ea62f488ff75a0f88af7923d1454abf";
        assert_eq!((scan.sha256.as_str(), scan.n_rows), (hash, 1266));
        let all: Vec<usize> = (0..scan.n_rows).collect();
        let texts: Vec<_> = load(&local, COLUMNS, &all, &scan).unwrap().iter().map(clear).collect();
        for (row, question, answer) in [
            (
                0,
                "6662dea134c10c3e9e1b19eff2ee5d56be2217f1c7b0d8e309eddbf775a44978",
                "e755d3d9f41b38b2bbe0e90ca9d917d568ebc9a7fe186ba75cb6fb7cde6f8419",
            ),
            (
                632,
                "18e0b41ff4946d40537f54d3ad10d02b89587d45f7f430ad3291567b01aab5d5",
                "99d50e032223964c51e69e3bd6ea4e639521aeccb24774bc3aef057440d5ade0",
            ),
            (
                1265,
                "25af3f67e7d8a59682799b56e1a62a055746381b3b300436ce46bb70e6abca15",
                "f2b5bb06179819f12ff841d525942581abd43408161e827f7e0c122afa3fa6a2",
            ),
        ] {
            assert_eq!(sha256(&texts[row].0), question, "question {row}");
            assert_eq!(sha256(&texts[row].1), answer, "answer {row}");
        }
        let (questions, answers): (Vec<String>, Vec<String>) = texts.into_iter().unzip();
        assert_eq!(lengths(&questions), (204, 544, 1999));
        assert_eq!(lengths(&answers), (1, 14, 197));
    }

    /// Least, median and greatest number of characters.
    fn lengths(texts: &[String]) -> (usize, usize, usize) {
        let mut lengths: Vec<usize> = texts.iter().map(|text| text.chars().count()).collect();
        lengths.sort_unstable();
        (lengths[0], lengths[lengths.len() / 2], lengths[lengths.len() - 1])
    }
}
