//! Cuts JSON text at its outermost level, without decoding what stands inside.
//!
//! A list of a thousand objects is cut into a thousand pieces that are decoded one by one: an
//! object that is broken inside costs only itself, as long as its brackets and quotes close.

/// The text does not even hold together at its outermost level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no JSON from byte {at} on")]
pub(crate) struct Broken {
    pub at: usize,
}

type Member<'a> = (&'a [u8], &'a [u8]);

/// The members of a mapping: raw key (without quotes) and the text of the value.
pub(crate) fn members(json: &[u8]) -> impl Iterator<Item = Result<Member<'_>, Broken>> {
    let mut cursor = Cursor { json, at: 0 };
    let mut first = true;
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let next = cursor.next_member(&mut first).transpose();
        over = !matches!(next, Some(Ok(_)));
        next
    })
}

/// The texts of a list's elements.
pub(crate) fn elements(json: &[u8]) -> impl Iterator<Item = Result<&[u8], Broken>> {
    let mut cursor = Cursor { json, at: 0 };
    let mut first = true;
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let next = cursor.next_element(&mut first).transpose();
        over = !matches!(next, Some(Ok(_)));
        next
    })
}

struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    fn next_member(&mut self, first: &mut bool) -> Result<Option<Member<'a>>, Broken> {
        if !self.enter(b'{', b'}', first)? {
            return Ok(None);
        }
        let key = self.value()?;
        let key = key
            .strip_prefix(b"\"")
            .and_then(|key| key.strip_suffix(b"\""));
        let key = key.ok_or(self.broken())?;
        self.expect(b':')?;
        Ok(Some((key, self.value()?)))
    }

    fn next_element(&mut self, first: &mut bool) -> Result<Option<&'a [u8]>, Broken> {
        if !self.enter(b'[', b']', first)? {
            return Ok(None);
        }
        self.value().map(Some)
    }

    /// Steps over the opening bracket or the comma; false at the closing one.
    fn enter(&mut self, open: u8, close: u8, first: &mut bool) -> Result<bool, Broken> {
        if std::mem::take(first) {
            self.expect(open)?;
            if self.peek() == Some(close) {
                return Ok(false);
            }
            return Ok(true);
        }
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => Ok(false),
            _ => Err(self.broken()),
        }
    }

    /// The text of the value that begins here.
    fn value(&mut self) -> Result<&'a [u8], Broken> {
        let start = match self.peek() {
            None | Some(b',' | b':' | b'}' | b']') => return Err(self.broken()),
            Some(_) => self.at,
        };
        let mut depth = 0_usize;
        while let Some(&byte) = self.json.get(self.at) {
            match byte {
                b'"' => self.string()?,
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth > 0 => depth -= 1,
                b'}' | b']' | b',' if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
            let closed = depth == 0 && matches!(byte, b'"' | b'}' | b']');
            if closed {
                break;
            }
        }
        if depth > 0 {
            return Err(self.broken());
        }
        let text = self.json.get(start..self.at).ok_or(self.broken())?;
        Ok(text.trim_ascii_end())
    }

    /// From the opening quote to the closing one, which is left to be stepped over.
    fn string(&mut self) -> Result<(), Broken> {
        loop {
            self.at += 1;
            match self.json.get(self.at) {
                Some(b'\\') => self.at += 1,
                Some(b'"') => return Ok(()),
                Some(_) => {}
                None => return Err(self.broken()),
            }
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Broken> {
        if self.peek() != Some(wanted) {
            return Err(self.broken());
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while self.json.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.json.get(self.at).copied()
    }

    fn broken(&self) -> Broken {
        Broken { at: self.at }
    }
}
