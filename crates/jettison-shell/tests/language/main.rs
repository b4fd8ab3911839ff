//! The language of the shell, held to what dash and bash make of it.

mod dump;
mod edits;
mod failure;
mod generate;
mod grammar;
mod invariants;
mod managers;
mod scripts;
mod views;
