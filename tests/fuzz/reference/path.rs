//! Paths: the form that has one reading (docs/ACCESS.md, docs/adr), and the readers that it is for.

/// Segments of a path as a server finds its resource; `None`: it answers 400.
pub type Reader = fn(&str) -> Option<Vec<String>>;

/// Those that are known to stand somewhere between a client and a product.
pub const READERS: [(&str, Reader); 5] = [
    ("Tomcat", tomcat),
    ("an RFC 3986 normaliser", normaliser),
    ("one that decodes first", decodes_first),
    ("one that decodes twice", decodes_twice),
    ("one for which a backslash is a slash", backslashes),
];

/// Whether every reader finds the same: no empty segment but the last, no dot segments, no parameters, and an escape
/// only for what cannot stand there itself.
pub fn is_canonical(path: &str) -> bool {
    let Some(below) = path.strip_prefix('/') else {
        return false;
    };
    let segments: Vec<&str> = below.split('/').collect();
    let last = segments.len() - 1;
    let unambiguous = segments.iter().enumerate().all(|(at, segment)| {
        (!segment.is_empty() || at == last) && *segment != "." && !segment.starts_with("..")
    });
    unambiguous && only_needed_escapes(path)
}

fn only_needed_escapes(path: &str) -> bool {
    const UNRESERVED: &str = "-._~";
    let mut decoded = Vec::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next(), bytes.next()].map(|digit| {
                let digit = char::from(digit?);
                digit.to_digit(16)
            });
            let [Some(high), Some(low)] = digits else {
                return false;
            };
            let value = u8::try_from(high * 16 + low).unwrap_or(0);
            let letter = char::from(value);
            if letter.is_ascii_alphanumeric() || (value.is_ascii() && UNRESERVED.contains(letter)) {
                return false;
            }
            if matches!(value, 0..=0x1f | 0x7f | b'/' | b'\\' | b';' | b'%') {
                return false;
            }
            decoded.push(value);
        } else {
            // RFC 3986 §3.3, `pchar` without the semicolon, which begins parameters.
            let letter = char::from(byte);
            let plain = letter.is_ascii_alphanumeric() || "-._~!$&'()*+,=:@/".contains(letter);
            if !byte.is_ascii() || !plain {
                return false;
            }
            decoded.push(byte);
        }
    }
    std::str::from_utf8(&decoded).is_ok()
}

/// A rule of `public_paths`, `/exact` or `/below/*`.
pub fn is_public(rules: &[&str], path: &str) -> bool {
    is_canonical(path)
        && rules.iter().any(|rule| match rule.strip_suffix('*') {
            Some(prefix) => path.len() >= prefix.len() && path[..prefix.len()] == *prefix,
            None => path == *rule,
        })
}

/// The same rules, asked about what a server serves.
pub fn serves_public(rules: &[&str], served: &[String]) -> bool {
    rules.iter().any(|rule| {
        let mut wanted: Vec<&str> = rule.trim_start_matches('/').split('/').collect();
        if wanted.last() == Some(&"*") {
            wanted.pop();
            served.len() >= wanted.len()
                && served.iter().zip(&wanted).all(|(one, other)| one == other)
        } else {
            served == wanted
        }
    })
}

/// What two servers may differ in and still serve the same: the slash at the end.
pub fn plain(path: &str) -> Option<Vec<String>> {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.map(|segment| text(&decode(segment)?)).collect()
}

/// Servlet 6 §3.5.1: parameters go, then it is decoded, then dots are resolved. Tomcat also refuses a slash that was
/// escaped, and a backslash.
fn tomcat(path: &str) -> Option<Vec<String>> {
    let mut bare = String::new();
    for segment in path.split_inclusive('/') {
        let end = if segment.ends_with('/') { "/" } else { "" };
        bare += segment.trim_end_matches('/').split(';').next()?;
        bare += end;
    }
    let lower = bare.to_ascii_lowercase();
    if ["%2f", "%5c", "\\", "%00"]
        .iter()
        .any(|odd| lower.contains(odd))
    {
        return None;
    }
    resolve(&text(&decode(&bare)?)?)
}

/// RFC 3986 §6.2.2: needless escapes go, then dots; slashes are merged. What is left is decoded by whoever serves it.
fn normaliser(path: &str) -> Option<Vec<String>> {
    let mut normal = String::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let escaped = rest.get(1..3).filter(|_| first == '%');
        let value = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value.map(char::from) {
            Some(letter) if letter.is_ascii_alphanumeric() || "-._~".contains(letter) => {
                normal.push(letter);
                rest = &rest[3..];
            }
            _ => {
                normal.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    let segments = resolve(&normal)?;
    segments
        .iter()
        .map(|segment| text(&decode(segment)?))
        .collect()
}

fn decodes_first(path: &str) -> Option<Vec<String>> {
    resolve(&text(&decode(path)?)?)
}

fn decodes_twice(path: &str) -> Option<Vec<String>> {
    resolve(&text(&decode(&text(&decode(path)?)?)?)?)
}

fn backslashes(path: &str) -> Option<Vec<String>> {
    resolve(&text(&decode(path)?)?.replace('\\', "/"))
}

fn resolve(path: &str) -> Option<Vec<String>> {
    let mut segments = Vec::new();
    for segment in path.strip_prefix('/')?.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            name => segments.push(name.to_owned()),
        }
    }
    Some(segments)
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// Every escape; one that is none is refused.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?].map(|digit| char::from(digit).to_digit(16));
        let [Some(high), Some(low)] = digits else {
            return None;
        };
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(decoded)
}
