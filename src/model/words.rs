//! The words of a name, folded so that a search finds names that look alike: "Łódź" by "lodz", "Kim Jong-un" by "JONG".
//!
//! The index stores the result of [`words`], and a filter searches for the result of [`words`], so the two always agree. After
//! a change to this function the index must be rebuilt. Knows Unicode. Must not know which texts are indexed.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The words of a text, in order. They are in lower case and without diacritics; compatibility forms ("ﬁ", "Ⅷ", full width)
/// become plain letters. A word ends at any character that is neither a letter nor a digit.
///
/// A combining mark is dropped only if readers take the letter without it for the same letter: the accents of Latin, Greek and
/// Cyrillic, the points of Hebrew and Arabic. The vowel signs of Indic scripts and Thai and the voicing of kana make a
/// different word, so they stay. Hangul stays in syllables. In a script written without spaces, an unbroken run of letters is
/// one word.
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
    // NFC composes Hangul, and the marks that stay, again.
    let folded: String = folded.nfc().collect();
    folded.split(|letter| !in_word(letter)).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether a character is part of a word: a letter, a digit, or a mark that was not dropped. The marks need a check of their
/// own: some vowel signs are alphabetic in Unicode, but the virama, which occurs inside words, is not.
fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() || is_combining_mark(letter)
}

/// Whether a character is a combining mark that readers ignore.
fn is_accent(letter: char) -> bool {
    is_combining_mark(letter)
        && matches!(u32::from(letter),
            0x0300..=0x036f | 0x0483..=0x0489 // Latin, Greek, Cyrillic
            | 0x0591..=0x05c7 // Hebrew points
            | 0x0610..=0x061a | 0x064b..=0x065f | 0x0670 | 0x06d6..=0x06ed // Arabic points
            | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}

/// The replacement of a letter that Unicode does not decompose and that many keyboards lack. Empty if the letter stays.
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
        // The same in conjoining letters, as some systems write file names.
        check("\u{1111}\u{1169}\u{11a8}\u{1111}\u{116e}\u{11bc}", &["폭풍"]);
        check("がガ か", &["がガ", "か"]);
        check("朝鲜人民军、俄罗斯", &["朝鲜人民军", "俄罗斯"]);
        check("हिन्दी भाषा", &["हिन्दी", "भाषा"]);
        check("ประเทศไทย", &["ประเทศไทย"]);
        check("مُحَمَّد محمد", &["محمد", "محمد"]);
        check("שָׁלוֹם", &["שלום"]);
    }

    proptest! {
        /// A filter that is given the stored words finds the record: folding is idempotent.
        #[test]
        fn words_of_words_are_the_same(text in "\\PC{0,40}") {
            let once = words(&text);
            prop_assert_eq!(words(&once.join(" ")), once);
        }
    }
}
