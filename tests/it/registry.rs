//! The registry in memory: typed searches against brute force, what is late and what is not, and names that look alike.

mod asked;
mod kept;
mod names;
mod world;
