//! TLS: certificates from files that may change while we serve, and client certificates.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{error, info};

use super::ClientCertificate;
use super::sniff::Protocol;

const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// PEM files. They are looked at every [`Ceilings::certificate_poll`](super::Ceilings::certificate_poll); a set that
/// does not hold together is not taken, and the one before it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, our own certificate first.
    pub certificate: PathBuf,
    /// The private key of the first certificate.
    pub key: PathBuf,
    /// Authorities for client certificates. With this file every client **must** show a certificate of theirs.
    pub client_ca: Option<PathBuf>,
}

/// Why TLS files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM, or lacks what it is for.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// The files are readable and do not go together.
    #[error("cannot use `{}` with its key", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// The authorities for client certificates cannot be used.
    #[error("cannot use the authorities in `{}`", path.display())]
    Authorities {
        /// The authorities' file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
}

/// The TLS side of a listener.
#[derive(Debug)]
pub(super) struct Tls {
    files: TlsFiles,
    stamp: Stamp,
    in_force: ArcSwap<ServerConfig>,
}

/// A connection after its handshake.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) agreed: Protocol,
    pub(super) client_certificate: Option<ClientCertificate>,
}

impl Tls {
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let stamp = Stamp::of(&files);
        let in_force = ArcSwap::from_pointee(read(&files)?);
        Ok(Self { files, stamp, in_force })
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Secured> {
        let stream = TlsAcceptor::from(self.in_force.load_full()).accept(stream).await?;
        let session = stream.get_ref().1;
        let agreed = match session.alpn_protocol() {
            Some(ALPN_HTTP2) => Protocol::Http2,
            Some(_) | None => Protocol::Http1,
        };
        let client_certificate = session.peer_certificates().and_then(<[_]>::first).and_then(|leaf| {
            let sha256 = digest(&SHA256, leaf).as_ref().try_into().ok()?;
            Some(ClientCertificate { sha256 })
        });
        Ok(Secured { stream, agreed, client_certificate })
    }

    /// Takes the files again whenever one of them changes; runs until dropped.
    pub(super) async fn follow(&self, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = self.stamp.clone();
        loop {
            ticks.tick().await;
            let now = Stamp::of(&self.files);
            if now == known {
                continue;
            }
            known = now;
            match read(&self.files) {
                Ok(config) => {
                    self.in_force.store(Arc::new(config));
                    info!(file = %self.files.certificate.display(), "took the new certificate");
                }
                Err(error) => {
                    error!(error = &error as &dyn std::error::Error, "kept the old certificate");
                }
            }
        }
    }
}

/// What shows that a file was changed or replaced; follows links, as Kubernetes replaces those.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl Stamp {
    fn of(files: &TlsFiles) -> Self {
        let all = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref()];
        let stamp = |path: &PathBuf| {
            let seen = fs::metadata(path).ok()?;
            Some((seen.modified().ok()?, seen.len()))
        };
        Self(all.into_iter().flatten().map(stamp).collect())
    }
}

fn read(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| unreadable(&files.key, source))?;
    let unusable = |source| TlsError::Unusable { path: files.certificate.clone(), source };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &files.client_ca {
        Some(path) => builder.with_client_cert_verifier(verifier(path, provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
    Ok(config)
}

fn verifier(
    path: &Path,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates(path)? {
        let unusable = |source| TlsError::Unusable { path: path.to_path_buf(), source };
        authorities.add(certificate).map_err(unusable)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .build()
        .map_err(|source| TlsError::Authorities { path: path.to_path_buf(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(unreadable(path, pem::Error::NoItemsFound)),
        Ok(found) => Ok(found),
        Err(source) => Err(unreadable(path, source)),
    }
}

fn unreadable(path: &Path, source: pem::Error) -> TlsError {
    TlsError::Unreadable { path: path.to_path_buf(), source }
}
