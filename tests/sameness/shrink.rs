//! Makes a sequence that differs as short as it will be: leaves out what is not needed.

use super::play::{Arena, Difference};
use super::steps::Move;

/// Tries at most, since each plays the whole sequence on real servers.
const TRIES: usize = 120;

/// The shortest sequence found, and how it differs.
pub(crate) async fn shrunk(
    arena: &Arena<'_>,
    mut moves: Vec<Move>,
    mut difference: Difference,
) -> (Vec<Move>, Difference) {
    moves.truncate(difference.at + 1);
    let mut tries = 0;
    // Most often the last steps are enough.
    let mut last = 4;
    while last < moves.len() {
        let fewer = moves.split_off(moves.len() - last);
        tries += 1;
        if let Some(found) = arena.play(&fewer).await {
            (moves, difference) = (fewer, found);
            moves.truncate(difference.at + 1);
            break;
        }
        moves.extend(fewer);
        last *= 2;
    }
    let mut part = moves.len().div_ceil(2);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < moves.len() && tries < TRIES {
            let mut fewer = moves.clone();
            fewer.drain(at..(at + part).min(moves.len()));
            tries += 1;
            match arena.play(&fewer).await {
                Some(found) => {
                    fewer.truncate(found.at + 1);
                    (moves, difference, shorter) = (fewer, found, true);
                }
                None => at += part,
            }
        }
        if tries >= TRIES || (part == 1 && !shorter) {
            return inside(arena, moves, difference, TRIES - tries).await;
        }
        if !shorter || part > moves.len() {
            part = part.min(moves.len()).div_ceil(2).max(1);
        }
    }
}

/// The same for packets of several statements.
async fn inside(
    arena: &Arena<'_>,
    mut moves: Vec<Move>,
    mut difference: Difference,
    mut tries: usize,
) -> (Vec<Move>, Difference) {
    let mut at = 0;
    'moves: while let Some(step) = moves.get(at).map(|it| it.step.clone()) {
        for shorter in step.shorter() {
            if tries == 0 {
                return (moves, difference);
            }
            tries -= 1;
            let mut fewer = moves.clone();
            fewer[at].step = shorter;
            if let Some(found) = arena.play(&fewer).await {
                fewer.truncate(found.at + 1);
                (moves, difference) = (fewer, found);
                continue 'moves;
            }
        }
        at += 1;
    }
    (moves, difference)
}
