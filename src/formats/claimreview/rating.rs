//! What a reviewer gave: words, and a number on a scale.
//!
//! Knows `Rating` of schema.org. Must not know what was rated.

use super::node::{Node, Thing};
use crate::{model::limit, proto::Rating};

/// A rating as it was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// "False", "Half true".
    words: Option<String>,
    value: Option<f64>,
    worst: Option<f64>,
    best: Option<f64>,
    explanation: Option<String>,
}

impl Given {
    /// The rating of a review, if it has one.
    pub(super) fn of(review: Node<'_>) -> Option<Self> {
        let given = match review.things("reviewRating").into_iter().next()? {
            Thing::Text(text) => Self { words: Some(text.to_owned()), ..Self::default() },
            Thing::Node(rating) => {
                let value = rating.number("ratingValue");
                // Words stand in the number's place, where there is no number.
                let instead = if value.is_none() { rating.text(&["ratingValue"]) } else { None };
                Self {
                    words: rating.text(&["alternateName", "name"]).or(instead),
                    value,
                    worst: rating.number("worstRating"),
                    best: rating.number("bestRating"),
                    explanation: rating.text(&["ratingExplanation", "description"]),
                }
            }
        };
        (given.words.is_some() || given.value.is_some()).then_some(given)
    }

    /// It in words: `rated "False"`, `rated 2 (1 to 5)`.
    pub(super) fn sentence(&self) -> String {
        match (&self.words, self.value, self.scale()) {
            (Some(words), ..) => format!("rated \"{words}\""),
            (None, Some(value), Some((least, most))) => format!("rated {value} ({least} to {most})"),
            (None, Some(value), None) => format!("rated {value}"),
            (None, None, _) => "reviewed".to_owned(),
        }
    }

    /// The ends of the scale in order: on some the best is the smaller. None where the value is not on it, as where both are written as 0 or -1
    /// for "there is no number": then the words count alone.
    fn scale(&self) -> Option<(f64, f64)> {
        let (worst, best) = (self.worst?, self.best?);
        let (least, most) = (worst.min(best), worst.max(best));
        (least < most && self.value.is_none_or(|value| (least..=most).contains(&value))).then_some((least, most))
    }

    /// Whether the number says anything: not, where a scale was given and it is not on it.
    fn has_number(&self) -> bool {
        self.scale().is_some() || self.worst.is_none() || self.best.is_none()
    }

    /// The rating of the contract.
    pub(super) fn rating(&self) -> Rating {
        let value = self.value.filter(|_| self.has_number());
        let number = self.value.map(|value| value.to_string());
        let words = self.words.clone().or(number).unwrap_or_default();
        let plain: String = words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        let code: String = plain.trim().chars().take(limit::CODE_CHARS_MAX).collect();
        let scale = self.scale().filter(|_| value.is_some());
        let cut = (code != words).then_some(words);
        Rating {
            code: format!("claimreview.rating:{}", code.trim_end()),
            value,
            scale_min: scale.map(|(least, _)| least),
            scale_max: scale.map(|(_, most)| most),
            rationale: self.explanation.clone().or(cut).unwrap_or_default(),
            ..Default::default()
        }
    }
}
