//! The language as its users meet it: whole files, what they mean, what is wrong with them.

mod corpus;
mod dump;
mod generate;
mod invariants;
mod round_trip;
