//! Dates as pages write them.
//!
//! Knows forms of dates. Must not know what is dated.

use jiff::fmt::temporal::Pieces;

use crate::{formats::edtf, model::is_edtf, proto::TimeSpec};

/// Forms in which day and month cannot be taken for each other.
const FORMS: &[&str] = &["%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%Y/%m/%d", "%Y%m%d", "%a, %d %b %Y %H:%M:%S %z"];

/// A date: as EDTF, as exact as it is written but for fractions of seconds; or in its words alone, where nobody can be sure what they mean.
pub(super) fn time(text: &str) -> TimeSpec {
    let found = if is_edtf(text) { Some(text.to_owned()) } else { moment(text).or_else(|| form(text)) };
    let edtf = found.filter(|edtf| is_edtf(edtf)).unwrap_or_default();
    let verbatim = if edtf == text { String::new() } else { text.to_owned() };
    TimeSpec { edtf, verbatim, ..Default::default() }
}

/// A day with a time of day, of ISO 8601 and much like it.
fn moment(text: &str) -> Option<String> {
    let pieces = Pieces::parse(text).ok()?;
    let has_seconds = text.matches(':').count() >= 2
        && text.split_once(['T', 't', ' ']).is_some_and(|(_, time)| time.len() >= 8 && time.as_bytes().get(5) == Some(&b':'));
    let time = pieces.time().filter(|_| has_seconds);
    Some(edtf::written(pieces.date(), time, pieces.to_numeric_offset()))
}

fn form(text: &str) -> Option<String> {
    FORMS.iter().find_map(|form| edtf::of_form(text, form).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, edtf: &str) {
        let time = time(text);
        assert_eq!(time.edtf, edtf, "{text}");
        assert_eq!(time.verbatim, if edtf == text { "" } else { text });
    }

    #[test]
    fn dates_keep_their_precision_and_what_is_not_plain_keeps_its_words() {
        check("2023-05-04", "2023-05-04");
        check("2023-05", "2023-05");
        check("2023", "2023");
        check("2023-05-04T10:30:00Z", "2023-05-04T10:30:00Z");
        check("2023-05-04T10:30:00.123Z", "2023-05-04T10:30:00Z");
        check("2023-05-04T10:30:00+05:30", "2023-05-04T10:30:00+05:30");
        check("2023-05-04 10:30:00", "2023-05-04T10:30:00");
        check("2023-05-04T10:30", "2023-05-04");
        check("2023-05-04T10:30+02:00", "2023-05-04");
        check("May 4, 2023", "2023-05-04");
        check("4 May 2023", "2023-05-04");
        check("2023/05/04", "2023-05-04");
        check("Thu, 04 May 2023 10:30:00 +0000", "2023-05-04T10:30:00Z");
        check("04/05/2023", "");
        check("2023-02-30", "");
        check("last week", "");
    }
}
