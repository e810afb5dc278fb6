//! The objects of JSON texts that are read piece by piece: elements of arrays, and what stands at the top.
//!
//! Knows JSON. Must not know what an object means.

use std::io::Read;

use serde_json::{Map, Value};
use struson::{
    reader::{JsonReader, JsonStreamReader, ReaderError, ReaderSettings, ValueType},
    serde::DeserializerError,
};

use super::{
    BadRow,
    bounded::{Allowance, Bounded},
    objects::Numbered,
    unmarked::Unmarked,
};

/// Bytes of one element that are read.
const ELEMENT_BYTES_MAX: u64 = 32 << 20;

type Json = JsonStreamReader<Bounded<Box<dyn Read + Send>>>;

/// Which objects of a JSON text are elements.
pub(super) enum Wanted {
    /// Those of the array to which these members lead.
    At(Vec<String>),
    /// Those at the top, of arrays at the top, and of this member of an object at the top.
    Any(&'static str),
}

/// Where the reader stands.
enum Place {
    /// Between objects and arrays.
    Top,
    /// In an array of elements.
    Array,
    /// In an object, with the members that were read of it: none from where they are seen to be elements.
    Object(Option<Map<String, Value>>),
    /// Behind all that is wanted.
    End,
}

pub(super) struct Elements {
    reader: Json,
    allowance: Allowance,
    wanted: Wanted,
    place: Place,
    /// The array that is read is the member of an object.
    inside: bool,
    /// Something stood at the top.
    opened: bool,
    number: u64,
}

impl Elements {
    pub(super) fn new(from: impl Read + Send + 'static, wanted: Wanted) -> Self {
        let (bounded, allowance) = Bounded::new(Box::new(Unmarked::new(from)) as Box<dyn Read + Send>, ELEMENT_BYTES_MAX);
        let settings = ReaderSettings { allow_multiple_top_level: true, ..ReaderSettings::default() };
        let reader = JsonStreamReader::new_custom(bounded, settings);
        Self { reader, allowance, wanted, place: Place::Top, inside: false, opened: false, number: 0 }
    }

    /// The next element, if there is one; or why nothing more can be read.
    fn element(&mut self) -> Result<Option<Value>, Fault> {
        loop {
            self.allowance.renew();
            let reader = &mut self.reader;
            match &mut self.place {
                Place::End => return Ok(None),
                Place::Top => {
                    self.place = open(reader, &self.wanted, self.opened)?;
                    self.opened = true;
                }
                Place::Array if reader.has_next()? => return Ok(Some(reader.deserialize_next()?)),
                Place::Array => {
                    reader.end_array()?;
                    self.place = match self.wanted {
                        Wanted::At(_) => Place::End,
                        Wanted::Any(_) if self.inside => Place::Object(None),
                        Wanted::Any(_) => Place::Top,
                    };
                }
                Place::Object(members) if reader.has_next()? => {
                    let name = reader.next_name_owned()?;
                    let is_wanted = matches!(self.wanted, Wanted::Any(wanted) if wanted == name);
                    if is_wanted && reader.peek()? == ValueType::Array {
                        reader.begin_array()?;
                        (self.place, self.inside) = (Place::Array, true);
                    } else if let Some(members) = members {
                        members.insert(name, reader.deserialize_next()?);
                    } else {
                        reader.skip_value()?;
                    }
                }
                Place::Object(members) => {
                    reader.end_object()?;
                    let object = members.take();
                    (self.place, self.inside) = (Place::Top, false);
                    if let Some(object) = object {
                        return Ok(Some(Value::Object(object)));
                    }
                }
            }
        }
    }
}

/// Goes into what stands next at the top, or to the array that is wanted.
fn open(reader: &mut Json, wanted: &Wanted, opened: bool) -> Result<Place, Fault> {
    match wanted {
        Wanted::At(members) => {
            for member in members {
                if reader.peek()? != ValueType::Object {
                    return Err(Fault(format!("there is no object in which to look for {member:?}")));
                }
                reader.begin_object()?;
                seek(reader, member)?;
            }
            if reader.peek()? != ValueType::Array {
                return Err(Fault("the objects do not stand in an array here".into()));
            }
            reader.begin_array()?;
            Ok(Place::Array)
        }
        Wanted::Any(_) if opened && !reader.has_next()? => Ok(Place::End),
        Wanted::Any(_) => match reader.peek()? {
            ValueType::Array => reader.begin_array().map(|()| Place::Array).map_err(Fault::from),
            ValueType::Object => reader.begin_object().map(|()| Place::Object(Some(Map::new()))).map_err(Fault::from),
            _ => Err(Fault("there is neither an object nor an array".into())),
        },
    }
}

/// Goes to the value of a member of the object that is open.
fn seek(reader: &mut Json, member: &str) -> Result<(), Fault> {
    while reader.has_next()? {
        if reader.next_name()? == member {
            return Ok(());
        }
        reader.skip_value()?;
    }
    Err(Fault(format!("there is no member {member:?}")))
}

impl Iterator for Elements {
    type Item = Numbered;

    fn next(&mut self) -> Option<Numbered> {
        let element = self.element();
        self.number += 1;
        match element {
            Ok(None) => None,
            Ok(Some(value @ Value::Object(_))) => Some((self.number, Ok(value))),
            Ok(Some(_)) => Some((self.number, Err(BadRow::whole(self.number, "is not a JSON object")))),
            Err(Fault(reason)) => {
                self.place = Place::End;
                Some((self.number, Err(BadRow::whole(self.number, format!("{reason}; the rest of the file is not read")))))
            }
        }
    }
}

/// Why nothing more can be read.
struct Fault(String);

impl From<ReaderError> for Fault {
    fn from(error: ReaderError) -> Self {
        Self(match error {
            ReaderError::SyntaxError(error) => match error.location.line_pos {
                // Counted from 0 there.
                Some(at) => format!("is not JSON ({}) in line {}, column {}", error.kind, at.line + 1, at.column + 1),
                None => format!("is not JSON ({})", error.kind),
            },
            ReaderError::IoError { error, .. } => format!("cannot be read: {error}"),
            error => error.to_string(),
        })
    }
}

impl From<DeserializerError> for Fault {
    fn from(error: DeserializerError) -> Self {
        match error {
            DeserializerError::ReaderError(error) => error.into(),
            error => Self(error.to_string()),
        }
    }
}
