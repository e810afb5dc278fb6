//! Random records, filters and orders over any message of the contract. Values come from small pools, so that they often match.
//!
//! Knows descriptors only. It uses nothing of the crate's own parser or evaluation.

use fastrand::Rng;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

/// A filter in the form that the test uses.
#[derive(Clone, Debug)]
pub enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
    Compare(Path, &'static str, Literal),
    Set(Path),
    Within(Path, Box<Tree>),
    /// A virtual field of words.
    Words(String, String),
    /// Some record that the field refers to satisfies the tree.
    Through(Path, Box<Tree>),
    /// Some record that refers to this one satisfies the tree.
    Referrers(Referrers, Box<Tree>),
    /// A computed field, as it is spelled, and what it means.
    Computed(String, Box<Tree>),
}

/// Which records refer to a record.
#[derive(Clone, Debug)]
pub enum Referrers {
    /// Those of any collection.
    Any,
    /// Those of one collection.
    Of(String),
    /// Those of one collection, in one field.
    In(String, String),
}

/// Fields from the outermost to the innermost, and the key of a map.
#[derive(Clone, Debug)]
pub struct Path {
    pub fields: Vec<FieldDescriptor>,
    pub key: Option<String>,
}

/// The value to compare with.
#[derive(Clone, Debug)]
pub enum Literal {
    Text(String),
    /// A star before, the text, a star after.
    Like(bool, String, bool),
    /// The name of a record in a field that refers to records.
    Name(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// The name of the enum value, and its number.
    Enum(String, i32),
    /// Seconds and nanoseconds, and their text.
    Time(i64, i32, &'static str),
}

pub const TIMES: [(i64, i32, &str); 7] = [
    (-1, 500_000_000, "1969-12-31T23:59:59.5Z"),
    (0, 0, "1970-01-01"),
    (0, 1, "1970-01-01T00:00:00.000000001Z"),
    (1_727_740_800, 0, "2024-10-01"),
    (1_727_740_800, 5, "2024-10-01T02:00:00.000000005+02:00"),
    (1_730_000_000, 0, "2024-10-27T03:33:20Z"),
    (-62_135_596_800, 0, "0001-01-01"),
];
const TEXTS: [&str; 9] = ["a", "ab", "abc", "b", "a*b", "say \"ä\"", "back\\slash", "Kim Jong", "zz"];
const DOUBLES: [f64; 7] = [-1.5, 0.0, -0.0, 1.0, 2.5, 1e300, 1e-7];
const KEYS: [&str; 3] = ["k", "a.b", "x-y/z"];

/// What the generator knows about a type.
pub struct World<'w> {
    /// Names that a reference field can contain, given the full name of its target type, or "*".
    pub names: &'w dyn Fn(&str) -> Vec<String>,
    /// Paths that are used more often than others.
    pub favourites: Vec<&'static str>,
    /// A virtual field of words.
    pub words: Option<&'static str>,
    /// How many references a path may go on through.
    pub references: u32,
    /// Whether only fields that every type has are used.
    pub common: bool,
}

impl World<'_> {
    /// The world of the records behind a reference.
    fn behind(&self, common: bool) -> World<'_> {
        World { names: self.names, favourites: Vec::new(), words: None, references: self.references - 1, common }
    }
}

/// The number of the last field that every type has.
pub const COMMON_FIELDS: u32 = 11;

/// The types of record, by collection.
fn types(of: &MessageDescriptor) -> Vec<(String, MessageDescriptor)> {
    let all = ["Actor", "Claim", "Estimate", "Event", "Relation", "Source"];
    let message = |name: &str| of.parent_pool().get_message_by_name(&format!("annals.v1.{name}")).unwrap();
    all.iter().map(|name| (format!("{}s", name.to_lowercase()), message(name))).collect()
}

/// Every field of a message that refers to records of a type: its path in dots, by collection of the referrer.
pub fn references_to(of: &MessageDescriptor) -> Vec<(String, String)> {
    let target = format!("annals/{}", of.name());
    let mut found = Vec::new();
    for (collection, message) in types(of) {
        collect_references(&message, &mut Vec::new(), &mut |path, field| {
            if reference_target(field).is_some_and(|to| to == "*" || to == target) {
                found.push((collection.clone(), path.join(".")));
            }
        });
    }
    found
}

fn collect_references(of: &MessageDescriptor, above: &mut Vec<String>, visit: &mut dyn FnMut(&[String], &FieldDescriptor)) {
    for field in of.fields() {
        above.push(field.name().to_owned());
        if reference_target(&field).is_some() {
            visit(above, &field);
        } else if let Kind::Message(inner) = field.kind()
            && !field.is_map()
            && !is_time(&inner)
        {
            collect_references(&inner, above, visit);
        }
        above.pop();
    }
}

/// `speakers`, and the paths that it stands for.
pub fn speakers(rng: &mut Rng, of: &MessageDescriptor, world: &World<'_>) -> Option<Tree> {
    let path = |of: &MessageDescriptor, names: &[&str]| {
        let mut at = of.clone();
        let mut fields = Vec::new();
        for name in names {
            let field = at.get_field_by_name(name)?;
            if let Kind::Message(inner) = field.kind() {
                at = inner;
            }
            fields.push(field);
        }
        Some(Path { fields, key: None })
    };
    let name = one(rng, &(world.names)("annals/Actor")).clone();
    let operator = *one(rng, &["=", "!="]);
    let said = |of| Some(Tree::Compare(path(of, &["attribution", "actors"])?, operator, Literal::Name(name.clone())));
    let meaning = match of.name() {
        "Claim" => said(of)?,
        "Estimate" => {
            let claim = of.parent_pool().get_message_by_name("annals.v1.Claim")?;
            Tree::Any(vec![said(of)?, Tree::Through(path(of, &["claim"])?, Box::new(said(&claim)?))])
        }
        _ => return None,
    };
    Some(Tree::Computed(format!("speakers {operator} \"{name}\""), Box::new(meaning)))
}

/// A filter on the records that this one refers to, or that refer to it.
fn joined(rng: &mut Rng, of: &MessageDescriptor, world: &World<'_>, depth: u32, top: bool) -> Option<Tree> {
    if top && rng.u32(..8) == 0 {
        return speakers(rng, of, world);
    }
    if top && rng.u32(..3) == 0 {
        let all = references_to(of);
        if all.is_empty() {
            return None;
        }
        let (collection, field) = one(rng, &all).clone();
        let referrers = match rng.u32(..4) {
            0 => Referrers::Any,
            1 => Referrers::In(collection.clone(), field),
            _ => Referrers::Of(collection.clone()),
        };
        let message = types(of).into_iter().find(|(name, _)| *name == collection)?.1;
        let world = world.behind(matches!(referrers, Referrers::Any));
        let inside = if rng.u32(..6) == 0 { Tree::All(Vec::new()) } else { tree(rng, &message, &world, depth, true) };
        return Some(Tree::Referrers(referrers, Box::new(inside)));
    }
    let path = path(rng, of, world, top, &mut |field| reference_target(field).is_some())?;
    let target = reference_target(path.fields.last()?)?;
    let (message, common) = match target.strip_prefix("annals/") {
        Some(name) => (of.parent_pool().get_message_by_name(&format!("annals.v1.{name}"))?, false),
        None => (types(of).into_iter().next()?.1, true),
    };
    let inside = tree(rng, &message, &world.behind(common), depth, true);
    Some(Tree::Through(path, Box::new(inside)))
}

/// The target type of a reference field, by its annotation.
pub fn reference_target(field: &FieldDescriptor) -> Option<String> {
    let pool = field.parent_pool();
    let extension = pool.get_extension_by_name("google.api.resource_reference")?;
    let options = field.options();
    options.has_extension(&extension).then(|| {
        let reference = options.get_extension(&extension);
        reference.as_message().unwrap().get_field_by_name("type").unwrap().as_str().unwrap().to_owned()
    })
}

fn is_time(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.protobuf.Timestamp"
}

fn one<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(..of.len())]
}

/// A record with some fields set, on every level, including names and times that the contract would refuse.
pub fn message(rng: &mut Rng, of: &MessageDescriptor, world: &World<'_>) -> DynamicMessage {
    let mut made = DynamicMessage::new(of.clone());
    if is_time(of) {
        let (seconds, nanos, _) = *one(rng, &TIMES);
        made.set_field_by_name("seconds", Value::I64(seconds));
        made.set_field_by_name("nanos", Value::I32(nanos));
        return made;
    }
    let likely = rng.u32(1..=4);
    for field in of.fields() {
        if rng.u32(..5) >= likely {
            continue;
        }
        let value = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { unreachable!() };
            let of_value = entry.map_entry_value_field();
            let keys: Vec<_> = KEYS.iter().filter(|_| rng.bool()).collect();
            Value::Map(keys.into_iter().map(|key| (MapKey::String((*key).into()), scalar(rng, &of_value, world))).collect())
        } else if field.is_list() {
            Value::List((0..rng.usize(..4)).map(|_| scalar(rng, &field, world)).collect())
        } else {
            scalar(rng, &field, world)
        };
        made.set_field(&field, value);
    }
    made
}

fn scalar(rng: &mut Rng, field: &FieldDescriptor, world: &World<'_>) -> Value {
    match field.kind() {
        Kind::Bool => Value::Bool(rng.bool()),
        Kind::Double => Value::F64(*one(rng, &DOUBLES)),
        Kind::Int64 => Value::I64(*one(rng, &[0, 1, 7, -3, i64::MAX])),
        Kind::Uint32 => Value::U32(*one(rng, &[0, 1, 7, u32::MAX])),
        Kind::Enum(values) => {
            Value::EnumNumber(values.values().nth(rng.usize(..values.values().len().min(4))).unwrap().number())
        }
        Kind::Message(inner) => Value::Message(message(rng, &inner, world)),
        Kind::String => Value::String(match reference_target(field) {
            Some(target) if rng.u32(..8) > 0 => one(rng, &(world.names)(&target)).clone(),
            Some(_) => String::new(),
            None if rng.u32(..8) > 0 => (*one(rng, &TEXTS)).to_owned(),
            None => String::new(),
        }),
        other => panic!("{other:?}"),
    }
}

/// A filter on messages of a type, with `depth` more levels of operators.
pub fn tree(rng: &mut Rng, of: &MessageDescriptor, world: &World<'_>, depth: u32, top: bool) -> Tree {
    if world.references > 0
        && !world.common
        && rng.u32(..3) == 0
        && let Some(joined) = joined(rng, of, world, depth.saturating_sub(1), top)
    {
        return joined;
    }
    match rng.u32(..if depth > 0 { 10 } else { 4 }) {
        0..=3 => leaf(rng, of, world, top),
        4..=5 => Tree::All((0..rng.usize(2..=3)).map(|_| tree(rng, of, world, depth - 1, top)).collect()),
        6..=7 => Tree::Any((0..rng.usize(2..=3)).map(|_| tree(rng, of, world, depth - 1, top)).collect()),
        8 => Tree::Not(Box::new(tree(rng, of, world, depth - 1, top))),
        _ => {
            let path = path(
                rng,
                of,
                world,
                top,
                &mut |field| matches!(field.kind(), Kind::Message(m) if !field.is_map() && !is_time(&m)),
            );
            match path {
                Some(path) => {
                    let Kind::Message(inner) = path.fields.last().unwrap().kind() else { unreachable!() };
                    let inside = tree(rng, &inner, world, depth - 1, false);
                    Tree::Within(path, Box::new(inside))
                }
                None => leaf(rng, of, world, top),
            }
        }
    }
}

fn leaf(rng: &mut Rng, of: &MessageDescriptor, world: &World<'_>, top: bool) -> Tree {
    if let Some(words) = world.words.filter(|_| top && rng.u32(..8) == 0) {
        let text = (*one(rng, &["kim", "Kim jong", "AB", "a*", "jong ki*", "slash", "ä", "none"])).to_owned();
        return Tree::Words(words.to_owned(), text);
    }
    let path = path(rng, of, world, top, &mut |_| true).unwrap();
    let field = value_field(&path);
    let map = path.fields.last().unwrap().is_map();
    let message = matches!(field.kind(), Kind::Message(inner) if !is_time(&inner));
    if map && path.key.is_none() || message || rng.u32(..8) == 0 {
        return Tree::Set(path);
    }
    const ALL: [&str; 8] = ["=", "=", ":", "!=", "<", "<=", ">", ">="];
    let (operator, literal) = match field.kind() {
        Kind::Bool => (*one(rng, &ALL[..4]), Literal::Bool(rng.bool())),
        Kind::Double => (*one(rng, &ALL), Literal::Double(*one(rng, &DOUBLES))),
        Kind::Int64 | Kind::Uint32 => (*one(rng, &ALL), Literal::Int(*one(rng, &[0, 1, 7, -3, i64::from(u32::MAX), i64::MAX]))),
        Kind::Message(_) => {
            let (seconds, nanos, text) = *one(rng, &TIMES);
            (*one(rng, &ALL), Literal::Time(seconds, nanos, text))
        }
        Kind::Enum(values) => {
            let value = values.values().nth(rng.usize(1..values.values().len().min(4))).unwrap();
            (*one(rng, &ALL[..4]), Literal::Enum(value.name().to_owned(), value.number()))
        }
        _ => match reference_target(&field) {
            Some(target) if !map => (*one(rng, &ALL[..4]), Literal::Name(one(rng, &(world.names)(&target)).clone())),
            _ => match rng.u32(..10) {
                0 => (*one(rng, &ALL), Literal::Text(String::new())),
                1..=6 => (*one(rng, &ALL), Literal::Text((*one(rng, &TEXTS)).to_owned())),
                _ => (
                    *one(rng, &ALL[..4]),
                    Literal::Like(rng.bool(), (*one(rng, &["", "a", "b", "a*", "lash", "\"", "ä"])).to_owned(), rng.bool()),
                ),
            },
        },
    };
    let literal = match literal {
        Literal::Like(false, text, false) => Literal::Text(text),
        literal => literal,
    };
    Tree::Compare(path, operator, literal)
}

/// The field that holds the values of a path. For a map: the field of the entry's value.
pub fn value_field(path: &Path) -> FieldDescriptor {
    let last = path.fields.last().unwrap();
    match last.kind() {
        Kind::Message(entry) if last.is_map() => entry.map_entry_value_field(),
        _ => last.clone(),
    }
}

fn path(
    rng: &mut Rng,
    of: &MessageDescriptor,
    world: &World<'_>,
    top: bool,
    ends: &mut dyn FnMut(&FieldDescriptor) -> bool,
) -> Option<Path> {
    if top && !world.favourites.is_empty() && rng.bool() {
        let favourite = one(rng, &world.favourites);
        let (mut at, mut fields) = (of.clone(), Vec::new());
        for name in favourite.split('.') {
            let field = at.get_field_by_name(name).unwrap();
            if let Kind::Message(inner) = field.kind() {
                at = inner;
            }
            fields.push(field);
        }
        if ends(fields.last().unwrap()) {
            return Some(Path { fields, key: None });
        }
    }
    for _attempt in 0..20 {
        let (mut at, mut fields) = (of.clone(), Vec::new());
        loop {
            let usable = |field: &FieldDescriptor| !(world.common && fields.is_empty()) || field.number() <= COMMON_FIELDS;
            let all: Vec<_> = at.fields().filter(usable).collect();
            let field = one(rng, &all).clone();
            fields.push(field.clone());
            match field.kind() {
                Kind::Message(inner) if !field.is_map() && !is_time(&inner) && (rng.u32(..4) > 0 || !ends(&field)) => {
                    at = inner
                }
                _ => break,
            }
        }
        if ends(fields.last().unwrap()) {
            let map = fields.last().unwrap().is_map();
            let key = (map && rng.u32(..4) > 0).then(|| (*one(rng, &KEYS)).to_owned());
            return Some(Path { fields, key });
        }
    }
    None
}

/// The text of a filter, in one of its possible spellings.
pub fn spell(rng: &mut Rng, tree: &Tree) -> String {
    match tree {
        Tree::All(parts) | Tree::Any(parts) => {
            let join = if matches!(tree, Tree::All(_)) { " AND " } else { "  OR\n" };
            let parts: Vec<_> = parts.iter().map(|part| grouped(rng, part)).collect();
            parts.join(join)
        }
        Tree::Not(part) => format!("{}{}", if rng.bool() { "NOT " } else { "-" }, grouped(rng, part)),
        Tree::Set(path) => format!("{}:*", spell_path(rng, path)),
        Tree::Within(path, inside) => format!("{}:({})", spell_path(rng, path), spell(rng, inside)),
        Tree::Words(field, text) => format!("{field}:\"{text}\""),
        Tree::Computed(text, _) => text.clone(),
        Tree::Through(path, inside) => {
            let path = spell_path(rng, path);
            behind(rng, &path, inside, true)
        }
        Tree::Referrers(of, inside) => match of {
            Referrers::Any => behind(rng, "referrers", inside, false),
            Referrers::Of(collection) => behind(rng, &format!("referrers.{collection}"), inside, true),
            Referrers::In(collection, field) => behind(rng, &format!("referrers.\"{collection}.{field}\""), inside, false),
        },
        Tree::Compare(path, operator, literal) => {
            let space = *one(rng, &["", " "]);
            format!("{}{space}{operator}{space}{}", spell_path(rng, path), spell_literal(rng, operator, literal))
        }
    }
}

/// A tree on other records: in parentheses, or as one longer path where that means the same.
fn behind(rng: &mut Rng, path: &str, inside: &Tree, dotted: bool) -> String {
    let text = match inside {
        Tree::All(parts) if parts.is_empty() => return format!("{path}:*"),
        inside => spell(rng, inside),
    };
    let begins_with_a_path = matches!(inside, Tree::Compare(..) | Tree::Set(_) | Tree::Within(..) | Tree::Through(..));
    if dotted && begins_with_a_path && rng.bool() { format!("{path}.{text}") } else { format!("{path}:({text})") }
}

fn grouped(rng: &mut Rng, tree: &Tree) -> String {
    let text = spell(rng, tree);
    let must = matches!(tree, Tree::All(_) | Tree::Any(_) | Tree::Not(_));
    if must || rng.u32(..6) == 0 { format!("({text})") } else { text }
}

fn spell_path(rng: &mut Rng, path: &Path) -> String {
    let json = rng.u32(..4) == 0;
    let names: Vec<_> =
        path.fields.iter().map(|field| if json { field.json_name() } else { field.name() }.to_owned()).collect();
    match &path.key {
        None => names.join("."),
        Some(key) if key.contains(['-', '/']) || rng.bool() => format!("{}.\"{key}\"", names.join(".")),
        Some(key) => format!("{}.{key}", names.join(".")),
    }
}

fn spell_literal(rng: &mut Rng, operator: &str, literal: &Literal) -> String {
    let stars = matches!(operator, "=" | ":" | "!=");
    let quoted = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        if stars { text.replace('*', "\\*") } else { text }
    };
    match literal {
        Literal::Text(text) | Literal::Name(text) => format!("\"{}\"", quoted(text)),
        Literal::Like(before, text, behind) => {
            format!("\"{}{}{}\"", if *before { "*" } else { "" }, quoted(text), if *behind { "*" } else { "" })
        }
        Literal::Bool(value) => value.to_string(),
        Literal::Int(value) => value.to_string(),
        Literal::Double(value) if rng.bool() => format!("{value:e}"),
        Literal::Double(value) => value.to_string(),
        Literal::Time(_, _, text) => format!("\"{text}\""),
        Literal::Enum(name, _) => {
            // "CLAIM_KIND_FACT", or the part after the name of the type.
            let short = ["CLAIM_KIND_", "POLARITY_", "ACTUALITY_", "RELATION_KIND_"].iter().find_map(|p| name.strip_prefix(p));
            short.filter(|_| rng.bool()).unwrap_or(name).to_owned()
        }
    }
}
