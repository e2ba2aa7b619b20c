//! Aggregation: packets of one device over several links at once, to another cheaproute that joins them again.

pub mod status;
