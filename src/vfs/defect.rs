//! Mistakes that a simulated disk tells the engine to make, to see that the checks find them. The shipped library has
//! none of this.

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// An opening writes in the epoch of the one before.
    EpochNotBumped,
    /// The sync leader leaves out the chunks with large blocks.
    LeaderSyncsOnlyTheLog,
}
