//! The articles that a row of UCDP GED rests on, split at the semicolons of three of its columns.
//!
//! The columns themselves are kept whole: this is for reading and for counting, and where they do not fit together there is none.
//!
//! Knows these columns. Must not know events.

use std::iter::zip;

use crate::{
    formats::{identity, import::mutation::found, table::Line},
    proto::{Actor, ActorKind, Mutation, Source, SourceKind, TimeSpec},
};

/// Articles of a row that become sources. A record has so many references at most, and some to spare.
const ARTICLES_MAX: usize = 200;

/// An article.
pub(super) struct Article {
    /// The source's name.
    pub(super) name: String,
    /// What makes it: its publisher, and the source.
    pub(super) mutations: Vec<Mutation>,
}

/// The articles of a row.
pub(super) fn articles(line: &Line<'_>) -> Vec<Article> {
    let split = |column: &str| line.text(column).split(';').map(str::trim).collect::<Vec<_>>();
    let (offices, dates, headlines) = (split("source_office"), split("source_date"), split("source_headline"));
    if line.text("source_office").is_empty() || offices.len() != dates.len() || offices.len() != headlines.len() {
        return Vec::new();
    }
    let parts = zip(offices, zip(dates, headlines)).take(ARTICLES_MAX);
    let mut articles: Vec<Article> = Vec::new();
    for (office, (date, headline)) in
        parts.filter(|(office, (date, headline))| ![office, date, headline].iter().all(|part| part.is_empty()))
    {
        let article = article(office, date, headline);
        if !articles.iter().any(|known| known.name == article.name) {
            articles.push(article);
        }
    }
    articles
}

fn article(office: &str, date: &str, headline: &str) -> Article {
    let mut mutations = Vec::new();
    let mut publisher = String::new();
    if !office.is_empty() {
        let id = identity::digest(&[office]);
        publisher = format!("actors/ucdp-office-{id}");
        mutations.push(found(Actor {
            name: publisher.clone(),
            external_ids: vec![format!("ucdp.office:{id}")],
            display_name: identity::title(office),
            kind: ActorKind::Organization.into(),
            ..Default::default()
        }));
    }
    let id = identity::digest(&[office, date, headline]);
    let name = format!("sources/ucdp-article-{id}");
    let published = (!date.is_empty()).then(|| match date.parse::<jiff::civil::Date>() {
        Ok(day) if date.len() == 10 => TimeSpec { edtf: day.to_string(), ..Default::default() },
        _ => TimeSpec { verbatim: date.to_owned(), ..Default::default() },
    });
    mutations.push(found(Source {
        name: name.clone(),
        external_ids: vec![format!("ucdp.article:{id}")],
        kind: SourceKind::NewsArticle.into(),
        title: identity::title(headline),
        publisher,
        published,
        ..Default::default()
    }));
    Article { name, mutations }
}
