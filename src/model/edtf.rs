//! EDTF, the Extended Date/Time Format of ISO 8601-2: levels 0 and 1, without years of more than four digits.
//!
//! | feature | example | means |
//! |--|--|--|
//! | day, month, year | `2024-10-23`, `2024-10`, `2024` | all of it, in UTC |
//! | date and time | `2024-10-23T09:30:00Z`, `...+04`, `...+04:30` | that second; in UTC if it has no zone |
//! | interval | `2024-10-08/2024-10-13`, `2024/2024-10` | from the first instant of the one to the last instant of the other |
//! | open or unknown end | `2024-10/..`, `../2024-10`, `2024-10/`, `/2024-10` | no bound on that side |
//! | season | `2024-21` ... `2024-24` | a meteorological season of the northern hemisphere |
//! | unspecified digits | `201X`, `20XX`, `2024-XX`, `2024-10-XX`, `2024-XX-XX` | any of them |
//! | uncertain, approximate, both | `2024?`, `2024-10~`, `2024-10-23%` | the same bounds: nobody said how far beyond them |
//!
//! Spring (21) is March to May, summer (22) June to August, autumn (23) September to November, and winter (24) December to
//! February of the following year.
//!
//! The crate `edtf` is not used: it is unmaintained, has a different licence, and returns dates where bounds are needed. The
//! grammar is short; the calendar is jiff's.
//!
//! Knows the format. Must not know the contract's messages.

use jiff::civil::Date;
use winnow::{
    Parser, Result as Parsed,
    ascii::digit1,
    combinator::{alt, eof, opt, preceded, terminated},
    token::{one_of, take_while},
};

/// 0001-01-01T00:00:00Z in seconds of the Unix epoch.
pub(super) const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-01-01T00:00:00Z: the first second after the years that an EDTF text may name.
const END_SECOND: i64 = 253_370_764_800;

/// The period that a text can mean, in seconds of the Unix epoch, UTC. An end that is open or unknown is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EdtfBounds {
    /// First second it can mean, inclusive.
    pub(super) earliest: Option<i64>,
    /// End of the last second it can mean, exclusive.
    pub(super) latest: Option<i64>,
}

/// Why a text has no bounds, as a message to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// The text does not follow the grammar.
    #[error(
        "is not EDTF of level 0 or 1: write for example 2024-10-23, 2024-10, 2024, 2024-10-23T09:30:00Z, \
         2024-10-08/2024-10-13, 2024-10/.., 2024-10~ or 201X"
    )]
    Form,
    /// A year of five digits, before the year 1 or after 9998.
    #[error("is outside the years 0001 to 9998")]
    Years,
    /// A month or season that does not exist.
    #[error("has no such month or season: months are 01 to 12, seasons 21 to 24")]
    Month,
    /// A day that its month does not have.
    #[error("has a day that its month does not have")]
    Day,
    /// A time of day or a zone that does not exist.
    #[error("has no such time of day: write 00:00:00 to 23:59:59, and a zone from -23:59 to +23:59")]
    Time,
    /// Unspecified digits before digits that are given.
    #[error("leaves other digits unspecified than EDTF level 1 allows: write 201X, 20XX, 2024-XX, 2024-10-XX or 2024-XX-XX")]
    Unspecified,
    /// An interval that is open or unknown on both sides.
    #[error("is an interval without a beginning and an end: leave it out")]
    Endless,
    /// An interval that ends before it begins.
    #[error("ends before it begins")]
    Order,
}

/// Whether a text is EDTF, within the years that a record may have.
pub fn is_edtf(text: &str) -> bool {
    bounds(text).is_ok()
}

/// The bounds of an EDTF text.
pub(super) fn bounds(text: &str) -> Result<EdtfBounds, Error> {
    let expression = expression.parse(text).map_err(|_| Error::Form)?;
    let bounds = match expression {
        Expression::Date(date) => date.bounds()?,
        Expression::Moment(moment) => moment.bounds()?,
        Expression::Interval(from, to) => between(from, to)?,
    };
    let inside = |second: &i64| (FIRST_SECOND..=END_SECOND).contains(second);
    if bounds.earliest.iter().chain(&bounds.latest).all(inside) { Ok(bounds) } else { Err(Error::Years) }
}

fn between(from: End, to: End) -> Result<EdtfBounds, Error> {
    let earliest = from.bounds()?.and_then(|bounds| bounds.earliest);
    let latest = to.bounds()?.and_then(|bounds| bounds.latest);
    match (earliest, latest) {
        (None, None) => Err(Error::Endless),
        (Some(earliest), Some(latest)) if earliest >= latest => Err(Error::Order),
        _ => Ok(EdtfBounds { earliest, latest }),
    }
}

// The text as parsed, before it is checked against the calendar.

#[derive(Clone, Copy)]
enum Expression {
    Date(Written),
    Moment(Moment),
    Interval(End, End),
}

/// One side of an interval. Open and unknown ends differ in what is known, not in their bounds.
#[derive(Clone, Copy)]
enum End {
    Date(Written),
    Unbounded,
}

#[derive(Clone, Copy)]
struct Written {
    year: Year,
    month: Option<Digits>,
    day: Option<Digits>,
}

#[derive(Clone, Copy)]
enum Year {
    /// The first and the last year. They differ only for a decade or a century.
    Between(i16, i16),
    /// A negative year, or one of more than four digits.
    Outside,
}

/// Two digits that are both given or both unspecified.
#[derive(Clone, Copy)]
enum Digits {
    Given(i8),
    Open,
}

#[derive(Clone, Copy)]
struct Moment {
    date: Written,
    hour: i8,
    minute: i8,
    second: i8,
    /// Positive east of Greenwich.
    offset_minutes: i32,
    offset_exists: bool,
}

// The grammar.

fn expression(input: &mut &str) -> Parsed<Expression> {
    alt((
        terminated((end, '/', end), eof).map(|(from, _, to)| Expression::Interval(from, to)),
        terminated(moment, eof).map(Expression::Moment),
        terminated(qualified, eof).map(Expression::Date),
    ))
    .parse_next(input)
}

fn end(input: &mut &str) -> Parsed<End> {
    alt((qualified.map(End::Date), "..".value(End::Unbounded), "".value(End::Unbounded))).parse_next(input)
}

fn qualified(input: &mut &str) -> Parsed<Written> {
    terminated(date, opt(one_of(['?', '~', '%']))).parse_next(input)
}

fn date(input: &mut &str) -> Parsed<Written> {
    let year = year.parse_next(input)?;
    let month = opt(preceded('-', digits)).parse_next(input)?;
    let day = if month.is_some() { opt(preceded('-', digits)).parse_next(input)? } else { None };
    Ok(Written { year, month, day })
}

fn year(input: &mut &str) -> Parsed<Year> {
    alt((
        ('Y', opt('-'), digit1).value(Year::Outside),
        ('-', number::<4>).value(Year::Outside),
        number::<4>.map(|year| Year::Between(year, year)),
        (number::<3>, "X").map(|(decade, _)| Year::Between(decade * 10, decade * 10 + 9)),
        (number::<2>, "XX").map(|(century, _)| Year::Between(century * 100, century * 100 + 99)),
    ))
    .parse_next(input)
}

fn digits(input: &mut &str) -> Parsed<Digits> {
    alt((small.map(Digits::Given), "XX".value(Digits::Open))).parse_next(input)
}

fn moment(input: &mut &str) -> Parsed<Moment> {
    let (date, _, hour, _, minute, _, second) = (date, 'T', small, ':', small, ':', small).parse_next(input)?;
    let (sign, hours, minutes) = opt(zone).parse_next(input)?.unwrap_or((1, 0, 0));
    Ok(Moment {
        date,
        hour,
        minute,
        second,
        offset_minutes: sign * (i32::from(hours) * 60 + i32::from(minutes)),
        offset_exists: hours < 24 && minutes < 60,
    })
}

fn zone(input: &mut &str) -> Parsed<(i32, i8, i8)> {
    let sign = alt(('+'.value(1), '-'.value(-1)));
    alt(('Z'.value((1, 0, 0)), (sign, small, opt(preceded(':', small)).map(Option::unwrap_or_default)))).parse_next(input)
}

fn small(input: &mut &str) -> Parsed<i8> {
    take_while(2, |letter: char| letter.is_ascii_digit()).parse_to().parse_next(input)
}

fn number<const DIGITS: usize>(input: &mut &str) -> Parsed<i16> {
    take_while(DIGITS, |letter: char| letter.is_ascii_digit()).parse_to().parse_next(input)
}

// The calendar.

impl End {
    fn bounds(self) -> Result<Option<EdtfBounds>, Error> {
        match self {
            Self::Date(date) => date.bounds().map(Some),
            Self::Unbounded => Ok(None),
        }
    }
}

impl Written {
    fn bounds(self) -> Result<EdtfBounds, Error> {
        let Year::Between(first, last) = self.year else { return Err(Error::Years) };
        if first < 1 || last > 9998 {
            return Err(Error::Years);
        }
        let (begin, end) = match (self.month, self.day) {
            (None, _) => (month_begins(first, 1)?, month_begins(last + 1, 1)?),
            _ if first != last => return Err(Error::Unspecified),
            (Some(Digits::Open), None | Some(Digits::Open)) => (month_begins(first, 1)?, month_begins(first + 1, 1)?),
            (Some(Digits::Open), Some(Digits::Given(_))) => return Err(Error::Unspecified),
            (Some(Digits::Given(month @ 1..=12)), None | Some(Digits::Open)) => {
                (month_begins(first, month)?, month_begins(first, month + 1)?)
            }
            (Some(Digits::Given(month @ 1..=12)), Some(Digits::Given(day))) => {
                let day = Date::new(first, month, day).map_err(|_| Error::Day)?;
                (day, day.tomorrow().map_err(|_| Error::Years)?)
            }
            (Some(Digits::Given(season @ 21..=24)), None) => {
                let month = (season - 20) * 3;
                (month_begins(first, month)?, month_begins(first, month + 3)?)
            }
            _ => return Err(Error::Month),
        };
        Ok(EdtfBounds { earliest: Some(second_of(begin)), latest: Some(second_of(end)) })
    }
}

impl Moment {
    fn bounds(self) -> Result<EdtfBounds, Error> {
        let Written { month: Some(Digits::Given(_)), day: Some(Digits::Given(_)), .. } = self.date else {
            return Err(Error::Form);
        };
        let midnight = self.date.bounds()?.earliest.ok_or(Error::Form)?;
        if self.hour > 23 || self.minute > 59 || self.second > 59 || !self.offset_exists {
            return Err(Error::Time);
        }
        let second = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let second = midnight + second - i64::from(self.offset_minutes) * 60;
        Ok(EdtfBounds { earliest: Some(second), latest: Some(second + 1) })
    }
}

/// The first day of a month. A month after December is in the following year.
fn month_begins(year: i16, month: i8) -> Result<Date, Error> {
    let (year, month) = if month > 12 { (year + 1, month - 12) } else { (year, month) };
    Date::new(year, month, 1).map_err(|_| Error::Years)
}

/// The second at which a day begins, at midnight UTC.
fn second_of(day: Date) -> i64 {
    const EPOCH: Date = Date::constant(1970, 1, 1);
    day.duration_since(EPOCH).as_secs()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Option<i64> {
        let text = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
        (!text.starts_with('T')).then(|| text.parse::<Timestamp>().unwrap().as_second())
    }

    /// Checks the bounds of a text. An empty bound means unset.
    fn check(text: &str, earliest: &str, latest: &str) {
        assert_eq!(bounds(text), Ok(EdtfBounds { earliest: at(earliest), latest: at(latest) }), "{text:?}");
    }

    fn check_refused(text: &str, error: Error) {
        assert_eq!(bounds(text), Err(error), "{text:?}");
    }

    #[test]
    fn constants_are_the_ends_of_the_calendar() {
        assert_eq!(Some(FIRST_SECOND), at("0001-01-01"));
        assert_eq!(Some(END_SECOND), at("9999-01-01"));
    }

    #[test]
    fn days_months_and_years_are_whole_ones_in_utc() {
        check("2024-10-23", "2024-10-23", "2024-10-24");
        check("2024-12-31", "2024-12-31", "2025-01-01");
        check("2024-02-29", "2024-02-29", "2024-03-01");
        check("2000-02-29", "2000-02-29", "2000-03-01");
        check("2023-02-28", "2023-02-28", "2023-03-01");
        check("1969-12-31", "1969-12-31", "1970-01-01");
        check("2024-10", "2024-10-01", "2024-11-01");
        check("2024-02", "2024-02-01", "2024-03-01");
        check("2024-12", "2024-12-01", "2025-01-01");
        check("2024", "2024-01-01", "2025-01-01");
        check("0001", "0001-01-01", "0002-01-01");
        check("9998", "9998-01-01", "9999-01-01");
        check("9998-12-31", "9998-12-31", "9999-01-01");
    }

    #[test]
    fn date_and_time_is_one_second_in_its_zone_or_utc() {
        check("2024-10-23T09:30:00Z", "2024-10-23T09:30:00Z", "2024-10-23T09:30:01Z");
        check("2024-10-23T09:30:00", "2024-10-23T09:30:00Z", "2024-10-23T09:30:01Z");
        check("2024-10-23T23:59:59Z", "2024-10-23T23:59:59Z", "2024-10-24T00:00:00Z");
        check("2024-10-23T00:30:00+09", "2024-10-22T15:30:00Z", "2024-10-22T15:30:01Z");
        check("2024-10-23T23:30:00-04:30", "2024-10-24T04:00:00Z", "2024-10-24T04:00:01Z");
        check("1985-04-12T23:20:30+04:30", "1985-04-12T18:50:30Z", "1985-04-12T18:50:31Z");
    }

    #[test]
    fn intervals_run_from_the_first_instant_to_the_last() {
        check("2024-10-08/2024-10-13", "2024-10-08", "2024-10-14");
        check("2004-02-01/2005-02", "2004-02-01", "2005-03-01");
        check("2004/2006", "2004-01-01", "2007-01-01");
        check("2024-10-08/2024-10-08", "2024-10-08", "2024-10-09");
        check("2024-10/2024", "2024-10-01", "2025-01-01");
        check("1984~/2004-06", "1984-01-01", "2004-07-01");
        check("1984-06-02?/2004-08-08~", "1984-06-02", "2004-08-09");
        check("201X/2022-21", "2010-01-01", "2022-06-01");
    }

    #[test]
    fn an_open_or_unknown_end_has_no_bound() {
        check("2024-10-01/..", "2024-10-01", "");
        check("../2024-10", "", "2024-11-01");
        check("2024-10-01/", "2024-10-01", "");
        check("/2024-10", "", "2024-11-01");
        check("2024-10~/..", "2024-10-01", "");
        for endless in ["../..", "/", "../", "/.."] {
            check_refused(endless, Error::Endless);
        }
    }

    #[test]
    fn qualifiers_leave_the_bounds_as_they_are() {
        check("2022-05~", "2022-05-01", "2022-06-01");
        check("2022?", "2022-01-01", "2023-01-01");
        check("2004-06-11%", "2004-06-11", "2004-06-12");
        check("201X~", "2010-01-01", "2020-01-01");
        check("2001-21?", "2001-03-01", "2001-06-01");
    }

    #[test]
    fn seasons_are_the_meteorological_ones_of_the_north() {
        check("2024-21", "2024-03-01", "2024-06-01");
        check("2024-22", "2024-06-01", "2024-09-01");
        check("2024-23", "2024-09-01", "2024-12-01");
        check("2024-24", "2024-12-01", "2025-03-01");
        check("2023-24", "2023-12-01", "2024-03-01");
        for none in ["2024-20", "2024-25", "2024-13", "2024-00", "2024-41", "2024-21-01"] {
            check_refused(none, Error::Month);
        }
        check_refused("9998-24", Error::Years);
    }

    #[test]
    fn unspecified_digits_are_any_of_them() {
        check("201X", "2010-01-01", "2020-01-01");
        check("20XX", "2000-01-01", "2100-01-01");
        check("2004-XX", "2004-01-01", "2005-01-01");
        check("1985-04-XX", "1985-04-01", "1985-05-01");
        check("2024-02-XX", "2024-02-01", "2024-03-01");
        check("1985-XX-XX", "1985-01-01", "1986-01-01");
        for level2 in ["201X-10", "20XX-XX", "201X-10-08", "1985-XX-12", "201X-21"] {
            check_refused(level2, Error::Unspecified);
        }
        for form in ["1XXX", "XXXX", "2X24", "2024-1X", "2024-10-2X", "2024-X", "XX24"] {
            check_refused(form, Error::Form);
        }
    }

    #[test]
    fn years_are_0001_to_9998() {
        for years in [
            "0000",
            "9999",
            "9999-12-31",
            "0000-01-01",
            "000X",
            "00XX",
            "99XX",
            "999X",
            "-0001",
            "-1985-04",
            "Y170000002",
            "Y-170000002",
            "2024/9999",
            "0001-01-01T00:00:00+01",
            "9999-01-01T00:00:00Z",
            "../0000",
            "9999-01-01/..",
        ] {
            check_refused(years, Error::Years);
        }
    }

    #[test]
    fn days_that_are_not_are_refused() {
        for day in ["2023-02-29", "1900-02-29", "2024-04-31", "2024-01-00", "2024-01-32", "2024-02-30T00:00:00Z"] {
            check_refused(day, Error::Day);
        }
        for time in [
            "2024-10-23T24:00:00Z",
            "2024-10-23T23:60:00Z",
            "2024-10-23T23:59:60Z",
            "2024-10-23T00:00:00+24",
            "2024-10-23T00:00:00+01:60",
        ] {
            check_refused(time, Error::Time);
        }
        check_refused("2024-13-01T00:00:00Z", Error::Month);
    }

    #[test]
    fn an_interval_does_not_end_before_it_begins() {
        check_refused("2024-10-13/2024-10-08", Error::Order);
        check_refused("2024/2023-12-31", Error::Order);
    }

    #[test]
    fn what_is_no_edtf_is_refused() {
        for form in [
            "",
            " ",
            "2024-10-23 ",
            " 2024",
            "October 2024",
            "2024-1-1",
            "24-10-23",
            "20241023",
            "2024/10/23",
            "2024-10-23T09:30",
            "2024-10-23T09:30:00.5Z",
            "2024-10-23 09:30:00Z",
            "2024-10-23T09:30:00Z?",
            "2024-10-23T09:30:00z",
            "2024-10T09:30:00Z",
            "2024?~",
            "?2024",
            "2024-10-08/2024-10-13/2024-10-14",
            "2024..",
            "..",
            "[2024,2025]",
            "2024-10-08T00:00:00Z/2024-10-09",
            "２０２４",
            "open",
            "2024-XX-XXT00:00:00Z",
            "Y",
            "2024--10",
        ] {
            check_refused(form, Error::Form);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-0-9XYTZ/.?~%:+]{0,24}|\\PC{0,12}") {
            if let Ok(EdtfBounds { earliest: Some(earliest), latest: Some(latest) }) = bounds(&text) {
                prop_assert!(earliest < latest);
            }
        }

        /// Every day has itself as bounds and ends when the next one begins.
        #[test]
        fn days_follow_each_other(day in -719_162i32..2_932_530) {
            let day = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
            let next = day.tomorrow().unwrap();
            prop_assert_eq!(bounds(&day.to_string()).unwrap().latest, bounds(&next.to_string()).unwrap().earliest);
        }
    }
}
