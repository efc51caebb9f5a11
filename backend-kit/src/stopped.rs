//! A guest that stands still while a snapshot is taken.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A guest that stands still. Unless it is let go on before, it goes on when this is dropped: whoever wanted the
/// snapshot may have given up.
pub struct Stopped<E: fmt::Display + Send + 'static>(Option<GoOn<E>>);

type GoOn<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

impl<E: fmt::Display + Send + 'static> Stopped<E> {
    /// A guest that `go_on` lets go on.
    pub fn new(go_on: impl Future<Output = Result<(), E>> + Send + 'static) -> Self {
        Self(Some(Box::pin(go_on)))
    }

    /// Lets it go on, and says when that fails.
    ///
    /// # Errors
    /// Those of the hypervisor.
    pub async fn go_on(mut self) -> Result<(), E> {
        match self.0.take() {
            Some(go_on) => go_on.await,
            None => Ok(()),
        }
    }
}

impl<E: fmt::Display + Send + 'static> Drop for Stopped<E> {
    fn drop(&mut self) {
        let Some(go_on) = self.0.take() else { return };
        tokio::spawn(async move {
            if let Err(error) = go_on.await {
                tracing::error!(%error, "a guest does not go on after a snapshot that was given up");
            }
        });
    }
}

impl<E: fmt::Display + Send + 'static> fmt::Debug for Stopped<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopped")
    }
}
