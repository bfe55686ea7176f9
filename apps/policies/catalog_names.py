from collections import defaultdict
from dataclasses import dataclass, field

from apps.catalog.models import CatalogModel, ModelAlias
from apps.keys.patterns import matcher
from spendra.kernel import clock


@dataclass(frozen=True, slots=True)
class CatalogNames:
    """Which of the catalog's models patterns mean, by a model's own name or by an alias of it."""

    _names: dict[str, set[str]]  # the model's own `provider/model` → all its names
    _retired: frozenset[str]
    _found: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict, compare=False)

    @classmethod
    def load(cls) -> "CatalogNames":
        names: dict[str, set[str]] = defaultdict(set)
        retired = set()
        today = clock.now().date()
        for provider, name, retired_on in CatalogModel.objects.values_list("provider", "name", "retired_on"):
            names[f"{provider}/{name}"].add(f"{provider}/{name}")
            if retired_on is not None and retired_on <= today:
                retired.add(f"{provider}/{name}")
        aliases = ModelAlias.objects.values_list("provider", "alias", "model__provider", "model__name")
        for provider, alias, own_provider, own_name in aliases:
            names[f"{own_provider}/{own_name}"].add(f"{provider}/{alias}")
        return cls(dict(names), frozenset(retired))

    def models(self, patterns: tuple[str, ...]) -> frozenset[str]:
        """The models, by their own names, that any of the patterns means."""
        found = self._found.get(patterns)
        if found is None:
            matches = [matcher(pattern).match for pattern in patterns]
            found = self._found[patterns] = frozenset(
                model for model, names in self._names.items() if any(match(name) for match in matches for name in names)
            )
        return found

    def are_retired(self, pattern: str) -> bool:
        models = self.models((pattern,))
        return bool(models) and models <= self._retired
