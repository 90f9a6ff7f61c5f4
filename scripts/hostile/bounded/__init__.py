"""Problems whose errors theory bounds, and whether the bounds hold."""
