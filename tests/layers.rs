//! Imports go one way: which modules a module may not name, and no two siblings of a folder that name each other in a cycle.
//!
//! The sources are parsed, tests are left out, and every path in them is resolved against the crate's modules. What Rust's own
//! visibility guards has no rule here: a private item cannot be named from outside.
#![allow(missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};
use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Item, UseTree,
    visit::{self, Visit},
};

/// A module; the paths that it and all below it never name; and the exceptions. The longer of two matching prefixes decides.
type Rule = (&'static str, &'static str, &'static str);

const RULES: &[Rule] = &[
    ("crate::proto", "crate sled tokio hyper http", ""),
    ("crate::limits", "crate prost tonic tokio", ""),
    ("crate::model", "crate sled tonic tokio hyper http std::fs std::thread", "crate::model crate::limits crate::proto"),
    ("crate::engine", "crate prost prost_types prost_reflect tonic tokio tokio_util hyper http", "crate::engine"),
    ("crate::engine::memory", "crate::engine::embedded std::fs std::path rustix", ""),
    ("crate::engine::embedded", "crate::engine::memory", ""),
    (
        "crate::store",
        "crate crate::engine::memory crate::engine::embedded sled std::fs tonic hyper http tokio",
        "crate::store crate::engine crate::model crate::limits crate::proto tokio::sync",
    ),
    ("crate::formats", "crate tonic sled", "crate::formats crate::store crate::model crate::limits crate::proto"),
    ("crate::rpc", "crate sled std::fs rustix", "crate::rpc crate::store crate::model crate::limits crate::proto"),
    (
        "crate::client",
        "crate sled hyper hyper_util http std::fs rustix tokio::spawn tokio::task",
        "crate::client crate::model crate::proto",
    ),
    ("crate::config", "crate tonic sled", "crate::config crate::rpc"),
    ("crate::open", "crate::model crate::proto crate::rpc crate::cli tonic hyper http", ""),
    ("crate::cli", "crate::engine::memory sled hyper", ""),
    ("main", "crate annals tonic tokio", "annals::cli"),
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
        for (of, never, but) in RULES.iter().filter(|(of, ..)| is_within(module, of)) {
            let longest = |prefixes: &str, path: &str| {
                prefixes.split(' ').filter(|prefix| is_within(path, prefix)).map(str::len).max().unwrap_or_default()
            };
            let broken = paths.iter().filter(|path| longest(never, path) > longest(but, path));
            breaches.extend(broken.map(|path| format!("{module}: {path}, which {of} must not name")));
        }
    }
    breaches
}

/// Files of one folder that name each other in a cycle: the members of each cycle. What lies below a folder counts as the folder.
fn cycles(modules: &[Module]) -> Vec<Vec<String>> {
    let imports = imports(modules);
    let mut arrows = DiGraphMap::<&str, ()>::new();
    for (module, paths) in &imports {
        for other in imports.keys().filter(|other| paths.iter().any(|path| is_within(path, other))) {
            if is_within(module, other) || is_within(other, module) {
                continue;
            }
            // Up to the first part that differs: siblings in the folder that both are in.
            let shared = module.split("::").zip(other.split("::")).take_while(|(from, to)| from == to).count();
            let sibling = |path| -> &str { str::match_indices(path, "::").nth(shared).map_or(path, |(end, _)| &path[..end]) };
            arrows.add_edge(sibling(module), sibling(other), ());
        }
    }
    let cycles = tarjan_scc(&arrows).into_iter().filter(|members| members.len() > 1);
    cycles.map(|members| members.into_iter().map(str::to_owned).collect()).collect()
}

#[test]
fn imports_go_one_way() {
    let breaches = breaches(&modules());
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_files_of_a_folder_do_not_name_each_other_in_a_cycle() {
    let cycles = cycles(&modules());
    assert!(cycles.is_empty(), "{cycles:?}");
}

#[test]
fn every_rule_is_about_modules_that_there_are() {
    let modules = modules();
    let named = RULES.iter().flat_map(|(of, never, but)| never.split(' ').chain(but.split(' ')).chain([*of]));
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
fn a_cycle_is_seen_through_the_folders_below() {
    let files = |list: &[(&str, &str)]| -> Vec<_> {
        list.iter().map(|(path, source)| module(Path::new(path), (*source).to_owned())).collect()
    };
    let round = [("a/mod.rs", ""), ("a/b.rs", "use super::c::x;"), ("a/c/mod.rs", ""), ("a/c/d.rs", "use crate::a::b;")];
    let mut found = cycles(&files(&round));
    for members in &mut found {
        members.sort();
    }
    assert_eq!(found, [["crate::a::b", "crate::a::c"]]);
    assert_eq!(cycles(&files(&round[..3])), [[""; 0]; 0]);
}
