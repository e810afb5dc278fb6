//! A filter as the rest of the store uses it.

use super::{
    check::{Predicate, Test, check},
    mistake::Of,
    parse::parse,
};
use crate::{
    model::RecordKind,
    store::{StoreLimits, error::Result, view::View},
};

/// A filter on the records of one kind, ready to be asked about any number of them.
///
/// ```
/// use annals::{model::RecordKind, proto, store::{StoreLimits, query::Filter}};
/// use prost::Message as _;
///
/// let filter = Filter::parse(RecordKind::Event, r#"title = "*troops*" AND NOT labels:*"#, &StoreLimits::default())?;
/// let event = proto::Event { title: "Sending of troops".into(), ..Default::default() };
/// assert!(filter.matches(&event.encode_to_vec()));
/// # Ok::<(), annals::store::StoreError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    predicate: Predicate,
}

impl Filter {
    /// Reads a filter. An empty one matches every record.
    ///
    /// Fails with `FILTER_INVALID`, whose metadata say where and what was expected, or with `LIMIT_EXCEEDED`.
    pub fn parse(kind: RecordKind, text: &str, limits: &StoreLimits) -> Result<Self> {
        let tree = parse(text, limits)?;
        let predicate = check(kind, &tree).map_err(|mistake| mistake.into_error(Of::Filter, text))?;
        Ok(Self { predicate })
    }

    /// Lets each name of a record stand for every name that leads to the same record in this view. A filter that is not
    /// expanded compares references as they are stored.
    pub(crate) fn expand(&mut self, view: &View<'_>) -> Result<()> {
        expand(&mut self.predicate, view)
    }

    /// Whether a record, encoded as its kind's message, matches.
    pub fn matches(&self, record: &[u8]) -> bool {
        self.predicate.matches(record)
    }

    /// What it says.
    pub(super) fn predicate(&self) -> &Predicate {
        &self.predicate
    }
}

fn expand(predicate: &mut Predicate, view: &View<'_>) -> Result<()> {
    match predicate {
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter_mut().try_for_each(|part| expand(part, view)),
        Predicate::Not(part) | Predicate::Within(_, part) => expand(part, view),
        Predicate::Value(_, Test::Name { literal, names, .. }) => {
            *names = view.names_of(literal)?.iter().map(ToString::to_string).collect();
            names.sort_unstable();
            Ok(())
        }
        Predicate::Value(..) => Ok(()),
    }
}
