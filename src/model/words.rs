//! The words of a name, folded so that a search finds what looks alike: "Łódź" by "lodz", "Kim Jong-un" by "JONG".
//!
//! The index stores what [`words`] yields and a filter searches for what it yields, so both always agree; change it and the
//! index has to be built anew. Knows Unicode. Must not know which texts are indexed.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The words of a text in their order: in lower case, without diacritics, compatibility forms made plain ("ﬁ", "Ⅷ", full
/// width), split wherever there is neither letter nor digit.
///
/// Marks are dropped only where a reader takes the letter without them for the same one: the accents of Latin, Greek and
/// Cyrillic, the points of Hebrew and Arabic. The vowel signs of Indic scripts and Thai and the voicing of kana make another
/// word, and stay. Hangul stays in syllables. A script written without spaces yields its runs whole.
///
/// ```
/// use annals::model::words;
///
/// assert_eq!(words("Zoë  O’Brien-Łukasz"), ["zoe", "o", "brien", "lukasz"]);
/// assert_eq!(words("폭풍군단 (Storm Corps)"), ["폭풍군단", "storm", "corps"]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    if text.is_ascii() {
        return text
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
    }
    let mut folded = String::with_capacity(text.len());
    for letter in text.nfkd().flat_map(char::to_lowercase).filter(|letter| !is_accent(*letter)) {
        match fold(letter) {
            "" => folded.push(letter),
            plain => folded.push_str(plain),
        }
    }
    // NFC puts Hangul, and the marks that stay, together again.
    let folded: String = folded.nfc().collect();
    folded.split(|letter| !in_word(letter)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A letter, a digit, or a mark that stayed: some vowel signs are alphabetic to Unicode and the sign that there is none
/// (virama) is not, though it stands in the middle of words.
fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() || is_combining_mark(letter)
}

/// Marks that a reader overlooks.
fn is_accent(letter: char) -> bool {
    is_combining_mark(letter)
        && matches!(u32::from(letter),
            0x0300..=0x036f | 0x0483..=0x0489 // Latin, Greek, Cyrillic
            | 0x0591..=0x05c7 // Hebrew points
            | 0x0610..=0x061a | 0x064b..=0x065f | 0x0670 | 0x06d6..=0x06ed // Arabic points
            | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}

/// Letters that Unicode does not take apart and that keyboards elsewhere do not have. Empty: the letter stays.
fn fold(letter: char) -> &'static str {
    match letter {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        'ŧ' => "t",
        'ς' => "σ",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: &[&str]) {
        assert_eq!(words(text), expect, "{text:?}");
    }

    #[test]
    fn case_and_accents_are_folded() {
        check("Storm Corps", &["storm", "corps"]);
        check("ÉCOLE École ecole", &["ecole", "ecole", "ecole"]);
        check("Łódź", &["lodz"]);
        check("Straße STRASSE", &["strasse", "strasse"]);
        check("İstanbul Iğdır", &["istanbul", "igdir"]);
        check("Đorđević Ærø Þór", &["dordevic", "aero", "thor"]);
        check("Жуковский Ёлка", &["жуковскии", "елка"]);
        check("ΟΔΥΣΣΕΥΣ Ὀδυσσεύς", &["οδυσσευσ", "οδυσσευσ"]);
        check("ﬁne Ⅷ ＡＢＣ", &["fine", "viii", "abc"]);
    }

    #[test]
    fn words_end_where_there_is_neither_letter_nor_digit() {
        check("", &[]);
        check(" - ’ ", &[]);
        check("11th Storm-Corps (DPRK), 2.5", &["11th", "storm", "corps", "dprk", "2", "5"]);
        check("Assembly’s", &["assembly", "s"]);
        check("a_b", &["a", "b"]);
    }

    #[test]
    fn other_scripts_keep_what_makes_their_words() {
        check("폭풍군단 국가정보원", &["폭풍군단", "국가정보원"]);
        // The same in conjoining letters, as some systems write names of files.
        check("\u{1111}\u{1169}\u{11a8}\u{1111}\u{116e}\u{11bc}", &["폭풍"]);
        check("がガ か", &["がガ", "か"]);
        check("朝鲜人民军、俄罗斯", &["朝鲜人民军", "俄罗斯"]);
        check("हिन्दी भाषा", &["हिन्दी", "भाषा"]);
        check("ประเทศไทย", &["ประเทศไทย"]);
        check("مُحَمَّد محمد", &["محمد", "محمد"]);
        check("שָׁלוֹם", &["שלום"]);
    }

    proptest! {
        /// A filter that is given the stored words finds the record: folding what is folded changes nothing.
        #[test]
        fn words_of_words_are_the_same(text in "\\PC{0,40}") {
            let once = words(&text);
            prop_assert_eq!(words(&once.join(" ")), once);
        }
    }
}
