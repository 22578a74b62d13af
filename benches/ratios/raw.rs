//! The peers that actors are compared with: a bare process on plain tokio, over the same kind of socket.
//!
//! This program starts itself again as such a peer. It connects back like an actor, and then answers so many bytes
//! with so many bytes: an [`Exchange`] has no codec, no frames and no tasks. What goes over shared memory is compared with
//! Unix sockets.

use std::io::Result;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::process::{Child, Command};

/// What goes there and back.
#[derive(Clone, Copy)]
pub(crate) struct Exchange {
    /// Bytes of a request, each in one write, and read to the end.
    pub(crate) request: usize,
    /// Requests before each reply.
    pub(crate) every: usize,
    /// Bytes of a reply.
    pub(crate) reply: usize,
}

/// Serves as a peer if this process was started as one; returns whether it was.
pub(crate) fn serve_if_asked() -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mark, protocol, address, request, every, reply] = &*arguments else { return false };
    if mark != MARK {
        return false;
    }
    let number = |text: &String| usize::from_str(text).expect("this program started the peer, with numbers");
    let exchange = Exchange { request: number(request), every: number(every), reply: number(reply) };
    crate::common::runtime().block_on(async {
        let stream = connect(protocol, address).await.expect("the parent listens");
        serve(stream, exchange).await;
    });
    true
}

async fn serve(mut stream: Stream, Exchange { request, every, reply }: Exchange) {
    let (mut incoming, outgoing) = (vec![0; request], vec![7; reply]);
    loop {
        for _ in 0..every {
            if stream.read_exact(&mut incoming).await.is_err() {
                return; // the parent's end of the measurement
            }
        }
        if stream.write_all(&outgoing).await.is_err() {
            return;
        }
    }
}

async fn connect(protocol: &str, address: &str) -> Result<Stream> {
    Ok(match protocol {
        "uds" | "shm" => Box::new(UnixStream::connect(address).await?),
        "tcp" => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        #[cfg(feature = "quic")]
        "quic" => quic::connect(address).await?,
        other => panic!("there is no raw peer over {other}"),
    })
}

/// Where raw peers connect back to.
pub(crate) struct Host {
    /// This program, linked statically, if there is one.
    pub(crate) statically: Option<PathBuf>,
    directory: TempDir,
    uds: UnixListener,
    tcp: TcpListener,
    #[cfg(feature = "quic")]
    quic: quic::Endpoint,
}

impl Host {
    /// Listens on a socket of each kind.
    pub(crate) async fn new(statically: Option<PathBuf>) -> Result<Self> {
        let directory = TempDir::new()?;
        Ok(Self {
            statically,
            uds: UnixListener::bind(directory.path().join(SOCKET))?,
            tcp: TcpListener::bind("127.0.0.1:0").await?,
            #[cfg(feature = "quic")]
            quic: quic::Endpoint::new(directory.path())?,
            directory,
        })
    }

    /// Starts a peer and waits until it has connected back.
    pub(crate) async fn start(&self, protocol: &str, exchange: Exchange) -> Result<Peer> {
        self.start_program(None, protocol, exchange).await
    }

    /// The same, perhaps with another build of this program.
    pub(crate) async fn start_program(
        &self,
        program: Option<&Path>,
        protocol: &str,
        exchange: Exchange,
    ) -> Result<Peer> {
        let program = program.unwrap_or(Path::new("/proc/self/exe"));
        let address = match protocol {
            "uds" | "shm" => self.directory.path().join(SOCKET).display().to_string(),
            "tcp" => self.tcp.local_addr()?.to_string(),
            #[cfg(feature = "quic")]
            "quic" => self.quic.address(),
            other => panic!("there is no raw peer over {other}"),
        };
        let numbers = [exchange.request, exchange.every, exchange.reply].map(|number| number.to_string());
        let child = Command::new(program).args([MARK, protocol, &address]).args(numbers).kill_on_drop(true).spawn()?;
        let stream: Stream = match protocol {
            "uds" | "shm" => Box::new(self.uds.accept().await?.0),
            "tcp" => {
                let (stream, _) = self.tcp.accept().await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            #[cfg(feature = "quic")]
            "quic" => self.quic.accept().await?,
            other => panic!("there is no raw peer over {other}"),
        };
        let Exchange { request, every, reply } = exchange;
        let mut peer = Peer { stream, child, request: vec![7; request], every, reply: vec![0; reply] };
        peer.call().await;
        Ok(peer)
    }
}

/// A raw peer that has connected. Dropping it kills it.
pub(crate) struct Peer {
    stream: Stream,
    child: Child,
    request: Vec<u8>,
    every: usize,
    reply: Vec<u8>,
}

impl Peer {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends as many requests as it takes, and waits for the reply.
    pub(crate) async fn call(&mut self) {
        for _ in 0..self.every {
            self.stream.write_all(&self.request).await.expect("the peer reads");
        }
        self.stream.read_exact(&mut self.reply).await.expect("the peer answers");
    }

    /// Closes the connection and waits for the process to end.
    pub(crate) async fn end(mut self) {
        drop(self.stream);
        self.child.wait().await.expect("it is our child");
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

type Stream = Box<dyn Duplex>;

#[cfg(feature = "quic")]
mod quic {
    //! One bidirectional stream over plain quinn. The peer finds the certificate to trust in a file.

    use std::io::Error;
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use quinn::rustls::RootCertStore;
    use quinn::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

    use super::{Result, Stream};

    pub(super) struct Endpoint {
        endpoint: quinn::Endpoint,
        address: SocketAddr,
        authority: PathBuf,
    }

    impl Endpoint {
        pub(super) fn new(directory: &Path) -> Result<Self> {
            let identity = pleach_tls::identity::generate().map_err(Error::other)?;
            let authority = directory.join("authority.der");
            std::fs::write(&authority, &identity.authorities[0])?;
            let chain = identity.chain.into_iter().map(CertificateDer::from).collect();
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key));
            let config = quinn::ServerConfig::with_single_cert(chain, key).map_err(Error::other)?;
            let endpoint = quinn::Endpoint::server(config, LOOPBACK.into())?;
            Ok(Self { address: endpoint.local_addr()?, endpoint, authority })
        }

        /// The socket address and the file with the certificate.
        pub(super) fn address(&self) -> String {
            format!("{},{}", self.address, self.authority.display())
        }

        pub(super) async fn accept(&self) -> Result<Stream> {
            let incoming = self.endpoint.accept().await.expect("the endpoint is open");
            let (sending, mut receiving) = incoming.await?.accept_bi().await?;
            receiving.read_exact(&mut [0]).await.map_err(Error::other)?;
            Ok(Box::new(tokio::io::join(receiving, sending)))
        }
    }

    pub(super) async fn connect(address: &str) -> Result<Stream> {
        let (address, authority) = address.split_once(',').expect("as `address` wrote it");
        let mut roots = RootCertStore::empty();
        roots.add(std::fs::read(authority)?.into()).map_err(Error::other)?;
        let config = quinn::ClientConfig::with_root_certificates(Arc::new(roots)).map_err(Error::other)?;
        let endpoint = quinn::Endpoint::client(LOOPBACK.into())?;
        let address = address.parse().map_err(Error::other)?;
        let connection = endpoint.connect_with(config, address, NAME).map_err(Error::other)?.await?;
        let (mut sending, receiving) = connection.open_bi().await?;
        sending.write_all(&[0]).await?; // the other side sees the stream once something was written
        Ok(Box::new(tokio::io::join(receiving, sending)))
    }

    const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

    /// The name in the certificates of trees.
    const NAME: &str = "pleach";
}

/// The first argument of a raw peer.
const MARK: &str = "--raw-peer";

/// The name of the Unix socket in the host's directory.
const SOCKET: &str = "raw.sock";
