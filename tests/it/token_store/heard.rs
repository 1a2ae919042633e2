//! A follower that remembers what it was told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use atlassian_authz::{
    api_token::ApiTokenId,
    store::{Follower, Store},
};
use tokio::task::JoinHandle;

use crate::support::eventually;

#[derive(Default)]
pub struct Heard {
    pub changed: Mutex<Vec<(ApiTokenId, i64)>>,
    pub forgotten: AtomicUsize,
    pub times: AtomicUsize,
}

/// Follows until it is dropped.
pub struct Following {
    pub heard: Arc<Heard>,
    task: JoinHandle<()>,
}

impl Follower for Heard {
    fn changed(&self, id: ApiTokenId, revision: i64) {
        self.changed.lock().unwrap().push((id, revision));
    }

    fn forget_everything(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    fn heard(&self) {
        self.times.fetch_add(1, Ordering::SeqCst);
    }
}

impl Following {
    /// Returns when it follows.
    pub fn start(store: &Arc<Store>) -> Self {
        let heard = Arc::new(Heard::default());
        let (store, follower) = (Arc::clone(store), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            let _never = store.follow(&*follower).await;
        });
        let following = Self { heard, task };
        eventually("the follower follows", || {
            (following.forgotten() > 0).then_some(())
        });
        following
    }

    pub fn forgotten(&self) -> usize {
        self.heard.forgotten.load(Ordering::SeqCst)
    }

    /// Waits until this token is known to have changed.
    pub fn hears_of(&self, id: ApiTokenId) {
        eventually("the change is heard of", || {
            let changed = self.heard.changed.lock().unwrap();
            changed.iter().any(|(known, _)| *known == id).then_some(())
        });
    }

    /// Waits until something has been heard that was said after now.
    pub fn hears_something(&self) {
        let before = self.heard.times.load(Ordering::SeqCst);
        eventually("something is heard", || {
            (self.heard.times.load(Ordering::SeqCst) > before + 1).then_some(())
        });
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}
