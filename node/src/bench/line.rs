//! A long line between two nodes on one machine: a real TCP proxy that lets each byte out a set time after
//! it came in, and no more of them in a second than the line carries. Bytes in both directions share
//! nothing; connections in one direction share the line, as they would a leased one.
//!
//! What it does not have is loss, and a sender's slow start: the sockets at its ends are loopback's.

use bytes::{Bytes, BytesMut};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Bytes that are read at once: what one timer lets out.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes that wait in front of the line, in each direction, besides those that are on it.
const WAITING_BYTES: usize = 1024 * 1024;
/// Pieces of one connection and direction on the line; each is at least a byte of what it may hold.
const PIECES_MAX: usize = 64 * 1024;
/// Milliseconds of the longest line: to the moon and back would be 2,600.
pub const ROUND_TRIP_MILLIS_MAX: u32 = 2_000;

/// What a line is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// There and back.
    pub round_trip: Duration,
    /// What it carries in each direction, bits a second.
    pub bits_per_s: u64,
}

impl Length {
    fn bytes_per_s(self) -> u64 {
        (self.bits_per_s / 8).max(1)
    }

    /// Bytes that are on their way in one direction when it is full.
    fn holds_bytes(self) -> usize {
        let bytes = self.round_trip.as_secs_f64() / 2.0 * self.bytes_per_s() as f64;
        bytes as usize
    }

    /// When `bytes` that come at `now` are out at the far end, and until when they keep others from the
    /// line, which is free from `free` on.
    fn out(self, free: Instant, now: Instant, bytes: usize) -> (Instant, Instant) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_s() as f64);
        let free = free.max(now) + takes;
        (free + self.round_trip / 2, free)
    }
}

/// What one direction has carried.
#[derive(Debug, Default)]
struct Carried {
    bytes: AtomicU64,
    /// Bytes on the line and in front of it, now and at most.
    on_the_way: AtomicU64,
    on_the_way_most: AtomicU64,
}

impl Carried {
    fn begins(&self, bytes: usize) {
        let now = self.on_the_way.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        self.on_the_way_most.fetch_max(now, Ordering::Relaxed);
    }

    fn ends(&self, bytes: usize) {
        self.on_the_way.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// One direction of the line.
#[derive(Debug)]
struct Direction {
    length: Length,
    free: Mutex<Instant>,
    room: Arc<Semaphore>,
    carried: Carried,
}

impl Direction {
    fn new(length: Length) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(length.holds_bytes() + WAITING_BYTES));
        Arc::new(Self { length, free: Mutex::new(Instant::now()), room, carried: Carried::default() })
    }

    fn out(&self, bytes: usize) -> Instant {
        let mut free = self.free.lock().expect("no holder of the line panics");
        let (out, until) = self.length.out(*free, Instant::now(), bytes);
        *free = until;
        out
    }

    async fn carry(self: Arc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (line, mut out) = mpsc::channel::<(Instant, Bytes, OwnedSemaphorePermit)>(PIECES_MAX);
        let near = async {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(PIECE_BYTES);
                // A connection that breaks is broken at both ends.
                let Ok(count @ 1..) = from.read_buf(&mut buffer).await else { break };
                let bytes = u32::try_from(count).expect("a piece is small");
                let Ok(room) = Arc::clone(&self.room).acquire_many_owned(bytes).await else { break };
                self.carried.begins(count);
                if line.send((self.out(count), buffer.split().freeze(), room)).await.is_err() {
                    break;
                }
            }
            drop(line);
        };
        let far = async {
            while let Some((at, bytes, room)) = out.recv().await {
                tokio::time::sleep_until(at).await;
                self.carried.ends(bytes.len());
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
                drop(room);
            }
            let _ = to.shutdown().await;
        };
        // When the far end is gone nobody reads the near one any more.
        tokio::pin!(near, far);
        tokio::select! {
            () = &mut far => {}
            () = &mut near => far.await,
        }
    }
}

/// A line to one address; it is cut when dropped.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    there: Arc<Direction>,
    back: Arc<Direction>,
    _tasks: JoinSet<()>,
}

impl Line {
    /// Lays a line to `target` and says where it begins by [`Line::address`].
    ///
    /// # Errors
    /// When loopback has no free port.
    pub async fn to(target: SocketAddr, length: Length) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (there, back) = (Direction::new(length), Direction::new(length));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, Arc::clone(&there), Arc::clone(&back)));
        Ok(Self { address, there, back, _tasks: tasks })
    }

    /// Where to dial instead of the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that went to the target and back so far.
    pub fn carried(&self) -> (u64, u64) {
        let bytes = |way: &Direction| way.carried.bytes.load(Ordering::Relaxed);
        (bytes(&self.there), bytes(&self.back))
    }

    /// Begins to look for the most bytes anew.
    pub fn forget_most(&self) {
        for way in [&self.there, &self.back] {
            way.carried.on_the_way_most.store(0, Ordering::Relaxed);
        }
    }

    /// The most bytes that were on the line, or waited in front of it, at one time: to the target and back.
    pub fn on_the_way_most(&self) -> (u64, u64) {
        let most = |way: &Direction| way.carried.on_the_way_most.load(Ordering::Relaxed);
        (most(&self.there), most(&self.back))
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, there: Arc<Direction>, back: Arc<Direction>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((near, _)) = listener.accept().await else { return };
        let (there, back) = (Arc::clone(&there), Arc::clone(&back));
        connections.spawn(async move {
            // A target that does not answer is a connection that ends at once.
            let Ok(far) = TcpStream::connect(target).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::join!(there.carry(near_in, far_out), back.carry(far_in, near_out));
        });
        while connections.try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Length = Length { round_trip: Duration::from_millis(30), bits_per_s: 1_000_000_000 };

    #[test]
    fn bytes_come_out_half_a_round_trip_after_they_were_on_the_line_one_after_the_other() {
        let begin = Instant::now();
        let (out, free) = LENGTH.out(begin, begin, 125_000);
        assert_eq!(free - begin, Duration::from_millis(1));
        assert_eq!(out - begin, Duration::from_millis(16));
        let (out, free) = LENGTH.out(free, begin, 250_000);
        assert_eq!((free - begin, out - begin), (Duration::from_millis(3), Duration::from_millis(18)));
        // A line that was quiet owes nothing.
        let later = begin + Duration::from_secs(1);
        assert_eq!(LENGTH.out(free, later, 0).0 - later, Duration::from_millis(15));
    }

    #[tokio::test]
    async fn what_goes_in_comes_out_whole_at_the_other_end_in_both_directions_and_the_end_too() {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = echo.local_addr().unwrap();
        let echoing = tokio::spawn(async move {
            let (mut socket, _) = echo.accept().await.unwrap();
            let mut heard = Vec::new();
            socket.read_to_end(&mut heard).await.unwrap();
            socket.write_all(&heard).await.unwrap();
        });
        let line = Line::to(target, LENGTH).await.unwrap();
        let mut socket = TcpStream::connect(line.address()).await.unwrap();
        let sent: Vec<u8> = (0..3_000_000u32).map(|at| (at % 253) as u8).collect();
        let began = Instant::now();
        let (mut reading, mut writing) = socket.split();
        writing.write_all(&sent).await.unwrap();
        writing.shutdown().await.unwrap();
        let mut heard = Vec::new();
        reading.read_to_end(&mut heard).await.unwrap();
        echoing.await.unwrap();
        assert!(heard == sent);
        // Two times 24 ms on the line, and one round trip: never less.
        assert!(began.elapsed() >= Duration::from_millis(78), "{:?}", began.elapsed());
        assert_eq!(line.carried(), (3_000_000, 3_000_000));
        assert!(line.on_the_way_most().0 > 1_000_000);
    }
}
