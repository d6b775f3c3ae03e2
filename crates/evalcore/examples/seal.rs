//! Encrypts a data set as BrowseComp's file is encrypted, so that its questions and answers are not found in clear.
//!
//! Reads CSV with the columns `problem`, `answer`, `problem_topic` and `canary` from standard input and writes the same
//! rows with `problem` and `answer` encrypted under `canary`:
//! `cargo run -p evalcore --example seal < clear.csv > sealed.csv`.

use std::io::{stdin, stdout};

use anyhow::{Context, Result};
use csv::{Reader, StringRecord, Writer};
use evalcore::dataset::cipher::encrypt;

const HEADER: [&str; 4] = ["problem", "answer", "problem_topic", "canary"];

fn main() -> Result<()> {
    let mut reader = Reader::from_reader(stdin().lock());
    let header = reader.headers().context("read the header")?.clone();
    let position = |name: &str| {
        let found = header.iter().position(|column| column == name);
        found.with_context(|| format!("no column `{name}`, the columns are {}", HEADER.join(", ")))
    };
    let [problem, answer, topic, canary] = HEADER.map(position);
    let (problem, answer, topic, canary) = (problem?, answer?, topic?, canary?);
    let mut writer = Writer::from_writer(stdout().lock());
    writer.write_record(HEADER)?;
    for row in reader.records() {
        let row: StringRecord = row?;
        let seal = |column: usize| encrypt(&row[column], &row[canary]);
        writer.write_record([&seal(problem), &seal(answer), &row[topic], &row[canary]])?;
    }
    writer.flush().context("write the rows")
}
