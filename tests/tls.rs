//! `rediss://`: a server that does not speak TLS is an error with a sentence, and nothing panics on the way to it.

use celeriac::Client;
use celeriac::broker::BrokerError;
use celeriac_testkit::{RedisOptions, RedisServer};

#[tokio::test]
async fn a_server_without_tls_is_unreachable_by_rediss() {
    let server = RedisServer::start(&RedisOptions::default());
    let url = server.url().expose().replace("redis://", "rediss://");
    let error = Client::connect(&url).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
}
