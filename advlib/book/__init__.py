"""The book: published pages, and the site that jupyter-book renders of them.

`notebooks/STUDY.ipynb` is rendered from the run of its default parameters. The runs at the paper's
scale are published pages, `book/studies/NAME.ipynb`, kept in git with their records: one a study,
or several with names of their own, such as one a data set.
"""

from advlib.book.publishing import PUBLISHED, publish, store_outputs
from advlib.book.site import SITE, build

__all__ = ["PUBLISHED", "SITE", "build", "publish", "store_outputs"]
