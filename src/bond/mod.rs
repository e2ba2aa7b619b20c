//! Bond: packets of even one connection, carried to a peer over several links.

pub mod address;
pub mod checksum;
pub mod coalesce;
pub mod flow;
pub mod offload;
