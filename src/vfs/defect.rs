//! Mistakes that tests tell the engine to make, to see that they are found. In the shipped library [`is_made`] is false
//! at compile time, so nothing of them is left in it.

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "simulation"),
    expect(unreachable_pub, reason = "exported with the feature `simulation` only")
)]
pub enum Defect {
    /// An opening writes in the epoch of the one before.
    EpochNotBumped,
    /// The sync leader leaves out the chunks with large blocks.
    LeaderSyncsOnlyTheLog,
    /// The sync leader leaves out the log.
    LogNotSynced,
    /// A sync that failed is tried once more, and believed.
    FailedSyncRetried,
    /// Two syncs of a segment at once: one is told of a failure, the other that all is well.
    SegmentSyncsOverlap,
    /// What was replayed from the page cache is believed to be on disk.
    ReplayTakenForDurable,
    /// Unproven large blocks are not written anew before they are called durable.
    LargeBlocksNotRewritten,
    /// A new segment is used before its zeros are on disk.
    SegmentNotSynced,
    /// A new segment is used before its name is on disk.
    SegmentNameNotSynced,
    /// The mark that proves commits durable is written before they are.
    MarkBeforeSync,
    /// What recovery left out may come back.
    NothingCutOff,
    /// Replay starts behind commits that the checkpoint does not have.
    PositionOfNewestCommit,
    /// The log goes before the manifest that makes it superfluous.
    LogReleasedEarly,
    /// A manifest is renamed into place before its bytes are on disk.
    ManifestNotSynced,
    /// A new manifest is taken for the one in force before its name is on disk.
    ManifestNameNotSynced,
    /// The manifest is written over the old one.
    ManifestWrittenInPlace,
    /// A store's directories may be missing beside its first manifest.
    DirectoriesNotSynced,
    /// A checkpoint doesn't sync the chunks that it wrote.
    ChunksNotSynced,
    /// Names of new chunks are not synced.
    ChunkNamesNotSynced,
    /// Names of chunks with large blocks are not synced.
    LargeChunkNamesNotSynced,
    /// Parts of runs are not synced.
    PartsNotSynced,
    /// Names of new parts are not synced.
    PartNamesNotSynced,
    /// Merged parts go before the manifest that no longer names them.
    PartsUnlinkedEarly,
    /// A rewritten chunk goes before the manifest that no longer names it.
    ChunkUnlinkedEarly,
    /// Tombstones go while something older is left below them.
    TombstonesDropped,
    /// Merges keep only the newest version.
    SnapshotsForgotten,
    /// Rewriting a chunk asks for what is live now, whatever snapshots see.
    SnapshotsForgottenByReclaim,
    /// Blocks that nobody has named yet count as dead.
    LooseBlocksForgotten,
    /// A chunk is rewritten though the log that is kept names its blocks.
    RetainedLogForgotten,
    /// Log that is kept for followers may have holes.
    KeptLogNotSynced,
    /// Upkeep takes a deletion for final before it is durable.
    DeletionsTakenForDurable,
    /// Streams are numbered anew after reopening.
    StreamIdsReused,
    /// A frame counts as whole when its header is.
    TornFrameAccepted,
    /// Replay goes on behind a commit that isn't there.
    HoleSkipped,
    /// A durable commit that isn't there any more is taken for one that never was.
    DamageTakenForTornTail,
    /// Replay applies only half of a commit's commands.
    HalfBatchReplayed,
    /// Replay believes frames whose large blocks are not whole.
    LargeBlocksNotCheckedAtReplay,
    /// A commit is published before its frame is whole.
    PublishedEarly,
    /// The sync leader answers for commits that came while it synced.
    LeaderClaimsMore,
    /// The mark answers for them.
    MarkClaimsMore,
    /// Files go that a reader has a lock on.
    ReaderLocksIgnored,
    /// A backup's manifest is there before its files.
    BackupManifestFirst,
    /// A backup's chunks are not synced.
    BackupNotSynced,
    /// The manifest names imported files before they are there.
    ImportManifestFirst,
    /// Names of imported files are not synced.
    ImportNotSynced,
    /// Blocks are handed out whatever their check says.
    BlocksNotChecked,
    /// Index pages are read whatever their check says.
    IndexPagesNotChecked,
    /// A large block is written with zeros behind it, over its neighbour.
    LargeWriteTooLong,
    /// A rewritten chunk takes the place of the old one before its bytes are on disk.
    RewrittenChunkNotSynced,
    /// A rewritten chunk takes the place of the old one before its name is on disk.
    RewrittenNameNotSynced,
    /// Merged parts take the place of the old ones before their names are on disk.
    MergedPartNamesNotSynced,
    /// Closing answers OK without having made everything durable.
    CloseAnswersEarly,
    /// Upkeep that waited for a job which failed starts the same job again.
    PoisonLookedAtTooEarly,
    /// Nobody counts the large blocks of refused commits as dead.
    RefusedBlocksForgotten,
}

impl Defect {
    /// Each that a crash or a model shows.
    #[cfg(any(test, feature = "simulation"))]
    pub const ALL: [Defect; 54] = [
        Defect::EpochNotBumped,
        Defect::LeaderSyncsOnlyTheLog,
        Defect::LogNotSynced,
        Defect::FailedSyncRetried,
        Defect::SegmentSyncsOverlap,
        Defect::ReplayTakenForDurable,
        Defect::LargeBlocksNotRewritten,
        Defect::SegmentNotSynced,
        Defect::SegmentNameNotSynced,
        Defect::MarkBeforeSync,
        Defect::NothingCutOff,
        Defect::PositionOfNewestCommit,
        Defect::LogReleasedEarly,
        Defect::ManifestNotSynced,
        Defect::ManifestNameNotSynced,
        Defect::ManifestWrittenInPlace,
        Defect::DirectoriesNotSynced,
        Defect::ChunksNotSynced,
        Defect::ChunkNamesNotSynced,
        Defect::LargeChunkNamesNotSynced,
        Defect::PartsNotSynced,
        Defect::PartNamesNotSynced,
        Defect::PartsUnlinkedEarly,
        Defect::ChunkUnlinkedEarly,
        Defect::TombstonesDropped,
        Defect::SnapshotsForgotten,
        Defect::SnapshotsForgottenByReclaim,
        Defect::LooseBlocksForgotten,
        Defect::RetainedLogForgotten,
        Defect::KeptLogNotSynced,
        Defect::DeletionsTakenForDurable,
        Defect::StreamIdsReused,
        Defect::TornFrameAccepted,
        Defect::HoleSkipped,
        Defect::DamageTakenForTornTail,
        Defect::HalfBatchReplayed,
        Defect::LargeBlocksNotCheckedAtReplay,
        Defect::PublishedEarly,
        Defect::LeaderClaimsMore,
        Defect::MarkClaimsMore,
        Defect::ReaderLocksIgnored,
        Defect::BackupManifestFirst,
        Defect::BackupNotSynced,
        Defect::ImportManifestFirst,
        Defect::ImportNotSynced,
        Defect::BlocksNotChecked,
        Defect::IndexPagesNotChecked,
        Defect::LargeWriteTooLong,
        Defect::RewrittenChunkNotSynced,
        Defect::RewrittenNameNotSynced,
        Defect::MergedPartNamesNotSynced,
        Defect::CloseAnswersEarly,
        Defect::PoisonLookedAtTooEarly,
        Defect::RefusedBlocksForgotten,
    ];

    /// Those among them that damage shows too: `tests/damage.rs` makes them.
    #[cfg(any(test, feature = "simulation"))]
    pub const OF_CHECKS: [Defect; 4] = [
        Defect::IndexPagesNotChecked,
        Defect::BlocksNotChecked,
        Defect::TornFrameAccepted,
        Defect::DamageTakenForTornTail,
    ];
}

#[cfg(any(test, feature = "simulation"))]
thread_local! {
    static MADE: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

/// Whether this thread is to make the mistake.
#[cfg(any(test, feature = "simulation"))]
pub(crate) fn is_made(defect: Defect) -> bool {
    MADE.get() == Some(defect)
}

#[cfg(not(any(test, feature = "simulation")))]
#[inline(always)]
pub(crate) const fn is_made(_: Defect) -> bool {
    false
}

/// From now on this thread makes the mistake, and no other one.
#[cfg(any(test, feature = "simulation"))]
#[cfg_attr(
    not(feature = "simulation"),
    expect(
        dead_code,
        unreachable_pub,
        reason = "exported with the feature `simulation` only"
    )
)]
pub fn make(defect: Option<Defect>) {
    MADE.set(defect);
}
