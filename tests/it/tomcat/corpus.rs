//! Paths that somebody could read differently from somebody else: the classic ones, and thousands
//! put together at random from the same pieces. The same in every run.

use std::collections::BTreeSet;

/// How many paths there are.
pub const SIZE: usize = 10_500;

/// Any number: it names the corpus.
const SEED: u64 = 0x41_75_74_68;

/// Where a path begins. What is public comes often: there is the way in.
const STARTS: [&[u8]; 14] = [
    b"/public/",
    b"/public/",
    b"/public/",
    b"/public/",
    b"/public",
    b"/status",
    b"/status/",
    b"/",
    b"/rest/",
    b"//",
    b"/PUBLIC/",
    b"\\public/",
    b"/%70ublic/",
    b"/public;x/",
];

/// Ordinary segments; the last ones are spelled in a way that is not.
const NAMES: [&[u8]; 26] = [
    b"a",
    b"b.css",
    b"public",
    b"status",
    b"rest",
    b"admin",
    b"issue",
    b"ABC-1",
    b"a..b",
    b"a.",
    b"x~y",
    b"a:b@c",
    b"a+b",
    b"(1)",
    b"a,b=c",
    b"!$&'*",
    b"a%20b",
    b"%C3%A9",
    b"%e2%82%ac",
    b"WEB-INF",
    b"PUBLIC",
    b"%61dmin",
    b"\xc3\xa9",
    b"\xff",
    b"a|b",
    b"[c]",
];

/// Segments that mean another segment, or that somebody could take for one that does.
const DOTS: [&[u8]; 34] = [
    b"..",
    b"..",
    b"..",
    b"..",
    b".",
    b"",
    b"...",
    b"%2e%2e",
    b"%2E%2E",
    b".%2e",
    b"%2e.",
    b"%2e",
    b"..;",
    b"..;x=1",
    b"..;/..;",
    b"%2e%2e;",
    b".%2E;jsessionid=0A1B",
    b".;",
    b";",
    b";x",
    b";..",
    b"a;/..",
    b"..%3b",
    b"..%3Bx",
    b"..%00",
    b"..%20",
    b"..%09",
    b"%252e%252e",
    b"%25%32%65%25%32%65",
    b"%c0%ae%c0%ae",
    b"%e0%80%ae%e0%80%ae",
    b"\xc0\xae\xc0\xae",
    b"%u002e%u002e",
    b"%uff0e%uff0e",
];

const SEPARATORS: [&[u8]; 16] = [
    b"/",
    b"/",
    b"/",
    b"/",
    b"//",
    b"/./",
    b"/;/",
    b"\\",
    b"%2f",
    b"%2F",
    b"%5c",
    b"%5C",
    b"%252f",
    b"%255c",
    b"%c0%af",
    b"%ef%bc%8f",
];

/// What comes after a path or a segment and may belong to it, or not.
const ENDS: [&[u8]; 26] = [
    b"/",
    b"//",
    b".",
    b"..",
    b"/.",
    b"/..",
    b";",
    b";x=/../..",
    b";jsessionid=0A1B",
    b"%3bjsessionid=0A1B",
    b";.css",
    b"/;.css",
    b"%00",
    b"%00.css",
    b"\0",
    b"%20",
    b"%09",
    b"%0a",
    b"%0d%0a",
    b"%7f",
    b"%3f",
    b"%23",
    b"#",
    b"%",
    b"%2",
    b"%zz",
];

const QUERIES: [&[u8]; 5] = [b"?", b"?x=/../../rest", b"?/public/", b"?;/../rest", b"??"];

/// Forms that advisories, scanners and other gateways' tests know.
const CLASSIC: [&[u8]; 40] = [
    b"/",
    b"/status",
    b"/public/a",
    b"/public/..;/rest/admin",
    b"/public/..;/..;/rest/admin",
    b"/public/..;x=1/rest/admin",
    b"/public/%2e%2e;/rest/admin",
    b"/public/;/../rest/admin",
    b"/public/;x/..;y/rest/admin",
    b"/public/a;/../../rest/admin",
    b"/public/../rest/admin",
    b"/public/a/../../rest/admin",
    b"/public/%2e%2e/rest/admin",
    b"/public/.%2e/rest/admin",
    b"/public/%2e./rest/admin",
    b"/public/..%2frest/admin",
    b"/public/..%2f..%2frest/admin",
    b"/public/%2e%2e%2frest/admin",
    b"/public/..%5crest/admin",
    b"/public\\..\\rest\\admin",
    b"/public/..\\rest/admin",
    b"/public/%252e%252e/rest/admin",
    b"/public/%252e%252e%252frest/admin",
    b"/public/%c0%ae%c0%ae/rest/admin",
    b"/public/%c0%ae%c0%ae%c0%afrest/admin",
    b"/public/%uff0e%uff0e/rest/admin",
    b"/public/....//rest/admin",
    b"/public/.../rest/admin",
    b"/public//..//rest/admin",
    b"/public/./../rest/admin",
    b"/public/%00/../../rest/admin",
    b"/status/..;/rest/admin",
    b"/status;/../rest/admin",
    b"/status%3f/../rest/admin",
    b"/status%23/../rest/admin",
    b"/status#/../rest/admin",
    b"/s/x/_/;/WEB-INF/web.xml",
    b"/secure/Admin.jspa;.css",
    b"//public/../rest/admin",
    b"http://jira.example.com/public/../rest/admin",
];

/// The targets: paths, some with a query.
pub fn targets() -> Vec<Vec<u8>> {
    let mut random = Random(SEED);
    let mut targets: BTreeSet<Vec<u8>> = CLASSIC.iter().map(|path| path.to_vec()).collect();
    while targets.len() < SIZE {
        targets.insert(target(&mut random));
    }
    targets.into_iter().collect()
}

fn target(random: &mut Random) -> Vec<u8> {
    // Half of them are made of names and slashes only, so that many are canonical, and a quarter
    // of dots and slashes below what is public, so that many lead out of it.
    let kind = random.below(4);
    let ordinary = kind < 2;
    let starts = if kind == 3 { &STARTS[..1] } else { &STARTS };
    let mut target = random.choose(starts).to_vec();
    for _ in 0..random.below(4) {
        let named = ordinary || kind == 2 && random.below(3) == 0;
        target.extend(random.choose(if named { &NAMES } else { &DOTS }));
        if kind != 2 {
            target.push(b'/');
            continue;
        }
        if random.below(6) == 0 {
            target.extend(random.choose(&ENDS));
        }
        target.extend(random.choose(&SEPARATORS));
    }
    target.extend(random.choose(&NAMES));
    if random.below(4) == 0 {
        target.extend(random.choose(&ENDS));
    }
    if kind == 2 && random.below(4) == 0 {
        escape_one(&mut target, random);
    }
    if random.below(10) == 0 {
        target.extend(random.choose(&QUERIES));
    }
    target
}

/// Escapes a byte that may need it or not, or one of an escape.
fn escape_one(target: &mut Vec<u8>, random: &mut Random) {
    let position = 1 + random.below(target.len() - 1);
    let byte = target[position];
    let escape = if random.below(2) == 0 {
        format!("%{byte:02x}")
    } else {
        format!("%{byte:02X}")
    };
    target.splice(position..=position, escape.into_bytes());
}

/// `SplitMix64`: numbers that no version of a library changes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("64 bits")).expect("64 bits")
    }

    fn choose<'a>(&mut self, among: &[&'a [u8]]) -> &'a [u8] {
        among[self.below(among.len())]
    }
}
