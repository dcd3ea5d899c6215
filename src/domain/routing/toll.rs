//! How many servers one statement may cost: a read that its replica did not survive is tried on another
//! one, but a statement that ends every server it runs on must not take them all.

/// Servers whose connection broke while they ran one statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toll(usize);

impl Toll {
    /// The most servers that one statement may cost.
    pub const MOST: usize = 2;

    /// One more was lost.
    ///
    /// # Errors
    /// How many, when no other one may be tried.
    pub fn on_lost(&mut self) -> Result<(), usize> {
        self.0 += 1;
        match self.0 < Self::MOST {
            true => Ok(()),
            false => Err(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_try_is_the_last() {
        let mut toll = Toll::default();
        assert_eq!(toll.on_lost(), Ok(()));
        assert_eq!(toll.on_lost(), Err(2));
    }
}
