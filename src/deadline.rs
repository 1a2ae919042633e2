//! Nothing is waited for longer than there is time.

use std::{future::poll_fn, pin::pin, task::Poll};

use tokio::time::{Instant, error::Elapsed, timeout_at};

/// What comes of `work`, if it comes in time. What is there at once needs no timer, and almost everything is.
pub(crate) async fn by<T>(deadline: Instant, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut work = pin!(work);
    match poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => timeout_at(deadline, work).await,
    }
}
