//! What is held against the source text: layers, names, documents.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

mod documents;
mod examples;
mod layers;
mod text;
