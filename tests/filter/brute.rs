//! A second implementation of filters: on decoded messages, by reflection, slow.

use std::cmp::Ordering;

use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, ReflectMessage as _, Value};

use super::random::{Literal, Path, Referrers, Tree, reference_target, value_field};

/// What evaluating a filter needs besides the record.
pub struct Meaning<'m> {
    /// Every name that leads to the record with a name.
    pub names_of: &'m dyn Fn(&str) -> Vec<String>,
    /// The folded words of a text.
    pub words: &'m dyn Fn(&str) -> Vec<String>,
    /// The texts whose words the virtual field contains, by path.
    pub word_fields: &'m [&'m str],
    /// The live record that a name leads to.
    pub record_of: &'m dyn Fn(&str) -> Option<&'m DynamicMessage>,
    /// Every live record, by collection.
    pub live: &'m [(String, DynamicMessage)],
}

/// The same path in another message, if it has these fields.
fn rebased(path: &Path, message: &DynamicMessage) -> Option<Path> {
    let mut at = message.descriptor();
    let mut fields = Vec::new();
    for field in &path.fields {
        let field = at.get_field_by_name(field.name())?;
        if let prost_reflect::Kind::Message(inner) = field.kind() {
            at = inner;
        }
        fields.push(field);
    }
    Some(Path { fields, key: path.key.clone() })
}

/// Whether a record refers to another one by any of its names, in any of some fields.
fn refers(record: &DynamicMessage, fields: &[String], names: &[String]) -> bool {
    fields.iter().any(|field| texts(field, record).iter().any(|name| names.contains(name)))
}

/// Evaluates a tree whose fields are those of another type, too, if all types have them.
pub fn matches(tree: &Tree, message: &DynamicMessage, meaning: &Meaning<'_>) -> bool {
    match tree {
        Tree::Computed(_, tree) => matches(tree, message, meaning),
        Tree::Through(path, inside) => values(path, message).iter().any(|name| {
            let name = name.as_str().unwrap();
            (meaning.record_of)(name).is_some_and(|record| matches(inside, record, meaning))
        }),
        Tree::Referrers(of, inside) => {
            let name = message.get_field_by_name("name").unwrap().as_str().unwrap().to_owned();
            let merged = message.get_field_by_name("merged_names").unwrap();
            let merged = merged.as_list().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
            let names: Vec<String> = merged.chain([name]).collect();
            let all = super::random::references_to(&message.descriptor());
            meaning.live.iter().any(|(collection, record)| {
                let fields: Vec<String> = all
                    .iter()
                    .filter(|(from, field)| {
                        from == collection
                            && match of {
                                Referrers::Any => true,
                                Referrers::Of(wanted) => wanted == from,
                                Referrers::In(wanted, path) => wanted == from && path == field,
                            }
                    })
                    .map(|(_, field)| field.clone())
                    .collect();
                refers(record, &fields, &names) && matches(inside, record, meaning)
            })
        }
        Tree::Compare(path, ..) | Tree::Set(path) | Tree::Within(path, _)
            if path.fields[0].parent_message() != &message.descriptor() =>
        {
            let Some(path) = rebased(path, message) else { return false };
            let tree = match tree.clone() {
                Tree::Compare(_, operator, literal) => Tree::Compare(path, operator, literal),
                Tree::Set(_) => Tree::Set(path),
                Tree::Within(_, inside) => Tree::Within(path, inside),
                other => other,
            };
            matches(&tree, message, meaning)
        }
        Tree::All(parts) => parts.iter().all(|part| matches(part, message, meaning)),
        Tree::Any(parts) => parts.iter().any(|part| matches(part, message, meaning)),
        Tree::Not(part) => !matches(part, message, meaning),
        Tree::Set(path) if path.fields.last().unwrap().is_map() && path.key.is_none() => {
            parents(path, message).iter().any(|parent| parent.has_field(path.fields.last().unwrap()))
        }
        Tree::Set(path) => !values(path, message).is_empty(),
        Tree::Within(path, inside) => {
            values(path, message).iter().any(|value| matches(inside, value.as_message().unwrap(), meaning))
        }
        Tree::Compare(path, operator, literal) => values(path, message)
            .iter()
            .any(|value| compare(value, operator, literal, reference_target(&value_field(path)).is_some(), meaning)),
        Tree::Words(_, text) => {
            let have: Vec<String> = meaning.word_fields.iter().flat_map(|path| texts(path, message)).collect();
            let have: Vec<String> = have.iter().flat_map(|text| (meaning.words)(text)).collect();
            let wanted = (meaning.words)(text.trim_end_matches('*'));
            let last = wanted.len() - 1;
            wanted.iter().enumerate().all(|(at, word)| {
                have.iter().any(|have| if at == last && text.ends_with('*') { have.starts_with(word) } else { have == word })
            })
        }
    }
}

fn texts(path: &str, message: &DynamicMessage) -> Vec<String> {
    let (mut at, mut fields) = (message.descriptor(), Vec::new());
    for name in path.split('.') {
        let field = at.get_field_by_name(name).unwrap();
        if let prost_reflect::Kind::Message(inner) = field.kind() {
            at = inner;
        }
        fields.push(field);
    }
    values(&Path { fields, key: None }, message).iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// The messages that contain the last field of a path.
fn parents(path: &Path, message: &DynamicMessage) -> Vec<DynamicMessage> {
    let mut at = vec![message.clone()];
    for field in &path.fields[..path.fields.len() - 1] {
        at = at.iter().flat_map(|message| elements(message, field)).map(|value| value.as_message().unwrap().clone()).collect();
    }
    at
}

fn elements(message: &DynamicMessage, field: &FieldDescriptor) -> Vec<Value> {
    let value = message.get_field(field);
    match value.as_list() {
        Some(list) => list.to_vec(),
        None if field.supports_presence() && !message.has_field(field) => Vec::new(),
        None => vec![value.into_owned()],
    }
}

/// The set values of a field.
fn values(path: &Path, message: &DynamicMessage) -> Vec<Value> {
    let last = path.fields.last().unwrap();
    let parents = parents(path, message);
    if let Some(key) = &path.key {
        let key = MapKey::String(key.clone());
        return parents.iter().filter_map(|parent| parent.get_field(last).as_map().unwrap().get(&key).cloned()).collect();
    }
    let all = parents.iter().flat_map(|parent| elements(parent, last));
    all.filter(|value| match value {
        Value::String(text) => !text.is_empty(),
        Value::EnumNumber(number) => *number != 0,
        _ => true,
    })
    .collect()
}

fn compare(value: &Value, operator: &str, literal: &Literal, reference: bool, meaning: &Meaning<'_>) -> bool {
    let ordering = match (value, literal) {
        (Value::String(text), Literal::Name(name)) => {
            assert!(reference);
            let same = (meaning.names_of)(name).contains(text);
            return same != (operator == "!=");
        }
        (Value::String(text), Literal::Like(before, inner, behind)) => {
            let like = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| {
                text[at..].starts_with(inner.as_str()) && (*before || at == 0) && (*behind || at + inner.len() == text.len())
            });
            return like != (operator == "!=");
        }
        (Value::String(text), Literal::Text(literal)) => text.as_bytes().cmp(literal.as_bytes()),
        (Value::Bool(value), Literal::Bool(literal)) => value.cmp(literal),
        (Value::I64(value), Literal::Int(literal)) => value.cmp(literal),
        (Value::U32(value), Literal::Int(literal)) => i64::from(*value).cmp(literal),
        (Value::F64(value), Literal::Double(literal)) => value.partial_cmp(literal).unwrap(),
        (Value::EnumNumber(value), Literal::Enum(_, literal)) => value.cmp(literal),
        (Value::Message(time), Literal::Time(seconds, nanos, _)) => instant(time).cmp(&(*seconds, *nanos)),
        other => panic!("{other:?}"),
    };
    match operator {
        "=" | ":" => ordering == Ordering::Equal,
        "!=" => ordering != Ordering::Equal,
        "<" => ordering == Ordering::Less,
        "<=" => ordering != Ordering::Greater,
        ">" => ordering == Ordering::Greater,
        ">=" => ordering != Ordering::Less,
        other => panic!("{other}"),
    }
}

fn instant(time: &DynamicMessage) -> (i64, i32) {
    let seconds = time.get_field_by_name("seconds").unwrap().as_i64().unwrap();
    (seconds, time.get_field_by_name("nanos").unwrap().as_i32().unwrap())
}

/// Which of two records sorts first by one field. Unset sorts last in both directions.
pub fn order(path: &Path, descending: bool, a: &DynamicMessage, b: &DynamicMessage) -> Ordering {
    let (a, b) = (values(path, a).into_iter().next(), values(path, b).into_iter().next());
    let (Some(a), Some(b)) = (&a, &b) else { return a.is_none().cmp(&b.is_none()) };
    let ordering = match (a, b) {
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::I64(a), Value::I64(b)) => a.cmp(b),
        (Value::U32(a), Value::U32(b)) => a.cmp(b),
        (Value::F64(a), Value::F64(b)) => a.partial_cmp(b).unwrap(),
        (Value::EnumNumber(a), Value::EnumNumber(b)) => a.cmp(b),
        (Value::Message(a), Value::Message(b)) => instant(a).cmp(&instant(b)),
        other => panic!("{other:?}"),
    };
    if descending { ordering.reverse() } else { ordering }
}
