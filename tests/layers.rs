//! Imports go one way: what no file may name, by the folder or the file that it stands in.
//!
//! The sources are read as text: comments, literals and tests are taken out, and every path that is left, in a `use` or in the
//! middle of the code, is held against the rules below. A rule is a module's "Must not know" as far as a path can break it.
#![allow(missing_docs)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What a module, and all below it, never names.
struct Rule {
    module: &'static str,
    never: &'static [&'static str],
    /// What it may name all the same.
    but: &'static [&'static str],
}

const fn rule(module: &'static str, never: &'static [&'static str]) -> Rule {
    Rule { module, never, but: &[] }
}

const RULES: &[Rule] = &[
    // The folders: main -> cli -> rpc -> store -> engine's trait; model below store, proto below model. The client stands beside
    // rpc, and neither knows the other.
    rule("crate::proto", &["crate", "sled", "tokio", "hyper", "http"]),
    Rule {
        module: "crate::model",
        never: &["crate", "sled", "tonic", "tokio", "hyper", "http", "std::fs", "std::thread"],
        but: &["crate::model", "crate::proto"],
    },
    Rule {
        module: "crate::engine",
        never: &["crate", "prost", "prost_types", "prost_reflect", "tonic", "tokio", "tokio_util", "hyper", "http"],
        but: &["crate::engine"],
    },
    Rule {
        module: "crate::store",
        never: &[
            "crate",
            "crate::engine::memory",
            "crate::engine::embedded",
            "sled",
            "std::fs",
            "tonic",
            "tonic_types",
            "hyper",
            "hyper_util",
            "http",
            "http_body",
            "tokio",
            "tokio_stream",
            "tokio_util",
        ],
        but: &["crate::store", "crate::engine", "crate::model", "crate::proto", "tokio::sync"],
    },
    Rule {
        module: "crate::formats",
        never: &["crate", "tonic", "sled"],
        but: &["crate::formats", "crate::store", "crate::model", "crate::proto"],
    },
    Rule {
        module: "crate::rpc",
        never: &["crate", "sled", "std::fs", "rustix"],
        but: &["crate::rpc", "crate::store", "crate::model", "crate::proto"],
    },
    Rule {
        module: "crate::client",
        never: &["crate", "sled", "hyper", "hyper_util", "http", "std::fs", "rustix", "tokio::spawn", "tokio::task"],
        but: &["crate::client", "crate::model", "crate::proto"],
    },
    Rule { module: "crate::config", never: &["crate", "tonic", "sled"], but: &["crate::config", "crate::rpc"] },
    rule("crate::open", &["crate::model", "crate::proto", "crate::rpc", "crate::cli", "tonic", "hyper", "http"]),
    rule("crate::cli", &["crate::engine::memory", "sled", "hyper"]),
    Rule { module: "main", never: &["crate", "annals", "tonic", "tokio"], but: &["annals::cli"] },
    // What is private to the store: the compiler sees to most of it.
    rule("crate::rpc", STORES_OWN),
    rule("crate::formats", STORES_OWN),
    rule("crate::cli", STORES_OWN),
    rule("crate::open", STORES_OWN),
    // Single files.
    rule("crate::model::edtf", &["crate::proto"]),
    rule("crate::model::words", &["crate::proto", "crate::model"]),
    rule("crate::model::wire", &["crate::proto", "crate::model"]),
    rule("crate::engine::memory", &["crate::engine::embedded", "std::fs", "std::path", "rustix"]),
    rule("crate::engine::embedded", &["crate::engine::memory"]),
    rule(
        "crate::engine::embedded::disk",
        &["crate::engine::embedded::frame", "crate::engine::embedded::segment", "crate::engine::embedded::state", "sled"],
    ),
    rule("crate::engine::embedded::frame", &["std::fs", "std::path", "crate::engine::embedded::disk"]),
    rule("crate::engine::embedded::index", &["std::fs", "std::path", "crate::engine::embedded::disk"]),
    rule("crate::engine::embedded::lock", &["crate::engine::embedded::log", "crate::engine::embedded::state"]),
    rule("crate::engine::embedded::log", &["crate::engine::embedded::state", "sled"]),
    rule("crate::engine::embedded::manifest", &["crate::engine::embedded::log", "crate::engine::embedded::state", "sled"]),
    rule("crate::engine::embedded::recover", &["crate::engine::embedded::manifest", "sled"]),
    rule("crate::engine::embedded::reserve", &["crate::engine::embedded::log", "crate::engine::embedded::segment"]),
    rule("crate::engine::embedded::segment", &["crate::engine::embedded::manifest", "crate::engine::embedded::log", "sled"]),
    rule(
        "crate::engine::embedded::state",
        &["crate::engine::embedded::log", "crate::engine::embedded::segment", "crate::engine::embedded::frame"],
    ),
    rule("crate::engine::embedded::audit", &["crate::engine::embedded::log"]),
    rule("crate::store::view", &["crate::store::query", "crate::store::mutate", "crate::store::writer"]),
    rule("crate::store::version", &["crate::store::query", "crate::store::mutate"]),
    rule("crate::store::entry", &["crate::store::keys", "crate::store::replay"]),
    rule("crate::store::postings", &["crate::store::version", "crate::store::query"]),
    rule("crate::store::keys", &["crate::store::query", "crate::store::mutate"]),
    rule("crate::store::replay", &["crate::store::mutate", "crate::store::query", "crate::store::writer"]),
    rule("crate::store::change_stream", &["crate::store::query", "crate::store::selection", "crate::store::mutate"]),
    rule("crate::store::inner", &["crate::store::mutate", "crate::store::query", "crate::store::view"]),
    rule("crate::store::read", &["crate::store::keys", "crate::store::replay", "crate::store::query::filter"]),
    rule("crate::store::error", &["crate::store::mutate", "crate::store::query"]),
    rule("crate::store::clock", &["crate"]),
    rule("crate::store::limits", &["crate"]),
    rule("crate::store::typed", &["crate::store::keys", "crate::store::view", "crate::store::version"]),
    rule("crate::store::writer", &["crate::store::query", "crate::store::change_stream"]),
    rule(
        "crate::store::mutate",
        &[
            "crate::engine::Engine",
            "crate::engine::Entry",
            "crate::store::inner",
            "crate::store::query",
            "crate::store::replay",
            "crate::store::writer",
        ],
    ),
    rule("crate::store::mutate::existence", &["crate::store::mutate::links", "crate::store::mutate::references"]),
    rule("crate::store::mutate::finding", &["crate::store::view", "crate::store::keys"]),
    rule("crate::store::mutate::request", &["crate::store::view", "crate::store::keys", "crate::engine"]),
    rule(
        "crate::store::query",
        &[
            "crate::engine::Engine",
            "crate::store::inner",
            "crate::store::mutate",
            "crate::store::replay",
            "crate::store::writer",
        ],
    ),
    rule("crate::store::query::lexer", &["crate::store::query::field", "crate::store::query::check"]),
    rule("crate::store::query::parse", &["crate::store::query::field", "crate::store::query::check"]),
    rule("crate::store::query::check", &["crate::store::view", "crate::store::version", "crate::store::keys"]),
    rule("crate::store::query::evaluate", &["crate::store::query::lexer", "crate::store::query::parse"]),
    rule("crate::store::query::token", &["crate::store::query::list", "crate::store::query::plan"]),
    rule("crate::store::query::list", &["std::time"]),
    rule("crate::formats::long_lines", &["crate"]),
    rule("crate::formats::import::batch", &["crate::store", "crate::formats::import::format"]),
    rule("crate::formats::import::bounds", &["crate::store", "crate::formats::import::known"]),
    rule("crate::formats::import::known", &["crate::proto", "crate::model", "crate::store"]),
    rule("crate::formats::import::mutation", &["crate::formats::import::batch", "crate::store"]),
    rule("crate::formats::identity", &["crate::formats", "crate::proto", "crate::store"]),
    rule("crate::formats::table", &["crate::formats::export", "crate::proto", "crate::store"]),
    rule("crate::formats::acled", &["crate::store", "std::fs"]),
    rule("crate::formats::gdelt", &["crate::store", "std::fs"]),
    rule("crate::formats::ucdp_ged", &["crate::store", "std::fs"]),
    rule("crate::formats::export", &["crate::store", "crate::formats::import", "std::fs", "std::path"]),
    rule("crate::formats::export::columns", &["csv"]),
    rule("crate::formats::export::parquet", &["crate::formats::export::columns", "crate::formats::export::stix"]),
    rule("crate::formats::export::parquet::schema", &["parquet", "arrow_array", "crate::formats::export::parquet::array"]),
    rule("crate::formats::export::stix", &["crate::formats::export::columns", "crate::formats::export::parquet"]),
    rule("crate::formats::export::stix::id", &["crate::formats::export::stix::property"]),
    rule(
        "crate::formats::export::stix::property",
        &["crate::formats::export::stix::source", "crate::formats::export::stix::event"],
    ),
    rule("crate::rpc::connection", &["crate::store", "crate::proto", "crate::rpc::records", "crate::rpc::services"]),
    rule("crate::rpc::layer", &["crate::store", "crate::proto", "crate::rpc::records", "crate::rpc::connection"]),
    rule("crate::rpc::codec", &["crate::proto", "crate::store", "crate::model"]),
    rule("crate::rpc::in_process", &["crate::proto", "crate::model"]),
    rule("crate::rpc::load", &["http", "hyper", "crate::store", "crate::proto", "crate::rpc::connection", "crate::rpc::layer"]),
    rule("crate::rpc::origins", &["crate", "hyper", "tonic"]),
    rule("crate::rpc::options", &["crate::store", "crate::proto", "crate::model"]),
    rule("crate::rpc::pool", &["crate::store", "crate::proto", "crate::model"]),
    rule("crate::rpc::server", &["crate::proto", "crate::model"]),
    rule("crate::rpc::status", &["crate::rpc::records"]),
    rule("crate::rpc::web", &["crate::store", "crate::proto", "crate::rpc::services", "crate::rpc::connection"]),
    rule("crate::rpc::traffic", &["crate", "http", "hyper", "tonic"]),
    rule("crate::client::error", &["crate::model", "tokio"]),
    rule("crate::client::messages", &["crate::proto", "crate::model", "tonic"]),
    rule("crate::client::options", &["crate::proto", "crate::model", "tonic", "tokio"]),
    rule("crate::formats::claimreview", &["crate::store", "crate::formats::series", "crate::formats::table"]),
    rule("crate::formats::claimreview::date", &["crate::formats::import"]),
    rule("crate::formats::claimreview::members", &["crate"]),
    rule("crate::formats::claimreview::node", &["crate::proto", "crate::model", "crate::formats::import"]),
    rule("crate::formats::claimreview::rating", &["crate::formats::import"]),
    rule("crate::formats::edtf", &["crate"]),
    rule("crate::formats::import::elements", &["crate::proto", "crate::model"]),
    rule("crate::formats::import::objects", &["crate::proto", "crate::model"]),
    rule("crate::formats::import::seen", &["crate"]),
    rule("crate::formats::series", &["crate::store"]),
    rule("crate::formats::series::column", &["crate::proto", "crate::model", "crate::formats::series::cells"]),
    rule("crate::formats::series::condition", &["crate::proto", "crate::model", "crate::formats::series::rule"]),
    rule("crate::formats::series::group", &["crate::proto", "crate::formats::series::cells"]),
    rule("crate::formats::series::input", &["crate::proto", "crate::model", "crate::formats::series::rule"]),
    rule("crate::formats::series::keys", &["crate"]),
    rule("crate::formats::series::leaf", &["crate::proto", "crate::formats::series::tree"]),
    rule("crate::formats::series::mapping", &["crate::proto", "crate::formats::import", "crate::formats::series::group"]),
    rule("crate::formats::series::merge", &["crate"]),
    rule("crate::formats::series::problem", &["crate"]),
    rule("crate::formats::series::text", &["crate"]),
    rule("crate::formats::series::tree", &["crate::proto", "crate::formats::series::rule"]),
    rule("crate::cli::compression", &["crate"]),
    rule("crate::cli::input", &["crate::proto", "crate::client", "tonic"]),
    rule("crate::cli::position", &["crate"]),
    rule("crate::cli::signal", &["crate"]),
    rule("crate::cli::lines", &["crate::client", "crate::store", "tonic"]),
    rule("crate::cli::part", &["crate"]),
    rule("crate::cli::partial", &["crate::client", "crate::store", "tonic"]),
    rule("crate::cli::refusals", &["crate::proto", "crate::store", "tonic"]),
    rule("crate::cli::export::destination", &["crate::client", "crate::store", "tonic"]),
    rule("crate::cli::export::rows", &["crate::formats::table", "crate::store", "tonic"]),
    rule("crate::cli::export::folder", &["crate::client", "crate::formats", "crate::proto", "crate::store", "tonic"]),
    rule("crate::cli::report", &["crate::proto", "crate::store", "tonic"]),
    rule("crate::cli::sending", &["crate::formats::import::format", "crate::store"]),
    rule("crate::cli::tally", &["crate::store", "tonic"]),
    rule("crate::cli::request_id", &["crate::client", "crate::store", "tonic"]),
    rule("crate::cli::time", &["crate"]),
    rule("crate::cli::table", &["crate::store", "crate::rpc", "tonic"]),
    rule("crate::cli::output", &["crate::proto", "crate::store", "tonic"]),
];

/// The store's own modules.
const STORES_OWN: &[&str] = &[
    "crate::store::entry",
    "crate::store::postings",
    "crate::store::inner",
    "crate::store::keys",
    "crate::store::mutate",
    "crate::store::replay",
    "crate::store::version",
    "crate::store::view",
    "crate::store::writer",
    "crate::engine::Batch",
];

/// A file of the crate: where it stands, and what is in it.
struct File {
    path: PathBuf,
    module: String,
    source: String,
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_path_buf();
                files.push(File { module: module_of(&path), path, source });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The module that a file is, given its path below `src`.
fn module_of(path: &Path) -> String {
    let mut parts: Vec<String> = path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    match parts.last().map(String::as_str) {
        Some("main") => return "main".to_owned(),
        Some("mod" | "lib") => drop(parts.pop()),
        _ => {}
    }
    parts.insert(0, "crate".to_owned());
    parts.join("::")
}

/// Every way in which files break the rules.
fn findings(files: &[File]) -> Vec<String> {
    let modules: BTreeSet<&str> = files.iter().map(|file| file.module.as_str()).collect();
    let codes: Vec<_> = files.iter().map(|file| (file, Code::of(&file.source))).collect();
    let only_tests: Vec<String> =
        codes.iter().flat_map(|(file, code)| code.test_modules.iter().map(|name| format!("{}::{name}", file.module))).collect();
    let mut findings = Vec::new();
    for (file, code) in &codes {
        if only_tests.iter().any(|module| is_within(&file.module, module)) {
            continue;
        }
        for path in paths(&code.text, &file.module, &modules) {
            for rule in RULES.iter().filter(|rule| is_within(&file.module, rule.module)) {
                let forbids = |prefixes: &[&str]| {
                    let matching = prefixes.iter().filter(|prefix| is_within(&path, prefix));
                    matching.map(|prefix| prefix.len()).max().unwrap_or_default()
                };
                // The longer of two prefixes says more.
                if forbids(rule.never) > forbids(rule.but) {
                    findings.push(format!("{}: {path}, which {} must not know", file.path.display(), rule.module));
                }
            }
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn is_within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Rust without comments, literals and what is compiled for tests only.
struct Code {
    text: String,
    /// Modules in files of their own that are compiled for tests only.
    test_modules: Vec<String>,
}

const TESTS_ONLY: &str = "#[cfg(test)]";

impl Code {
    fn of(source: &str) -> Self {
        let mut text = without_comments_and_literals(source);
        let mut test_modules = Vec::new();
        while let Some(start) = text.find(TESTS_ONLY) {
            let item = start + TESTS_ONLY.len();
            let end = item + text[item..].find(['{', ';']).unwrap_or(text.len() - item);
            let end = if text[end..].starts_with('{') { end + closing(&text[end..]) } else { end };
            let words: Vec<_> = text[item..end].split_whitespace().collect();
            if let [.., "mod", name] = words.as_slice() {
                test_modules.push((*name).to_owned());
            }
            text.replace_range(start..(end + 1).min(text.len()), " ");
        }
        Self { text, test_modules }
    }
}

/// Where the bracket closes that a text begins with.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn without_comments_and_literals(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(letter) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if letter == '"' {
            string_end(rest)
        } else if is_raw_string(rest) && !code.ends_with(is_word) {
            let hashes = rest[1..].chars().take_while(|letter| *letter == '#').count();
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            rest[start..].find(&end).map_or(rest.len(), |found| start + found + end.len())
        } else if letter == '\'' {
            character_end(rest)
        } else {
            0
        };
        if skipped > 0 {
            code.push(' ');
            rest = &rest[skipped..];
        } else {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    code
}

fn is_raw_string(rest: &str) -> bool {
    rest.strip_prefix('r').is_some_and(|rest| rest.trim_start_matches('#').starts_with('"') && !rest.starts_with("#["))
}

fn string_end(rest: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; 0 where it is a lifetime.
fn character_end(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some((at, second))) => {
            // The escaped letter may itself be the quote.
            let after = at + second.len_utf8();
            rest[after..].find('\'').map_or(rest.len(), |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Every path of several parts that is named, from the root of its crate.
fn paths(code: &str, module: &str, modules: &BTreeSet<&str>) -> BTreeSet<String> {
    let tokens = tokens(code);
    let mut found = BTreeSet::new();
    // Inline modules around the place, with the depth at which each ends.
    let (mut inside, mut depth) = (vec![(module.to_owned(), 0)], 0);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let here = inside.last().map_or(module, |(module, _)| module.as_str()).to_owned();
        match *token {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inside.len() > 1 && inside.last().is_some_and(|(_, opened)| depth == *opened) {
                    inside.pop();
                }
            }
            "mod" if tokens.get(at + 2) == Some(&"{") => {
                inside.push((format!("{here}::{}", tokens[at + 1]), depth));
            }
            "use" => {
                let (tree, after) = use_tree(&tokens, at + 1, "");
                found.extend(tree.iter().map(|path| absolute(path, &here, modules)));
                at = after;
                continue;
            }
            first if first.starts_with(is_word) && (at == 0 || tokens[at - 1] != "::") => {
                let mut path = first.to_owned();
                while tokens.get(at + 1) == Some(&"::") && tokens.get(at + 2).is_some_and(|next| next.starts_with(is_word)) {
                    path = format!("{path}::{}", tokens[at + 2]);
                    at += 2;
                }
                if path.contains("::") {
                    found.insert(absolute(&path, &here, modules));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The paths of a `use`, and the place after it.
fn use_tree(tokens: &[&str], mut at: usize, prefix: &str) -> (Vec<String>, usize) {
    let mut paths = Vec::new();
    let (mut path, mut is_whole) = (prefix.to_owned(), false);
    while let Some(token) = tokens.get(at) {
        at += 1;
        match *token {
            "{" => loop {
                let (inner, after) = use_tree(tokens, at, &path);
                paths.extend(inner);
                at = after;
                if tokens.get(at - 1) != Some(&",") {
                    // All that it begins is inside the bracket.
                    path.clear();
                    break;
                }
            },
            "," | ";" | "}" => break,
            "as" => at += 1,
            "::" => {}
            "self" if !path.is_empty() => is_whole = true,
            word if path.is_empty() => word.clone_into(&mut path),
            word => path = format!("{path}::{word}"),
        }
    }
    if !path.is_empty() && (is_whole || path != prefix) {
        paths.push(path);
    }
    (paths, at)
}

fn absolute(path: &str, module: &str, modules: &BTreeSet<&str>) -> String {
    let (first, rest) = path.split_once("::").map_or((path, ""), |(first, rest)| (first, rest));
    let join = |base: &str| if rest.is_empty() { base.to_owned() } else { format!("{base}::{rest}") };
    match first {
        "self" => join(module),
        "super" => absolute_super(rest, module.rsplit_once("::").map_or("crate", |(above, _)| above)),
        _ if modules.contains(format!("{module}::{first}").as_str()) => format!("{module}::{path}"),
        _ => path.to_owned(),
    }
}

fn absolute_super(rest: &str, module: &str) -> String {
    match rest.strip_prefix("super") {
        Some(above) if above.is_empty() || above.starts_with("::") => {
            absolute_super(above.trim_start_matches("::"), module.rsplit_once("::").map_or("crate", |(above, _)| above))
        }
        _ if rest.is_empty() => module.to_owned(),
        _ => format!("{module}::{rest}"),
    }
}

/// Words, `::`, and every other sign by itself.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(letter) = rest.chars().next() {
        let length = if is_word(letter) {
            rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            letter.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

#[test]
fn imports_go_one_way() {
    let findings = findings(&sources());
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn what_the_sources_import_is_seen() {
    let files = sources();
    let modules: BTreeSet<&str> = files.iter().map(|file| file.module.as_str()).collect();
    let writer = files.iter().find(|file| file.module == "crate::store::writer").unwrap();
    let paths = paths(&Code::of(&writer.source).text, &writer.module, &modules);
    for path in [
        "crate::engine",
        "crate::engine::Engine",
        "crate::store::replay::PendingState",
        "tokio::sync::oneshot",
        "tracing::error",
    ] {
        assert!(paths.contains(path), "{path}: {paths:?}");
    }
}

#[test]
fn every_rule_is_about_modules_that_there_are() {
    let files = sources();
    let is_there = |module: &str| files.iter().any(|file| is_within(&file.module, module));
    for rule in RULES {
        let named = rule.never.iter().chain(rule.but).filter(|path| path.starts_with("crate::"));
        for module in named.chain([&rule.module]) {
            // The last part may be a type.
            let is_type = module.rsplit("::").next().is_some_and(|last| last.starts_with(char::is_uppercase));
            assert!(is_there(module) || is_type, "there is no {module}");
        }
    }
}

#[test]
fn every_module_says_what_it_is_and_every_folder_what_it_must_not_know() {
    for file in sources() {
        let head: String = file.source.lines().take_while(|line| line.starts_with("//!")).collect();
        let path = file.path.to_str().unwrap();
        assert!(!head.is_empty(), "{path} does not say what it is");
        let stands_for_a_folder = path.ends_with("mod.rs") || file.module.matches("::").count() == 1;
        let is_test = path.contains("tests");
        assert!(head.contains("ust not know") || is_test || !stands_for_a_folder, "{path} does not say what it must not know");
    }
}

/// What is found in one file with this path and text.
fn found(path: &str, source: &str) -> Vec<String> {
    let path = PathBuf::from(path);
    let file = |path: &str| File { path: path.into(), module: module_of(Path::new(path)), source: String::new() };
    let mut files = vec![file("store/keys.rs"), file("engine/memory.rs"), file("engine/embedded/mod.rs")];
    files.push(File { module: module_of(&path), path, source: source.to_owned() });
    findings(&files)
}

fn check(path: &str, source: &str, names: Option<&str>) {
    let found = found(path, source);
    match names {
        None => assert!(found.is_empty(), "{source}: {found:?}"),
        Some(name) => assert!(found.iter().any(|found| found.contains(&format!(": {name},"))), "{source}: {found:?}"),
    }
}

#[test]
fn a_path_that_breaks_a_rule_is_found_however_it_is_written() {
    for (source, names) in [
        ("use tonic::Status;", "tonic::Status"),
        ("use {std::fmt, tonic::{self, Code}};", "tonic::Code"),
        ("use tonic;", "tonic"),
        ("use tonic::{self as t};", "tonic"),
        ("use tonic::*;", "tonic::*"),
        ("use ::tonic::Status;", "tonic::Status"),
        (
            "pub(crate) use crate::engine::{State, embedded::{EmbeddedEngine as E, Options}};",
            "crate::engine::embedded::EmbeddedEngine",
        ),
        ("use super::super::engine::memory::MemoryEngine;", "crate::engine::memory::MemoryEngine"),
        ("use super::super::rpc::status;", "crate::rpc::status"),
        ("fn f() { let e = crate::engine::memory::MemoryEngine::new(); }", "crate::engine::memory::MemoryEngine::new"),
        ("fn f<'a>(c: char) -> tonic::Status { if c == '\\'' {} }", "tonic::Status"),
        ("mod inner { use super::super::super::rpc::x; }", "crate::rpc::x"),
        ("use tokio::{sync::oneshot, time::sleep};", "tokio::time::sleep"),
        ("fn f() { tokio::spawn(async {}); }", "tokio::spawn"),
        ("#[cfg(test)]\nmod tests { use tonic::Code; }\nuse hyper::body;", "hyper::body"),
    ] {
        check("store/view.rs", source, Some(names));
    }
    check("rpc/records.rs", "use crate::store::{self, keys};", Some("crate::store::keys"));
    check("rpc/mod.rs", "use crate::engine::embedded;", Some("crate::engine::embedded"));
    check("engine/memory.rs", "use prost::Message;", Some("prost::Message"));
    check("engine/mod.rs", "use crate::model::Kind;", Some("crate::model::Kind"));
    check("model/name.rs", "use crate::store::Store;", Some("crate::store::Store"));
    check("proto.rs", "use crate::model;", Some("crate::model"));
    check("main.rs", "use annals::rpc;", Some("annals::rpc"));
    check("lib.rs", "pub mod store;", None);
}

#[test]
fn what_only_looks_like_a_path_is_not() {
    for source in [
        "// use tonic::Status;\n/// See [`tonic::Status`].\nfn f() {}",
        "const S: &str = \"use tonic::Status;\"; const R: &str = r#\"tonic::Status\"#;",
        "/* crate::rpc::serve */ fn f<'tonic>(x: &'tonic str) {}",
        "use tokio::sync::{oneshot, watch};",
        "use crate::{engine::{Engine, State}, model::Kind, proto};",
        "#[cfg(test)]\nmod tests { use crate::engine::memory::MemoryEngine; fn f() { tonic::x(); } }",
        "use super::keys; fn f() { keys::current(); self::g(); }",
        "enum E { A } fn f(e: E) { match e { E::A => {} } }",
    ] {
        check("store/view.rs", source, None);
    }
    check("open.rs", "use crate::engine::{embedded::EmbeddedEngine, memory::MemoryEngine};", None);
    check("main.rs", "fn main() { annals::cli::run() }", None);
}

#[test]
fn files_that_are_compiled_for_tests_only_are_not_held_against_the_rules() {
    let file =
        |path: &str, source: &str| File { path: path.into(), module: module_of(Path::new(path)), source: source.to_owned() };
    let tests = file("store/query/tests/lists.rs", "use tonic::Status;");
    let declared = file("store/query/mod.rs", "#[cfg(test)]\nmod tests;");
    let findings = findings(&[tests, declared]);
    assert!(findings.is_empty(), "{findings:?}");
}
