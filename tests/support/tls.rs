//! The two ends of a TLS connection, from PEM.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificates::Pair;

fn chain(pair: &Pair) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(|error| format!("key: {error}"))?;
    Ok((
        certificates.map_err(|error| format!("certificate: {error}"))?,
        key,
    ))
}

fn roots(authority: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("authority: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("authority: {error}"))?;
    }
    Ok(roots)
}

/// Serves HTTP/1.1 with this certificate. With `clients`, a client certificate of that authority is verified when
/// there is one; having none is allowed, and for the caller to judge.
pub fn acceptor(pair: &Pair, clients: Option<&str>) -> Result<TlsAcceptor, String> {
    let (certificates, key) = chain(pair)?;
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots(authority)?)).allow_unauthenticated();
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
    };
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves with this certificate and asks for none.
pub fn server(pair: &Pair) -> Result<ServerConfig, String> {
    let (certificates, key) = chain(pair)?;
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| error.to_string())
}

/// Connects with HTTP/1.1 to servers of `authority`, with or without a client certificate.
pub fn connector(authority: &str, client: Option<&Pair>) -> Result<TlsConnector, String> {
    let builder = ClientConfig::builder().with_root_certificates(roots(authority)?);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let (certificates, key) = chain(pair)?;
            builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| error.to_string())?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Connects to a host (name or address) and checks that it is who it should be.
pub async fn connect(
    connector: &TlsConnector,
    host: &str,
    port: u16,
) -> Result<TlsStream<TcpStream>, String> {
    connect_to(connector, (host, port), host).await
}

/// Connects to one address and checks that whoever is there proves to be `name`.
pub async fn connect_to(
    connector: &TlsConnector,
    address: impl tokio::net::ToSocketAddrs,
    name: &str,
) -> Result<TlsStream<TcpStream>, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("connect: {error}"))?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    connector
        .connect(name, stream)
        .await
        .map_err(|error| format!("TLS: {error}"))
}
