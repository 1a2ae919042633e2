//! Whether the time of a comparison tells how much of a guessed secret is right (Welch's t-test over two classes
//! of guesses, measured in random order; beyond 4.5 the classes would be told apart).

use std::{hint::black_box, time::Instant};

use atlassian_authz::api_token::{ApiToken, IssuedToken, Peppers};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::lab::Lab;

const SAMPLES: usize = 1_000_000;
/// Where the secret stands in the text of a token.
const SECRET: std::ops::Range<usize> = 17..60;

/// What is measured of one class.
#[derive(Default)]
struct Class {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Class {
    /// Welford's way: no sum grows large.
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
    }

    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// Guesses that share all but the last character of the secret, and guesses that share none.
pub fn measure(lab: &Lab) {
    if !lab.wants("API tokens: timing") {
        return;
    }
    let mut random = StdRng::seed_from_u64(1);
    let peppers = Peppers::new(&"a pepper of the benchmark, long enough".into()).expect("a pepper");
    let token = IssuedToken::generate(&mut random);
    let kept = peppers.digest(read(token.expose()));
    let near = guess(token.expose(), SECRET.end - 1..SECRET.end);
    let far = guess(token.expose(), SECRET);
    let guesses = [read(&near), read(&far)];
    let mut classes = [Class::default(), Class::default()];
    for round in 0..SAMPLES / lab.effort.divisor {
        let class = usize::from(random.random::<bool>());
        let begun = Instant::now();
        black_box(peppers.compare(black_box(guesses[class]), &kept));
        let took = begun.elapsed().as_nanos() as f64;
        // Interruptions of a shared machine say nothing of the comparison.
        if round > 1_000 && took < 20_000.0 {
            classes[class].add(took);
        }
    }
    let [near, far] = classes;
    let t = (near.mean - far.mean) / (near.error() + far.error()).sqrt();
    println!(
        "\nAPI tokens: timing\n  a guess with 42 right characters of 43: {:.1} ns, with none: {:.1} ns, t = {t:.2}",
        near.mean, far.mean
    );
}

/// The token with other characters there, and the checksum that it then needs.
fn guess(token: &str, wrong: std::ops::Range<usize>) -> String {
    let other = |(at, byte): (usize, u8)| {
        let is_wrong = wrong.contains(&at);
        char::from(if is_wrong && byte == b'a' {
            b'b'
        } else if is_wrong {
            b'a'
        } else {
            byte
        })
    };
    let body: String = token[..SECRET.end].bytes().enumerate().map(other).collect();
    // Sixty-two digits, highest first.
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut checksum = Vec::new();
    for _ in 0..6 {
        checksum.insert(0, char::from(digits[(rest % 62) as usize]));
        rest /= 62;
    }
    body + &checksum.iter().collect::<String>()
}

fn read(text: &str) -> ApiToken<'_> {
    match ApiToken::parse(text) {
        Ok(token) => token,
        Err(error) => panic!("{error}"),
    }
}
