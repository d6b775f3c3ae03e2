//! How long a server asks its clients to wait.

use std::time::Duration;

use reqwest::header::HeaderMap;

use super::exchange::header;

/// `retry-after-ms` in milliseconds, else `retry-after` in seconds or as an HTTP date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |text: String, unit: f64| {
        let seconds = text.trim().parse::<f64>().ok()? * unit;
        Duration::try_from_secs_f64(seconds).ok()
    };
    header(headers, "retry-after-ms")
        .and_then(|text| seconds(text, 0.001))
        .or_else(|| {
            let text = header(headers, "retry-after")?;
            seconds(text.clone(), 1.0).or_else(|| {
                let date = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
                (date.with_timezone(&chrono::Utc) - chrono::Utc::now())
                    .to_std()
                    .ok()
            })
        })
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[track_caller]
    fn check_wait(headers: &[(&'static str, &str)], expected: Option<f64>) {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).expect("valid"),
                )
            })
            .collect();
        assert_eq!(
            retry_after(&headers).map(|wait| wait.as_secs_f64()),
            expected
        );
    }

    #[test]
    fn the_wait_is_read_from_milliseconds_before_seconds() {
        check_wait(
            &[("retry-after-ms", "250"), ("retry-after", "9")],
            Some(0.25),
        );
        check_wait(&[("retry-after", "2")], Some(2.0));
        check_wait(&[("retry-after", "1.5")], Some(1.5));
        check_wait(&[("retry-after", "-1")], None);
        check_wait(&[("retry-after", "soon")], None);
        check_wait(&[("retry-after", "NaN")], None);
        check_wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], None);
        check_wait(&[], None);
    }

    #[test]
    fn a_date_is_a_wait_until_then() {
        let date = (chrono::Utc::now() + chrono::Duration::seconds(100)).to_rfc2822();
        let headers = [(
            HeaderName::from_static("retry-after"),
            HeaderValue::from_str(&date).expect("valid"),
        )];
        let wait = retry_after(&headers.into_iter().collect()).expect("a wait");
        assert!((95.0..=100.0).contains(&wait.as_secs_f64()), "{wait:?}");
    }
}
