//! The way to a server: that of the library, with small packets sent at once.

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use tower::{BoxError, ServiceBuilder};

/// Prepares connections as `config` says. Sends nothing.
///
/// *Errors*: keys and certificates that cannot be used.
pub(super) fn client(config: Config) -> Result<kube::Client, kube::Error> {
    // Those through a proxy are the library's own affair.
    if config.proxy_url.is_some() {
        return kube::Client::try_from(config);
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    // The library leaves this off: then a request that follows another one waits until the server has acknowledged the
    // packets before it, which it may do 40 ms later.
    connector.set_nodelay(true);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let connections: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(connections);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}
