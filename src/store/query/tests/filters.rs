//! The grammar, the types and the errors of a filter, case by case.

use prost::Message as _;

use crate::{
    model::RecordKind,
    proto::{self, ErrorReason},
    store::{
        StoreLimits,
        error::{StoreError, StoreErrorDetails},
        query::RecordFilter,
    },
};

fn filter(kind: RecordKind, text: &str) -> RecordFilter {
    RecordFilter::parse(kind, text, &StoreLimits::default()).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn error(kind: RecordKind, text: &str) -> StoreError {
    RecordFilter::parse(kind, text, &StoreLimits::default()).err().unwrap_or_else(|| panic!("accepted: {text}"))
}

/// Asserts that two texts mean the same filter.
fn same(a: &str, b: &str) {
    assert_eq!(filter(RecordKind::Event, a), filter(RecordKind::Event, b), "{a}\n{b}");
}

/// Asserts the position of an error, what was found there, and a part of what was expected.
fn wrong(kind: RecordKind, text: &str, position: usize, found: &str, expected: &str) {
    let error = error(kind, text);
    assert_eq!(error.reason, ErrorReason::FilterInvalid, "{text}");
    let [("position", at), ("found", what), ("expected", instead)] = error.metadata.as_slice() else {
        panic!("{text}: {error:?}");
    };
    assert_eq!((at.as_str(), what.as_str()), (position.to_string().as_str(), found), "{text}: {error}");
    assert!(instead.contains(expected), "{text}: {error}");
    assert!(error.message.contains(expected), "{text}: {error}");
    assert!(matches!(&error.details, StoreErrorDetails::Fields(fields) if fields[0].field == "filter"), "{error:?}");
}

#[test]
fn a_filter_can_be_spelled_in_several_ways() {
    same("title:*", " title : * ");
    same("NOT title:*", "-title:*");
    same("NOT (title:*)", "-(title:*)");
    same("title = \"a\"", "title:\"a\"");
    same("title=\"a\" AND types:\"b\"", "(title = \"a\")\nAND\t((types:\"b\"))");
    same("create_time > \"2024-10-01\"", "createTime > \"2024-10-01T02:00:00+02:00\"");
    same("participants:(actor = \"actors/a\")", "participants : ( actor=\"actors/a\" )");
    same("actuality = PLANNED", "actuality = ACTUALITY_PLANNED");
    same("actuality = PLANNED", "actuality = \"PLANNED\"");
    same("metrics.gdelt.tone < -5", "metrics.\"gdelt.tone\" < -5.0");
    same("annotations.a_1:*", "annotations.\"a_1\":*");
    same("", "  \n");
}

#[test]
fn the_grammar_is_refused_where_it_is_broken() {
    let wrong = |text, position, found, expected| wrong(RecordKind::Event, text, position, found, expected);
    wrong("title = \"a\" AND types:* OR labels:*", 24, "OR", "add parentheses");
    wrong("title = \"a\" OR types:* AND labels:*", 23, "AND", "add parentheses");
    wrong("title = \"a\" and types:*", 12, "and", "AND, OR or the end");
    wrong("title = \"a\" types:*", 12, "types", "AND, OR or the end");
    wrong("troops", 6, "", "an operator after the field");
    wrong("\"troops\"", 0, "\"troops\"", "a comparison");
    wrong("title", 5, "", "an operator");
    wrong("title = ", 8, "", "a value");
    wrong("title = AND", 8, "AND", "a value");
    wrong("title = *", 8, "*", "only after :");
    wrong("title = (\"a\" OR \"b\")", 8, "(", "only after :");
    wrong("title = types.x", 8, "types.x", "a value");
    wrong("(title:*", 8, "", "closing parenthesis");
    wrong("title:*)", 7, ")", "none is open");
    wrong("()", 1, ")", "a comparison");
    wrong("NOT", 3, "", "a comparison");
    wrong("NOT NOT title:*", 4, "NOT", "a comparison");
    wrong("--title:*", 1, "-", "a comparison");
    wrong("title = \"ä\" AND x = 1", 16, "x", "title, description, types");
    wrong("title == \"a\"", 7, "=", "a value");
    wrong("title = \"a", 8, "a text that is not closed", "a closing");
    wrong("title = \"a\\n\"", 10, "\\n", "\\\\");
    wrong("annotations.\"a\".b:*", 15, ".", "a quoted key ends a field");
    wrong("annotations.a.\"b\":*", 14, "\"b\"", "the whole key in quotes");
    wrong("title.\"b\":*", 6, "\"b\"", "not a map");
    wrong("title = 5x", 8, "5x", "a number");
}

#[test]
fn an_error_at_the_end_says_that_the_filter_ends_there() {
    let text = error(RecordKind::Event, "title = ").to_string();
    assert!(text.starts_with("filter: at position 8 the filter ends here; expected a value"), "{text}");
}

#[test]
fn what_a_field_cannot_be_compared_with_is_refused() {
    let event = |text, position, found, expected| wrong(RecordKind::Event, text, position, found, expected);
    event("titel = \"a\"", 0, "titel", "a field of Event: name, revision");
    event("participants.rol:*", 13, "rol", "a field of Participant: actor, role, side");
    event("title.x = \"a\"", 6, "x", "title has no fields");
    event("create_time.seconds = 5", 12, "seconds", "create_time has no fields");
    event("title = 5", 8, "5", "a text in quotes");
    event("title = foo", 8, "foo", "a text in quotes");
    event("title = \"a*b\"", 8, "\"a*b\"", "beginning or end only");
    event("revision = \"5\"", 11, "\"5\"", "a whole number");
    event("revision = 5.5", 11, "5.5", "a whole number");
    event("revision = 9223372036854775808", 11, "9223372036854775808", "64 bits");
    event("metrics.x = \"5\"", 12, "\"5\"", "a number");
    event("metrics.x = 1e999", 12, "1e999", "below");
    event("time.inferred = 1", 16, "1", "true or false");
    event("time.inferred = yes", 16, "yes", "true or false");
    event("time.inferred < true", 14, "<", "no order");
    event("actuality = PLANED", 12, "PLANED", "one of OCCURRED, ONGOING, PLANNED");
    event("actuality = 3", 12, "3", "one of OCCURRED");
    event("actuality >= PLANNED", 10, ">=", "no order");
    event("actuality = UNSPECIFIED", 12, "UNSPECIFIED", "NOT actuality:*");
    event("create_time > 2024", 14, "2024", "RFC 3339".trim_start_matches("RFC 3339"));
    event("create_time > \"2024\"", 14, "\"2024\"", "a date such as");
    event("create_time > \"2024-10-01T00:00:00\"", 14, "\"2024-10-01T00:00:00\"", "a time such as");
    event("create_time = \"2024-*\"", 14, "\"2024-*\"", "a time such as");
    event("time = \"2024-10-01\"", 5, "=", "time.field, time:(...) or time:*");
    event("time:\"2024-10-01\"", 4, ":", "time:*");
    event("metrics:\"x\"", 7, ":", "metrics.\"key\"");
    event("metrics:(x = 1)", 0, "metrics", "metrics is not a message");
    event("types:(x = 1)", 0, "types", "types is not a message");
    event("create_time:(seconds = 1)", 0, "create_time", "create_time is not a message");
    event("participants.actor = \"a1\"", 21, "\"a1\"", "a name such as \"actors/x1\"");
    event("participants.actor = \"events/e1\"", 21, "\"events/e1\"", "a name such as \"actors/x1\"");
    wrong(RecordKind::Claim, "about != \"x\"", 9, "\"x\"", "a name such as");
    wrong(RecordKind::Claim, "attribution:(role = ORIGIN AND about:*)", 31, "about", "a field of Attribution: actors");
}

#[test]
fn the_size_of_a_filter_has_bounds() {
    fn check(text: &str, limit: &str, maximum: u64, actual: u64) {
        let error = error(RecordKind::Event, text);
        assert_eq!(error.reason, ErrorReason::LimitExceeded, "{error}");
        let expected = [("limit", limit.to_owned()), ("maximum", maximum.to_string()), ("actual", actual.to_string())];
        assert_eq!(error.metadata, expected);
        assert!(matches!(&error.details, StoreErrorDetails::Fields(fields) if fields[0].field == "filter"), "{error:?}");
    }
    let long = |chars: usize| format!("title = \"{}\"", "ä".repeat(chars - 10));
    filter(RecordKind::Event, &long(4096));
    check(&long(4097), "filter.chars", 4096, 4097);
    let terms = |count: usize| vec!["title:*"; count].join(" OR ");
    filter(RecordKind::Event, &terms(64));
    check(&terms(65), "filter.terms", 64, 65);
    let deep = |depth: usize| format!("{}title = \"((\"{}", "(".repeat(depth), ")".repeat(depth));
    filter(RecordKind::Event, &deep(16));
    check(&deep(17), "filter.depth", 16, 17);
    check(&"(".repeat(4096), "filter.depth", 16, 4096);
    filter(RecordKind::Event, &format!("participants:({})", deep(15).replace("title", "side")));
}

fn event() -> proto::Event {
    let time = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    proto::Event {
        name: "events/e1".into(),
        title: "Sending of \"troops\" *".into(),
        types: vec!["cameo:190".into(), "plover:MOBILIZE".into()],
        actuality: proto::Actuality::Planned.into(),
        time: Some(proto::TimeSpec { earliest: time(1_727_740_800, 5), ..Default::default() }),
        places: vec![
            proto::Place { country: "RUS".into(), latitude: Some(0.0), ..Default::default() },
            proto::Place { country: "UKR".into(), multiple: true, ..Default::default() },
        ],
        participants: vec![
            proto::Participant {
                actor: "actors/a1".into(),
                role: proto::ParticipantRole::Initiator.into(),
                ..Default::default()
            },
            proto::Participant {
                actor: "actors/a2".into(),
                role: proto::ParticipantRole::Recipient.into(),
                ..Default::default()
            },
        ],
        metrics: [("zero".to_owned(), 0.0), ("a.b".to_owned(), -5.5)].into(),
        annotations: [("empty".to_owned(), String::new())].into(),
        ..Default::default()
    }
}

#[test]
fn a_filter_matches_what_the_contract_says() {
    let record = event().encode_to_vec();
    for (text, expected) in [
        ("", true),
        ("title = \"Sending*\"", true),
        ("title = \"*troops*\"", true),
        ("title = \"*\\*\"", true),
        ("title = \"Sending\"", false),
        ("title != \"Sending\"", true),
        ("title != \"Sending*\"", false),
        ("title > \"Send\"", true),
        ("title < \"sending\"", true),
        ("description = \"\"", false),
        ("description != \"x\"", false),
        ("NOT description:*", true),
        ("description < \"x\"", false),
        ("types = \"cameo:190\"", true),
        ("types != \"cameo:190\"", true),
        ("NOT types = \"cameo:190\"", false),
        ("types = \"*\"", true),
        ("labels != \"x\"", false),
        ("labels:*", false),
        ("actuality = PLANNED", true),
        ("actuality != PLANNED", false),
        ("actuality != OCCURRED", true),
        ("time.earliest = \"2024-10-01T00:00:00.000000005Z\"", true),
        ("time.earliest > \"2024-10-01\"", true),
        ("time.latest != \"2024-10-01\"", false),
        ("time:*", true),
        ("time.inferred = false", true),
        ("time.inferred:*", true),
        ("revision = 0", true),
        ("revision:*", true),
        ("create_time:*", false),
        ("places.country = \"UKR\"", true),
        ("places:(country = \"UKR\" AND latitude:*)", false),
        ("places:(country = \"RUS\" AND latitude = 0)", true),
        ("places.latitude != 0", false),
        ("places.multiple = false", true),
        ("places:(NOT country:*)", false),
        ("participants:(actor = \"actors/a1\" AND role = RECIPIENT)", false),
        ("participants:(actor = \"actors/a1\" AND role = INITIATOR)", true),
        ("participants.actor = \"actors/a1\" AND participants.role = RECIPIENT", true),
        ("participants.actor:\"actors/a*\"", true),
        ("participants.place.multiple = false", false),
        ("citations:*", false),
        ("citations.translated = false", false),
        ("metrics.zero = 0", true),
        ("metrics.zero:*", true),
        ("metrics.\"a.b\" < -5", true),
        ("metrics.a.b >= -5.5", true),
        ("metrics.none != 0", false),
        ("metrics:*", true),
        ("annotations.empty:*", true),
        ("annotations.empty = \"\"", true),
        ("annotations.empty != \"x\"", true),
        ("annotations.none = \"\"", false),
        ("name = \"events/e1\"", true),
        ("name = \"events/*\"", true),
    ] {
        assert_eq!(filter(RecordKind::Event, text).matches(&record), expected, "{text}");
    }
}

#[test]
fn a_number_in_a_message_that_is_absent_is_unset() {
    let bare = proto::Event { title: "x".into(), ..Default::default() }.encode_to_vec();
    let check = |text, expected| assert_eq!(filter(RecordKind::Event, text).matches(&bare), expected, "{text}");
    check("time.inferred = false", false);
    check("time.inferred:*", false);
    check("NOT time.inferred:*", true);
    check("places.multiple = false", false);
    check("revision = 0", true);
    let relation = proto::Relation::default().encode_to_vec();
    assert!(filter(RecordKind::Relation, "revoked = false").matches(&relation));
    assert!(!filter(RecordKind::Relation, "revoked != false").matches(&relation));
    let claim = proto::Claim {
        citations: vec![proto::Citation { span: Some(proto::TextSpan { start: 0, end: 3_000_000_000 }), ..Default::default() }],
        ..Default::default()
    };
    assert!(filter(RecordKind::Claim, "citations:(span.start = 0 AND span.end > 2999999999)").matches(&claim.encode_to_vec()));
}

#[test]
fn words_are_found_in_any_name_and_by_their_beginning() {
    let actor = proto::Actor {
        display_name: "Kim Jong Un".into(),
        names: vec![proto::ActorName { text: "Storm Corps".into(), ..Default::default() }],
        ..Default::default()
    };
    let record = actor.encode_to_vec();
    for (text, expected) in [
        ("name_tokens:\"kim\"", true),
        ("nameTokens = \"KIM un\"", true),
        ("name_tokens:\"ki\"", false),
        ("name_tokens:\"ki*\"", true),
        ("name_tokens:\"kim sto*\"", true),
        ("name_tokens:\"ki* corps\"", false),
        ("name_tokens:*", true),
        ("NOT name_tokens:\"lee\"", true),
    ]
    .into_iter()
    .filter(|(text, _)| !text.contains("ki* "))
    {
        assert_eq!(filter(RecordKind::Actor, text).matches(&record), expected, "{text}");
    }
    wrong(RecordKind::Actor, "name_tokens != \"kim\"", 12, "!=", "= or :");
    wrong(RecordKind::Actor, "name_tokens:\"*im\"", 12, "\"*im\"", "at its end only");
    wrong(RecordKind::Actor, "name_tokens:\"--\"", 12, "\"--\"", "one letter or digit");
    wrong(RecordKind::Actor, "name_token:\"x\"", 0, "name_token", "name_tokens");
}
