//! Finds where commands and answers end in a stream of bytes, in RESP2 and RESP3.
//!
//! A frame is one whole command or one whole answer, however deeply it is nested. Nothing is decoded that is not asked for, and a frame that
//! arrives in many reads is looked at once: a proxy must not slow down what it does not disturb.

/// The deepest nesting that is followed.
const DEEPEST: usize = 32;
/// The longest text, and the most elements, that are believed; redis-server takes no more than 512 MiB.
const LONGEST: usize = 1 << 30;

/// The stream is no RESP, or a part of it that Redis does not send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unintelligible;

/// Bytes that arrived and were not taken out yet, and how far they were looked at.
#[derive(Debug)]
pub(crate) struct Frames {
    buffer: Vec<u8>,
    /// Where the next frame begins, and where the next look does.
    start: usize,
    scanned: usize,
    /// How many elements are still to come at each level of the frame.
    open: Vec<usize>,
    /// Whether a frame may be a line of words, as people type them.
    inline: bool,
}

impl Frames {
    /// For what a client sends.
    pub(crate) fn of_commands() -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, open: Vec::new(), inline: true }
    }

    /// For what a server sends.
    pub(crate) fn of_answers() -> Self {
        Self { inline: false, ..Self::of_commands() }
    }

    /// Adds what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // Moving what is left once a read keeps a read of many frames from costing as many moves.
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes out the next whole frame, if there is one.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<u8>>, Unintelligible> {
        while let Some((end, children)) = self.element()? {
            self.scanned = end;
            if children > 0 {
                if self.open.len() == DEEPEST {
                    return Err(Unintelligible);
                }
                self.open.push(children);
            } else if self.is_whole() {
                let frame = self.buffer[self.start..end].to_vec();
                self.start = end;
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Counts an element that has ended, and whether the frame has ended with it.
    fn is_whole(&mut self) -> bool {
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }

    /// Where the next element ends and how many elements follow that belong to it; nothing, if it has not arrived yet.
    fn element(&self) -> Result<Option<(usize, usize)>, Unintelligible> {
        let rest = &self.buffer[self.scanned..];
        let Some(length) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let (line, body) = (&rest[..length], self.scanned + length + 1);
        let Some(kind) = line.first() else { return self.typed(body) };
        match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => Ok(Some((body, 0))),
            b'$' | b'!' | b'=' => {
                let Some(text) = count(line)? else { return Ok(Some((body, 0))) };
                let end = body + text + 2;
                Ok((end <= self.buffer.len()).then_some((end, 0)))
            }
            b'*' | b'~' | b'>' => Ok(Some((body, count(line)?.unwrap_or(0)))),
            b'%' => Ok(Some((body, 2 * count(line)?.unwrap_or(0)))),
            // Attributes stand before the element that they belong to.
            b'|' => Ok(Some((body, 2 * count(line)?.unwrap_or(0) + 1))),
            _ => self.typed(body),
        }
    }

    /// A line of words, which only a client may send and only in place of a whole frame.
    fn typed(&self, end: usize) -> Result<Option<(usize, usize)>, Unintelligible> {
        if self.inline && self.open.is_empty() { Ok(Some((end, 0))) } else { Err(Unintelligible) }
    }
}

/// The number in a line such as `$12`; nothing for `$-1`, which stands for no value.
fn count(line: &[u8]) -> Result<Option<usize>, Unintelligible> {
    let digits = line[1..].strip_suffix(b"\r").ok_or(Unintelligible)?;
    if digits == b"-1" {
        return Ok(None);
    }
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.filter(|number| *number <= LONGEST).map(Some).ok_or(Unintelligible)
}

/// The texts of a frame: the words of a command, or what a push consists of. What is nested deeper is left out.
pub(crate) fn words(frame: &[u8]) -> Vec<&[u8]> {
    if !matches!(frame.first(), Some(b'*' | b'>' | b'~')) {
        return frame.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    }
    let mut words = Vec::new();
    let mut rest = after_line(frame);
    while let [b'$', ..] = rest {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
        let (length, body) = (count(&rest[..end]).ok().flatten().unwrap_or(0), &rest[end + 1..]);
        let Some(word) = body.get(..length) else { break };
        words.push(word);
        rest = body.get(length + 2..).unwrap_or_default();
    }
    words
}

fn after_line(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|byte| *byte == b'\n').map_or(&[], |end| &bytes[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(mut frames: Frames, stream: &[u8], step: usize) -> Vec<String> {
        let mut found = Vec::new();
        for part in stream.chunks(step) {
            frames.push(part);
            while let Some(frame) = frames.next().unwrap() {
                found.push(String::from_utf8(frame).unwrap());
            }
        }
        found
    }

    #[test]
    fn every_kind_of_answer_ends_where_it_ends_however_it_is_cut() {
        let answers = [
            "+OK\r\n",
            "-ERR no\r\n",
            ":12\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "$4\r\n\r\n+x\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n*1\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n",
            "_\r\n",
            "#t\r\n",
            ",1.5\r\n",
            "(99999999999999999999\r\n",
            "!5\r\nERR x\r\n",
            "=7\r\ntxt:abc\r\n",
            "%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n:2\r\n",
            "|1\r\n+ttl\r\n:3\r\n*1\r\n+x\r\n",
            ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n",
        ];
        let stream = answers.concat();
        for step in [1, 2, 3, 7, stream.len()] {
            assert_eq!(frames(Frames::of_answers(), stream.as_bytes(), step), answers, "{step}");
        }
    }

    #[test]
    fn commands_may_be_typed_lines() {
        let stream = "PING\r\n*1\r\n$4\r\nPING\r\nSET a  1\n\r\n";
        let expected = ["PING\r\n", "*1\r\n$4\r\nPING\r\n", "SET a  1\n", "\r\n"];
        for step in [1, stream.len()] {
            assert_eq!(frames(Frames::of_commands(), stream.as_bytes(), step), expected);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for stream in ["hello\r\n", "*x\r\n", "$99999999999\r\n", "$3\n", "*1\r\nhello\r\n", &"*1\r\n".repeat(40)] {
            let mut frames = Frames::of_answers();
            frames.push(stream.as_bytes());
            assert_eq!(frames.next(), Err(Unintelligible), "{stream}");
        }
    }

    #[test]
    fn words_are_read_in_both_forms() {
        assert_eq!(words(b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n"), [b"GET".as_slice(), b"\r\n"]);
        assert_eq!(words(b" SET a  1\r\n"), [b"SET".as_slice(), b"a", b"1"]);
        assert_eq!(words(b">2\r\n$7\r\nmessage\r\n$1\r\nc\r\n"), [b"message".as_slice(), b"c"]);
        assert!(words(b"*0\r\n").is_empty() && words(b"\r\n").is_empty() && words(b"*1\r\n$9\r\nab").is_empty());
    }
}
