//! Signers, tokens and an identity provider for this room's tests; nothing here uses the JWT library.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use super::{
    Authenticator, IssuerSettings, KeySource, Settings, StartError, Unauthenticated, install_crypto,
};
use crate::clock::Clock;
use crate::principal::Principal;
use crate::secret::Secret;

/// The moment at which the tests' clocks stand.
pub(super) const NOW: i64 = 1_800_000_000;

pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) enum Signer {
    Hs256(Vec<u8>),
    Rsa(rsa::KeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn hs256() -> Self {
        Self::Hs256(SECRET.into())
    }

    pub(super) fn rsa() -> Self {
        Self::Rsa(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap())
    }

    pub(super) fn ec() -> Self {
        Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    /// The public key as a JWK, without `alg` and `use`.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Hs256(secret) => json!({"kty": "oct", "k": b64(secret)}),
            Self::Rsa(pair) => {
                // RSAPublicKey in DER with a modulus of 2048 bits: the modulus begins at its tenth byte.
                let der = pair.public_key().as_ref();
                json!({"kty": "RSA", "n": b64(&der[9..265]), "e": "AQAB"})
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            Self::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key())}),
        };
        jwk["kid"] = kid.into();
        jwk
    }

    pub(super) fn sign(&self, message: &[u8], pss: bool) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Hs256(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let encoding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if pss { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                pair.sign(encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of exactly these texts, whatever they are.
    pub(super) fn raw(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(payload));
        let signature = self.sign(message.as_bytes(), header.contains("\"PS"));
        format!("{message}.{}", b64(signature))
    }

    /// A token with the signer's own algorithm, of this key id.
    pub(super) fn token(&self, kid: Option<&str>, claims: &Value) -> String {
        let algorithm = match self {
            Self::Hs256(_) => "HS256",
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        };
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        self.raw(&header.to_string(), &claims.to_string())
    }
}

/// Claims that hold for an hour, with `more` over them; `null` there takes a claim away.
pub(super) fn claims(more: Value) -> Value {
    let mut claims =
        json!({"user_id": "alice@company.com", "role": "ml_engineer", "exp": NOW + 3600, "jti": "t-1"});
    let Value::Object(more) = more else { panic!("claims are an object") };
    for (name, value) in more {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(&name);
        } else {
            claims[name] = value;
        }
    }
    claims
}

pub(super) fn issuer(key: KeySource) -> IssuerSettings {
    IssuerSettings { issuer: None, audience: None, key, users: Vec::new(), roles: Vec::new() }
}

pub(super) fn secret() -> KeySource {
    KeySource::Hs256(Secret::new(SECRET).unwrap())
}

pub(super) fn settings(issuers: Vec<IssuerSettings>) -> Settings {
    Settings {
        issuers,
        user_claim: "user_id".into(),
        role_claim: "role".into(),
        model_access_claim: "model_access".into(),
    }
}

pub(super) fn gate(issuers: Vec<IssuerSettings>) -> (Authenticator, Clock) {
    try_gate(settings(issuers)).unwrap()
}

pub(super) fn try_gate(settings: Settings) -> Result<(Authenticator, Clock), StartError> {
    install_crypto();
    let clock = Clock::held_at(NOW);
    Authenticator::new(settings, clock.clone()).map(|gate| (gate, clock))
}

/// A gate with a JWKS file of these keys.
pub(super) fn gate_of_keys(keys: &Value) -> (Authenticator, tempfile::NamedTempFile, Clock) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({"keys": keys}).to_string()).unwrap();
    let (gate, clock) = gate(vec![issuer(KeySource::JwksFile(file.path().to_owned()))]);
    (gate, file, clock)
}

pub(super) async fn identify(gate: &Authenticator, token: &str) -> Result<Arc<Principal>, Unauthenticated> {
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    gate.identify(&headers, std::net::Ipv4Addr::LOCALHOST.into()).await
}

/// What the provider does with a request.
#[derive(Clone)]
pub(super) enum Answer {
    Body(Bytes),
    Status(u16, Bytes),
    Redirect(String),
    Never,
}

/// An identity provider on a port of its own, that counts its requests.
pub(super) struct IdentityProvider {
    pub(super) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
    _connections: JoinSet<()>,
}

impl IdentityProvider {
    pub(super) async fn serving(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let requests = Arc::new(AtomicUsize::new(0));
        let (told, count) = (Arc::clone(&answer), Arc::clone(&requests));
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (told, count) = (Arc::clone(&told), Arc::clone(&count));
                open.spawn(async move {
                    let service = service_fn(|_| {
                        count.fetch_add(1, Ordering::SeqCst);
                        let answer = told.lock().clone();
                        async move { Ok::<_, std::convert::Infallible>(respond(answer).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    drop(connection.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { address, answer, requests, _connections: connections }
    }

    pub(super) async fn with_keys(keys: &Value) -> Self {
        Self::serving(Answer::keys(keys)).await
    }

    pub(super) fn now_answers(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(super) fn source(&self) -> KeySource {
        KeySource::JwksUrl(Url::parse(&format!("http://{}/jwks", self.address)).unwrap())
    }
}

impl Answer {
    pub(super) fn keys(keys: &Value) -> Self {
        Self::Body(json!({"keys": keys}).to_string().into())
    }
}

async fn respond(answer: Answer) -> http::Response<Full<Bytes>> {
    let plain =
        |status: u16, body: Bytes| http::Response::builder().status(status).body(Full::new(body)).unwrap();
    match answer {
        Answer::Body(body) => plain(200, body),
        Answer::Status(status, body) => plain(status, body),
        Answer::Redirect(to) => {
            let mut moved = plain(302, Bytes::new());
            moved.headers_mut().insert("location", to.parse().unwrap());
            moved
        }
        Answer::Never => std::future::pending().await,
    }
}
