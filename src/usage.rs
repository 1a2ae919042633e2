//! What is taken down about the use of API tokens, without any request waiting for it.
//!
//! Requests put notes into a bounded queue; a full queue drops them and counts that. One task gathers the
//! notes and writes them to the store in batches.

mod writer;

use std::net::IpAddr;

use tokio::sync::mpsc::{self, error::TrySendError};

pub use writer::Writer;

use crate::{
    api_token::{ApiTokenId, Digest, Owner, PepperId},
    metrics::Metrics,
};

/// Notes that wait to be gathered.
const QUEUE: usize = 16 * 1024;

/// One thing to take down.
#[derive(Debug)]
pub enum Note {
    /// A token was used.
    Used {
        /// Which.
        id: ApiTokenId,
        /// When (Unix seconds).
        at: i64,
        /// From where.
        from: Option<IpAddr>,
    },
    /// A token was used for what it may not do.
    Exceeded {
        /// Which.
        id: ApiTokenId,
        /// Whose.
        owner: Owner,
        /// The limit, from a closed set.
        reason: &'static str,
    },
    /// A token was used after its end, when it had been replaced.
    UsedAfterReplacement {
        /// Which.
        id: ApiTokenId,
        /// Whose.
        owner: Owner,
    },
    /// A good token is kept with a former pepper.
    KeptWithFormerPepper {
        /// Which.
        id: ApiTokenId,
        /// The pepper.
        from: PepperId,
        /// What to keep instead.
        instead: Digest,
    },
}

/// Takes notes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Notes {
    queue: mpsc::Sender<Note>,
    metrics: Metrics,
}

/// What the notes go through.
pub fn queue(metrics: Metrics) -> (Notes, mpsc::Receiver<Note>) {
    let (queue, notes) = mpsc::channel(QUEUE);
    (Notes { queue, metrics }, notes)
}

impl Notes {
    /// Notes that nobody reads.
    pub fn nowhere(metrics: Metrics) -> Self {
        let (notes, _nobody) = queue(metrics);
        notes
    }

    /// Takes a note, or drops it when the queue is full: no request waits for a write.
    pub fn take(&self, note: Note) {
        match self.queue.try_send(note) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => self.metrics.count_dropped_note(),
        }
    }
}
