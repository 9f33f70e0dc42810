//! Queues as they may be typed behind `worker -q`.

use std::num::NonZeroU32;
use std::str::FromStr;

use celeriac_core::{QueueName, excerpt};

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
        let weight = weight
            .map(|weight| weight.parse().map_err(|_| format!("{:?} is no weight; write 1 or more", excerpt(weight))));
        Ok(Self { name, weight: weight.transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_queue_is_read_with_its_weight_or_refused_in_short(
            text in "[a-z]{1,5}(=[0-9]{1,11})?|(.|\\n){0,30}",
            times in 1usize..50,
        ) {
            match text.repeat(times).parse::<WeighedQueue>() {
                Ok(WeighedQueue { name, weight: Some(weight) }) => prop_assert_eq!(format!("{name}={weight}").parse::<WeighedQueue>().unwrap().weight, Some(weight)),
                Ok(WeighedQueue { name, weight: None }) => prop_assert_eq!(name.as_str(), text.repeat(times)),
                Err(error) => prop_assert!(error.len() < 1000),
            }
        }
    }
}
