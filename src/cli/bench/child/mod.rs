//! The processes that the benchmark starts: the same program again, under a verb that `--help` does not show.
//!
//! [`serve`] reads the order and runs the role; the roles are [`produce`], [`probe`], [`work`], [`seam`] and those of [`floor`].

mod control;
mod floor;
mod numbers;
mod probe;
mod produce;
mod seam;
mod serve;
mod work;

pub(crate) use serve::run;
