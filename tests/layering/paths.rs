//! Reads Rust just far enough to know every path that a file names.

/// The source without comments, and with every literal emptied.
pub(crate) fn strip(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(source.len());
    let mut i = 0;
    while i < text.len() {
        match (at(i), at(i + 1)) {
            ('/', '/') => {
                while i < text.len() && at(i) != '\n' {
                    i += 1
                }
            }
            ('/', '*') => i = end_of_comment(&text, i),
            ('r', '"' | '#') if !is_word(out.chars().last()) || out.ends_with(['b', 'c']) => {
                let hashes = text[i + 1..].iter().take_while(|c| **c == '#').count();
                if at(i + 1 + hashes) == '"' {
                    let close: Vec<char> = std::iter::once('"')
                        .chain(std::iter::repeat_n('#', hashes))
                        .collect();
                    i += 2 + hashes;
                    while i < text.len() && !text[i..].starts_with(&close) {
                        i += 1
                    }
                    i += close.len();
                } else {
                    i += 2; // r#name
                }
            }
            ('"', _) => {
                i += 1;
                while i < text.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 }
                }
                i += 1;
            }
            ('\'', '\\') => {
                i += 3;
                while i < text.len() && at(i) != '\'' {
                    i += 1
                }
                i += 1;
            }
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (c, _) => {
                out.push(c);
                i += 1
            }
        }
    }
    out
}

fn end_of_comment(text: &[char], start: usize) -> usize {
    let (mut i, mut depth) = (start, 0);
    while i < text.len() {
        match text[i..] {
            ['/', '*', ..] => {
                depth += 1;
                i += 2
            }
            ['*', '/', ..] => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    i
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Words, `::`, and single signs.
pub(crate) fn tokens(stripped: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut chars = stripped.chars().peekable();
    while let Some(c) = chars.next() {
        if is_word(Some(c)) {
            let mut word = c.to_string();
            while is_word(chars.peek().copied()) {
                word.extend(chars.next())
            }
            out.push(word);
        } else if c == ':' && chars.peek() == Some(&':') {
            chars.next();
            out.push("::".into());
        } else if !c.is_whitespace() {
            out.push(c.into());
        }
    }
    out
}

/// Index behind the bracket that closes the one at `open`.
fn behind(tokens: &[String], open: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Takes the items under `#[cfg(test)]` out; yields the names of the modules among them that have
/// their own files.
pub(crate) fn without_tests(tokens: &[String]) -> (Vec<String>, Vec<String>) {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules, mut i) = (Vec::new(), Vec::new(), 0);
    while i < tokens.len() {
        if tokens[i..].iter().take(7).map(String::as_str).ne(ATTRIBUTE) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        i += ATTRIBUTE.len();
        while tokens.get(i).is_some_and(|t| t == "#") {
            i = behind(tokens, i + 1)
        }
        let is_use = tokens[i..].iter().take(5).any(|t| t == "use");
        let end = (i..tokens.len()).find(|&j| tokens[j] == ";" || (tokens[j] == "{" && !is_use));
        let end = end.unwrap_or(tokens.len() - 1);
        if tokens[end] == ";" {
            let name = tokens[i..end].iter().skip_while(|t| *t != "mod").nth(1);
            modules.extend(name.cloned());
            i = end + 1;
        } else {
            i = behind(tokens, end);
        }
    }
    (kept, modules)
}

/// Every path in the tokens, absolute where it begins with `crate`, `self` or `super`.
pub(crate) fn paths(tokens: &[String], module: &[String]) -> Vec<Vec<String>> {
    let (mut out, mut inline, mut depth, mut i) = (Vec::new(), Vec::new(), 0, 0);
    while i < tokens.len() {
        match tokens[i].as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.retain(|(_, at)| *at <= depth)
            }
            "mod" if tokens.get(i + 2).is_some_and(|t| t == "{") => {
                inline.push((tokens[i + 1].clone(), depth + 1));
                i += 2;
                continue;
            }
            word if is_word(word.chars().next())
                && tokens.get(i + 1).is_some_and(|t| t == "::") =>
            {
                let mut found = Vec::new();
                i = tree(tokens, i, &Vec::new(), &mut found);
                let here: Vec<String> = module
                    .iter()
                    .cloned()
                    .chain(inline.iter().map(|(name, _)| name.clone()))
                    .collect();
                out.extend(found.into_iter().map(|path| absolute(path, &here)));
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    out
}

/// Expands one `use` tree (or plain path) from `i` on; yields the index behind it.
fn tree(tokens: &[String], mut i: usize, prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(i) {
        if token == "{" {
            let end = behind(tokens, i);
            i += 1;
            while i + 1 < end {
                i = if tokens[i] == "," {
                    i + 1
                } else {
                    tree(tokens, i, &path, out)
                };
            }
            return end;
        }
        if !is_word(token.chars().next()) && token != "*" {
            break;
        }
        path.push(token.clone());
        i += 1;
        if tokens.get(i).is_none_or(|t| t != "::") || tokens.get(i + 1).is_some_and(|t| t == "<") {
            break;
        }
        i += 1;
    }
    if tokens.get(i).is_some_and(|t| t == "as") {
        i += 2
    }
    out.push(path);
    i.max(1)
}

fn absolute(path: Vec<String>, module: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|word| *word == "super").count();
    let (base, skip) = match path.first().map(String::as_str) {
        Some("crate") => (&module[..0], 1),
        Some("self") => (module, 1),
        Some("super") => (&module[..module.len().saturating_sub(ups)], ups),
        _ => return path,
    };
    ["crate".to_owned()]
        .into_iter()
        .chain(base.iter().cloned())
        .chain(path.into_iter().skip(skip))
        .collect()
}
