//! TLS towards callers, a Unix socket towards MLflow.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use sekisho::listen::TlsFiles;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::caller::{Ask, Said, ada};
use crate::proxy::{Proxy, soon};
use crate::stub::Stub;

const GET_IRIS: &str = "/api/2.0/mlflow/registered-models/get?name=iris";

#[tokio::test]
async fn callers_come_over_tls_and_http2() {
    let folder = tempfile::tempdir().expect("a folder");
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let files = TlsFiles {
        certificate: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
        client_ca: None,
    };
    std::fs::write(&files.certificate, cert.pem()).expect("a file");
    std::fs::write(&files.key, signing_key.serialize_pem()).expect("a file");
    let proxy = Proxy::with(|settings| settings.listen.tls = Some(files)).await;

    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = TcpStream::connect(proxy.address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let secured =
        soon(TlsConnector::from(Arc::new(config)).connect(name, socket)).await.expect("a handshake");
    assert_eq!(secured.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(secured))
            .await
            .expect("http2");
    let mut connected = JoinSet::new();
    connected.spawn(connection);
    for (authorization, status) in
        [(format!("Bearer {}", ada().token(&proxy.clock)), 200), (String::new(), 401)]
    {
        let request = Request::get(format!("https://localhost{GET_IRIS}"))
            .header("authorization", authorization)
            .body(Full::<Bytes>::default())
            .expect("a request");
        let said = Said::of(soon(sender.send_request(request)).await.expect("an answer")).await;
        assert_eq!(said.status, status);
    }
    assert_eq!(proxy.stub.only().line(), format!("GET {GET_IRIS}"));
    let plain = proxy.raw("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(!plain.await.starts_with("HTTP/"), "plain words are answered on a TLS port");
}

#[tokio::test]
async fn mlflow_may_be_behind_a_socket_that_nobody_else_reaches() {
    let folder = tempfile::tempdir().expect("a folder");
    let stub = Stub::on_unix(&folder.path().join("mlflow.sock"));
    let proxy = Proxy::before(stub, "", |_| ()).await;
    assert_eq!(proxy.send(Ask::get(GET_IRIS).by(&ada())).await.status, 200);
    let heard = proxy.stub.only();
    assert_eq!(heard.header("host"), Some("localhost"), "the host that MLflow always answers");
    let create = Ask::post("/api/2.0/mlflow/registered-models/create", r#"{"name":"iris"}"#);
    assert_eq!(proxy.send(create.by(&ada())).await.status, 200);
}
