//! The test authority, its certificates, and TLS that asks for client certificates but refuses none.
//!
//! The real server judges a client certificate after the handshake and answers 401, so the handshake here
//! accepts any and [`Tls::knows`] judges.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// PKCS#8 private key.
    pub key: String,
}

/// The test authority and what it issued.
#[derive(Debug)]
pub(crate) struct Pki {
    pub(crate) ca: String,
    pub(crate) client: Identity,
    /// Issued by an authority that the server doesn't know.
    pub(crate) stranger: Identity,
    pub(crate) server: Identity,
    ca_der: CertificateDer<'static>,
    server_der: (CertificateDer<'static>, Vec<u8>),
}

impl Pki {
    pub(crate) fn new(names: &[String]) -> Result<Self, Failure> {
        let authority = authority("test-apiserver CA")?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "test-apiserver");
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ServerAuth);
        let certificate = params.signed_by(&key, &authority)?;
        Ok(Self {
            ca: authority.pem(),
            client: client(&authority)?,
            stranger: client(&self::authority("stranger CA")?)?,
            ca_der: authority.der().clone(),
            server: Identity {
                certificate: certificate.pem(),
                key: key.serialize_pem(),
            },
            server_der: (certificate.der().clone(), key.serialize_der()),
        })
    }

    /// A client's side of TLS that trusts this authority.
    pub(crate) fn client_tls(&self) -> Result<ClientConfig, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca_der.clone())?;
        let provider = Arc::new(ring::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }

    /// The server's side of TLS.
    pub(crate) fn tls(&self) -> Result<Tls, Failure> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.ca_der.clone())?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()?;
        let (certificate, key) = self.server_der.clone();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(AcceptAny(Arc::clone(&verifier))))
            .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key).into())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls {
            config: Arc::new(config),
            verifier,
        })
    }
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, Failure> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn client(authority: &CertifiedIssuer<'static, KeyPair>) -> Result<Identity, Failure> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "system:node:test");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:nodes");
    params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
    let certificate = params.signed_by(&key, authority)?;
    Ok(Identity {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// Names and addresses for the server's certificate.
pub(crate) fn subject_names(
    addresses: impl Iterator<Item = IpAddr>,
    more: &[String],
) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "kubernetes", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    names.extend(addresses.map(|address| address.to_string()));
    names.extend(more.iter().cloned());
    names.sort_unstable();
    names.dedup();
    names
}

/// TLS of a running server.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Tls {
    /// Whether these certificates lead to the test authority.
    pub(crate) fn knows(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((end, between)) = chain.split_first() else {
            return false;
        };
        self.verifier
            .verify_client_cert(end, between, UnixTime::now())
            .is_ok()
    }
}

/// Proves possession of the key, not the issuer.
#[derive(Debug)]
struct AcceptAny(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AcceptAny {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
