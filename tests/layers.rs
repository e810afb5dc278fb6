//! Imports go one way: which modules a module may not name, and no two siblings of a folder that name each other in a cycle.
//!
//! The sources are parsed, tests are left out, and every path in them is resolved against the crate's modules and the names that
//! each `use` gives: an alias or a re-export hides nothing. What Rust's own visibility guards has no rule here: a private item
//! cannot be named from outside.
#![allow(missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, iter, mem,
    path::Path,
};

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};
use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Ident, Item, UseTree,
    visit::{self, Visit},
};

/// Modules; the paths that they and all below them never name; and the exceptions. The longer of two matching prefixes decides.
type Rule = (&'static str, &'static str, &'static str);

const RULES: &[Rule] = &[
    ("crate::proto", "crate sled tokio hyper http", ""),
    ("crate::limits", "crate prost tonic tokio", ""),
    ("crate::model", "crate sled tonic tokio hyper http std::fs std::thread", "crate::model crate::limits crate::proto"),
    ("crate::model::edtf", "crate::proto", ""),
    ("crate::engine", "crate prost prost_types prost_reflect tonic tokio tokio_util hyper http", "crate::engine"),
    ("crate::engine::memory", "crate::engine::embedded std::fs std::path rustix", ""),
    ("crate::engine::embedded", "crate::engine::memory", ""),
    ("crate::engine::embedded::log", "sled crate::engine::embedded::state", ""),
    (
        "crate::store",
        "crate crate::engine::memory crate::engine::embedded sled std::fs tonic hyper http tokio",
        "crate::store crate::engine crate::model crate::limits crate::proto tokio::sync",
    ),
    ("crate::store::mutate crate::store::writer crate::store::inner", "crate::store::Store", ""),
    ("crate::formats", "crate tonic sled", "crate::formats crate::store crate::model crate::limits crate::proto"),
    ("crate::rpc", "crate sled std::fs rustix", "crate::rpc crate::store crate::model crate::limits crate::proto"),
    ("crate::rpc::connection crate::rpc::web", "crate::store", ""),
    (
        "crate::client",
        "crate sled hyper hyper_util http std::fs rustix tokio::spawn tokio::task",
        "crate::client crate::model crate::limits crate::proto",
    ),
    ("crate::config", "crate tonic sled", "crate::config crate::limits crate::rpc"),
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut left, mut found) = (vec![root.clone()], Vec::new());
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(module(path.strip_prefix(&root).unwrap(), fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn module(file: &Path, source: String) -> Module {
    let stem = file.with_extension("");
    let mut parts: Vec<&str> = stem.iter().map(|part| part.to_str().unwrap()).collect();
    parts.pop_if(|last| matches!(*last, "mod" | "lib"));
    if parts != ["main"] {
        parts.insert(0, "crate");
    }
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
    /// What each name that a `use` gives stands for. Both are paths from the root.
    names: BTreeMap<String, String>,
    test_modules: Vec<String>,
}

impl<'m> Reader<'m> {
    fn of(module: &Module, modules: &'m BTreeSet<&'m str>) -> Self {
        let (inside, paths, names) = (module.path.clone(), BTreeSet::new(), BTreeMap::new());
        let mut reader = Self { modules, inside, paths, names, test_modules: Vec::new() };
        let file = syn::parse_file(&module.source).unwrap_or_else(|error| panic!("{}: {error}", module.path));
        // The first time finds the names: a path may stand above the `use` that gives its first word.
        reader.visit_file(&file);
        reader.paths.clear();
        reader.visit_file(&file);
        reader
    }

    fn absolute(&self, path: &[String]) -> String {
        let here = format!("{}::{}", self.inside, path[0]);
        let supers = path.iter().take_while(|word| *word == "super").count();
        let base = match path[0].as_str() {
            "self" | "super" => self.inside.rsplitn(supers + 1, "::").last().unwrap_or_default(),
            _ if self.modules.contains(here.as_str()) => &here,
            first => self.names.get(&here).map_or(first, String::as_str),
        };
        iter::once(base).chain(path[supers.max(1)..].iter().map(String::as_str)).collect::<Vec<_>>().join("::")
    }

    fn add(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.paths.insert(self.absolute(path));
        }
    }

    fn add_use(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &str| [before, &[name.to_owned()]].concat();
        match tree {
            UseTree::Path(path) => self.add_use(&path.tree, &with(&path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.add_use(item, before)),
            UseTree::Name(name) => self.add_name(&with(&name.ident.to_string()), None),
            UseTree::Rename(name) => self.add_name(&with(&name.ident.to_string()), Some(&name.rename)),
            UseTree::Glob(_) => self.add(&with("*")),
        }
    }

    fn add_name(&mut self, path: &[String], rename: Option<&Ident>) {
        let path = self.absolute(path).trim_end_matches("::self").to_owned();
        let name = rename.map_or_else(|| path.rsplit("::").next().unwrap_or_default().to_owned(), Ident::to_string);
        self.names.insert(format!("{}::{name}", self.inside), path.clone());
        self.paths.insert(path);
    }

    /// The paths among the words that a macro is given.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Vec::new(), 0);
        for token in tokens {
            let before = mem::take(&mut colons);
            match token {
                TokenTree::Punct(sign) if sign.as_char() == ':' => colons = before + 1,
                TokenTree::Ident(word) if before == 2 => path.push(word.to_string()),
                TokenTree::Ident(word) => self.add(&mem::replace(&mut path, vec![word.to_string()])),
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                _ => self.add(&mem::take(&mut path)),
            }
        }
        self.add(&path);
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |path: syn::Path| path.is_ident("test");
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && attribute.parse_args().is_ok_and(is_test))
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
            Item::ExternCrate(item) => self.add_name(&[item.ident.to_string()], item.rename.as_ref().map(|(_, name)| name)),
            item => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.add_tokens(call.tokens.clone());
    }
}

/// The paths that each module names, and those for which they stand. Tests are left out.
fn imports(modules: &[Module]) -> BTreeMap<&str, BTreeSet<String>> {
    let known = modules.iter().map(|module| module.path.as_str()).collect();
    let read: Vec<_> = modules.iter().map(|module| (module.path.as_str(), Reader::of(module, &known))).collect();
    let names = read.iter().flat_map(|(_, reader)| &reader.names).map(|(name, path)| (name.as_str(), path.as_str()));
    let names: BTreeMap<_, _> = names.filter(|(name, _)| !known.contains(name)).collect();
    let next = |path: &String| {
        let mut ends = path.match_indices("::").map(|(end, _)| end).chain([path.len()]);
        ends.find_map(|end| Some([*names.get(&path[..end])?, &path[end..]].concat()))
    };
    let all = |path: &String| iter::successors(Some(path.clone()), next).take(9).collect::<Vec<_>>();
    let tests: Vec<_> = read.iter().flat_map(|(_, reader)| &reader.test_modules).collect();
    let others = read.iter().filter(|(path, _)| !tests.iter().any(|test| is_within(path, test)));
    others.map(|(path, reader)| (*path, reader.paths.iter().flat_map(all).collect())).collect()
}

/// What breaks a rule. A `*` of this crate does too, because it does not say what it names.
fn breaches(modules: &[Module]) -> Vec<String> {
    let mut breaches = Vec::new();
    for (module, paths) in imports(modules) {
        let stars = paths.iter().filter(|path| path.starts_with("crate::") && path.ends_with("::*"));
        breaches.extend(stars.map(|path| format!("{module}: {path}, of which it must name each item")));
        for (of, never, but) in RULES.iter().filter(|(of, ..)| of.split(' ').any(|of| is_within(module, of))) {
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
        let is_apart = |other: &&&str| !is_within(module, other) && !is_within(other, module);
        for other in imports.keys().filter(is_apart).filter(|other| paths.iter().any(|path| is_within(path, other))) {
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
    assert_eq!(breaches(&modules()), [""; 0]);
}

#[test]
fn the_files_of_a_folder_do_not_name_each_other_in_a_cycle() {
    assert_eq!(cycles(&modules()), [[""; 0]; 0]);
}

#[test]
fn every_rule_is_about_modules_that_there_are() {
    let modules = modules();
    let named = RULES.iter().flat_map(|(of, never, but)| never.split(' ').chain(but.split(' ')).chain(of.split(' ')));
    for path in named.filter(|path| path.starts_with("crate")) {
        assert!(modules.iter().any(|module| is_within(&module.path, path.trim_end_matches("::Store"))), "there is no {path}");
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

fn files(list: &[(&str, &str)]) -> Vec<Module> {
    list.iter().map(|(path, source)| module(Path::new(path), (*source).to_owned())).collect()
}

#[test]
fn a_path_is_seen_however_it_is_written() {
    let breaks = |path: &str, source: &str| {
        let others = ["engine/memory.rs", "engine/embedded/mod.rs", "rpc/mod.rs", "store/keys.rs"].map(|path| (path, ""));
        breaches(&files(&[&others[..], &[("engine/mod.rs", "pub use memory::M as Fast;"), (path, source)]].concat())).join("\n")
    };
    for (source, named) in [
        ("use {std::fmt, tonic::{self, Code}};", "tonic::Code"),
        ("use tonic::{self as t};", "tonic"),
        ("pub(crate) use ::tonic::*;", "tonic::*"),
        ("use super::super::engine::memory::MemoryEngine as M;", "crate::engine::memory::MemoryEngine"),
        ("fn f<'a>(c: char) -> tonic::Status { todo!() }", "tonic::Status"),
        ("fn f() { println!(\"{}\", [tokio::spawn(g)]) }", "tokio::spawn"),
        ("mod inner { use super::super::super::rpc::x; }", "crate::rpc::x"),
        ("extern crate tonic as t; fn f() { t::x() }", "tonic::x"),
        ("fn f(x: e::memory::M) {} use crate::engine as e;", "crate::engine::memory::M"),
        ("use crate::engine; fn f() { dbg!(engine::embedded::x()) }", "crate::engine::embedded::x"),
        ("use crate::{self as c}; fn f() { c::engine::Fast::x() }", "crate::engine::memory::M::x"),
        ("use crate::model::*;", "crate::model::*"),
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
fn a_cycle_is_seen_through_folders_re_exports_and_aliases() {
    for round in [
        [("a/b.rs", "use super::c::x;"), ("a/c/mod.rs", ""), ("a/c/d.rs", "use crate::a::b;")],
        [("a/mod.rs", "pub use b::X;"), ("a/b.rs", "use super::c::x;"), ("a/c.rs", "use super::X;")],
        [("a/mod.rs", "use self::b::X as Y;"), ("a/b.rs", "use super::c::x;"), ("a/c.rs", "fn f(y: super::Y) {}")],
        [("a/mod.rs", ""), ("a/b.rs", "use super::c::x;"), ("a/c.rs", "use crate::a as s; fn f() { s::b::x() }")],
    ] {
        let found: BTreeSet<_> = cycles(&files(&round)).concat().into_iter().collect();
        assert!(found.iter().eq(["crate::a::b", "crate::a::c"]), "{round:?}: {found:?}");
        assert_eq!(cycles(&files(&round[..2])), [[""; 0]; 0], "{round:?}");
    }
}
