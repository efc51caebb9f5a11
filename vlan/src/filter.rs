//! Which frames somebody looks out for, and one line on what a frame is.
