//! Series by mappings: the two shipped mappings with their data, and what a mapping may and may not contain.

use annals::{
    formats::{
        import::{ImportRow, ImportRowError},
        series::{self, MAPPING_KEYS, SeriesMapping},
    },
    proto::{Actor, Approximation, Estimate, EstimateMode, Quantity, Source},
    store::Store,
};
use proptest::prelude::*;

use super::support::{Imported, data, import, list, text};

const UKRAINE: &str = "examples/mappings/ukraine-personnel.toml";
const FLUSIGHT: &str = "examples/mappings/flusight.toml";

fn mapping(path: &str) -> SeriesMapping {
    SeriesMapping::parse(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn ukraine() -> series::SeriesMapping {
    mapping(UKRAINE)
}

fn personnel() -> Vec<u8> {
    data("ukraine/personnel.json.gz")
}

fn forecasts() -> Vec<u8> {
    data("forecasts/flusight_2022-12-12_psi-dice.csv.gz")
}

fn rows(mapping: SeriesMapping, content: impl AsRef<[u8]>) -> Vec<Result<ImportRow, ImportRowError>> {
    series::rows(mapping, std::io::Cursor::new(content.as_ref().to_vec())).collect()
}

fn import_bytes(store: &Store, mapping: SeriesMapping, content: impl AsRef<[u8]>) -> Imported {
    import(store, series::rows(mapping, std::io::Cursor::new(content.as_ref().to_vec())))
}

fn quantity(estimate: &Estimate) -> &Quantity {
    estimate.quantity.as_ref().expect("a quantity")
}

#[test]
fn the_losses_come_in_as_1626_points_with_about_and_more_as_what_they_mean() {
    let store = Store::in_memory().unwrap();
    let imported = import_bytes(&store, ukraine(), personnel());
    assert_eq!((imported.rows, imported.bad.as_slice()), (1626, &[][..]));
    let points: Vec<Estimate> = list(&store, "estimand.measure = \"measure:personnel_losses\"");
    assert_eq!(points.len(), 1626);
    let (about, more): (Vec<_>, Vec<_>) = points.iter().partition(|point| quantity(point).best.is_some());
    assert_eq!((about.len(), more.len()), (1620, 6));
    assert!(
        about.iter().all(|point| quantity(point).approximation() == Approximation::About && quantity(point).lower.is_none())
    );
    assert!(
        more.iter()
            .all(|point| quantity(point).lower_exclusive && quantity(point).approximation() == Approximation::Unspecified)
    );
    let prisoners: Vec<Estimate> = list(&store, "estimand.measure = \"measure:prisoners_of_war\"");
    assert_eq!(prisoners.len(), 62);
    assert_eq!((list::<Actor>(&store, "").len(), list::<Source>(&store, "").len()), (2, 1));

    let first = store.get::<Estimate>("estimates/ukraine-war-personnel-2022-03-07").unwrap();
    assert_eq!((quantity(&first).best, quantity(&first).lower), (None, Some(11000.0)));
    assert_eq!(first.as_of.as_ref().map(|time| time.edtf.as_str()), Some("2022-03-07"));
    assert_eq!(first.metrics.get("ukraine-war.day"), Some(&12.0));
    assert_eq!(first.attribution[0].actors, ["actors/ukraine-war-origin-general-staff"]);
    // One series, so that its points are together.
    let series: std::collections::BTreeSet<_> = points.iter().map(|point| &point.estimand.as_ref().unwrap().series).collect();
    assert_eq!(series.len(), 1);
}

#[test]
fn the_forecasts_come_in_as_rising_quantiles_with_their_targets_as_reference_times() {
    let store = Store::in_memory().unwrap();
    let imported = import_bytes(&store, mapping(FLUSIGHT), forecasts());
    assert_eq!((imported.rows, imported.bad.as_slice()), (216, &[][..]));
    let estimates: Vec<Estimate> = list(&store, "");
    assert_eq!(estimates.len(), 216);
    for estimate in &estimates {
        let quantity = quantity(estimate);
        assert_eq!(quantity.quantiles.len(), 23, "{}", estimate.name);
        assert!(quantity.quantiles.windows(2).all(|pair| pair[0].p < pair[1].p && pair[0].value <= pair[1].value));
        assert!(quantity.best.is_some());
        assert_eq!(estimate.mode(), EstimateMode::Projected);
        assert_eq!(estimate.as_of.as_ref().unwrap().edtf, "2022-12-12");
    }
    let targets: std::collections::BTreeSet<_> =
        estimates.iter().map(|estimate| estimate.reference_time.as_ref().unwrap().edtf.as_str()).collect();
    assert_eq!(targets.into_iter().collect::<Vec<_>>(), ["2022-12-17", "2022-12-24", "2022-12-31", "2023-01-07"]);
    let national: Vec<Estimate> = list(&store, "estimand.place = \"USA\" AND metrics.flusight.weeks_ahead = 2");
    assert_eq!(national.len(), 1);
    let quantiles = &quantity(&national[0]).quantiles;
    assert_eq!((quantiles[0].p, quantiles[0].value, quantity(&national[0]).best), (0.01, 13348.37, Some(19666.14)));
}

#[test]
fn a_second_import_changes_nothing_and_a_changed_row_is_a_new_revision_of_its_record() {
    let store = Store::in_memory().unwrap();
    let days: Vec<serde_json::Value> = serde_json::from_slice(&personnel()).unwrap();
    let days = serde_json::to_vec(&days[..100]).unwrap();
    for (path, content) in [(UKRAINE, days), (FLUSIGHT, forecasts())] {
        assert!(import_bytes(&store, mapping(path), content.clone()).created > 0);
        let again = import_bytes(&store, mapping(path), content);
        assert_eq!((again.created, again.updated), (0, 0), "{path}");
    }
    let day = r#"[{"date": "2022-02-25", "day": 2, "personnel": 2800, "personnel*": "about", "POW": 0}]"#;
    assert_eq!(import_bytes(&store, ukraine(), day).updated, 0);
    assert_eq!(import_bytes(&store, ukraine(), day.replace("2800", "2801")).updated, 1);
    // What a row no longer says is gone.
    assert_eq!(import_bytes(&store, ukraine(), day.replace("about", "more")).updated, 1);
    let first = store.get::<Estimate>("estimates/ukraine-war-personnel-2022-02-25").unwrap();
    assert_eq!((quantity(&first).best, quantity(&first).lower), (None, Some(2800.0)));
}

/// A mapping of CSV with one estimate a day, and more.
fn small(more: &str) -> SeriesMapping {
    let text = format!(
        "[file]\nformat = 'csv'\nmissing = ['-']\n[[estimate]]\nexternal_ids = ['x:{{day}}']\nestimand.measure = 'measure:m'\n\
         aspect = 'LEVEL'\nmode = 'COUNTED'\norigin = 'AS_REPORTED'\nas_of = '{{day}}'\nattribution = [{{ description = 'somebody' }}]\n\
         citations = [{{ source = 'sources/s' }}]\nquantity.unit = '1'\n{more}"
    );
    SeriesMapping::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

const BEST: &str = "quantity.best = '{n}'";

fn check_bad(mapping: SeriesMapping, content: impl AsRef<[u8]>, good: usize, expect: &[(u64, &str, &str)]) {
    let (made, bad): (Vec<_>, Vec<_>) = rows(mapping, content).into_iter().partition(Result::is_ok);
    let bad: Vec<_> = bad.into_iter().map(Result::unwrap_err).collect();
    assert_eq!((made.len(), bad.len()), (good, expect.len()), "{bad:?}");
    for (bad, (number, column, reason)) in bad.iter().zip(expect) {
        assert_eq!((bad.number, bad.column.as_str()), (*number, *column), "{bad}");
        assert!(bad.reason.contains(reason), "{bad}");
    }
}

#[test]
fn bad_rows_are_refused_each_with_its_number_and_reason_and_the_rest_is_made() {
    check_bad(
        small(BEST),
        b"day,n\n2024-01-01,1\n2024-01-02,many\n2024-01-03\n2024-02-30,4\n2024-01-05,\xff\n,6\n2024-01-07,-7\n2024-01-08,8\n2024-01-09,-",
        2,
        &[
            (2, "n", "\"many\" is not a number"),
            (3, "", "has 1 columns, but the header has 2"),
            (5, "n", "is not UTF-8"),
            (6, "", "has no id in this row"),
            // A problem found when the rows of a record are combined is reported when the next record begins.
            (4, "", "estimate.as_of.edtf \"2024-02-30\""),
            (7, "", "estimate.quantity"),
            (9, "", "estimate.quantity"),
        ],
    );
}

#[test]
fn a_header_that_does_not_fit_the_mapping_ends_the_import_before_it_begins() {
    check_bad(
        small(BEST),
        "day,m,m\n2024-01-01,1,1\n",
        0,
        &[(0, "m", "is not used"), (0, "m", "twice"), (0, "n", "not in the header")],
    );
    check_bad(small(BEST), "", 0, &[(0, "", "no header")]);
    // A byte order mark is not part of the name of the first column.
    check_bad(small(BEST), "\u{feff}day,n\n2024-01-01,1\n", 1, &[]);
}

#[test]
fn rows_of_one_record_stand_one_behind_the_other_and_agree() {
    let quantiles = "quantity.quantiles = [{ p = '{p}', value = '{v}' }]";
    check_bad(small(quantiles), "day,p,v\n2024-01-01,0.9,3\n2024-01-01,0.1,1\n2024-01-01,0.5,2\n", 1, &[]);
    check_bad(
        small(quantiles),
        "day,p,v\n2024-01-01,0.1,1\n2024-01-02,0.1,1\n2024-01-01,0.9,3\n",
        2,
        &[(3, "", "was already made from row 1: the rows of one record must be adjacent")],
    );
    check_bad(
        small(quantiles),
        "day,p,v\n2024-01-01,0.1,5\n2024-01-01,0.9,3\n2024-01-02,0.5,1\n",
        1,
        &[(1, "", "rows 1 to 2 together: estimate.quantity.quantiles[1]")],
    );
    check_bad(
        small(BEST),
        "day,n\n2024-01-01,1\n2024-01-01,2\n",
        1,
        &[(2, "", "is also made from row 1: quantity.best is 2.0 here, but was 1.0 before")],
    );
    check_bad(small(BEST), "day,n\n2024-01-01,1\n2024-01-01,1\n", 1, &[]);
}

#[test]
fn rows_without_a_value_are_left_out_and_rows_that_fit_no_case_are_refused() {
    let more = "quantity.best = '{n}'\nlabels = ['x:{tag}', 'x:all']\nreference_time = { edtf = '{until}', qualifier = 'BY' }";
    let made = rows(small(more), "day,n,tag,until\n2024-01-01,1,,-\n");
    let Some(annals::proto::record::Record::Estimate(estimate)) =
        made[0].as_ref().unwrap().own[0].op.clone().and_then(|op| match op {
            annals::proto::mutation::Op::Upsert(upsert) => upsert.record.and_then(|record| record.record),
            _ => None,
        })
    else {
        panic!("{made:?}");
    };
    assert_eq!((estimate.labels, estimate.reference_time), (vec!["x:all".to_owned()], None));

    let cases = "[[estimate.case]]\nwhen = { kind = ['a', 'b'] }\nquantity.best = '{n}'\n[[estimate.case]]\nwhen = { kind = false }\nquantity = \
                 { status = 'VAGUE', verbatim = '{n}' }";
    check_bad(
        small(cases),
        "day,n,kind\n2024-01-01,1,b\n2024-01-02,many,\n2024-01-03,1,c\n",
        2,
        &[(3, "", "no case matches this row, in which kind is \"c\"")],
    );
}

#[test]
fn json_is_read_along_paths_one_object_a_line_or_in_a_nested_array() {
    let text = |file: &str| {
        format!(
            "[file]\n{file}\n[column.day]\nfrom = '{{/at/0}}'\ndate = '%d.%m.%Y'\n[[estimate]]\nname = 'estimates/e-{{day}}'\n\
             estimand.measure = 'm:m'\naspect = 'LEVEL'\nmode = 'COUNTED'\norigin = 'AS_REPORTED'\nas_of = '{{day}}'\nattribution = [{{ \
             description = 'somebody' }}]\ncitations = [{{ source = 'sources/s' }}]\nquantity = {{ unit = '1', best = '{{/of/n}}' }}"
        )
    };
    let object = r#"{"at":["24.2.2022"],"of":{"n":1}}"#;
    let ndjson = SeriesMapping::parse(&text("format = 'ndjson'")).unwrap();
    check_bad(
        ndjson,
        format!("{object}\n{{\n{{\"at\":{{}},\"of\":{{}}}}\n{{\"at\":[[]],\"of\":{{}}}}\n{{\"at\":[],\"of\":{{}},\"x\":1}}\n"),
        1,
        &[(2, "", "not JSON"), (3, "", "no id"), (4, "day", "is an array"), (5, "x", "is not used")],
    );
    let deep = SeriesMapping::parse(&text("format = 'json'\nat = '/data/points'\nignore = ['x']")).unwrap();
    check_bad(
        deep,
        format!("{{\"meta\":{{}},\"data\":{{\"points\":[{object},7],\"more\":1}}}}"),
        1,
        &[(2, "", "not a JSON object")],
    );
    check_bad(ukraine(), "[{\"date\": \"2022-02-25\", \"day\"", 0, &[(1, "", "the rest of the file is not read")]);
}

fn check_refused(text: &str, expect: &[&str]) {
    let error = SeriesMapping::parse(text).expect_err(text);
    let found: Vec<_> = error.0.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    for (found, expect) in found.iter().zip(expect) {
        assert!(found.starts_with(expect), "{found}");
    }
}

#[test]
fn every_error_of_a_mapping_is_reported_with_its_line_and_field() {
    check_refused(
        "[file]\nformat = 'xls'\n[column.a]\nfrom = '{b}'\nform = 1\n[column.c]\nfrom = '{'\n[[event]]\nlabel = 'E'\ntitel = '{a}'\n\
         [[estimate]]\nexternal_ids = 'x:1'\nmode = 'GUESSED'\nquantity = { best = 'x', unit = ['1'] }\nattribution = [{ actors = ['@nobody'] \
         }]\nwhen = 3\n[estimates]\n",
        &[
            "line 2, file.format: unknown variant `xls`",
            "line 5, column.a.form: is not a key of [column.NAME]: its keys are from, pattern",
            "line 7, column.c.from: \"{\" has a brace without a column",
            "line 8, event[0]: has neither external_ids nor a name",
            "line 9, event[0].label: must be a text of 1-63",
            "line 10, event[0].titel: Event of the contract has no such field: its fields are name,",
            "line 12, estimate[0].external_ids: must be a list",
            "line 13, estimate[0].mode: \"GUESSED\" is not one of COUNTED",
            "line 14, estimate[0].quantity.best: \"x\" is not a number",
            "line 14, estimate[0].quantity.unit: must not be a list",
            "line 15, estimate[0].attribution[0].actors[0]: no record above has the label \"nobody\"",
            "line 16, estimate[0].when: must be a table",
            "line 17, estimates: is not a table of a mapping",
        ],
    );
    check_refused(
        "[file]\nformat = 'tsv'\nat = '/a'\n[[actor]]\nname = 'actors/a'",
        &["line 1, file.at: has no effect with this format"],
    );
    check_refused("[file", &["line 1: "]);
    check_refused("", &["line 1, file: is missing"]);
    check_refused("[file]\nformat = 'csv'", &["line 1: makes no records"]);
    check_refused(
        "[file]\nformat = 'csv'\n[column.a]\nfrom = '{b}'\n[[actor]]\nname = 'actors/{b}'\n",
        &["line 1, column: \"a\" is not used"],
    );
}

#[test]
fn every_key_of_the_list_is_read() {
    let table = "[file]\nformat = 'csv'\ndelimiter = ';'\nmissing = ['-']\nignore = ['*']\n[column.a]\nfrom = '{b}'\npattern = 'x'\nnumber = { \
                 group = ',', decimal = '.' }\nvalues = { x = 'y' }\notherwise = '{b}'\n[column.d]\nfrom = '{b}'\ndate = '%Y'\n[[event]]\nlabel = \
                 'e'\nname = 'events/{a}'\ntitle = '{d}'\ncreate_only = true\nwhen = { b = true }\n[[event.case]]\nwhen = { b = true }\n";
    let objects = "[file]\nformat = 'json'\nat = '/a'\n[[event]]\nname = 'events/{a}'\n";
    for text in [table, objects] {
        assert!(SeriesMapping::parse(text).is_ok(), "{:?}", SeriesMapping::parse(text));
    }
    let text = [table, objects].concat();
    for key in MAPPING_KEYS {
        assert!(
            key.name == "FIELD" || text.contains(&format!("{} =", key.name)) || text.contains(&format!(".{}]]", key.name)),
            "{key:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn corrupted_files_never_panic_and_what_is_left_is_applied(at in 0usize..3000, byte: u8, cut in 0usize..4000) {
        for (path, content) in [(UKRAINE, personnel()), (FLUSIGHT, forecasts())] {
            let mut content = content[..3000.min(content.len())].to_vec();
            content[at] = byte;
            content.truncate(cut);
            for row in rows(mapping(path), content) {
                if let Err(bad) = row {
                    prop_assert!(!bad.reason.is_empty());
                }
            }
        }
    }

    #[test]
    fn corrupted_mappings_never_panic(at in 0usize..3000, byte in 0u8..128) {
        for path in [UKRAINE, FLUSIGHT] {
            let mut text = text(path).into_bytes();
            if let Some(there) = text.get_mut(at) {
                *there = byte;
            }
            if let Err(error) = SeriesMapping::parse(&String::from_utf8(text).expect("ASCII")) {
                prop_assert!(!error.0.is_empty());
            }
        }
    }
}
