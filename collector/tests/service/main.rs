//! The real binary over TLS on loopback, with agents played by this test.

mod commands;
mod durability;
mod site;
mod whole_way;
