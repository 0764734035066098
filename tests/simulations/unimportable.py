"""A user's own module that cannot be imported: it needs a package that is not there."""

import a_package_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401
