//! Port to threads: where work goes that waits for a disk. The simulator has one thread, so that the
//! order of everything follows from its seed.

use tokio::task::JoinHandle;

/// Where work goes that waits for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Threads {
    /// The runtime's threads for work that blocks.
    #[default]
    Many,
    /// There are none: it is one more task of the runtime, and its disk is memory.
    One,
}

impl Threads {
    /// Begins the work; it goes on when nobody waits for it any more.
    pub fn begin<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match self {
            Self::Many => tokio::task::spawn_blocking(work),
            Self::One => tokio::spawn(async move { work() }),
        }
    }
}
