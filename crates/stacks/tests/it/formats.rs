//! Short texts of our own, one per format.
