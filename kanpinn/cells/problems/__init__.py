"""Problems in cells, by the kind of their domain."""
