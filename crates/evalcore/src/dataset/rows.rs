//! The rows of CSV, TSV and JSON Lines, one at a time.
//!
//! Row numbers are 0-based, as the ids of samples are; line numbers are 1-based, as editors show them.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result, anyhow, bail};
use csv::{ErrorKind, StringRecord};
use serde_json::Value;

use super::Format;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF8_REMEDY: &str = "not UTF-8, convert the file";

/// Gives `visit` the number of each row and its values of `columns`; returns the number of rows.
pub(super) fn each(
    format: Format,
    reader: &mut dyn Read,
    columns: &[&str],
    visit: &mut dyn FnMut(usize, &[&str]),
) -> Result<usize> {
    let n_rows = match format {
        Format::Csv => separated(csv::ReaderBuilder::new().from_reader(reader), columns, visit)?,
        Format::Tsv => {
            let is_numbered = columns.iter().all(|column| column.parse::<usize>().is_ok());
            let mut builder = csv::ReaderBuilder::new();
            builder.delimiter(b'\t').quoting(false).has_headers(!is_numbered);
            separated(builder.from_reader(reader), columns, visit)?
        }
        Format::Jsonl => json_lines(BufReader::new(reader), columns, visit)?,
    };
    if n_rows == 0 {
        bail!("has no rows, is the file complete?");
    }
    Ok(n_rows)
}

fn separated(
    mut reader: csv::Reader<&mut dyn Read>,
    columns: &[&str],
    visit: &mut dyn FnMut(usize, &[&str]),
) -> Result<usize> {
    let has_headers = reader.has_headers();
    let header = reader.headers().map_err(|error| explain("header", error))?.clone();
    if header.is_empty() {
        return Ok(0);
    }
    let names: Vec<String> = match has_headers {
        true => header.iter().map(str::to_owned).collect(),
        false => (1..=header.len()).map(|number| number.to_string()).collect(),
    };
    let position = |column: &&str| {
        let found = names.iter().position(|name| name == column);
        found.with_context(|| missing("column", column, names.iter().map(String::as_str)))
    };
    let positions: Vec<usize> = columns.iter().map(position).collect::<Result<_>>()?;
    let mut record = StringRecord::new();
    let mut n_rows = 0;
    while reader
        .read_record(&mut record)
        .map_err(|error| explain(&format!("row {n_rows}"), error))?
    {
        let values: Vec<&str> = positions.iter().map(|&position| &record[position]).collect();
        visit(n_rows, &values);
        n_rows += 1;
    }
    Ok(n_rows)
}

/// `error` without the crate's own count of records, which takes the header for a row.
fn explain(place: &str, error: csv::Error) -> anyhow::Error {
    let line =
        error.position().map(|position| format!(" (line {})", position.line())).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            anyhow!(
                "{place}{line}: {len} fields where the first line has {expected_len}, is a quote missing?"
            )
        }
        ErrorKind::Utf8 { .. } => anyhow!("{place}{line}: {UTF8_REMEDY}"),
        _ => anyhow::Error::new(error).context(format!("{place}{line}")),
    }
}

fn json_lines(
    mut reader: impl BufRead,
    columns: &[&str],
    visit: &mut dyn FnMut(usize, &[&str]),
) -> Result<usize> {
    let mut line = Vec::new();
    let mut n_rows = 0;
    for n_lines in 1.. {
        let place = || format!("row {n_rows} (line {n_lines})");
        line.clear();
        if reader.read_until(b'\n', &mut line).with_context(place)? == 0 {
            break;
        }
        let bytes =
            if n_lines == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line) } else { &line };
        let text = std::str::from_utf8(bytes)
            .ok()
            .with_context(|| format!("{}: {UTF8_REMEDY}", place()))?;
        if text.trim().is_empty() {
            continue;
        }
        let values = values(text, columns).with_context(place)?;
        visit(n_rows, &values.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
        n_rows += 1;
    }
    Ok(n_rows)
}

fn values(line: &str, columns: &[&str]) -> Result<Vec<Cow<'static, str>>> {
    // Read as any value first: an error of type would repeat the text, which may be protected.
    let Value::Object(mut object) = serde_json::from_str(line)? else {
        bail!("not a JSON object");
    };
    let value = |column: &&str| match object.get_mut(*column).map(Value::take) {
        Some(Value::String(text)) => Ok(text.into()),
        Some(other) => Ok(other.to_string().into()),
        None => Err(anyhow!(missing("key", column, object.keys().map(String::as_str)))),
    };
    columns.iter().map(value).collect()
}

fn missing<'a>(what: &str, name: &str, present: impl Iterator<Item = &'a str>) -> String {
    let present: Vec<String> = present.map(|name| format!("`{name}`")).collect();
    format!("no {what} `{name}`, there are {}; is it the file of this eval?", present.join(", "))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use sha2::{Digest, Sha256};
    use tempfile::TempDir;

    use super::super::{Local, Row, Scan, load, scan};

    fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> Local {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Local::File(path)
    }

    #[track_caller]
    fn check(name: &str, bytes: &[u8], columns: &[&str], rows: &[&[&str]]) {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        let folder = TempDir::new().unwrap();
        // Compression is seen in the bytes, whatever the name says.
        for bytes in [bytes.to_vec(), [b"\xef\xbb\xbf", bytes].concat(), gzip.finish().unwrap()] {
            let local = file(&folder, name, &bytes);
            let scan = scan(&local, columns).unwrap();
            let sha256 = format!("{:x}", Sha256::digest(&bytes));
            assert_eq!(scan, Scan { sha256, n_rows: rows.len() });
            let reversed: Vec<usize> = (0..rows.len()).rev().collect();
            let expected: Vec<Row> =
                rows.iter().rev().map(|row| Row::new(row.iter().copied())).collect();
            assert_eq!(load(&local, columns, &reversed, &scan).unwrap(), expected);
        }
    }

    #[test]
    fn csv_columns_are_found_by_name_and_fields_may_span_lines() {
        let csv = b",b,a\r\n0,\"x, \"\"y\"\"\r\nz\",1\r\n1,,\"\"\r\n";
        check("a.csv", csv, &["a", "b"], &[&["1", "x, \"y\"\r\nz"], &["", ""]]);
    }

    #[test]
    fn tsv_takes_quotes_as_they_are_and_numbered_columns_mean_no_header() {
        check("a.tsv", b"q\ta\n\"x\" y\t5\n", &["a", "q"], &[&["5", "\"x\" y"]]);
        check("a.tsv.gz", b"x\t5,600\ny\t7", &["1", "2"], &[&["x", "5,600"], &["y", "7"]]);
    }

    #[test]
    fn json_lines_give_strings_as_they_are_and_the_rest_as_json() {
        let lines = b"{\"a\":\"x\\ny\",\"b\":[1, null]}\n\n{\"b\":-3.0,\"c\":0,\"a\":\"\"}";
        check("a.jsonl", lines, &["a", "b"], &[&["x\ny", "[1,null]"], &["", "-3.0"]]);
    }

    #[track_caller]
    fn check_refused(name: &str, bytes: &[u8], parts: &[&str]) {
        let folder = TempDir::new().unwrap();
        let error = format!("{:#}", scan(&file(&folder, name, bytes), &["a"]).unwrap_err());
        let all = parts.iter().chain(&[name]).all(|part| error.contains(part));
        assert!(all && !error.contains("secret"), "{error}");
    }

    #[test]
    fn broken_file_is_named_with_the_place() {
        check_refused("a.csv", b"", &["has no rows"]);
        check_refused("a.csv", b"a,b\n", &["has no rows"]);
        check_refused("a.jsonl", b"\n\n", &["has no rows"]);
        check_refused("a.csv", b"b,c\n1,secret\n", &["no column `a`", "there are `b`, `c`"]);
        check_refused("a.csv", b"a,b\n1,2\n3\n", &["row 1 (line 3)", "1 fields", "has 2"]);
        check_refused("a.csv", b"a,b\n1,2\n3,\xff\n", &["row 1 (line 3)", "not UTF-8"]);
        check_refused("a.csv", b"a\xff\n1\n", &["header", "not UTF-8"]);
        check_refused("a.jsonl", b"{\"a\":1}\n\n{\"a\":\"secret\n", &["row 1 (line 3)"]);
        check_refused("a.jsonl", b"\"secret\"\n", &["row 0 (line 1)", "not a JSON object"]);
        check_refused(
            "a.jsonl",
            b"{\"b\":\"secret\"}\n",
            &["row 0 (line 1)", "no key `a`", "there are `b`"],
        );
        check_refused("a.jsonl", b"{\"a\":\"\xff\"}\n", &["row 0 (line 1)", "not UTF-8"]);
        check_refused("a.csv", b"\x1f\x8b\x08\x00", &["header"]);
        check_refused("a.txt", b"a\n1\n", &["unknown format"]);
    }
}
