//! Recording what passes, as pcapng.
