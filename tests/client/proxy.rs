//! A TCP proxy that behaves like a bad network: it cuts connections in the middle of a frame, stops forwarding, and redirects.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use annals::client::{Client, ClientOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A proxy in front of a server.
pub(crate) struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
    accepting: JoinHandle<()>,
}

struct Network {
    target: Mutex<SocketAddr>,
    random: Mutex<fastrand::Rng>,
    /// Each connection is cut after a random number of bytes below this, counting both directions. 0: never.
    bytes_max: AtomicU64,
    /// Connections still to be cut in this way.
    cuts_left: AtomicUsize,
    /// Connections that were cut in this way.
    cuts: AtomicUsize,
    connections: AtomicUsize,
    /// Nothing is forwarded, and no connection is closed.
    silent: AtomicBool,
    /// The first this many connections forward nothing any more, and they are not closed.
    dead: AtomicUsize,
    /// Counts how often all connections were cut at once.
    cut_all: watch::Sender<u64>,
}

impl Proxy {
    /// A proxy that leads to a server and forwards everything. The seed is for its random cuts.
    pub(crate) async fn start(target: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let network = Arc::new(Network {
            target: Mutex::new(target),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            bytes_max: AtomicU64::new(0),
            cuts_left: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            silent: AtomicBool::new(false),
            dead: AtomicUsize::new(0),
            cut_all: watch::Sender::new(0),
        });
        let accepting = tokio::spawn({
            let network = Arc::clone(&network);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(Arc::clone(&network).carry(client));
                }
            }
        });
        Self { address, network, accepting }
    }

    /// Cuts this many connections, each after a random number of bytes.
    pub(crate) fn cut_within(&self, bytes_max: u64, cuts: usize) {
        self.network.cuts_left.store(cuts, Relaxed);
        self.network.bytes_max.store(bytes_max, Relaxed);
    }

    /// Cuts all existing connections.
    pub(crate) fn cut_all(&self) {
        self.network.cut_all.send_modify(|times| *times += 1);
    }

    /// Stops or resumes forwarding. New connections are accepted either way.
    pub(crate) fn silence(&self, silent: bool) {
        self.network.silent.store(silent, Relaxed);
    }

    /// Stops forwarding on the existing connections without closing them. New ones work as before.
    pub(crate) fn bury(&self) {
        self.network.dead.store(self.connections(), Relaxed);
    }

    /// Leads new connections to another server.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *self.network.target.lock().expect("not poisoned") = target;
    }

    /// How many connections were cut at random.
    pub(crate) fn cuts(&self) -> usize {
        self.network.cuts.load(Relaxed)
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.network.connections.load(Relaxed)
    }

    /// A client of the server behind the proxy, which retries quickly.
    pub(crate) fn client(&self) -> Client {
        self.client_with(ClientOptions::default())
    }

    /// Like [`Self::client`], with options.
    pub(crate) fn client_with(&self, options: ClientOptions) -> Client {
        let options =
            ClientOptions { retry_delay_min: Duration::from_millis(2), retry_delay_max: Duration::from_millis(50), ..options };
        options.connect_lazy(&format!("http://{}", self.address)).expect("an address")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}

impl Network {
    async fn carry(self: Arc<Self>, mut client: TcpStream) {
        let number = self.connections.fetch_add(1, Relaxed);
        let mut cut = self.cut_all.subscribe();
        let target = *self.target.lock().expect("not poisoned");
        let Ok(mut server) = TcpStream::connect(target).await else { return };
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let bytes_max = self.bytes_max.load(Relaxed);
        let cuts = bytes_max > 0 && self.cuts_left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        let bytes = if cuts { self.random.lock().expect("not poisoned").u64(1..=bytes_max) } else { u64::MAX >> 1 };
        let left = AtomicI64::new(bytes.cast_signed());
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
        tokio::select! {
            _ = self.pump(&mut from_client, &mut to_server, &left, number) => {}
            _ = self.pump(&mut from_server, &mut to_client, &left, number) => {}
            _ = cut.changed() => {}
        }
        if cuts && left.load(Relaxed) <= 0 {
            self.cuts.fetch_add(1, Relaxed);
        }
    }

    /// Forwards bytes until one side ends or the allowed bytes are used up.
    async fn pump<R, W>(&self, from: &mut R, to: &mut W, left: &AtomicI64, number: usize) -> io::Result<()>
    where
        R: AsyncReadExt + Unpin,
        W: AsyncWriteExt + Unpin,
    {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let count = from.read(&mut buffer).await?;
            while self.silent.load(Relaxed) || number < self.dead.load(Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let count_left = i64::try_from(count).expect("a small number");
            let before = left.fetch_sub(count_left, Relaxed);
            let pass = usize::try_from(before.clamp(0, count_left)).expect("not negative");
            to.write_all(&buffer[..pass]).await?;
            if count == 0 || pass < count || before == count_left {
                return Ok(());
            }
        }
    }
}
