//! The numbers of the jobs to enqueue, each once; unless a fault is ordered, so that the check of the benchmark can be checked.

/// The variable that orders a fault: `lose` leaves out one job, `double` enqueues one twice.
const FAULT: &str = "CELERIAC_BENCH_FAULT";

/// The numbers from 0 up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    jobs: u64,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Lose,
    Double,
}

impl Numbers {
    pub(super) fn below(jobs: u64) -> Self {
        let fault = match std::env::var(FAULT).as_deref() {
            Ok("lose") => Fault::Lose,
            Ok("double") => Fault::Double,
            _ => Fault::None,
        };
        Self { jobs, fault }
    }

    /// How many there are.
    pub(super) fn count(self) -> u64 {
        match self.fault {
            Fault::None => self.jobs,
            Fault::Lose => self.jobs.saturating_sub(1),
            Fault::Double => self.jobs + 1,
        }
    }

    /// The number at a place; a fault is in the middle.
    pub(super) fn at(self, place: u64) -> u64 {
        let middle = self.jobs / 2;
        match self.fault {
            Fault::Lose if place >= middle => place + 1,
            Fault::Double if place > middle => place - 1,
            _ => place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(fault: Fault) -> Vec<u64> {
        let numbers = Numbers { jobs: 4, fault };
        (0..numbers.count()).map(|place| numbers.at(place)).collect()
    }

    #[test]
    fn a_fault_leaves_one_out_or_takes_one_twice() {
        assert_eq!(all(Fault::None), [0, 1, 2, 3]);
        assert_eq!(all(Fault::Lose), [0, 1, 3]);
        assert_eq!(all(Fault::Double), [0, 1, 2, 2, 3]);
    }
}
