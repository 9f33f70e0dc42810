//! Names the key that holds something of another program: the server says only that one of many is of the wrong type.

use redis::aio::ConnectionLike;
use redis::{Arg, Cmd, Pipeline, Value};

use super::keys;
use super::replies::read;
use crate::error::{BrokerError, Refusal};

/// The same answer; if it is that a key is of the wrong type, the error says which one.
pub(super) async fn named<T>(
    answer: Result<T, BrokerError>,
    commands: impl IntoIterator<Item = &Cmd>,
    connection: &mut impl ConnectionLike,
) -> Result<T, BrokerError> {
    let Err(BrokerError::Refused { store, reason: Refusal::Foreign, detail }) = answer else { return answer };
    let keys = commands.into_iter().flat_map(used_keys).collect();
    let detail = match foreign_among(keys, connection).await {
        Some(what) => format!("{what}: {detail}"),
        None => detail,
    };
    Err(BrokerError::Refused { store, reason: Refusal::Foreign, detail })
}

/// The keys of a command, each with the type it must have.
fn used_keys(command: &Cmd) -> Vec<(String, &'static str)> {
    let texts = command.args_iter().filter_map(|arg| match arg {
        Arg::Simple(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    });
    texts.filter_map(|text| Some((text.to_owned(), keys::type_of(text)?))).collect()
}

/// What is wrong, unless the server does not say or it is over.
async fn foreign_among(keys: Vec<(String, &'static str)>, connection: &mut impl ConnectionLike) -> Option<String> {
    let mut pipe = Pipeline::with_capacity(keys.len());
    keys.iter().for_each(|(key, _)| {
        pipe.cmd("TYPE").arg(key);
    });
    let found: Vec<Value> = pipe.query_async(connection).await.ok()?;
    let mut pairs = keys.into_iter().zip(found.into_iter().map(|found| read::<String>(found).unwrap_or_default()));
    let wrong = pairs.find(|((_, expected), found)| found != expected && found != "none");
    wrong.map(|((key, expected), found)| format!("the key {key} is a {found} and must be a {expected}"))
}
