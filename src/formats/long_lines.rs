//! Lines of a file, none of which fills the memory.
//!
//! Knows lines and a bound. Must not know what is in one.

use std::io::{self, BufRead, Read};

/// Bytes of a line that are read. A request has 4 MiB at most, and its JSON is seldom twice as long.
pub const LINE_BYTES_MAX: u64 = 32 << 20;

/// Reads the next line, if there is one, and tells whether it is whole. Of one that is too long the rest is passed over.
pub fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    if from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if (line.len() as u64) < LINE_BYTES_MAX || line.ends_with(b"\n") {
        return Ok(Some(true));
    }
    from.skip_until(b'\n')?;
    Ok(Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_is_read() {
        let long = usize::try_from(LINE_BYTES_MAX).expect("fits") + 10;
        let text = [b"one\n".to_vec(), vec![b'x'; long], b"\n\ntwo".to_vec()].concat();
        let mut from = text.as_slice();
        let mut line = Vec::new();
        let mut seen = Vec::new();
        while let Some(whole) = read_line(&mut from, &mut line).expect("read") {
            seen.push((whole, line.len().min(9)));
        }
        assert_eq!(seen, [(true, 4), (false, 9), (true, 1), (true, 3)]);
    }
}
