"""The versions of installed packages."""


def version_of(package: str) -> str | None:
    """Return the version of a package, None if it is not installed."""
    from importlib import metadata  # slow: it imports the parsers of e-mails

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
