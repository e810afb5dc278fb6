//! Compares filters with a second, slow implementation, with another parser of the grammar, and with random text.

#![allow(missing_docs, unreachable_pub, clippy::pedantic)]

// Orders are for the test of lists, which shares it.
#[allow(dead_code)]
mod brute;
mod random;

use annals::{
    model::{RESOURCES, RecordKind, words},
    proto::ErrorReason,
    store::{StoreLimits, query::RecordFilter},
};
use brute::Meaning;
use fastrand::Rng;
use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use random::World;

/// Cases of the long comparison, distributed over the types.
const CASES: usize = 100_000;

fn names(target: &str) -> Vec<String> {
    let all = ["actors/a", "actors/b", "events/e1", "events/e2", "sources/s", "claims/c", "estimates/e"];
    let collection = format!("{}s/", target.trim_start_matches("annals/").to_lowercase());
    all.iter().filter(|name| target == "*" || name.starts_with(&collection)).map(|name| (*name).to_owned()).collect()
}

fn world(kind: RecordKind) -> World<'static> {
    World {
        names: &names,
        favourites: Vec::new(),
        words: (kind == RecordKind::Actor && has_words()).then_some("name_tokens"),
        references: 0,
        common: false,
    }
}

fn has_words() -> bool {
    RecordFilter::parse(RecordKind::Actor, "name_tokens:*", &StoreLimits::default()).is_ok()
}

fn meaning() -> Meaning<'static> {
    Meaning {
        names_of: &|name| vec![name.to_owned()],
        words: &|text| words(text),
        word_fields: &["display_name", "names.text"],
        record_of: &|_| None,
        live: &[],
    }
}

/// As the store keeps it: read and written once as typed messages.
fn stored(kind: RecordKind, message: &DynamicMessage) -> Vec<u8> {
    let resource = RESOURCES.iter().find(|resource| resource.kind == kind).unwrap();
    annals::model::encode(&(resource.decode)(&message.encode_to_vec()).unwrap())
}

#[test]
fn a_filter_means_the_same_as_in_a_second_implementation() {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let limits = StoreLimits { filter_chars: 1 << 20, filter_terms: 1 << 20, ..StoreLimits::default() };
    let (mut matched, mut evaluated) = (0u64, 0u64);
    for kind in RecordKind::ALL {
        let message = kind.descriptor();
        let world = world(kind);
        let records: Vec<_> = (0..200)
            .map(|_| {
                let made = random::message(&mut rng, message, &world);
                let bytes = stored(kind, &made);
                (DynamicMessage::decode(message.clone(), bytes.as_slice()).unwrap(), bytes)
            })
            .collect();
        for _case in 0..CASES / RecordKind::ALL.len() {
            let depth = rng.u32(..4);
            let tree = random::tree(&mut rng, message, &world, depth, true);
            let text = random::spell(&mut rng, &tree);
            let filter = RecordFilter::parse(kind, &text, &limits).unwrap_or_else(|error| panic!("{kind:?}: {text}\n{error}"));
            for _record in 0..4 {
                let (decoded, bytes) = &records[rng.usize(..records.len())];
                let expected = brute::matches(&tree, decoded, &meaning());
                evaluated += 1;
                matched += u64::from(expected);
                assert_eq!(filter.matches(bytes), expected, "SEED={seed} {kind:?}\n{text}\n{}", json(decoded));
            }
        }
    }
    println!("{matched} of {evaluated} matched");
    assert!(matched * 10 > evaluated && matched * 10 < evaluated * 9, "the cases say little: {matched} of {evaluated} matched");
}

fn json(message: &DynamicMessage) -> String {
    format!("{} {}", message.descriptor().name(), serde_json::to_string(message).unwrap())
}

/// The tree of the other parser as our tree, where the grammars overlap.
fn skeleton(expression: &aip_160::Expression) -> Option<String> {
    use aip_160::Expression;
    let all = |parts: &[Expression], join: &str| {
        let parts: Option<Vec<_>> = parts.iter().map(skeleton).collect();
        Some(format!("({})", parts?.join(join)))
    };
    match expression {
        Expression::And(parts) => all(parts, " AND "),
        Expression::Or(parts) => all(parts, " OR "),
        Expression::Not(part) => Some(format!("NOT({})", skeleton(part)?)),
        Expression::Restriction(restriction) => {
            let operator = match restriction.comparator {
                aip_160::Comparator::Equal => "=",
                aip_160::Comparator::NotEqual => "!=",
                aip_160::Comparator::LessThan => "<",
                aip_160::Comparator::LessThanOrEqual => "<=",
                aip_160::Comparator::GreaterThan => ">",
                aip_160::Comparator::GreaterThanOrEqual => ">=",
                aip_160::Comparator::Has => ":",
            };
            Some(format!("{}{operator}", restriction.comparable.field_path()?))
        }
        Expression::Sequence(_) | Expression::Global(_) => None,
    }
}

fn our_skeleton(tree: &random::Tree) -> String {
    use random::Tree;
    let all = |parts: &[Tree], join: &str| format!("({})", parts.iter().map(our_skeleton).collect::<Vec<_>>().join(join));
    match tree {
        Tree::All(parts) => all(parts, " AND "),
        Tree::Any(parts) => all(parts, " OR "),
        Tree::Not(part) => format!("NOT({})", our_skeleton(part)),
        Tree::Compare(path, operator, _) => {
            let names: Vec<_> = path.fields.iter().map(|field| field.name()).chain(path.key.as_deref()).collect();
            format!("{}{operator}", names.join("."))
        }
        other => panic!("{other:?}"),
    }
}

/// Only what both grammars have: no `field:(...)`, no `:*`, no virtual field of words.
fn common(tree: &random::Tree) -> bool {
    use random::Tree;
    match tree {
        Tree::All(parts) | Tree::Any(parts) => parts.iter().all(common),
        Tree::Not(part) => common(part),
        Tree::Compare(path, ..) => path.key.is_none(),
        _ => false,
    }
}

#[test]
fn another_parser_of_the_grammar_reads_the_same_tree() {
    let seed = fastrand::u64(..);
    let mut rng = Rng::with_seed(seed);
    let mut compared = 0;
    let snake = |text: String| {
        text.chars().fold(String::new(), |mut snake, letter| {
            if letter.is_ascii_uppercase()
                && !snake.ends_with(|c: char| c.is_uppercase() || " ()".contains(c))
                && !snake.is_empty()
            {
                snake.push('_');
                snake.push(letter.to_ascii_lowercase());
            } else {
                snake.push(letter);
            }
            snake
        })
    };
    while compared < 2_000 {
        let kind = RecordKind::ALL[rng.usize(..6)];
        let depth = rng.u32(..4);
        let tree = random::tree(&mut rng, kind.descriptor(), &world(kind), depth, true);
        let text = random::spell(&mut rng, &tree);
        if !common(&tree) || RecordFilter::parse(kind, &text, &StoreLimits::default()).is_err() {
            continue;
        }
        let other = aip_160::parse_filter(&text).unwrap_or_else(|error| panic!("SEED={seed} {text}\n{error:?}"));
        let Some(skeleton) = other.expression.as_ref().and_then(skeleton) else { panic!("SEED={seed} {text}\n{other:?}") };
        assert_eq!(snake(skeleton), our_skeleton(&tree), "SEED={seed} {text}");
        compared += 1;
    }
}

/// Filters written by hand that both parsers must refuse, or must read in the same way.
#[test]
fn what_another_parser_refuses_is_refused() {
    for text in ["(", ")", "a =", "= 1", "a = 1 AND", "OR a = 1", "NOT", "a = \"x", "a = 1 AND OR b = 2", "a..b = 1", "a = (1"]
    {
        assert!(aip_160::parse_filter(text).is_err(), "{text}");
        assert!(RecordFilter::parse(RecordKind::Event, text, &StoreLimits::default()).is_err(), "{text}");
    }
}

/// Any text is either a filter or an error with a position in the text. There is never a panic or an overflow.
fn survives(kind: RecordKind, text: &str) {
    let limits = StoreLimits::default();
    match RecordFilter::parse(kind, text, &limits) {
        Ok(filter) => {
            let _matched = filter.matches(b"\x82\x01\x03abc");
            let _matched = filter.matches(text.as_bytes());
        }
        Err(error) if error.reason == ErrorReason::FilterInvalid => {
            let keys: Vec<_> = error.metadata.iter().map(|(key, _)| *key).collect();
            assert_eq!(keys, ["position", "found", "expected"], "{text}");
            let position: usize = error.metadata[0].1.parse().unwrap();
            assert!(position <= text.chars().count(), "{text}: {error}");
        }
        Err(error) => assert_eq!(error.reason, ErrorReason::LimitExceeded, "{text}: {error}"),
    }
}

#[test]
fn no_noise_makes_the_parser_panic() {
    let seed = fastrand::u64(..);
    println!("SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let words = [
        "AND",
        "OR",
        "NOT",
        "-",
        "(",
        ")",
        ":",
        "=",
        "!=",
        "<",
        ">=",
        "\"",
        "\\",
        "*",
        "title",
        "time.earliest",
        "types",
        ".",
        "metrics.\"a\"",
        "participants",
        "actor",
        "\"actors/a\"",
        "true",
        "5",
        "-1e3",
        " ",
        "\n",
        ",",
        "é",
        "\u{0}",
        "'",
        "desc",
    ];
    for _case in 0..60_000 {
        let text: String = (0..rng.usize(..12)).map(|_| words[rng.usize(..words.len())]).collect();
        survives(RecordKind::Event, &text);
    }
    for _case in 0..60_000 {
        let kind = RecordKind::ALL[rng.usize(..6)];
        let depth = rng.u32(..3);
        let tree = random::tree(&mut rng, kind.descriptor(), &world(kind), depth, true);
        let mut letters: Vec<char> = random::spell(&mut rng, &tree).chars().collect();
        for _change in 0..rng.usize(1..4) {
            let at = rng.usize(..letters.len().max(1)).min(letters.len());
            match rng.u32(..3) {
                0 if at < letters.len() => drop(letters.remove(at)),
                1 => letters.insert(at, rng.char(..)),
                _ => letters.truncate(at),
            }
        }
        survives(kind, &letters.into_iter().collect::<String>());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 20_000, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_text_is_a_filter_or_an_error(text in ".{0,64}") {
        survives(RecordKind::Claim, &text);
    }
}

#[test]
fn parentheses_without_end_are_a_limit_and_not_an_overflow() {
    for text in [
        "(".repeat(4096),
        format!("{}a=1", "(".repeat(4000)),
        "-(".repeat(2000),
        "participants:(".repeat(290),
        "NOT ".repeat(1000),
    ] {
        survives(RecordKind::Event, &text);
        let _unlimited =
            RecordFilter::parse(RecordKind::Event, &text, &StoreLimits { filter_depth: 4096, ..StoreLimits::default() });
    }
}
