//! The whole walk: the bytes of a check, its tokens signed on the way, to the bytes of the answer.

use std::sync::LazyLock;

use crate::{
    recipe,
    reference::{
        Broken, Ruling,
        answer::{self, Answer},
        walk::{self, Expected, World},
    },
    tally,
    world::{self, WALK},
};

const TARGET: &str = "check_request";

static WORLD: LazyLock<World> = LazyLock::new(world::world);

pub fn target(data: &[u8]) {
    tally::executed(TARGET);
    let Some(mut check) = recipe::check(data) else {
        return;
    };
    recipe::seal(&mut check);
    let lines = walk::lines(&check);
    let expected = walk::expected(&check, &WORLD);
    // The second answer comes from the memory of the first.
    for _ in 0..2 {
        let given = WALK.answer(check.clone());
        let answer = answer::read(given.response(), &lines);
        let ours = match answer {
            Answer::Allowed(user) => Ok(user),
            Answer::Denied => Err(given.decision.verdict.err().map(|why| why.to_string())),
        };
        let (theirs, broken) = ruling(&expected);
        tally::compare(TARGET, ours, theirs, &broken);
    }
}

fn ruling(expected: &Expected) -> (Ruling<Option<String>>, Broken) {
    let mut broken = Broken::default();
    let ruling = match expected {
        Expected::Allowed(user) => Ok(user.clone()),
        Expected::Denied(why) => Err(*why),
        Expected::DeniedBy(house) => {
            broken.add(*house);
            Ok(None)
        }
    };
    (ruling, broken)
}
