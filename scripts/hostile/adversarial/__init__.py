"""Problems that are hard to estimate: named ones and random ones, and what kanpinn says of them."""
