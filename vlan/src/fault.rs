//! What goes wrong on a segment: which frames are lost, late, doubled or out of order.
