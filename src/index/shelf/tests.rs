//! Rows come, go and change, and every order follows.
