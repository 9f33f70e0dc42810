//! Queues as they may be typed behind `worker -q`.

use std::num::NonZeroU32;
use std::str::FromStr;

use celeriac_core::QueueName;

/// A queue, and how often it comes first if that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WeighedQueue {
    pub(crate) name: QueueName,
    pub(crate) weight: Option<NonZeroU32>,
}

impl FromStr for WeighedQueue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, weight) = match text.split_once('=') {
            Some((name, weight)) => (name, Some(weight)),
            None => (text, None),
        };
        let name = QueueName::new(name).map_err(|error| error.to_string())?;
        let weight =
            weight.map(|weight| weight.parse().map_err(|_| format!("{weight:?} is no weight; write 1 or more")));
        Ok(Self { name, weight: weight.transpose()? })
    }
}
