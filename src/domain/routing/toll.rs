//! How many servers one statement may cost: a read that its replica did not survive is tried on another
//! one, but a statement that ends every server it runs on must not take them all.

use crate::domain::ids::BackendId;
use crate::domain::topology::Generation;

/// A server's life, as far as it is known.
pub type Life = (BackendId, Option<Generation>);

/// Servers whose connection broke while they ran one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toll(Vec<Life>);

impl Toll {
    /// The most servers that one statement may cost.
    pub const MOST: usize = 2;

    /// The connection to this one broke. Each life ends once.
    pub fn on_broken(&mut self, life: Life) {
        if !self.0.contains(&life) {
            self.0.push(life);
        }
    }

    /// Who must be asked before one more server is tried, since the statement may have ended as many
    /// as it may: a connection also breaks for other reasons than its server's end.
    pub fn suspects(&self) -> &[Life] {
        match self.0.len() < Self::MOST {
            true => &[],
            false => &self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_before_the_second_one() {
        let mut toll = Toll::default();
        assert!(toll.suspects().is_empty());
        toll.on_broken((BackendId(1), None));
        assert!(toll.suspects().is_empty());
        toll.on_broken((BackendId(1), None));
        assert!(toll.suspects().is_empty(), "the same life again");
        toll.on_broken((BackendId(2), Some(Generation(1))));
        assert_eq!(toll.suspects().len(), 2);
    }
}
