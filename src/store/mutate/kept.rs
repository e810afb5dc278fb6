//! Chooses the name under which each reference of a change is stored: the one that is stored already, as long as it leads to the
//! same record, or else the record's name now. So what was read and is sent back unchanged changes nothing, also after a merge.
//!
//! An element of a field (a participant, a citation, a plain name) that is stored already is kept as it is. So is one that differs
//! from a stored element only in other names of the same records. In an element that is new, a name stays if the field has stored
//! it before.
//!
//! Knows encoded fields and where references are. Must not know why a name leads to a record, or whether it may be referred to.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use crate::{
    model::{schema::Reference, wire},
    store::error::Result,
};

/// Finds the name that a text in a reference leads to now. `None` if it leads nowhere.
pub(super) type Leads<'f> = dyn FnMut(&Reference, &str) -> Result<Option<String>> + 'f;

/// Returns a sent body with the names to store. `stored` is the body or record before, empty if there is none. Only these
/// references are looked at.
pub(super) fn with_names(sent: &[u8], stored: &[u8], references: &[&Reference], leads: &mut Leads<'_>) -> Result<Vec<u8>> {
    let numbers: BTreeSet<u32> = references.iter().filter_map(|reference| reference.path.first().copied()).collect();
    let mut parts = wire::Parts::of(sent);
    for number in numbers {
        let inside: Vec<&Reference> =
            references.iter().copied().filter(|reference| reference.path.first() == Some(&number)).collect();
        let elements = |message| wire::fields(message).filter(move |field| field.number == number).map(|field| field.raw);
        let field = Field { references: inside, sent: elements(sent).collect(), stored: elements(stored).collect() };
        if !field.sent.is_empty() {
            parts.set(number, field.names(leads)?);
        }
    }
    Ok(parts.encode())
}

/// The elements of one top-level field.
struct Field<'b> {
    references: Vec<&'b Reference>,
    sent: Vec<&'b [u8]>,
    stored: Vec<&'b [u8]>,
}

impl Field<'_> {
    fn names(&self, leads: &mut Leads<'_>) -> Result<Vec<u8>> {
        let mut kept: Vec<Option<&[u8]>> =
            self.sent.iter().zip(&self.stored).map(|(sent, stored)| (sent == stored).then_some(*sent)).collect();
        kept.resize(self.sent.len(), None);
        let mut free: Vec<bool> = (0..self.stored.len()).map(|index| kept.get(index).copied().flatten().is_none()).collect();
        let as_sent: Vec<_> = self.sent.iter().map(|element| element.to_vec()).collect();
        self.pair(&as_sent, &mut kept, &mut free, &mut |element| Ok(element.to_vec()))?;
        if kept.contains(&None) && free.contains(&true) {
            let now = self.sent.iter().zip(&kept).map(|(element, kept)| match kept {
                Some(kept) => Ok(kept.to_vec()),
                None => self.replace(element, leads),
            });
            let now = now.collect::<Result<Vec<_>>>()?;
            self.pair(&now, &mut kept, &mut free, &mut |element| self.replace(element, leads))?;
        }
        let before = self.stored_texts();
        let mut named = Vec::new();
        for (element, kept) in self.sent.iter().zip(kept) {
            match kept {
                Some(kept) => named.extend_from_slice(kept),
                None => named.extend(self.replace(element, &mut |reference, text| {
                    if before.contains(&(reference.path.as_slice(), text)) { Ok(None) } else { leads(reference, text) }
                })?),
            }
        }
        Ok(named)
    }

    /// Pairs sent elements that have no stored one yet with free stored elements of the same form, the one at the same position
    /// first. `sent` has the forms of the sent elements.
    fn pair<'s>(
        &'s self,
        sent: &[Vec<u8>],
        kept: &mut [Option<&'s [u8]>],
        free: &mut [bool],
        form: &mut dyn FnMut(&[u8]) -> Result<Vec<u8>>,
    ) -> Result<()> {
        let mut by_form: HashMap<Vec<u8>, VecDeque<usize>> = HashMap::new();
        for (index, element) in self.stored.iter().enumerate().filter(|(index, _)| free.get(*index) == Some(&true)) {
            by_form.entry(form(element)?).or_default().push_back(index);
        }
        for same_position in [true, false] {
            for (index, form) in sent.iter().enumerate() {
                if kept.get(index).is_some_and(Option::is_some) {
                    continue;
                }
                let Some(indexes) = by_form.get_mut(form) else { continue };
                let at = if same_position { indexes.iter().position(|stored| *stored == index) } else { Some(0) };
                if let Some(stored) = at.and_then(|at| indexes.remove(at))
                    && let (Some(kept), Some(free)) = (kept.get_mut(index), free.get_mut(stored))
                {
                    (*kept, *free) = (self.stored.get(stored).copied(), false);
                }
            }
        }
        Ok(())
    }

    /// An element with other names in its references.
    fn replace(&self, element: &[u8], name: &mut Leads<'_>) -> Result<Vec<u8>> {
        let mut replaced = element.to_vec();
        let mut failed = None;
        for reference in &self.references {
            replaced = wire::replace_texts(&replaced, &reference.path, &mut |text| match name(reference, text) {
                Ok(name) => name,
                Err(error) => {
                    failed = Some(error);
                    None
                }
            });
        }
        failed.map_or(Ok(replaced), Err)
    }

    /// The texts that the field has stored, by the path of their reference.
    fn stored_texts(&self) -> HashSet<(&[u32], &str)> {
        let mut texts = HashSet::new();
        for element in &self.stored {
            for reference in &self.references {
                wire::visit_texts(element, &reference.path, &mut |_, text| {
                    texts.insert((reference.path.as_slice(), text));
                });
            }
        }
        texts
    }
}
