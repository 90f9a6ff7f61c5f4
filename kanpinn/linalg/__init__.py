"""Linear least squares: QR factors of rows in chunks, dense or sparse, and their solutions."""

from kanpinn.linalg.qr import fold as fold
