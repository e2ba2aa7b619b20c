//! Bond: packets of even one connection, carried to a peer over several links.

pub mod flow;
pub mod item;
pub mod order;
pub mod pieces;
pub mod squeeze;
