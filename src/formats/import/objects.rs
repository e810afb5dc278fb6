//! Reads the JSON objects of a file one at a time: elements of an array anywhere in the file, objects at the top, or one object
//! a line.
//!
//! Must not know what an object means.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::{Map, Value};
use struson::{
    reader::{JsonReader, JsonStreamReader, ReaderError, ReaderSettings, ValueType},
    serde::DeserializerError,
};

use super::ImportRowError;
use crate::formats::{
    json,
    reading::{Allowance, Bounded, LINE_BYTES_MAX, Unmarked, read_line, without_mark},
};

/// An object with its number in the file, from 1.
pub type NumberedObject = (u64, Result<Value, ImportRowError>);

/// The objects of a file. The iteration ends after an error that says that the rest of the file is not read.
pub type ObjectIter = Box<dyn Iterator<Item = NumberedObject> + Send>;

/// Reads one object a line (NDJSON). A line that is not an object is an error; the next line is still read.
pub fn lines(from: impl Read + Send + 'static) -> ObjectIter {
    Box::new(Lines { from: Some(BufReader::new(from)), number: 0, line: Vec::new() })
}

/// Reads the elements of an array. `members` is the path to it from the top of the file; if it is empty, the file itself is the
/// array. Nothing can be read after text that is not JSON, so such an error is the last item.
pub fn array(from: impl Read + Send + 'static, members: &[String]) -> ObjectIter {
    Box::new(Elements::new(from, Wanted::At(members.to_vec())))
}

/// Reads the objects of a file of any of these forms: one object a line, objects, arrays of objects, or an object with an array
/// of objects as this `member`.
pub fn any(from: impl Read + Send + 'static, member: &'static str) -> ObjectIter {
    let mut from = BufReader::new(from);
    let mut begin = Vec::new();
    while begin.trim_ascii().is_empty() {
        match from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut begin) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Box::new([(1, Err(unreadable(1, &error)))].into_iter()),
        }
    }
    // If the first line is an object without this array, every line is an object.
    let object = serde_json::from_slice::<Map<String, Value>>(without_mark(&begin));
    let has_array = |object: &Map<String, Value>| object.get(member).is_some_and(Value::is_array);
    let whole = io::Cursor::new(begin).chain(from);
    match object {
        Ok(object) if !has_array(&object) => lines(whole),
        _ => Box::new(Elements::new(whole, Wanted::Any(member))),
    }
}

struct Lines<R> {
    from: Option<BufReader<R>>,
    number: u64,
    line: Vec<u8>,
}

impl<R: Read> Iterator for Lines<R> {
    type Item = NumberedObject;

    fn next(&mut self) -> Option<NumberedObject> {
        loop {
            let from = self.from.as_mut()?;
            self.number += 1;
            let object = match read_line(from, &mut self.line) {
                Ok(None) => {
                    self.from = None;
                    return None;
                }
                Ok(Some(false)) => {
                    Err(ImportRowError::whole(self.number, format!("is longer than {} MiB", LINE_BYTES_MAX >> 20)))
                }
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

fn parse(text: &[u8], number: u64) -> Result<Value, ImportRowError> {
    match serde_json::from_slice(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(ImportRowError::whole(number, "is not a JSON object")),
        Err(error) if std::str::from_utf8(text).is_err() => {
            Err(ImportRowError::whole(number, format!("is not UTF-8 ({})", json::without_position(&error))))
        }
        Err(error) => Err(ImportRowError::whole(
            number,
            format!("is not JSON: {} in column {}", json::without_position(&error), error.column()),
        )),
    }
}

fn unreadable(number: u64, error: &io::Error) -> ImportRowError {
    ImportRowError::whole(number, format!("cannot be read: {error}; the rest of the file is not read"))
}

/// The largest element that is read, in bytes.
const ELEMENT_BYTES_MAX: u64 = 32 << 20;

type Json = JsonStreamReader<Bounded<Box<dyn Read + Send>>>;

/// Which objects of a JSON text to return.
enum Wanted {
    /// The elements of the array at this path of members.
    At(Vec<String>),
    /// Objects at the top, elements of arrays at the top, and elements of this member of an object at the top.
    Any(&'static str),
}

/// The position of the reader.
enum Position {
    /// Between objects and arrays.
    Top,
    /// In an array of elements.
    Array,
    /// In an object, with the members read so far. `None` once the object is known to contain the wanted array.
    Object(Option<Map<String, Value>>),
    /// After all wanted objects.
    End,
}

struct Elements {
    reader: Json,
    allowance: Allowance,
    wanted: Wanted,
    position: Position,
    /// Whether the array is a member of an object.
    inside: bool,
    /// Whether something was found at the top.
    opened: bool,
    number: u64,
}

impl Elements {
    fn new(from: impl Read + Send + 'static, wanted: Wanted) -> Self {
        let (bounded, allowance) = Bounded::new(Box::new(Unmarked::new(from)) as Box<dyn Read + Send>, ELEMENT_BYTES_MAX);
        let settings = ReaderSettings { allow_multiple_top_level: true, ..ReaderSettings::default() };
        let reader = JsonStreamReader::new_custom(bounded, settings);
        Self { reader, allowance, wanted, position: Position::Top, inside: false, opened: false, number: 0 }
    }

    /// The next element. `None` at the end.
    fn element(&mut self) -> Result<Option<Value>, ReadFault> {
        loop {
            self.allowance.renew();
            let reader = &mut self.reader;
            match &mut self.position {
                Position::End => return Ok(None),
                Position::Top => {
                    self.position = open(reader, &self.wanted, self.opened)?;
                    self.opened = true;
                }
                Position::Array if reader.has_next()? => return Ok(Some(reader.deserialize_next()?)),
                Position::Array => {
                    reader.end_array()?;
                    self.position = match self.wanted {
                        Wanted::At(_) => Position::End,
                        Wanted::Any(_) if self.inside => Position::Object(None),
                        Wanted::Any(_) => Position::Top,
                    };
                }
                Position::Object(members) if reader.has_next()? => {
                    let name = reader.next_name_owned()?;
                    let is_wanted = matches!(self.wanted, Wanted::Any(wanted) if wanted == name);
                    if is_wanted && reader.peek()? == ValueType::Array {
                        reader.begin_array()?;
                        (self.position, self.inside) = (Position::Array, true);
                    } else if let Some(members) = members {
                        members.insert(name, reader.deserialize_next()?);
                    } else {
                        reader.skip_value()?;
                    }
                }
                Position::Object(members) => {
                    reader.end_object()?;
                    let object = members.take();
                    (self.position, self.inside) = (Position::Top, false);
                    if let Some(object) = object {
                        return Ok(Some(Value::Object(object)));
                    }
                }
            }
        }
    }
}

/// Enters the next value at the top, or moves to the wanted array.
fn open(reader: &mut Json, wanted: &Wanted, opened: bool) -> Result<Position, ReadFault> {
    match wanted {
        Wanted::At(members) => {
            for member in members {
                if reader.peek()? != ValueType::Object {
                    return Err(ReadFault(format!("there is no object that could have the member {member:?}")));
                }
                reader.begin_object()?;
                seek(reader, member)?;
            }
            if reader.peek()? != ValueType::Array {
                return Err(ReadFault("there is no array of objects here".into()));
            }
            reader.begin_array()?;
            Ok(Position::Array)
        }
        Wanted::Any(_) if opened && !reader.has_next()? => Ok(Position::End),
        Wanted::Any(_) => match reader.peek()? {
            ValueType::Array => reader.begin_array().map(|()| Position::Array).map_err(ReadFault::from),
            ValueType::Object => reader.begin_object().map(|()| Position::Object(Some(Map::new()))).map_err(ReadFault::from),
            _ => Err(ReadFault("there is neither an object nor an array".into())),
        },
    }
}

/// Moves to the value of a member of the open object.
fn seek(reader: &mut Json, member: &str) -> Result<(), ReadFault> {
    while reader.has_next()? {
        if reader.next_name()? == member {
            return Ok(());
        }
        reader.skip_value()?;
    }
    Err(ReadFault(format!("there is no member {member:?}")))
}

impl Iterator for Elements {
    type Item = NumberedObject;

    fn next(&mut self) -> Option<NumberedObject> {
        let element = self.element();
        self.number += 1;
        match element {
            Ok(None) => None,
            Ok(Some(value @ Value::Object(_))) => Some((self.number, Ok(value))),
            Ok(Some(_)) => Some((self.number, Err(ImportRowError::whole(self.number, "is not a JSON object")))),
            Err(ReadFault(reason)) => {
                self.position = Position::End;
                Some((
                    self.number,
                    Err(ImportRowError::whole(self.number, format!("{reason}; the rest of the file is not read"))),
                ))
            }
        }
    }
}

/// Why nothing more can be read.
struct ReadFault(String);

impl From<ReaderError> for ReadFault {
    fn from(error: ReaderError) -> Self {
        Self(match error {
            ReaderError::SyntaxError(error) => match error.location.line_pos {
                // The reader counts lines and columns from 0.
                Some(at) => format!("is not JSON ({}) in line {}, column {}", error.kind, at.line + 1, at.column + 1),
                None => format!("is not JSON ({})", error.kind),
            },
            ReaderError::IoError { error, .. } => format!("cannot be read: {error}"),
            error => error.to_string(),
        })
    }
}

impl From<DeserializerError> for ReadFault {
    fn from(error: DeserializerError) -> Self {
        match error {
            DeserializerError::ReaderError(error) => error.into(),
            error => Self(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids of the objects, and the texts of the errors.
    fn ids(objects: ObjectIter) -> Vec<String> {
        let said = |(number, object): NumberedObject| match object {
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
            ("{}", "no array of objects"),
            ("[{\"id\":1", "IncompleteDocument"),
            ("[{]", "in line 1, column 3"),
        ] {
            let ids = ids(array(text(broken), &top));
            assert!(ids.len() == 1 && ids[0].contains(says) && ids[0].ends_with("the rest of the file is not read"), "{ids:?}");
        }
        assert!(ids(array(text("{}"), &nested))[0].contains("no member \"a\""));
        assert!(ids(array(text(r#"{"a":1}"#), &nested))[0].contains("no object that could have the member \"b\""));
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
