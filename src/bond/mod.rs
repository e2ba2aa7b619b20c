//! Bond: packets of even one connection, carried to a peer over several links.

#[cfg(test)]
mod simulation;
