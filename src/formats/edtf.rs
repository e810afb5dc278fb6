//! Dates of others as EDTF, as exact as they are and no more.
//!
//! Knows forms of dates. Must not know which format has them.

use jiff::{
    civil::{Date, Time},
    fmt::strtime,
    tz::Offset,
};

/// A date of a form in the signs of strptime. A time of day needs seconds to be in EDTF; without, it is left out.
pub(crate) fn of_form(text: &str, form: &str) -> Result<String, String> {
    let wrong = |error: jiff::Error| format!("{text:?} is not a date of the form {form:?}: {error}");
    let time = strtime::parse(form, text.trim()).map_err(wrong)?;
    match (time.year(), time.month(), time.day(), time.day_of_year()) {
        (None, ..) => Ok(time.to_timestamp().map_err(wrong)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        (Some(year), None, None, None) => Ok(format!("{year:04}")),
        (Some(year), Some(month), None, None) => Ok(format!("{year:04}-{month:02}")),
        _ => {
            let date = time.to_date().map_err(wrong)?;
            let clock = time.second().and_then(|_| time.to_time().ok());
            Ok(written(date, clock, time.offset()))
        }
    }
}

/// A day, and perhaps a time of day, in EDTF. Fractions of a second are cut off.
pub(crate) fn written(date: Date, time: Option<Time>, offset: Option<Offset>) -> String {
    let Some(time) = time else { return date.to_string() };
    let zone = match offset {
        Some(Offset::UTC) => "Z".to_owned(),
        Some(offset) => {
            let minutes = offset.seconds() / 60;
            format!("{}{:02}:{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60)
        }
        None => String::new(),
    };
    format!("{date}T{:02}:{:02}:{:02}{zone}", time.hour(), time.minute(), time.second())
}
