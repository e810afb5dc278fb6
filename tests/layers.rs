//! Imports go one way: which modules a module may not name, and no two files of a folder that name each other in a circle.
//!
//! The sources are parsed, tests are left out, and every path in them is resolved against the crate's modules. What Rust's own
//! visibility guards has no rule here: a private item cannot be named from outside.
#![allow(missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Item, UseTree,
    visit::{self, Visit},
};

/// What a module, and all below it, never names. The longer of two matching prefixes decides: `but` makes exceptions.
struct Rule {
    module: &'static str,
    never: &'static [&'static str],
    but: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule { module: "crate::proto", never: &["crate", "sled", "tokio", "hyper", "http"], but: &[] },
    Rule { module: "crate::limits", never: &["crate", "prost", "tonic", "tokio"], but: &[] },
    Rule {
        module: "crate::model",
        never: &["crate", "sled", "tonic", "tokio", "hyper", "http", "std::fs", "std::thread"],
        but: &["crate::model", "crate::limits", "crate::proto"],
    },
    Rule {
        module: "crate::engine",
        never: &["crate", "prost", "prost_types", "prost_reflect", "tonic", "tokio", "tokio_util", "hyper", "http"],
        but: &["crate::engine"],
    },
    Rule { module: "crate::engine::memory", never: &["crate::engine::embedded", "std::fs", "std::path", "rustix"], but: &[] },
    Rule { module: "crate::engine::embedded", never: &["crate::engine::memory"], but: &[] },
    Rule {
        module: "crate::store",
        never: &[
            "crate",
            "crate::engine::memory",
            "crate::engine::embedded",
            "sled",
            "std::fs",
            "tonic",
            "hyper",
            "http",
            "tokio",
        ],
        but: &["crate::store", "crate::engine", "crate::model", "crate::limits", "crate::proto", "tokio::sync"],
    },
    Rule {
        module: "crate::formats",
        never: &["crate", "tonic", "sled"],
        but: &["crate::formats", "crate::store", "crate::model", "crate::limits", "crate::proto"],
    },
    Rule {
        module: "crate::rpc",
        never: &["crate", "sled", "std::fs", "rustix"],
        but: &["crate::rpc", "crate::store", "crate::model", "crate::limits", "crate::proto"],
    },
    Rule {
        module: "crate::client",
        never: &["crate", "sled", "hyper", "hyper_util", "http", "std::fs", "rustix", "tokio::spawn", "tokio::task"],
        but: &["crate::client", "crate::model", "crate::proto"],
    },
    Rule { module: "crate::config", never: &["crate", "tonic", "sled"], but: &["crate::config", "crate::rpc"] },
    Rule {
        module: "crate::open",
        never: &["crate::model", "crate::proto", "crate::rpc", "crate::cli", "tonic", "hyper", "http"],
        but: &[],
    },
    Rule { module: "crate::cli", never: &["crate::engine::memory", "sled", "hyper"], but: &[] },
    Rule { module: "main", never: &["crate", "annals", "tonic", "tokio"], but: &["annals::cli"] },
];

/// A module that stands in a file of its own: its path, such as `crate::store::keys`, and what it says.
struct Module {
    path: String,
    source: String,
}

fn modules() -> Vec<Module> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<Module>) {
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.is_dir() {
                walk(&file, root, found);
            } else if file.extension().is_some_and(|extension| extension == "rs") {
                found.push(module(file.strip_prefix(root).unwrap(), fs::read_to_string(&file).unwrap()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn module(file: &Path, source: String) -> Module {
    let stem = file.with_extension("");
    let mut parts: Vec<&str> = stem.iter().map(|part| part.to_str().unwrap()).collect();
    if let ["main"] = parts.as_slice() {
        return Module { path: "main".to_owned(), source };
    }
    parts.pop_if(|last| matches!(*last, "mod" | "lib"));
    parts.insert(0, "crate");
    Module { path: parts.join("::"), source }
}

fn is_within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Every path of a module that has several parts or stands in a `use`, from the root of its crate, but for those of tests.
struct Reader<'m> {
    modules: &'m BTreeSet<&'m str>,
    inside: String,
    paths: BTreeSet<String>,
    test_modules: Vec<String>,
}

impl<'m> Reader<'m> {
    fn of(module: &Module, modules: &'m BTreeSet<&'m str>) -> Self {
        let mut reader = Self { modules, inside: module.path.clone(), paths: BTreeSet::new(), test_modules: Vec::new() };
        let file = syn::parse_file(&module.source).unwrap_or_else(|error| panic!("{}: {error}", module.path));
        reader.visit_file(&file);
        reader
    }

    fn add(&mut self, path: &[String]) {
        let mut base: Vec<&str> = self.inside.split("::").collect();
        let mut rest = path;
        match path[0].as_str() {
            "self" => rest = &path[1..],
            "super" => {
                let supers = path.iter().take_while(|part| *part == "super").count();
                base.truncate(base.len().saturating_sub(supers));
                rest = &path[supers..];
            }
            first if self.modules.contains(format!("{}::{first}", self.inside).as_str()) => {}
            _ => base.clear(),
        }
        base.extend(rest.iter().map(String::as_str));
        self.paths.insert(base.join("::"));
    }

    fn add_use(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.add_use(&path.tree, &with(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.add_use(item, before)),
            UseTree::Name(name) if name.ident == "self" && !before.is_empty() => self.add(before),
            UseTree::Name(name) => self.add(&with(name.ident.to_string())),
            UseTree::Rename(name) if name.ident == "self" => self.add(before),
            UseTree::Rename(name) => self.add(&with(name.ident.to_string())),
            UseTree::Glob(_) => self.add(&with("*".to_owned())),
        }
    }

    /// The paths among the words that a macro is given.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if path.is_empty() || colons == 2 => path.push(word.to_string()),
                TokenTree::Punct(sign) if sign.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                other => {
                    self.add_long(&path);
                    path = if let TokenTree::Ident(word) = &other { vec![word.to_string()] } else { Vec::new() };
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
            colons = 0;
        }
        self.add_long(&path);
    }

    fn add_long(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.add(path);
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if is_for_tests(&module.attrs) => {
                self.test_modules.push(format!("{}::{}", self.inside, module.ident));
            }
            Item::Mod(module) => {
                let outside = self.inside.clone();
                self.inside = format!("{outside}::{}", module.ident);
                visit::visit_item_mod(self, module);
                self.inside = outside;
            }
            Item::Fn(function) if is_for_tests(&function.attrs) => {}
            Item::Impl(item) if is_for_tests(&item.attrs) => {}
            Item::Use(item) if is_for_tests(&item.attrs) => {}
            Item::Use(item) => self.add_use(&item.tree, &[]),
            item => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add_long(&parts);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
    }
}

/// The paths that each module names, tests left out.
fn imports(modules: &[Module]) -> BTreeMap<&str, BTreeSet<String>> {
    let names = modules.iter().map(|module| module.path.as_str()).collect();
    let read: Vec<_> = modules.iter().map(|module| (module.path.as_str(), Reader::of(module, &names))).collect();
    let tests: Vec<String> = read.iter().flat_map(|(_, reader)| reader.test_modules.clone()).collect();
    let is_test = |path: &str| tests.iter().any(|test| is_within(path, test));
    read.into_iter().filter(|(path, _)| !is_test(path)).map(|(path, reader)| (path, reader.paths)).collect()
}

/// What breaks a rule.
fn breaches(modules: &[Module]) -> Vec<String> {
    let mut breaches = Vec::new();
    for (module, paths) in imports(modules) {
        for rule in RULES.iter().filter(|rule| is_within(module, rule.module)) {
            let longest = |prefixes: &[&str], path: &str| {
                prefixes.iter().filter(|prefix| is_within(path, prefix)).map(|prefix| prefix.len()).max().unwrap_or_default()
            };
            let broken = paths.iter().filter(|path| longest(rule.never, path) > longest(rule.but, path));
            breaches.extend(broken.map(|path| format!("{module}: {path}, which {} must not name", rule.module)));
        }
    }
    breaches
}

/// Files of one folder that name each other in a circle, each circle with its arrows.
fn cycles(modules: &[Module]) -> Vec<String> {
    let imports = imports(modules);
    let folder = |path: &str| path.rsplit_once("::").map(|(folder, _)| folder.to_owned());
    // Between two children of one folder, whatever lies below them.
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, paths) in &imports {
        for other in imports.keys() {
            let ancestors = |path: &str| std::iter::successors(Some(path.to_owned()), |path| folder(path)).collect::<Vec<_>>();
            let Some(common) = ancestors(module).into_iter().find(|above| is_within(other, above)) else { continue };
            let child = |path: &str| {
                let rest = path.strip_prefix(&common)?.strip_prefix("::")?;
                Some(format!("{common}::{}", rest.split("::").next()?))
            };
            if let (Some(from), Some(to)) = (child(module), child(other))
                && paths.iter().any(|path| is_within(path, other))
            {
                arrows.entry(from).or_default().insert(to);
            }
        }
    }
    let reaches = |from: &str, to: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(at) = open.pop() {
            for next in arrows.get(&at).into_iter().flatten() {
                if next == to {
                    return true;
                }
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        false
    };
    let back = arrows.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    back.filter(|(from, to)| reaches(to, from)).map(|(from, to)| format!("{from} -> {to}")).collect()
}

#[test]
fn imports_go_one_way() {
    let breaches = breaches(&modules());
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_files_of_a_folder_do_not_name_each_other_in_a_circle() {
    let cycles = cycles(&modules());
    assert!(cycles.is_empty(), "{}", cycles.join("\n"));
}

#[test]
fn every_rule_is_about_modules_that_there_are() {
    let modules = modules();
    let named = RULES.iter().flat_map(|rule| rule.never.iter().chain(rule.but).chain([&rule.module]));
    for path in named.filter(|path| path.starts_with("crate")) {
        assert!(modules.iter().any(|module| is_within(&module.path, path)), "there is no {path}");
    }
}

#[test]
fn every_module_says_what_it_is_and_every_folder_what_it_must_not_know() {
    for module in modules().iter().filter(|module| !module.path.contains("::tests")) {
        let head: String = module.source.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(!head.is_empty(), "{} does not say what it is", module.path);
        let stands_for_a_layer = module.path.matches("::").count() == 1;
        assert!(head.contains("ust not know") || !stands_for_a_layer, "{} does not say what it must not know", module.path);
    }
}

#[test]
fn a_path_is_seen_however_it_is_written() {
    let breaks = |path: &str, source: &str| {
        let others = ["engine/memory.rs", "engine/embedded/mod.rs", "rpc/mod.rs", "store/keys.rs"];
        let mut modules: Vec<_> = others.iter().map(|path| module(Path::new(path), String::new())).collect();
        modules.push(module(Path::new(path), source.to_owned()));
        breaches(&modules).join("\n")
    };
    for (source, named) in [
        ("use {std::fmt, tonic::{self, Code}};", "tonic::Code"),
        ("use tonic::{self as t};", "tonic"),
        ("pub(crate) use ::tonic::*;", "tonic::*"),
        ("use super::super::engine::memory::MemoryEngine as M;", "crate::engine::memory::MemoryEngine"),
        ("fn f<'a>(c: char) -> tonic::Status { todo!() }", "tonic::Status"),
        ("fn f() { println!(\"{}\", [tokio::spawn(g)]) }", "tokio::spawn"),
        ("mod inner { use super::super::super::rpc::x; }", "crate::rpc::x"),
        ("#[cfg(test)] mod tests { use tonic::Code; } use tokio::{sync::watch, time::sleep};", "tokio::time::sleep"),
    ] {
        let found = breaks("store/view.rs", source);
        assert!(found.contains(&format!(": {named},")), "{source}: {found}");
    }
    for harmless in [
        "// use tonic::Status;\nconst S: &str = \"use tonic::Status;\"; fn f<'tonic>(x: &'tonic str) {}",
        "use super::keys; use crate::{engine::{Engine, State}, model::Kind, proto}; use tokio::sync::watch;",
        "#[cfg(test)] mod tests { use crate::engine::memory::MemoryEngine; fn f() { tonic::x(); } }",
    ] {
        assert_eq!(breaks("store/view.rs", harmless), "", "{harmless}");
    }
    assert_eq!(breaks("main.rs", "fn main() { annals::cli::run() }"), "");
}

#[test]
fn a_circle_is_seen_through_the_folders_below() {
    let files = |list: &[(&str, &str)]| -> Vec<_> {
        list.iter().map(|(path, source)| module(Path::new(path), (*source).to_owned())).collect()
    };
    let round = [("a/mod.rs", ""), ("a/b.rs", "use super::c::x;"), ("a/c/mod.rs", ""), ("a/c/d.rs", "use crate::a::b;")];
    assert_eq!(cycles(&files(&round)), ["crate::a::b -> crate::a::c", "crate::a::c -> crate::a::b"]);
    assert_eq!(cycles(&files(&round[..3])), [""; 0]);
}
