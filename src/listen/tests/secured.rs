//! TLS.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
struct Pair(String, String);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        Pair(params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

impl Pair {
    fn put(&self, dir: &Path) -> TlsFiles {
        let files = TlsFiles { certificate: dir.join("tls.crt"), key: dir.join("tls.key"), client_ca: None };
        std::fs::write(&files.certificate, &self.0).unwrap();
        std::fs::write(&files.key, &self.1).unwrap();
        files
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.0.as_bytes()).unwrap()
    }
}

async fn dial(
    house: &Served,
    authority: &Authority,
    protocols: &[&str],
    shown: Option<&Pair>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.0.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_slice(pair.1.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![pair.certificate()], key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, house.connect().await).await
}

#[tokio::test]
async fn the_version_is_what_was_agreed() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let house = served_with(Some(authority.issue().put(dir.path())), Ceilings::default(), SOON).await;

    let stream = dial(&house, &authority, &["h2", "http/1.1"], None).await.unwrap();
    let (mut client, _connection) = http2(stream).await;
    assert_eq!(text(client.send_request(get("/peer")).await.unwrap()).await, "HTTP/2.0 true None");

    for protocols in [&["http/1.1"][..], &[]] {
        let mut stream = dial(&house, &authority, protocols, None).await.unwrap();
        stream.write_all(b"GET /peer HTTP/1.1\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(rest(&mut stream).await.ends_with("HTTP/1.1 true None"));
    }
    for (protocols, said) in [(["h2"], HELLO), (["http/1.1"], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")] {
        let mut stream = dial(&house, &authority, &protocols, None).await.unwrap();
        stream.write_all(said).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "{protocols:?} was agreed and not spoken");
    }
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let ceilings = Ceilings { handshake: SHORT, ..Ceilings::default() };
    let house = served_with(Some(authority.issue().put(dir.path())), ceilings, SOON).await;
    assert_eq!(rest(&mut house.connect().await).await, "");
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let [first, second, third] = [(); 3].map(|()| authority.issue());
    let files = first.put(dir.path());
    let ceilings = Ceilings { certificate_poll: Duration::from_millis(5), ..Ceilings::default() };
    let house = served_with(Some(files.clone()), ceilings, SOON).await;
    let shown = async || {
        let stream = dial(&house, &authority, &[], None).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    assert_eq!(shown().await, first.certificate());
    let swapped = async |old: &Pair, new: &Pair| {
        loop {
            let shown = shown().await;
            if shown == new.certificate() {
                return;
            }
            assert_eq!(shown, old.certificate());
        }
    };
    second.put(dir.path());
    soon(swapped(&first, &second)).await;
    for broken in [third.0.as_str(), "no PEM at all", ""] {
        std::fs::write(&files.certificate, broken).unwrap();
        for _ in 0..10 {
            assert_eq!(shown().await, second.certificate());
        }
    }
    third.put(dir.path());
    soon(swapped(&second, &third)).await;
}

#[tokio::test]
async fn with_client_authorities_a_certificate_of_theirs_is_required_and_passed_on() {
    let (ours, theirs, dir) = (Authority::new(), Authority::new(), tempfile::tempdir().unwrap());
    let client_ca = dir.path().join("clients.crt");
    std::fs::write(&client_ca, theirs.0.pem()).unwrap();
    let files = TlsFiles { client_ca: Some(client_ca), ..ours.issue().put(dir.path()) };
    let house = served_with(Some(files), Ceilings::default(), SOON).await;
    let ask = async |shown: Option<&Pair>| {
        let mut stream = dial(&house, &ours, &[], shown).await.ok()?;
        stream.write_all(b"GET /peer HTTP/1.1\r\nconnection: close\r\n\r\n").await.ok()?;
        Some(rest(&mut stream).await).filter(|told| !told.is_empty())
    };
    assert_eq!(ask(None).await, None);
    assert_eq!(ask(Some(&ours.issue())).await, None);
    let known = theirs.issue();
    let sha256: [u8; 32] = digest(&SHA256, &known.certificate()).as_ref().try_into().unwrap();
    let told = ask(Some(&known)).await.unwrap();
    assert!(told.ends_with(&format!("HTTP/1.1 true {:?}", Some(sha256))), "{told}");
}

#[tokio::test]
async fn files_that_do_not_go_together_stop_the_start() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let [mine, other] = [(); 2].map(|()| authority.issue());
    let check = async |certificate: &str, key: &str, expected: &str| {
        let files = Pair(certificate.to_owned(), key.to_owned()).put(dir.path());
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings { addr, tls: Some(files), ceilings: Ceilings::default() };
        let error = Listener::bind(settings).await.unwrap_err().to_string();
        assert_eq!(error.replace(&dir.path().display().to_string(), ""), expected);
    };
    check(&mine.0, &other.1, "cannot use `/tls.crt` with its key").await;
    check("", &mine.1, "cannot read `/tls.crt`").await;
    check(&mine.0, "", "cannot read `/tls.key`").await;
}
