"""The parameters of the notebook that judges a reader's own networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from advlib.data import Head
from advlib.judge import foreign
from advlib.studies import rules, settings
from advlib.studies.settings import Count, DatasetName, Each, Eps, Size, Some, checked

Where = Annotated[str, checked(lambda value: foreign.check(value, "networks"))]
WhereOrNone = Annotated[str, checked(lambda value: value and foreign.check(value, "undefended"))]


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "judge"
    paper = False
    scale = ("dataset", "networks", "attacked_images", "steps", "restarts", "queries")

    networks: Some[Where]
    undefended: WhereOrNone
    dataset: DatasetName
    size: Size
    attacked_images: Count
    mean: Each[float]
    std: Each[float]
    eps: Eps
    steps: Count
    restarts: Count
    queries: Count

    def check_data(self, heads: Mapping[str, Head]) -> None:
        rules.at_most(
            "attacked_images", self.attacked_images, heads["dataset"].test, "all there are"
        )
