//! Checks the span and quote of each citation against the text of its source.
//!
//! A citation is checked when it is new or changed, and when the source gets its text. What stands as it was stored is not checked
//! again: a merge may have given the source another text, and an unmerge takes it away again. So the text that counts is that of
//! the name which the citation has stored, and only if that one has no text, the text of the record that it was merged into.
//!
//! Knows records after the planned changes. Must not know how a span counts.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{Changes, PlannedChange};
use crate::{
    engine::ScanDirection,
    model::{FieldPath, RecordKind, RecordName, Violations},
    proto::ChangeKind,
    store::{citations, error::Result, keys},
};

/// Most broken citations that an error lists.
const BROKEN_LISTED: usize = 100;
/// Reference keys read at once.
const REFERRERS_AT_ONCE: usize = 64;

/// A text, and the source that has it.
type Text = (RecordName, String);

impl Changes<'_> {
    /// Checks the citations that the commit sets, and those of the sources that get a text.
    pub(super) fn check_quotes(&self, violations: &mut Violations) -> Result<()> {
        let mut texts: HashMap<(RecordName, bool), Option<Text>> = HashMap::new();
        for planned in self.planned.iter().filter(|planned| planned.is_live()) {
            self.check_set(planned, &mut texts, violations)?;
        }
        for planned in self.live_planned(RecordKind::Source) {
            if gets_text(planned) {
                self.check_citing(planned, violations)?;
            }
        }
        Ok(())
    }

    /// Checks the citations that a change sets, but not those that were stored already.
    fn check_set(
        &self,
        planned: &PlannedChange,
        texts: &mut HashMap<(RecordName, bool), Option<Text>>,
        violations: &mut Violations,
    ) -> Result<()> {
        let kind = planned.name.kind();
        if !citations::field(kind).is_some_and(|number| planned.sets.contains(number)) {
            return Ok(());
        }
        let root = FieldPath::ROOT;
        let at = root.field(&planned.at);
        // What comes back was checked before. Only its own source may have got a text since.
        let comes_back = matches!(planned.change, ChangeKind::Undeleted | ChangeKind::Unmerged);
        let stored = stored(planned);
        for cited in citations::spanned(kind, &planned.body).filter(|cited| !stored.contains(cited.raw)) {
            let asked = (cited.source.clone(), !comes_back);
            if !texts.contains_key(&asked) {
                let text = self.text(&cited.source, asked.1)?;
                texts.insert(asked.clone(), text);
            }
            if let Some((_, text)) = texts.get(&asked).and_then(Option::as_ref) {
                cited.check(text, &at, violations);
            }
        }
        Ok(())
    }

    /// Checks the stored citations of a source that gets a text.
    fn check_citing(&self, source: &PlannedChange, violations: &mut Violations) -> Result<()> {
        let Some(text) = citations::text_of(&source.body) else { return Ok(()) };
        let root = FieldPath::ROOT;
        let planned_at = root.field(&source.at);
        let at = planned_at.field("text");
        let mut broken = 0;
        for name in self.names_after(&source.name)? {
            if self.text(&name, true)?.is_none_or(|(holder, _)| holder != source.name) {
                continue;
            }
            for referrer in self.referrers(&name)? {
                let Some(after) = self.after(&referrer)?.filter(|after| after.live) else { continue };
                // A citation that this commit sets is reported there.
                let planned = self.by_name.get(&referrer).and_then(|index| self.planned.get(*index));
                let sets = planned
                    .filter(|planned| citations::field(referrer.kind()).is_some_and(|field| planned.sets.contains(field)));
                let stored = sets.map(stored);
                for cited in citations::spanned(referrer.kind(), &after.body).filter(|cited| cited.source == name) {
                    if stored.as_ref().is_some_and(|stored| !stored.contains(cited.raw)) {
                        continue;
                    }
                    for difference in cited.differences(text) {
                        broken += 1;
                        if broken <= BROKEN_LISTED {
                            let description = format!("{referrer} cites it: {} {}", difference.field, difference.description);
                            violations.invalid(&at, description);
                        }
                    }
                }
            }
        }
        if broken > BROKEN_LISTED {
            violations
                .invalid(&at, format!("{broken} such citations differ from it in all, of which {BROKEN_LISTED} are listed"));
        }
        Ok(())
    }

    /// The records that refer, or have referred, to a record by this name.
    fn referrers(&self, name: &RecordName) -> Result<BTreeSet<RecordName>> {
        let mut referrers = BTreeSet::new();
        for entry in self.view.scan(keys::references_to(name), ScanDirection::Forward, REFERRERS_AT_ONCE) {
            let (key, _) = entry?;
            let referrer = keys::referrer(name, &key).and_then(|(kind, id)| RecordName::new(kind, id).ok());
            referrers.extend(referrer.filter(|referrer| citations::field(referrer.kind()).is_some()));
        }
        Ok(referrers)
    }

    /// The text of a source by one of its names. `follow`: if that one has no text, the text of the record it was merged into.
    fn text(&self, name: &RecordName, follow: bool) -> Result<Option<Text>> {
        let mut at = name.clone();
        while at.kind() == RecordKind::Source {
            let Some(after) = self.after(&at)? else { return Ok(None) };
            if let Some(text) = citations::text_of(&after.body) {
                return Ok(Some((at, text.to_owned())));
            }
            match self.redirect(&at)?.filter(|_| follow) {
                Some(target) => at = target,
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// The citations that a live record had before a change.
fn stored(planned: &PlannedChange) -> HashSet<&[u8]> {
    let before = planned.before.as_ref().filter(|before| before.is_live());
    let record = before.map(|before| before.record.as_ref()).unwrap_or_default();
    citations::spanned(planned.name.kind(), record).map(|cited| cited.raw).collect()
}

/// Whether a change gives a source the text that it did not have.
fn gets_text(planned: &PlannedChange) -> bool {
    let before = planned.before.as_ref().filter(|before| before.is_live());
    before.is_some_and(|before| citations::text_of(&before.record).is_none()) && citations::text_of(&planned.body).is_some()
}
