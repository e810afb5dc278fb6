//! The JSON objects of a file, one at a time: those of an array, wherever it stands in the file, or one a line.
//!
//! Knows JSON. Must not know what an object means.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::{Map, Value};

use super::{
    BadRow,
    elements::{Elements, Wanted},
    unmarked::without_mark,
};
use crate::formats::{
    json,
    long_lines::{LINE_BYTES_MAX, read_line},
};

/// An object, its number from 1 among those of the file.
pub type Numbered = (u64, Result<Value, BadRow>);

/// The objects of a file. An error that says where the file cannot be read on is the last.
pub type Objects = Box<dyn Iterator<Item = Numbered> + Send>;

/// One object a line (NDJSON). A line that is none is an error, and the next is read.
pub fn lines(from: impl Read + Send + 'static) -> Objects {
    Box::new(Lines { from: Some(BufReader::new(from)), number: 0, line: Vec::new() })
}

/// The elements of the array to which these members lead, from the top of the file: no members where the file is the array. What follows
/// a text that is not JSON cannot be told apart, so such an error is the last.
pub fn array(from: impl Read + Send + 'static, members: &[String]) -> Objects {
    Box::new(Elements::new(from, Wanted::At(members.to_vec())))
}

/// Whatever there is: one object a line; else objects and arrays of them. An object with an array as this member is a case for the
/// elements of that array.
pub fn any(from: impl Read + Send + 'static, member: &'static str) -> Objects {
    let mut from = BufReader::new(from);
    let mut begin = Vec::new();
    while begin.trim_ascii().is_empty() {
        match from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut begin) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Box::new([(1, Err(unreadable(1, &error)))].into_iter()),
        }
    }
    // Where a line is an object by itself, so are the others.
    let object = serde_json::from_slice::<Map<String, Value>>(without_mark(&begin));
    let is_case = |object: &Map<String, Value>| object.get(member).is_some_and(Value::is_array);
    let whole = io::Cursor::new(begin).chain(from);
    match object {
        Ok(object) if !is_case(&object) => lines(whole),
        _ => Box::new(Elements::new(whole, Wanted::Any(member))),
    }
}

struct Lines<R> {
    from: Option<BufReader<R>>,
    number: u64,
    line: Vec<u8>,
}

impl<R: Read> Iterator for Lines<R> {
    type Item = Numbered;

    fn next(&mut self) -> Option<Numbered> {
        loop {
            let from = self.from.as_mut()?;
            self.number += 1;
            let object = match read_line(from, &mut self.line) {
                Ok(None) => {
                    self.from = None;
                    return None;
                }
                Ok(Some(false)) => Err(BadRow::whole(self.number, format!("is longer than {} MiB", LINE_BYTES_MAX >> 20))),
                Ok(Some(true)) => {
                    let text = if self.number == 1 { without_mark(&self.line) } else { self.line.as_slice() };
                    if text.trim_ascii().is_empty() {
                        continue;
                    }
                    parse(text.trim_ascii(), self.number)
                }
                Err(error) => {
                    self.from = None;
                    Err(unreadable(self.number, &error))
                }
            };
            return Some((self.number, object));
        }
    }
}

fn parse(text: &[u8], number: u64) -> Result<Value, BadRow> {
    match serde_json::from_slice(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(BadRow::whole(number, "is not a JSON object")),
        Err(error) if std::str::from_utf8(text).is_err() => {
            Err(BadRow::whole(number, format!("is not UTF-8 ({})", json::without_position(&error))))
        }
        Err(error) => {
            Err(BadRow::whole(number, format!("is not JSON: {} in column {}", json::without_position(&error), error.column())))
        }
    }
}

fn unreadable(number: u64, error: &io::Error) -> BadRow {
    BadRow::whole(number, format!("cannot be read: {error}; the rest of the file is not read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids of the objects, and what the errors say.
    fn ids(objects: Objects) -> Vec<String> {
        let said = |(number, object): Numbered| match object {
            Ok(object) => object["id"].to_string(),
            Err(bad) => {
                assert_eq!(bad.number, number);
                bad.to_string()
            }
        };
        objects.map(said).collect()
    }

    fn text(text: &str) -> io::Cursor<Vec<u8>> {
        io::Cursor::new(text.as_bytes().to_vec())
    }

    #[test]
    fn an_array_is_found_by_its_members_and_read_to_its_end() {
        let top: [String; 0] = [];
        let nested = ["a".to_owned(), "b".to_owned()];
        assert_eq!(ids(array(text("\u{feff} [{\"id\":1},\n{\"id\":2}]"), &top)), ["1", "2"]);
        assert_eq!(ids(array(text(r#"{"x":[{}],"a":{"y":0,"b":[{"id":1}]}}"#), &nested)), ["1"]);
        assert_eq!(ids(array(text(r#"[{"id":1},7,{"id":3}]"#), &top)), ["1", "row 2: is not a JSON object", "3"]);
        for (broken, says) in [
            ("", "IncompleteDocument"),
            ("{}", "stand in an array"),
            ("[{\"id\":1", "IncompleteDocument"),
            ("[{]", "in line 1, column 3"),
        ] {
            let ids = ids(array(text(broken), &top));
            assert!(ids.len() == 1 && ids[0].contains(says) && ids[0].ends_with("the rest of the file is not read"), "{ids:?}");
        }
        assert!(ids(array(text("{}"), &nested))[0].contains("no member \"a\""));
        assert!(ids(array(text(r#"{"a":1}"#), &nested))[0].contains("no object in which"));
    }

    #[test]
    fn a_line_that_is_no_object_does_not_end_the_reading() {
        let from = io::Cursor::new(b"\xef\xbb\xbf{\"id\":1}\n\n{\"id\":\n[]\n\"\xff\"\n{\"id\":6}".to_vec());
        let ids = ids(lines(from));
        assert_eq!((ids[0].as_str(), ids[4].as_str()), ("1", "6"));
        assert!(ids[1].starts_with("row 3: is not JSON"), "{ids:?}");
        assert_eq!(ids[2], "row 4: is not a JSON object");
        assert!(ids[3].starts_with("row 5: is not UTF-8"), "{ids:?}");
    }

    #[test]
    fn any_takes_lines_arrays_objects_and_feeds() {
        for (given, expect) in [
            ("\n{\"id\":1}\n{\"id\":2}\n", &["1", "2"][..]),
            ("[{\"id\":1},{\"id\":2}]", &["1", "2"]),
            ("{\n\"id\":1}\n{\n\"id\":2}", &["1", "2"]),
            ("{\"feed\":[{\"id\":1},{\"id\":2}],\"id\":7}", &["1", "2"]),
            ("{\n\"id\":7,\"feed\":[{\"id\":1}],\"x\":{}}\n{\n\"id\":2}", &["1", "2"]),
            ("{\"feed\":\"none\",\"id\":1}", &["1"]),
            ("[]", &[]),
        ] {
            assert_eq!(ids(any(text(given), "feed")), expect, "{given}");
        }
        assert!(ids(any(text(""), "feed"))[0].contains("rest of the file"));
        assert!(ids(any(text("{\n\"id\": 1"), "feed"))[0].contains("rest of the file"));
    }
}
